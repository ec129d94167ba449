//! The TEEI layer as plain logic: who may call whom, who may open what, and how often.
//!
//! * [`edges`]: the one table of calls between trusted apps.
//! * [`policy`]: the signed policy document.
//! * [`registry`]: the supervisor's side of admission: rules, quotas, live sessions.
//! * [`gate`]: a service's side of admission: its sessions, and what it does when the supervisor
//!   restarts.
//! * [`directory`]: the virtual network: trustlets and their mailboxes.
//! * [`audit`]: the chained log.
//! * [`manifest`], [`lifecycle`]: what a provider signs, and a trustlet's life.
//! * [`its`], [`rate`]: how a trustlet reaches a service, and how often.
//! * [`signature`]: the one way signatures are checked.
//! * [`scp03`]: the TEE's end of a secure channel to a secure element.
//!
//! With the feature `wasm`, which only a TVM has, `tvm` is the engine that runs trustlets.
//!
//! Nothing here names a TEE or can panic, and nothing but `tvm` allocates; it runs in a trusted app and in a host test alike.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "wasm")]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod audit;
pub mod directory;
pub mod edges;
pub mod gate;
pub mod its;
pub mod lifecycle;
pub mod manifest;
pub mod policy;
pub mod rate;
pub mod registry;
pub mod scp03;
pub mod signature;
#[cfg(feature = "wasm")]
pub mod tvm;

#[cfg(test)]
mod tests;
