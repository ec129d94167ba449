//! What is said: public keys, shares, transcripts, signatures, frames.

use std::fmt;

/// Who has long-term keys. The relay has those of the two others, which the factory paired as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Agent {
    /// The PIN trusted app.
    Tee,
    /// The pad.
    Pad,
    /// A PIN trusted app whose keys the relay has.
    OtherTee,
    /// A pad whose keys the relay has.
    OtherPad,
}

impl Agent {
    /// Whether the relay can sign for it.
    #[must_use]
    pub const fn is_corrupt(self) -> bool {
        matches!(self, Self::OtherTee | Self::OtherPad)
    }
}

/// What the factory signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pairing {
    /// Its number.
    pub sequence: u8,
    /// One end.
    pub tee: Agent,
    /// The other.
    pub pad: Agent,
}

impl Pairing {
    /// Whether the relay has the keys of neither end: only such a pairing promises anything.
    #[must_use]
    pub const fn is_honest(self) -> bool {
        !self.tee.is_corrupt() && !self.pad.is_corrupt()
    }
}

impl fmt::Display for Pairing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = if self.is_honest() { "" } else { ", of one of which the relay has the keys" };
        write!(f, "pairing {} of {:?} and {:?}{whose}", self.sequence, self.tee, self.pad)
    }
}

/// Every pairing there is. A pad that was used before, a pad that was replaced, the pair in use, a pair of strangers.
pub const PAIRINGS: [Pairing; 4] = [
    Pairing { sequence: 1, tee: Agent::OtherTee, pad: Agent::Pad },
    Pairing { sequence: 2, tee: Agent::Tee, pad: Agent::OtherPad },
    Pairing { sequence: 3, tee: Agent::Tee, pad: Agent::Pad },
    Pairing { sequence: 4, tee: Agent::OtherTee, pad: Agent::OtherPad },
];

/// The public half of a key made for a session; who made it knows the other half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Share {
    /// By the PIN trusted app, for this session of its.
    Tee(u8),
    /// By the pad, for this session of its.
    Pad(u8),
    /// By the relay.
    Relay,
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tee(at) => write!(f, "the share of trusted app's session {at}"),
            Self::Pad(at) => write!(f, "the share of pad's session {at}"),
            Self::Relay => f.write_str("the relay's share"),
        }
    }
}

/// What is signed and hashed; a flaw leaves fields out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Transcript {
    /// The algorithms, 1 or 2.
    pub suite: u8,
    /// The pairing.
    pub pairing: Option<Pairing>,
    /// The trusted app's share and the pad's.
    pub shares: Option<(Share, Share)>,
}

/// The keys of a session: what both shares agree on, and the transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Both shares, the smaller one first: agreement does not know who is who.
    pub agreed: (Share, Share),
    /// Hashed into the keys.
    pub transcript: Transcript,
}

impl Key {
    /// The keys of two shares.
    #[must_use]
    pub fn new(one: Share, other: Share, transcript: Transcript) -> Self {
        Self { agreed: if one <= other { (one, other) } else { (other, one) }, transcript }
    }

    /// Whether the relay can compute them: it knows the other half of its own share only.
    #[must_use]
    pub fn is_known_to_relay(self) -> bool {
        self.agreed.0 == Share::Relay || self.agreed.1 == Share::Relay
    }
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Content {
    /// Down: the amount of this session of the trusted app. Amounts are no secret; the relay knows them.
    Amount(u8),
    /// Up: what the holder typed in this session of the pad.
    Pin(u8),
    /// Up: the holder submitted nothing.
    Nothing,
    /// Up: digits that the relay made up.
    Guess,
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amount(at) => write!(f, "the amount of trusted app's session {at}"),
            Self::Pin(at) => write!(f, "the PIN typed in pad's session {at}"),
            Self::Nothing => f.write_str("that nothing was submitted"),
            Self::Guess => f.write_str("digits of the relay's"),
        }
    }
}

/// What an end makes, and the relay can keep and deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Term {
    /// A signature over a transcript. Which end signs is in its label, and each agent is one end.
    Signature(Agent, Transcript),
    /// A frame down, to the pad.
    Down(Key, Content),
    /// A frame up. The directions have keys of their own.
    Up(Key, Content),
}
