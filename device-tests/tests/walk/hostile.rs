//! A guest that calls every service and method with any address and any length.

use crate::{
    common::Phone,
    guest::HEAD,
    state::Random,
    world::{fill, sessions},
};
use tapvault::{sim::SimChannel, trustlet::Trustlet};
use tapvault_device_tests::trustlets::{
    bank::{Bank, draft, result},
    modules::relay,
};
use tapvault_proto::{Error, service::Service};

/// A number that something may go wrong with.
fn number(random: &mut Random) -> u32 {
    match random.below(6) {
        0 => random.of(&[0, 1, u32::MAX, 0x7FFF_FFFF, 0x8000_0000, 65_535, 65_536, 65_537]),
        1 => 65_536_u32.wrapping_sub(u32::try_from(random.below(400)).unwrap()),
        2..=4 => u32::try_from(random.below(400)).unwrap(),
        _ => u32::try_from(random.below(1 << 32)).unwrap(),
    }
}

/// A call of each method that is answered, but for the handles, which are guesses.
const GOOD: [(Service, u32, &[u8]); 14] = [
    (Service::Random, 1, b"\x08"),
    (Service::Clock, 1, b""),
    (Service::Log, 1, b"\x00\x04line"),
    (Service::Store, 1, b"\x00\x01k"),
    (Service::Store, 2, b"\x00\x01k\x01\x00\x01v"),
    (Service::Network, 2, b""),
    (Service::Card, 0x0301, b"\x00\x01k\x03"),
    (Service::Card, 0x0301, b"\x00\x01k\x05"),
    (Service::Card, 0x0302, b"\x00\x00\x00\x00\x01\x00\x01c\x03"),
    (Service::Card, 0x0304, b"\x00\x00\x00\x00\x01\x00\x04text"),
    (Service::Card, 0x0305, b"\x00\x00\x00\x00\x02\x00\x04text"),
    (Service::Card, 0x0307, b"\x00\x00\x00\x00\x03"),
    (Service::Card, 0x0308, b""),
    (Service::Element, 1, b"\x00\x05\x80\xCA\x00\x00\x00"),
];

/// A message of six words, service, method, request and reply, and bytes of a request: each of them as it
/// should be, or anything.
fn message(random: &mut Random) -> Vec<u8> {
    let (service, mut method, request) = random.of(&GOOD);
    let (mut service, mut request) = (service as u32, request.to_vec());
    match random.below(12) {
        0 => (service, method) = (number(random), number(random)),
        1 => {
            let any = random.of(&Service::ALL);
            let info = any.methods()[random.below(any.methods().len())];
            (service, method) = (any as u32, info.id);
        }
        2 => method = number(random),
        3 => request = random.bytes(60),
        4..=6 if !request.is_empty() => {
            let at = random.below(request.len());
            request[at] = u8::try_from(random.below(256)).unwrap();
        }
        _ => {}
    }
    let (mut at, mut len) = (1024 + HEAD + 24, u32::try_from(request.len()).unwrap());
    let (mut reply, mut room) = (9000, 400);
    match random.below(8) {
        0 => at = number(random),
        1 => len = number(random),
        2 => reply = number(random),
        3 => room = number(random),
        4 => (at, len, reply, room) = (number(random), number(random), number(random), number(random)),
        _ => {}
    }
    let words = [service, method, at, len, reply, room];
    words.iter().flat_map(|word| word.to_le_bytes()).chain(request).collect()
}

pub fn run(random: &mut Random, actions: usize) {
    let (phone, bank) = (Phone::new(), Bank::lab("A"));
    let mut trustlet = start(&phone, &bank);
    let mapped = phone.device.borrow().mapped;
    let (mut answered, mut refused) = (0, 0);
    for action in 0..actions {
        phone.advance(20);
        let message = message(random);
        let reply = trustlet.call(&message).unwrap_or_else(|error| panic!("action {action}: {error}"));
        match result(&reply).unwrap_or_else(|error| panic!("action {action}: {error}")) {
            Ok(_) => answered += 1,
            Err(Error::Internal | Error::StateCorrupt | Error::PeerDead) => {
                panic!("action {action}: {reply:02X?}")
            }
            Err(_) => refused += 1,
        }
    }
    println!("{answered} answered, {refused} refused");
    assert!(answered > actions / 20 && refused > actions / 20);
    assert_eq!(phone.device.borrow().mapped, mapped, "memory of a guest that does nothing but call");
    drop(trustlet);
    assert_eq!(phone.device.borrow().mapped, 0, "memory was left behind");
    assert_eq!(sessions(&phone).0, 0, "a session was left behind");
    // Every guest and every key can be had again, and the trusted apps hold what they hold at first.
    let fresh = Phone::new();
    for phone in [&fresh, &phone] {
        fill(phone, &bank);
        let mut trustlet = start(phone, &bank);
        // A TVM keeps its sessions with card and PIN, once it has them.
        for service in [Service::Card, Service::Pin] {
            let words = [service as u32, 0x0301, 0, 0, 0, 0];
            let message: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            assert!(result(&trustlet.call(&message).unwrap()).unwrap().is_err());
        }
    }
    assert_eq!(sessions(&phone), sessions(&fresh), "a session was left behind");
}

fn start(phone: &Phone, bank: &Bank) -> Trustlet<SimChannel> {
    let mut draft = draft("hostile", &Service::FOR_TRUSTLETS);
    (draft.store, draft.fuel) = (300, u64::MAX);
    bank.run(&phone.sim, draft, &relay(HEAD)).unwrap()
}
