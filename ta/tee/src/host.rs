//! A TEE in the process, for tests and the simulated TEE. **NO SECURITY**: keys and files are ordinary
//! memory, the unique key is a constant, random numbers are counted from a seed.
//!
//! It is deterministic, and it can fail on purpose: power can be cut at any storage access, objects
//! can be damaged, time stands still until it is moved.

#![allow(clippy::panic, clippy::indexing_slicing, reason = "never part of a trusted app")]

use crate::{Millis, StorageError, Tee, TrustedApp, rollback, stack};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::{Rc, Weak},
    vec,
    vec::Vec,
};
use tapvault_proto::{
    Error,
    id::{Caller, Uuid, login},
    service::Service,
};
use teei_hypervisor::{edges, manifest::Signer};
use zeroize::Zeroize;

/// A trusted app's UUID, and the name of one of its objects.
type Name = (Uuid, Vec<u8>);

/// What all trusted apps of one simulated device share.
#[derive(Default)]
pub struct World {
    /// Persistent objects: contents, `None` for one that was damaged.
    pub objects: BTreeMap<Name, Option<Vec<u8>>>,
    /// TEE system time in milliseconds.
    pub now: u64,
    /// Storage changes until power is lost; the one that reaches 0 does not happen, nor any after it.
    pub changes_left: Option<u32>,
    /// Storage changes and reads so far.
    pub accesses: u32,
    /// Where the random numbers stand; differs from start to start.
    pub random: u64,
    /// Bytes that guests hold.
    pub mapped: usize,
    /// What it claims of rollback, for tests; otherwise what stock OP-TEE does. **It protects nothing.**
    pub anti_rollback: Option<u32>,
    opened: BTreeSet<Name>,
    // Whoever started a trusted app holds it: held here, it would hold this in turn, and neither would ever end.
    peers: BTreeMap<Service, Weak<RefCell<dyn Peer>>>,
}

impl World {
    fn change(&mut self) -> Result<(), StorageError> {
        self.accesses += 1;
        match &mut self.changes_left {
            None => Ok(()),
            Some(0) => Err(StorageError::Failed),
            Some(left) => {
                *left -= 1;
                if *left == 0 { Err(StorageError::Failed) } else { Ok(()) }
            }
        }
    }

    /// Damages an object, as the normal world can.
    pub fn corrupt(&mut self, app: Uuid, name: &[u8]) {
        if let Some(contents) = self.objects.get_mut(&(app, name.to_vec())) {
            *contents = None;
        }
    }
}

/// Wipes an object that is no more: whoever looks for what a trusted app leaves in memory is not to find storage's.
fn wipe(object: Option<Option<Vec<u8>>>) {
    if let Some(Some(mut contents)) = object {
        contents.zeroize();
    }
}

/// A simulated device: hand a clone to every trusted app.
pub type Device = Rc<RefCell<World>>;

/// A trusted app as its peers reach it.
trait Peer {
    fn invoke_as(
        &mut self,
        caller: Uuid,
        method: u32,
        request: &[u8],
        reply: &mut [u8],
    ) -> Result<usize, Error>;

    /// The caller is gone: its session closes.
    fn gone(&mut self, caller: Uuid);
}

/// The simulated TEE as seen by one trusted app.
pub struct HostTee {
    service: Service,
    uuid: Uuid,
    stamp: Option<Signer>,
    device: Device,
}

/// Memory of a simulated guest: counted, and otherwise the process's own.
pub struct HostMemory {
    len: usize,
    device: Device,
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        self.device.borrow_mut().mapped -= self.len;
    }
}

/// Memory that all guests of a simulated device together may hold, in bytes.
pub const GUEST_MEMORY: usize = 12 << 20;

impl HostTee {
    /// The TEE of `device` for the native trusted app that offers `service`.
    #[must_use]
    pub fn new(service: Service, device: &Device) -> Self {
        Self { service, uuid: service.uuid(), stamp: None, device: device.clone() }
    }

    /// The TEE of `device` for the TVM with this UUID, stamped for its provider.
    #[must_use]
    pub fn tvm(uuid: Uuid, stamp: Signer, device: &Device) -> Self {
        Self { service: Service::Tvm, uuid, stamp: Some(stamp), device: device.clone() }
    }
}

impl Drop for HostTee {
    fn drop(&mut self) {
        // As OP-TEE's core does for a trusted app that ends or dies.
        let Ok(world) = self.device.try_borrow() else { return };
        let peers: Vec<_> = world.peers.values().filter_map(Weak::upgrade).collect();
        drop(world);
        for peer in peers {
            if let Ok(mut peer) = peer.try_borrow_mut() {
                peer.gone(self.uuid);
            }
        }
    }
}

/// An open object; closed when dropped.
pub struct HostObject {
    name: Name,
    device: Device,
}

impl Drop for HostObject {
    fn drop(&mut self) {
        self.device.borrow_mut().opened.remove(&self.name);
    }
}

impl HostTee {
    fn opened(&self, name: Name) -> Result<HostObject, StorageError> {
        // As in OP-TEE: an object that is open without sharing cannot be opened again.
        if !self.device.borrow_mut().opened.insert(name.clone()) {
            return Err(StorageError::Failed);
        }
        Ok(HostObject { name, device: self.device.clone() })
    }
}

impl Tee for HostTee {
    type Object = HostObject;
    type Memory = HostMemory;

    fn random(&mut self, out: &mut [u8]) {
        let mut world = self.device.borrow_mut();
        for byte in out {
            // SplitMix64: spread, not secret.
            world.random = world.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = world.random;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            *byte = (mixed >> 56) as u8;
        }
    }

    fn now(&mut self) -> Millis {
        Millis(self.device.borrow().now)
    }

    fn unique_key(&mut self, purpose: &[u8], key: &mut [u8; 32]) -> Result<(), Error> {
        *key = [self.service as u8; 32];
        for (slot, byte) in key.iter_mut().zip(purpose) {
            *slot ^= byte;
        }
        for (slot, byte) in key.iter_mut().rev().zip(self.uuid.0) {
            *slot ^= byte;
        }
        Ok(())
    }

    fn open(&mut self, name: &[u8]) -> Result<Self::Object, StorageError> {
        let name = (self.uuid, name.to_vec());
        let mut world = self.device.borrow_mut();
        world.accesses += 1;
        match world.objects.get(&name) {
            None => return Err(StorageError::NotFound),
            Some(None) => {
                world.objects.remove(&name);
                return Err(StorageError::Corrupt);
            }
            Some(Some(_)) => {}
        }
        drop(world);
        self.opened(name)
    }

    fn create(&mut self, name: &[u8], data: &[u8]) -> Result<Self::Object, StorageError> {
        let name = (self.uuid, name.to_vec());
        let object = self.opened(name.clone())?;
        let mut world = self.device.borrow_mut();
        world.change()?;
        wipe(world.objects.insert(name, Some(data.to_vec())));
        drop(world);
        Ok(object)
    }

    fn read(&mut self, object: &mut Self::Object, out: &mut [u8]) -> Result<usize, StorageError> {
        let mut world = self.device.borrow_mut();
        world.accesses += 1;
        let Some(Some(contents)) = world.objects.get(&object.name) else { return Err(StorageError::Corrupt) };
        let len = contents.len().min(out.len());
        out[..len].copy_from_slice(&contents[..len]);
        Ok(len)
    }

    fn write(&mut self, object: &mut Self::Object, offset: u32, data: &[u8]) -> Result<(), StorageError> {
        let mut world = self.device.borrow_mut();
        world.change()?;
        let Some(Some(contents)) = world.objects.get_mut(&object.name) else {
            return Err(StorageError::Corrupt);
        };
        let end = offset as usize + data.len();
        if contents.len() < end {
            let longer = [&contents[..], &vec![0; end - contents.len()]].concat();
            wipe(Some(Some(std::mem::replace(contents, longer))));
        }
        contents[offset as usize..end].copy_from_slice(data);
        Ok(())
    }

    fn delete(&mut self, object: Self::Object) -> Result<(), StorageError> {
        let mut world = self.device.borrow_mut();
        world.change()?;
        wipe(world.objects.remove(&object.name));
        drop(world);
        Ok(())
    }

    fn invoke_peer(
        &mut self,
        peer: Service,
        method: u32,
        request: &[u8],
        reply: &mut [u8],
    ) -> Result<usize, Error> {
        if !edges::allows(self.service, peer) {
            return Err(Error::EdgeForbidden);
        }
        let peer = self.device.borrow().peers.get(&peer).and_then(Weak::upgrade).ok_or(Error::PeerDead)?;
        // A busy peer is a cycle, which halts OP-TEE's core.
        let mut peer =
            peer.try_borrow_mut().unwrap_or_else(|_| panic!("a call came back to a busy trusted app"));
        peer.invoke_as(self.uuid, method, request, reply)
    }

    fn map(&mut self, len: usize) -> Result<HostMemory, Error> {
        let mut world = self.device.borrow_mut();
        let len = len.next_multiple_of(4096);
        if world.mapped + len > GUEST_MEMORY {
            return Err(Error::OutOfMemory);
        }
        world.mapped += len;
        Ok(HostMemory { len, device: self.device.clone() })
    }

    fn within<R>(_: &mut HostMemory, act: impl FnOnce() -> R) -> R {
        act()
    }

    fn anti_rollback(&mut self) -> u32 {
        self.device.borrow().anti_rollback.unwrap_or(rollback::BY_REE)
    }

    fn stamp(&self) -> Option<Signer> {
        self.stamp
    }
}

/// One running trusted app of a simulated device.
pub struct HostApp<A> {
    /// The trusted app; tests look into it.
    pub app: A,
    tee: HostTee,
    sessions: u32,
    /// Sessions of other trusted apps, by UUID.
    peers: BTreeMap<Uuid, u32>,
}

impl<A: TrustedApp<HostTee> + 'static> HostApp<A> {
    /// Starts the native trusted app, in place of one that ran: its memory is lost, its objects are not. It runs as
    /// long as somebody holds it.
    #[must_use]
    pub fn start(device: &Device) -> Rc<RefCell<Self>> {
        let app = Rc::new(RefCell::new(Self::over(HostTee::new(A::SERVICE, device))));
        let weak = Rc::downgrade(&app);
        device.borrow_mut().peers.insert(A::SERVICE, weak);
        app
    }

    /// Starts a TVM, which nobody calls but clients.
    #[must_use]
    pub fn over(tee: HostTee) -> Self {
        Self { app: A::default(), tee, sessions: 0, peers: BTreeMap::new() }
    }

    /// Opens a session.
    ///
    /// # Errors
    /// The trusted app's refusal.
    pub fn open(&mut self, caller: Caller) -> Result<u32, Error> {
        self.app.open(&mut self.tee, self.sessions + 1, caller)?;
        self.sessions += 1;
        Ok(self.sessions)
    }

    /// Closes a session.
    pub fn close(&mut self, session: u32) {
        self.app.close(&mut self.tee, session);
    }

    /// Invokes a method.
    ///
    /// # Errors
    /// The trusted app's refusal.
    pub fn invoke(
        &mut self,
        session: u32,
        method: u32,
        request: &[u8],
        reply: &mut [u8],
    ) -> Result<usize, Error> {
        stack::invoke(&mut self.app, &mut self.tee, session, method, request, reply)
    }
}

impl<A: TrustedApp<HostTee> + 'static> Peer for HostApp<A> {
    fn invoke_as(
        &mut self,
        caller: Uuid,
        method: u32,
        request: &[u8],
        reply: &mut [u8],
    ) -> Result<usize, Error> {
        let session = match self.peers.get(&caller) {
            Some(session) => *session,
            None => {
                let session = self.open(Caller { login: login::TRUSTED_APP, uuid: caller })?;
                self.peers.insert(caller, session);
                session
            }
        };
        self.invoke(session, method, request, reply)
    }

    fn gone(&mut self, caller: Uuid) {
        if let Some(session) = self.peers.remove(&caller) {
            self.close(session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[test]
    fn the_host_adapter_conforms() {
        let mut tee = HostTee::new(Service::Pin, &Device::default());
        assert_eq!(conformance::run(&mut tee, Service::Card), Ok(17));
    }

    #[test]
    fn after_a_power_cut_nothing_is_written() {
        let device = Device::default();
        let mut tee = HostTee::new(Service::Pin, &device);
        let mut object = tee.create(b"a", b"old").unwrap();
        device.borrow_mut().changes_left = Some(1);
        assert_eq!(tee.write(&mut object, 0, b"new"), Err(StorageError::Failed));
        assert_eq!(tee.create(b"b", b"").err(), Some(StorageError::Failed));
        let mut out = [0; 3];
        assert_eq!((tee.read(&mut object, &mut out), &out), (Ok(3), b"old"));
    }
}
