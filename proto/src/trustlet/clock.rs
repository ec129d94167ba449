//! Time.

use super::Forwarded;

crate::message! {
    /// Asks for the time.
    #[derive(Clone, Debug, PartialEq, Eq)]
    NowRequest {}
}
crate::message! {
    /// TEE system time: monotonic, of no fixed origin, not settable by the normal world.
    #[derive(Clone, Debug, PartialEq, Eq)]
    NowReply {
        /// Milliseconds.
        milliseconds: u64,
    }
}

crate::service! {
    Clock,
    /// Time.
    trait ClockService {
        /// The time.
        0x0001 now(Forwarded<NowRequest>) -> NowReply, needs TRUSTLET;
    }
}
