//! One PIN entry at a time: begin → submit → finish, and what a client that vanishes leaves behind.

use crate::{bank_pin::Enciphering, card_data::Awaited, record::NewSecret, verifier::Comparison};
use subtle::Choice;
use tapvault_pad_link::{
    rules::{is_same, is_simple},
    tee::Awaiting,
};
use tapvault_proto::{
    Error,
    approval::Approval,
    bank_pin::BankPinBlock,
    binding::{MAX_BANK, SealedCardData},
    id::{Caller, CardId, ProviderId, TrustletName},
    pad::{Entered, Frame},
    pin::{Pin, TRY_LIMIT, Transfer, Verdict},
    wire::Bytes,
};
use tapvault_tee::{Millis, Tee, Wiped};

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
        /// Whether the ceiling is what is paid, no more and no less.
        exact: bool,
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
    CardData {
        /// The bank's certified name.
        bank: Bytes<MAX_BANK>,
    },
    /// Encipher the bank PIN for the bank; nothing is compared.
    BankPin,
}

/// What the pad's frame is to hold, and what takes it.
#[allow(clippy::large_enum_variant, reason = "there is one entry, in memory that is set aside for it")]
pub enum Wanted {
    /// A PIN, to be set.
    New,
    /// The PIN that is set; its try is spent in storage.
    Present(Comparison),
    /// The PIN that is set, its try spent, and a new one.
    Change(Comparison),
    /// Card data; everything is ready to seal them.
    CardData(Awaited),
    /// The bank PIN; its key is spent in storage.
    Bank(Wiped<Enciphering>),
}

/// What opens the pad's one frame, and takes what is in it.
pub struct Open {
    session: Awaiting,
    wanted: Wanted,
}

/// How far the entry is.
#[allow(clippy::large_enum_variant, reason = "there is one entry, in memory that is set aside for it")]
pub enum Stage {
    /// The pad's frame is awaited; on the heap, where keys do not move.
    Open(Wiped<Option<Open>>),
    /// The digits were right (or, for a first PIN, there was nothing to compare); `finish` stores it.
    Accepted {
        /// The record to store, for set and change.
        secret: Option<NewSecret>,
    },
    /// By the pad's word nothing was submitted; `finish` gives the try back.
    Nothing,
    /// Card data are sealed; `finish_card_data` hands them out.
    Sealed(SealedCardData),
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
    /// Comparisons left before it began; `None` where it takes no try.
    pub tries: Option<u8>,
    /// When it ends by itself.
    pub deadline: Millis,
    /// How far it is.
    pub stage: Stage,
}

impl Stage {
    /// The pad's frame is awaited in a session that ends with the entry.
    pub fn open(session: Awaiting, wanted: Wanted) -> Self {
        Self::Open(Wiped::new(Some(Open { session, wanted })))
    }
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

    /// The number of tries to be stored for it, once it is through: all of them after the right digits, as many as
    /// before where nothing was submitted.
    pub fn owed(&self) -> Option<u8> {
        match self.stage {
            Stage::Accepted { .. } => self.tries.map(|_| TRY_LIMIT),
            Stage::Nothing => self.tries,
            Stage::Open(_) | Stage::Sealed(_) | Stage::Enciphered(_) => None,
        }
    }

    /// Comparisons left once it is finished, for the client.
    pub fn tries_once_finished(&self) -> u8 {
        match (&self.stage, &self.purpose) {
            // There was none, and there will be all of them.
            (Stage::Accepted { .. }, Purpose::Set) => TRY_LIMIT,
            _ => self.owed().unwrap_or(0),
        }
    }

    /// Takes the pad's frame. No storage is touched: when the verdict leaves is no hint to what it is.
    ///
    /// # Errors
    /// [`Error::NoEntry`] when no frame is awaited; [`Error::FrameInvalid`] and [`Error::PadContent`];
    /// [`Error::PinTooSimple`] for a new PIN, before anything is compared: a pad asks its holder for another instead.
    /// The entry is over then, as it is without one that is returned.
    pub fn submit<T: Tee>(self, tee: &mut T, frame: &Frame) -> Result<(Option<Self>, Verdict), Error> {
        let Self { stage, provider, .. } = self;
        let Stage::Open(mut open) = stage else { return Err(Error::NoEntry) };
        let Open { session, wanted } = open.take().ok_or(Error::NoEntry)?;
        let accepted = |secret| Some(Stage::Accepted { secret });
        // Wiped at the end of the match.
        let stage = match (wanted, &session.open(frame)?) {
            (_, Entered::Nothing) => Some(Stage::Nothing),
            (Wanted::New, Entered::Pin(new)) => {
                check_new(None, new)?;
                accepted(Some(NewSecret::new(tee, provider, new)?))
            }
            (Wanted::Present(comparison), Entered::Pin(pin)) => {
                if comparison.fits(pin) {
                    accepted(None)
                } else {
                    None
                }
            }
            (Wanted::Change(comparison), Entered::Change(present, new)) => {
                check_new(Some(present), new)?;
                if comparison.fits(present) {
                    accepted(Some(NewSecret::new(tee, provider, new)?))
                } else {
                    None
                }
            }
            (Wanted::CardData(mut awaited), Entered::CardData(data)) => {
                Some(Stage::Sealed(awaited.seal(provider, data)?))
            }
            (Wanted::Bank(enciphering), Entered::Pin(pin)) => {
                Some(Stage::Enciphered(enciphering.encipher(tee, pin)))
            }
            _ => return Err(Error::PadContent),
        };
        let verdict = match stage {
            None => Verdict::Wrong,
            Some(Stage::Nothing) => Verdict::Nothing,
            Some(_) => Verdict::Accepted,
        };
        Ok((stage.map(|stage| Self { stage, ..self }), verdict))
    }
}

fn check_new(present: Option<&Pin>, new: &Pin) -> Result<(), Error> {
    let same = present.map_or(Choice::from(0), |present| is_same(present, new));
    if bool::from(is_simple(new) | same) { Err(Error::PinTooSimple) } else { Ok(()) }
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
    /// Whether the ceiling is what is paid, no more and no less.
    pub exact: bool,
    /// When it is over.
    pub deadline: Millis,
}
