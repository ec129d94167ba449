//! A guest that calls every service and method with any address and any length.

use crate::{
    common::Phone,
    state::Random,
    world::{fill, sessions},
};
use tapvault_device_tests::trustlets::{
    bank::{Bank, draft, result},
    modules::relay,
};
use tapvault_proto::{Error, service::Service};

/// Where the message begins behind its sender.
const HEAD: u32 = 21;

/// A number that something may go wrong with.
fn number(random: &mut Random) -> u32 {
    match random.below(6) {
        0 => random.of(&[0, 1, u32::MAX, 0x7FFF_FFFF, 0x8000_0000, 65_535, 65_536, 65_537]),
        1 => 65_536_u32.wrapping_sub(u32::try_from(random.below(400)).unwrap()),
        2..=4 => u32::try_from(random.below(400)).unwrap(),
        _ => u32::try_from(random.below(1 << 32)).unwrap(),
    }
}

/// Requests that some method takes as they are: draw, now and take, get, put, write, open_key, derive_key and
/// the rest that begin with a handle.
const REQUESTS: [&[u8]; 9] = [
    b"\x08",
    b"",
    b"\x00\x01k",
    b"\x00\x01k\x01\x00\x01v",
    b"\x00\x04line",
    b"\x00\x01k\x03",
    b"\x00\x01k\x05",
    b"\x00\x00\x00\x00\x01\x00\x04text",
    b"\x01\x00\x00\x00\x02",
];

/// Bytes of a request: any, or those of a good one, altered or not.
fn request(random: &mut Random) -> Vec<u8> {
    if random.one_in(4) {
        return random.bytes(60);
    }
    let mut request = random.of(&REQUESTS).to_vec();
    if random.one_in(3) && !request.is_empty() {
        let at = random.below(request.len());
        request[at] = u8::try_from(random.below(256)).unwrap();
    }
    request
}

/// Six words: service, method, request and reply; and bytes of a request.
fn message(random: &mut Random) -> Vec<u8> {
    let service = if random.one_in(8) { number(random) } else { random.of(&Service::ALL) as u32 };
    let of =
        Service::ALL.into_iter().find(|known| *known as u32 == service).map_or(&[][..], Service::methods);
    let method =
        if of.is_empty() || random.one_in(8) { number(random) } else { of[random.below(of.len())].id };
    let request = request(random);
    // Often the request is where it says, which goes further.
    let (at, len) = if random.one_in(3) {
        (number(random), number(random))
    } else {
        (1024 + HEAD + 24, u32::try_from(request.len()).unwrap())
    };
    let (reply, room) = if random.one_in(3) { (number(random), number(random)) } else { (9000, 400) };
    let words = [service, method, at, len, reply, room];
    words.iter().flat_map(|word| word.to_le_bytes()).chain(request).collect()
}

pub fn run(random: &mut Random, actions: usize) {
    let (phone, bank) = (Phone::new(), Bank::lab("A"));
    let mut draft = draft("hostile", &Service::FOR_TRUSTLETS);
    (draft.store, draft.fuel) = (300, u64::MAX);
    let module = relay(HEAD);
    let mut trustlet = bank.run(&phone.sim, draft, &module).unwrap();
    let mapped = phone.device.borrow().mapped;
    let before = sessions(&phone);
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
    assert_eq!(sessions(&phone).0, before.0 - 1, "a session was left behind");
    // Every guest and every key can be had again.
    fill(&phone, &bank, &crate::world::module());
    assert_eq!(sessions(&phone), (before.0 - 1, before.1 - 1));
}
