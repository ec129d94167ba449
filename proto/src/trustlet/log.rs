//! Lines that a client of the provider can read. No place for a secret.

use super::Forwarded;
use crate::wire::Bytes;

/// Longest line in bytes.
pub const MAX_LINE: usize = 64;

crate::message! {
    /// Writes a line; the oldest one gives way.
    #[derive(Clone, Debug, PartialEq, Eq)]
    WriteRequest {
        /// Any bytes.
        text: Bytes<MAX_LINE>,
    }
}
crate::message! {
    /// Written, in memory only.
    #[derive(Clone, Debug, PartialEq, Eq)]
    WriteReply {}
}

crate::service! {
    Log,
    /// Lines for the provider.
    trait LogService {
        /// Writes a line.
        0x0001 write(Forwarded<WriteRequest>) -> WriteReply, needs TRUSTLET;
    }
}
