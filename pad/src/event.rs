//! What happens, for a log and for programs: never with digits, never with how many there were.

use crate::text;
use serde_json::{Value, json};
use std::fmt;
use tapvault_proto::pad::PadPurpose;

/// Why a message was answered with `Refused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is no message.
    Malformed,
    /// It is a message that a pad does not take.
    Unexpected,
    /// It came during an entry, which is over now.
    Interrupted,
    /// The pairing is not signed by the factory, or names another pad.
    PairingInvalid,
    /// The pad has, or had, a pairing with this number or a higher one.
    PairingNotNewer,
    /// The offer is under another pairing than the one that is kept, or there is none.
    NotPaired,
    /// There was no offer before it, or one message too many.
    NoSession,
    /// The proof is not the paired trusted app's for this session.
    Untrusted,
    /// The frame is not of this session, or altered.
    FrameInvalid,
    /// It is authentic, and a pad cannot show it.
    NotShowable,
    /// The share is no point of its curve.
    ShareInvalid,
    /// The pairing could not be stored.
    Storage,
    /// There are no random numbers.
    NoRandom,
}

impl Refusal {
    /// For programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unexpected => "unexpected",
            Self::Interrupted => "interrupted",
            Self::PairingInvalid => "pairing-invalid",
            Self::PairingNotNewer => "pairing-not-newer",
            Self::NotPaired => "not-paired",
            Self::NoSession => "no-session",
            Self::Untrusted => "untrusted",
            Self::FrameInvalid => "frame-invalid",
            Self::NotShowable => "not-showable",
            Self::ShareInvalid => "share-invalid",
            Self::Storage => "storage",
            Self::NoRandom => "no-random",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "a message that is none; relay and pad may differ in version",
            Self::Unexpected => "a message that pads send and do not take; the relay may have its ends mixed up",
            Self::Interrupted => "the phone sent something during the entry, which ended it; begin again there",
            Self::PairingInvalid => {
                "a pairing that the factory did not sign for this pad; \
                 let the factory sign the keys that this pad has now, or start the pad with that factory's --factory-root"
            }
            Self::PairingNotNewer => {
                "a pairing that is not newer than the one this pad has; let the factory make one with a higher number"
            }
            Self::NotPaired => {
                "an offer under another pairing than this pad has; \
                 give phone and pad the same pairing, the newest one"
            }
            Self::NoSession => "something to show without a session, or a second time; begin again on the phone",
            Self::Untrusted => "something to show that the paired phone's trusted app did not send; nothing was shown",
            Self::FrameInvalid => "something to show that was altered, or is of another session; nothing was shown",
            Self::NotShowable => {
                "something that cannot be shown: no payee where there has to be one, or not in plain letters"
            }
            Self::ShareInvalid => "an offer with a key that is none",
            Self::Storage => "a pairing that could not be stored; make room in --state, or let the pad write there",
            Self::NoRandom => "no random numbers; start the pad again",
        })
    }
}

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A pairing with this number is kept.
    Paired(u32),
    /// The holder is asked.
    Showing {
        /// For what.
        purpose: PadPurpose,
        /// What is shown.
        lines: Vec<(&'static str, String)>,
        /// Seconds until it is over.
        seconds: u64,
    },
    /// The holder submitted something.
    Submitted,
    /// The holder cancelled.
    Cancelled,
    /// The holder's time ran out.
    TimedOut,
    /// The frame left.
    Sent,
    /// A message was refused.
    Refused(Refusal),
    /// The relay went away during an entry or a session, which is over.
    Lost,
}

impl Event {
    /// As JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        match self {
            Self::Paired(sequence) => json!({ "event": "paired", "sequence": sequence }),
            Self::Showing { purpose, lines, seconds } => {
                let lines: Vec<Value> =
                    lines.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
                let purpose = text::name(*purpose);
                json!({ "event": "showing", "purpose": purpose, "lines": lines, "seconds": seconds })
            }
            Self::Submitted => json!({ "event": "submitted" }),
            Self::Cancelled => json!({ "event": "cancelled" }),
            Self::TimedOut => json!({ "event": "timed-out" }),
            Self::Sent => json!({ "event": "sent" }),
            Self::Refused(refusal) => {
                json!({ "event": "refused", "reason": refusal.name(), "text": refusal.to_string() })
            }
            Self::Lost => json!({ "event": "lost" }),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paired(sequence) => write!(f, "paired, number {sequence}"),
            Self::Showing { purpose, lines, seconds } => {
                write!(f, "showing for {seconds} s: {}", text::title(*purpose))?;
                lines.iter().try_for_each(|(name, value)| write!(f, "; {name}: {value}"))
            }
            Self::Submitted => f.write_str("the holder submitted"),
            Self::Cancelled => f.write_str("the holder cancelled"),
            Self::TimedOut => f.write_str("the holder's time ran out"),
            Self::Sent => f.write_str("sent"),
            Self::Refused(refusal) => write!(f, "refused: {refusal}"),
            Self::Lost => f.write_str("the phone went away; what was begun is over"),
        }
    }
}
