//! The cards in storage and in memory: one object per place, all of a card in it.

mod contact;
mod limited;
mod old;
mod purse;
mod state;
mod v3;

use crate::suite::{self, SessionKey};
use limited::Held;

pub use contact::ContactState;
pub use purse::Purse;
pub use state::Life;
use state::{DAMAGED, Log, Payments, Stored, USE_AT, Use};
use tapvault_proto::{
    Error,
    card::{ATC_RANGE, LogEntry, MAX_CARDS},
    id::{CardId, ProviderId},
    limited::{KeyBatch, KeysLeft},
    profile::{CardProfile, Key128},
    token::Channel,
    wire::{Bytes, Wire},
};
use tapvault_tee::{StorageError, Tee, Wiped};
use zeroize::Zeroizing;

/// A card ready to use.
pub struct Card {
    /// Its name.
    pub id: CardId,
    /// Who issued it.
    pub provider: ProviderId,
    /// Keys and data.
    pub profile: CardProfile,
    reserved: u16,
    used: u16,
    /// Where its token is in its life; [`Store::live`] changes it.
    pub life: Life,
    /// What a test profile remembers; [`Store::remember`] changes it.
    pub contact: Option<ContactState>,
    /// What it may pay offline, if it may; [`Store::keep`] changes it, and a tap spends of it.
    pub purse: Option<Purse>,
    /// The last payments, oldest first.
    pub log: Payments,
    /// Its limited-use keys, if it has such.
    held: Held,
    /// Whether storage has not all payments, or a key that is used.
    unsaved: bool,
    /// Whether its object is of the newest format.
    newest: bool,
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
        let (provider, life, log) = (ProviderId([0; 16]), Life::new(true), Payments::new());
        let (reserved, used, contact, purse, unsaved, newest) = (0, 0, None, None, false, true);
        let held = Held::default();
        Self { id, provider, profile, reserved, used, life, contact, purse, log, held, unsaved, newest }
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
    fn next_range(&self) -> Result<u16, Error> {
        if self.profile.limited_use().is_some() {
            return self.held.next_range().ok_or(Error::KeysUsedUp);
        }
        let reserved = self.used.saturating_add(ATC_RANGE);
        if reserved == self.used { Err(Error::AtcExhausted) } else { Ok(reserved) }
    }

    /// Stores the whole card, in the newest format.
    fn create<T: Tee>(&mut self, tee: &mut T, index: usize, reserved: u16) -> Result<(), Error> {
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
    fn save<T: Tee>(&mut self, tee: &mut T, index: usize, reserved: u16, life: Life) -> Result<(), Error> {
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
    fn save_whole<T: Tee>(
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

/// One place of the store.
#[derive(Default)]
pub enum Place {
    /// Free.
    #[default]
    Empty,
    /// Held by a damaged record.
    Damaged,
    /// Held by a card. On the heap, which has room for all (`build.rs`): sixteen on the stack, while they are
    /// read, would be more than it holds.
    Held(Wiped<Card>),
}

/// All places.
#[derive(Default)]
pub struct Store {
    places: [Place; MAX_CARDS],
}

impl Store {
    /// The store, read when it was not yet.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn loaded<'a, T: Tee>(store: &'a mut Option<Self>, tee: &mut T) -> Result<&'a mut Self, Error> {
        if store.is_none() {
            *store = Some(Self::load(tee)?);
        }
        store.as_mut().ok_or(Error::Internal)
    }

    /// Reads every place.
    ///
    /// # Errors
    /// [`Error::StorageFailed`] when storage cannot say; nothing may be concluded then.
    fn load<T: Tee>(tee: &mut T) -> Result<Self, Error> {
        let mut store = Self::default();
        for (index, place) in store.places.iter_mut().enumerate() {
            *place = read(tee, index)?;
        }
        Ok(store)
    }

    /// The places in order.
    pub fn places(&self) -> impl Iterator<Item = (u8, &Place)> {
        (0..).zip(&self.places)
    }

    /// The card of that id.
    ///
    /// # Errors
    /// [`Error::UnknownCard`].
    pub fn card(&self, id: CardId) -> Result<&Card, Error> {
        self.cards().find(|card| card.id == id).ok_or(Error::UnknownCard)
    }

    /// As [`Store::card`], to change it.
    ///
    /// # Errors
    /// [`Error::UnknownCard`].
    pub fn card_mut(&mut self, id: CardId) -> Result<&mut Card, Error> {
        self.held_mut(id).map(|(_, card)| card)
    }

    fn cards(&self) -> impl Iterator<Item = &Card> {
        self.places.iter().filter_map(|place| match place {
            Place::Held(card) => Some(&**card),
            _ => None,
        })
    }

    /// The name of a card's application in this phone: its AID, or where a card in an earlier place has the same,
    /// that and the number of its place, so that a terminal can ask for one after the other.
    ///
    /// # Errors
    /// [`Error::UnknownCard`].
    pub fn name_in_field(&self, id: CardId) -> Result<Bytes<16>, Error> {
        // A test profile is never in a phone's field, and takes no name there.
        let held = |(slot, place): (u8, &Place)| match place {
            Place::Held(card) if card.profile.contact.is_some() => None,
            Place::Held(card) => Some((slot, card.id, card.profile.product)),
            Place::Empty | Place::Damaged => None,
        };
        let held = || self.places().filter_map(held);
        let (slot, _, product) = held().find(|(_, card, _)| *card == id).ok_or(Error::UnknownCard)?;
        let mut name = Bytes::from_iter(product.aid());
        if held().any(|(other, _, same)| other < slot && same == product) {
            name.push(slot + 1).map_err(|_| Error::Internal)?;
        }
        Ok(name)
    }

    /// How many cards can be used.
    pub fn count(&self) -> u8 {
        u8::try_from(self.cards().count()).unwrap_or(u8::MAX)
    }

    /// Stores a new card, or a re-issue in place of the same card with older keys; all of it or nothing.
    ///
    /// # Errors
    /// [`Error::WrongProvider`], [`Error::KeyVersionNotNewer`], [`Error::CardStoreFull`], storage's.
    pub fn put<T: Tee>(
        &mut self,
        tee: &mut T,
        card: CardId,
        provider: ProviderId,
        profile: CardProfile,
    ) -> Result<(), Error> {
        let index = self.place_for(card, provider, profile.key_version)?;
        let place = self.places.get_mut(index).ok_or(Error::Internal)?;
        let mut life = Life::new(profile.token.active);
        let log = match place {
            Place::Held(old) if old.id == card => {
                life.suspended = old.life.suspended;
                old.log.clone()
            }
            _ => Payments::new(),
        };
        let contact = profile.contact.as_ref().map(ContactState::new);
        let purse = profile.offline.map(|offline| Purse::new(offline.balance));
        let (reserved, used, held, unsaved, newest) = (0, 0, Held::default(), false, true);
        let mut card = Wiped::new(Card {
            id: card,
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
        });
        card.create(tee, index, reserved)?;
        *place = Place::Held(card);
        Ok(())
    }

    fn place_for(&self, card: CardId, provider: ProviderId, key_version: u8) -> Result<usize, Error> {
        for (index, place) in self.places.iter().enumerate() {
            let Place::Held(old) = place else { continue };
            if old.id != card {
                continue;
            }
            if old.provider != provider {
                return Err(Error::WrongProvider);
            }
            return if key_version > old.profile.key_version {
                Ok(index)
            } else {
                Err(Error::KeyVersionNotNewer)
            };
        }
        // A damaged place is given up only when no other is free.
        let empty = self.places.iter().position(|place| matches!(place, Place::Empty));
        let damaged = || self.places.iter().position(|place| matches!(place, Place::Damaged));
        empty.or_else(damaged).ok_or(Error::CardStoreFull)
    }

    /// Deletes a card; when this returns, storage and memory have forgotten it.
    ///
    /// # Errors
    /// [`Error::UnknownCard`]; storage's, and the card is then as it was.
    pub fn remove<T: Tee>(&mut self, tee: &mut T, id: CardId) -> Result<(), Error> {
        let matches = |place: &Place| matches!(place, Place::Held(card) if card.id == id);
        let index = self.places.iter().position(matches).ok_or(Error::UnknownCard)?;
        match tee.open(&name(index)) {
            Ok(object) => tee.delete(object)?,
            // Somebody was faster.
            Err(StorageError::NotFound | StorageError::Corrupt) => {}
            Err(error) => return Err(error.into()),
        }
        *self.places.get_mut(index).ok_or(Error::Internal)? = Place::Empty;
        Ok(())
    }

    /// Moves a card's token on in its life; when this returns, storage knows.
    ///
    /// # Errors
    /// [`Error::UnknownCard`]; storage's, and the card is then as it was.
    pub fn live<T: Tee>(&mut self, tee: &mut T, id: CardId, life: Life) -> Result<(), Error> {
        let (index, card) = self.held_mut(id)?;
        card.save(tee, index, card.reserved, life)
    }

    fn held_mut(&mut self, id: CardId) -> Result<(usize, &mut Card), Error> {
        let mut held = self.places.iter_mut().enumerate().filter_map(|(index, place)| match place {
            Place::Held(card) => Some((index, &mut **card)),
            Place::Empty | Place::Damaged => None,
        });
        held.find(|(_, card)| card.id == id).ok_or(Error::UnknownCard)
    }

    /// Adds a batch of limited-use keys to a card: all of it or nothing.
    ///
    /// # Errors
    /// [`Error::UnknownCard`], [`Error::WrongProvider`], [`Error::NotLimitedUse`], [`Error::BatchInvalid`],
    /// [`Error::BatchNotNewer`], [`Error::KeysFull`]; storage's, and the card is then as it was.
    pub fn replenish<T: Tee>(
        &mut self,
        tee: &mut T,
        id: CardId,
        provider: ProviderId,
        batch: KeyBatch,
        time: Option<u64>,
    ) -> Result<KeysLeft, Error> {
        let (index, card) = self.held_mut(id)?;
        if card.provider != provider {
            return Err(Error::WrongProvider);
        }
        card.keys_left(time)?;
        let rules = card.profile.limited_use().ok_or(Error::NotLimitedUse)?;
        if batch.key_version != card.profile.key_version {
            return Err(Error::BatchInvalid);
        }
        let before = card.held.len();
        card.held.add(batch, rules, card.used.max(card.reserved))?;
        if let Err(error) = card.save(tee, index, card.reserved, card.life) {
            card.held.truncate(before);
            return Err(error);
        }
        card.keys_left(time)
    }

    /// Changes what a card may pay offline, and gives up its counters up to `closed`: stored when this returns, and not
    /// at all when it fails.
    ///
    /// # Errors
    /// [`Error::UnknownCard`]; storage's.
    pub fn keep<T: Tee>(&mut self, tee: &mut T, id: CardId, purse: Purse, closed: u16) -> Result<(), Error> {
        let (index, card) = self.held_mut(id)?;
        let before = card.purse.replace(purse);
        let saved = card.save(tee, index, card.reserved, card.life);
        match saved {
            Ok(()) => card.used = card.used.max(closed),
            Err(_) => card.purse = before,
        }
        saved
    }

    /// Makes sure that at least one counter is reserved, and that every payment is stored: one change of storage, when
    /// there is anything to change.
    ///
    /// # Errors
    /// [`Error::UnknownCard`]; [`Error::AtcExhausted`] after 65,535 transactions, [`Error::KeysUsedUp`]; storage's.
    pub fn reserve<T: Tee>(&mut self, tee: &mut T, id: CardId, time: Option<u64>) -> Result<u16, Error> {
        self.reserve_with_room(tee, id, time, None)
    }

    /// As [`Store::reserve`], in the same change with room for an `offline` payment of so much.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    pub fn reserve_with_room<T: Tee>(
        &mut self,
        tee: &mut T,
        id: CardId,
        time: Option<u64>,
        offline: Option<u64>,
    ) -> Result<u16, Error> {
        let (index, card) = self.held_mut(id)?;
        if let Some(time) = time {
            card.held.expire(time);
        }
        let reserved = if card.taps_ready() == 0 { card.next_range()? } else { card.reserved };
        let before = card.purse;
        if let Some(payment) = offline {
            card.purse = before.map(|purse| purse.with_room(payment));
        }
        if reserved != card.reserved || card.unsaved || card.purse != before {
            let saved = card.save(tee, index, reserved, card.life);
            // Room that is not stored is none.
            if saved.is_err() {
                card.purse = before;
            }
            saved?;
        }
        Ok(card.taps_ready())
    }
}

fn held(stored: Stored) -> Wiped<Card> {
    let newest = stored.is_newest();
    let Stored { reserved, life, card: id, provider, profile, purse, contact, log: Log(log), held, .. } =
        stored;
    let (purse, contact) = (purse.0.map(Purse::restarted), contact.0);
    let (used, held, unsaved) = (reserved, Held::stored(held, reserved), false);
    Wiped::new(Card {
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
    })
}

fn read<T: Tee>(tee: &mut T, index: usize) -> Result<Place, Error> {
    let mut object = match tee.open(&name(index)) {
        Ok(object) => object,
        Err(StorageError::NotFound) => return Ok(Place::Empty),
        Err(StorageError::Corrupt) => return damaged(tee, index),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Zeroizing::new([0; Stored::MAX + 1]);
    let len = match tee.read(&mut object, bytes.as_mut_slice()) {
        Ok(len) => len,
        Err(StorageError::Corrupt) => {
            drop(object);
            return damaged(tee, index);
        }
        Err(error) => return Err(error.into()),
    };
    let stored = bytes.get(..len).and_then(Stored::read);
    Ok(stored.map_or(Place::Damaged, |stored| Place::Held(held(stored))))
}

fn damaged<T: Tee>(tee: &mut T, index: usize) -> Result<Place, Error> {
    tee.create(&name(index), &[DAMAGED])?;
    Ok(Place::Damaged)
}

fn name(index: usize) -> [u8; 7] {
    let digit = |value: usize| u8::try_from(value % 10).unwrap_or(0) + b'0';
    [b'c', b'a', b'r', b'd', b'.', digit(index / 10), digit(index)]
}
