//! The supervisor's methods: admission for services, policy for the platform.

use crate::{
    id::{Address, Caller, ProviderId, TrustletName, Uuid},
    service::Rights,
    trustlet::network::{self, MAX_MAIL},
    tvm::TrustletState,
    wire::Bytes,
};

/// Longest policy document in bytes.
pub const MAX_POLICY: usize = 6144;
/// Most providers in one policy.
pub const MAX_PROVIDERS: usize = 12;
/// Most trustlets of other providers that a manifest names.
pub const MAX_PEERS: usize = 4;
/// Audit entries in one [`AuditExportReply`].
pub const MAX_AUDIT_PAGE: usize = 8;

crate::message! {
    /// Asks for version and state.
    #[derive(Clone, Debug, PartialEq, Eq)]
    StatusRequest {}
}
crate::message! {
    /// The supervisor's version and state.
    #[derive(Clone, Debug, PartialEq, Eq)]
    StatusReply {
        /// [`crate::PROTOCOL_VERSION`] of the trusted app.
        protocol: u16,
        /// Version of the policy in force; 0 when none is installed.
        policy_version: u32,
        /// Random number of this start of the supervisor.
        epoch: u64,
        /// Sessions admitted and not yet released.
        live_sessions: u16,
        /// Whether it believes any of the lab's keys, which everybody has: such a build protects nothing.
        lab: bool,
    }
}
crate::message! {
    /// A service asks whether a caller may open a session.
    #[derive(Clone, Debug, PartialEq, Eq)]
    AdmitRequest {
        /// The caller as the OP-TEE core named it to the service.
        caller: Caller,
    }
}
crate::message! {
    /// The caller is admitted.
    #[derive(Clone, Debug, PartialEq, Eq)]
    AdmitReply {
        /// The supervisor's epoch; a change means that live sessions must be registered again.
        epoch: u64,
        /// Names the admission within the epoch.
        admission: u32,
        /// What the session may do.
        rights: Rights,
        /// The provider whose TVM the caller is; all zero for any other caller.
        provider: ProviderId,
    }
}
crate::message! {
    /// A service tells that a session closed.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ReleaseRequest {
        /// From [`AdmitReply`].
        epoch: u64,
        /// From [`AdmitReply`].
        admission: u32,
    }
}
crate::message! {
    /// The session's quota was given back.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ReleaseReply {}
}
crate::message! {
    /// Installs a policy signed by the platform key.
    #[derive(Clone, Debug, PartialEq, Eq)]
    InstallPolicyRequest {
        /// The JSON document, byte for byte as signed.
        document: Bytes<MAX_POLICY>,
        /// ECDSA P-256 with SHA-256 over the document, `r‖s`.
        signature: [u8; 64],
    }
}
crate::message! {
    /// The policy is stored and in force.
    #[derive(Clone, Debug, PartialEq, Eq)]
    InstallPolicyReply {
        /// Its version.
        version: u32,
    }
}
crate::message! {
    /// Asks for the sessions with one trusted app.
    #[derive(Clone, Debug, PartialEq, Eq)]
    SessionsRequest {
        /// The trusted app.
        target: Uuid,
    }
}
crate::message! {
    /// How many sessions a caller holds.
    #[derive(Clone, Debug, PartialEq, Eq)]
    SessionCount {
        /// The caller.
        caller: Caller,
        /// Its live sessions.
        live: u16,
        /// The most it may hold.
        limit: u16,
    }
}
crate::message! {
    /// Sessions with one trusted app, by caller.
    #[derive(Clone, Debug, PartialEq, Eq)]
    SessionsReply {
        /// One entry per caller with a live session.
        callers: heapless::Vec<SessionCount, 16>,
    }
}

crate::message! {
    /// What the policy allows a provider, all its trustlets and sessions together.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    Quota {
        /// Guests that run at once.
        guests: u8,
        /// Memory of all guests, in KiB.
        memory_kib: u16,
        /// Bytes in all stores.
        store: u16,
        /// Messages that wait in the mailboxes of its trustlets, and of those it sent to others.
        messages: u8,
        /// Signatures and other public-key work in a minute.
        signatures: u16,
        /// Storage accesses, reads and writes, in a minute.
        accesses: u16,
        /// Modules loaded in a minute.
        loads: u16,
    }
}
crate::message! {
    /// A TVM asks who it is and what it may.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ProviderRequest {}
}
crate::message! {
    /// What the policy says of a provider.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ProviderReply {
        /// The provider.
        provider: ProviderId,
        /// What it may.
        quota: Quota,
        /// The services its trustlets may ask for: [`crate::service::Service::bit`] of each.
        services: u32,
    }
}
crate::message! {
    /// A TVM tells of a trustlet, so that others can reach it and the registry shows it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    RegisterRequest {
        /// Which trustlet.
        name: TrustletName,
        /// Where it is in its life.
        state: TrustletState,
        /// Version of its manifest.
        version: u32,
        /// Whom its manifest lets it exchange messages with.
        peers: heapless::Vec<Address, MAX_PEERS>,
        /// Whether this is a change about to be made, which goes into the audit log first; else the
        /// supervisor is told of what is.
        changes: bool,
    }
}
crate::message! {
    /// The registry holds it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    RegisterReply {}
}
crate::message! {
    /// A TVM posts a message of one of its trustlets.
    #[derive(Clone, Debug, PartialEq, Eq)]
    PostRequest {
        /// The sender; its provider is the asking TVM's.
        from: TrustletName,
        /// To whom.
        to: Address,
        /// The message.
        body: Bytes<MAX_MAIL>,
    }
}
crate::message! {
    /// A TVM takes the oldest message for one of its trustlets.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TakeRequest {
        /// The receiver.
        name: TrustletName,
    }
}
crate::message! {
    /// Asks for the providers in the policy.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ProvidersRequest {}
}
crate::message! {
    /// A provider, what it may and what it uses.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ProviderEntry {
        /// The provider.
        provider: ProviderId,
        /// Its TVM.
        tvm: Uuid,
        /// What it may.
        quota: Quota,
        /// Messages that wait for its trustlets.
        messages: u8,
        /// Its trustlets that the registry knows.
        trustlets: u8,
    }
}
crate::message! {
    /// Every provider in the policy.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ProvidersReply {
        /// In the order of the policy.
        providers: heapless::Vec<ProviderEntry, MAX_PROVIDERS>,
    }
}
crate::message! {
    /// Asks for the trustlets of one provider.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TrustletsRequest {
        /// The provider.
        provider: ProviderId,
    }
}
crate::message! {
    /// What the registry knows of a trustlet.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TrustletInfo {
        /// Its name.
        name: TrustletName,
        /// Where it is in its life.
        state: TrustletState,
        /// Version of its manifest.
        version: u32,
        /// Messages in its mailbox.
        messages: u8,
    }
}
crate::message! {
    /// The trustlets of one provider.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TrustletsReply {
        /// Those that were active or changed since the supervisor started.
        trustlets: heapless::Vec<TrustletInfo, { crate::tvm::MAX_TRUSTLETS }>,
    }
}
crate::code! {
    /// What an audit entry is about.
    AuditEvent {
        /// The supervisor started.
        Started = 1,
        /// A caller was admitted.
        Admitted = 2,
        /// A caller was refused.
        Refused = 3,
        /// A policy was put in force; `detail` is its version.
        Policy = 4,
        /// Entries were lost: `detail` says how many gave way in memory.
        Lost = 5,
        /// A trustlet is about to be installed; `subject` begins with its name, `detail` is its version.
        Installed = 6,
        /// A trustlet is about to become active, or a newer version of an active one is installed.
        Activated = 7,
        /// A trustlet is about to be locked.
        Locked = 8,
        /// A trustlet is about to be removed.
        Removed = 9,
    }
}
crate::message! {
    /// One entry of the audit log.
    #[derive(Clone, Debug, PartialEq, Eq)]
    AuditEntry {
        /// Counts from 1 without a gap.
        number: u32,
        /// TEE system time in milliseconds, of the start that `epoch` names.
        time: u64,
        /// Start of the supervisor.
        epoch: u64,
        /// What happened.
        event: AuditEvent,
        /// Which trusted app, or which provider's TVM.
        target: Uuid,
        /// Who: a caller's UUID, or a trustlet's name filled up with zeros.
        subject: Uuid,
        /// See [`AuditEvent`].
        detail: u32,
    }
}
crate::message! {
    /// Makes the entries in memory durable.
    #[derive(Clone, Debug, PartialEq, Eq)]
    AuditFlushRequest {}
}
crate::message! {
    /// Everything up to here is in storage.
    #[derive(Clone, Debug, PartialEq, Eq)]
    AuditFlushReply {
        /// Number of the last entry.
        last: u32,
    }
}
crate::message! {
    /// Asks for durable entries.
    #[derive(Clone, Debug, PartialEq, Eq)]
    AuditExportRequest {
        /// Number of the first entry asked for.
        from: u32,
    }
}
crate::message! {
    /// Entries, and the chain's value before the first of them.
    #[derive(Clone, Debug, PartialEq, Eq)]
    AuditExportReply {
        /// Number of the oldest entry that is kept.
        oldest: u32,
        /// The chain's value before the first entry here.
        before: [u8; 32],
        /// In order, without a gap; empty behind the end.
        entries: heapless::Vec<AuditEntry, MAX_AUDIT_PAGE>,
    }
}
crate::message! {
    /// Asks for the chain's end, signed.
    #[derive(Clone, Debug, PartialEq, Eq)]
    AuditHeadRequest {
        /// The verifier's own, so that an old answer does not do.
        nonce: [u8; 32],
    }
}
crate::message! {
    /// The chain's end in storage.
    #[derive(Clone, Debug, PartialEq, Eq)]
    AuditHeadReply {
        /// Number of the last entry.
        last: u32,
        /// The chain's value behind it.
        value: [u8; 32],
        /// The supervisor's audit key of this device, P-256, SEC 1 uncompressed.
        key: [u8; 65],
        /// Its signature over label, nonce, number and value; `teei_hypervisor::audit` says how.
        signature: [u8; 64],
    }
}

crate::service! {
    Supervisor,
    /// What the supervisor does.
    trait SupervisorService {
        /// Version and state.
        0x0001 status(StatusRequest) -> StatusReply, needs NONE;
        /// Admits a caller to the asking service.
        0x0101 admit(AdmitRequest) -> AdmitReply, needs PEER;
        /// Gives a session's quota back.
        0x0102 release(ReleaseRequest) -> ReleaseReply, needs PEER;
        /// Replaces the policy by a newer one.
        0x0201 install_policy(InstallPolicyRequest) -> InstallPolicyReply, needs PLATFORM;
        /// Live sessions with a trusted app.
        0x0202 sessions(SessionsRequest) -> SessionsReply, needs PLATFORM;
        /// The providers in the policy.
        0x0203 providers(ProvidersRequest) -> ProvidersReply, needs PLATFORM;
        /// What the registry knows of a provider's trustlets.
        0x0204 trustlets(TrustletsRequest) -> TrustletsReply, needs PLATFORM;
        /// Makes the audit log durable.
        0x0211 audit_flush(AuditFlushRequest) -> AuditFlushReply, needs PLATFORM;
        /// Durable entries of the audit log.
        0x0212 audit_export(AuditExportRequest) -> AuditExportReply, needs PLATFORM;
        /// The audit log's end, signed.
        0x0213 audit_head(AuditHeadRequest) -> AuditHeadReply, needs PLATFORM;
        /// Tells a TVM who it is and what it may.
        0x0301 provider(ProviderRequest) -> ProviderReply, needs TRUSTLET;
        /// Takes note of a trustlet.
        0x0302 register(RegisterRequest) -> RegisterReply, needs TRUSTLET;
        /// Puts a message into another provider's mailbox.
        0x0303 post(PostRequest) -> network::PostReply, needs TRUSTLET;
        /// Takes a message out of a mailbox of the asking TVM.
        0x0304 take(TakeRequest) -> network::TakeReply, needs TRUSTLET;
    }
}
