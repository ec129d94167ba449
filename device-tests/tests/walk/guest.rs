//! What guests do, in the device and in the model.

use crate::{
    state::{Answer, EVERYBODY, Guest, KEYS, STORE},
    world::World,
};
use tapvault_device_tests::{
    random::Random,
    trustlets::{bank::result, hostile::head, modules::handler},
};
use tapvault_proto::{
    Error,
    service::Service,
    trustlet::{
        keys::{CloseKey, KeyAlgorithm, KeyHandle, Mac, OpenKey, OpenKeyReply},
        network::{Mail, PostRequest, TakeReply, TakeRequest},
        random::DrawRequest,
        store::{GetReply, GetRequest, PutReply, PutRequest},
    },
    tvm::Progress,
    wire::{Bytes, Wire, decode_exact, encode_into},
};

/// First words of a message that is no call of a service.
const SPIN: u32 = u32::MAX;
pub const TRAP: u32 = u32::MAX - 1;
const REFUSE: u32 = u32::MAX - 2;

/// Makes the call that the message spells out: six words, and the request behind them; answers with the
/// result and the service's reply. Or does one of the things a guest should not.
pub fn module() -> Vec<u8> {
    let word = |index: u32| format!("(i32.load (i32.const {}))", 1024 + head() + 4 * index);
    let arguments: String = (0..6).map(word).collect();
    let first = |value: u32| format!("(i32.eq {} (i32.const {}))", word(0), value.cast_signed());
    handler(
        &format!(
            "(local $result i32)
             (if {} (then (loop br 0)))
             (if {} (then unreachable))
             (if {} (then (return (i32.const -1))))
             (local.set $result (call $call {arguments}))
             (i32.store (i32.const 1024) (local.get $result))
             (if (result i32) (i32.lt_s (local.get $result) (i32.const 0))
                (then (i32.const 4)) (else (i32.add (local.get $result) (i32.const 4))))",
            first(SPIN),
            first(TRAP),
            first(REFUSE)
        ),
        "",
    )
}

/// The message for a call of a service.
pub fn message(service: Service, method: u32, request: &[u8]) -> Vec<u8> {
    let at = 1024 + head() + 24;
    let words = [service as u32, method, at, u32::try_from(request.len()).unwrap(), 1028, 1000];
    words.iter().flat_map(|word| word.to_le_bytes()).chain(request.iter().copied()).collect()
}

pub fn encoded<T: Wire>(value: &T) -> Vec<u8> {
    let mut bytes = vec![0; T::MAX];
    let len = encode_into(value, &mut bytes).unwrap();
    bytes.truncate(len);
    bytes
}

impl World {
    /// Chooses what the guest does, and does it to the model: the message, the answer, whether the client
    /// comes in between.
    pub fn act_as_guest(&mut self, at: usize, random: &mut Random) -> (Vec<u8>, Answer, bool) {
        let bank = self.sessions[at].bank;
        let keys: usize = self.guests(bank).map(|guest| guest.keys).sum();
        let guest = self.sessions[at].guest.as_mut().unwrap();
        let stored = self.installed.get_mut(&guest.who).unwrap();
        let key = random.byte() % 4;
        let label = |key: u8| Bytes::from_slice(&[key]).unwrap();
        match random.below(16) {
            0..=2 => {
                let value = (!random.one_in(4)).then(|| random.bytes(60));
                let outcome = stored.put(key, value.clone());
                let value = value.map(|value| Bytes::from_slice(&value).unwrap());
                let reply = |used| PutReply {
                    used: u32::try_from(used).unwrap(),
                    quota: u32::try_from(STORE).unwrap(),
                };
                let answer = Answer::Exactly(outcome.map(|used| encoded(&reply(used))));
                (message(Service::Store, 2, &encoded(&PutRequest { key: label(key), value })), answer, true)
            }
            3..=4 => {
                let value = stored.store.get(&key).map(|value| Bytes::from_slice(value).unwrap());
                let answer = Answer::Exactly(Ok(encoded(&GetReply { value })));
                (message(Service::Store, 1, &encoded(&GetRequest { key: label(key) })), answer, true)
            }
            5..=6 => {
                let request = OpenKey { label: label(key), algorithm: KeyAlgorithm::HmacSha256 };
                let fits = keys < KEYS;
                guest.keys += usize::from(fits);
                let answer = if fits { Answer::Key } else { Answer::Exactly(Err(Error::ProviderQuota)) };
                (message(Service::Card, 0x0301, &encoded(&request)), answer, true)
            }
            7 => {
                let (handle, is_open) = handle(guest, random);
                let text = Bytes::from_slice(b"text").unwrap();
                let answer =
                    if is_open { Answer::Long(32) } else { Answer::Exactly(Err(Error::UnknownHandle)) };
                (message(Service::Card, 0x0304, &encoded(&Mac { handle, message: text })), answer, false)
            }
            8 => {
                let (handle, is_open) = handle(guest, random);
                if is_open {
                    guest.keys -= 1;
                    guest.handles.retain(|open| *open != handle);
                    guest.stale.push(handle);
                }
                let answer =
                    Answer::Exactly(if is_open { Ok(Vec::new()) } else { Err(Error::UnknownHandle) });
                (message(Service::Card, 0x0307, &encoded(&CloseKey { handle })), answer, false)
            }
            9..=10 => {
                let (from, text) = (guest.who, random.bytes(9));
                let to = if random.one_in(4) { random.of(&EVERYBODY) } else { random.of(&from.peers()) };
                let request = PostRequest { to: self.address(to), body: Bytes::from_slice(&text).unwrap() };
                let answer = match self.network.post(from, to, &text) {
                    Ok(number) => Answer::Ending(number.to_be_bytes().to_vec()),
                    Err(error) => Answer::Exactly(Err(error)),
                };
                (message(Service::Network, 1, &encoded(&request)), answer, false)
            }
            11..=12 => {
                let who = guest.who;
                let mail = self.network.take(who).map(|(from, _, number, text)| Mail {
                    from: self.address(from),
                    number,
                    body: Bytes::from_slice(&text).unwrap(),
                });
                let answer = Answer::Exactly(Ok(encoded(&TakeReply { mail })));
                (message(Service::Network, 2, &encoded(&TakeRequest {})), answer, false)
            }
            13 => (message(Service::Random, 1, &encoded(&DrawRequest { count: 8 })), Answer::Long(10), false),
            14 => (SPIN.to_le_bytes().to_vec(), Answer::Never, true),
            _ if random.one_in(3) => (TRAP.to_le_bytes().to_vec(), Answer::Never, false),
            _ => (REFUSE.to_le_bytes().to_vec(), Answer::Refused, false),
        }
    }
}

/// Holds the end of a call against what the model says.
pub fn check(guest: &mut Guest, came: Result<Progress, Error>, answer: Answer) -> Result<(), String> {
    let reply = match (came, &answer) {
        (Ok(Progress::Done(reply)), _) => result(&reply)?,
        (Err(Error::TrustletRefused), Answer::Refused) => return Ok(()),
        (other, answer) => return Err(format!("{other:?}, expected {answer:?}")),
    };
    let holds = match &answer {
        Answer::Exactly(expected) => reply == *expected,
        Answer::Ending(end) => reply.as_ref().is_ok_and(|reply| reply.ends_with(end)),
        Answer::Long(len) => reply.as_ref().is_ok_and(|reply| reply.len() == *len),
        Answer::Key | Answer::LostKey => {
            let opened = reply.as_ref().ok().and_then(|reply| decode_exact::<OpenKeyReply>(reply).ok());
            let handles = if let Answer::Key = answer { &mut guest.handles } else { &mut guest.stale };
            handles.extend(opened.as_ref().map(|opened| opened.handle));
            opened.is_some()
        }
        Answer::Refused | Answer::Never => false,
    };
    if holds { Ok(()) } else { Err(format!("{reply:?}, expected {answer:?}")) }
}

/// An open handle or one that no longer is, and which.
fn handle(guest: &Guest, random: &mut Random) -> (KeyHandle, bool) {
    let all: Vec<_> = guest.handles.iter().chain(&guest.stale).copied().collect();
    let handle = if all.is_empty() { KeyHandle { index: 0, generation: 1_000_000 } } else { random.of(&all) };
    (handle, guest.handles.contains(&handle))
}
