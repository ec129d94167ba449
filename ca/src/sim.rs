//! A TEE in the process: the same trusted-app logic over the host adapter of the port. **NO SECURITY**:
//! keys are ordinary memory. It proves nothing about a device; it lets a wallet be tried without one.

use crate::{Channel, ClientError, Transport, error::Origin, transport::MAX_REPLY};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    rc::{Rc, Weak},
};
use tapvault_card::Card;
use tapvault_pin::Pin;
use tapvault_proto::{
    Error,
    id::{Caller, Uuid},
    service::Service,
};
use tapvault_supervisor::Supervisor;
use tapvault_tee::{
    TrustedApp,
    host::{Device, HostApp, HostTee},
};
use tapvault_tvm::Tvm;
use teei_hypervisor::manifest::Signer;

/// A trusted app of any kind.
trait App {
    fn open(&mut self, caller: Caller) -> Result<u32, Error>;
    fn close(&mut self, session: u32);
    fn invoke(&mut self, session: u32, method: u32, request: &[u8], reply: &mut [u8])
    -> Result<usize, Error>;
}

impl<A: TrustedApp<HostTee> + 'static> App for HostApp<A> {
    fn open(&mut self, caller: Caller) -> Result<u32, Error> {
        HostApp::open(self, caller)
    }
    fn close(&mut self, session: u32) {
        HostApp::close(self, session);
    }
    fn invoke(
        &mut self,
        session: u32,
        method: u32,
        request: &[u8],
        reply: &mut [u8],
    ) -> Result<usize, Error> {
        HostApp::invoke(self, session, method, request, reply)
    }
}

/// One start of one trusted app.
type Running = Rc<RefCell<dyn App>>;

/// A simulated device, seen by one caller.
#[derive(Clone)]
pub struct Sim {
    device: Device,
    apps: Rc<RefCell<BTreeMap<Uuid, Running>>>,
    tvms: Rc<RefCell<BTreeMap<Uuid, Signer>>>,
    caller: Caller,
}

impl Sim {
    /// A device that just started, with what `device` holds in storage.
    #[must_use]
    pub fn new(device: &Device, caller: Caller) -> Self {
        let sim = Self { device: device.clone(), apps: Rc::default(), tvms: Rc::default(), caller };
        sim.restart();
        sim
    }

    /// The same device as another caller sees it.
    #[must_use]
    pub fn as_caller(&self, caller: Caller) -> Self {
        Self { caller, ..self.clone() }
    }

    /// Puts a provider's TVM on the device, as its maker does: an image stamped for `signer`.
    pub fn add_tvm(&self, uuid: Uuid, signer: Signer) {
        self.tvms.borrow_mut().insert(uuid, signer);
        self.start(uuid);
    }

    /// Restarts every trusted app: memory is lost, storage is not.
    pub fn restart(&self) {
        let tvms: Vec<_> = self.tvms.borrow().keys().copied().collect();
        // Callers first: what ends closes its sessions with what is still there.
        tvms.into_iter()
            .chain([Service::Card, Service::Pin, Service::Supervisor].map(Service::uuid))
            .for_each(|uuid| {
                self.apps.borrow_mut().remove(&uuid);
            });
        let tvms: Vec<_> = self.tvms.borrow().keys().copied().collect();
        Service::NATIVE.map(Service::uuid).into_iter().chain(tvms).for_each(|uuid| self.start(uuid));
    }

    /// Restarts one trusted app, as after its death; the others find out by themselves.
    pub fn restart_app(&self, uuid: Uuid) {
        self.apps.borrow_mut().remove(&uuid);
        self.start(uuid);
    }

    fn start(&self, uuid: Uuid) {
        let app: Running = match Service::by_uuid(uuid) {
            Some(Service::Supervisor) => HostApp::<Supervisor>::start(&self.device),
            Some(Service::Pin) => HostApp::<Pin<HostTee>>::start(&self.device),
            Some(Service::Card) => HostApp::<Card>::start(&self.device),
            _ => {
                let Some(signer) = self.tvms.borrow().get(&uuid).copied() else { return };
                let tee = HostTee::tvm(uuid, signer, &self.device);
                Rc::new(RefCell::new(HostApp::<Tvm<HostTee>>::over(tee)))
            }
        };
        self.apps.borrow_mut().insert(uuid, app);
    }
}

/// A session with a simulated trusted app.
pub struct SimChannel {
    /// The start the session is with; gone when the trusted app started again.
    app: Weak<RefCell<dyn App>>,
    session: u32,
    reply: Box<[u8; MAX_REPLY]>,
}

impl Transport for Sim {
    type Channel = SimChannel;

    fn open(&self, app: Uuid) -> Result<SimChannel, ClientError> {
        let running = self.apps.borrow().get(&app).cloned();
        // As OP-TEE answers for a trusted app it does not find.
        let missing = ClientError::Call { code: 0xFFFF_0008, origin: Origin::Tee };
        let running = running.ok_or(missing)?;
        let session = running.borrow_mut().open(self.caller).map_err(ClientError::refused)?;
        let reply = Box::new([0; MAX_REPLY]);
        Ok(SimChannel { app: Rc::downgrade(&running), session, reply })
    }
}

impl Channel for SimChannel {
    fn invoke(&mut self, method: u32, request: &[u8]) -> Result<&[u8], ClientError> {
        let app = self.app.upgrade().ok_or(ClientError::refused(Error::PeerDead))?;
        let done = app.borrow_mut().invoke(self.session, method, request, self.reply.as_mut_slice());
        let len = done.map_err(ClientError::refused)?;
        self.reply.get(..len).ok_or(ClientError::refused(Error::Internal))
    }
}

impl Drop for SimChannel {
    fn drop(&mut self) {
        if let Some(app) = self.app.upgrade() {
            app.borrow_mut().close(self.session);
        }
    }
}
