//! The services, and the one macro that turns a table of methods into everything derived from it.

use crate::{Error, id::Uuid, wire::Wire};

/// An internal trusted service (TEEI's ITS): something with a table of methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Service {
    /// Admission, policy, quotas, mailboxes, audit: a trusted app.
    Supervisor = 1,
    /// PIN entry and PIN store: a trusted app.
    Pin = 2,
    /// Card keys, the card application, trustlets' keys: a trusted app.
    Card = 3,
    /// Trustlets: one trusted app per provider, its trusted virtual machine (TVM).
    Tvm = 4,
    /// Random bytes, inside a TVM.
    Random = 0x10,
    /// Time, inside a TVM.
    Clock = 0x11,
    /// Lines for the provider to read, inside a TVM.
    Log = 0x12,
    /// A trustlet's own storage, inside a TVM.
    Store = 0x13,
    /// Messages between trustlets of different providers, inside a TVM, on to the supervisor.
    Network = 0x14,
    /// The secure element, inside a TVM, its frames carried by the client.
    Element = 0x15,
}

impl Service {
    /// Every service.
    pub const ALL: [Service; 10] = [
        Service::Supervisor,
        Service::Pin,
        Service::Card,
        Service::Tvm,
        Service::Random,
        Service::Clock,
        Service::Log,
        Service::Store,
        Service::Network,
        Service::Element,
    ];

    /// The services that are a trusted app of one fixed UUID, opened at boot.
    pub const NATIVE: [Service; 3] = [Service::Supervisor, Service::Pin, Service::Card];

    /// The services a client opens sessions with.
    pub const FOR_CLIENTS: [Service; 4] = [Service::Supervisor, Service::Pin, Service::Card, Service::Tvm];

    /// The services a trustlet may ask for in its manifest.
    pub const FOR_TRUSTLETS: [Service; 8] = [
        Service::Pin,
        Service::Card,
        Service::Random,
        Service::Clock,
        Service::Log,
        Service::Store,
        Service::Network,
        Service::Element,
    ];

    /// The service's bit in a [`crate::supervisor::ProviderReply`].
    #[must_use]
    pub const fn bit(self) -> u32 {
        1 << (self as u8)
    }

    /// The trusted app's UUID; nil for a service without one of its own: a TVM has its provider's
    /// ([`crate::supervisor::ProviderEntry`]), and the rest lives inside a TVM.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        match self {
            // 7a9d1c7e-3f3a-4d0b-9a55-1f0c5f5e0001
            Service::Supervisor => Uuid(*b"\x7a\x9d\x1c\x7e\x3f\x3a\x4d\x0b\x9a\x55\x1f\x0c\x5f\x5e\x00\x01"),
            // 7a9d1c7e-3f3a-4d0b-9a55-1f0c5f5e0002
            Service::Pin => Uuid(*b"\x7a\x9d\x1c\x7e\x3f\x3a\x4d\x0b\x9a\x55\x1f\x0c\x5f\x5e\x00\x02"),
            // 7a9d1c7e-3f3a-4d0b-9a55-1f0c5f5e0003
            Service::Card => Uuid(*b"\x7a\x9d\x1c\x7e\x3f\x3a\x4d\x0b\x9a\x55\x1f\x0c\x5f\x5e\x00\x03"),
            _ => Uuid([0; 16]),
        }
    }

    /// The service's name in policies, commands and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Service::Supervisor => "supervisor",
            Service::Pin => "pin",
            Service::Card => "card",
            Service::Tvm => "tvm",
            Service::Random => "random",
            Service::Clock => "clock",
            Service::Log => "log",
            Service::Store => "store",
            Service::Network => "network",
            Service::Element => "element",
        }
    }

    /// The service of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }

    /// The native service whose trusted app has this UUID.
    #[must_use]
    pub fn by_uuid(uuid: Uuid) -> Option<Self> {
        Self::NATIVE.into_iter().find(|service| service.uuid() == uuid)
    }

    /// The service's methods.
    #[must_use]
    pub const fn methods(self) -> &'static [MethodInfo] {
        match self {
            Service::Supervisor => crate::supervisor::METHODS,
            Service::Pin => crate::pin::METHODS,
            Service::Card => crate::card::METHODS,
            Service::Tvm => crate::tvm::METHODS,
            Service::Random => crate::trustlet::random::METHODS,
            Service::Clock => crate::trustlet::clock::METHODS,
            Service::Log => crate::trustlet::log::METHODS,
            Service::Store => crate::trustlet::store::METHODS,
            Service::Network => crate::trustlet::network::METHODS,
            Service::Element => crate::trustlet::element::METHODS,
        }
    }
}

impl Wire for Service {
    const MAX: usize = 1;
    fn encode(&self, out: &mut crate::wire::Writer<'_>) -> Result<(), Error> {
        (*self as u8).encode(out)
    }
    fn decode(input: &mut crate::wire::Reader<'_>) -> Result<Self, Error> {
        let id = u8::decode(input)?;
        Self::ALL.into_iter().find(|service| *service as u8 == id).ok_or(Error::BadParameters)
    }
}

/// What a session may do; granted at admission, checked at every call. One bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights(pub u32);

impl Rights {
    /// Nothing but the method that reports the service's version.
    pub const NONE: Rights = Rights(0);
    /// What a wallet does: cards, PIN, taps.
    pub const WALLET: Rights = Rights(1);
    /// What the platform's boot service does: install policy, read the registry.
    pub const PLATFORM: Rights = Rights(2);
    /// What another trusted app does, as the table of edges allows.
    pub const PEER: Rights = Rights(4);
    /// What a client of trustlets does: carries signed commands and modules, calls trustlets.
    pub const CLIENT: Rights = Rights(8);
    /// What a TVM does for a trustlet, in its name.
    pub const TRUSTLET: Rights = Rights(16);

    /// Whether `self` holds all of `needed`.
    #[must_use]
    pub const fn allows(self, needed: Rights) -> bool {
        self.0 & needed.0 == needed.0
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }

    /// The right of that name in a policy (`wallet`, `platform`, `client`). The others are never given by
    /// policy.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Rights> {
        match name {
            "wallet" => Some(Rights::WALLET),
            "platform" => Some(Rights::PLATFORM),
            "client" => Some(Rights::CLIENT),
            _ => None,
        }
    }
}

impl Wire for Rights {
    const MAX: usize = 4;
    fn encode(&self, out: &mut crate::wire::Writer<'_>) -> Result<(), Error> {
        self.0.encode(out)
    }
    fn decode(input: &mut crate::wire::Reader<'_>) -> Result<Self, Error> {
        u32::decode(input).map(Rights)
    }
}

/// A request; its type fixes service, method id and reply, so that no caller can pair them wrongly.
pub trait Request: Wire {
    /// The service that answers.
    const SERVICE: Service;
    /// The method id: the `commandID` of the invocation.
    const METHOD: u32;
    /// What comes back.
    type Reply: Wire;
}

/// One row of a service's table.
#[derive(Clone, Copy, Debug)]
pub struct MethodInfo {
    /// The method id.
    pub id: u32,
    /// The method's name.
    pub name: &'static str,
    /// The right a session needs.
    pub right: Rights,
    /// Longest request in bytes.
    pub max_request: usize,
    /// Longest reply in bytes; a shorter buffer is refused before the method runs.
    pub max_reply: usize,
}

/// Puts the protocol version in front of an encoded request; returns the length in bytes.
///
/// # Errors
/// [`Error::ShortBuffer`] when `out` is too short; `1 + R::MAX` bytes are enough.
pub fn encode_request<R: Request>(request: &R, out: &mut [u8]) -> Result<usize, Error> {
    let mut writer = crate::wire::Writer::new(out);
    (crate::PROTOCOL_VERSION as u8).encode(&mut writer)?;
    request.encode(&mut writer)?;
    Ok(writer.len())
}

/// Takes the protocol version off a received request.
///
/// # Errors
/// [`Error::BadParameters`] for an empty request or another version.
pub fn strip_version(request: &[u8]) -> Result<&[u8], Error> {
    match request {
        [version, rest @ ..] if u16::from(*version) == crate::PROTOCOL_VERSION => Ok(rest),
        _ => Err(Error::BadParameters),
    }
}

/// The longest request of a table in bytes, without the version byte in front.
#[must_use]
pub const fn max_request(methods: &[MethodInfo]) -> usize {
    let mut max = 0;
    let mut rest = methods;
    while let [first, tail @ ..] = rest {
        if first.max_request > max {
            max = first.max_request;
        }
        rest = tail;
    }
    max
}

/// The longest reply of a table in bytes.
#[must_use]
pub const fn max_reply(methods: &[MethodInfo]) -> usize {
    let mut max = 0;
    let mut rest = methods;
    while let [first, tail @ ..] = rest {
        if first.max_reply > max {
            max = first.max_reply;
        }
        rest = tail;
    }
    max
}

/// Declares a service: its table of methods, the trait that implements it and the dispatcher.
#[macro_export]
macro_rules! service {
    (
        $service:ident, $(#[$meta:meta])* trait $trait:ident {
            $($(#[$doc:meta])* $id:literal $name:ident($request:ty) -> $reply:ty, needs $right:ident;)*
        }
    ) => {
        /// The service's methods, in the order of the table.
        pub const METHODS: &[$crate::service::MethodInfo] = &[
            $($crate::service::MethodInfo {
                id: $id,
                name: stringify!($name),
                right: $crate::service::Rights::$right,
                max_request: <$request as $crate::wire::Wire>::MAX,
                max_reply: <$reply as $crate::wire::Wire>::MAX,
            }),*
        ];

        $(impl $crate::service::Request for $request {
            const SERVICE: $crate::service::Service = $crate::service::Service::$service;
            const METHOD: u32 = $id;
            type Reply = $reply;
        })*

        $(#[$meta])*
        pub trait $trait {
            $(
                $(#[$doc])*
                #[doc = ""]
                #[doc = "# Errors"]
                #[doc = "See [`Error`](crate::Error); a refused call changes nothing."]
                fn $name(&mut self, request: $request) -> Result<$reply, $crate::Error>;
            )*

            /// Finds the method, checks the right and every limit, decodes, calls, encodes; returns
            /// the reply's length in bytes.
            ///
            /// # Errors
            /// Besides the method's own: `UnknownMethod`, `AccessDenied`, `BadParameters`, `ShortBuffer`.
            fn dispatch(
                &mut self,
                rights: $crate::service::Rights,
                method: u32,
                request: &[u8],
                reply: &mut [u8],
            ) -> Result<usize, $crate::Error> {
                match method {
                    $($id => {
                        if !rights.allows($crate::service::Rights::$right) {
                            return Err($crate::Error::AccessDenied);
                        }
                        if reply.len() < <$reply as $crate::wire::Wire>::MAX {
                            return Err($crate::Error::ShortBuffer);
                        }
                        let request = $crate::wire::decode_exact::<$request>($crate::service::strip_version(request)?)?;
                        $crate::wire::encode_into(&self.$name(request)?, reply)
                    })*
                    _ => Err($crate::Error::UnknownMethod),
                }
            }
        }
    };
}
