//! Guest SDK: a bank implements [`Trustlet`] in safe Rust and gets a module for its trusted virtual
//! machine (TVM).
//!
//! ```
//! #![no_std]
//! use tapvault_trustlet::{Refusal, Trustlet, World, message, proto::{id::Party, wire::Bytes}};
//!
//! message! {
//!     /// Asks for a greeting.
//!     Greet {
//!         /// Whom to greet.
//!         name: Bytes<32>,
//!     }
//! }
//! message! {
//!     /// The greeting.
//!     Greeting {
//!         /// How long the TEE has been up, in milliseconds.
//!         uptime: u64,
//!     }
//! }
//!
//! struct Hello;
//!
//! impl Trustlet for Hello {
//!     type Message = Greet;
//!     type Reply = Greeting;
//!
//!     fn new() -> Self {
//!         Self
//!     }
//!
//!     fn handle(&mut self, _: &Party, _: Greet, world: &mut impl World) -> Result<Greeting, Refusal> {
//!         Ok(Greeting { uptime: world.now()? })
//!     }
//! }
//!
//! tapvault_trustlet::trustlet!(Hello);
//! # fn main() {}
//! ```
//!
//! * [`Trustlet`]: what a bank writes; [`trustlet!`] makes the module's exports of it.
//! * [`World`]: everything a trustlet can reach: storage, keys, the holder's confirmation, mail, the
//!   secure element. [`Key`] opens a key when it is first used.
//! * [`message!`], [`code!`], [`choice!`] and [`refusals!`]: messages, declared once for the trustlet and
//!   for its clients. A client reads an [`Answer`].
//! * [`testing`], on a host only: a fake world, so that `cargo test` needs no TEE.
//!
//! A trustlet's memory lasts as long as its session; what is to outlive it goes into the store. Two
//! sessions have two memories and one store: read the store in every call instead of keeping copies.
#![cfg_attr(target_arch = "wasm32", no_std)]

mod dispatch;
mod key;
mod messages;
#[cfg(target_arch = "wasm32")]
mod module;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod world;

pub use key::Key;
pub use messages::Answer;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub use module::{Module, Tvm};
pub use tapvault_proto::{self as proto, Error, code, message};
pub use world::{MAX_CALL, World};

use proto::{id::Party, wire::Wire};

/// What a bank writes.
pub trait Trustlet {
    /// What clients send; at most [`proto::trustlet::MAX_MESSAGE`] bytes.
    type Message: Wire;
    /// What they get; at most one byte less, for the [`Answer`] around it.
    type Reply: Wire;

    /// A trustlet that was just opened.
    fn new() -> Self;

    /// Answers a message. `from` is the sender as the TEE knows it.
    ///
    /// # Errors
    /// A [`Refusal`] of its own, which the client is told, or whatever error a service gave.
    fn handle(
        &mut self,
        from: &Party,
        message: Self::Message,
        world: &mut impl World,
    ) -> Result<Self::Reply, Refusal>;
}

/// Why a call has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The trustlet's own number, one of its [`refusals!`]; the client reads it in the [`Answer`].
    Own(u8),
    /// A service failed or the message is malformed; the client sees
    /// [`Error::TrustletRefused`] and nothing else.
    Failed(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Compares two codes in a time that tells nothing about where they differ.
#[must_use]
pub fn same_code<const N: usize>(one: &[u8; N], other: &[u8; N]) -> bool {
    let difference = one.iter().zip(other).fold(0, |all, (a, b)| core::hint::black_box(all | (a ^ b)));
    difference == 0
}

/// Makes the module's exports of a [`Trustlet`]; once per module. On a host it makes nothing.
#[macro_export]
macro_rules! trustlet {
    ($type:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            static MODULE: $crate::Module<$type> = $crate::Module::new();

            #[unsafe(no_mangle)]
            extern "C" fn trustlet_buffer() -> *mut u8 {
                MODULE.buffer()
            }

            #[unsafe(no_mangle)]
            extern "C" fn trustlet_handle(len: i32) -> i32 {
                MODULE.handle(len, &mut $crate::Tvm)
            }
        };
    };
}
