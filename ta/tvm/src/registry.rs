//! The provider's trustlets in storage: one object per place, and one for each trustlet's own data.

use heapless::Vec;
use tapvault_proto::{
    Error,
    id::TrustletName,
    trustlet::store::{MAX_KEY, MAX_VALUE},
    tvm::{MAX_TRUSTLETS, TrustletEntry, TrustletState},
    wire::{Bytes, Reader, Wire, encode_into},
};
use tapvault_tee::{StorageError, Tee};
use teei_hypervisor::lifecycle::Record;

/// Most bytes in one trustlet's store, whatever the policy says.
pub const MAX_STORE: usize = 2048;
/// In place of a trustlet: what was here is damaged. OP-TEE deletes an altered object when it is opened; the
/// mark remembers what was found. No name begins so.
const DAMAGED: [u8; 2] = [0xFF, 0xFF];

tapvault_proto::message! {
    /// A trustlet as stored.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Stored {
        /// Its name.
        name: TrustletName,
        /// Whether it has stored data: what is missing from then on was taken away.
        has_data: bool,
        /// Bytes it may store, out of its manifest.
        store: u16,
        /// All else.
        record: Record,
    }
}
tapvault_proto::message! {
    /// A value in a trustlet's store.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Item {
        /// Its key.
        key: Bytes<MAX_KEY>,
        /// The value.
        value: Bytes<MAX_VALUE>,
    }
}
tapvault_proto::message! {
    /// A trustlet's store.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Data {
        /// Of the installation it belongs to: what another one left behind is nobody's.
        generation: [u8; 16],
        /// [`Item`]s, one after the other.
        items: Bytes<MAX_STORE>,
    }
}

/// A trustlet's store, with the object it was read from, if there is one.
pub struct OpenStore<T: Tee> {
    object: Option<T::Object>,
    /// What is in it.
    pub data: Data,
}

/// One place.
#[allow(clippy::large_enum_variant, reason = "places lie in static memory, the heap stays small")]
enum Place {
    Empty,
    Damaged,
    Held(Stored),
}

/// What a provider's TVM knows of its trustlets.
pub struct Registry {
    places: Vec<Place, MAX_TRUSTLETS>,
}

impl Registry {
    /// Reads every place, and finishes removals that lost power half way.
    ///
    /// # Errors
    /// [`Error::StorageFailed`] when storage cannot say.
    pub fn load<T: Tee>(tee: &mut T) -> Result<Self, Error> {
        let mut places = Vec::new();
        for index in 0..MAX_TRUSTLETS {
            let place = read_place(tee, index)?;
            if matches!(&place, Place::Held(stored) if stored.record.state == TrustletState::Removed) {
                delete_data(tee, index)?;
            }
            places.push(place).map_err(|_| Error::Internal)?;
        }
        Ok(Self { places })
    }

    fn held(&self) -> impl Iterator<Item = (usize, &Stored)> {
        self.places.iter().enumerate().filter_map(|(index, place)| match place {
            Place::Held(stored) => Some((index, stored)),
            Place::Empty | Place::Damaged => None,
        })
    }

    fn living(&self) -> impl Iterator<Item = &Stored> {
        let living = |stored: &&Stored| stored.record.state != TrustletState::Removed;
        self.held().map(|(_, stored)| stored).filter(living)
    }

    /// The trustlet of that name, removed or not, with its place.
    pub fn find(&self, name: &TrustletName) -> Option<(usize, &Record)> {
        self.held().find(|(_, stored)| stored.name == *name).map(|(index, stored)| (index, &stored.record))
    }

    /// The trustlet of that name, unless it was removed.
    ///
    /// # Errors
    /// [`Error::UnknownTrustlet`]; [`Error::StateCorrupt`] when it may be one of those damaged.
    pub fn living_named(&self, name: &TrustletName) -> Result<(usize, &Record), Error> {
        match self.find(name) {
            Some((_, record)) if record.state == TrustletState::Removed => Err(Error::UnknownTrustlet),
            Some(found) => Ok(found),
            None if self.is_damaged() => Err(Error::StateCorrupt),
            None => Err(Error::UnknownTrustlet),
        }
    }

    /// How many trustlets there are that were not removed.
    pub fn count(&self) -> usize {
        self.living().count()
    }

    /// Whether a place is damaged.
    pub fn is_damaged(&self) -> bool {
        self.places.iter().any(|place| matches!(place, Place::Damaged))
    }

    /// Every trustlet.
    pub fn entries(&self) -> Vec<TrustletEntry, MAX_TRUSTLETS> {
        let entry = |(_, stored): (usize, &Stored)| TrustletEntry {
            name: stored.name.clone(),
            state: stored.record.state,
            version: stored.record.version,
            sequence: stored.record.sequence,
        };
        self.held().map(entry).collect()
    }

    /// Bytes that all trustlets but this one may store.
    pub fn stores_beside(&self, name: &TrustletName) -> u32 {
        self.living().filter(|stored| stored.name != *name).map(|stored| u32::from(stored.store)).sum()
    }

    /// The place for a trustlet of that name: its own, a free one, or with `recover` a damaged one.
    ///
    /// # Errors
    /// [`Error::StateCorrupt`] while a place is damaged: what was there may be a newer version of this.
    /// [`Error::TooManyTrustlets`].
    pub fn place_for(&self, name: &TrustletName, recover: bool) -> Result<usize, Error> {
        if let Some((index, _)) = self.find(name) {
            return Ok(index);
        }
        let at = |wanted: fn(&Place) -> bool| self.places.iter().position(wanted);
        match at(|place| matches!(place, Place::Damaged)) {
            Some(damaged) if recover => Ok(damaged),
            Some(_) => Err(Error::StateCorrupt),
            None => at(|place| matches!(place, Place::Empty)).ok_or(Error::TooManyTrustlets),
        }
    }

    /// Stores a record in a place; with a removal, the trustlet's data goes after it.
    ///
    /// # Errors
    /// Storage's.
    pub fn put<T: Tee>(
        &mut self,
        tee: &mut T,
        index: usize,
        trustlet: TrustletName,
        store: u16,
        record: Record,
    ) -> Result<(), Error> {
        let removed = record.state == TrustletState::Removed;
        let had_data = matches!(self.places.get(index), Some(Place::Held(stored)) if stored.has_data);
        let has_data = had_data && !removed;
        self.write(tee, index, Stored { name: trustlet, has_data, store, record })?;
        if removed { delete_data(tee, index) } else { Ok(()) }
    }

    /// The data of the trustlet in a place; empty when it never stored any.
    ///
    /// # Errors
    /// [`Error::StateCorrupt`] when it was damaged or taken away, until the trustlet is removed; storage's.
    pub fn data<T: Tee>(&self, tee: &mut T, index: usize) -> Result<OpenStore<T>, Error> {
        let Some(Place::Held(stored)) = self.places.get(index) else { return Err(Error::UnknownTrustlet) };
        let generation = stored.record.generation;
        let (object, found) = match tee.open(&name(b"data.", index)) {
            Ok(mut object) => {
                let mut bytes = [0; Data::MAX];
                let len = tee.read(&mut object, &mut bytes)?;
                let mut reader = Reader::new(bytes.get(..len).unwrap_or_default());
                let data = Data::decode(&mut reader).map_err(|_| Error::StateCorrupt)?;
                (Some(object), Some(data).filter(|data| data.generation == generation))
            }
            Err(StorageError::NotFound) => (None, None),
            Err(error) => return Err(error.into()),
        };
        let data = match found {
            Some(data) => data,
            None if stored.has_data => return Err(Error::StateCorrupt),
            None => Data { generation, items: Bytes::new() },
        };
        Ok(OpenStore { object, data })
    }

    /// Stores what [`Self::data`] gave, with other items, all of it at once.
    ///
    /// # Errors
    /// Storage's; the old data is then intact.
    pub fn put_data<T: Tee>(&mut self, tee: &mut T, index: usize, store: OpenStore<T>) -> Result<(), Error> {
        // Whole, zeros included: nothing of an earlier, longer value stays behind the end.
        let mut bytes = [0; Data::MAX];
        encode_into(&store.data, &mut bytes)?;
        match store.object {
            Some(mut object) => tee.write(&mut object, 0, &bytes)?,
            None => drop(tee.create(&name(b"data.", index), &bytes)?),
        }
        let Some(Place::Held(stored)) = self.places.get(index) else { return Err(Error::UnknownTrustlet) };
        if stored.has_data {
            return Ok(());
        }
        // After the data: a power cut in between leaves data that is there and not yet missed.
        let stored = Stored { has_data: true, ..stored.clone() };
        self.write(tee, index, stored)
    }

    fn write<T: Tee>(&mut self, tee: &mut T, index: usize, stored: Stored) -> Result<(), Error> {
        let mut bytes = [0; Stored::MAX];
        encode_into(&stored, &mut bytes)?;
        overwrite(tee, &name(b"trustlet.", index), &bytes)?;
        *self.places.get_mut(index).ok_or(Error::Internal)? = Place::Held(stored);
        Ok(())
    }
}

/// Replaces an object's contents by as many bytes as it always has. In place where there is one: a fraction
/// of the cost of a new object, and as atomic.
fn overwrite<T: Tee>(tee: &mut T, object: &[u8], bytes: &[u8]) -> Result<(), Error> {
    match tee.open(object) {
        Ok(mut object) => Ok(tee.write(&mut object, 0, bytes)?),
        Err(StorageError::NotFound | StorageError::Corrupt) => {
            tee.create(object, bytes)?;
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn read_place<T: Tee>(tee: &mut T, index: usize) -> Result<Place, Error> {
    let object = name(b"trustlet.", index);
    let mut bytes = [0; Stored::MAX];
    let read = match tee.open(&object) {
        Ok(mut opened) => tee.read(&mut opened, &mut bytes),
        Err(error) => Err(error),
    };
    let len = match read {
        Ok(len) => len,
        Err(StorageError::NotFound) => return Ok(Place::Empty),
        Err(StorageError::Corrupt) => {
            // As long as a trustlet: it is overwritten in place.
            bytes.fill(0);
            bytes.iter_mut().zip(DAMAGED).for_each(|(slot, byte)| *slot = byte);
            tee.create(&object, &bytes)?;
            return Ok(Place::Damaged);
        }
        Err(error) => return Err(error.into()),
    };
    let stored = Stored::decode(&mut Reader::new(bytes.get(..len).unwrap_or_default()));
    let sound = stored.ok().filter(|stored| stored.record.format == Record::FORMAT);
    Ok(sound.map_or(Place::Damaged, Place::Held))
}

fn delete_data<T: Tee>(tee: &mut T, index: usize) -> Result<(), Error> {
    match tee.open(&name(b"data.", index)) {
        Ok(object) => Ok(tee.delete(object)?),
        // A damaged object is deleted by being found damaged.
        Err(StorageError::NotFound | StorageError::Corrupt) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn name(kind: &[u8], index: usize) -> Bytes<12> {
    let mut name = Bytes::from_iter(kind.iter().copied());
    let digit = u8::try_from(index % 10).unwrap_or(0) + b'0';
    let _ = name.push(digit);
    name
}
