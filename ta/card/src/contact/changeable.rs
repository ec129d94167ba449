//! What of a profile an issuer's script may change: the terminals' limits, in a record that is not signed.
//!
//! Everything else is refused. A record may be changed when the issuer's signature does not cover it and every object in
//! it is one of [`CHANGEABLE`], so that certificates, lists, the number and all that goes with it stay what was sealed.
//! A change keeps tags and lengths: a script gives values, not data of another kind.

use tapvault_proto::{
    emv::{
        apdu::StatusWord,
        application::{MAX_RECORD, Record},
        tlv::{self, push},
    },
    profile::Oda,
    wire::Bytes,
};

/// Lower and upper consecutive offline limit, by which terminals go online (EMV Book 3, 10.6.3). The card itself decides
/// nothing by them: it approves nothing offline.
const CHANGEABLE: [u16; 2] = [0x9F14, 0x9F23];
/// Tag of a record's template.
const TEMPLATE: u16 = 0x70;

/// A record in place of another.
pub struct Change {
    /// Which of the profile's records.
    pub place: usize,
    /// The new one, as long as the one before.
    pub data: Bytes<MAX_RECORD>,
}

/// The value of an object that a script may change.
pub fn object(oda: &Oda, tag: u16) -> Option<&[u8]> {
    held(oda, tag).map(|(_, value)| value)
}

/// PUT DATA: the record that has the object with this value.
///
/// # Errors
/// [`StatusWord::DataNotFound`] for an object that is not there, or may not be changed; [`StatusWord::WrongData`] for a
/// value of another length.
pub fn put(oda: &Oda, tag: u16, value: &[u8]) -> Result<Change, StatusWord> {
    let (place, before) = held(oda, tag).ok_or(StatusWord::DataNotFound)?;
    if value.len() != before.len() {
        return Err(StatusWord::WrongData);
    }
    let record = oda.records.get(place).ok_or(StatusWord::NoDiagnosis)?;
    let mut body = Bytes::<MAX_RECORD>::new();
    for (other, kept) in objects(record) {
        let value = if other == tag { value } else { kept };
        push(&mut body, other, value).map_err(|_| StatusWord::NoDiagnosis)?;
    }
    let mut data = Bytes::new();
    push(&mut data, TEMPLATE, &body).map_err(|_| StatusWord::NoDiagnosis)?;
    // A profile may write lengths in another way than this.
    if data.len() == record.data.len() { Ok(Change { place, data }) } else { Err(StatusWord::WrongData) }
}

/// UPDATE RECORD: the record with these data, template and all.
///
/// # Errors
/// [`StatusWord::NotFound`], [`StatusWord::RecordNotFound`]; [`StatusWord::SecurityNotSatisfied`] for a record that may not
/// be changed; [`StatusWord::WrongData`] for other objects than it has, or of other lengths.
pub fn update(oda: &Oda, sfi: u8, number: u8, data: &[u8]) -> Result<Change, StatusWord> {
    if !oda.records.iter().any(|record| record.sfi == sfi) {
        return Err(StatusWord::NotFound);
    }
    let place = oda.records.iter().position(|record| (record.sfi, record.number) == (sfi, number));
    let place = place.ok_or(StatusWord::RecordNotFound)?;
    let before = oda.records.get(place).ok_or(StatusWord::NoDiagnosis)?;
    if !may_change(oda, before) {
        return Err(StatusWord::SecurityNotSatisfied);
    }
    let data = Bytes::from_slice(data).map_err(|_| StatusWord::WrongData)?;
    let after = Record { sfi, number, data };
    let shape = |record| objects(record).map(|(tag, value)| (tag, value.len()));
    let whole = |record: &Record| tlv::objects(&record.data).count() == 1;
    if after.data.len() != before.data.len() || !whole(&after) || !shape(before).eq(shape(&after)) {
        return Err(StatusWord::WrongData);
    }
    Ok(Change { place, data: after.data })
}

/// Where an object that may be changed is, and its value.
fn held(oda: &Oda, tag: u16) -> Option<(usize, &[u8])> {
    oda.records.iter().enumerate().filter(|(_, record)| may_change(oda, record)).find_map(
        |(place, record)| objects(record).find(|(found, _)| *found == tag).map(|(_, value)| (place, value)),
    )
}

fn may_change(oda: &Oda, record: &Record) -> bool {
    let body = tlv::find(&record.data, TEMPLATE).unwrap_or_default();
    let known = |object: Result<tlv::Tlv<'_>, _>| object.is_ok_and(|object| CHANGEABLE.contains(&object.tag));
    !is_signed(oda, record) && !body.is_empty() && tlv::objects(body).all(known)
}

/// Whether the locator counts a record among those under the issuer's signature (EMV Book 3, 10.2).
fn is_signed(oda: &Oda, record: &Record) -> bool {
    oda.afl.chunks(4).any(|entry| match entry {
        [sfi, first, _, signed] => {
            sfi >> 3 == record.sfi && record.number.checked_sub(*first).is_some_and(|behind| behind < *signed)
        }
        _ => true,
    })
}

/// The objects in a record's template, up to one that is none.
fn objects(record: &Record) -> impl Iterator<Item = (u16, &[u8])> {
    let body = tlv::find(&record.data, TEMPLATE).unwrap_or_default();
    tlv::objects(body).map_while(Result::ok).map(|object| (object.tag, object.value))
}
