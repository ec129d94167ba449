//! Messages between trustlets of different providers, through bounded mailboxes in the supervisor.
//!
//! A message is delivered at most once, and in memory only: it is lost when the supervisor starts again,
//! which the sender sees by the epoch. Both manifests must name the other side.

use super::Forwarded;
use crate::{id::Address, wire::Bytes};

/// Longest message in bytes.
pub const MAX_MAIL: usize = 128;

crate::message! {
    /// Puts a message into another trustlet's mailbox.
    #[derive(Clone, Debug, PartialEq, Eq)]
    PostRequest {
        /// To whom.
        to: Address,
        /// The message.
        body: Bytes<MAX_MAIL>,
    }
}
crate::message! {
    /// It is in the mailbox.
    #[derive(Clone, Debug, PartialEq, Eq)]
    PostReply {
        /// Start of the supervisor in which it is valid.
        epoch: u64,
        /// Counts messages within the epoch.
        number: u32,
    }
}
crate::message! {
    /// Takes the oldest message out of this trustlet's own mailbox.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TakeRequest {}
}
crate::message! {
    /// A message and who really sent it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Mail {
        /// The sender, by the supervisor's word.
        from: Address,
        /// As in the sender's [`PostReply`].
        number: u32,
        /// The message.
        body: Bytes<MAX_MAIL>,
    }
}
crate::message! {
    /// The oldest message.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TakeReply {
        /// `None` when the mailbox is empty.
        mail: Option<Mail>,
    }
}

crate::service! {
    Network,
    /// Messages to other providers' trustlets.
    trait NetworkService {
        /// Posts a message.
        0x0001 post(Forwarded<PostRequest>) -> PostReply, needs TRUSTLET;
        /// Takes a message.
        0x0002 take(Forwarded<TakeRequest>) -> TakeReply, needs TRUSTLET;
    }
}
