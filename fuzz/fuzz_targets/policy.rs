//! Whatever the platform signs is refused or a policy that says one thing about everybody.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::{collections::BTreeSet, sync::LazyLock};
use tapvault_fuzz::Provider;
use tapvault_proto::{
    Error,
    id::{Caller, Uuid, login},
    service::Service,
};
use teei_hypervisor::{
    policy::{MAX_MESSAGES, MAX_RATE, Policy},
    registry::Registry,
};

/// Signs as the platform does.
static PLATFORM: LazyLock<Provider> = LazyLock::new(Provider::new);

/// What admission and quotas rely on.
fn check(policy: &Policy) {
    assert!(policy.version > 0);
    let providers = policy.providers();
    let (ids, tvms): (BTreeSet<_>, BTreeSet<_>) =
        providers.iter().map(|provider| (provider.id, provider.tvm)).unzip();
    assert!(ids.len() == providers.len() && tvms.len() == providers.len(), "two are one");
    let mut messages = 0;
    let every = Service::FOR_TRUSTLETS.iter().fold(0, |bits, service| bits | service.bit());
    for provider in providers {
        messages += usize::from(provider.quota.messages);
        let quota = &provider.quota;
        assert!([quota.signatures, quota.accesses, quota.loads].iter().all(|rate| *rate <= MAX_RATE));
        assert!(provider.tvm != Uuid([0; 16]) && Service::by_uuid(provider.tvm).is_none());
        assert_eq!(provider.services & !every, 0, "a service that is none for trustlets");
        assert_eq!(policy.provider(provider.id), Some(provider));
        assert_eq!(policy.provider_of(provider.tvm), Some(provider));
    }
    assert!(messages <= MAX_MESSAGES);
}

/// Nobody but the boot service and those that a rule names gets in.
fn admit(policy: Policy) {
    let boot = Caller { login: login::GROUP, uuid: Uuid([0xB0; 16]) };
    let targets: Vec<Uuid> = Service::NATIVE
        .map(Service::uuid)
        .into_iter()
        .chain(policy.providers().iter().map(|provider| provider.tvm))
        .collect();
    let registry = Registry::new(1, boot, policy);
    for target in targets {
        for caller in [
            Caller { login: login::PUBLIC, uuid: Uuid([0; 16]) },
            Caller { login: login::TRUSTED_APP, uuid: Uuid([0xA1; 16]) },
            Caller { login: login::USER, uuid: Uuid([0xA1; 16]) },
        ] {
            let rule = registry.policy().rule(target, &caller).map(|rule| (rule.rights, rule.sessions));
            let granted = registry.grant(target, &caller);
            assert!(granted == rule || (caller.login == login::TRUSTED_APP && rule.is_none()));
        }
        assert!(registry.grant(target, &boot).is_some());
    }
}

fuzz_target!(|document: &[u8]| {
    let (key, mut signature) = (PLATFORM.signer.key, PLATFORM.sign(document));
    match Policy::verify(document, &signature, &key) {
        Ok(policy) => {
            check(&policy);
            admit(policy);
            signature[40] ^= 1;
            assert_eq!(Policy::verify(document, &signature, &key), Err(Error::PolicySignature));
        }
        Err(error) => assert_eq!(error, Error::PolicyMalformed),
    }
});
