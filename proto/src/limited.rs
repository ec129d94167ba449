//! Limited-use keys: the session keys of single transactions, in a card that holds no key to derive them from.
//!
//! The token service derives them from the token's unique derived keys, as a card that holds those would itself, and
//! sends them in batches. Who takes one out of a phone has one payment of it, and only until its time is over.

use crate::{
    id::{CardId, ProviderId},
    pin::{ProviderCertificate, concat},
    profile::Key128,
    token::Channel,
    wire::{Bytes, Wire},
};

/// Most counters in a batch.
pub const MAX_BATCH: usize = 16;
/// Most counters that a card holds keys for: a batch beside what is left of the one before.
pub const MAX_HELD: usize = 24;
/// Highest threshold: below it there is room for a whole batch.
pub const MAX_THRESHOLD: u8 = (MAX_HELD - MAX_BATCH) as u8;
/// Counters that a card with limited-use keys reserves at a time. A power cut loses at most these keys.
pub const LIMITED_RANGE: u16 = 4;
/// Bytes that sealing adds.
const TAG_LEN: usize = 16;

crate::message! {
    /// What takes the place of keys in the profile of a card with limited-use keys.
    LimitedUse {
        /// The channels that the card may use, in order.
        channels: heapless::Vec<Channel, 4>,
        /// With this many keys left or fewer, the wallet fetches a batch; 1 to [`MAX_THRESHOLD`].
        threshold: u8,
    }
}

impl LimitedUse {
    /// Whether it keeps the rules of its fields.
    #[must_use]
    pub fn check(&self) -> bool {
        !self.channels.is_empty()
            && self.channels.is_sorted_by(|one, next| one < next)
            && (1..=MAX_THRESHOLD).contains(&self.threshold)
    }
}

crate::message! {
    /// The keys of one transaction.
    LimitedUseKey {
        /// Its counter.
        atc: u16,
        /// Last moment of its life, in seconds since 1970 UTC by the token service's clock.
        valid_until: u64,
        /// The session key of each channel, in the order of [`LimitedUse::channels`]. One of them is used, if any.
        keys: heapless::Vec<Key128, 4>,
    }
}

crate::message! {
    /// Keys of consecutive counters.
    KeyBatch {
        /// The version of the card's keys that they were derived from.
        key_version: u8,
        /// Last moment of their life, in seconds since 1970 UTC by the token service's clock.
        valid_until: u64,
        /// The first counter.
        first: u16,
        /// The keys of each counter, as in [`LimitedUseKey::keys`].
        keys: heapless::Vec<heapless::Vec<Key128, 4>, MAX_BATCH>,
    }
}

impl KeyBatch {
    /// Longest sealed batch in bytes, tag included.
    pub const SEALED: usize = Self::MAX + TAG_LEN;
}

crate::message! {
    /// Brings a card a batch, sealed as a card package is and signed by the provider.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ReplenishRequest {
        /// The provider's certificate.
        certificate: ProviderCertificate,
        /// The card.
        card: CardId,
        /// The challenge that it was sealed for.
        challenge: [u8; 32],
        /// The encapsulated HPKE key.
        encapsulated: [u8; 65],
        /// A [`KeyBatch`], encrypted, with the tag behind.
        sealed: Bytes<{ KeyBatch::SEALED }>,
        /// ECDSA P-256 / SHA-256 by the provider over [`Self::signed_bytes`], `r‖s`.
        signature: [u8; 64],
    }
}

impl ReplenishRequest {
    /// The HPKE `info`: a domain label, challenge, card and provider; 88 bytes.
    #[must_use]
    pub fn info(challenge: &[u8; 32], card: CardId, provider: ProviderId) -> [u8; 88] {
        concat(b"tapvault key batch     1", &[challenge, &card.0, &provider.0])
    }

    /// What the provider signs: the `info`, the SHA-256 of encapsulated key and cipher text.
    #[must_use]
    pub fn signed_bytes(&self, sealed_digest: &[u8; 32]) -> [u8; 120] {
        let info = Self::info(&self.challenge, self.card, self.certificate.provider);
        concat(&info, &[sealed_digest])
    }
}

crate::message! {
    /// Asks how many limited-use keys a card has left.
    #[derive(Clone, Debug, PartialEq, Eq)]
    KeysLeftRequest {
        /// The card.
        card: CardId,
    }
}
crate::message! {
    /// How many limited-use keys a card has left.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    KeysLeft {
        /// Keys that are neither used nor, as far as the time is known, over.
        left: u16,
        /// With this many or fewer, it is time for the next batch.
        threshold: u8,
    }
}

impl KeysLeft {
    /// Whether it is time to fetch a batch.
    #[must_use]
    pub fn is_low(&self) -> bool {
        self.left <= u16::from(self.threshold)
    }
}
