//! Why a security module gave nothing.

use std::fmt;

/// Why a block was neither translated nor checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No phone was given a key with this identifier.
    UnknownKey,
    /// The phone's key is for blocks of another format, or the block has another length.
    OtherFormat,
    /// No key has this counter.
    Counter,
    /// The counter is not above the last one seen of this key: the block was here, or is older.
    Replayed,
    /// No number is known behind this token.
    UnknownToken,
    /// The token is none of the bank whose phone made the block.
    OtherBank,
    /// Not the block of a PIN for this token under this key.
    Malformed,
    /// Nothing to compare with: the bank set no PIN for this number.
    NoReference,
    /// The PIN is wrong.
    WrongPin,
    /// Wrong too often; the bank has to unblock it.
    Blocked,
    /// The operating system gave no random numbers.
    NoRandomness,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownKey => "no phone has a PIN key of this identifier",
            Self::OtherFormat => "the phone's PIN key makes blocks of another format or length",
            Self::Counter => "no PIN key has this counter",
            Self::Replayed => "the block's counter is not above the last one: it was here, or is older",
            Self::UnknownToken => "there is no account behind this token",
            Self::OtherBank => "the token is another bank's than the phone's PIN key",
            Self::Malformed => "not the block of a PIN for this token under this key",
            Self::NoReference => "the bank has set no PIN for this account",
            Self::WrongPin => "the bank PIN is wrong",
            Self::Blocked => "the bank PIN was wrong too often; the bank unblocks it",
            Self::NoRandomness => "the operating system gave no random numbers",
        })
    }
}

impl std::error::Error for Refusal {}
