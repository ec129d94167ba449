//! What the model knows: a few numbers and lists in place of two banks' TVMs, the supervisor and the card.

use std::collections::{BTreeMap, VecDeque};
use tapvault_proto::{Error, trustlet::keys::KeyHandle, tvm::TrustletState};

/// Sessions of one caller with one TVM, by the lab's policy.
pub const SESSIONS: usize = 8;
/// Guests of one bank, by the lab's policy.
pub const GUESTS: usize = 4;
/// A bank's share of the mailboxes, by the lab's policy.
pub const MESSAGES: usize = 4;
/// Open keys of one bank.
pub const KEYS: usize = 8;
/// Bytes that each trustlet may store, by its manifest.
pub const STORE: usize = 120;

/// A trustlet: number of its bank and its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    pub bank: usize,
    pub trustlet: usize,
}

/// Every trustlet there is.
pub const EVERYBODY: [Who; 4] = [who(0, 0), who(0, 1), who(1, 0), who(1, 1)];

const fn who(bank: usize, trustlet: usize) -> Who {
    Who { bank, trustlet }
}

impl Who {
    /// Whom its manifest names. Two pairs name each other; two name one that does not name them.
    pub fn peers(self) -> Vec<Who> {
        match (self.bank, self.trustlet) {
            (0, 0) => vec![who(1, 0), who(1, 1)],
            (0, _) => vec![who(1, 0)],
            (_, 0) => vec![who(0, 0)],
            _ => vec![who(0, 0), who(0, 1)],
        }
    }
}

/// What a TVM stores of a trustlet.
#[derive(Clone, Debug, Default)]
pub struct Installed {
    /// `None` before the first installation.
    pub state: Option<TrustletState>,
    pub version: u32,
    pub sequence: u32,
    pub store: BTreeMap<u8, Vec<u8>>,
}

impl Installed {
    pub fn is_there(&self) -> bool {
        !matches!(self.state, None | Some(TrustletState::Removed))
    }

    /// Puts a value or takes one away; the bytes used then, or the refusal.
    pub fn put(&mut self, key: u8, value: Option<Vec<u8>>) -> Result<usize, Error> {
        // Key and value, each with its length.
        let used = |store: &BTreeMap<u8, Vec<u8>>| store.values().map(|value| 2 + 1 + 2 + value.len()).sum();
        let before: usize = used(&self.store);
        let mut store = self.store.clone();
        match value {
            Some(value) => store.insert(key, value),
            None => store.remove(&key),
        };
        let after = used(&store);
        if after > STORE && after > before {
            return Err(Error::ProviderQuota);
        }
        self.store = store;
        Ok(after)
    }
}

/// What the supervisor remembers until it starts again.
#[derive(Debug, Default)]
pub struct Network {
    /// Whom TVMs told of, and whether they are active.
    pub known: BTreeMap<Who, bool>,
    /// From, to, number, text.
    pub mail: VecDeque<(Who, Who, u32, Vec<u8>)>,
    pub last_number: u32,
}

impl Network {
    pub fn register(&mut self, who: Who, state: TrustletState) {
        self.known.insert(who, state == TrustletState::Active);
        if state == TrustletState::Removed {
            self.known.remove(&who);
        }
        if state != TrustletState::Active {
            self.mail.retain(|(_, to, ..)| *to != who);
        }
    }

    pub fn post(&mut self, from: Who, to: Who, text: &[u8]) -> Result<u32, Error> {
        if !from.peers().contains(&to) {
            return Err(Error::NotInManifest);
        }
        // A sender that runs is active; its TVM tells a new supervisor so.
        self.register(from, TrustletState::Active);
        if self.known.get(&to) != Some(&true) {
            return Err(Error::PeerUnknown);
        }
        if !to.peers().contains(&from) {
            return Err(Error::PeerRefuses);
        }
        if self.mail.iter().filter(|(sender, ..)| sender.bank == from.bank).count() >= MESSAGES {
            return Err(Error::ProviderQuota);
        }
        // There are two banks, and half of a share is the most that one gets.
        if self.mail.iter().filter(|(_, receiver, ..)| receiver.bank == to.bank).count() >= MESSAGES / 2 {
            return Err(Error::PeerFull);
        }
        self.last_number += 1;
        self.mail.push_back((from, to, self.last_number, text.to_vec()));
        Ok(self.last_number)
    }

    pub fn take(&mut self, who: Who) -> Option<(Who, Who, u32, Vec<u8>)> {
        self.register(who, TrustletState::Active);
        let index = self.mail.iter().position(|(_, to, ..)| *to == who)?;
        self.mail.remove(index)
    }
}

/// What a call answers when it is done.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The service's reply or refusal.
    Exactly(Result<Vec<u8>, Error>),
    /// A reply that ends so, or one of that length where only the length is known.
    Ending(Vec<u8>),
    Long(usize),
    /// A new key; or one that the card no longer knows.
    Key,
    LostKey,
    /// The trustlet refuses.
    Refused,
    /// It never comes.
    Never,
}

/// How far a guest is.
#[derive(Clone, Debug)]
pub enum Stage {
    /// So many bytes are there, and all of them right.
    Loading(usize, bool),
    Ready,
    InCall(Answer),
}

/// A guest in a session.
#[derive(Clone, Debug)]
pub struct Guest {
    pub who: Who,
    pub stage: Stage,
    /// Keys that are open, those of a call that is not answered included.
    pub keys: usize,
    /// Handles of open keys.
    pub handles: Vec<KeyHandle>,
    /// Handles that were open once.
    pub stale: Vec<KeyHandle>,
}

impl Guest {
    pub fn new(who: Who) -> Self {
        Self { who, stage: Stage::Loading(0, true), keys: 0, handles: Vec::new(), stale: Vec::new() }
    }
}
