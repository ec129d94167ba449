//! What two TVMs and the supervisor have to answer, written once more and as simply as it goes: no storage,
//! no signatures, no Wasm.

use crate::steps::{Act, Ask, Draft, Guest, Op, Part, Proof, Said, Session, Stage, Trustlet};
use std::collections::BTreeMap;
use tapvault_proto::{
    Error,
    id::Address,
    supervisor::MAX_PEERS,
    trustlet::network::Mail,
    tvm::{MAX_TRUSTLETS, TrustletState},
    wire::Bytes,
};
use teei_hypervisor::{manifest::Limits, tvm::check::reserve};

/// Slices that the short fuel lasts.
const SHORT_SLICES: u32 = 2;
/// Sessions that the lab's policy gives one user at a TVM.
const SESSIONS: usize = 8;
/// Peers of one provider's trustlets together.
const LINKS: usize = 8;

/// What the lab's policy gives a bank.
#[derive(Clone, Copy)]
pub struct Quota {
    pub guests: usize,
    pub memory: usize,
    pub store: u32,
    pub messages: usize,
    pub element: bool,
}

pub struct Provider {
    quota: Quota,
    pub trustlets: BTreeMap<String, Trustlet>,
    pub sessions: Vec<Session>,
}

struct Known {
    state: TrustletState,
    version: u32,
    peers: Vec<Address>,
}

pub struct Model {
    pub providers: [Provider; 2],
    address: fn(usize, &str) -> Address,
    /// Bytes of either module.
    size: usize,
    known: BTreeMap<(usize, String), Known>,
    waiting: Vec<(Address, Mail)>,
    last_number: u32,
}

impl Model {
    pub fn new(quotas: [Quota; 2], size: usize, address: fn(usize, &str) -> Address) -> Self {
        let provider =
            |quota| Provider { quota, trustlets: BTreeMap::new(), sessions: vec![Session::default()] };
        let (known, waiting) = (BTreeMap::new(), Vec::new());
        Self { providers: quotas.map(provider), address, size, known, waiting, last_number: 0 }
    }

    /// Living trustlets, guests, and bytes of memory.
    pub fn status(&self, bank: usize) -> (usize, usize, usize) {
        let Provider { trustlets, sessions, .. } = &self.providers[bank];
        let living = trustlets.values().filter(|trustlet| trustlet.state != TrustletState::Removed);
        let guests: Vec<_> = sessions.iter().filter_map(|session| session.0.as_ref()).collect();
        (living.count(), guests.len(), guests.iter().map(|guest| self.memory(&guest.draft)).sum())
    }

    /// Name, state, version and waiting messages of what the supervisor knows.
    pub fn directory(&self, bank: usize) -> Vec<(String, TrustletState, u32, usize)> {
        let of_bank = self.known.iter().filter(|((of, _), _)| *of == bank);
        let entry = |((_, name), known): (&(usize, String), &Known)| {
            let address = (self.address)(bank, name);
            let messages = self.waiting.iter().filter(|(to, _)| *to == address).count();
            (name.clone(), known.state, known.version, messages)
        };
        of_bank.map(entry).collect()
    }

    pub fn step(&mut self, op: &Op) -> Result<Said, Error> {
        let Op { bank, session, act } = op;
        let (bank, session) = (*bank, *session);
        match act {
            Act::Connect if self.providers[bank].sessions.len() == SESSIONS => {
                return Err(Error::QuotaExceeded);
            }
            Act::Connect => self.providers[bank].sessions.push(Session::default()),
            Act::Close => drop(self.providers[bank].sessions.remove(session)),
            Act::Install(name, draft, proof) => return self.install(bank, name, draft, *proof),
            Act::Command(name, sequence, action, proof) => {
                return self.command(bank, name, *sequence, action, *proof);
            }
            Act::Open(name) => return self.open(bank, session, name),
            Act::Load(part, module) => return self.load(bank, session, *part, *module),
            Act::Start => return self.start(bank, session),
            Act::Call(ask) => return self.call(bank, session, ask),
            Act::Resume { frame } => return self.resume(bank, session, *frame),
            Act::Cancel => match self.guest(bank, session)?.stage {
                Stage::Idle => return Err(Error::NotReady),
                Stage::Loading { .. } | Stage::Spinning { .. } | Stage::Refused => self.end(bank, session),
            },
            Act::RestartTvm => self.providers[bank].sessions = vec![Session::default()],
            Act::RestartSupervisor => self.forget(),
            Act::RestartPhone => {
                self.forget();
                self.providers.iter_mut().for_each(|provider| provider.sessions = vec![Session::default()]);
            }
        }
        Ok(Said::Nothing)
    }

    fn forget(&mut self) {
        (self.known, self.waiting, self.last_number) = (BTreeMap::new(), Vec::new(), 0);
    }

    fn memory(&self, draft: &Draft) -> usize {
        let limits = Limits { pages: draft.pages, stack: 8192, depth: 64, fuel: 1 };
        ((usize::from(draft.pages) << 16) + reserve(self.size, &limits)).next_multiple_of(4096)
    }

    fn guest(&mut self, bank: usize, session: usize) -> Result<&mut Guest, Error> {
        self.providers[bank].sessions[session].0.as_mut().ok_or(Error::NotReady)
    }

    fn end(&mut self, bank: usize, session: usize) {
        self.providers[bank].sessions[session].0 = None;
    }

    fn end_all(&mut self, bank: usize, name: &str) {
        let sessions = &mut self.providers[bank].sessions;
        sessions.iter_mut().for_each(|session| drop(session.0.take_if(|guest| guest.name == name)));
    }

    fn check_limits(&self, bank: usize, name: &str, draft: &Draft) -> Result<(), Error> {
        let Provider { quota, trustlets, .. } = &self.providers[bank];
        let beside = trustlets.iter().filter(|(of, at)| *of != name && at.state != TrustletState::Removed);
        let stores: u32 = beside.map(|(_, at)| u32::from(at.draft.store)).sum();
        let fits = self.memory(draft) <= quota.memory
            && stores + u32::from(draft.store) <= quota.store
            && (quota.element || !draft.element);
        if fits { Ok(()) } else { Err(Error::LimitTooHigh) }
    }

    /// What the supervisor does when a TVM tells of a trustlet.
    fn tell(&mut self, bank: usize, name: &str, state: TrustletState, draft: &Draft) -> Result<(), Error> {
        let key = (bank, name.to_string());
        if state != TrustletState::Removed {
            let others: Vec<_> = self.known.iter().filter(|(of, _)| of.0 == bank && **of != key).collect();
            let links: usize = others.iter().map(|(_, known)| known.peers.len()).sum();
            if others.len() >= MAX_TRUSTLETS || links + draft.peers.len() > LINKS {
                return Err(Error::ProviderQuota);
            }
        }
        if state != TrustletState::Active {
            let address = (self.address)(bank, name);
            self.waiting.retain(|(to, _)| *to != address);
        }
        if state == TrustletState::Removed {
            self.known.remove(&key);
        } else {
            self.known.insert(key, Known { state, version: draft.version, peers: draft.peers.clone() });
        }
        Ok(())
    }

    fn install(&mut self, bank: usize, name: &str, draft: &Draft, proof: Proof) -> Result<Said, Error> {
        match proof {
            Proof::Good if draft.version == 0 => return Err(Error::ManifestMalformed),
            Proof::Good => {}
            Proof::Forged | Proof::Stranger => return Err(Error::ManifestSignature),
            Proof::OtherKind => return Err(Error::ManifestMalformed),
        }
        assert!(draft.peers.len() <= MAX_PEERS);
        self.check_limits(bank, name, draft)?;
        let trustlets = &self.providers[bank].trustlets;
        let old = trustlets.get(name);
        if old.is_none() && trustlets.len() == MAX_TRUSTLETS {
            return Err(Error::TooManyTrustlets);
        }
        if old.is_some_and(|old| draft.version <= old.draft.version) {
            return Err(Error::ManifestRollback);
        }
        let sequence = old.map_or(0, |old| old.sequence);
        let state = match old.map(|old| old.state) {
            None | Some(TrustletState::Removed) => TrustletState::Installed,
            Some(state) => state,
        };
        self.tell(bank, name, state, draft)?;
        self.end_all(bank, name);
        let trustlet = Trustlet { state, sequence, draft: draft.clone() };
        self.providers[bank].trustlets.insert(name.to_string(), trustlet);
        Ok(Said::Installed(draft.version, state))
    }

    fn living(&self, bank: usize, name: &str) -> Result<Trustlet, Error> {
        let found = self.providers[bank].trustlets.get(name).cloned();
        found.filter(|found| found.state != TrustletState::Removed).ok_or(Error::UnknownTrustlet)
    }

    fn command(
        &mut self,
        bank: usize,
        name: &str,
        sequence: u32,
        action: &str,
        proof: Proof,
    ) -> Result<Said, Error> {
        match proof {
            Proof::Good => {}
            Proof::Forged | Proof::Stranger => return Err(Error::ManifestSignature),
            Proof::OtherKind => return Err(Error::ManifestMalformed),
        }
        let old = self.living(bank, name)?;
        if sequence <= old.sequence {
            return Err(Error::ManifestRollback);
        }
        let state = match (old.state, action) {
            (TrustletState::Installed, "activate") | (TrustletState::Locked, "unlock") => {
                TrustletState::Active
            }
            (TrustletState::Active, "lock") => TrustletState::Locked,
            (_, "remove") => TrustletState::Removed,
            _ => return Err(Error::WrongState),
        };
        self.tell(bank, name, state, &old.draft)?;
        if state != TrustletState::Active {
            self.end_all(bank, name);
        }
        let trustlet = Trustlet { state, sequence, draft: old.draft };
        self.providers[bank].trustlets.insert(name.to_string(), trustlet);
        Ok(Said::State(state))
    }

    fn open(&mut self, bank: usize, session: usize, name: &str) -> Result<Said, Error> {
        if self.guest(bank, session).is_ok() {
            return Err(Error::NotReady);
        }
        let Trustlet { state, draft, .. } = self.living(bank, name)?;
        if state != TrustletState::Active {
            return Err(Error::TrustletInactive);
        }
        if draft.foreign {
            return Err(Error::AccessDenied);
        }
        self.check_limits(bank, name, &draft)?;
        let (Quota { guests, memory, .. }, (_, now, held)) = (self.providers[bank].quota, self.status(bank));
        if now >= guests || held + self.memory(&draft) > memory {
            return Err(Error::ProviderQuota);
        }
        self.tell(bank, name, state, &draft)?;
        let said = Said::Opened(u32::try_from(self.size).unwrap(), draft.version);
        let stage = Stage::Loading { bytes: 0, wrong: false };
        self.providers[bank].sessions[session].0 = Some(Guest { name: name.to_string(), draft, stage });
        Ok(said)
    }

    fn load(&mut self, bank: usize, session: usize, part: Part, module: u8) -> Result<Said, Error> {
        let (size, half) = (self.size, self.size / 2);
        let guest = self.guest(bank, session)?;
        let Stage::Loading { bytes, wrong } = &mut guest.stage else { return Err(Error::NotReady) };
        let (from, to) = match part {
            Part::All => (0, size),
            Part::FirstHalf => (0, half),
            Part::SecondHalf => (half, size),
            Part::Nothing => return Err(Error::BadParameters),
        };
        if from != *bytes {
            return Err(Error::BadParameters);
        }
        *bytes = to;
        // The modules differ in their second half.
        *wrong |= module != guest.draft.module && to == size;
        Ok(Said::Nothing)
    }

    fn start(&mut self, bank: usize, session: usize) -> Result<Said, Error> {
        let size = self.size;
        let guest = self.guest(bank, session)?;
        match guest.stage {
            Stage::Loading { bytes, wrong: false } if bytes == size => guest.stage = Stage::Idle,
            Stage::Loading { bytes, wrong: true } if bytes == size => {
                self.end(bank, session);
                return Err(Error::ModuleMismatch);
            }
            _ => return Err(Error::NotReady),
        }
        Ok(Said::Nothing)
    }

    fn call(&mut self, bank: usize, session: usize, ask: &Ask) -> Result<Said, Error> {
        let name = self.guest(bank, session)?.name.clone();
        let spins = |(index, other): (usize, &Session)| {
            let same = other.0.as_ref().filter(|guest| index != session && guest.name == name);
            same.is_some_and(|guest| matches!(guest.stage, Stage::Spinning { .. } | Stage::Refused))
        };
        if self.providers[bank].sessions.iter().enumerate().any(spins) {
            return Err(Error::Busy);
        }
        let guest = self.guest(bank, session)?;
        let Stage::Idle = guest.stage else { return Err(Error::NotReady) };
        let draft = guest.draft.clone();
        let asked = match ask {
            Ask::Echo => return Ok(Said::Echo(draft.module)),
            Ask::Spin => {
                guest.stage = Stage::Spinning { slices: 1 };
                return Ok(Said::Yielded);
            }
            Ask::Trap => {
                self.end(bank, session);
                return Err(Error::TrustletFailed);
            }
            Ask::Store => {
                guest.stage = Stage::Refused;
                return Ok(Said::Yielded);
            }
            Ask::Post(to, body) => self.post(bank, &name, &draft, to, *body),
            Ask::Take => self.tell_unknown(bank, &name, &draft).map(|()| {
                let own = (self.address)(bank, &name);
                let index = self.waiting.iter().position(|(to, _)| *to == own);
                Said::Taken(index.map(|index| self.waiting.remove(index).1))
            }),
        };
        Ok(asked.unwrap_or_else(Said::Refused))
    }

    /// A supervisor that started again is told of a trustlet when this uses the network.
    fn tell_unknown(&mut self, bank: usize, name: &str, draft: &Draft) -> Result<(), Error> {
        if self.known.contains_key(&(bank, name.to_string())) {
            return Ok(());
        }
        self.tell(bank, name, TrustletState::Active, draft)
    }

    fn post(
        &mut self,
        bank: usize,
        name: &str,
        draft: &Draft,
        to: &Address,
        body: u8,
    ) -> Result<Said, Error> {
        if !draft.peers.contains(to) {
            return Err(Error::NotInManifest);
        }
        self.tell_unknown(bank, name, draft)?;
        let from = (self.address)(bank, name);
        let other = 1 - bank;
        let key = (other, to.name.to_string());
        let peer = self.known.get(&key).filter(|known| known.state == TrustletState::Active);
        if !peer.ok_or(Error::PeerUnknown)?.peers.contains(&from) {
            return Err(Error::PeerRefuses);
        }
        let count = |of: &dyn Fn(&(Address, Mail)) -> bool| self.waiting.iter().filter(|at| of(at)).count();
        let sent = count(&|(_, mail)| mail.from.provider == from.provider);
        if sent >= self.providers[bank].quota.messages {
            return Err(Error::ProviderQuota);
        }
        // With two banks all that waits for one comes from the other.
        let waiting = count(&|(at, _)| at.provider == to.provider);
        if waiting >= self.providers[other].quota.messages.div_ceil(2) {
            return Err(Error::PeerFull);
        }
        self.last_number += 1;
        let mail = Mail { from, number: self.last_number, body: Bytes::from_slice(&[body]).unwrap() };
        self.waiting.push((to.clone(), mail));
        Ok(Said::Posted(self.last_number))
    }

    fn resume(&mut self, bank: usize, session: usize, frame: bool) -> Result<Said, Error> {
        let guest = self.guest(bank, session)?;
        match &mut guest.stage {
            Stage::Loading { .. } => Err(Error::NotReady),
            _ if frame => Err(Error::BadParameters),
            Stage::Idle => Err(Error::NotReady),
            Stage::Spinning { slices } if guest.draft.short && *slices == SHORT_SLICES => {
                self.end(bank, session);
                Err(Error::TrustletFailed)
            }
            Stage::Refused => {
                guest.stage = Stage::Idle;
                Ok(Said::Refused(Error::NotInManifest))
            }
            Stage::Spinning { slices } => {
                *slices += 1;
                Ok(Said::Yielded)
            }
        }
    }
}
