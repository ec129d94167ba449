//! Random bytes.

use super::Forwarded;
use crate::wire::Bytes;

/// Most bytes at once.
pub const MAX_RANDOM: usize = 64;

crate::message! {
    /// Asks for random bytes.
    #[derive(Clone, Debug, PartialEq, Eq)]
    DrawRequest {
        /// How many, at most [`MAX_RANDOM`].
        count: u8,
    }
}
crate::message! {
    /// Random bytes of the TEE.
    #[derive(Clone, Debug, PartialEq, Eq)]
    DrawReply {
        /// As many as were asked for.
        bytes: Bytes<MAX_RANDOM>,
    }
}

crate::service! {
    Random,
    /// Random bytes.
    trait RandomService {
        /// Draws bytes.
        0x0001 draw(Forwarded<DrawRequest>) -> DrawReply, needs TRUSTLET;
    }
}
