//! The lab's service platform, in the process: a phone's own, since the ledgers of two phones have nothing to do with
//! each other.

use std::{cell::RefCell, collections::BTreeMap, io, rc::Rc};
use tapvault::PlatformLink;
use tapvault_network::{
    lab::sign_policy,
    platform::{Ledger, Platform},
};
use tapvault_proto::{
    Error,
    freshness::{FreshnessQuestion, FreshnessStatement},
    id::{CardId, ProviderId},
};

/// A statement of the lab's platform that says something else.
///
/// # Errors
/// [`Error::Internal`] never: there is room for the longest.
pub fn resigned(
    statement: &FreshnessStatement,
    change: impl FnOnce(&mut FreshnessStatement),
) -> Result<FreshnessStatement, Error> {
    let mut statement = statement.clone();
    change(&mut statement);
    // The same key signs policies.
    statement.signature = sign_policy(&statement.said.signed_bytes()?);
    Ok(statement)
}

/// What a platform knows, and its signer.
struct Inside {
    platform: Platform,
    /// How far a card has come; 0 unless it is said.
    highest: BTreeMap<CardId, u16>,
    /// Whether there is no answer.
    silent: bool,
}

/// A handle on a platform.
#[derive(Clone)]
pub struct LabPlatform(Rc<RefCell<Inside>>);

impl Default for LabPlatform {
    fn default() -> Self {
        let (platform, highest) = (Platform::lab(Ledger::default()), BTreeMap::new());
        Self(Rc::new(RefCell::new(Inside { platform, highest, silent: false })))
    }
}

impl LabPlatform {
    /// A card's counter was seen.
    pub fn saw(&self, card: CardId, atc: u16) {
        let mut inside = self.0.borrow_mut();
        let highest = inside.highest.entry(card).or_default();
        *highest = (*highest).max(atc);
    }

    /// Whether it answers.
    pub fn answers(&self, answers: bool) {
        self.0.borrow_mut().silent = !answers;
    }

    /// Tries of a provider's PIN that are booked, on whatever phone.
    #[must_use]
    pub fn booked(&self, provider: ProviderId) -> u32 {
        let inside = self.0.borrow();
        let bookings = inside.platform.ledger.bookings().iter();
        bookings.filter(|booking| booking.provider == provider.0).map(|booking| booking.booked()).sum()
    }

    /// The provider made sure who has the phone.
    pub fn forgive(&self, provider: ProviderId) {
        self.0.borrow_mut().platform.ledger.forgive(None, provider);
    }
}

impl PlatformLink for LabPlatform {
    fn ask(&mut self, question: &FreshnessQuestion) -> io::Result<FreshnessStatement> {
        let inside = &mut *self.0.borrow_mut();
        if inside.silent {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let Inside { platform, highest, .. } = inside;
        let answer = platform
            .answer(question, |issued| Some(highest.get(&issued.card).copied().unwrap_or_default()))
            .map_err(io::Error::other)?;
        Ok(answer.statement)
    }
}
