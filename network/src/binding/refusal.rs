//! Why a binding does not go on.

use super::{Step, StepFailed};
use crate::{bank::BankError, issuer::Reason, state::StateError};
use std::fmt;

/// Why a binding does not go on. Nothing was changed but the count of wrong answers.
#[derive(Debug)]
pub enum BindingError {
    /// No such binding, or it is over.
    Unknown,
    /// As many bindings are open as can be.
    TooMany,
    /// Another step is next.
    OutOfOrder(Step),
    /// Too many wrong answers.
    Closed,
    /// The card data are sealed for another bank or binding, or were altered.
    Sealed,
    /// Wrong data, code or name; which of them is not said.
    Mismatch {
        /// Answers left in this step.
        tries_left: u8,
    },
    /// The card is right, and its time is over.
    CardExpired,
    /// The request was not made for this binding.
    NotPresence,
    /// The issuer does not take the chip card's cryptogram.
    Chip(Reason),
    /// The account is in the file no longer.
    NoAccount,
    /// The network could not do its step.
    Network(StepFailed),
    /// The bank could not make its certificate.
    Bank(BankError),
    /// The operating system gave no random numbers.
    NoRandomness,
    /// The step could not be stored, so it was not made.
    State(StateError),
}

impl From<StateError> for BindingError {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

impl fmt::Display for BindingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no such binding, or its ten minutes are over; begin one"),
            Self::TooMany => f.write_str("too many bindings are open; wait until some are over"),
            Self::OutOfOrder(step) => {
                let next = match step {
                    Step::Card => "the card data or a chip card's answer",
                    Step::Code => "the code that was sent to the holder's phone",
                    Step::Name => "the holder's name and document",
                    Step::Order | Step::Ordered => "the order",
                    Step::Closed => "nothing: begin another binding",
                };
                write!(f, "this comes too early; next is {next}")
            }
            Self::Closed => f.write_str("too many wrong answers ended this binding; begin another"),
            Self::Sealed => f.write_str("the card data are not for this bank and binding, or were altered"),
            Self::Mismatch { tries_left: 0 } => f.write_str("not right; the binding is closed"),
            Self::Mismatch { tries_left } => write!(f, "not right; {tries_left} more tries"),
            Self::CardExpired => f.write_str("the card has expired; bind the one that replaces it"),
            Self::NotPresence => f.write_str(
                "the request was not made for this binding; read the card with `tapvault bind chip`",
            ),
            Self::Chip(reason) => write!(f, "the chip card is not accepted: {reason}"),
            Self::NoAccount => f.write_str("the account is not in this file of accounts"),
            Self::Network(error) => write!(f, "the network failed, try again: {error}"),
            Self::Bank(error) => error.fmt(f),
            Self::NoRandomness => f.write_str("the operating system gave no random numbers; try again"),
            Self::State(error) => write!(f, "nothing was done: {error}"),
        }
    }
}

impl std::error::Error for BindingError {}
