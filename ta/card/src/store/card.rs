//! A card in memory: what its payments use up, and how it is stored.

use super::{
    contact::ContactState,
    limited::{self, Held},
    parts::Log,
    purse::Purse,
    state::{self, Life, Payments, Stored, USE_AT, Use},
};
use crate::suite::{self, SessionKey};
use tapvault_proto::{
    Error,
    card::{ATC_RANGE, LogEntry, MAX_CARDS},
    id::{CardId, ProviderId},
    limited::KeysLeft,
    profile::{CardProfile, Key128},
    token::Channel,
    wire::Wire,
};
use tapvault_tee::Tee;
use zeroize::Zeroizing;

/// A card ready to use.
pub struct Card {
    /// Its name.
    pub id: CardId,
    /// Who issued it.
    pub provider: ProviderId,
    /// Keys and data.
    pub profile: CardProfile,
    pub(super) reserved: u16,
    pub(super) used: u16,
    /// Where its token is in its life; [`Store::live`](super::Store::live) changes it.
    pub life: Life,
    /// What a test profile remembers; [`Store::remember`](super::Store::remember) changes it.
    pub contact: Option<ContactState>,
    /// What it may pay offline, if it may; [`Store::keep`](super::Store::keep) changes it, and a tap spends of it.
    pub purse: Option<Purse>,
    /// The last payments, oldest first.
    pub log: Payments,
    /// Its limited-use keys, if it has such.
    pub(super) held: Held,
    /// Whether storage has not all payments, or a key that is used.
    pub(super) unsaved: bool,
    /// Whether its object is of the newest format.
    newest: bool,
    /// Whether somebody vouches for its counter: in this run it was installed, or named by the service platform.
    fresh: bool,
}

/// What one transaction uses up.
pub struct TransactionKey {
    /// The counter.
    pub atc: u16,
    /// Its session key for the channel that was asked for; there is none left for another.
    pub key: SessionKey,
}

/// Every card, and one that takes another's place, with all the limited-use keys they can have, in three quarters of
/// the heap that `build.rs` asks for.
const _: () = assert!((MAX_CARDS + 1) * (size_of::<Card>() + Held::MAX_HEAP) <= 96 * 1024);

impl Card {
    /// A card of a secure element, active, without a counter: what is stored of it is the element's business.
    pub fn in_element(id: CardId, profile: CardProfile) -> Self {
        Self { life: Life::new(true), ..Self::new(id, ProviderId([0; 16]), profile) }
    }

    /// A card that is installed, and has paid nothing yet.
    pub fn new(id: CardId, provider: ProviderId, profile: CardProfile) -> Self {
        let (life, log, held) = (Life::new(profile.token.active), Payments::new(), Held::default());
        let contact = profile.contact.as_ref().map(ContactState::new);
        let purse = profile.offline.map(|offline| Purse::new(offline.balance));
        let (reserved, used, unsaved, newest, fresh) = (0, 0, false, true, true);
        Self {
            id,
            provider,
            profile,
            reserved,
            used,
            life,
            contact,
            purse,
            log,
            held,
            unsaved,
            newest,
            fresh,
        }
    }

    /// A card as it was stored: whatever may have left did.
    pub fn stored(stored: Stored) -> Self {
        let newest = stored.is_newest();
        let Stored {
            reserved, life, card: id, provider, profile, purse, contact, log: Log(log), held, ..
        } = stored;
        let (purse, contact) = (purse.0.map(Purse::restarted), contact.0);
        let (used, held, unsaved, fresh) = (reserved, Held::stored(held, reserved), false, false);
        Self {
            id,
            provider,
            profile,
            reserved,
            used,
            life,
            contact,
            purse,
            log,
            held,
            unsaved,
            newest,
            fresh,
        }
    }

    /// Whether somebody vouches for its counter in this run.
    pub const fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Takes the service platform's word for the highest counter that was seen anywhere: no payment of this run has it
    /// or one below. Returns whether storage is behind.
    pub fn refresh(&mut self, highest: u16) -> bool {
        let behind = highest > self.used;
        if behind {
            self.used = highest;
            // Storage forgets them with the next range, before which nothing is paid.
            self.held.close(highest);
        }
        self.fresh = true;
        behind
    }

    /// Gives a card of a secure element this counter, and no other, with its key where the card has limited-use keys.
    pub fn allot(&mut self, counter: u16, key: Option<Key128>) {
        (self.used, self.reserved) = (counter.saturating_sub(1), counter);
        self.held = key.map(|key| Held::one(counter, key)).unwrap_or_default();
    }

    /// Takes back what was allotted, used or not.
    pub fn recall(&mut self) {
        self.used = self.reserved;
        self.held = Held::default();
    }

    /// Counters that are reserved and not used, and have a key.
    pub fn taps_ready(&self) -> u16 {
        match self.profile.limited_use() {
            None => self.reserved.saturating_sub(self.used),
            Some(_) => self.held.ready(self.reserved),
        }
    }

    /// The last counter that a payment may have used.
    pub const fn used(&self) -> u16 {
        self.used
    }

    /// The highest counter that may be used before storage is changed.
    pub const fn reserved(&self) -> u16 {
        self.reserved
    }

    /// Takes the next counter and its session key for a channel; both are gone whatever happens next. `time` is the
    /// provider's.
    ///
    /// # Errors
    /// [`Error::Busy`] when none is reserved: `tap_prepare` comes first. [`Error::TokenDomain`], [`Error::NoTime`].
    pub fn next(&mut self, channel: Channel, time: Option<u64>) -> Result<TransactionKey, Error> {
        let Some(rules) = self.profile.limited_use() else {
            self.profile.udk(channel).ok_or(Error::TokenDomain)?;
            let atc = self.next_atc()?;
            let udk = self.profile.udk(channel).ok_or(Error::Internal)?;
            return Ok(TransactionKey { atc, key: suite::session_key(self.profile.suite, udk, atc) });
        };
        let place = limited::place(rules, channel)?;
        self.held.expire(time.ok_or(Error::NoTime)?);
        let (atc, key) = self.held.take(place, self.reserved)?;
        // Storage is to forget the key, wherever it went.
        (self.used, self.unsaved) = (atc, true);
        Ok(TransactionKey { atc, key })
    }

    /// Takes the next counter of a card that derives its keys; it is gone whatever happens next.
    ///
    /// # Errors
    /// [`Error::Busy`] when none is reserved.
    pub fn next_atc(&mut self) -> Result<u16, Error> {
        if self.taps_ready() == 0 {
            return Err(Error::Busy);
        }
        self.used = self.used.checked_add(1).ok_or(Error::AtcExhausted)?;
        Ok(self.used)
    }

    /// How many limited-use keys it has.
    ///
    /// # Errors
    /// [`Error::NotLimitedUse`].
    pub fn keys_left(&mut self, time: Option<u64>) -> Result<KeysLeft, Error> {
        let threshold = self.profile.limited_use().ok_or(Error::NotLimitedUse)?.threshold;
        if let Some(time) = time {
            self.held.expire(time);
        }
        let left = u16::try_from(self.held.len()).map_err(|_| Error::Internal)?;
        Ok(KeysLeft { left, threshold })
    }

    /// The highest counter of the next range.
    pub(super) fn next_range(&self) -> Result<u16, Error> {
        if self.profile.limited_use().is_some() {
            return self.held.next_range().ok_or(Error::KeysUsedUp);
        }
        let reserved = self.used.saturating_add(ATC_RANGE);
        if reserved == self.used { Err(Error::AtcExhausted) } else { Ok(reserved) }
    }

    /// Stores the whole card, in the newest format.
    pub(super) fn create<T: Tee>(&mut self, tee: &mut T, index: usize, reserved: u16) -> Result<(), Error> {
        let mut bytes = Zeroizing::new([0; Stored::MAX]);
        let whole = (self.id, self.provider, &self.profile);
        let len = state::encode(bytes.as_mut_slice(), self.in_use(reserved), whole, &self.held)?;
        tee.create(&name(index), bytes.get(..len).ok_or(Error::Internal)?)?;
        self.newest = true;
        Ok(())
    }

    /// What storage has to hold beside keys and data.
    fn in_use(&self, reserved: u16) -> Use<'_> {
        let purse = self.purse.as_ref().map(Purse::stored);
        Use { reserved, life: self.life, purse, contact: self.contact.as_ref(), log: &self.log }
    }

    /// Stores counter, life, purse and log, and with them the limited-use keys that are left; a card of an older format
    /// becomes one of the newest.
    pub(super) fn save<T: Tee>(
        &mut self,
        tee: &mut T,
        index: usize,
        reserved: u16,
        life: Life,
    ) -> Result<(), Error> {
        if !self.newest || self.profile.limited_use().is_some() {
            return self.save_whole(tee, index, reserved, life);
        }
        let mut object = tee.open(&name(index))?;
        let used = Use { life, ..self.in_use(reserved) }.to_bytes()?;
        tee.write(&mut object, USE_AT, used.as_slice())?;
        (self.reserved, self.life, self.unsaved) = (reserved, life, false);
        Ok(())
    }

    /// As [`Self::save`], with all the rest of the card.
    pub(super) fn save_whole<T: Tee>(
        &mut self,
        tee: &mut T,
        index: usize,
        reserved: u16,
        life: Life,
    ) -> Result<(), Error> {
        // An object that is gone does not come back.
        drop(tee.open(&name(index))?);
        let before = core::mem::replace(&mut self.life, life);
        let saved = self.create(tee, index, reserved);
        match saved {
            Ok(()) => (self.reserved, self.unsaved) = (reserved, false),
            Err(_) => self.life = before,
        }
        saved
    }

    /// Notes a payment; the oldest gives way. The next `tap_prepare` stores it.
    pub fn note(&mut self, entry: LogEntry) {
        if self.log.is_full() {
            self.log.remove(0);
        }
        // There is room now.
        let _ = self.log.push(entry);
        self.unsaved = true;
    }
}

/// The object of a place.
pub fn name(index: usize) -> [u8; 7] {
    let digit = |value: usize| u8::try_from(value % 10).unwrap_or(0) + b'0';
    [b'c', b'a', b'r', b'd', b'.', digit(index / 10), digit(index)]
}
