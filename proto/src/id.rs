//! Identifiers: who is who, in 16 bytes.

use crate::{
    Error,
    wire::{Reader, Wire, Writer},
};
use core::fmt;

macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub [u8; 16]);

        impl Wire for $name {
            const MAX: usize = 16;
            fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
                out.put(&self.0)
            }
            fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
                Ok(Self(input.array()?))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

id!(
    /// One virtual card, named by its provider; random, so it tells nothing about the card.
    CardId
);
id!(
    /// A bank or scheme that issues cards.
    ProviderId
);
id!(
    /// A UUID in RFC 4122 byte order (big-endian fields), as printed.
    Uuid
);

/// How a caller proved who it is (GlobalPlatform TEE Internal Core API, table 4-1).
pub mod login {
    /// Any process that can open the TEE device.
    pub const PUBLIC: u32 = 0x0000_0000;
    /// The effective user id, vouched for by the Linux kernel.
    pub const USER: u32 = 0x0000_0001;
    /// Membership of a group, vouched for by the Linux kernel.
    pub const GROUP: u32 = 0x0000_0002;
    /// Another trusted app, vouched for by the OP-TEE core.
    pub const TRUSTED_APP: u32 = 0xF000_0000;
}

crate::message! {
    /// A caller as the TEE knows it; `uuid` is nil for [`login::PUBLIC`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    Caller {
        /// One of [`login`].
        login: u32,
        /// The UUID the kernel derived from user or group, or the trusted app's own.
        uuid: Uuid,
    }
}
