//! Why a terminal does not take a card.

use super::{
    transcript::Transcript,
    words::{status_meaning, tag_name},
};
use std::fmt;

/// Why no authorisation request came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The amount has more than 12 digits.
    AmountTooLarge,
    /// The link broke: the card left the field, or was silent too long.
    Link(String),
    /// A response that is no response: below 2 or above 258 bytes.
    ResponseLength(usize),
    /// A command was refused.
    Status {
        /// Which.
        command: &'static str,
        /// The status word.
        status: u16,
    },
    /// GET PROCESSING OPTIONS was refused with 6985 or 6986.
    VerificationNeeded {
        /// The status word.
        status: u16,
    },
    /// Bytes that are no data objects, or not the template that belongs there.
    Malformed(&'static str),
    /// The card holds no UnionPay application.
    NoApplication,
    /// Another application answered than was selected.
    OtherApplication,
    /// The PDOL does not ask for the qualifiers 9F66: not a contactless application.
    NotContactless,
    /// A data object is missing.
    Missing(u16),
    /// A data object came twice.
    Duplicate(u16),
    /// A data object has the wrong length.
    Length(u16),
    /// The card declined: its results say AAC.
    CardDeclined,
    /// The card approved offline, or its results say nothing known; this terminal is online only.
    NotOnline,
    /// The card asks the issuer; this terminal is offline only.
    NotOffline,
    /// The card approved, and what should show that it is genuine does not fit.
    NotAuthentic(&'static str),
    /// The card's time is over.
    Expired,
    /// The holder was to be verified, and the card claims no way that this terminal has.
    NotVerified,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AmountTooLarge => f.write_str("the amount has more than 12 digits; take less"),
            Self::Link(what) => write!(f, "the card is gone ({what}); present it again"),
            Self::ResponseLength(length) => {
                write!(f, "a response of {length} bytes; 2 to 258 are possible: the card is faulty")
            }
            Self::Status { command, status } => {
                write!(f, "{command} was refused with {status:04X}: {}", status_meaning(*status))
            }
            Self::VerificationNeeded { status } => write!(
                f,
                "refused with {status:04X}: the holder must be verified on the phone first; enter the wallet PIN there and tap again"
            ),
            Self::Malformed(what) => write!(f, "the {what} cannot be read; the card is faulty"),
            Self::NoApplication => f.write_str("no UnionPay application; present another card"),
            Self::OtherApplication => f.write_str("another application answered than was selected; the card is faulty"),
            Self::NotContactless => f.write_str("the application does not ask for 9F66; it is not contactless"),
            Self::Missing(tag) => write!(f, "{tag:02X} ({}) is missing; the card is faulty", tag_name(*tag)),
            Self::Duplicate(tag) => write!(f, "{tag:02X} ({}) came twice; the card is faulty", tag_name(*tag)),
            Self::Length(tag) => write!(f, "{tag:02X} ({}) has a wrong length; the card is faulty", tag_name(*tag)),
            Self::CardDeclined => f.write_str("the card declined; use another one"),
            Self::NotOnline => f.write_str("the card did not ask the issuer; this terminal is online only"),
            Self::NotOffline => f.write_str("the card asks the issuer; this terminal is offline only"),
            Self::NotAuthentic(what) => write!(f, "the card is not genuine: its {what} does not fit; use another one"),
            Self::Expired => f.write_str("the card's time is over; use another one"),
            Self::NotVerified => f.write_str(
                "the holder was not verified in a way this terminal has; enter the wallet PIN on the phone and tap again",
            ),
        }
    }
}

/// A refusal with what was said until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminalError {
    /// Why.
    pub refusal: Refusal,
    /// The exchanges.
    pub transcript: Transcript,
}

impl fmt::Display for TerminalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.refusal.fmt(f)
    }
}

impl std::error::Error for TerminalError {}
