//! The supervisor's side of admission: the policy in force, and who holds which session.

use crate::{edges, policy::Policy};
use heapless::Vec;
use tapvault_proto::{
    Error,
    id::{Caller, login},
    service::{Rights, Service},
    supervisor::{AdmitReply, ReleaseRequest, SessionCount},
};

/// Most live sessions of all services together.
pub const MAX_SESSIONS: usize = 64;
/// Sessions the boot service may hold at one service.
const BOOT_SESSIONS: u16 = 2;
/// Sessions one trusted app may hold at another: the one it keeps, and that of an instance which died
/// and is not yet cleared away.
const PEER_SESSIONS: u16 = 2;

/// One admitted session.
#[derive(Clone, Copy, Debug)]
struct Live {
    admission: u32,
    service: Service,
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

    /// Version of the policy in force.
    #[must_use]
    pub fn policy_version(&self) -> u32 {
        self.policy.version
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

    /// What `caller` may do with the supervisor itself, or another service, and how many sessions it
    /// may hold; `None` when it is not admitted.
    #[must_use]
    pub fn grant(&self, service: Service, caller: &Caller) -> Option<(Rights, u16)> {
        if caller.login == login::TRUSTED_APP {
            let peer = Service::by_uuid(caller.uuid)?;
            return edges::allows(peer, service).then_some((Rights::PEER, PEER_SESSIONS));
        }
        if *caller == self.boot {
            let rights = if service == Service::Supervisor { Rights::PLATFORM } else { Rights::NONE };
            return Some((rights, BOOT_SESSIONS));
        }
        self.policy.rule(service, caller).map(|rule| (rule.rights, rule.sessions))
    }

    /// Admits a session of `caller` at `service`, asked for over the supervisor's session `link`.
    ///
    /// # Errors
    /// [`Error::AccessDenied`], [`Error::QuotaExceeded`], [`Error::OutOfMemory`] when
    /// [`MAX_SESSIONS`] are live.
    pub fn admit(&mut self, service: Service, caller: &Caller, link: u32) -> Result<AdmitReply, Error> {
        let (rights, limit) = self.grant(service, caller).ok_or(Error::AccessDenied)?;
        if self.count(service, caller) >= limit {
            return Err(Error::QuotaExceeded);
        }
        let admission = self.next_admission;
        let next = admission.checked_add(1).ok_or(Error::OutOfMemory)?;
        let live = Live { admission, service, caller: *caller, link };
        self.live.push(live).map_err(|_| Error::OutOfMemory)?;
        self.next_admission = next;
        Ok(AdmitReply { epoch: self.epoch, admission, rights })
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

    /// Live sessions of a service by caller, at most 16 callers.
    #[must_use]
    pub fn sessions(&self, service: Service) -> Vec<SessionCount, 16> {
        let mut counts: Vec<SessionCount, 16> = Vec::new();
        for live in self.live.iter().filter(|live| live.service == service) {
            if counts.iter().any(|count| count.caller == live.caller) {
                continue;
            }
            let limit = self.grant(service, &live.caller).map_or(0, |(_, limit)| limit);
            let count = SessionCount { caller: live.caller, live: self.count(service, &live.caller), limit };
            if counts.push(count).is_err() {
                break;
            }
        }
        counts
    }

    fn count(&self, service: Service, caller: &Caller) -> u16 {
        let held = |live: &&Live| live.service == service && live.caller == *caller;
        u16::try_from(self.live.iter().filter(held).count()).unwrap_or(u16::MAX)
    }
}
