//! The stored PIN record: one object per provider, never the PIN itself.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tapvault_proto::{
    Error,
    id::ProviderId,
    pin::{Pin, TRY_LIMIT},
    wire::{Wire, decode_exact, encode_into},
};
use tapvault_tee::{StorageError, Tee};
use zeroize::Zeroizing;

const FORMAT: u8 = 1;
/// Where the try counter lies in the object: the one byte that begin and finish overwrite.
const TRIES_AT: u32 = 1;
const NAME_LEN: usize = 4 + 16;

tapvault_proto::message! {
    /// What is stored, 50 bytes.
    #[derive(Clone)]
    Stored {
        /// [`FORMAT`].
        format: u8,
        /// Comparisons left.
        tries_left: u8,
        /// Drawn at every setting.
        salt: [u8; 16],
        /// See [`keyed`].
        verifier: [u8; 32],
    }
}

/// An open record. The object stays open between entries: opening costs more than a write.
pub struct Record<O> {
    /// Whose PIN.
    pub provider: ProviderId,
    object: O,
    stored: Stored,
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
        let stored = bytes.get(..len).and_then(|bytes| decode_exact::<Stored>(bytes).ok());
        let sound = |stored: &Stored| stored.format == FORMAT && stored.tries_left <= TRY_LIMIT;
        Ok(stored.filter(sound).map(|stored| Self { provider, object, stored }))
    }

    /// Creates a record in place of whatever is there; nobody may hold the old one open.
    ///
    /// # Errors
    /// Storage's; the old record is then intact.
    pub fn create<T: Tee<Object = O>>(
        tee: &mut T,
        provider: ProviderId,
        secret: NewSecret,
    ) -> Result<Self, Error> {
        let stored = secret.0;
        let mut bytes = [0; Stored::MAX];
        encode_into(&stored, &mut bytes)?;
        let object = tee.create(&name(provider), &bytes)?;
        Ok(Self { provider, object, stored })
    }

    /// Comparisons left.
    pub fn tries_left(&self) -> u8 {
        self.stored.tries_left
    }

    /// Stores a try counter.
    ///
    /// # Errors
    /// Storage's. What is stored is then not known: the record must be opened again.
    pub fn set_tries<T: Tee<Object = O>>(&mut self, tee: &mut T, tries: u8) -> Result<(), Error> {
        tee.write(&mut self.object, TRIES_AT, &[tries])?;
        self.stored.tries_left = tries;
        Ok(())
    }

    /// Stores a new PIN with all its tries, in one write.
    ///
    /// # Errors
    /// As [`Record::set_tries`].
    pub fn replace<T: Tee<Object = O>>(&mut self, tee: &mut T, secret: NewSecret) -> Result<(), Error> {
        let mut bytes = [0; Stored::MAX];
        encode_into(&secret.0, &mut bytes)?;
        tee.write(&mut self.object, 0, &bytes)?;
        self.stored = secret.0;
        Ok(())
    }

    /// One comparison with the record's PIN, made ready.
    ///
    /// # Errors
    /// [`Error::Internal`] without a unique key.
    pub fn comparison<T: Tee<Object = O>>(&self, tee: &mut T) -> Result<Comparison, Error> {
        let mac = keyed(tee, self.provider, &self.stored.salt)?;
        Ok(Comparison { mac, verifier: self.stored.verifier })
    }
}

/// One comparison: all that it takes but the digits, so that neither storage nor the TEE's key is asked for anything
/// between the pad's frame and the verdict. Wiped when dropped.
pub struct Comparison {
    mac: Hmac<Sha256>,
    verifier: [u8; 32],
}

impl Comparison {
    /// Whether `pin` is the record's, in a time that does not depend on either.
    pub fn fits(self, pin: &Pin) -> bool {
        finished(self.mac, pin).ct_eq(&self.verifier).into()
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
        let verifier = finished(keyed(tee, provider, &salt)?, pin);
        Ok(Self(Stored { format: FORMAT, tries_left: TRY_LIMIT, salt, verifier }))
    }
}

/// The verifier without its digits, of which [`finished`] makes it: HMAC-SHA-256 under this device's and trusted app's own
/// key. The record alone, read by whoever, is no help in guessing the few digits behind it.
fn keyed<T: Tee>(tee: &mut T, provider: ProviderId, salt: &[u8; 16]) -> Result<Hmac<Sha256>, Error> {
    let mut key = Zeroizing::new([0; 32]);
    tee.unique_key(b"wallet pin verifier", &mut key)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_slice()).map_err(|_| Error::Internal)?;
    mac.update(&provider.0);
    mac.update(salt);
    Ok(mac)
}

fn finished(mut mac: Hmac<Sha256>, pin: &Pin) -> [u8; 32] {
    let (digits, len) = pin.expose();
    mac.update(&[len]);
    mac.update(digits);
    mac.finalize().into_bytes().into()
}

fn name(provider: ProviderId) -> [u8; NAME_LEN] {
    let mut name = [0; NAME_LEN];
    for (slot, byte) in name.iter_mut().zip(b"pin.".iter().chain(&provider.0)) {
        *slot = *byte;
    }
    name
}
