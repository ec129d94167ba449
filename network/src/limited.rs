//! The token service's batches of limited-use keys: the session keys of counters that it gives out once.

use crate::{
    issuer::Issuer,
    state::{CardStatus, StateError},
    suite,
};
use std::fmt;
use tapvault_proto::{
    id::CardId,
    limited::{KeyBatch, MAX_BATCH},
};

/// Why there is no batch.
#[derive(Debug)]
pub enum BatchError {
    /// No such card was issued.
    UnknownCard,
    /// The card derives its session keys itself.
    NotLimitedUse,
    /// The token is suspended or deleted.
    Blocked,
    /// None, or more than [`MAX_BATCH`].
    Count,
    /// The counters of this version of the card's keys do not suffice.
    CountersUsedUp,
    /// What was given out could not be stored, so nothing was.
    State(StateError),
    /// A length or number that cannot occur.
    Internal,
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCard => f.write_str("no such card; see tapvault-bank cards"),
            Self::NotLimitedUse => {
                f.write_str("the card derives its session keys itself and needs no batches")
            }
            Self::Blocked => f.write_str("the token is suspended or deleted and gets no keys"),
            Self::Count => write!(f, "a batch has 1 to {MAX_BATCH} keys"),
            Self::CountersUsedUp => f.write_str("the card's counters are used up; issue it again"),
            Self::State(error) => write!(f, "nothing was given out: {error}"),
            Self::Internal => f.write_str("a length or number that cannot occur; report it"),
        }
    }
}

impl std::error::Error for BatchError {}

impl Issuer {
    /// The keys of a card's next `count` counters, good until `valid_until`, in seconds since 1970 UTC. That they were
    /// given out is stored before this returns: a batch that is lost on its way skips its counters, and none is ever
    /// given out twice.
    ///
    /// # Errors
    /// [`BatchError`]; nothing is given out then.
    pub fn key_batch(&mut self, card: CardId, count: u16, valid_until: u64) -> Result<KeyBatch, BatchError> {
        if count == 0 || usize::from(count) > MAX_BATCH {
            return Err(BatchError::Count);
        }
        let mut cards = self.cards.clone();
        let record = cards.iter_mut().find(|record| record.card == card.0).ok_or(BatchError::UnknownCard)?;
        let limited = record.limited_use.as_mut().ok_or(BatchError::NotLimitedUse)?;
        if matches!(record.status, CardStatus::Suspended | CardStatus::Deleted) {
            return Err(BatchError::Blocked);
        }
        let first = limited.given.checked_add(1).ok_or(BatchError::CountersUsedUp)?;
        limited.given = limited.given.checked_add(count).ok_or(BatchError::CountersUsedUp)?;
        let (key_version, kind, last) = (record.key_version, record.kind, limited.given);
        let udks = limited.channels.iter().map(|channel| {
            let master = record.provider.issuer_master_key(key_version, *channel);
            suite::udk(kind.suite, kind.derivation, &master, &record.token, record.psn)
        });
        let udks = udks.collect::<Result<Vec<_>, _>>().map_err(|_| BatchError::Internal)?;
        let keys = (first..=last)
            .map(|atc| udks.iter().map(|udk| suite::session_key(kind.suite, udk, atc)).collect())
            .collect();
        self.store(cards).map_err(BatchError::State)?;
        Ok(KeyBatch { key_version, valid_until, first, keys })
    }
}
