//! What can go wrong on the client's side, and who said so.

use std::{fmt, io};
use tapvault_proto::Error;

/// Who reported a failure (`TEEC_ORIGIN_*`, TEE Client API 4.4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The client library, before anything was sent.
    Api,
    /// The way to the TEE: device node, driver.
    Communication,
    /// The TEE itself.
    Tee,
    /// The trusted app.
    TrustedApp,
}

impl Origin {
    /// From its GlobalPlatform number; an unknown one is taken for the TEE's.
    #[must_use]
    pub const fn from_code(code: u32) -> Self {
        match code {
            1 => Self::Api,
            2 => Self::Communication,
            4 => Self::TrustedApp,
            _ => Self::Tee,
        }
    }
}

/// A failed call.
#[derive(Debug)]
pub enum ClientError {
    /// A trusted app, or the TEE in front of it, refused.
    Call {
        /// The `TEEC_Result`.
        code: u32,
        /// Who reported it.
        origin: Origin,
    },
    /// Client and trusted app do not speak the same protocol version.
    Version {
        /// What the trusted app speaks.
        theirs: u16,
    },
    /// No card, more than six, one twice, or a verification for a card that is not among them.
    Field,
    /// The PIN pad could not be reached, or broke off; a try that was taken for the entry is lost.
    Pad(io::Error),
    /// The PIN pad did not take part: it keeps another pairing, or did not believe what it was shown.
    PadRefused,
    /// The service platform gave no statement; nothing was spent.
    Platform(io::Error),
    /// The holder entered nothing, by the PIN pad's word; no try is lost.
    NothingEntered,
    /// The secure element could not be reached.
    Element(io::Error),
    /// The PIN was wrong.
    WrongPin {
        /// Comparisons left.
        tries_left: u8,
    },
}

impl ClientError {
    /// The trusted app's refusal, if it was one.
    #[must_use]
    pub fn refusal(&self) -> Option<Error> {
        match self {
            Self::Call { code, origin: Origin::TrustedApp } => Error::from_code(*code),
            _ => None,
        }
    }

    /// A refusal as it comes from a trusted app.
    #[must_use]
    pub const fn refused(error: Error) -> Self {
        Self::Call { code: error.code(), origin: Origin::TrustedApp }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { code, origin } => {
                let said = match origin {
                    Origin::Api => "the client library says",
                    Origin::Communication => "on the way to the TEE",
                    Origin::Tee => "the TEE says",
                    Origin::TrustedApp => "the trusted app says",
                };
                match (Error::from_code(*code), origin) {
                    (Some(error), _) => write!(f, "{said}: {error}"),
                    (None, Origin::Api | Origin::Communication) => write!(
                        f,
                        "{said}: 0x{code:08X}; is the OP-TEE driver loaded, and may this user open /dev/tee0?"
                    ),
                    (None, _) => write!(
                        f,
                        "{said}: 0x{code:08X}; are the trusted apps installed and tee-supplicant running?"
                    ),
                }
            }
            Self::Version { theirs } => write!(
                f,
                "the trusted app speaks protocol {theirs}, this client {}; install matching versions",
                tapvault_proto::PROTOCOL_VERSION
            ),
            Self::Field => f.write_str(
                "a terminal can be shown one to six different cards; the verified one is among them",
            ),
            Self::Element(error) => write!(f, "the secure element cannot be reached: {error}"),
            Self::Pad(error) => write!(f, "the PIN pad cannot be reached: {error}"),
            Self::Platform(error) => write!(f, "the service platform gave no statement: {error}"),
            Self::PadRefused => f.write_str(
                "the PIN pad refused: it keeps another pairing, or does not believe this phone; pair it anew",
            ),
            Self::NothingEntered => f.write_str("nothing was entered on the PIN pad; no try is lost"),
            Self::WrongPin { tries_left: 0 } => write!(f, "wrong PIN; it is locked now"),
            Self::WrongPin { tries_left } => write!(f, "wrong PIN; {tries_left} more tries"),
        }
    }
}

impl std::error::Error for ClientError {}
