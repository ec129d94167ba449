//! The device and its model, side by side: every action is done to both.

use crate::{
    common::Phone,
    guest::module,
    state::{Answer, EVERYBODY, GUESTS, Guest, Installed, KEYS, Network, SESSIONS, STORE, Stage, Who},
};
use std::{collections::BTreeMap, fmt::Debug};
use tapvault::{
    ClientError, Transport,
    sim::{Sim, SimChannel},
    transport::call,
};
use tapvault_device_tests::{
    random::Random,
    trustlets::{
        anything,
        bank::{Bank, draft, named},
    },
};
use tapvault_proto::{
    Error,
    id::{Address, TrustletName},
    service::{Request, Service},
    tvm::{CommandRequest, InstallRequest, ListRequest, StatusRequest, TrustletState},
    wire::Bytes,
};

const NAMES: [&str; 2] = ["ping", "pong"];

/// A session with a TVM, and the guest in it.
pub struct Session {
    pub bank: usize,
    pub channel: SimChannel,
    pub guest: Option<Guest>,
}

pub struct World {
    phone: Phone,
    banks: [Bank; 2],
    pub module: Vec<u8>,
    pub sessions: Vec<Session>,
    pub installed: BTreeMap<Who, Installed>,
    pub network: Network,
}

pub fn name(who: Who) -> TrustletName {
    named(NAMES[who.trustlet])
}

/// What came, as the model says it: a refusal by its error.
pub fn outcome<R>(result: Result<R, ClientError>) -> Result<R, Error> {
    result.map_err(|error| error.refusal().unwrap_or(Error::Internal))
}

pub fn same<T: Debug + PartialEq>(what: &str, came: T, expected: T) -> Result<(), String> {
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
            3 => self.restart_tvm(random.index(2)),
            4 => self.phone.advance(1 << random.below(40)),
            5..=30 => return self.change(random),
            31..=45 => return self.connect(random.index(2)),
            _ => return self.in_session(random),
        }
        Ok(())
    }

    /// Most often what comes next for the session, else anything.
    fn in_session(&mut self, random: &mut Random) -> Result<(), String> {
        if self.sessions.is_empty() {
            return self.connect(random.index(2));
        }
        let at = random.index(self.sessions.len());
        let next = match self.sessions[at].guest.as_ref().map(|guest| &guest.stage) {
            None => 0,
            Some(Stage::Loading(loaded, _)) if *loaded < self.module.len() => 1,
            Some(Stage::Loading(..)) => 2,
            Some(Stage::Ready) => 3,
            Some(Stage::InCall(Answer::Never)) if random.one_in(3) => 5,
            Some(Stage::InCall(_)) => 4,
        };
        match if random.one_in(6) { random.below(7) } else { next } {
            0 => self.open(at, random.index(2)),
            1 => self.load(at, random),
            2 => self.start(at),
            3 => self.call(at, random),
            4 => self.resume(at, random.one_in(8)),
            5 => self.cancel(at),
            _ => {
                drop(self.sessions.swap_remove(at));
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
                if matches!(guest.stage, Stage::InCall(Answer::Key)) {
                    guest.stage = Stage::InCall(Answer::LostKey);
                }
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

    /// A trustlet's next step in its life most often, or any.
    fn change(&mut self, random: &mut Random) -> Result<(), String> {
        let who = random.of(&EVERYBODY);
        let next = match self.installed[&who].state {
            None | Some(TrustletState::Removed) => None,
            Some(TrustletState::Installed) => Some("activate"),
            Some(TrustletState::Locked) => Some("unlock"),
            Some(TrustletState::Active) => random.of(&[None, None, Some("lock")]),
        };
        let any = [None, Some("activate"), Some("lock"), Some("unlock"), Some("remove")];
        match if random.one_in(3) { random.of(&any) } else { next } {
            None => self.install(who, random),
            Some(action) => self.command(who, action, random),
        }
    }

    fn install(&mut self, who: Who, random: &mut Random) -> Result<(), String> {
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

    fn command(&mut self, who: Who, action: &str, random: &mut Random) -> Result<(), String> {
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

    pub fn address(&self, who: Who) -> Address {
        Address { provider: self.banks[who.bank].id, name: name(who) }
    }

    pub fn guests(&self, bank: usize) -> impl Iterator<Item = &Guest> {
        self.sessions
            .iter()
            .filter(move |session| session.bank == bank)
            .filter_map(|session| session.guest.as_ref())
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

    fn sessions_with_tvms(&self, phone: &Phone) -> (u16, u16) {
        phone.sessions(&[&self.banks[0], &self.banks[1]])
    }

    /// Closes everything and counts what is left, which is nothing.
    pub fn end(mut self) {
        self.sessions.clear();
        self.compare().unwrap();
        assert_eq!(self.phone.device.borrow().mapped, 0, "memory was left behind");
        assert_eq!(self.sessions_with_tvms(&self.phone).0, 0, "sessions were left behind");
        let fresh = Phone::new();
        for phone in [&fresh, &self.phone] {
            for bank in &self.banks {
                assert_eq!(anything::capacity(&phone.sim, bank), Ok((GUESTS, KEYS)));
            }
        }
        let at_first = self.sessions_with_tvms(&fresh);
        assert_eq!(self.sessions_with_tvms(&self.phone), at_first, "trusted apps hold more than at first");
    }
}
