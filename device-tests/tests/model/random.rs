//! Chooses the steps of a walk: mostly what leads somewhere, sometimes anything.

use crate::{
    NAMES, address,
    oracle::Model,
    steps::{Act, Ask, Draft, Op, Part, Proof, Session},
};
use tapvault_device_tests::random::Random;
use tapvault_proto::tvm::TrustletState;

/// Instead of a session's number: the newest.
const NEWEST: usize = usize::MAX;

/// The walk of a seed.
pub struct Steps(pub Random);

impl Steps {
    fn below(&mut self, bound: usize) -> usize {
        self.0.index(bound)
    }
    fn percent(&mut self, percent: u64) -> bool {
        self.0.below(100) < percent
    }
    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        self.0.of(of)
    }
    /// Mostly the next number; sometimes an old one, the same, or one left out.
    fn near(&mut self, last: u32) -> u32 {
        match self.below(8) {
            0 => last.saturating_sub(1),
            1 => last,
            2 => last + 2,
            _ => last + 1,
        }
    }
    /// Few names often, so that things happen to them.
    fn name(&mut self) -> String {
        let names = if self.percent(60) { 3 } else { NAMES };
        format!("t{}", self.below(names))
    }
    fn proof(&mut self) -> Proof {
        if self.percent(88) {
            return Proof::Good;
        }
        self.pick(&[Proof::Forged, Proof::Stranger, Proof::OtherKind])
    }

    fn draft(&mut self, bank: usize, last: u32) -> Draft {
        let usual = self.percent(70);
        let count = self.below(5);
        let peers = match usual {
            // Those that are often there, so that messages arrive.
            true => (0..2).map(|index| address(1 - bank, &format!("t{index}"))).collect(),
            false => (0..count).map(|_| address(1 - bank, &self.name())).collect(),
        };
        Draft {
            version: self.near(last),
            pages: self.pick(&[1, 1, 1, 4, 8, 12]),
            store: self.pick(&[0, 0, 700, 1500]),
            short: self.percent(50),
            element: self.percent(5),
            foreign: self.percent(5),
            peers,
            module: self.pick(&[7, 8]),
        }
    }

    fn command(&mut self, model: &Model, bank: usize, name: String) -> Act {
        let known = model.providers[bank].trustlets.get(&name);
        let actions = ["activate", "lock", "unlock", "remove"];
        let action = match known.map(|known| known.state) {
            Some(TrustletState::Installed) if self.percent(75) => "activate",
            Some(TrustletState::Locked) if self.percent(75) => "unlock",
            _ if self.percent(60) => self.pick(&actions[..3]),
            _ => self.pick(&actions),
        };
        let sequence = self.near(known.map_or(0, |known| known.sequence));
        Act::Command(name, sequence, action, self.proof())
    }

    /// Mostly a session whose guest takes a call, or is in one; if there is such a session.
    fn with_guest(&mut self, model: &Model, bank: usize, session: usize, idle: bool) -> usize {
        let sessions = model.providers[bank].sessions.iter().enumerate();
        let fits = |session: &Session| session.0.as_ref().is_some_and(|guest| guest.is_idle() == idle);
        let having: Vec<_> = sessions.filter(|(_, session)| fits(session)).map(|(index, _)| index).collect();
        if having.is_empty() || self.percent(10) { session } else { self.pick(&having) }
    }

    /// The next steps; the later ones of several belong together.
    pub fn next(&mut self, model: &Model) -> Vec<Op> {
        let bank = self.below(2);
        let session = self.below(model.providers[bank].sessions.len());
        let name = self.name();
        let act = match self.below(100) {
            0..=2 => Act::Connect,
            3..=5 if session > 0 => Act::Close,
            3..=16 => {
                let last = model.providers[bank].trustlets.get(&name).map_or(0, |at| at.draft.version);
                Act::Install(name, self.draft(bank, last), self.proof())
            }
            17..=33 => self.command(model, bank, name),
            34..=51 => {
                // Mostly one that runs.
                let active = model.providers[bank].trustlets.iter();
                let active: Vec<_> = active
                    .filter(|(_, at)| at.state == TrustletState::Active)
                    .map(|(name, _)| name)
                    .collect();
                let name =
                    if active.is_empty() || self.percent(20) { name } else { self.pick(&active).clone() };
                let module = model.providers[bank].trustlets.get(&name).map_or(7, |at| at.draft.module);
                let module = if self.percent(95) { module } else { 15 - module };
                let load = match self.below(10) {
                    0 => vec![Act::Load(Part::FirstHalf, 15 - module), Act::Load(Part::SecondHalf, module)],
                    _ => vec![Act::Load(Part::All, module)],
                };
                let free = model.providers[bank].sessions.iter().position(|session| session.0.is_none());
                let connect = if free.is_none() { vec![Act::Connect] } else { vec![] };
                let acts = [connect, vec![Act::Open(name)], load, vec![Act::Start]].concat();
                let session = free.unwrap_or(NEWEST);
                return acts.into_iter().map(|act| Op { bank, session, act }).collect();
            }
            52..=54 => Act::Open(name),
            55..=58 => {
                let part = self.pick(&[Part::All, Part::FirstHalf, Part::SecondHalf, Part::Nothing]);
                Act::Load(part, self.pick(&[7, 8]))
            }
            59..=60 => Act::Start,
            61..=84 => {
                let session = self.with_guest(model, bank, session, true);
                let peers =
                    model.providers[bank].sessions[session].0.as_ref().map(|guest| &guest.draft.peers);
                let peers = peers.filter(|peers| !peers.is_empty() && self.percent(80));
                let to = peers.map_or_else(|| address(1 - bank, &name), |peers| self.pick(peers));
                let body = self.below(256).try_into().unwrap();
                let post = Ask::Post(to, body);
                let asks = [Ask::Echo, Ask::Spin, Ask::Take, post.clone(), post.clone(), post, Ask::Store];
                let ask = if self.percent(4) { Ask::Trap } else { self.pick(&asks) };
                return vec![Op { bank, session, act: Act::Call(ask) }];
            }
            85..=95 => {
                let session = self.with_guest(model, bank, session, false);
                return vec![Op { bank, session, act: Act::Resume { frame: self.percent(10) } }];
            }
            96 => Act::Cancel,
            97 if self.percent(30) => Act::RestartTvm,
            98 if self.percent(50) => Act::RestartSupervisor,
            99 if self.percent(30) => Act::RestartPhone,
            _ => Act::Connect,
        };
        vec![Op { bank, session, act }]
    }
}
