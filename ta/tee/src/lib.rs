//! The port: all that a trusted app asks of its TEE.
//!
//! Trusted-app logic is generic over [`Tee`] and never names OP-TEE. Two adapters implement it:
//! `optee` over `optee-utee`, and `host` for tests and the simulated TEE, which protects nothing.
//! [`conformance`] is the suite both must pass.
#![no_std]

extern crate alloc;
#[cfg(any(feature = "host", test))]
extern crate std;

pub mod conformance;
#[cfg(any(feature = "host", test))]
pub mod host;
#[cfg(feature = "optee")]
#[allow(unsafe_code, reason = "the adapter to OP-TEE and the entry points")]
pub mod optee;
#[allow(unsafe_code, reason = "writes over memory that no value owns any more")]
pub mod stack;
#[allow(unsafe_code, reason = "wipes memory that no value owns any more")]
mod wiped;

pub use wiped::{Wiped, drop_if};

use tapvault_proto::{
    Error,
    id::Caller,
    service::{self, Request, Service},
    supervisor::{AdmitReply, AdmitRequest, ReleaseRequest},
    wire,
};
use teei_hypervisor::{gate::Supervisor, manifest::Signer};
use zeroize::Zeroize;

/// Longest name of a persistent object in bytes (`TEE_OBJECT_ID_MAX_LEN`).
pub const MAX_OBJECT_ID: usize = 64;

/// Milliseconds of TEE system time: monotonic, not settable by the normal world, of no fixed origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

impl Millis {
    /// The time `ms` after this one.
    #[must_use]
    pub const fn plus(self, ms: u64) -> Millis {
        Millis(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this one, 0 if it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Millis) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Levels of protection from a rollback (TEE Internal Core API, properties of the implementation).
pub mod rollback {
    /// None; also what stands for a platform that does not say.
    pub const NONE: u32 = 0;
    /// By the normal world, which is the adversary. Stock OP-TEE without RPMB says so.
    pub const BY_REE: u32 = 100;
    /// By hardware that the TEE controls and the normal world's software cannot reach, such as RPMB.
    pub const BY_HARDWARE: u32 = 1000;
}

/// Why storage did not do as asked. After any of these the object is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageError {
    /// No object of this name. Never proof that there was none: the normal world can delete.
    NotFound,
    /// The object was altered; OP-TEE removes it, so that the next open says `NotFound`.
    Corrupt,
    /// No space.
    Full,
    /// Anything else.
    Failed,
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::NotFound | StorageError::Corrupt => Error::StateCorrupt,
            StorageError::Full => Error::StorageFull,
            StorageError::Failed => Error::StorageFailed,
        }
    }
}

/// What a trusted app asks of its TEE.
pub trait Tee {
    /// An open persistent object; dropping it closes it.
    type Object;

    /// Memory taken from the TEE for one guest; dropping it gives it back, contents and all.
    type Memory;

    /// Fills `out` with random bytes of cryptographic quality.
    fn random(&mut self, out: &mut [u8]);

    /// TEE system time.
    fn now(&mut self) -> Millis;

    /// A secret of this device and this trusted app, different for every `purpose` (at most 32 bytes).
    ///
    /// # Errors
    /// [`Error::Internal`] when the TEE has no such key.
    fn unique_key(&mut self, purpose: &[u8], key: &mut [u8; 32]) -> Result<(), Error>;

    /// Opens an object for reading and writing.
    ///
    /// # Errors
    /// See [`StorageError`].
    fn open(&mut self, name: &[u8]) -> Result<Self::Object, StorageError>;

    /// Creates an object with `data`, in place of one of the same name; after a power cut there is
    /// the old one or the new one.
    ///
    /// # Errors
    /// See [`StorageError`].
    fn create(&mut self, name: &[u8], data: &[u8]) -> Result<Self::Object, StorageError>;

    /// Reads from the start of the object and returns how many bytes there were, at most `out.len()`.
    ///
    /// # Errors
    /// See [`StorageError`].
    fn read(&mut self, object: &mut Self::Object, out: &mut [u8]) -> Result<usize, StorageError>;

    /// Overwrites `data.len()` bytes at `offset`; after a power cut all of them are old or all new.
    ///
    /// # Errors
    /// See [`StorageError`].
    fn write(&mut self, object: &mut Self::Object, offset: u32, data: &[u8]) -> Result<(), StorageError>;

    /// Deletes the object.
    ///
    /// # Errors
    /// See [`StorageError`].
    fn delete(&mut self, object: Self::Object) -> Result<(), StorageError>;

    /// Invokes a method of a peer trusted app over the one session kept to it, opened when there is
    /// none; returns the length of the reply.
    ///
    /// # Errors
    /// [`Error::EdgeForbidden`] for a peer that the table of edges does not give this trusted app;
    /// [`Error::PeerDead`] when the peer died (the session is dropped, the next call opens another);
    /// otherwise the peer's own.
    fn invoke_peer(
        &mut self,
        peer: Service,
        method: u32,
        request: &[u8],
        reply: &mut [u8],
    ) -> Result<usize, Error>;

    /// Takes zeroed memory of `len` bytes, rounded up to pages, from the TEE's own.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when the TEE has none left.
    fn map(&mut self, len: usize) -> Result<Self::Memory, Error>;

    /// Runs `act`; what it allocates comes out of `memory` and is no more than that. Whatever it keeps
    /// allocated has to be dropped before `memory` is.
    fn within<R>(memory: &mut Self::Memory, act: impl FnOnce() -> R) -> R;

    /// How well the platform says that it protects persistent objects from being put back to an older state, by the TEE
    /// Internal Core API's property `gpd.tee.trustedStorage.antiRollback.protectionLevel`: [`rollback::NONE`],
    /// [`rollback::BY_REE`], [`rollback::BY_HARDWARE`].
    fn anti_rollback(&mut self) -> u32;

    /// The provider that this trusted app's image was stamped for; `None` for any app but a TVM.
    fn stamp(&self) -> Option<Signer>;

    /// [`Tee::invoke_peer`] with typed messages of at most 384 bytes.
    ///
    /// # Errors
    /// As [`Tee::invoke_peer`], and [`Error::Internal`] for a reply that does not decode.
    fn call<R: Request>(&mut self, request: &R) -> Result<R::Reply, Error> {
        let (mut out, mut back) = ([0u8; 384], [0u8; 384]);
        let len = service::encode_request(request, &mut out)?;
        let request = out.get(..len).ok_or(Error::Internal)?;
        let answer = self.invoke_peer(R::SERVICE, R::METHOD, request, &mut back);
        let reply = answer.and_then(|len| {
            let reply = back.get(..len).ok_or(Error::Internal)?;
            wire::decode_exact(reply).map_err(|_| Error::Internal)
        });
        out.zeroize();
        back.zeroize();
        reply
    }
}

/// The supervisor as a service sees it through the port.
pub struct PeerSupervisor<'a, T>(pub &'a mut T);

impl<T: Tee> Supervisor for PeerSupervisor<'_, T> {
    fn admit(&mut self, request: &AdmitRequest) -> Result<AdmitReply, Error> {
        self.0.call(request)
    }
    fn release(&mut self, request: &ReleaseRequest) -> Result<(), Error> {
        self.0.call(request).map(|_| ())
    }
}

/// A trusted app over the port. One value is one instance; the TEE lets one call in at a time.
pub trait TrustedApp<T: Tee>: Default {
    /// The service offered.
    const SERVICE: Service;

    /// A caller opens a session; `session` names it until [`TrustedApp::close`] and is not used again
    /// in this instance.
    ///
    /// # Errors
    /// [`Error::AccessDenied`] and whatever admission says.
    fn open(&mut self, tee: &mut T, session: u32, caller: Caller) -> Result<(), Error>;

    /// The session closed, or its client died.
    fn close(&mut self, tee: &mut T, session: u32);

    /// Answers one method into `reply`; returns the reply's length.
    ///
    /// # Errors
    /// A refusal; nothing was changed.
    fn invoke(
        &mut self,
        tee: &mut T,
        session: u32,
        method: u32,
        request: &[u8],
        reply: &mut [u8],
    ) -> Result<usize, Error>;

    /// Wipes the stack below the caller, by [`stack::wipe`], where `method` may have left secrets on it.
    fn wipe_stack(_method: u32) {}
}
