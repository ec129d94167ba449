//! The TEEI layer as plain logic: who may call whom, who may open what, and how often.
//!
//! * [`edges`]: the one table of calls between trusted apps.
//! * [`policy`]: the signed policy document.
//! * [`registry`]: the supervisor's side of admission: rules, quotas, live sessions.
//! * [`gate`]: a service's side of admission: its sessions, and what it does when the supervisor
//!   restarts.
//! * [`signature`]: the one way signatures are checked.
//!
//! Nothing here names a TEE, allocates, or can panic; it runs in a trusted app and in a host test alike.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod edges;
pub mod gate;
pub mod policy;
pub mod registry;
pub mod signature;

#[cfg(test)]
mod tests;
