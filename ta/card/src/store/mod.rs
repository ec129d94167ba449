//! The cards in storage and in memory: one object per place, all of a card in it.

mod card;
mod contact;
mod limited;
mod old;
mod parts;
mod purse;
mod state;
mod v3;

pub use card::{Card, TransactionKey};
pub use contact::ContactState;
pub use purse::Purse;
pub use state::Life;

use card::name;
use heapless::Vec;
use state::{DAMAGED, Stored};
use tapvault_proto::{
    Error,
    card::MAX_CARDS,
    freshness::IssuedCard,
    id::{CardId, ProviderId},
    limited::{KeyBatch, KeysLeft},
    profile::CardProfile,
    wire::{Bytes, Wire},
};
use tapvault_tee::{StorageError, Tee, Wiped};
use zeroize::Zeroizing;

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

    /// Every card and the keys that it has.
    pub fn issued(&self) -> Vec<IssuedCard, MAX_CARDS> {
        let issued = |card: &Card| IssuedCard {
            card: card.id,
            provider: card.provider,
            key_version: card.profile.key_version,
        };
        self.cards().map(issued).collect()
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
        let mut card = Wiped::new(Card::new(card, provider, profile));
        if let Place::Held(old) = place
            && old.id == card.id
        {
            card.life.suspended = old.life.suspended;
            card.log = old.log.clone();
        }
        card.create(tee, index, 0)?;
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
    Ok(stored.map_or(Place::Damaged, |stored| Place::Held(Wiped::new(Card::stored(stored)))))
}

fn damaged<T: Tee>(tee: &mut T, index: usize) -> Result<Place, Error> {
    tee.create(&name(index), &[DAMAGED])?;
    Ok(Place::Damaged)
}
