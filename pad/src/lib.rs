//! A PIN pad: its own process here, a peripheral in a product. It shows what is paid and to whom, takes the digits, and
//! shares an authenticated, encrypted channel with the PIN trusted app, through a normal world that neither trusts.
//! `docs/pin-pad.md` has the protocol, so that firmware can be written from it.
//!
//! * [`Pad`] is the pad without a screen, a keyboard or a socket: messages and keys go in, messages and a [`Screen`]
//!   come
//!   out. Time, storage and random numbers are its [`Clock`], [`Store`] and [`Random`].
//! * [`entry`] is what a holder can do with the keys, [`text`] what the holder is shown.
//! * [`wire`] frames messages on a stream, [`tui`] draws the screen on a terminal.
//!
//! It shares with the client no code but `tapvault-proto`: what the relay gets wrong, the pad does not.
#![forbid(unsafe_code)]

pub mod amount;
pub mod clock;
pub mod entry;
pub mod event;
pub mod layout;
mod pad;
pub mod random;
pub mod screen;
pub mod store;
pub mod text;
pub mod tui;
pub mod wire;

pub use clock::Clock;
pub use event::{Event, Refusal};
pub use pad::{Key, Pad, window_ms};
pub use random::Random;
pub use screen::Screen;
pub use store::Store;

/// P-256 key of the lab's factory, SEC 1 uncompressed. Everybody has its private half: it protects nothing.
pub const LAB_FACTORY_ROOT: &str = "04f7108c5b977b41b24fca65335bfe9e6d38adbf9e669db75984b3512ee5620ce20e3a5c5e345d86393af55ae96aa10c9617ddcefa6611fcdc76bc5cc8aae45a20";
