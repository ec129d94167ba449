//! A card as data groupings, the form in which it goes into a secure element (EMV Card Personalization Specification:
//! two bytes of identifier, one of length, the value).
//!
//! | DGI | value |
//! | --- | --- |
//! | A001 | the application: [`Application`] |
//! | 8000 | the key for taps, 16 bytes; behind a leave the session key of its counter |
//! | A003 | empty, in place of 8000: limited-use keys, one comes with each leave |
//! | SFI, record number | a record, template 70 |
//! | 8201 to 8205 | the RSA key: `q⁻¹ mod p`, `dq`, `dp`, `q`, `p` |
//! | 8206 | the SM2 key, 32 bytes |
//! | A002 | leave for one tap: [`Leave`], apart from all but 8000 |
//!
//! 8000 and 8201 to 8205 have their usual meaning; 8206 and A001 to A003 are our own. Keys for other ways to pay, the
//! token's life and what is for display stay behind.

use crate::{
    Error,
    element::Leave,
    emv::application::Record,
    id::CardId,
    limited::LimitedUse,
    profile::{
        CardKeys, CardProfile, Cvn, Key128, Oda, OdaKey, Product, RsaKey, SecretBytes, Suite,
        VerificationStatus,
    },
    token::{Channel, ChannelKey, Domain, PAR_LEN, REQUESTOR_LEN, Token},
    wire::{Bytes, Reader, Wire, Writer, decode_exact},
};
use heapless::Vec;

/// DGI of [`Application`].
const APPLICATION: u16 = 0xA001;
/// DGI of [`Leave`].
const LEAVE: u16 = 0xA002;
/// DGI of the key for taps.
const KEY: u16 = 0x8000;
/// DGI that says that there is none.
const LIMITED_USE: u16 = 0xA003;
/// DGI of the first part of an RSA key.
const RSA: u16 = 0x8201;
/// DGI of an SM2 key.
const SM2: u16 = 0x8206;
/// Bytes in front of a value.
const HEAD: usize = 3;
/// Longest length: FF would say that two bytes of length follow.
const MAX_VALUE: usize = 254;

/// Longest card in groupings: application, key, four records, five parts of a key.
pub const MAX_CARD: usize = HEAD + Application::MAX + HEAD + 16 + 4 * (HEAD + MAX_VALUE) + 5 * (HEAD + 124);
/// Length of a leave at most, with a key.
pub const MAX_LEAVE: usize = HEAD + Leave::MAX + HEAD + 16;
const _: () = assert!(Application::MAX <= MAX_VALUE && Leave::MAX <= MAX_VALUE);

crate::message! {
    /// What is not a key or a record; the fields are those of [`CardProfile`].
    Application {
        /// The card.
        card: CardId,
        /// Version of its keys.
        key_version: u8,
        /// The suite.
        suite: Suite,
        /// What the cryptogram covers.
        cvn: Cvn,
        /// What kind of card it is.
        product: Product,
        /// Tag 87.
        priority: u8,
        /// Tag 50.
        label: Bytes<16>,
        /// Tag 57.
        track2: Bytes<19>,
        /// Tag 5F34.
        psn: u8,
        /// Tag 82.
        aip: [u8; 2],
        /// ISO 4217 numeric code.
        currency: u16,
        /// Whether the terminal's online PIN may stand in for the wallet PIN.
        online_pin_allowed: bool,
        /// Whether a signature may.
        signature_allowed: bool,
        /// From which amount the card wants the wallet PIN.
        verification_from: u64,
        /// The answer when it wants one and there is none.
        verification_status: VerificationStatus,
        /// Most that a payment may come to, of the token's domain; number and time the trusted app counts.
        amount: u64,
        /// Tag 9F24, or empty.
        par: Bytes<PAR_LEN>,
        /// Tag 94, or empty: no offline data authentication.
        afl: Bytes<16>,
    }
}

/// What a sequence of groupings is.
#[allow(clippy::large_enum_variant, reason = "a box would want a heap, which this crate does without")]
pub enum Personalisation {
    /// A card.
    Card(CardId, CardProfile),
    /// Leave for one tap; for a card with limited-use keys, the session key of its counter.
    Leave(Leave, Option<Key128>),
}

/// Writes a card; returns the length. What is written holds keys; no limited-use key is among them, each goes with the
/// leave for its payment.
///
/// # Errors
/// [`Error::NotForElement`] unless [`CardProfile::fits_element`]; [`Error::ShortBuffer`] for less than [`MAX_CARD`]
/// bytes.
pub fn encode_card(card: CardId, profile: &CardProfile, out: &mut [u8]) -> Result<usize, Error> {
    if !profile.fits_element() {
        return Err(Error::NotForElement);
    }
    let out = &mut Writer::new(out);
    let application = Application {
        card,
        key_version: profile.key_version,
        suite: profile.suite,
        cvn: profile.cvn,
        product: profile.product,
        priority: profile.priority,
        label: profile.label.clone(),
        track2: profile.track2.clone(),
        psn: profile.psn,
        aip: profile.aip,
        currency: profile.currency,
        online_pin_allowed: profile.online_pin_allowed,
        signature_allowed: profile.signature_allowed,
        verification_from: profile.verification_from,
        verification_status: profile.verification_status,
        amount: profile.token.domain.amount,
        par: profile.token.par.clone(),
        afl: profile.oda.as_ref().map(|oda| oda.afl.clone()).unwrap_or_default(),
    };
    put_message(out, APPLICATION, &application)?;
    match profile.udk(Channel::Nfc) {
        Some(udk) => put(out, KEY, udk.expose())?,
        None => put(out, LIMITED_USE, &[])?,
    }
    let Some(oda) = &profile.oda else { return Ok(out.len()) };
    for record in &oda.records {
        put(out, u16::from_be_bytes([record.sfi, record.number]), &record.data)?;
    }
    match &oda.key {
        OdaKey::Rsa(key) => {
            let parts = [&key.qinv, &key.dq, &key.dp, &key.q, &key.p];
            for (dgi, part) in (RSA..).zip(parts) {
                put(out, dgi, part.expose())?;
            }
        }
        OdaKey::Sm2(key) => put(out, SM2, key.expose())?,
    }
    Ok(out.len())
}

/// Writes a leave, and the session key of its counter for a card with limited-use keys; returns the length.
///
/// # Errors
/// [`Error::ShortBuffer`] for less than [`MAX_LEAVE`] bytes.
pub fn encode_leave(leave: &Leave, key: Option<&Key128>, out: &mut [u8]) -> Result<usize, Error> {
    let out = &mut Writer::new(out);
    put_message(out, LEAVE, leave)?;
    if let Some(key) = key {
        put(out, KEY, key.expose())?;
    }
    Ok(out.len())
}

/// Reads groupings: those of a card in the order that [`encode_card`] writes, or a leave.
///
/// # Errors
/// [`Error::BadParameters`] for anything else, [`Error::ProfileInvalid`] for a card that breaks a rule of the card
/// application.
pub fn decode(groupings: &[u8]) -> Result<Personalisation, Error> {
    let input = &mut Groupings(Reader::new(groupings));
    if let Some(leave) = input.take_if(|dgi| dgi == LEAVE)? {
        let key = input.take_if(|dgi| dgi == KEY)?.map(key).transpose()?;
        input.end()?;
        return Ok(Personalisation::Leave(decode_exact(leave)?, key));
    }
    let application: Application = decode_exact(input.take(APPLICATION)?)?;
    let keys = if let Some(bytes) = input.take_if(|dgi| dgi == KEY)? {
        CardKeys::Udk(Vec::from_iter([ChannelKey { channel: Channel::Nfc, udk: key(bytes)? }]))
    } else if input.take(LIMITED_USE)?.is_empty() {
        // When to fetch more is the trusted app's business.
        CardKeys::LimitedUse(LimitedUse { channels: Vec::from_iter([Channel::Nfc]), threshold: 1 })
    } else {
        return Err(Error::BadParameters);
    };
    let oda = if application.afl.is_empty() { None } else { Some(oda(input, application.afl.clone())?) };
    input.end()?;
    let (card, profile) = profile(application, keys, oda);
    profile.check()?;
    Ok(Personalisation::Card(card, profile))
}

fn key(bytes: &[u8]) -> Result<Key128, Error> {
    bytes.try_into().map(Key128::new).map_err(|_| Error::BadParameters)
}

fn oda(input: &mut Groupings<'_>, afl: Bytes<16>) -> Result<Oda, Error> {
    let mut records = Vec::new();
    // Short file identifiers are 1 to 30.
    while let Some((dgi, data)) = input.next_if(|dgi| (0x01..=0x1E).contains(&(dgi >> 8)))? {
        let [sfi, number] = dgi.to_be_bytes();
        let data = Bytes::from_slice(data).map_err(|_| Error::BadParameters)?;
        records.push(Record { sfi, number, data }).map_err(|_| Error::BadParameters)?;
    }
    let key = if let Some(key) = input.take_if(|dgi| dgi == SM2)? {
        OdaKey::Sm2(SecretBytes::new(key).ok_or(Error::BadParameters)?)
    } else {
        let mut part =
            |dgi| input.take(dgi).and_then(|part| SecretBytes::new(part).ok_or(Error::BadParameters));
        let (qinv, dq, dp) = (part(RSA)?, part(RSA + 1)?, part(RSA + 2)?);
        let (q, p) = (part(RSA + 3)?, part(RSA + 4)?);
        OdaKey::Rsa(RsaKey { p, q, dp, dq, qinv })
    };
    Ok(Oda { afl, records, key })
}

fn profile(application: Application, keys: CardKeys, oda: Option<Oda>) -> (CardId, CardProfile) {
    let Application { card, key_version, suite, cvn, product, priority, .. } = application;
    let profile = CardProfile {
        format: CardProfile::FORMAT,
        key_version,
        suite,
        cvn,
        product,
        priority,
        label: application.label,
        track2: application.track2,
        psn: application.psn,
        aip: application.aip,
        currency: application.currency,
        online_pin_allowed: application.online_pin_allowed,
        signature_allowed: application.signature_allowed,
        verification_from: application.verification_from,
        verification_status: application.verification_status,
        keys,
        token: Token {
            par: application.par,
            requestor: [b'0'; REQUESTOR_LEN],
            active: true,
            domain: Domain { amount: application.amount, ..Domain::unlimited() },
        },
        oda,
        offline: None,
        contact: None,
        last_four: [b'0'; 4],
        art: Bytes::new(),
        issuer: Bytes::new(),
    };
    (card, profile)
}

fn put(out: &mut Writer<'_>, dgi: u16, value: &[u8]) -> Result<(), Error> {
    let length = u8::try_from(value.len()).ok().filter(|length| *length < u8::MAX);
    out.put(&dgi.to_be_bytes())?;
    out.put(&[length.ok_or(Error::NotForElement)?])?;
    out.put(value)
}

/// Only for messages without keys: their bytes are not wiped.
fn put_message<M: Wire>(out: &mut Writer<'_>, dgi: u16, message: &M) -> Result<(), Error> {
    let mut bytes = [0; MAX_VALUE];
    let mut writer = Writer::new(&mut bytes);
    message.encode(&mut writer)?;
    let length = writer.len();
    put(out, dgi, bytes.get(..length).ok_or(Error::Internal)?)
}

/// Groupings one behind the other.
struct Groupings<'a>(Reader<'a>);

impl<'a> Groupings<'a> {
    /// The next one, when its identifier fits.
    fn next_if(&mut self, fits: impl FnOnce(u16) -> bool) -> Result<Option<(u16, &'a [u8])>, Error> {
        let [high, low, length, ..] = self.0.rest() else { return Ok(None) };
        let (dgi, length) = (u16::from_be_bytes([*high, *low]), usize::from(*length));
        if !fits(dgi) {
            return Ok(None);
        }
        if length > MAX_VALUE {
            return Err(Error::BadParameters);
        }
        self.0.take(HEAD)?;
        self.0.take(length).map(|value| Some((dgi, value)))
    }

    fn take_if(&mut self, fits: impl FnOnce(u16) -> bool) -> Result<Option<&'a [u8]>, Error> {
        self.next_if(fits).map(|found| found.map(|(_, value)| value))
    }

    fn take(&mut self, dgi: u16) -> Result<&'a [u8], Error> {
        self.take_if(|found| found == dgi)?.ok_or(Error::BadParameters)
    }

    fn end(&self) -> Result<(), Error> {
        if self.0.rest().is_empty() { Ok(()) } else { Err(Error::BadParameters) }
    }
}
