//! The supervisor: admits callers to the services, keeps the signed policy and the session quotas, carries
//! messages between TVMs, and writes the audit log.
//!
//! It answers what [`teei_hypervisor`] decides; here are only its memory, its storage and its sessions.
#![no_std]
#![forbid(unsafe_code)]

mod call;
mod log;
mod policy;

use call::Call;
use heapless::Vec;
use tapvault_proto::{
    Error,
    id::{Caller, Uuid},
    service::{Rights, Service},
    supervisor::{AuditEvent, SupervisorService},
};
use tapvault_tee::{Tee, TrustedApp};
use tapvault_trust::BOOT_SERVICE;
use teei_hypervisor::{audit::Audit, directory::Directory, registry::Registry};

/// Most sessions with the supervisor itself: the services, TVMs, the boot service, platform tools.
const MAX_LINKS: usize = 24;

/// A session with the supervisor.
struct Link {
    session: u32,
    caller: Caller,
    rights: Rights,
}

/// The supervisor.
#[derive(Default)]
pub struct Supervisor {
    /// Made at the first call: a trusted app's creation must not fail, storage can.
    registry: Option<Registry>,
    directory: Directory,
    audit: Audit,
    links: Vec<Link, MAX_LINKS>,
}

impl Supervisor {
    fn registry<T: Tee>(&mut self, tee: &mut T) -> Result<&mut Registry, Error> {
        if self.registry.is_none() {
            let policy = policy::stored(tee)?;
            let mut epoch = [0; 8];
            tee.random(&mut epoch);
            let registry = Registry::new(u64::from_be_bytes(epoch), BOOT_SERVICE, policy);
            let (version, nobody) = (registry.policy().version, Uuid([0; 16]));
            log::note(&mut self.audit, tee, &registry, (AuditEvent::Started, nobody, nobody, version));
            self.registry = Some(registry);
        }
        self.registry.as_mut().ok_or(Error::Internal)
    }
}

impl<T: Tee> TrustedApp<T> for Supervisor {
    const SERVICE: Service = Service::Supervisor;

    fn open(&mut self, tee: &mut T, session: u32, caller: Caller) -> Result<(), Error> {
        if self.links.is_full() {
            return Err(Error::OutOfMemory);
        }
        // A session with the supervisor counts like any other, asked for over itself.
        let target = Service::Supervisor.uuid();
        let admitted = self.registry(tee)?.admit(target, &caller, session);
        if let Some(registry) = &self.registry {
            log::admission(&mut self.audit, tee, registry, target, &caller, admitted.is_ok());
        }
        self.links.push(Link { session, caller, rights: admitted?.rights }).map_err(|_| Error::OutOfMemory)
    }

    fn close(&mut self, _: &mut T, session: u32) {
        self.links.retain(|link| link.session != session);
        if let Some(registry) = &mut self.registry {
            registry.drop_link(session);
        }
    }

    fn invoke(
        &mut self,
        tee: &mut T,
        session: u32,
        method: u32,
        request: &[u8],
        reply: &mut [u8],
    ) -> Result<usize, Error> {
        let link = self.links.iter().find(|link| link.session == session).ok_or(Error::AccessDenied)?;
        let (rights, caller) = (link.rights, link.caller);
        self.registry(tee)?;
        let Self { registry: Some(registry), directory, audit, .. } = self else {
            return Err(Error::Internal);
        };
        Call { registry, directory, audit, tee, session, caller }.dispatch(rights, method, request, reply)
    }
}
