//! The channel between a PIN pad and the PIN trusted app, which the normal world carries and cannot read: handshake and
//! frames, for both ends and both suites. The messages are [`tapvault_proto::pad`]'s.
//!
//! An exchange runs once, and its types say so: each step takes the one before it.
//!
//! | PIN trusted app ([`tee`]) | | pad ([`pad`]) |
//! | --- | --- | --- |
//! | [`tee::Offered::new`] | offer → | [`pad::Answered::new`] |
//! | [`tee::Offered::accept`], [`tee::Session`] | ← answer | |
//! | [`tee::Session::show`], [`tee::Awaiting`] | show → | [`pad::Answered::open`], [`pad::Reply`] |
//! | [`tee::Awaiting::open`] | ← frame | [`pad::Reply::seal`] |
//!
//! Each end signs both keys made for the session and the pairing that it believes. Who holds neither end's key gets no
//! session, and a recorded one is of no use: the other end draws a new key each time. What follows is encrypted under
//! one key for each direction, drawn from the agreement of the two keys ([`schedule`]).
//!
//! What makes a new PIN too simple ([`rules`]) both ends have to agree on: the pad asks for another, the trusted app
//! refuses.
//!
//! Keys, secrets and clear text are wiped when dropped.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod frame;
mod keys;
pub mod pad;
pub mod pairing;
pub mod rules;
pub mod schedule;
pub mod tee;

pub use keys::Keys;

/// Fills with random bytes of cryptographic quality: the TEE's at one end, the pad's at the other.
pub type Random<'a> = &'a mut dyn FnMut(&mut [u8]);

/// Draws of a scalar: one in 2³² is none of the curve.
const DRAWS: usize = 4;

#[cfg(test)]
mod tests;
