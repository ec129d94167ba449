//! The supervisor's side of admission: the policy in force, and who holds which session.

use crate::{
    edges,
    policy::{Policy, Provider},
};
use heapless::Vec;
use tapvault_proto::{
    Error,
    id::{Caller, ProviderId, Uuid, login},
    service::{Rights, Service},
    supervisor::{AdmitReply, ReleaseRequest, SessionCount},
};

/// Most live sessions of all trusted apps together.
pub const MAX_SESSIONS: usize = 96;
/// Sessions the boot service may hold at one service.
const BOOT_SESSIONS: u16 = 2;
/// Sessions one trusted app may hold at another: the one it keeps, and that of an instance which died
/// and is not yet cleared away.
const PEER_SESSIONS: u16 = 2;

/// One admitted session.
#[derive(Clone, Copy, Debug)]
struct Live {
    admission: u32,
    /// UUID of the trusted app the session is with.
    target: Uuid,
    caller: Caller,
    /// The supervisor's session over which the service asked: when it closes, the service is gone.
    link: u32,
}

/// Admission state of one start of the supervisor.
#[derive(Debug)]
pub struct Registry {
    // Fixed at start.
    epoch: u64,
    boot: Caller,
    // Changes with the policy.
    policy: Policy,
    // Changes with every session.
    live: Vec<Live, MAX_SESSIONS>,
    next_admission: u32,
}

impl Registry {
    /// A registry without sessions. `epoch` is random; `boot` is the identity of the boot service,
    /// built into the trusted app, since somebody has to install the first policy.
    #[must_use]
    pub fn new(epoch: u64, boot: Caller, policy: Policy) -> Self {
        Self { epoch, boot, policy, live: Vec::new(), next_admission: 1 }
    }

    /// This start's epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How many sessions are live.
    #[must_use]
    pub fn live_sessions(&self) -> u16 {
        u16::try_from(self.live.len()).unwrap_or(u16::MAX)
    }

    /// Checks that `next` may replace the policy in force.
    ///
    /// # Errors
    /// [`Error::PolicyRollback`] unless its version is higher.
    pub fn check_newer(&self, next: &Policy) -> Result<(), Error> {
        if next.version > self.policy.version { Ok(()) } else { Err(Error::PolicyRollback) }
    }

    /// Puts `next` in force; sessions admitted before keep what they have until they close.
    pub fn replace_policy(&mut self, next: Policy) {
        self.policy = next;
    }

    /// What `caller` may do with the trusted app `target`, and how many sessions it may hold; `None`
    /// when it is not admitted.
    #[must_use]
    pub fn grant(&self, target: Uuid, caller: &Caller) -> Option<(Rights, u16)> {
        if caller.login == login::TRUSTED_APP {
            let callee = Service::by_uuid(target)?;
            let rights = match Service::by_uuid(caller.uuid) {
                Some(peer) if edges::allows(peer, callee) => Rights::PEER,
                Some(_) => return None,
                None => self.tvm_rights(self.policy.provider_of(caller.uuid)?, callee)?,
            };
            return Some((rights, PEER_SESSIONS));
        }
        if *caller == self.boot {
            let supervisor = target == Service::Supervisor.uuid();
            let known = Service::by_uuid(target).is_some() || self.policy.provider_of(target).is_some();
            let rights = if supervisor { Rights::PLATFORM } else { Rights::NONE };
            return known.then_some((rights, BOOT_SESSIONS));
        }
        self.policy.rule(target, caller).map(|rule| (rule.rights, rule.sessions))
    }

    /// A TVM reaches the supervisor always, another service when the policy gives it to the provider.
    fn tvm_rights(&self, provider: &Provider, callee: Service) -> Option<Rights> {
        if !edges::allows(Service::Tvm, callee) {
            return None;
        }
        match callee {
            Service::Supervisor => Some(Rights::PEER.with(Rights::TRUSTLET)),
            _ => (provider.services & callee.bit() != 0).then_some(Rights::TRUSTLET),
        }
    }

    /// Admits a session of `caller` with `target`, asked for over the supervisor's session `link`.
    ///
    /// # Errors
    /// [`Error::AccessDenied`], [`Error::QuotaExceeded`], [`Error::OutOfMemory`] when
    /// [`MAX_SESSIONS`] are live.
    pub fn admit(&mut self, target: Uuid, caller: &Caller, link: u32) -> Result<AdmitReply, Error> {
        let (rights, limit) = self.grant(target, caller).ok_or(Error::AccessDenied)?;
        if self.count(target, caller) >= limit {
            return Err(Error::QuotaExceeded);
        }
        let admission = self.next_admission;
        let next = admission.checked_add(1).ok_or(Error::OutOfMemory)?;
        let live = Live { admission, target, caller: *caller, link };
        self.live.push(live).map_err(|_| Error::OutOfMemory)?;
        self.next_admission = next;
        let tvm = caller.login == login::TRUSTED_APP;
        let provider = self.policy.provider_of(caller.uuid).filter(|_| tvm);
        let provider = provider.map_or(ProviderId([0; 16]), |provider| provider.id);
        Ok(AdmitReply { epoch: self.epoch, admission, rights, provider })
    }

    /// Gives one session's quota back. Only the service that asked for it can.
    ///
    /// # Errors
    /// [`Error::StaleEpoch`] for an admission of an earlier start, or one that does not exist.
    pub fn release(&mut self, request: &ReleaseRequest, link: u32) -> Result<(), Error> {
        if request.epoch != self.epoch {
            return Err(Error::StaleEpoch);
        }
        let held = |live: &Live| live.admission == request.admission && live.link == link;
        let index = self.live.iter().position(held).ok_or(Error::StaleEpoch)?;
        self.live.swap_remove(index);
        Ok(())
    }

    /// Drops all sessions asked for over `link`: the service at its other end is gone.
    pub fn drop_link(&mut self, link: u32) {
        self.live.retain(|live| live.link != link);
    }

    /// Live sessions with a trusted app by caller, at most 16 callers.
    #[must_use]
    pub fn sessions(&self, target: Uuid) -> Vec<SessionCount, 16> {
        let mut counts: Vec<SessionCount, 16> = Vec::new();
        for live in self.live.iter().filter(|live| live.target == target) {
            if counts.iter().any(|count| count.caller == live.caller) {
                continue;
            }
            let limit = self.grant(target, &live.caller).map_or(0, |(_, limit)| limit);
            let count = SessionCount { caller: live.caller, live: self.count(target, &live.caller), limit };
            if counts.push(count).is_err() {
                break;
            }
        }
        counts
    }

    fn count(&self, target: Uuid, caller: &Caller) -> u16 {
        let held = |live: &&Live| live.target == target && live.caller == *caller;
        u16::try_from(self.live.iter().filter(held).count()).unwrap_or(u16::MAX)
    }
}
