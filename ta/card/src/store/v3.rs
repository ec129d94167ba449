//! Format 3 of a stored card, no longer written: nothing is paid offline. Nothing here changes but what it becomes.

use super::{
    contact::ContactState,
    parts::{Log, Part},
    state::{Life, Stored},
};
use heapless::Vec;
use tapvault_proto::{
    Error,
    card::LogEntry,
    contact::Contact,
    id::{CardId, ProviderId},
    limited::{LimitedUseKey, MAX_HELD},
    profile::{CardKeys, CardProfile, Cvn, Oda, Product, Suite, VerificationStatus},
    token::{Channel, Token},
    wire::{Bytes, decode_exact},
};

tapvault_proto::message! {
    /// A payment.
    #[derive(Clone, Copy)]
    EntryV3 {
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
        /// As today.
        channel: Channel,
    }
}

impl EntryV3 {
    const fn newest(self) -> LogEntry {
        let Self { key_version, atc, amount, currency, date, kind, ctq, channel } = self;
        LogEntry { key_version, atc, amount, currency, date, kind, ctq, channel, offline: false }
    }
}

tapvault_proto::message! {
    /// A card.
    StoredV3 {
        /// 3, or that of the object it was read from.
        format: u8,
        /// As today.
        reserved: u16,
        /// As today.
        life: Life,
        /// As today.
        contact: Part<ContactState>,
        /// The last payments.
        log: Log<EntryV3>,
        /// As today.
        card: CardId,
        /// As today.
        provider: ProviderId,
        /// Keys and data.
        profile: ProfileV3,
        /// As today.
        held: Vec<LimitedUseKey, MAX_HELD>,
    }
}
tapvault_proto::message! {
    /// Its profile.
    ProfileV3 {
        /// 3.
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
        /// As today.
        keys: CardKeys,
        /// As today.
        token: Token,
        /// As today.
        oda: Option<Oda>,
        /// As today.
        contact: Option<Contact>,
        /// As today.
        last_four: [u8; 4],
        /// As today.
        art: Bytes<32>,
        /// As today.
        issuer: Bytes<32>,
    }
}

/// Reads format 3.
///
/// # Errors
/// [`Error::StateCorrupt`], [`Error::BadParameters`].
pub fn read(bytes: &[u8]) -> Result<Stored, Error> {
    decode_exact(bytes).and_then(StoredV3::newest)
}

impl StoredV3 {
    /// The format stays that of the object: it has another layout until it is written again.
    ///
    /// # Errors
    /// [`Error::StateCorrupt`].
    pub fn newest(self) -> Result<Stored, Error> {
        let Self { format, reserved, life, contact, log, card, provider, profile, held } = self;
        if profile.format != 3 {
            return Err(Error::StateCorrupt);
        }
        let profile = CardProfile {
            format: CardProfile::FORMAT,
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
            keys: profile.keys,
            token: profile.token,
            oda: profile.oda,
            offline: None,
            contact: profile.contact,
            last_four: profile.last_four,
            art: profile.art,
            issuer: profile.issuer,
        };
        let log = Log(log.0.into_iter().map(EntryV3::newest).collect());
        let purse = Part(None);
        Ok(Stored { format, reserved, life, purse, contact, log, card, provider, profile, held })
    }
}
