//! A TEE in the process: the same trusted-app logic over the host adapter of the port. **NO SECURITY**:
//! keys are ordinary memory. It proves nothing about a device; it lets a wallet be tried without one.

use crate::{Channel, ClientError, Transport, transport::MAX_REPLY};
use std::{cell::RefCell, rc::Rc};
use tapvault_card::Card;
use tapvault_pin::Pin;
use tapvault_proto::{Error, id::Caller, service::Service};
use tapvault_supervisor::Supervisor;
use tapvault_tee::host::{Device, HostApp, HostTee};

/// A simulated device, seen by one caller.
#[derive(Clone)]
pub struct Sim {
    apps: Rc<RefCell<Apps>>,
    caller: Caller,
}

struct Apps {
    device: Device,
    supervisor: Rc<RefCell<HostApp<Supervisor>>>,
    pin: Rc<RefCell<HostApp<Pin<HostTee>>>>,
    card: Rc<RefCell<HostApp<Card>>>,
    /// Counts starts, so that channels of an earlier one are known to be dead.
    start: u32,
}

impl Apps {
    fn start(device: &Device, start: u32) -> Self {
        Self {
            device: device.clone(),
            supervisor: HostApp::start(device),
            pin: HostApp::start(device),
            card: HostApp::start(device),
            start,
        }
    }
}

impl Sim {
    /// A device that just started, with what `device` holds in storage.
    #[must_use]
    pub fn new(device: &Device, caller: Caller) -> Self {
        Self { apps: Rc::new(RefCell::new(Apps::start(device, 0))), caller }
    }

    /// The same device as another caller sees it.
    #[must_use]
    pub fn as_caller(&self, caller: Caller) -> Self {
        Self { apps: self.apps.clone(), caller }
    }

    /// Restarts every trusted app: memory is lost, storage is not.
    pub fn restart(&self) {
        let mut apps = self.apps.borrow_mut();
        *apps = Apps::start(&apps.device.clone(), apps.start + 1);
    }

    /// Restarts the supervisor alone, as after its death; the services find out by themselves.
    pub fn restart_supervisor(&self) {
        let mut apps = self.apps.borrow_mut();
        apps.supervisor = HostApp::start(&apps.device.clone());
    }
}

/// A session with a simulated trusted app.
pub struct SimChannel {
    apps: Rc<RefCell<Apps>>,
    service: Service,
    session: u32,
    start: u32,
    reply: Box<[u8; MAX_REPLY]>,
}

impl Transport for Sim {
    type Channel = SimChannel;

    fn connect(&self, service: Service) -> Result<SimChannel, ClientError> {
        let apps = self.apps.borrow();
        let opened = match service {
            Service::Supervisor => apps.supervisor.borrow_mut().open(self.caller),
            Service::Pin => apps.pin.borrow_mut().open(self.caller),
            Service::Card => apps.card.borrow_mut().open(self.caller),
        };
        let session = opened.map_err(ClientError::refused)?;
        let (apps, start) = (self.apps.clone(), apps.start);
        Ok(SimChannel { apps, service, session, start, reply: Box::new([0; MAX_REPLY]) })
    }
}

impl Channel for SimChannel {
    fn invoke(&mut self, method: u32, request: &[u8]) -> Result<&[u8], ClientError> {
        let apps = self.apps.borrow();
        if apps.start != self.start {
            return Err(ClientError::refused(Error::PeerDead));
        }
        let reply = self.reply.as_mut_slice();
        let done = match self.service {
            Service::Supervisor => apps.supervisor.borrow_mut().invoke(self.session, method, request, reply),
            Service::Pin => apps.pin.borrow_mut().invoke(self.session, method, request, reply),
            Service::Card => apps.card.borrow_mut().invoke(self.session, method, request, reply),
        };
        let len = done.map_err(ClientError::refused)?;
        self.reply.get(..len).ok_or(ClientError::refused(Error::Internal))
    }
}

impl Drop for SimChannel {
    fn drop(&mut self) {
        let apps = self.apps.borrow();
        if apps.start != self.start {
            return;
        }
        match self.service {
            Service::Supervisor => apps.supervisor.borrow_mut().close(self.session),
            Service::Pin => apps.pin.borrow_mut().close(self.session),
            Service::Card => apps.card.borrow_mut().close(self.session),
        }
    }
}
