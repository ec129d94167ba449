//! What the relay between PIN trusted app and pad can do, searched exhaustively within a bound.
//!
//! The relay is Dolev and Yao's attacker: it keeps everything it saw, and delivers what it can derive from that,
//! altered, again, elsewhere, in any order, or not at all. Signatures, key agreement and AEAD are terms that hold what
//! they promise; that they do is not shown here, nor are time, lengths and the code itself. [`Protocol`] is the
//! protocol of `proto/src/pad.rs`, [`term`] what is said in it, [`claims`] what must hold in every state.
//!
//! The bound: as many sessions of each end as [`Bound`] says, interleaved freely, in either suite; four
//! [`PAIRINGS`](term::PAIRINGS), through two devices of which the relay has all keys; one key agreement share of the
//! relay's own. Each share of the two ends is fresh for its session.
#![forbid(unsafe_code)]

pub mod claims;
mod relay;
pub mod state;
pub mod term;

pub use relay::Step;

use state::State;
use stateright::{Checker, Expectation, Model, Property};

/// How far the search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Sessions of the PIN trusted app.
    pub tees: u8,
    /// Sessions of the pad.
    pub pads: u8,
    /// Suites.
    pub suites: u8,
}

impl Bound {
    /// Two sessions of each end, in both suites.
    pub const BOTH_SUITES: Self = Self { tees: 2, pads: 2, suites: 2 };
    /// One more session of the pad, in one suite.
    pub const MORE_PADS: Self = Self { tees: 2, pads: 3, suites: 1 };
    /// One more session of the trusted app, in one suite.
    pub const MORE_TEES: Self = Self { tees: 3, pads: 2, suites: 1 };
    /// Each with the number of different states within it, which the documentation names.
    pub const ALL: [(Self, usize); 3] =
        [(Self::BOTH_SUITES, 599_528), (Self::MORE_PADS, 610_384), (Self::MORE_TEES, 916_496)];
}

/// Steps within which every planted flaw shows.
pub const MOST_STEPS: usize = 12;

/// A mistake that can be planted, to see that the search finds what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The ends sign suite and pairing, and not the two shares.
    SignsNoShares,
    /// The pairing is neither signed nor hashed into the keys.
    NamesNoPairing,
    /// The pad shows what comes in a right frame without the trusted app's signature.
    ShowsWithoutProof,
    /// An end takes any pairing that the factory signed for it, older ones too.
    TakesOlderPairings,
    /// The trusted app does not end a session with the first frame.
    TakesFramesTwice,
    /// The pad does not end a session when it began to show.
    ShowsTwice,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::SignsNoShares,
        Self::NamesNoPairing,
        Self::ShowsWithoutProof,
        Self::TakesOlderPairings,
        Self::TakesFramesTwice,
        Self::ShowsTwice,
    ];
}

/// The protocol, or one with a mistake in it.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    /// How far.
    pub bound: Bound,
    /// The mistake.
    pub flaw: Option<Flaw>,
}

impl Protocol {
    /// Whether this mistake was planted.
    #[must_use]
    pub fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self.bound)]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        relay::steps(*self, state, steps);
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        relay::after(*self, state, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        claims::all()
    }
}

/// What a whole search found.
#[derive(Debug)]
pub struct Found {
    /// Different states that were looked at.
    pub states: usize,
    /// Steps of the longest path without a repetition.
    pub depth: usize,
    /// Claims that do not hold.
    pub broken: Vec<&'static str>,
    /// Things that should be possible and are not.
    pub impossible: Vec<&'static str>,
}

/// Looks at every state within the bound.
#[must_use]
pub fn search(protocol: Protocol) -> Found {
    let checker = protocol.checker().threads(1).spawn_bfs().join();
    let (broken, impossible) = decided(protocol, &checker);
    let broken = broken.into_iter().map(|(name, _)| name).collect();
    // The first state is at depth 1.
    Found { states: checker.unique_state_count(), depth: checker.max_depth() - 1, broken, impossible }
}

/// The shortest way to a claim that does not hold, with the claim; nothing when all hold within `steps` steps.
#[must_use]
pub fn attack(protocol: Protocol, steps: usize) -> Option<(&'static str, Vec<Step>)> {
    // A search within one depth forgets which of its ways was the first, so that depths are tried one after the other.
    (1..=steps).find_map(|depth| {
        let checker = protocol.checker().target_max_depth(depth + 2).threads(1).spawn_bfs().join();
        decided(protocol, &checker).0.into_iter().next()
    })
}

type Broken = Vec<(&'static str, Vec<Step>)>;

fn decided(protocol: Protocol, checker: &impl Checker<Protocol>) -> (Broken, Vec<&'static str>) {
    let (mut broken, mut impossible) = (Vec::new(), Vec::new());
    for property in protocol.properties() {
        match (property.expectation, checker.discovery(property.name)) {
            (Expectation::Sometimes, None) => impossible.push(property.name),
            (Expectation::Always, Some(path)) => broken.push((property.name, path.into_actions())),
            _ => (),
        }
    }
    (broken, impossible)
}
