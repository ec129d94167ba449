//! The provider's trustlets in storage: one object per place, and one for each trustlet's own data.

use heapless::Vec;
use tapvault_proto::{
    Error,
    id::TrustletName,
    trustlet::store::{MAX_KEY, MAX_VALUE},
    tvm::{MAX_TRUSTLETS, TrustletEntry, TrustletState},
    wire::{Bytes, Reader, Wire, decode_exact, encode_into},
};
use tapvault_tee::{StorageError, Tee};
use teei_hypervisor::lifecycle::Record;

/// Most bytes in one trustlet's store, whatever the policy says.
pub const MAX_STORE: usize = 2048;

tapvault_proto::message! {
    /// A trustlet as stored.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Stored {
        /// Its name.
        name: TrustletName,
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

/// What a provider's TVM knows of its trustlets.
pub struct Registry {
    places: Vec<Option<Stored>, MAX_TRUSTLETS>,
}

impl Registry {
    /// Reads every place, and finishes removals that lost power half way.
    ///
    /// # Errors
    /// [`Error::StorageFailed`] when storage cannot say.
    pub fn load<T: Tee>(tee: &mut T) -> Result<Self, Error> {
        let mut places = Vec::new();
        for index in 0..MAX_TRUSTLETS {
            let place = read::<Stored, T>(tee, &name(b"trustlet.", index))?;
            let place = place.filter(|stored| stored.record.format == Record::FORMAT);
            if place.as_ref().is_some_and(|stored| stored.record.state == TrustletState::Removed) {
                delete_data(tee, index)?;
            }
            places.push(place).map_err(|_| Error::Internal)?;
        }
        Ok(Self { places })
    }

    /// The trustlet of that name, removed or not, with its place.
    pub fn find(&self, name: &TrustletName) -> Option<(usize, &Record)> {
        let mut places = self.places.iter().enumerate();
        places.find_map(|(index, place)| {
            place.as_ref().filter(|stored| stored.name == *name).map(|stored| (index, &stored.record))
        })
    }

    /// The trustlet of that name, unless it was removed.
    ///
    /// # Errors
    /// [`Error::UnknownTrustlet`].
    pub fn living(&self, name: &TrustletName) -> Result<(usize, &Record), Error> {
        let found = self.find(name);
        found.filter(|(_, record)| record.state != TrustletState::Removed).ok_or(Error::UnknownTrustlet)
    }

    /// Every trustlet.
    pub fn entries(&self) -> Vec<TrustletEntry, MAX_TRUSTLETS> {
        let entry = |stored: &Stored| TrustletEntry {
            name: stored.name.clone(),
            state: stored.record.state,
            version: stored.record.version,
            sequence: stored.record.sequence,
        };
        self.places.iter().flatten().map(entry).collect()
    }

    /// Manifests of the trustlets that are not removed, as they were signed.
    pub fn manifests(&self) -> impl Iterator<Item = (&TrustletName, &Record)> {
        let living = |stored: &&Stored| stored.record.state != TrustletState::Removed;
        self.places.iter().flatten().filter(living).map(|stored| (&stored.name, &stored.record))
    }

    /// Stores a record; with a removal, the trustlet's data goes after it.
    ///
    /// # Errors
    /// [`Error::TooManyTrustlets`] when a new one finds no place; storage's.
    pub fn put<T: Tee>(&mut self, tee: &mut T, trustlet: TrustletName, record: Record) -> Result<(), Error> {
        let known = self.find(&trustlet).map(|(index, _)| index);
        let free = || self.places.iter().position(Option::is_none);
        let index = known.or_else(free).ok_or(Error::TooManyTrustlets)?;
        let stored = Stored { name: trustlet, record };
        let mut bytes = [0; Stored::MAX];
        let len = encode_into(&stored, &mut bytes)?;
        tee.create(&name(b"trustlet.", index), bytes.get(..len).ok_or(Error::Internal)?)?;
        let removed = stored.record.state == TrustletState::Removed;
        *self.places.get_mut(index).ok_or(Error::Internal)? = Some(stored);
        if removed { delete_data(tee, index) } else { Ok(()) }
    }
}

/// The data of the trustlet in a place; empty when there is none of this generation.
///
/// # Errors
/// [`Error::StateCorrupt`] when it was damaged; storage's.
pub fn data<T: Tee>(tee: &mut T, index: usize, generation: [u8; 16]) -> Result<Data, Error> {
    let empty = Data { generation, items: Bytes::new() };
    let mut object = match tee.open(&name(b"data.", index)) {
        Ok(object) => object,
        Err(StorageError::NotFound) => return Ok(empty),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = [0; Data::MAX];
    let len = tee.read(&mut object, &mut bytes)?;
    // What an earlier, longer value left behind the end means nothing.
    let mut reader = Reader::new(bytes.get(..len).unwrap_or_default());
    let data = Data::decode(&mut reader).map_err(|_| Error::StateCorrupt)?;
    Ok(if data.generation == generation { data } else { empty })
}

/// Stores the data of the trustlet in a place, all of it at once.
///
/// # Errors
/// Storage's; the old data is then intact.
pub fn put_data<T: Tee>(tee: &mut T, index: usize, data: &Data) -> Result<(), Error> {
    let (name, mut bytes) = (name(b"data.", index), [0; Data::MAX]);
    let len = encode_into(data, &mut bytes)?;
    let encoded = bytes.get(..len).ok_or(Error::Internal)?;
    match tee.open(&name) {
        // In place: a fraction of the cost of a new object, and as atomic.
        Ok(mut object) => tee.write(&mut object, 0, encoded)?,
        Err(StorageError::NotFound | StorageError::Corrupt) => drop(tee.create(&name, encoded)?),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn delete_data<T: Tee>(tee: &mut T, index: usize) -> Result<(), Error> {
    match tee.open(&name(b"data.", index)) {
        Ok(object) => Ok(tee.delete(object)?),
        // A damaged object is deleted by being found damaged.
        Err(StorageError::NotFound | StorageError::Corrupt) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A whole object; `None` where there is none, or none intact: a trustlet that cannot be read is not
/// there, and its provider installs it again.
pub fn read<V: Wire, T: Tee>(tee: &mut T, object: &[u8]) -> Result<Option<V>, Error> {
    let missing = |error| match error {
        StorageError::NotFound | StorageError::Corrupt => Ok(None),
        StorageError::Full | StorageError::Failed => Err(Error::from(error)),
    };
    let mut object = match tee.open(object) {
        Ok(object) => object,
        Err(error) => return missing(error),
    };
    // The longest object that is read so.
    let mut bytes = [0; Stored::MAX + 1];
    match tee.read(&mut object, &mut bytes) {
        Ok(len) => Ok(bytes.get(..len).and_then(|bytes| decode_exact(bytes).ok())),
        Err(error) => missing(error),
    }
}

fn name(kind: &[u8], index: usize) -> Bytes<12> {
    let mut name = Bytes::from_iter(kind.iter().copied());
    let digit = u8::try_from(index % 10).unwrap_or(0) + b'0';
    let _ = name.push(digit);
    name
}
