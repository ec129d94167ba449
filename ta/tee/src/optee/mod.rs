//! The adapter for OP-TEE, over `optee-utee`.

#[cfg(feature = "arena")]
mod arena;
mod entry;
mod identity;
mod memory;
pub use entry::{Instance, Session};

#[cfg(feature = "arena")]
pub use arena::Arena;

use crate::{Millis, StorageError, Tee, rollback};
use memory::Region;
use optee_utee::{
    DataFlag, ObjectStorageConstants, ParamIndex, PersistentObject, Random, TaSession, TaSessionBuilder,
    TeeParams, Time, Uuid, Whence,
    property::{PropertyKey, TeeTrustedStorageAntiRollbackProtectionLevel},
};
use tapvault_proto::{Error, service::Service};
use teei_hypervisor::{edges, manifest::Signer};
use zeroize::Zeroize;

/// `PTA_SYSTEM_UUID`: OP-TEE's system pseudo trusted app.
const SYSTEM_PTA: [u8; 16] = *b"\x3a\x2f\x89\x78\x5d\xc0\x11\xe8\x9c\x2d\xfa\x7a\xe0\x1b\xbe\xbc";
/// `PTA_SYSTEM_DERIVE_TA_UNIQUE_KEY`: key of this device and this trusted app from extra data.
const DERIVE_TA_UNIQUE_KEY: u32 = 1;

const TARGET_DEAD: u32 = 0xFFFF_3024;
const ITEM_NOT_FOUND: u32 = 0xFFFF_0008;
const STORAGE_NO_SPACE: u32 = 0xFFFF_3041;
const CORRUPT_OBJECT: u32 = 0xF010_0001;

/// OP-TEE as seen by one trusted app.
pub struct OpteeTee {
    service: Service,
    /// Reads what the image was stamped with.
    stamp: Option<fn() -> Option<Signer>>,
    /// One session per peer, kept for the life of this instance: opening costs five times an invoke.
    peers: [Option<TaSession>; Service::NATIVE.len()],
    /// What goes to a peer and back: memory the core passes on as it is, where a buffer on the stack would
    /// be mapped and copied for every call.
    exchange: Option<Region>,
}

/// Half of the exchange region, for requests; the other half is for replies.
const HALF: usize = 2048;

impl OpteeTee {
    /// The TEE for the trusted app that offers `service`.
    #[must_use]
    pub const fn new(service: Service, stamp: Option<fn() -> Option<Signer>>) -> Self {
        Self { service, stamp, peers: [const { None }; Service::NATIVE.len()], exchange: None }
    }

    fn peer(&self, peer: Service) -> Result<usize, Error> {
        if !edges::allows(self.service, peer) {
            return Err(Error::EdgeForbidden);
        }
        Service::NATIVE.iter().position(|service| *service == peer).ok_or(Error::Internal)
    }
}

impl Tee for OpteeTee {
    type Object = PersistentObject;
    #[cfg(feature = "arena")]
    type Memory = Arena;
    // Only a TVM has guests; the conformance suite takes memory in any.
    #[cfg(not(feature = "arena"))]
    type Memory = Region;

    fn random(&mut self, out: &mut [u8]) {
        Random::generate(out);
    }

    fn now(&mut self) -> Millis {
        let mut time = Time::new();
        time.system_time();
        Millis(u64::from(time.seconds) * 1000 + u64::from(time.millis))
    }

    fn unique_key(&mut self, purpose: &[u8], key: &mut [u8; 32]) -> Result<(), Error> {
        let failed = |_| Error::Internal;
        let mut system = TaSessionBuilder::new(Uuid::from_bytes(SYSTEM_PTA)).build().map_err(failed)?;
        let mut params =
            TeeParams::new().with_memref_in(ParamIndex::Arg0, purpose).with_memref_out(ParamIndex::Arg1, key);
        system.invoke_command(DERIVE_TA_UNIQUE_KEY, &mut params).map_err(failed)
    }

    fn open(&mut self, name: &[u8]) -> Result<Self::Object, StorageError> {
        let flags = DataFlag::ACCESS_READ | DataFlag::ACCESS_WRITE | DataFlag::ACCESS_WRITE_META;
        PersistentObject::open(ObjectStorageConstants::Private, name, flags).map_err(storage)
    }

    fn create(&mut self, name: &[u8], data: &[u8]) -> Result<Self::Object, StorageError> {
        let flags = DataFlag::ACCESS_READ
            | DataFlag::ACCESS_WRITE
            | DataFlag::ACCESS_WRITE_META
            | DataFlag::OVERWRITE;
        PersistentObject::create(ObjectStorageConstants::Private, name, flags, None, data).map_err(storage)
    }

    fn read(&mut self, object: &mut Self::Object, out: &mut [u8]) -> Result<usize, StorageError> {
        object.seek(0, Whence::DataSeekSet).map_err(storage)?;
        object.read(out).map(|read| read as usize).map_err(storage)
    }

    fn write(&mut self, object: &mut Self::Object, offset: u32, data: &[u8]) -> Result<(), StorageError> {
        let offset = i32::try_from(offset).map_err(|_| StorageError::Failed)?;
        object.seek(offset, Whence::DataSeekSet).map_err(storage)?;
        object.write(data).map_err(storage)
    }

    fn delete(&mut self, object: Self::Object) -> Result<(), StorageError> {
        object.close_and_delete().map_err(storage)
    }

    fn invoke_peer(
        &mut self,
        peer: Service,
        method: u32,
        request: &[u8],
        reply: &mut [u8],
    ) -> Result<usize, Error> {
        let slot = self.peer(peer)?;
        if self.exchange.is_none() {
            self.exchange = Some(Region::map(2 * HALF, true)?);
        }
        let Self { peers, exchange: Some(exchange), .. } = self else { return Err(Error::Internal) };
        let slot = peers.get_mut(slot).ok_or(Error::Internal)?;
        let session = match slot {
            Some(session) => session,
            None => {
                let uuid = Uuid::from_bytes(peer.uuid().0);
                slot.insert(TaSessionBuilder::new(uuid).build().map_err(|e| peer_error(e.raw_code()))?)
            }
        };
        let (to, from) = exchange.bytes().split_at_mut(HALF);
        let to = to.get_mut(..request.len()).ok_or(Error::BadParameters)?;
        let from = from.get_mut(..reply.len()).ok_or(Error::BadParameters)?;
        to.copy_from_slice(request);
        let mut params =
            TeeParams::new().with_memref_in(ParamIndex::Arg0, to).with_memref_out(ParamIndex::Arg1, from);
        let answer = match session.invoke_command(method, &mut params) {
            Ok(()) => match params[ParamIndex::Arg1].written_slice() {
                Some(written) => match reply.get_mut(..written.len()) {
                    Some(room) => {
                        room.copy_from_slice(written);
                        Ok(written.len())
                    }
                    None => Err(Error::Internal),
                },
                None => Err(Error::Internal),
            },
            Err(error) => {
                if error.raw_code() == TARGET_DEAD {
                    *slot = None;
                }
                Err(peer_error(error.raw_code()))
            }
        };
        // What passes here may be a trustlet's secret.
        let (to, from) = exchange.bytes().split_at_mut(HALF);
        to.get_mut(..request.len()).unwrap_or_default().zeroize();
        from.get_mut(..reply.len()).unwrap_or_default().zeroize();
        answer
    }

    fn anti_rollback(&mut self) -> u32 {
        TeeTrustedStorageAntiRollbackProtectionLevel.get().unwrap_or(rollback::NONE)
    }

    #[cfg(feature = "arena")]
    fn map(&mut self, len: usize) -> Result<Arena, Error> {
        Arena::map(len)
    }

    #[cfg(feature = "arena")]
    fn within<R>(memory: &mut Arena, act: impl FnOnce() -> R) -> R {
        memory.within(act)
    }

    #[cfg(not(feature = "arena"))]
    fn map(&mut self, len: usize) -> Result<Region, Error> {
        Region::map(len, false)
    }

    #[cfg(not(feature = "arena"))]
    fn within<R>(_: &mut Region, act: impl FnOnce() -> R) -> R {
        act()
    }

    fn stamp(&self) -> Option<Signer> {
        self.stamp.and_then(|stamp| stamp())
    }
}

fn storage(error: optee_utee::Error) -> StorageError {
    match error.raw_code() {
        ITEM_NOT_FOUND => StorageError::NotFound,
        CORRUPT_OBJECT => StorageError::Corrupt,
        STORAGE_NO_SPACE => StorageError::Full,
        _ => StorageError::Failed,
    }
}

fn peer_error(code: u32) -> Error {
    Error::from_code(code).unwrap_or(Error::Internal)
}
