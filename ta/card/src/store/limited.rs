//! The limited-use keys of a card: taken in batches, used one by one in the order of their counters.
//!
//! Each lies in a heap cell of its own and never moves: what is used or over is wiped where it lies, and leaves no
//! copy behind. Storage forgets it with the next write of the card, which is one object: counter and keys change
//! together or not at all.

use crate::suite::SessionKey;
use alloc::{vec, vec::Vec};
use tapvault_proto::{
    Error,
    limited::{KeyBatch, LIMITED_RANGE, LimitedUse, LimitedUseKey, MAX_HELD},
    profile::Key128,
    token::Channel,
    wire::{Wire, Writer},
};
use tapvault_tee::Wiped;
use zeroize::Zeroizing;

/// Keys by their counters, lowest first.
#[derive(Default)]
pub struct Held(Vec<Wiped<LimitedUseKey>>);

impl Held {
    /// Most heap that they take: cells, 16 bytes around each, and the list.
    pub const MAX_HEAP: usize =
        MAX_HELD * (size_of::<LimitedUseKey>() + 16) + MAX_HELD.next_power_of_two() * size_of::<usize>();

    /// The one of a payment that a secure element may make now. Its time was looked at where there is a clock.
    pub fn one(atc: u16, key: Key128) -> Self {
        let keys = heapless::Vec::from_iter([key]);
        Self(vec![Wiped::new(LimitedUseKey { atc, valid_until: u64::MAX, keys })])
    }

    /// Those of a stored card that have counters above `used`.
    pub fn stored(keys: heapless::Vec<LimitedUseKey, MAX_HELD>, used: u16) -> Self {
        Self(keys.into_iter().filter(|key| key.atc > used).map(Wiped::new).collect())
    }

    /// Writes them as `Stored` reads them.
    ///
    /// # Errors
    /// [`Error::ShortBuffer`].
    pub fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        u16::try_from(self.0.len()).map_err(|_| Error::Internal)?.encode(out)?;
        self.0.iter().try_for_each(|key| key.encode(out))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// How many have counters up to `reserved`.
    pub fn ready(&self, reserved: u16) -> u16 {
        u16::try_from(self.0.iter().filter(|key| key.atc <= reserved).count()).unwrap_or(u16::MAX)
    }

    /// The counter up to which the next range goes; `None` without a key.
    pub fn next_range(&self) -> Option<u16> {
        self.0.iter().take(usize::from(LIMITED_RANGE)).next_back().map(|key| key.atc)
    }

    /// Wipes those whose time is over.
    pub fn expire(&mut self, time: u64) {
        self.0.retain(|key| time <= key.valid_until);
    }

    /// Wipes those of counters up to this one.
    pub fn close(&mut self, counter: u16) {
        self.0.retain(|key| key.atc > counter);
    }

    /// Takes the lowest counter, up to `reserved`, and its key for the channel at this place of the rules' list.
    ///
    /// # Errors
    /// [`Error::Busy`] when none is reserved; [`Error::Internal`] never: a batch has a key for each channel.
    pub fn take(&mut self, place: usize, reserved: u16) -> Result<(u16, SessionKey), Error> {
        let (atc, key) = match self.0.first() {
            Some(first) if first.atc <= reserved => {
                let key = first.keys.get(place).ok_or(Error::Internal)?;
                (first.atc, Zeroizing::new(*key.expose()))
            }
            _ => return Err(Error::Busy),
        };
        drop(self.0.remove(0));
        Ok((atc, key))
    }

    /// Adds a batch behind those that are here; `used` is the last counter that a payment may have had.
    ///
    /// # Errors
    /// [`Error::BatchInvalid`], [`Error::BatchNotNewer`], [`Error::KeysFull`].
    pub fn add(&mut self, batch: KeyBatch, rules: &LimitedUse, used: u16) -> Result<(), Error> {
        let KeyBatch { valid_until, first, keys, .. } = batch;
        let last = keys.len().checked_sub(1).and_then(|more| first.checked_add(u16::try_from(more).ok()?));
        if first == 0 || last.is_none() || keys.iter().any(|keys| keys.len() != rules.channels.len()) {
            return Err(Error::BatchInvalid);
        }
        if first <= used || self.0.last().is_some_and(|held| first <= held.atc) {
            return Err(Error::BatchNotNewer);
        }
        if self.0.len() + keys.len() > MAX_HELD {
            return Err(Error::KeysFull);
        }
        for (atc, keys) in (first..).zip(keys) {
            self.0.push(Wiped::new(LimitedUseKey { atc, valid_until, keys }));
        }
        Ok(())
    }

    /// Takes back an addition.
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}

/// The place of a channel's key.
///
/// # Errors
/// [`Error::TokenDomain`] for a channel that the card may not use.
pub fn place(rules: &LimitedUse, channel: Channel) -> Result<usize, Error> {
    rules.channels.iter().position(|known| *known == channel).ok_or(Error::TokenDomain)
}
