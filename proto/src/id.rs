//! Identifiers: who is who, in 16 bytes.

use crate::{
    Error,
    wire::{Bytes, Reader, Wire, Writer},
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

/// Longest name of a trustlet in bytes.
pub const MAX_NAME: usize = 16;

/// A trustlet's name within its provider: 1 to [`MAX_NAME`] of `a`-`z`, `0`-`9` and `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrustletName(Bytes<MAX_NAME>);

impl TrustletName {
    /// A name.
    ///
    /// # Errors
    /// [`Error::BadParameters`] for anything else than the type says.
    pub fn new(name: &[u8]) -> Result<Self, Error> {
        let allowed = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if name.is_empty() || !name.iter().all(allowed) {
            return Err(Error::BadParameters);
        }
        Bytes::from_slice(name).map(Self).map_err(|_| Error::BadParameters)
    }

    /// The name's bytes, ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Wire for TrustletName {
    const MAX: usize = Bytes::<MAX_NAME>::MAX;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        self.0.encode(out)
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        Self::new(&Bytes::<MAX_NAME>::decode(input)?)
    }
}

impl fmt::Display for TrustletName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&self.0).unwrap_or_default())
    }
}

impl fmt::Debug for TrustletName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustletName({self})")
    }
}

crate::message! {
    /// A trustlet on the virtual network.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Address {
        /// Whose trustlet.
        provider: ProviderId,
        /// Which one.
        name: TrustletName,
    }
}

/// Who sent a message, as the TEE knows it: never what the sender says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// A client in the normal world.
    Client(Caller),
    /// A trustlet.
    Trustlet(Address),
}

impl Wire for Party {
    const MAX: usize = 1 + if Caller::MAX > Address::MAX { Caller::MAX } else { Address::MAX };
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            Self::Client(caller) => 1u8.encode(out).and_then(|()| caller.encode(out)),
            Self::Trustlet(address) => 2u8.encode(out).and_then(|()| address.encode(out)),
        }
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        match u8::decode(input)? {
            1 => Caller::decode(input).map(Self::Client),
            2 => Address::decode(input).map(Self::Trustlet),
            _ => Err(Error::BadParameters),
        }
    }
}
