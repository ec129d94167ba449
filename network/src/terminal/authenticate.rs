//! Offline data authentication by a terminal that has nobody to ask: the certificates under the authority that the
//! terminal knows, then the card's signature over this payment, fDDA version 01 (EMV Book 2, 6.3 to 6.5; JR/T 0025.17).
//!
//! It tells that the card is genuine, and that the card saw this amount, currency and number. It covers neither the
//! cryptogram nor the results beside it: those only the issuer can check.

use super::{Refusal, answer::Collected};
use crate::{
    oda::{rsa, sm2},
    request::token_of,
};
use tapvault_proto::emv::gpo::PdolData;

/// Most records that a terminal reads of one card.
const MAX_RECORDS: usize = 16;
/// RSA and its hash, SHA-1, in a certificate.
const RSA_SHA1: [u8; 2] = [0x01, 0x01];
/// Exponent of every RSA key here.
const EXPONENT: &[u8] = &[0x03];

/// A record to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// Short file identifier.
    pub sfi: u8,
    /// Number of the record.
    pub number: u8,
    /// Whether the issuer signed it.
    pub signed: bool,
}

/// The records of an application file locator, in its order (EMV Book 3, 10.2).
pub fn located(locator: &[u8]) -> Result<Vec<Located>, Refusal> {
    let mut records = Vec::new();
    for entry in locator.chunks(4) {
        let [sfi, first, last, signed] = *entry else { return Err(Refusal::Length(0x94)) };
        let holds = sfi & 7 == 0 && (1..=30).contains(&(sfi >> 3)) && first > 0 && first <= last;
        if !holds || signed > last - first + 1 {
            return Err(Refusal::Malformed("application file locator"));
        }
        for (number, count) in (first..=last).zip(1..) {
            records.push(Located { sfi: sfi >> 3, number, signed: count <= signed });
        }
    }
    if records.len() > MAX_RECORDS {
        Err(Refusal::Malformed("application file locator"))
    } else {
        Ok(records)
    }
}

/// What certificates are held against.
struct Subject {
    /// The token, padded with F to ten bytes.
    token: [u8; 10],
    /// The terminal's date, YYMM.
    month: [u8; 2],
}

/// Checks that a card is genuine and signed this payment; `signed` are the contents of the records that the issuer signed.
///
/// # Errors
/// [`Refusal::Missing`], [`Refusal::Length`], [`Refusal::NotAuthentic`] with what does not fit, [`Refusal::Expired`].
pub fn authenticate(read: &Collected, signed: &[u8], terminal: &PdolData) -> Result<(), Refusal> {
    let expiry: [u8; 3] = read.array(0x5F24)?;
    if expiry < terminal.date {
        return Err(Refusal::Expired);
    }
    let token = token_of(read.value(0x57)?).ok_or(Refusal::Length(0x57))?;
    let padded = hex::decode(format!("{token:f<20}")).ok().and_then(|token| token.try_into().ok());
    let [year, month, _] = terminal.date;
    let subject = Subject { token: padded.ok_or(Refusal::Length(0x57))?, month: [year, month] };
    let mut data = signed.to_vec();
    match read.find(0x9F4A) {
        None => {}
        Some([0x82]) => data.extend(read.value(0x82)?),
        Some(_) => return Err(Refusal::NotAuthentic("static data")),
    }
    let card: [u8; 7] = read.array(0x9F69)?;
    let [version, .., c0, c1] = card;
    // The qualifiers are under no cryptogram, but under the card's signature.
    if version != 0x01 || read.array(0x9F6C)? != [c0, c1] {
        return Err(Refusal::NotAuthentic("card authentication data"));
    }
    let message = [&terminal.unpredictable[..], &terminal.amount, &terminal.currency, &card].concat();
    let dynamic = match *read.value(0x8F)? {
        [rsa::AUTHORITY_INDEX] => by_rsa(read, &data, &subject, &message)?,
        [sm2::AUTHORITY_INDEX] => by_sm2(read, &data, &subject, &message)?,
        _ => return Err(Refusal::NotAuthentic("certification authority")),
    };
    // What the card adds is its counter: two bytes behind their number.
    let [high, low]: [u8; 2] = read.array(0x9F36)?;
    if dynamic.starts_with(&[3, 2, high, low]) { Ok(()) } else { Err(Refusal::NotAuthentic("counter")) }
}

/// Returns what the card signed of its own.
fn by_rsa(read: &Collected, data: &[u8], subject: &Subject, message: &[u8]) -> Result<Vec<u8>, Refusal> {
    let authority = rsa::Signer::authority().ok_or(Refusal::NotAuthentic("certification authority"))?;
    if read.value(0x9F32)? != EXPONENT || read.value(0x9F47)? != EXPONENT {
        return Err(Refusal::NotAuthentic("exponent"));
    }
    let (rest, issuer) = (read.find(0x92).unwrap_or_default(), Refusal::NotAuthentic("issuer's certificate"));
    let body = rsa::recover(&authority.modulus(), read.value(0x90)?, &[rest, EXPONENT].concat());
    let key = body.and_then(|body| rsa_key(&body, 0x02, 4, subject, rest)).ok_or(issuer)?;
    let (rest, card) = (read.find(0x9F48).unwrap_or_default(), Refusal::NotAuthentic("card's certificate"));
    let body = rsa::recover(&key, read.value(0x9F46)?, &[rest, EXPONENT, data].concat());
    let key = body.and_then(|body| rsa_key(&body, 0x04, 10, subject, rest)).ok_or(card)?;
    let dynamic = rsa::recover(&key, read.value(0x9F4B)?, message);
    match dynamic.as_deref() {
        Some([0x05, 0x01, own @ ..]) => Ok(own.to_vec()),
        _ => Err(Refusal::NotAuthentic("signature")),
    }
}

/// The modulus in a recovered certificate: `format name MMYY serial(3) 01 01 length 01 modulus..`, and `rest` of it.
fn rsa_key(body: &[u8], format: u8, name: usize, subject: &Subject, rest: &[u8]) -> Option<Vec<u8>> {
    let tail = names(body, format, name, subject)?;
    let (algorithms, tail) = tail.split_first_chunk::<2>()?;
    let [length, 1, modulus @ ..] = tail else { return None };
    let length = usize::from(*length);
    let inside = modulus.get(..length.min(modulus.len()))?;
    let modulus = [inside, rest].concat();
    (*algorithms == RSA_SHA1 && modulus.len() == length).then_some(modulus)
}

/// Returns what the card signed of its own.
fn by_sm2(read: &Collected, data: &[u8], subject: &Subject, message: &[u8]) -> Result<Vec<u8>, Refusal> {
    let authority = sm2::Signer::authority().ok_or(Refusal::NotAuthentic("certification authority"))?;
    let issuer = read.value(0x90)?;
    let key =
        sm2::recover(&authority.public(), issuer, &[]).filter(|_| names(issuer, 0x12, 4, subject).is_some());
    let key = key.ok_or(Refusal::NotAuthentic("issuer's certificate"))?;
    let card = read.value(0x9F46)?;
    let key = sm2::recover(key, card, data).filter(|_| names(card, 0x14, 10, subject).is_some());
    let key = key.ok_or(Refusal::NotAuthentic("card's certificate"))?;
    let signed = read.value(0x9F4B)?;
    match signed {
        [0x15, own @ ..] if sm2::verifies_dynamic(key, signed, message) => Ok(own.to_vec()),
        _ => Err(Refusal::NotAuthentic("signature")),
    }
}

/// Checks the beginning of a certificate: format, the token or what it begins with, a month that is not over, a serial
/// number. Returns what is behind it.
fn names<'a>(body: &'a [u8], format: u8, name: usize, subject: &Subject) -> Option<&'a [u8]> {
    let (first, tail) = body.split_first()?;
    let (named, tail) = tail.split_at_checked(name)?;
    let ([month, year], tail) = tail.split_first_chunk::<2>()?;
    let (_serial, tail) = tail.split_first_chunk::<3>()?;
    // An issuer's name is the number's first three to eight digits, padded with F.
    let fits = |(ours, theirs): (&u8, &u8)| {
        [(ours >> 4, theirs >> 4), (ours & 15, theirs & 15)]
            .iter()
            .all(|(ours, theirs)| ours == theirs || *theirs == 15)
    };
    let of_it = subject.token.iter().zip(named).all(fits) && named.first() != Some(&0xFF);
    let whole = name < subject.token.len() || named == subject.token;
    (*first == format && of_it && whole && [*year, *month] >= subject.month).then_some(tail)
}
