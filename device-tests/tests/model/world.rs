//! The device and its model, side by side: every action is done to both.

use crate::{
    common::{BOOT, Phone},
    state::{
        Answer, EVERYBODY, GUESTS, Guest, Installed, KEYS, Network, Random, SESSIONS, STORE, Stage, Who,
    },
};
use std::{collections::BTreeMap, fmt::Debug};
use tapvault::{
    Channel, ClientError, Transport,
    sim::{Sim, SimChannel},
    transport::call,
};
use tapvault_device_tests::trustlets::{
    bank::{Bank, draft, named, result},
    modules::handler,
};
use tapvault_proto::{
    Error,
    id::{Address, TrustletName},
    service::{Request, Service},
    supervisor::{SessionsRequest, StatusRequest as SupervisorStatus},
    trustlet::{
        keys::{CloseKey, KeyAlgorithm, KeyHandle, Mac, OpenKey, OpenKeyReply},
        network::{Mail, PostRequest, TakeReply, TakeRequest},
        random::DrawRequest,
        store::{GetReply, GetRequest, PutReply, PutRequest},
    },
    tvm::{
        CallRequest, CancelRequest, CommandRequest, InstallRequest, ListRequest, LoadRequest, OpenRequest,
        Progress, ResumeRequest, StartRequest, StatusRequest, TrustletState,
    },
    wire::{Bytes, Wire, decode_exact, encode_into},
};

const NAMES: [&str; 2] = ["ping", "pong"];
const ACTIONS: [&str; 4] = ["activate", "lock", "unlock", "remove"];
/// Where the message begins behind its sender.
const HEAD: u32 = 21;
/// First words of a message that is no call of a service.
const SPIN: u32 = u32::MAX;
const TRAP: u32 = u32::MAX - 1;
const REFUSE: u32 = u32::MAX - 2;

/// A session with a TVM, and the guest in it.
struct Session {
    bank: usize,
    channel: SimChannel,
    guest: Option<Guest>,
}

pub struct World {
    phone: Phone,
    banks: [Bank; 2],
    module: Vec<u8>,
    sessions: Vec<Session>,
    installed: BTreeMap<Who, Installed>,
    network: Network,
}

/// Makes the call that the message spells out: six words, and the request behind them; answers with the
/// result and the service's reply. Or does one of the things a guest should not.
pub fn module() -> Vec<u8> {
    let word = |index: u32| format!("(i32.load (i32.const {}))", 1024 + HEAD + 4 * index);
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
fn message(service: Service, method: u32, request: &[u8]) -> Vec<u8> {
    let at = 1024 + HEAD + 24;
    let words = [service as u32, method, at, u32::try_from(request.len()).unwrap(), 1028, 1000];
    words.iter().flat_map(|word| word.to_le_bytes()).chain(request.iter().copied()).collect()
}

fn encoded<T: Wire>(value: &T) -> Vec<u8> {
    let mut bytes = vec![0; T::MAX];
    let len = encode_into(value, &mut bytes).unwrap();
    bytes.truncate(len);
    bytes
}

fn name(who: Who) -> TrustletName {
    named(NAMES[who.trustlet])
}

/// What came, as the model says it: a refusal by its error.
fn outcome<R>(result: Result<R, ClientError>) -> Result<R, Error> {
    result.map_err(|error| error.refusal().unwrap_or(Error::Internal))
}

fn same<T: Debug + PartialEq>(what: &str, came: T, expected: T) -> Result<(), String> {
    eprintln!("SAME {what} {}", format!("{expected:?}").chars().take(30).collect::<String>());
    if came == expected { Ok(()) } else { Err(format!("{what}: {came:?}, expected {expected:?}")) }
}

impl World {
    pub fn new() -> Self {
        let installed = EVERYBODY.map(|who| (who, Installed::default())).into_iter().collect();
        Self {
            phone: Phone::new(),
            banks: [Bank::lab("A"), Bank::lab("B")],
            module: module(),
            sessions: Vec::new(),
            installed,
            network: Network::default(),
        }
    }

    /// One action.
    pub fn act(&mut self, random: &mut Random) -> Result<(), String> {
        // Rates have tests of their own.
        self.phone.advance(20);
        match random.below(400) {
            0 => self.restart(Some(Service::Supervisor)),
            1 => self.restart(Some(Service::Card)),
            2 => self.restart(None),
            3..=4 => self.restart_tvm(random.below(2)),
            5 => self.phone.advance(1 << random.below(40)),
            6..=25 => return self.install(random),
            26..=70 => return self.command(random),
            71..=110 => return self.connect(random.below(2)),
            111..=400 => return self.in_session(random),
            _ => {}
        }
        Ok(())
    }

    fn in_session(&mut self, random: &mut Random) -> Result<(), String> {
        if self.sessions.is_empty() {
            return self.connect(random.below(2));
        }
        let at = random.below(self.sessions.len());
        match random.below(100) {
            0..=15 => self.open(at, random.below(2)),
            16..=40 => self.load(at, random),
            41..=53 => self.start(at),
            54..=78 => self.call(at, random),
            79..=93 => self.resume(at, random.one_in(8)),
            94..=95 => self.cancel(at),
            _ => {
                let session = self.sessions.swap_remove(at);
                drop(session);
                Ok(())
            }
        }
    }

    fn restart(&mut self, service: Option<Service>) {
        match service {
            Some(service) => self.phone.sim.restart_app(service.uuid()),
            None => self.phone.restart(),
        }
        if service != Some(Service::Card) {
            self.network = Network::default();
        }
        if service != Some(Service::Supervisor) {
            for guest in self.sessions.iter_mut().filter_map(|session| session.guest.as_mut()) {
                guest.keys = 0;
                guest.stale.append(&mut guest.handles);
            }
        }
        if service.is_none() {
            self.sessions.clear();
        }
    }

    fn restart_tvm(&mut self, bank: usize) {
        self.phone.sim.restart_app(self.banks[bank].tvm());
        self.sessions.retain(|session| session.bank != bank);
    }

    fn connect(&mut self, bank: usize) -> Result<(), String> {
        let open = self.sessions.iter().filter(|session| session.bank == bank).count();
        let opened = outcome(self.phone.sim.open(self.banks[bank].tvm()));
        match opened {
            Ok(channel) if open < SESSIONS => self.sessions.push(Session { bank, channel, guest: None }),
            Err(Error::QuotaExceeded) if open == SESSIONS => {}
            other => return Err(format!("session {open}: {:?}", other.map(|_| ()))),
        }
        Ok(())
    }

    /// A call that needs any session of the bank.
    fn ask<R: Request>(&mut self, bank: usize, request: &R) -> Result<R::Reply, Error> {
        let sim: &Sim = &self.phone.sim;
        match self.sessions.iter_mut().find(|session| session.bank == bank) {
            Some(session) => outcome(call(&mut session.channel, request)),
            None => {
                outcome(sim.open(self.banks[bank].tvm()).and_then(|mut channel| call(&mut channel, request)))
            }
        }
    }

    fn end_guests(&mut self, who: Who) {
        let ended = |session: &&mut Session| session.guest.as_ref().is_some_and(|guest| guest.who == who);
        self.sessions.iter_mut().filter(ended).for_each(|session| session.guest = None);
    }

    fn install(&mut self, random: &mut Random) -> Result<(), String> {
        let who = random.of(&EVERYBODY);
        let mut draft =
            draft(NAMES[who.trustlet], &[Service::Store, Service::Card, Service::Network, Service::Random]);
        draft.version = self.installed[&who].version + u32::from(!random.one_in(4));
        draft.store = u16::try_from(STORE).unwrap();
        draft.fuel = u64::MAX;
        draft.peers = who.peers().iter().map(|peer| self.address(*peer)).collect();
        let signed = self.banks[who.bank].manifest(&draft, &self.module)?;
        let manifest = Bytes::from_slice(&signed.document).unwrap();
        let came = self.ask(who.bank, &InstallRequest { manifest, signature: signed.signature });

        let old = self.installed.get_mut(&who).unwrap();
        let expected = if draft.version > old.version {
            let state = old.state.filter(|_| old.is_there()).unwrap_or(TrustletState::Installed);
            (old.version, old.state) = (draft.version, Some(state));
            Ok((draft.version, state))
        } else if old.state.is_none() {
            Err(Error::ManifestMalformed)
        } else {
            Err(Error::ManifestRollback)
        };
        if let Ok((_, state)) = expected {
            self.network.register(who, state);
            self.end_guests(who);
        }
        same("install", came.map(|reply| (reply.version, reply.state)), expected)
    }

    fn command(&mut self, random: &mut Random) -> Result<(), String> {
        let who = random.of(&EVERYBODY);
        // A removal is rarer than the rest.
        let action = ACTIONS[if random.one_in(12) { 3 } else { random.below(3) }];
        let old = &self.installed[&who];
        let sequence = old.sequence + u32::from(!random.one_in(5));
        let signed = self.banks[who.bank].command(NAMES[who.trustlet], sequence, action)?;
        let document = Bytes::from_slice(&signed.document).unwrap();
        let came = self.ask(who.bank, &CommandRequest { document, signature: signed.signature });

        let old = self.installed.get_mut(&who).unwrap();
        let expected = match (old.state, action) {
            _ if !old.is_there() => Err(Error::UnknownTrustlet),
            _ if sequence <= old.sequence => Err(Error::ManifestRollback),
            (Some(TrustletState::Installed), "activate") | (Some(TrustletState::Locked), "unlock") => {
                Ok(TrustletState::Active)
            }
            (Some(TrustletState::Active), "lock") => Ok(TrustletState::Locked),
            (_, "remove") => Ok(TrustletState::Removed),
            _ => Err(Error::WrongState),
        };
        if let Ok(state) = expected {
            (old.sequence, old.state) = (sequence, Some(state));
            if state == TrustletState::Removed {
                old.store.clear();
            }
            self.network.register(who, state);
            if state != TrustletState::Active {
                self.end_guests(who);
            }
        }
        same(action, came.map(|reply| reply.state), expected)
    }

    fn address(&self, who: Who) -> Address {
        Address { provider: self.banks[who.bank].id, name: name(who) }
    }

    fn open(&mut self, at: usize, trustlet: usize) -> Result<(), String> {
        let who = Who { bank: self.sessions[at].bank, trustlet };
        let guests = self.guests(who.bank).count();
        let expected = match self.installed[&who].state {
            _ if self.sessions[at].guest.is_some() => Err(Error::NotReady),
            None | Some(TrustletState::Removed) => Err(Error::UnknownTrustlet),
            Some(TrustletState::Installed | TrustletState::Locked) => Err(Error::TrustletInactive),
            Some(TrustletState::Active) if guests == GUESTS => Err(Error::ProviderQuota),
            Some(TrustletState::Active) => Ok((self.module.len(), self.installed[&who].version)),
        };
        let came = outcome(call(&mut self.sessions[at].channel, &OpenRequest { name: name(who) }));
        if expected.is_ok() {
            self.sessions[at].guest = Some(Guest::new(who));
            self.network.register(who, TrustletState::Active);
        }
        same("open", came.map(|reply| (reply.size as usize, reply.version)), expected)
    }

    fn guests(&self, bank: usize) -> impl Iterator<Item = &Guest> {
        self.sessions
            .iter()
            .filter(move |session| session.bank == bank)
            .filter_map(|session| session.guest.as_ref())
    }

    fn load(&mut self, at: usize, random: &mut Random) -> Result<(), String> {
        let Session { channel, guest, .. } = &mut self.sessions[at];
        let stage = guest.as_mut().map(|guest| &mut guest.stage);
        let (loaded, wrong) =
            (if let Some(Stage::Loading(loaded, _)) = &stage { *loaded } else { 0 }, random.one_in(10));
        let rest = &self.module[loaded..];
        // Most often all of it, so that some guest becomes ready.
        let len = if random.one_in(3) { random.below(rest.len() + 1) } else { rest.len() };
        let mut bytes = rest[..len].to_vec();
        let damage = random.one_in(30) && !bytes.is_empty();
        if damage {
            bytes[0] ^= 1;
        }
        let offset = u32::try_from(loaded).unwrap() + u32::from(wrong);
        let came = outcome(call(channel, &LoadRequest { offset, bytes: Bytes::from_slice(&bytes).unwrap() }));
        let expected = match stage {
            Some(Stage::Loading(..)) if wrong || len == 0 => Err(Error::BadParameters),
            Some(Stage::Loading(loaded, intact)) => {
                *loaded += len;
                *intact &= !damage;
                Ok(())
            }
            _ => Err(Error::NotReady),
        };
        same("load", came.map(|_| ()), expected)
    }

    fn start(&mut self, at: usize) -> Result<(), String> {
        let Session { channel, guest, .. } = &mut self.sessions[at];
        let came = outcome(call(channel, &StartRequest {}));
        let expected = match guest {
            Some(Guest { stage: Stage::Loading(loaded, intact), .. }) if *loaded == self.module.len() => {
                if *intact {
                    Ok(())
                } else {
                    Err(Error::ModuleMismatch)
                }
            }
            _ => Err(Error::NotReady),
        };
        match expected {
            Ok(()) => guest.as_mut().unwrap().stage = Stage::Ready,
            Err(Error::ModuleMismatch) => *guest = None,
            Err(_) => {}
        }
        same("start", came.map(|_| ()), expected)
    }

    fn call(&mut self, at: usize, random: &mut Random) -> Result<(), String> {
        let busy = |(index, session): (usize, &Session)| {
            let other = session.guest.as_ref().filter(|_| index != at);
            other.is_some_and(|other| {
                matches!(other.stage, Stage::InCall(_))
                    && self.sessions[at].guest.as_ref().is_some_and(|guest| guest.who == other.who)
            })
        };
        let busy = self.sessions.iter().enumerate().any(busy);
        let ready = matches!(&self.sessions[at].guest, Some(Guest { stage: Stage::Ready, .. }));
        if busy || !ready {
            let expected = if busy { Error::Busy } else { Error::NotReady };
            let request = CallRequest { message: Bytes::new() };
            let came = outcome(call(&mut self.sessions[at].channel, &request));
            return same("call", came.map(|_| ()), Err(expected));
        }
        let (message, answer, yields) = self.act_as_guest(at, random);
        let request = CallRequest { message: Bytes::from_slice(&message).unwrap() };
        let came = outcome(call(&mut self.sessions[at].channel, &request));
        let guest = &mut self.sessions[at].guest;
        if yields {
            guest.as_mut().unwrap().stage = Stage::InCall(answer);
            return same("call", came, Ok(Progress::Yielded));
        }
        if came == Err(Error::TrustletFailed) {
            *guest = None;
            return same("a trap", message[..4].to_vec(), TRAP.to_le_bytes().to_vec());
        }
        Self::check(guest.as_mut().unwrap(), came, answer)
    }

    /// Chooses what the guest does, and does it to the model: the message, the answer, whether the client
    /// comes in between.
    fn act_as_guest(&mut self, at: usize, random: &mut Random) -> (Vec<u8>, Answer, bool) {
        let bank = self.sessions[at].bank;
        let keys: usize = self.guests(bank).map(|guest| guest.keys).sum();
        let guest = self.sessions[at].guest.as_mut().unwrap();
        let stored = self.installed.get_mut(&guest.who).unwrap();
        let key = u8::try_from(random.below(4)).unwrap();
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
                let (from, to, text) = (guest.who, random.of(&EVERYBODY), random.bytes(9));
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

    fn resume(&mut self, at: usize, with_frame: bool) -> Result<(), String> {
        let Session { channel, guest, .. } = &mut self.sessions[at];
        let frame = with_frame.then(Bytes::new);
        let came = outcome(call(channel, &ResumeRequest { frame }));
        let Some(guest) = guest else { return same("resume", came, Err(Error::NotReady)) };
        match guest.stage.clone() {
            Stage::Loading(..) => same("resume", came, Err(Error::NotReady)),
            Stage::Ready | Stage::InCall(_) if with_frame => same("resume", came, Err(Error::BadParameters)),
            Stage::Ready => same("resume", came, Err(Error::NotReady)),
            Stage::InCall(Answer::Never) => same("resume", came, Ok(Progress::Yielded)),
            Stage::InCall(answer) => {
                guest.stage = Stage::Ready;
                Self::check(guest, came, answer)
            }
        }
    }

    /// Holds the end of a call against what the model says.
    fn check(guest: &mut Guest, came: Result<Progress, Error>, answer: Answer) -> Result<(), String> {
        let reply = match (came, &answer) {
            (Ok(Progress::Done(reply)), _) => result(&reply)?,
            (Err(Error::TrustletRefused), Answer::Refused) => return Ok(()),
            (other, answer) => return Err(format!("{other:?}, expected {answer:?}")),
        };
        eprintln!("CHECK {}", format!("{answer:?}").chars().take(30).collect::<String>());
        let holds = match &answer {
            Answer::Exactly(expected) => reply == *expected,
            Answer::Ending(end) => reply.as_ref().is_ok_and(|reply| reply.ends_with(end)),
            Answer::Long(len) => reply.as_ref().is_ok_and(|reply| reply.len() == *len),
            Answer::Key => {
                let opened = reply.as_ref().ok().and_then(|reply| decode_exact::<OpenKeyReply>(reply).ok());
                guest.handles.extend(opened.as_ref().map(|opened| opened.handle));
                opened.is_some()
            }
            Answer::Refused | Answer::Never => false,
        };
        if holds { Ok(()) } else { Err(format!("{reply:?}, expected {answer:?}")) }
    }

    fn cancel(&mut self, at: usize) -> Result<(), String> {
        let Session { channel, guest, .. } = &mut self.sessions[at];
        let came = outcome(call(channel, &CancelRequest {}));
        let expected = match guest {
            None | Some(Guest { stage: Stage::Ready, .. }) => Err(Error::NotReady),
            // Of a call, or of a module on its way.
            Some(_) => Ok(()),
        };
        if expected.is_ok() {
            *guest = None;
        }
        same("cancel", came.map(|_| ()), expected)
    }

    /// Everything that can be asked for, and no client's session changes.
    pub fn compare(&mut self) -> Result<(), String> {
        let mut memory = 0;
        for bank in 0..2 {
            let status = self.ask(bank, &StatusRequest {}).map_err(|error| format!("{error:?}"))?;
            memory += status.memory as usize;
            let there = |who: &&Who| who.bank == bank && self.installed[*who].is_there();
            let trustlets = EVERYBODY.iter().filter(there).count();
            let counts = (usize::from(status.guests), usize::from(status.trustlets));
            same("guests and trustlets", counts, (self.guests(bank).count(), trustlets))?;
            let list = self.ask(bank, &ListRequest {}).map_err(|error| format!("{error:?}"))?.trustlets;
            for who in EVERYBODY.iter().filter(|who| who.bank == bank) {
                let Installed { state, version, sequence, .. } = self.installed[who];
                let entry = list.iter().find(|entry| entry.name == name(*who));
                let came =
                    entry.map_or((None, 0, 0), |entry| (Some(entry.state), entry.version, entry.sequence));
                same("a trustlet", came, (state, version, sequence))?;
            }
        }
        same("memory", self.phone.device.borrow().mapped, memory)
    }

    /// Closes everything and counts what is left, which is nothing.
    pub fn end(mut self) {
        self.sessions.clear();
        self.compare().unwrap();
        assert_eq!(self.phone.device.borrow().mapped, 0, "memory was left behind");
        let left = sessions(&self.phone);
        assert_eq!(left.0, 0, "sessions were left behind");
        let fresh = Phone::new();
        for phone in [&fresh, &self.phone] {
            for bank in &self.banks {
                fill(phone, bank, &self.module);
            }
        }
        assert_eq!(sessions(&self.phone), sessions(&fresh), "trusted apps hold more than at first");
    }
}

/// An open handle or one that no longer is, and which.
fn handle(guest: &Guest, random: &mut Random) -> (KeyHandle, bool) {
    let all: Vec<_> = guest.handles.iter().chain(&guest.stale).copied().collect();
    let handle = if all.is_empty() { KeyHandle { index: 0, generation: 1_000_000 } } else { random.of(&all) };
    (handle, guest.handles.contains(&handle))
}

/// Sessions of the wallet with the two banks' TVMs, and all that are live.
pub fn sessions(phone: &Phone) -> (u16, u16) {
    let mut supervisor = phone.sim.as_caller(BOOT).connect(Service::Supervisor).unwrap();
    let mut of = |letter: &str| {
        let target = Bank::lab(letter).tvm();
        let callers = call(&mut supervisor, &SessionsRequest { target }).unwrap().callers;
        callers.iter().map(|count| count.live).sum::<u16>()
    };
    let wallets = of("A") + of("B");
    (wallets, call(&mut supervisor, &SupervisorStatus {}).unwrap().live_sessions)
}

/// Takes every guest and every key that a bank can have, and gives them back.
pub fn fill(phone: &Phone, bank: &Bank, module: &[u8]) {
    let request = encoded(&OpenKey { label: Bytes::new(), algorithm: KeyAlgorithm::Derive });
    let message = message(Service::Card, 0x0301, &request);
    let mut draft = draft("ping", &[Service::Card]);
    draft.fuel = u64::MAX;
    bank.install(&phone.sim, draft, module).unwrap();
    let mut guests = Vec::new();
    for index in 0..GUESTS {
        let mut trustlet = bank.connect(&phone.sim).unwrap().open(&named("ping"), module).unwrap();
        for _ in 0..KEYS / GUESTS {
            assert!(result(&trustlet.call(&message).unwrap()).unwrap().is_ok(), "guest {index} gets no key");
        }
        guests.push(trustlet);
    }
    let more = bank.connect(&phone.sim).unwrap().open(&named("ping"), module).map(|_| ());
    assert_eq!(outcome(more), Err(Error::ProviderQuota));
    let refused = result(&guests[0].call(&message).unwrap()).unwrap();
    assert_eq!(refused, Err(Error::ProviderQuota));
    guests.iter_mut().for_each(|guest| drop(guest.tvm().channel().invoke(0xFFFF, b"")));
}
