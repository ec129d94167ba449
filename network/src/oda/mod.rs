//! Offline data authentication: what a lab bank puts into a card for it (EMV Book 2, 6; JR/T 0025.17).

pub mod rsa;
pub mod sm2;

use crate::lab::LabBank;
use tapvault_proto::{
    emv::{application::Record, expiration_date, tlv},
    profile::{Oda, OdaKey},
    wire::Bytes,
};

/// Application usage control, tag 9F07: goods and services, at home and abroad, no cash.
const USAGE: [u8; 2] = [0x3C, 0x00];
/// Application usage control of a contact card: whatever a terminal under test wants.
const ANY_USAGE: [u8; 2] = [0xFF, 0x00];
/// Issuer country code, tag 5F28: China.
const COUNTRY: [u8; 2] = [0x01, 0x56];
/// Application version, tag 9F08: the one that terminals of the lab have.
const APPLICATION_VERSION: [u8; 2] = [0x00, 0x8C];
/// Issuer action codes: online whatever the terminal found; declined where it cannot go online; nothing is denied at once.
const ISSUER_ACTIONS: [(u16, &[u8]); 3] =
    [(0x9F0D, &[0xFC, 0xF8, 0xFC, 0xF8, 0xF0]), (0x9F0E, &[0; 5]), (0x9F0F, &[0xFC, 0xF8, 0xFC, 0xF8, 0xF0])];
/// Static data authentication tag list, tag 9F4A: the application interchange profile is signed as well.
const SIGNS_AIP: u8 = 0x82;

/// Which key a card has for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OdaKind {
    /// None: terminals cannot authenticate it offline.
    #[default]
    None,
    /// RSA of 1,024 bits.
    Rsa1024,
    /// RSA of 1,536 bits: the signature does not fit beside the rest and is read with the last record.
    Rsa1536,
    /// SM2.
    Sm2,
}

/// A certificate, and what of the certified modulus did not fit in.
pub struct Certified {
    certificate: Vec<u8>,
    remainder: Vec<u8>,
    /// Bytes that the certificate takes; leading zeros were cut off.
    len: usize,
}

impl Certified {
    fn padded(&self) -> Vec<u8> {
        [vec![0; self.len.saturating_sub(self.certificate.len())], self.certificate.clone()].concat()
    }
}

/// What a contact card has beside the rest in the record that the issuer signs. It has no record of a transaction's own.
#[derive(Clone, Copy, Debug)]
pub struct ContactData<'a> {
    /// Sequence number, BCD.
    pub psn: u8,
    /// Track 2 equivalent data.
    pub track2: &'a [u8],
    /// More data objects.
    pub objects: &'a [(u16, &'a [u8])],
    /// Those in a record of their own, which the issuer does not sign: its scripts may change them.
    pub unsigned: &'a [(u16, &'a [u8])],
}

/// The card that is certified.
#[derive(Clone, Copy, Debug)]
pub struct Card<'a> {
    /// Its token, 13 to 19 digits.
    pub token: &'a str,
    /// Expiry YYMM in BCD.
    pub expiry: [u8; 2],
    /// Its application interchange profile.
    pub aip: [u8; 2],
    /// Version of its keys: the certificate's serial number.
    pub key_version: u8,
    /// Payment account reference, 29 letters and digits.
    pub par: &'a str,
    /// Of a contact card.
    pub contact: Option<ContactData<'a>>,
}

impl Card<'_> {
    /// The token in so many bytes, padded with F.
    fn packed(&self, len: usize) -> Vec<u8> {
        let digits: String = self.token.chars().chain(std::iter::repeat('F')).take(2 * len).collect();
        hex::decode(digits).unwrap_or_default()
    }

    fn month_year(&self) -> [u8; 2] {
        let [year, month] = self.expiry;
        [month, year]
    }

    /// The record that the issuer signs, without its template.
    fn signed_record(&self) -> Vec<u8> {
        let usage = if self.contact.is_some() { ANY_USAGE } else { USAGE };
        let common = [
            (0x5F24, &expiration_date(self.expiry)[..]),
            (0x9F07, &usage),
            (0x9F24, self.par.as_bytes()),
            (0x9F4A, &[SIGNS_AIP]),
        ];
        let contact = self.contact.map(|contact| {
            let number = self.packed(self.token.len().div_ceil(2));
            let own: [(u16, &[u8]); 5] = [
                (0x5A, &number),
                (0x5F34, &[contact.psn]),
                (0x57, contact.track2),
                (0x5F28, &COUNTRY),
                (0x9F08, &APPLICATION_VERSION),
            ];
            [objects(&own), objects(&ISSUER_ACTIONS), objects(contact.objects)].concat()
        });
        [objects(&common), contact.unwrap_or_default()].concat()
    }

    /// Everything static under the issuer's signature: the record, and the application interchange profile.
    fn signed_data(&self) -> Vec<u8> {
        [self.signed_record(), self.aip.to_vec()].concat()
    }
}

/// No key could be made: the operating system gave no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoKey;

/// What a card of this kind needs, with a new key; `None` for a kind that needs nothing.
///
/// # Errors
/// [`NoKey`].
pub fn make(kind: OdaKind, bank: LabBank, card: &Card<'_>) -> Result<Option<Oda>, NoKey> {
    match kind {
        OdaKind::None => Ok(None),
        OdaKind::Rsa1024 => with_rsa(bank, card, 1024).map(Some).ok_or(NoKey),
        OdaKind::Rsa1536 => with_rsa(bank, card, 1536).map(Some).ok_or(NoKey),
        OdaKind::Sm2 => with_sm2(bank, card).map(Some).ok_or(NoKey),
    }
}

fn with_rsa(bank: LabBank, card: &Card<'_>, bits: usize) -> Option<Oda> {
    let (authority, issuer, key) =
        (rsa::Signer::authority()?, rsa::Signer::bank(bank)?, rsa::Signer::draw(bits)?);
    let serial = [0, 0, card.key_version];
    let header = |format: u8, name: &[u8]| [&[format], name, &card.month_year()[..], &serial].concat();
    let of_issuer = authority.certify(&header(0x02, &card.packed(4)), &issuer.modulus(), &[])?;
    let of_card = issuer.certify(&header(0x04, &card.packed(10)), &key.modulus(), &card.signed_data())?;
    let mut key_objects = vec![(0x9F46, of_card.padded()), (0x9F47, vec![3])];
    if !of_card.remainder.is_empty() {
        key_objects.push((0x9F48, of_card.remainder));
    }
    let key_objects: Vec<_> = key_objects.iter().map(|(tag, value)| (*tag, value.as_slice())).collect();
    let index = objects(&[(0x8F, &[rsa::AUTHORITY_INDEX]), (0x9F32, &[3]), (0x92, &of_issuer.remainder)]);
    let (issuer, own) = (objects(&[(0x90, &of_issuer.padded())]), objects(&key_objects));
    // There is room for four records, and a contact card has one that a phone's has not.
    let certificates = match card.contact {
        None => vec![index, issuer, own],
        Some(_) => vec![[index, issuer].concat(), own],
    };
    oda(&certificates, card, OdaKey::Rsa(key.card_key()?))
}

fn with_sm2(bank: LabBank, card: &Card<'_>) -> Option<Oda> {
    let (authority, issuer, key) =
        (sm2::Signer::authority()?, sm2::Signer::bank(bank)?, sm2::Signer::draw()?);
    let serial = [0, 0, card.key_version];
    let header = |format: u8, name: &[u8]| [&[format], name, &card.month_year()[..], &serial].concat();
    let of_issuer = authority.certify(&header(0x12, &card.packed(4)), &issuer, &[])?;
    let of_card = issuer.certify(&header(0x14, &card.packed(10)), &key, &card.signed_data())?;
    oda(
        &[objects(&[(0x8F, &[sm2::AUTHORITY_INDEX]), (0x90, &of_issuer)]), objects(&[(0x9F46, &of_card)])],
        card,
        OdaKey::Sm2(key.secret()?),
    )
}

/// Files: 1 has the signed record, 2 the certificates, 3 the transaction's own record, or a contact card's that scripts
/// may change.
fn oda(certificates: &[Vec<u8>], card: &Card<'_>, key: OdaKey) -> Option<Oda> {
    let last = u8::try_from(certificates.len()).ok()?;
    let mut records = heapless_records(1, &[card.signed_record()])?;
    records.extend(heapless_records(2, certificates)?);
    if let Some(contact) = card.contact {
        records.extend(heapless_records(3, &[objects(contact.unsigned)])?);
    }
    let afl = [1 << 3, 1, 1, 1, 2 << 3, 1, last, 0, 3 << 3, 1, 1, 0];
    Some(Oda { afl: afl.into_iter().collect(), records: records.into_iter().collect(), key })
}

fn heapless_records(sfi: u8, bodies: &[Vec<u8>]) -> Option<Vec<Record>> {
    let record = |(body, number): (&Vec<u8>, u8)| {
        Some(Record { sfi, number, data: Bytes::from_slice(&objects(&[(0x70, body)])).ok()? })
    };
    bodies.iter().zip(1..).map(record).collect()
}

/// Data objects, one after the other.
fn objects(list: &[(u16, &[u8])]) -> Vec<u8> {
    let object = |(tag, value): &(u16, &[u8])| {
        let mut out = Bytes::<300>::new();
        // Nothing here is longer than 255 bytes.
        tlv::push(&mut out, *tag, value).map(|()| out.to_vec()).unwrap_or_default()
    };
    list.iter().flat_map(object).collect()
}
