//! Claims about how a trustlet reaches a service.

use super::name;
use crate::its::{self, Call, Grant, Homes, MAX_EXCHANGE, Rates, Sender, Weight};
use std::vec::Vec;
use tapvault_proto::{
    Error, PROTOCOL_VERSION,
    service::{Rights, Service},
    supervisor::Quota,
    trustlet::Owner,
    wire::{Wire, decode_exact, encode_into},
};

const QUOTA: Quota =
    Quota { guests: 1, memory_kib: 1, store: 1, messages: 1, signatures: 2, accesses: 3, loads: 1 };

/// Notes what arrives, and answers with `answer`.
struct Noting {
    arrived: Vec<(bool, Service, u32, Vec<u8>)>,
    answer: Result<usize, Error>,
}

impl Noting {
    fn new() -> Self {
        Self { arrived: Vec::new(), answer: Ok(0) }
    }

    fn note(&mut self, native: bool, call: &Call<'_>) -> Result<usize, Error> {
        self.arrived.push((native, call.service, call.method, Vec::from(call.request)));
        self.answer
    }
}

impl Homes for Noting {
    fn inside(&mut self, call: &Call<'_>, _: &mut [u8]) -> Result<usize, Error> {
        self.note(false, call)
    }
    fn outside(&mut self, call: &Call<'_>, _: &mut [u8]) -> Result<usize, Error> {
        self.note(true, call)
    }
}

fn owner() -> Owner {
    Owner { name: name("transit"), generation: [5; 16], guest: 9 }
}

fn every_service() -> u32 {
    Service::FOR_TRUSTLETS.into_iter().fold(0, |bits, service| bits | service.bit())
}

/// A call with these services granted.
fn call(
    homes: &mut Noting,
    rates: &mut Rates,
    services: u32,
    target: (u32, u32),
    body: &[u8],
) -> Result<usize, Error> {
    let (owner, grant) = (owner(), Grant { services, quota: QUOTA });
    let sender = Sender { owner: &owner, grant: &grant, now: 1_000_000 };
    its::call(homes, rates, &sender, target, body, &mut [0; MAX_EXCHANGE])
}

/// Every method there is: service, method, whether it is a trustlet's.
fn methods() -> impl Iterator<Item = (Service, u32, bool)> {
    Service::ALL.into_iter().flat_map(|service| {
        let offered = Service::FOR_TRUSTLETS.contains(&service);
        service
            .methods()
            .iter()
            .map(move |method| (service, method.id, offered && method.right == Rights::TRUSTLET))
    })
}

#[test]
fn a_trustlet_reaches_its_own_methods_and_no_other() {
    for (service, method, reachable) in methods() {
        let mut homes = Noting::new();
        let target = (service as u32, method);
        let outcome = call(&mut homes, &mut Rates::default(), u32::MAX, target, b"");
        assert_eq!(
            outcome,
            if reachable { Ok(0) } else { Err(Error::UnknownMethod) },
            "{service:?} {method:04x}"
        );
        assert_eq!(homes.arrived.len(), usize::from(reachable), "{service:?} {method:04x}");
    }
    assert!(methods().filter(|(.., reachable)| *reachable).count() > 10);
}

#[test]
fn a_number_that_is_no_service_or_method_reaches_nothing() {
    let known = |service: u32, method: u32| {
        methods().any(|(known, id, reachable)| reachable && (known as u32, id) == (service, method))
    };
    for service in (0..300).chain([0x0001_0003, u32::MAX]) {
        for method in (0..0x400).chain([0x0001_0001, u32::MAX]) {
            if known(service, method) {
                continue;
            }
            let mut homes = Noting::new();
            let outcome = call(&mut homes, &mut Rates::default(), u32::MAX, (service, method), b"");
            assert_eq!((outcome, homes.arrived.len()), (Err(Error::UnknownMethod), 0), "{service} {method}");
        }
    }
}

#[test]
fn a_service_that_is_not_granted_is_refused_before_it_counts() {
    for (service, method, _) in methods().filter(|(.., reachable)| *reachable) {
        let (mut homes, mut rates) = (Noting::new(), Rates::default());
        for _ in 0..100 {
            let others = every_service() & !service.bit();
            let outcome = call(&mut homes, &mut rates, others, (service as u32, method), b"");
            assert_eq!(outcome, Err(Error::NotInManifest), "{service:?} {method:04x}");
        }
        assert!(homes.arrived.is_empty());
        assert!(call(&mut homes, &mut rates, service.bit(), (service as u32, method), b"").is_ok());
    }
}

#[test]
fn what_arrives_begins_with_version_and_owner() {
    for (service, method, _) in methods().filter(|(.., reachable)| *reachable) {
        let mut homes = Noting::new();
        call(&mut homes, &mut Rates::default(), u32::MAX, (service as u32, method), b"body").unwrap();
        let (native, to, id, request) = homes.arrived.remove(0);
        assert_eq!((native, to, id), (Service::NATIVE.contains(&service), service, method));
        let mut head = [0; Owner::MAX];
        let len = encode_into(&owner(), &mut head).unwrap();
        assert_eq!(u16::from(request[0]), PROTOCOL_VERSION);
        assert_eq!(decode_exact::<Owner>(&request[1..=len]), Ok(owner()));
        assert_eq!(&request[1 + len..], b"body");
    }
}

#[test]
fn a_body_that_does_not_fit_is_refused() {
    let mut head = [0; Owner::MAX];
    let room = MAX_EXCHANGE - 1 - encode_into(&owner(), &mut head).unwrap();
    let target = (Service::Random as u32, 1);
    let send = |len| {
        call(&mut Noting::new(), &mut Rates::default(), u32::MAX, target, &[0; 2 * MAX_EXCHANGE][..len])
    };
    assert_eq!(send(room), Ok(0));
    assert_eq!(send(room + 1), Err(Error::BadParameters));
    assert_eq!(send(2 * MAX_EXCHANGE), Err(Error::BadParameters));
}

#[test]
fn each_weight_has_its_own_quota() {
    let (mut homes, mut rates) = (Noting::new(), Rates::default());
    let mut times = |service: Service, method| {
        (0..10)
            .take_while(|_| call(&mut homes, &mut rates, u32::MAX, (service as u32, method), b"").is_ok())
            .count()
    };
    assert_eq!(its::weight(Service::Card, 0x0303), Weight::PublicKey);
    assert_eq!(its::weight(Service::Store, 1), Weight::Storage);
    assert_eq!(times(Service::Card, 0x0303), 2);
    assert_eq!(times(Service::Card, 0x0301), 0, "the same quota");
    assert_eq!(times(Service::Store, 2), 3);
    assert_eq!(times(Service::Store, 1), 0, "the same quota");
    assert_eq!(times(Service::Random, 1), 10, "light calls cost fuel only");
}

#[test]
fn a_quota_that_is_used_up_is_the_providers_fault() {
    let (mut homes, mut rates) = (Noting::new(), Rates::default());
    let target = (Service::Card as u32, 0x0301);
    let outcomes = Vec::from_iter((0..3).map(|_| call(&mut homes, &mut rates, u32::MAX, target, b"")));
    assert_eq!(outcomes, [Ok(0), Ok(0), Err(Error::ProviderQuota)]);
    assert_eq!(homes.arrived.len(), 2);
    assert_eq!(rates.load(&QUOTA, 1_000_000), Ok(()));
    assert_eq!(rates.load(&QUOTA, 1_000_000), Err(Error::ProviderQuota));
    assert_eq!(rates.load(&QUOTA, 1_060_000), Ok(()), "a minute later");
}

#[test]
fn a_services_refusal_comes_back_as_it_is() {
    for error in [Error::StorageFailed, Error::PeerDead, Error::BadParameters] {
        let mut homes = Noting { answer: Err(error), ..Noting::new() };
        let outcome = call(&mut homes, &mut Rates::default(), u32::MAX, (Service::Clock as u32, 1), b"");
        assert_eq!(outcome, Err(error));
    }
}
