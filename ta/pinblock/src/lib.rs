//! What becomes of a bank PIN: its block ([`block`]) and the key of that one block ([`dukpt`]).
//!
//! Memory accesses and branches depend on no digit, no number of digits and no key: the ciphers are those of
//! `tapvault-cipher` and the crate `aes`, and `tools/constant-time` checks the whole with valgrind. Formats, lengths,
//! tokens, counters and finished blocks are no secrets.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod block;
pub mod dukpt;
