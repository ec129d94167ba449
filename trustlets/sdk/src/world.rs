//! Everything a trustlet can reach.

use crate::{
    key::bytes,
    proto::{
        Error,
        id::Address,
        pin::{TakeConfirmation, Transfer},
        service::Service,
        trustlet::{
            TrustletRequest,
            clock::NowRequest,
            element::{MAX_ANSWER, TransmitRequest},
            log::{MAX_LINE, WriteRequest},
            network::{Mail, PostReply, PostRequest, TakeRequest},
            random::{DrawRequest, MAX_RANDOM},
            store::{GetRequest, MAX_VALUE, PutRequest},
        },
        wire::{Bytes, Wire, decode_exact, encode_into},
    },
};

/// Longest request to a service, and longest reply, in bytes.
pub const MAX_CALL: usize = 320;

/// The services of the virtual network, as far as the trustlet's manifest names them; any other gives
/// [`Error::NotInManifest`].
pub trait World {
    /// Hands an encoded request to a service; returns the length of the reply, in bytes, which is at the
    /// front of `reply`. [`Self::call`] is the same with types.
    ///
    /// # Errors
    /// What the service gave.
    fn exchange(
        &mut self,
        service: Service,
        method: u32,
        request: &[u8],
        reply: &mut [u8],
    ) -> Result<usize, Error>;

    /// Calls a service.
    ///
    /// # Errors
    /// What the service gave.
    fn call<R: TrustletRequest>(&mut self, request: &R) -> Result<R::Reply, Error> {
        const { assert!(R::MAX <= MAX_CALL && R::Reply::MAX <= MAX_CALL, "MAX_CALL is too low") };
        let (mut sent, mut received) = ([0; MAX_CALL], [0; MAX_CALL]);
        let len = encode_into(request, &mut sent)?;
        let sent = sent.get(..len).ok_or(Error::Internal)?;
        let room = received.get_mut(..R::Reply::MAX).ok_or(Error::Internal)?;
        let len = self.exchange(R::SERVICE, R::METHOD, sent, room)?;
        decode_exact(received.get(..len).ok_or(Error::Internal)?)
    }

    /// `N` random bytes, at most [`MAX_RANDOM`]. Service `random`.
    ///
    /// # Errors
    /// What the service gave.
    fn random<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        const { assert!(N <= MAX_RANDOM, "more random bytes than one request gives") };
        let drawn = self.call(&DrawRequest { count: N as u8 })?;
        drawn.bytes.as_slice().try_into().map_err(|_| Error::Internal)
    }

    /// Milliseconds since some moment in the past, never going back. Service `clock`.
    ///
    /// # Errors
    /// What the service gave.
    fn now(&mut self) -> Result<u64, Error> {
        self.call(&NowRequest {}).map(|now| now.milliseconds)
    }

    /// Writes a line, cut after [`MAX_LINE`] bytes, for clients of the provider to read: no place for a
    /// secret. Service `log`.
    ///
    /// # Errors
    /// What the service gave.
    fn log(&mut self, text: &str) -> Result<(), Error> {
        let line = text.as_bytes().chunks(MAX_LINE).next().unwrap_or_default();
        self.call(&WriteRequest { text: bytes(line)? }).map(|_| ())
    }

    /// Reads the value of `key` (at most 16 bytes), `None` where there is none. Service `store`.
    ///
    /// # Errors
    /// [`Error::StateCorrupt`] when it is no `T`; else what the service gave.
    fn load<T: Wire>(&mut self, key: &[u8]) -> Result<Option<T>, Error> {
        let Some(value) = self.call(&GetRequest { key: bytes(key)? })?.value else { return Ok(None) };
        decode_exact(&value).map(Some).map_err(|_| Error::StateCorrupt)
    }

    /// Stores `value` under `key` (at most 16 bytes) in one step: a power cut leaves the old value or the
    /// new one. What has to change together belongs into one value. Service `store`.
    ///
    /// # Errors
    /// [`Error::ProviderQuota`] beyond the manifest's bytes; else what the service gave.
    fn save<T: Wire>(&mut self, key: &[u8], value: &T) -> Result<(), Error> {
        const { assert!(T::MAX <= MAX_VALUE, "the value is longer than the store takes") };
        let mut encoded = [0; MAX_VALUE];
        let len = encode_into(value, &mut encoded)?;
        let value = bytes(encoded.get(..len).ok_or(Error::Internal)?)?;
        self.call(&PutRequest { key: bytes(key)?, value: Some(value) }).map(|_| ())
    }

    /// Deletes `key` with its value. Service `store`.
    ///
    /// # Errors
    /// What the service gave.
    fn forget(&mut self, key: &[u8]) -> Result<(), Error> {
        self.call(&PutRequest { key: bytes(key)?, value: None }).map(|_| ())
    }

    /// Whether the holder confirmed exactly this transfer with the PIN. That is true once: asking uses the
    /// confirmation up. Service `pin`.
    ///
    /// # Errors
    /// What the service gave.
    fn take_confirmation(&mut self, transfer: &Transfer) -> Result<bool, Error> {
        match self.call(&TakeConfirmation { transfer: transfer.clone() }) {
            Ok(_) => Ok(true),
            Err(Error::NoVerification) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Puts a message, at most 128 bytes, into another trustlet's mailbox. Service `network`.
    ///
    /// # Errors
    /// [`Error::PeerUnknown`], [`Error::PeerRefuses`], [`Error::PeerFull`]; [`Error::BadParameters`] when
    /// the body is longer; else what the service gave.
    fn post(&mut self, to: &Address, body: &[u8]) -> Result<PostReply, Error> {
        self.call(&PostRequest { to: to.clone(), body: bytes(body)? })
    }

    /// Takes the oldest message out of this trustlet's mailbox. Service `network`.
    ///
    /// # Errors
    /// What the service gave.
    fn take_mail(&mut self) -> Result<Option<Mail>, Error> {
        self.call(&TakeRequest {}).map(|taken| taken.mail)
    }

    /// Sends a command APDU of 4 to 200 bytes to the secure element through the TVM's secure channel;
    /// returns data and status word. Service `element`.
    ///
    /// # Errors
    /// [`Error::BadParameters`] when the command is longer; else what the service gave.
    fn transmit(&mut self, command: &[u8]) -> Result<Bytes<MAX_ANSWER>, Error> {
        self.call(&TransmitRequest { command: bytes(command)? }).map(|answer| answer.response)
    }
}
