//! A trustlet on a host: NO SECURITY, for tests only. A module for a TVM cannot hold any of it.
//!
//! [`Guest`] opens a trustlet in a [`FakeWorld`] and sends it messages through the same encoding and the
//! same dispatcher as a TVM does.

mod world;

pub use world::{FakeWorld, fake_mac, fake_public, fake_signature};

use crate::{
    Answer, Error, Refusal, Trustlet,
    dispatch::dispatch,
    proto::{
        id::{Caller, Party, Uuid, login},
        trustlet::abi::BUFFER_LEN,
        wire::{decode_exact, encode_into},
    },
};

/// A trustlet that is open, and the world it sees.
pub struct Guest<T> {
    /// The world; it outlives [`Self::reopen`].
    pub world: FakeWorld,
    trustlet: T,
    buffer: [u8; BUFFER_LEN],
}

impl<T: Trustlet> Guest<T> {
    /// A trustlet that was just opened, in an empty world that gives it every service.
    #[must_use]
    pub fn new() -> Self {
        Self { world: FakeWorld::new(), trustlet: T::new(), buffer: [0; BUFFER_LEN] }
    }

    /// A new session: the trustlet's memory is gone, the store is as it was, its key handles are closed.
    pub fn reopen(&mut self) {
        self.trustlet = T::new();
        self.world.close_keys();
    }

    /// Sends a message from some client.
    ///
    /// # Errors
    /// As [`Trustlet::handle`].
    pub fn call(&mut self, message: &T::Message) -> Result<T::Reply, Refusal> {
        self.call_from(&client(1), message)
    }

    /// Sends a message from `from`.
    ///
    /// # Errors
    /// As [`Trustlet::handle`].
    pub fn call_from(&mut self, from: &Party, message: &T::Message) -> Result<T::Reply, Refusal> {
        let mut encoded = [0; BUFFER_LEN];
        let len = encode_into(message, &mut encoded)?;
        let answer = self.send(from, encoded.get(..len).ok_or(Error::Internal)?)?;
        match decode_exact(&answer)? {
            Answer::Reply(reply) => Ok(reply),
            Answer::Refused(number) => Err(Refusal::Own(number)),
        }
    }

    /// Sends any bytes; returns the bytes of the [`Answer`].
    ///
    /// # Errors
    /// The error for which a TVM would report `TrustletRefused`.
    pub fn send(&mut self, from: &Party, message: &[u8]) -> Result<Vec<u8>, Error> {
        let at = encode_into(from, &mut self.buffer)?;
        let len = at + message.len();
        self.buffer.get_mut(at..len).ok_or(Error::ShortBuffer)?.copy_from_slice(message);
        let len = i32::try_from(len).map_err(|_| Error::ShortBuffer)?;
        let returned = dispatch(&mut self.trustlet, &mut self.buffer, len, &mut self.world);
        match usize::try_from(returned) {
            Ok(len) => self.buffer.get(..len).map(<[u8]>::to_vec).ok_or(Error::OutOfBounds),
            Err(_) => Err(Error::from_code(returned as u32).unwrap_or(Error::Internal)),
        }
    }
}

impl<T: Trustlet> Default for Guest<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The client of that number: a user for whom the kernel vouched.
#[must_use]
pub fn client(number: u8) -> Party {
    Party::Client(Caller { login: login::USER, uuid: Uuid([number; 16]) })
}
