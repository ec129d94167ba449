//! A key by its label.

use crate::{
    World,
    proto::{
        Error,
        trustlet::keys::{
            Decrypt, Encrypt, KeyAlgorithm, KeyHandle, MAX_DATA, MAX_LABEL, Mac, OpenKey, OpenKeyReply,
            SEAL_OVERHEAD, Sign,
        },
        wire::Bytes,
    },
};

/// A key of the trustlet's own: opened when it is first used, and again when the card trusted app has
/// started anew. The key itself never leaves that trusted app.
pub struct Key {
    label: &'static [u8],
    algorithm: KeyAlgorithm,
    open: Option<OpenKeyReply>,
}

impl Key {
    /// The key of that label, at most [`MAX_LABEL`] bytes, for that use.
    #[must_use]
    pub const fn new(label: &'static [u8], algorithm: KeyAlgorithm) -> Self {
        assert!(label.len() <= MAX_LABEL, "the label of a key is too long");
        Self { label, algorithm, open: None }
    }

    /// The public key, SEC 1 uncompressed.
    ///
    /// # Errors
    /// [`Error::KeyPurpose`] for a key that does not sign; else what the service gave.
    pub fn public(&mut self, world: &mut impl World) -> Result<[u8; 65], Error> {
        let open = self.open(world)?;
        open.public.as_slice().try_into().map_err(|_| Error::KeyPurpose)
    }

    /// Signs `message`, at most [`MAX_DATA`] bytes; `r‖s`.
    ///
    /// # Errors
    /// [`Error::BadParameters`] when it is longer; else what the service gave.
    pub fn sign(&mut self, world: &mut impl World, message: &[u8]) -> Result<[u8; 64], Error> {
        let message: Bytes<MAX_DATA> = bytes(message)?;
        self.with(world, |world, handle| {
            world.call(&Sign { handle, message: message.clone() }).map(|reply| reply.signature)
        })
    }

    /// Authenticates `message`, at most [`MAX_DATA`] bytes.
    ///
    /// # Errors
    /// [`Error::BadParameters`] when it is longer; else what the service gave.
    pub fn mac(&mut self, world: &mut impl World, message: &[u8]) -> Result<[u8; 32], Error> {
        let message: Bytes<MAX_DATA> = bytes(message)?;
        self.with(world, |world, handle| {
            world.call(&Mac { handle, message: message.clone() }).map(|reply| reply.mac)
        })
    }

    /// Encrypts `plain`, at most [`MAX_DATA`] bytes.
    ///
    /// # Errors
    /// [`Error::BadParameters`] when it is longer; else what the service gave.
    pub fn encrypt(
        &mut self,
        world: &mut impl World,
        plain: &[u8],
    ) -> Result<Bytes<{ MAX_DATA + SEAL_OVERHEAD }>, Error> {
        let plain: Bytes<MAX_DATA> = bytes(plain)?;
        self.with(world, |world, handle| {
            world.call(&Encrypt { handle, plain: plain.clone() }).map(|reply| reply.sealed)
        })
    }

    /// Decrypts what [`Self::encrypt`] gave.
    ///
    /// # Errors
    /// [`Error::CipherInvalid`] when it was altered; [`Error::BadParameters`] when it is too long; else
    /// what the service gave.
    pub fn decrypt(&mut self, world: &mut impl World, sealed: &[u8]) -> Result<Bytes<MAX_DATA>, Error> {
        let sealed: Bytes<{ MAX_DATA + SEAL_OVERHEAD }> = bytes(sealed)?;
        self.with(world, |world, handle| {
            world.call(&Decrypt { handle, sealed: sealed.clone() }).map(|reply| reply.plain)
        })
    }

    fn open(&mut self, world: &mut impl World) -> Result<&OpenKeyReply, Error> {
        if self.open.is_none() {
            self.open = Some(world.call(&OpenKey { label: bytes(self.label)?, algorithm: self.algorithm })?);
        }
        self.open.as_ref().ok_or(Error::Internal)
    }

    /// Uses the handle; one that is no longer known is opened again, once.
    fn with<W: World, T>(
        &mut self,
        world: &mut W,
        mut using: impl FnMut(&mut W, KeyHandle) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let handle = self.open(world)?.handle;
        match using(world, handle) {
            Err(Error::UnknownHandle) => {
                self.open = None;
                let handle = self.open(world)?.handle;
                using(world, handle)
            }
            other => other,
        }
    }
}

/// A copy with a limit.
pub(crate) fn bytes<const N: usize>(from: &[u8]) -> Result<Bytes<N>, Error> {
    Bytes::from_slice(from).map_err(|_| Error::BadParameters)
}
