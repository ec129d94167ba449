//! The supervisor's methods: admission for services, policy for the platform.

use crate::{
    id::Caller,
    service::{Rights, Service},
    wire::Bytes,
};

/// Longest policy document in bytes.
pub const MAX_POLICY: usize = 3072;

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
    /// Asks for the sessions of one service.
    #[derive(Clone, Debug, PartialEq, Eq)]
    SessionsRequest {
        /// The service.
        service: Service,
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
    /// Sessions of one service, by caller.
    #[derive(Clone, Debug, PartialEq, Eq)]
    SessionsReply {
        /// One entry per caller with a live session.
        callers: heapless::Vec<SessionCount, 16>,
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
        /// Live sessions of a service.
        0x0202 sessions(SessionsRequest) -> SessionsReply, needs PLATFORM;
    }
}
