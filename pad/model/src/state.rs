//! Where both ends are, and what the relay knows.

use crate::{
    Bound, Flaw, Protocol,
    term::{Content, Key, PAIRINGS, Pairing, Share, Term, Transcript},
};
use std::collections::BTreeSet;

/// What an end believes of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// The algorithms.
    pub suite: u8,
    /// The pairing it had when the session began.
    pub pairing: Pairing,
    /// The trusted app's share, as this end saw it.
    pub tee: Share,
    /// The pad's share, as this end saw it.
    pub pad: Share,
    /// Whether this end had taken an honest pairing by then: what is promised from then on.
    pub promised: bool,
}

impl View {
    /// What is signed.
    #[must_use]
    pub fn signed(self, protocol: Protocol) -> Transcript {
        Transcript {
            suite: self.suite,
            pairing: (!protocol.has(Flaw::NamesNoPairing)).then_some(self.pairing),
            shares: (!protocol.has(Flaw::SignsNoShares)).then_some((self.tee, self.pad)),
        }
    }

    /// The keys: the mistake is in the signatures alone where it is about shares.
    #[must_use]
    pub fn key(self, protocol: Protocol) -> Key {
        let transcript = Transcript { shares: Some((self.tee, self.pad)), ..self.signed(protocol) };
        Key::new(self.tee, self.pad, transcript)
    }
}

/// A session of the PIN trusted app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TeeSession {
    /// Not begun.
    #[default]
    Idle,
    /// It made an offer.
    Offered {
        /// The algorithms.
        suite: u8,
        /// The pairing.
        pairing: Pairing,
        /// As in [`View`].
        promised: bool,
    },
    /// It believed an answer, and sent what is to be shown.
    Asked(View),
    /// It opened a frame.
    Done {
        /// The session.
        view: View,
        /// What was in it.
        entered: Content,
        /// How often.
        times: u8,
    },
}

/// A session of the pad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PadSession {
    /// Not begun.
    #[default]
    Idle,
    /// It answered an offer.
    Answered(View),
    /// It shows an amount.
    Showing {
        /// The session.
        view: View,
        /// The amount of this session of the trusted app.
        amount: u8,
        /// How often it began to show.
        times: u8,
    },
    /// The holder did something.
    Done {
        /// The session.
        view: View,
        /// The amount that was shown.
        amount: u8,
        /// What the holder did.
        entered: Content,
        /// How often it began to show.
        times: u8,
    },
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The trusted app's pairing.
    pub tee_pairing: Pairing,
    /// The pad's pairing.
    pub pad_pairing: Pairing,
    /// Whether the trusted app had an honest pairing.
    pub tee_promised: bool,
    /// Whether the pad had.
    pub pad_promised: bool,
    /// The trusted app's sessions.
    pub tees: Vec<TeeSession>,
    /// The pad's sessions.
    pub pads: Vec<PadSession>,
    /// What the relay saw.
    pub seen: BTreeSet<Term>,
}

impl State {
    /// Both ends were paired with others before; the relay has the keys of those.
    #[must_use]
    pub fn new(bound: Bound) -> Self {
        let [used_pad, replaced_pad, ..] = PAIRINGS;
        Self {
            tee_pairing: replaced_pad,
            pad_pairing: used_pad,
            tee_promised: false,
            pad_promised: false,
            tees: vec![TeeSession::Idle; bound.tees.into()],
            pads: vec![PadSession::Idle; bound.pads.into()],
            seen: BTreeSet::new(),
        }
    }

    /// Whether the relay has, or can make, this.
    #[must_use]
    pub fn derives(&self, term: Term) -> bool {
        self.seen.contains(&term)
            || match term {
                Term::Signature(agent, _) => agent.is_corrupt(),
                Term::Down(key, content) | Term::Up(key, content) => {
                    key.is_known_to_relay() && self.knows(content)
                }
            }
    }

    /// Whether the relay knows what a frame holds without the frame.
    #[must_use]
    pub fn knows(&self, content: Content) -> bool {
        let opens = |term: &Term| match term {
            Term::Up(key, inside) | Term::Down(key, inside) => *inside == content && key.is_known_to_relay(),
            Term::Signature(..) => false,
        };
        !matches!(content, Content::Pin(_)) || self.seen.iter().any(opens)
    }

    /// Every share that the relay has seen, and its own.
    #[must_use]
    pub fn shares(&self) -> Vec<Share> {
        let tees = (0..).zip(&self.tees).filter(|(_, tee)| **tee != TeeSession::Idle);
        let pads = (0..).zip(&self.pads).filter(|(_, pad)| **pad != PadSession::Idle);
        let theirs = tees.map(|(at, _)| Share::Tee(at)).chain(pads.map(|(at, _)| Share::Pad(at)));
        theirs.chain([Share::Relay]).collect()
    }
}
