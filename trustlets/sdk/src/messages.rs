//! What clients and trustlets exchange.

use crate::proto::{
    Error,
    wire::{Reader, Wire, Writer},
};

/// What a trustlet sends back: one byte says which, then the reply, or the number of the refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<R> {
    /// It did what was asked.
    Reply(R),
    /// It refused, with a number of its own.
    Refused(u8),
}

impl<R: Wire> Wire for Answer<R> {
    const MAX: usize = 1 + if R::MAX > 1 { R::MAX } else { 1 };
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            Self::Reply(reply) => 1u8.encode(out).and_then(|()| reply.encode(out)),
            Self::Refused(number) => 2u8.encode(out).and_then(|()| number.encode(out)),
        }
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        match u8::decode(input)? {
            1 => R::decode(input).map(Self::Reply),
            2 => u8::decode(input).map(Self::Refused),
            _ => Err(Error::BadParameters),
        }
    }
}

/// Declares a choice of messages: a byte that says which, then that message.
#[macro_export]
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident($type:ty) = $value:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$vmeta])* $variant($type)),* }

        impl $crate::proto::wire::Wire for $name {
            const MAX: usize = {
                let mut max = 0;
                $(if <$type as $crate::proto::wire::Wire>::MAX > max {
                    max = <$type as $crate::proto::wire::Wire>::MAX;
                })*
                1 + max
            };
            fn encode(&self, out: &mut $crate::proto::wire::Writer<'_>) -> Result<(), $crate::Error> {
                match self {
                    $(Self::$variant(message) => {
                        out.put(&[$value])?;
                        message.encode(out)
                    })*
                }
            }
            fn decode(input: &mut $crate::proto::wire::Reader<'_>) -> Result<Self, $crate::Error> {
                match <u8 as $crate::proto::wire::Wire>::decode(input)? {
                    $($value => <$type as $crate::proto::wire::Wire>::decode(input).map(Self::$variant),)*
                    _ => Err($crate::Error::BadParameters),
                }
            }
        }
    };
}

/// Declares a trustlet's own refusals, numbered from 1: a promise to its clients, never renumbered.
#[macro_export]
macro_rules! refusals {
    ($(#[$meta:meta])* $name:ident { $($variants:tt)* }) => {
        $crate::code! { $(#[$meta])* $name { $($variants)* } }

        impl From<$name> for $crate::Refusal {
            fn from(refused: $name) -> Self {
                Self::Own(refused as u8)
            }
        }
    };
}
