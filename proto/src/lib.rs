//! Everything that crosses a boundary of TapVault, written down once.
//!
//! * [`mod@service`]: the services, their methods and who may call them; [`card`], [`pin`] and
//!   [`supervisor`] hold one table each that pairs method id, request and reply.
//! * [`trustlet`]: what a trustlet exchanges with its TVM, its services and other trustlets.
//! * [`wire`]: the binary codec of those messages. Fixed-width big-endian integers, length-prefixed
//!   byte strings, nothing optional in the framing, trailing bytes refused.
//! * [`error`]: every failure a trusted app can report, with its stable 32-bit code.
//! * [`emv`]: BER-TLV, APDUs, and the one contactless state machine that client and trusted app share.
//! * [`device`]: the device's keys, and the challenges that they sign.
//! * [`offline`]: what a card may pay without asking its issuer.
//! * [`limited`]: limited-use keys, in place of keys to derive them from.
//! * [`token`]: where a token may be used, and the commands that move it through its life.
//! * [`binding`]: card data typed by their holder, sealed for their bank.
//! * [`route`]: where cards answer terminals from, and who presents them; [`element`] and [`dgi`]: the secure element.
//! * [`document`]: JSON documents (sealed card package, what a wallet may display).
//!
//! Every byte decoded here may come from an attacker: decoding never panics, never allocates, and
//! copies what it keeps.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod approval;
pub mod bank_pin;
pub mod binding;
pub mod card;
pub mod contact;
pub mod device;
pub mod dgi;
pub mod document;
pub mod element;
pub mod emv;
pub mod error;
pub mod freshness;
pub mod id;
pub mod limited;
pub mod offline;
pub mod online;
pub mod pad;
pub mod pin;
pub mod profile;
pub mod refused;
pub mod route;
pub mod service;
pub mod supervisor;
pub mod token;
pub mod tries;
pub mod trustlet;
pub mod tvm;
pub mod wire;

pub use error::Error;

/// Version of the messages in this crate; a client refuses a trusted app that reports another one.
pub const PROTOCOL_VERSION: u16 = 1;
