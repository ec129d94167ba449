//! Claims about admission and edges.

use super::{WALLET, policy};
use crate::{
    edges,
    gate::{Gate, Supervisor},
    policy::Policy,
    registry::{MAX_SESSIONS, Registry},
};
use std::{collections::BTreeSet, vec::Vec};
use tapvault_proto::{
    Error,
    id::{Caller, Uuid, login},
    service::{Rights, Service},
    supervisor::{AdmitReply, AdmitRequest, ReleaseRequest},
};

const CARD: Uuid = Service::Card.uuid();
const BOOT: Caller = Caller { login: login::GROUP, uuid: Uuid([0xB0; 16]) };
const MALLORY: Caller = Caller { login: login::USER, uuid: Uuid([0xA1; 16]) };

/// A supervisor that can die.
struct Lab {
    registry: Registry,
    dead: bool,
}

impl Lab {
    fn new(epoch: u64) -> Self {
        Self { registry: Registry::new(epoch, BOOT, policy(1, 2)), dead: false }
    }
}

impl Supervisor for Lab {
    fn admit(&mut self, request: &AdmitRequest) -> Result<AdmitReply, Error> {
        if core::mem::take(&mut self.dead) {
            *self = Lab::new(self.registry.epoch() + 1);
            return Err(Error::PeerDead);
        }
        self.registry.admit(CARD, &request.caller, 1)
    }
    fn release(&mut self, request: &ReleaseRequest) -> Result<(), Error> {
        self.registry.release(request, 1)
    }
}

#[test]
fn no_trusted_app_can_be_called_back() {
    for start in Service::ALL {
        let mut reached = BTreeSet::new();
        let mut next = Vec::from([start]);
        while let Some(caller) = next.pop() {
            for callee in Service::ALL.into_iter().filter(|callee| edges::allows(caller, *callee)) {
                assert_ne!(callee, start, "a call comes back to {start:?}");
                if reached.insert(callee) {
                    next.push(callee);
                }
            }
        }
    }
}

#[test]
fn nobody_is_admitted_without_a_policy() {
    let registry = Registry::new(1, BOOT, Policy::default());
    for service in Service::NATIVE {
        assert_eq!(registry.grant(service.uuid(), &WALLET), None);
    }
    assert_eq!(registry.grant(Service::Supervisor.uuid(), &BOOT).unwrap().0, Rights::PLATFORM);
    assert_eq!(registry.grant(CARD, &BOOT).unwrap().0, Rights::NONE);
}

#[test]
fn the_same_id_under_another_login_is_another_caller() {
    let mut registry = Registry::new(1, BOOT, policy(1, 2));
    assert_eq!(registry.admit(CARD, &MALLORY, 1), Err(Error::AccessDenied));
    assert_eq!(registry.admit(Service::Pin.uuid(), &WALLET, 1), Err(Error::AccessDenied));
    assert!(registry.admit(CARD, &WALLET, 1).is_ok());
}

#[test]
fn a_quota_is_given_back_by_its_owner_only() {
    let mut registry = Registry::new(1, BOOT, policy(1, 2));
    let first = registry.admit(CARD, &WALLET, 1).unwrap();
    registry.admit(CARD, &WALLET, 1).unwrap();
    assert_eq!(registry.admit(CARD, &WALLET, 1), Err(Error::QuotaExceeded));

    let release = ReleaseRequest { epoch: first.epoch, admission: first.admission };
    assert_eq!(registry.release(&release, 2), Err(Error::StaleEpoch), "over another link");
    let stale = ReleaseRequest { epoch: 0, ..release.clone() };
    assert_eq!(registry.release(&stale, 1), Err(Error::StaleEpoch));
    assert_eq!(registry.release(&release, 1), Ok(()));
    assert_eq!(registry.release(&release, 1), Err(Error::StaleEpoch), "twice");
    assert!(registry.admit(CARD, &WALLET, 1).is_ok());

    registry.drop_link(1);
    assert_eq!(registry.live_sessions(), 0);
}

#[test]
fn all_sessions_together_are_bounded() {
    let mut registry = Registry::new(1, BOOT, policy(1, u16::MAX));
    for _ in 0..MAX_SESSIONS {
        registry.admit(CARD, &WALLET, 1).unwrap();
    }
    assert_eq!(registry.admit(CARD, &WALLET, 1), Err(Error::OutOfMemory));
}

#[test]
fn a_policy_never_goes_back() {
    let mut registry = Registry::new(1, BOOT, policy(5, 1));
    for version in [1, 4, 5] {
        assert_eq!(registry.check_newer(&policy(version, 9)), Err(Error::PolicyRollback));
    }
    registry.check_newer(&policy(6, 9)).unwrap();
    registry.replace_policy(policy(6, 9));
    assert_eq!(registry.policy().version, 6);
}

#[test]
fn quotas_hold_across_a_restart_of_the_supervisor() {
    let (mut lab, mut gate) = (Lab::new(1), Gate::default());
    gate.open(&mut lab, 1, WALLET).unwrap();
    lab.dead = true;
    gate.open(&mut lab, 2, WALLET).unwrap();
    assert_eq!(lab.registry.live_sessions(), 2, "the old session is known again");
    assert_eq!(gate.open(&mut lab, 3, WALLET), Err(Error::QuotaExceeded));
    gate.close(&mut lab, 1);
    gate.close(&mut lab, 2);
    assert_eq!(lab.registry.live_sessions(), 0);
}

#[test]
fn a_session_the_new_supervisor_does_not_know_may_do_nothing() {
    let (mut lab, mut gate) = (Lab::new(1), Gate::default());
    gate.open(&mut lab, 1, WALLET).unwrap();
    assert_eq!(gate.rights(1), Ok(Rights::WALLET));
    lab.registry = Registry::new(2, BOOT, Policy::default());
    gate.open(&mut lab, 2, BOOT).unwrap();
    assert_eq!(gate.rights(1), Err(Error::AccessDenied));
    assert_eq!(gate.rights(2), Ok(Rights::NONE));
    assert_eq!(gate.rights(9), Err(Error::AccessDenied), "never opened");
}
