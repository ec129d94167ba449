//! The supervisor: admits callers to the services, keeps the signed policy and the session quotas.
//!
//! It answers what [`teei_hypervisor`] decides; here are only its memory, its storage and its sessions.
#![no_std]
#![forbid(unsafe_code)]

use heapless::Vec;
use tapvault_proto::{
    Error, PROTOCOL_VERSION,
    id::Caller,
    service::{Rights, Service},
    supervisor::{
        AdmitReply, AdmitRequest, InstallPolicyReply, InstallPolicyRequest, ReleaseReply, ReleaseRequest,
        SessionsReply, SessionsRequest, StatusReply, StatusRequest, SupervisorService,
    },
    wire::{Wire, decode_exact, encode_into},
};
use tapvault_tee::{StorageError, Tee, TrustedApp};
use tapvault_trust::{BOOT_SERVICE, IS_LAB, PLATFORM_KEY};
use teei_hypervisor::{policy::Policy, registry::Registry};

/// Most sessions with the supervisor itself: the services, the boot service, platform tools.
const MAX_LINKS: usize = 16;
/// Name of the object that holds the policy in force: an encoded [`InstallPolicyRequest`].
const POLICY_OBJECT: &[u8] = b"policy";

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
    links: Vec<Link, MAX_LINKS>,
}

impl Supervisor {
    fn registry<T: Tee>(&mut self, tee: &mut T) -> Result<&mut Registry, Error> {
        if self.registry.is_none() {
            let policy = stored_policy(tee)?;
            let mut epoch = [0; 8];
            tee.random(&mut epoch);
            self.registry = Some(Registry::new(u64::from_be_bytes(epoch), BOOT_SERVICE, policy));
        }
        self.registry.as_mut().ok_or(Error::Internal)
    }
}

/// The stored policy, checked again as if it had just come in; without an intact one the empty policy,
/// under which nobody but the boot service is admitted.
fn stored_policy<T: Tee>(tee: &mut T) -> Result<Policy, Error> {
    let mut object = match tee.open(POLICY_OBJECT) {
        Ok(object) => object,
        Err(StorageError::NotFound | StorageError::Corrupt) => return Ok(Policy::default()),
        Err(error) => return Err(error.into()),
    };
    let mut stored = [0; InstallPolicyRequest::MAX];
    let len = match tee.read(&mut object, &mut stored) {
        Ok(len) => len,
        Err(StorageError::Corrupt) => return Ok(Policy::default()),
        Err(error) => return Err(error.into()),
    };
    let intact = stored.get(..len).and_then(|bytes| decode_exact::<InstallPolicyRequest>(bytes).ok());
    let verify = |stored: InstallPolicyRequest| {
        Policy::verify(&stored.document, &stored.signature, &PLATFORM_KEY).ok()
    };
    Ok(intact.and_then(verify).unwrap_or_default())
}

impl<T: Tee> TrustedApp<T> for Supervisor {
    const SERVICE: Service = Service::Supervisor;

    fn open(&mut self, tee: &mut T, session: u32, caller: Caller) -> Result<(), Error> {
        if self.links.is_full() {
            return Err(Error::OutOfMemory);
        }
        // A session with the supervisor counts like any other, asked for over itself.
        let rights = self.registry(tee)?.admit(Service::Supervisor, &caller, session)?.rights;
        self.links.push(Link { session, caller, rights }).map_err(|_| Error::OutOfMemory)
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
        let registry = self.registry(tee)?;
        Call { registry, tee, session, caller }.dispatch(rights, method, request, reply)
    }
}

/// One invocation.
struct Call<'a, T> {
    registry: &'a mut Registry,
    tee: &'a mut T,
    session: u32,
    caller: Caller,
}

impl<T: Tee> SupervisorService for Call<'_, T> {
    fn status(&mut self, _: StatusRequest) -> Result<StatusReply, Error> {
        Ok(StatusReply {
            protocol: PROTOCOL_VERSION,
            policy_version: self.registry.policy_version(),
            epoch: self.registry.epoch(),
            live_sessions: self.registry.live_sessions(),
            lab: IS_LAB,
        })
    }

    fn admit(&mut self, request: AdmitRequest) -> Result<AdmitReply, Error> {
        let service = Service::by_uuid(self.caller.uuid).ok_or(Error::AccessDenied)?;
        self.registry.admit(service, &request.caller, self.session)
    }

    fn release(&mut self, request: ReleaseRequest) -> Result<ReleaseReply, Error> {
        self.registry.release(&request, self.session).map(|()| ReleaseReply {})
    }

    fn install_policy(&mut self, request: InstallPolicyRequest) -> Result<InstallPolicyReply, Error> {
        let policy = Policy::verify(&request.document, &request.signature, &PLATFORM_KEY)?;
        self.registry.check_newer(&policy)?;
        let mut stored = [0; InstallPolicyRequest::MAX];
        let len = encode_into(&request, &mut stored)?;
        self.tee.create(POLICY_OBJECT, stored.get(..len).ok_or(Error::Internal)?)?;
        let version = policy.version;
        self.registry.replace_policy(policy);
        Ok(InstallPolicyReply { version })
    }

    fn sessions(&mut self, request: SessionsRequest) -> Result<SessionsReply, Error> {
        Ok(SessionsReply { callers: self.registry.sessions(request.service) })
    }
}
