//! One PIN entry at a time: begin → submit → finish, and what a client that vanishes leaves behind.

use crate::{bank_pin::Enciphering, card_data::Awaited, record::NewSecret};
use tapvault_proto::{
    Error,
    approval::Approval,
    bank_pin::BankPinBlock,
    binding::SealedCardData,
    id::{Caller, CardId, ProviderId, TrustletName},
    pin::Transfer,
};
use tapvault_tee::{Millis, Wiped};

/// What the digits are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Set with a ticket.
    Set,
    /// Verify for one payment.
    Verify {
        /// The card that may use the result.
        card: CardId,
        /// Most that may be paid, minor units.
        ceiling: u64,
        /// ISO 4217 numeric code.
        currency: u16,
    },
    /// Confirm one transfer by one trustlet.
    Confirm {
        /// The trustlet that may use the result.
        trustlet: TrustletName,
        /// What is confirmed.
        transfer: Transfer,
    },
    /// Approve one payment of one card that is no tap.
    Approve {
        /// What is approved.
        approval: Approval,
    },
    /// Change from present to new.
    Change,
    /// Seal card data for their bank; no PIN takes part.
    CardData,
    /// Encipher the bank PIN for the bank; nothing is compared.
    BankPin,
}

/// How far the entry is.
#[allow(clippy::large_enum_variant, reason = "there is one entry, in memory that is set aside for it")]
pub enum Stage {
    /// The digits are awaited; for verify and change the try is already spent in storage.
    Open,
    /// The digits were right (or, for a first PIN, there was nothing to compare); `finish` stores it.
    Accepted {
        /// The record to store, for set and change.
        secret: Option<NewSecret>,
    },
    /// Card data are awaited, and everything is ready to seal them; on the heap, where the seal's key does not move.
    Card(Wiped<Awaited>),
    /// Card data are sealed; `finish_card_data` hands them out.
    Sealed(SealedCardData),
    /// A bank PIN is awaited; its key is spent in storage.
    Bank(Enciphering),
    /// The bank PIN is enciphered; `finish_bank_pin` hands the block out.
    Enciphered(BankPinBlock),
}

/// The one entry there can be.
pub struct Entry {
    /// Names it to the client.
    pub number: u32,
    /// The session that began it.
    pub session: u32,
    /// Whose PIN.
    pub provider: ProviderId,
    /// What for.
    pub purpose: Purpose,
    /// When it ends by itself.
    pub deadline: Millis,
    /// How far it is.
    pub stage: Stage,
}

impl Entry {
    /// Checks that a message is for this entry.
    ///
    /// # Errors
    /// [`Error::NoEntry`].
    pub fn check(&self, session: u32, number: u32, now: Millis) -> Result<(), Error> {
        let ours = self.session == session && self.number == number && now < self.deadline;
        if ours { Ok(()) } else { Err(Error::NoEntry) }
    }
}

/// A confirmed transfer: one use by one trustlet, for a limited time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// Whose PIN, and whose trustlet.
    pub provider: ProviderId,
    /// The trustlet that may use it.
    pub trustlet: TrustletName,
    /// What was confirmed.
    pub transfer: Transfer,
    /// When it is over.
    pub deadline: Millis,
}

/// An approved payment: one use by its card, for a limited time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    /// Whose PIN.
    pub provider: ProviderId,
    /// What was approved.
    pub approval: Approval,
    /// When it is over.
    pub deadline: Millis,
}

/// A verified PIN: one GPO of one card, within ceiling and currency, for a limited time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Whose PIN.
    pub provider: ProviderId,
    /// The card that may use it.
    pub card: CardId,
    /// The app in whose session the PIN was entered.
    pub app: Caller,
    /// Most that may be paid, minor units.
    pub ceiling: u64,
    /// ISO 4217 numeric code.
    pub currency: u16,
    /// When it is over.
    pub deadline: Millis,
}
