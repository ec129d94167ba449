//! A guest that calls every service and method with any address and any length, and what must be left of it.

use super::{
    bank::{Bank, draft, named, refused, result},
    hostile::head,
    modules::{BUFFER, caller, relay},
};
use crate::{Outcome, ensure, lab::say, random::Random};
use tapvault::{Channel, Transport, transport::call, trustlet::Trustlet};
use tapvault_proto::{
    Error,
    service::Service,
    supervisor::{SessionsRequest, StatusRequest},
};

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

/// A number that something may go wrong with.
fn number(random: &mut Random) -> u32 {
    match random.below(6) {
        0 => random.of(&[0, 1, u32::MAX, 0x7FFF_FFFF, 0x8000_0000, 65_535, 65_536, 65_537]),
        1 => 65_536 - random.word(400),
        2..=4 => random.word(400),
        _ => random.word(u32::MAX),
    }
}

/// A message of six words, service, method, request and reply, and bytes of a request: each of them as it
/// should be, or anything.
fn message(random: &mut Random) -> Outcome<Vec<u8>> {
    let (service, mut method, request) = random.of(&GOOD);
    let (mut service, mut request) = (service as u32, request.to_vec());
    match random.below(12) {
        0 => (service, method) = (number(random), number(random)),
        1 => {
            let any = random.of(&Service::ALL);
            (service, method) = (any as u32, any.methods()[random.index(any.methods().len())].id);
        }
        2 => method = number(random),
        3 => request = random.bytes(60),
        4..=6 if !request.is_empty() => {
            let at = random.index(request.len());
            request[at] = random.byte();
        }
        _ => {}
    }
    let (mut at, mut len) = (BUFFER + head() + 24, u32::try_from(request.len()).map_err(say)?);
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
    Ok(words.iter().flat_map(|word| word.to_le_bytes()).chain(request).collect())
}

/// The guest, with every service.
///
/// # Errors
/// Anybody's.
pub fn start<T: Transport>(transport: &T, bank: &Bank) -> Outcome<Trustlet<T::Channel>> {
    let mut draft = draft("anything", &Service::FOR_TRUSTLETS);
    (draft.store, draft.fuel) = (300, u64::MAX);
    bank.run(transport, draft, &relay(head()))
}

/// So many calls of the guest, `before` each this; returns how many were answered and refused.
///
/// # Errors
/// When a call ends otherwise, or is refused for a failure of trusted apps.
pub fn act<C: Channel>(
    trustlet: &mut Trustlet<C>,
    random: &mut Random,
    actions: usize,
    mut before: impl FnMut(),
) -> Outcome<(usize, usize)> {
    let (mut answered, mut refused) = (0, 0);
    for action in 0..actions {
        before();
        let reply = trustlet.call(&message(random)?).map_err(|error| format!("action {action}: {error}"))?;
        match result(&reply).map_err(|error| format!("action {action}: {error}"))? {
            Ok(_) => answered += 1,
            Err(error @ (Error::Internal | Error::StateCorrupt | Error::PeerDead)) => {
                return Err(format!("action {action}: {error:?}"));
            }
            Err(_) => refused += 1,
        }
    }
    ensure(answered >= actions / 20 && refused >= actions / 20, || format!("{answered}, {refused}"))?;
    Ok((answered, refused))
}

/// Has a TVM open its sessions with the trusted apps, which it keeps from then on.
///
/// # Errors
/// When a call that names no key is not refused.
pub fn open_peers<C: Channel>(trustlet: &mut Trustlet<C>) -> Outcome<()> {
    for service in [Service::Card, Service::Pin] {
        let words = [service as u32, 0x0301, 0, 0, 0, 0];
        let message: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let answer = result(&trustlet.call(&message).map_err(say)?)?;
        ensure(answer.is_err(), || format!("{service:?} answers nothing asked"))?;
    }
    Ok(())
}

/// Takes every guest and every key that a bank can have, gives them back, and says how many there were.
///
/// # Errors
/// Any refusal but the quota's, or when memory is in use before or after.
pub fn capacity<T: Transport>(transport: &T, bank: &Bank) -> Outcome<(usize, usize)> {
    let unused = || {
        let status = bank.connect(transport)?.status().map_err(say)?;
        ensure((status.guests, status.memory) == (0, 0), || format!("{status:?}"))
    };
    unused()?;
    let (module, name) = (caller(Service::Card as u32, 0x0301, b"\x00\x01k\x03"), "capacity");
    bank.install(transport, draft(name, &[Service::Card]), &module)?;
    let (mut guests, mut keys) = (Vec::new(), 0);
    while guests.len() < 100 {
        match bank.connect(transport)?.open(&named(name), &module) {
            Ok(guest) => guests.push(guest),
            Err(error) => {
                refused::<()>(Err(error), Error::ProviderQuota)?;
                break;
            }
        }
    }
    'taken: while keys < 100 {
        for guest in &mut guests {
            match result(&guest.call(b"").map_err(say)?)? {
                Ok(_) => keys += 1,
                Err(Error::ProviderQuota) => break 'taken,
                Err(error) => return Err(format!("key {keys}: {error:?}")),
            }
        }
    }
    let taken = (guests.len(), keys);
    drop(guests);
    unused()?;
    Ok(taken)
}

/// The supervisor's count of sessions: with the TVMs of these banks, and of all that are live.
///
/// # Errors
/// The supervisor's.
pub fn sessions<C: Channel>(supervisor: &mut C, banks: &[&Bank]) -> Outcome<(u16, u16)> {
    let mut with_tvms = 0;
    for bank in banks {
        let callers = call(supervisor, &SessionsRequest { target: bank.tvm() }).map_err(say)?.callers;
        with_tvms += callers.iter().map(|count| count.live).sum::<u16>();
    }
    Ok((with_tvms, call(supervisor, &StatusRequest {}).map_err(say)?.live_sessions))
}
