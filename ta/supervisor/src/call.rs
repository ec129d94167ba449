//! One invocation of the supervisor.

use crate::{
    log::{self, Pages},
    policy,
};
use tapvault_proto::{
    Error, PROTOCOL_VERSION,
    id::{Address, Caller, ProviderId, Uuid},
    service::Service,
    supervisor::{
        AdmitReply, AdmitRequest, AuditEvent, AuditExportReply, AuditExportRequest, AuditFlushReply,
        AuditFlushRequest, AuditHeadReply, AuditHeadRequest, InstallPolicyReply, InstallPolicyRequest,
        PostRequest, ProviderEntry, ProviderReply, ProviderRequest, ProvidersReply, ProvidersRequest,
        RegisterReply, RegisterRequest, ReleaseReply, ReleaseRequest, SessionsReply, SessionsRequest,
        StatusReply, StatusRequest, SupervisorService, TakeRequest, TrustletsReply, TrustletsRequest,
    },
    trustlet::network::{PostReply, TakeReply},
    tvm::TrustletState,
};
use tapvault_tee::Tee;
use tapvault_trust::{IS_LAB, PLATFORM_KEY};
use teei_hypervisor::{
    audit::Audit,
    directory::Directory,
    policy::{Policy, Provider},
    registry::Registry,
};

/// One invocation.
pub struct Call<'a, T> {
    pub registry: &'a mut Registry,
    pub directory: &'a mut Directory,
    pub audit: &'a mut Audit,
    pub tee: &'a mut T,
    pub session: u32,
    pub caller: Caller,
}

impl<T: Tee> Call<'_, T> {
    fn note(&mut self, event: (AuditEvent, Uuid, Uuid, u32)) {
        log::note(self.audit, self.tee, self.registry, event);
    }

    /// The provider whose TVM asks. The core vouches for the TVM's UUID, the policy for whose it is.
    fn provider(&self) -> Result<&Provider, Error> {
        self.registry.policy().provider_of(self.caller.uuid).ok_or(Error::AccessDenied)
    }

    fn flush(&mut self) -> Result<u32, Error> {
        self.audit.flush(&mut Pages(self.tee))
    }
}

impl<T: Tee> SupervisorService for Call<'_, T> {
    fn status(&mut self, _: StatusRequest) -> Result<StatusReply, Error> {
        Ok(StatusReply {
            protocol: PROTOCOL_VERSION,
            policy_version: self.registry.policy().version,
            epoch: self.registry.epoch(),
            live_sessions: self.registry.live_sessions(),
            lab: IS_LAB,
        })
    }

    fn admit(&mut self, request: AdmitRequest) -> Result<AdmitReply, Error> {
        // A service asks for sessions with itself and no other.
        let target = self.caller.uuid;
        let admitted = self.registry.admit(target, &request.caller, self.session);
        log::admission(self.audit, self.tee, self.registry, target, &request.caller, admitted.is_ok());
        admitted
    }

    fn release(&mut self, request: ReleaseRequest) -> Result<ReleaseReply, Error> {
        self.registry.release(&request, self.session).map(|()| ReleaseReply {})
    }

    fn install_policy(&mut self, request: InstallPolicyRequest) -> Result<InstallPolicyReply, Error> {
        let next = Policy::verify(&request.document, &request.signature, &PLATFORM_KEY)?;
        self.registry.check_newer(&next)?;
        // What led to a change is durable before the change.
        self.flush()?;
        let version = next.version;
        policy::store(self.tee, &request, version, self.registry.policy().version)?;
        self.directory.keep(&next);
        self.registry.replace_policy(next);
        self.note((AuditEvent::Policy, Service::Supervisor.uuid(), self.caller.uuid, version));
        Ok(InstallPolicyReply { version })
    }

    fn sessions(&mut self, request: SessionsRequest) -> Result<SessionsReply, Error> {
        Ok(SessionsReply { callers: self.registry.sessions(request.target) })
    }

    fn providers(&mut self, _: ProvidersRequest) -> Result<ProvidersReply, Error> {
        let entry = |provider: &Provider| ProviderEntry {
            provider: provider.id,
            tvm: provider.tvm,
            quota: provider.quota,
            messages: count(self.directory.waiting_for(provider.id)),
            trustlets: count(self.directory.trustlets(provider.id).len()),
        };
        Ok(ProvidersReply { providers: self.registry.policy().providers().iter().map(entry).collect() })
    }

    fn trustlets(&mut self, request: TrustletsRequest) -> Result<TrustletsReply, Error> {
        Ok(TrustletsReply { trustlets: self.directory.trustlets(request.provider) })
    }

    fn audit_flush(&mut self, _: AuditFlushRequest) -> Result<AuditFlushReply, Error> {
        self.flush().map(|last| AuditFlushReply { last })
    }

    fn audit_export(&mut self, request: AuditExportRequest) -> Result<AuditExportReply, Error> {
        self.audit.export(&mut Pages(self.tee), request.from)
    }

    fn audit_head(&mut self, request: AuditHeadRequest) -> Result<AuditHeadReply, Error> {
        log::head(self.audit, self.tee, &request.nonce)
    }

    fn provider(&mut self, _: ProviderRequest) -> Result<ProviderReply, Error> {
        let Provider { id, quota, services, .. } = *Call::provider(self)?;
        Ok(ProviderReply { provider: id, quota, services })
    }

    fn register(&mut self, request: RegisterRequest) -> Result<RegisterReply, Error> {
        let RegisterRequest { name, state, version, peers, changes } = request;
        let (provider, tvm) = (Call::provider(self)?.id, self.caller.uuid);
        if changes {
            let mut subject = [0; 16];
            subject.iter_mut().zip(name.as_bytes()).for_each(|(slot, byte)| *slot = *byte);
            // The change is in the log before the TVM makes it.
            self.note((event_of(state), tvm, Uuid(subject), version));
            self.flush()?;
        }
        self.directory.register(Address { provider, name }, state, version, peers)?;
        Ok(RegisterReply {})
    }

    fn post(&mut self, request: PostRequest) -> Result<PostReply, Error> {
        let from = Address { provider: Call::provider(self)?.id, name: request.from };
        let number = self.directory.post(self.registry.policy(), from, request.to, request.body)?;
        Ok(PostReply { epoch: self.registry.epoch(), number })
    }

    fn take(&mut self, request: TakeRequest) -> Result<TakeReply, Error> {
        let provider: ProviderId = Call::provider(self)?.id;
        let address = Address { provider, name: request.name };
        // After a restart its TVM has to tell of it first; senders cannot reach it until then.
        if !self.directory.knows(&address) {
            return Err(Error::UnknownTrustlet);
        }
        Ok(TakeReply { mail: self.directory.take(&address) })
    }
}

const fn event_of(state: TrustletState) -> AuditEvent {
    match state {
        TrustletState::Installed => AuditEvent::Installed,
        TrustletState::Active => AuditEvent::Activated,
        TrustletState::Locked => AuditEvent::Locked,
        TrustletState::Removed => AuditEvent::Removed,
    }
}

fn count(value: usize) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}
