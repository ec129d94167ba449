//! The answers a card gives the same way at every tap.

use heapless::Vec;
use tapvault_proto::{
    Error,
    emv::{
        application::{Record, StaticAnswers},
        expiration_date,
        tlv::push,
    },
    profile::CardProfile,
    wire::Bytes,
};

/// Preferred language, tag 5F2D.
pub const LANGUAGE: &[u8] = b"zh";
/// Issuer code table index, tag 9F11: ISO/IEC 8859-1.
pub const CODE_TABLE: [u8; 1] = [1];
/// Application usage control, tag 9F07: goods and services, at home and abroad, no cash.
const USAGE: [u8; 2] = [0x3C, 0x00];

/// The static answers of a profile whose application has `name` and `priority` in this phone (layout: facts of real UnionPay
/// cards, EMV Book 1, 11.3 and 12.2).
///
/// # Errors
/// [`Error::Internal`] never for a checked profile: the lengths are bounded by its type.
pub fn static_answers(profile: &CardProfile, name: Bytes<16>, priority: u8) -> Result<StaticAnswers, Error> {
    let mut entry = Bytes::<64>::new();
    push(&mut entry, 0x4F, &name)?;
    push(&mut entry, 0x50, &profile.label)?;
    push(&mut entry, 0x87, &[priority])?;

    let mut proprietary = Bytes::<128>::new();
    push(&mut proprietary, 0x50, &profile.label)?;
    push(&mut proprietary, 0x87, &[priority])?;
    push(&mut proprietary, 0x9F38, profile.cvn.pdol())?;
    push(&mut proprietary, 0x5F2D, LANGUAGE)?;
    push(&mut proprietary, 0x9F11, &CODE_TABLE)?;
    push(&mut proprietary, 0x9F12, &profile.label)?;

    let records = match &profile.oda {
        Some(oda) => oda.records.clone(),
        None => {
            let mut record = Bytes::<64>::new();
            push(&mut record, 0x5F24, &expiration_date(profile.expiry().ok_or(Error::Internal)?))?;
            push(&mut record, 0x9F07, &USAGE)?;
            if !profile.token.par.is_empty() {
                push(&mut record, 0x9F24, &profile.token.par)?;
            }
            Vec::from_iter([Record { sfi: 1, number: 1, data: wrap(0x70, &record)? }])
        }
    };
    Ok(StaticAnswers {
        entry: wrap(0x61, &entry)?,
        priority,
        fci: fci(&name, &proprietary)?,
        aid: name,
        records,
    })
}

/// File control information of what has this name.
///
/// # Errors
/// [`Error::Internal`] when it does not fit.
pub fn fci<const N: usize>(name: &[u8], proprietary: &[u8]) -> Result<Bytes<N>, Error> {
    let mut template = Bytes::<192>::new();
    push(&mut template, 0x84, name)?;
    push(&mut template, 0xA5, proprietary)?;
    wrap(0x6F, &template)
}

/// A data object.
///
/// # Errors
/// [`Error::Internal`] when it does not fit.
pub fn wrap<const N: usize>(tag: u16, value: &[u8]) -> Result<Bytes<N>, Error> {
    let mut out = Bytes::new();
    push(&mut out, tag, value)?;
    Ok(out)
}
