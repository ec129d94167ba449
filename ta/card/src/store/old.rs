//! The first formats of a stored card, no longer written. Nothing here changes but what it becomes: the next one.

use super::{
    parts::{Log, Part},
    state::{Life, Stored},
    v3::{EntryV3, ProfileV3, StoredV3},
};
use heapless::Vec;
use tapvault_proto::{
    Error,
    card::LOG_LEN,
    emv::AID_UNIONPAY_DEBIT,
    id::{CardId, ProviderId},
    profile::{CardKeys, CardProfile, Cvn, Key128, Oda, Product, Suite, VerificationStatus},
    token::{Channel, ChannelKey, Domain, REQUESTOR_LEN, Token},
    wire::{Bytes, Reader, Wire, Writer, decode_exact},
};

tapvault_proto::message! {
    /// Format 1: PBOC 3DES with cryptogram version 01, debit.
    StoredV1 {
        /// 1.
        format: u8,
        /// As today.
        reserved: u16,
        /// As today.
        card: CardId,
        /// As today.
        provider: ProviderId,
        /// Keys and data.
        profile: ProfileV1,
    }
}
tapvault_proto::message! {
    /// The profile of format 1.
    ProfileV1 {
        /// 1.
        format: u8,
        /// As today.
        key_version: u8,
        /// 1.
        suite: Suite,
        /// The application identifier.
        aid: Bytes<16>,
        /// As today.
        label: Bytes<16>,
        /// As today.
        track2: Bytes<19>,
        /// As today.
        psn: u8,
        /// As today.
        aip: [u8; 2],
        /// As today.
        currency: u16,
        /// As today.
        online_pin_allowed: bool,
        /// As today.
        signature_allowed: bool,
        /// The key for taps.
        udk: Key128,
        /// As today.
        last_four: [u8; 4],
        /// As today.
        art: Bytes<32>,
        /// As today.
        issuer: Bytes<32>,
    }
}
tapvault_proto::message! {
    /// A payment of format 2: a tap.
    #[derive(Clone, Copy)]
    EntryV2 {
        /// As today.
        key_version: u8,
        /// As today.
        atc: u16,
        /// As today.
        amount: u64,
        /// As today.
        currency: u16,
        /// As today.
        date: [u8; 3],
        /// As today.
        kind: u8,
        /// As today.
        ctq: [u8; 2],
    }
}

/// The log of format 2: always as many places, those that were never used all zero.
pub struct LogV2([EntryV2; LOG_LEN]);

impl Wire for LogV2 {
    const MAX: usize = LOG_LEN * EntryV2::MAX;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        self.0.iter().try_for_each(|entry| entry.encode(out))
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        let mut entries = [EntryV2::EMPTY; LOG_LEN];
        for entry in &mut entries {
            *entry = EntryV2::decode(input)?;
        }
        Ok(Self(entries))
    }
}

impl EntryV2 {
    const EMPTY: Self =
        Self { key_version: 0, atc: 0, amount: 0, currency: 0, date: [0; 3], kind: 0, ctq: [0; 2] };

    const fn next(self) -> EntryV3 {
        let Self { key_version, atc, amount, currency, date, kind, ctq } = self;
        EntryV3 { key_version, atc, amount, currency, date, kind, ctq, channel: Channel::Nfc }
    }
}

tapvault_proto::message! {
    /// Format 2: taps alone, and no life of a token.
    StoredV2 {
        /// 2.
        format: u8,
        /// As today.
        reserved: u16,
        /// The last payments.
        log: LogV2,
        /// As today.
        card: CardId,
        /// As today.
        provider: ProviderId,
        /// Keys and data.
        profile: ProfileV2,
    }
}
tapvault_proto::message! {
    /// The profile of format 2.
    ProfileV2 {
        /// 2.
        format: u8,
        /// As today.
        key_version: u8,
        /// As today.
        suite: Suite,
        /// As today.
        cvn: Cvn,
        /// As today.
        product: Product,
        /// As today.
        priority: u8,
        /// As today.
        label: Bytes<16>,
        /// As today.
        track2: Bytes<19>,
        /// As today.
        psn: u8,
        /// As today.
        aip: [u8; 2],
        /// As today.
        currency: u16,
        /// As today.
        online_pin_allowed: bool,
        /// As today.
        signature_allowed: bool,
        /// As today.
        verification_from: u64,
        /// As today.
        verification_status: VerificationStatus,
        /// The key for taps.
        udk: Key128,
        /// As today.
        oda: Option<Oda>,
        /// As today.
        last_four: [u8; 4],
        /// As today.
        art: Bytes<32>,
        /// As today.
        issuer: Bytes<32>,
    }
}

/// Reads format 1.
///
/// # Errors
/// [`Error::StateCorrupt`], [`Error::BadParameters`].
pub fn read_v1(bytes: &[u8]) -> Result<Stored, Error> {
    let StoredV1 { format, reserved, card, provider, profile } = decode_exact(bytes)?;
    if profile.format != 1 || profile.suite != Suite::Pboc3Des || *profile.aid != AID_UNIONPAY_DEBIT {
        return Err(Error::StateCorrupt);
    }
    let profile = ProfileV2 {
        format: 2,
        key_version: profile.key_version,
        suite: profile.suite,
        cvn: Cvn::V01,
        product: Product::Debit,
        priority: 1,
        label: profile.label,
        track2: profile.track2,
        psn: profile.psn,
        aip: profile.aip,
        currency: profile.currency,
        online_pin_allowed: profile.online_pin_allowed,
        signature_allowed: profile.signature_allowed,
        verification_from: CardProfile::NEVER,
        verification_status: VerificationStatus::NotAllowed,
        udk: profile.udk,
        oda: None,
        last_four: profile.last_four,
        art: profile.art,
        issuer: profile.issuer,
    };
    next(StoredV2 { format, reserved, log: LogV2([EntryV2::EMPTY; LOG_LEN]), card, provider, profile })
}

/// Reads format 2.
///
/// # Errors
/// [`Error::StateCorrupt`], [`Error::BadParameters`].
pub fn read_v2(bytes: &[u8]) -> Result<Stored, Error> {
    decode_exact(bytes).and_then(next)
}

/// The format stays that of the object: it has another layout until it is written again.
fn next(old: StoredV2) -> Result<Stored, Error> {
    let StoredV2 { format, reserved, log, card, provider, profile } = old;
    if profile.format != 2 {
        return Err(Error::StateCorrupt);
    }
    let profile = ProfileV3 {
        format: 3,
        key_version: profile.key_version,
        suite: profile.suite,
        cvn: profile.cvn,
        product: profile.product,
        priority: profile.priority,
        label: profile.label,
        track2: profile.track2,
        psn: profile.psn,
        aip: profile.aip,
        currency: profile.currency,
        online_pin_allowed: profile.online_pin_allowed,
        signature_allowed: profile.signature_allowed,
        verification_from: profile.verification_from,
        verification_status: profile.verification_status,
        keys: CardKeys::Udk(Vec::from_iter([ChannelKey { channel: Channel::Nfc, udk: profile.udk }])),
        token: Token {
            par: Bytes::new(),
            requestor: [b'0'; REQUESTOR_LEN],
            active: true,
            domain: Domain::unlimited(),
        },
        oda: profile.oda,
        contact: None,
        last_four: profile.last_four,
        art: profile.art,
        issuer: profile.issuer,
    };
    // Counters begin at 1: a zero is a place that was never used.
    let log = Log(log.0.into_iter().filter(|entry| entry.atc != 0).map(EntryV2::next).collect());
    let (contact, held) = (Part(None), Vec::new());
    StoredV3 { format, reserved, life: Life::new(true), contact, log, card, provider, profile, held }.newest()
}
