//! The secure element as an endpoint of the virtual network: an APDU goes into a channel secured by
//! SCP03 between the TVM and the element; its frames are carried by the client.

use super::Forwarded;
use crate::wire::Bytes;

/// Longest plain command: what fits a short APDU together with padding and MAC.
pub const MAX_APDU: usize = 200;
/// Longest plain response with its status word: what SCP03 leaves of a short response.
pub const MAX_ANSWER: usize = 241;

crate::message! {
    /// Sends a command APDU.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TransmitRequest {
        /// The plain command, 4 to [`MAX_APDU`] bytes.
        command: Bytes<MAX_APDU>,
    }
}
crate::message! {
    /// The element's answer.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TransmitReply {
        /// Data and status word.
        response: Bytes<MAX_ANSWER>,
    }
}

crate::service! {
    Element,
    /// The secure element.
    trait ElementService {
        /// Sends a command.
        0x0001 transmit(Forwarded<TransmitRequest>) -> TransmitReply, needs TRUSTLET;
    }
}
