//! The stored PIN record: one object per provider, never the PIN itself.

use crate::verifier::{Comparison, finished, keyed};
use hmac::Hmac;
use sha2::Sha256;
use tapvault_proto::{
    Error,
    id::ProviderId,
    pin::{Pin, TRY_LIMIT},
    wire::{Wire, decode_exact, encode_into},
};
use tapvault_tee::{StorageError, Tee};
use zeroize::Zeroizing;

const FORMAT: u8 = 2;
/// Where the try counter lies in the object: the one byte that begin and finish overwrite.
const TRIES_AT: u32 = 1;
const NAME_LEN: usize = 4 + 16;

tapvault_proto::message! {
    /// What is stored, 54 bytes.
    #[derive(Clone)]
    Stored {
        /// [`FORMAT`].
        format: u8,
        /// Comparisons left.
        tries_left: u8,
        /// Number of the provider's last command to unlock; 0 before the first.
        unlocks: u32,
        /// Drawn at every setting.
        salt: [u8; 16],
        /// See [`keyed`] and [`finished`].
        verifier: [u8; 32],
    }
}

tapvault_proto::message! {
    /// What format 1 stored, 50 bytes: a record that was never unlocked by a command.
    StoredV1 {
        /// 1.
        format: u8,
        /// As today.
        tries_left: u8,
        /// As today.
        salt: [u8; 16],
        /// As today.
        verifier: [u8; 32],
    }
}

impl Stored {
    /// What an object holds, and whether it is in today's format; `None` when it is no record.
    fn read(bytes: &[u8]) -> Option<(Self, bool)> {
        let (stored, newest) = match bytes.first() {
            Some(1) => {
                let StoredV1 { tries_left, salt, verifier, .. } = decode_exact(bytes).ok()?;
                (Self { format: FORMAT, tries_left, unlocks: 0, salt, verifier }, false)
            }
            Some(&FORMAT) => (decode_exact(bytes).ok()?, true),
            _ => return None,
        };
        (stored.tries_left <= TRY_LIMIT).then_some((stored, newest))
    }
}

/// An open record. The object stays open between entries: opening costs more than a write.
pub struct Record<O> {
    /// Whose PIN.
    pub provider: ProviderId,
    object: O,
    stored: Stored,
    /// Whether the object is in today's format; the first change of an older one writes it.
    newest: bool,
}

impl<O> Record<O> {
    /// Opens a provider's record; `None` when there is none, or none intact: both count as locked.
    ///
    /// # Errors
    /// [`Error::StorageFailed`] when storage cannot say.
    pub fn open<T: Tee<Object = O>>(tee: &mut T, provider: ProviderId) -> Result<Option<Self>, Error> {
        let missing = |error| match error {
            StorageError::NotFound | StorageError::Corrupt => Ok(None),
            StorageError::Full | StorageError::Failed => Err(Error::from(error)),
        };
        let mut object = match tee.open(&name(provider)) {
            Ok(object) => object,
            Err(error) => return missing(error),
        };
        let mut bytes = [0; Stored::MAX + 1];
        let len = match tee.read(&mut object, &mut bytes) {
            Ok(len) => len,
            Err(error) => return missing(error),
        };
        let stored = bytes.get(..len).and_then(Stored::read);
        Ok(stored.map(|(stored, newest)| Self { provider, object, stored, newest }))
    }

    /// Creates a record in place of whatever is there; nobody may hold the old one open. `unlocks` is the old one's.
    ///
    /// # Errors
    /// Storage's; the old record is then intact.
    pub fn create<T: Tee<Object = O>>(
        tee: &mut T,
        provider: ProviderId,
        secret: NewSecret,
        unlocks: u32,
    ) -> Result<Self, Error> {
        let stored = Stored { unlocks, ..secret.0 };
        let mut bytes = [0; Stored::MAX];
        encode_into(&stored, &mut bytes)?;
        let object = tee.create(&name(provider), &bytes)?;
        Ok(Self { provider, object, stored, newest: true })
    }

    /// Comparisons left.
    pub fn tries_left(&self) -> u8 {
        self.stored.tries_left
    }

    /// What tells this record from the others that its provider's PIN had.
    pub fn salt(&self) -> [u8; 16] {
        self.stored.salt
    }

    /// Number of the provider's last command to unlock.
    pub fn unlocks(&self) -> u32 {
        self.stored.unlocks
    }

    /// Stores a try counter.
    ///
    /// # Errors
    /// Storage's. What is stored is then not known: the record must be opened again.
    pub fn set_tries<T: Tee<Object = O>>(&mut self, tee: &mut T, tries: u8) -> Result<(), Error> {
        if !self.newest {
            return self.write(tee, Stored { tries_left: tries, ..self.stored.clone() });
        }
        tee.write(&mut self.object, TRIES_AT, &[tries])?;
        self.stored.tries_left = tries;
        Ok(())
    }

    /// Stores a new PIN with all its tries, in one write.
    ///
    /// # Errors
    /// As [`Record::set_tries`].
    pub fn replace<T: Tee<Object = O>>(&mut self, tee: &mut T, secret: NewSecret) -> Result<(), Error> {
        self.write(tee, Stored { unlocks: self.stored.unlocks, ..secret.0 })
    }

    /// Stores all tries and the number of the command that gave them back, in one write.
    ///
    /// # Errors
    /// As [`Record::set_tries`].
    pub fn unlock<T: Tee<Object = O>>(&mut self, tee: &mut T, unlocks: u32) -> Result<(), Error> {
        self.write(tee, Stored { tries_left: TRY_LIMIT, unlocks, ..self.stored.clone() })
    }

    fn write<T: Tee<Object = O>>(&mut self, tee: &mut T, stored: Stored) -> Result<(), Error> {
        let mut bytes = [0; Stored::MAX];
        encode_into(&stored, &mut bytes)?;
        tee.write(&mut self.object, 0, &bytes)?;
        self.stored = stored;
        self.newest = true;
        Ok(())
    }

    /// One comparison with the record's PIN, made ready.
    ///
    /// # Errors
    /// [`Error::Internal`] without a unique key.
    pub fn comparison<T: Tee<Object = O>>(&self, tee: &mut T) -> Result<Comparison, Error> {
        Ok(Comparison::new(keyed_here(tee, self.provider, &self.stored.salt)?, self.stored.verifier))
    }
}

/// What a new PIN leaves in storage.
pub struct NewSecret(Stored);

impl NewSecret {
    /// For `pin` of `provider`, with a fresh salt.
    ///
    /// # Errors
    /// [`Error::Internal`] without a unique key.
    pub fn new<T: Tee>(tee: &mut T, provider: ProviderId, pin: &Pin) -> Result<Self, Error> {
        let mut salt = [0; 16];
        tee.random(&mut salt);
        let verifier = finished(keyed_here(tee, provider, &salt)?, pin);
        Ok(Self(Stored { format: FORMAT, tries_left: TRY_LIMIT, unlocks: 0, salt, verifier }))
    }
}

fn keyed_here<T: Tee>(tee: &mut T, provider: ProviderId, salt: &[u8; 16]) -> Result<Hmac<Sha256>, Error> {
    let mut key = Zeroizing::new([0; 32]);
    tee.unique_key(b"wallet pin verifier", &mut key)?;
    keyed(&key, provider, salt)
}

fn name(provider: ProviderId) -> [u8; NAME_LEN] {
    let mut name = [0; NAME_LEN];
    for (slot, byte) in name.iter_mut().zip(b"pin.".iter().chain(&provider.0)) {
        *slot = *byte;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapvault_proto::service::Service;
    use tapvault_tee::host::{Device, HostTee};

    /// What each format stored, one per release that changed it: PIN 135790, two tries left.
    const GOLDEN: [&str; FORMAT as usize] = [include_str!("golden/v1.hex"), include_str!("golden/v2.hex")];
    const PROVIDER: ProviderId = ProviderId([0xA1; 16]);

    fn object(golden: &str) -> std::vec::Vec<u8> {
        let digits = golden.trim().as_bytes();
        let digit = |byte: u8| (byte as char).to_digit(16).unwrap() as u8;
        digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    #[test]
    fn every_format_that_was_ever_written_is_read_and_becomes_todays() {
        for (golden, format) in GOLDEN.into_iter().zip(1..) {
            let device = Device::default();
            let mut tee = HostTee::new(Service::Pin, &device);
            let stored = object(golden);
            assert_eq!(stored[0], format);
            tee.create(&name(PROVIDER), &stored).unwrap();
            let mut record = Record::open(&mut tee, PROVIDER).unwrap().unwrap();
            assert_eq!((record.tries_left(), record.unlocks()), (2, u32::from(format - 1) * 7));
            let pin = |digits: &[u8]| Pin::from_ascii(digits).unwrap();
            assert!(record.comparison(&mut tee).unwrap().fits(&pin(b"135790")));
            assert!(!record.comparison(&mut tee).unwrap().fits(&pin(b"135791")));
            record.set_tries(&mut tee, 1).unwrap();
            drop(record);
            // One change wrote all of it.
            let now =
                device.borrow().objects[&(Service::Pin.uuid(), name(PROVIDER).to_vec())].clone().unwrap();
            assert_eq!((now.len(), now[0], now[1]), (Stored::MAX, FORMAT, 1));
            let record = Record::open(&mut tee, PROVIDER).unwrap().unwrap();
            assert!(record.newest && record.comparison(&mut tee).unwrap().fits(&pin(b"135790")));
        }
    }

    #[test]
    fn what_is_no_record_is_locked() {
        for golden in GOLDEN {
            let good = object(golden);
            for len in 0..good.len() {
                assert!(Stored::read(&good[..len]).is_none(), "cut at {len}");
            }
            assert!(Stored::read(&[&good[..], &[0]].concat()).is_none(), "longer");
            for format in (0..=FORMAT + 1).filter(|format| *format != good[0]) {
                assert!(Stored::read(&[&[format], &good[1..]].concat()).is_none(), "format {format}");
            }
            let more = [&good[..1], &[TRY_LIMIT + 1], &good[2..]].concat();
            assert!(Stored::read(&more).is_none(), "more tries than there are");
        }
    }
}
