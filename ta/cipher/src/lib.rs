//! DES and SM4 whose memory accesses and branches do not depend on secrets.
//!
//! The crates `des` and `sm4` look their S-boxes up in memory, at addresses that depend on key and text: who
//! shares a cache with the trusted app may see which lines it touched. OP-TEE's core does the same in software
//! for both ciphers. Here an S-box is a handful of constants, one bit of every entry each; all are read
//! every time, and the bit that is wanted is rotated to its place. Rotations by a secret number of bits take the same time
//! for all numbers on the processors this is for (`RORV` is on Arm's list of data-independent timing, DDI 0487).
//! `tools/constant-time` checks it with valgrind; a shift and a mask become x86's `BT`, which valgrind takes for an access
//! to memory.
//!
//! Keys are wiped when dropped.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod des;
mod mac;
mod sm4;
mod traits;

pub use des::{Des, Tdes};
pub use mac::{retail_mac, sm4_mac};
pub use sm4::Sm4;
