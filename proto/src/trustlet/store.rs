//! A trustlet's own storage: values by key, all of them in one persistent object, so that any change is
//! atomic. Nobody else can name it, and it goes with the trustlet.

use super::Forwarded;
use crate::wire::Bytes;

/// Longest key in bytes.
pub const MAX_KEY: usize = 16;
/// Longest value in bytes.
pub const MAX_VALUE: usize = 256;

crate::message! {
    /// Reads a value.
    #[derive(Clone, Debug, PartialEq, Eq)]
    GetRequest {
        /// Its key.
        key: Bytes<MAX_KEY>,
    }
}
crate::message! {
    /// The value.
    #[derive(Clone, Debug, PartialEq, Eq)]
    GetReply {
        /// `None` where there is none.
        value: Option<Bytes<MAX_VALUE>>,
    }
}
crate::message! {
    /// Stores a value in place of whatever has its key; no value deletes the key.
    #[derive(Clone, Debug, PartialEq, Eq)]
    PutRequest {
        /// Its key.
        key: Bytes<MAX_KEY>,
        /// The value.
        value: Option<Bytes<MAX_VALUE>>,
    }
}
crate::message! {
    /// It is in storage: after a power cut there is this value, or the one before if this did not come.
    #[derive(Clone, Debug, PartialEq, Eq)]
    PutReply {
        /// Bytes in use.
        used: u32,
        /// Bytes the manifest and the policy allow.
        quota: u32,
    }
}

crate::service! {
    Store,
    /// A trustlet's storage.
    trait StoreService {
        /// Reads a value.
        0x0001 get(Forwarded<GetRequest>) -> GetReply, needs TRUSTLET;
        /// Stores a value.
        0x0002 put(Forwarded<PutRequest>) -> PutReply, needs TRUSTLET;
    }
}
