//! Offline approval: what a card may pay without asking its issuer, and its provider's word on how much that is.
//!
//! Nothing here is of use where the platform does not protect stored state from a rollback: an older copy would hold
//! money that was paid already.

use crate::{
    id::CardId,
    pin::{ProviderCertificate, concat},
};

/// Largest amount: the 12 digits of tag 9F02.
pub const MAX_AMOUNT: u64 = 999_999_999_999;

crate::message! {
    /// What a card may pay offline, in minor units of its own currency and in no other.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    Offline {
        /// What is loaded when the card is installed.
        balance: u64,
        /// Most that one payment may come to; as much is set aside in storage ahead of a tap.
        payment: u64,
    }
}

impl Offline {
    /// Whether both are amounts, and a payment is one of something.
    #[must_use]
    pub const fn check(&self) -> bool {
        self.balance <= MAX_AMOUNT && self.payment > 0 && self.payment <= MAX_AMOUNT
    }
}

crate::message! {
    /// A provider's word on what a card may pay offline. It says everything anew, so that the newest alone counts: a
    /// card obeys any with a higher number than the last, and the last one again, which changes nothing.
    ///
    /// With a higher `closed` than before it also settles: the card counts `cleared` as all that it ever paid offline, and
    /// gives no counter up to `closed` any more. What it had set aside and lost to a power cut is there again.
    #[derive(Clone, Debug, PartialEq, Eq)]
    OfflineCommand {
        /// The provider's certificate.
        certificate: ProviderCertificate,
        /// The card.
        card: CardId,
        /// The version of its keys.
        key_version: u8,
        /// The command's number, from 1.
        sequence: u32,
        /// All that was ever loaded under these keys, never less than before.
        loaded: u64,
        /// Transaction counter up to which the provider takes no offline payment any more; 0 for none.
        closed: u16,
        /// Sum of the offline payments up to there that reached it.
        cleared: u64,
        /// ECDSA P-256 / SHA-256 by the provider over [`Self::signed_bytes`], `r‖s`.
        signature: [u8; 64],
    }
}

impl OfflineCommand {
    /// What the provider signs: a domain label, its id, the card, the version of its keys, number, loaded, closed and
    /// cleared.
    #[must_use]
    pub fn signed_bytes(&self) -> [u8; 79] {
        concat(
            b"tapvault offline funds 1",
            &[
                &self.certificate.provider.0,
                &self.card.0,
                &[self.key_version],
                &self.sequence.to_be_bytes(),
                &self.loaded.to_be_bytes(),
                &self.closed.to_be_bytes(),
                &self.cleared.to_be_bytes(),
            ],
        )
    }
}

crate::message! {
    /// Asks what a card may pay offline.
    #[derive(Clone, Debug, PartialEq, Eq)]
    OfflineStateRequest {
        /// The card.
        card: CardId,
    }
}
crate::message! {
    /// What a card may pay offline.
    #[derive(Clone, Debug, PartialEq, Eq)]
    OfflineState {
        /// Minor units that are left. What was set aside when power was cut is not among them.
        left: u64,
        /// Highest transaction counter that may have left: the one to close for a settlement.
        counter: u16,
        /// Number of the last command that was obeyed; 0 for none.
        sequence: u32,
    }
}
