//! 3DES: key derivation options A and B, both ways to a session key, the retail MAC.
//!
//! The `des` crate looks up tables by secret bytes: not for a machine shared with strangers.

use super::{Derivation, Digits, key};
use des::{
    Des, TdesEde2,
    cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit, typenum::U8},
};
use sha1::{Digest, Sha1};
use tapvault_proto::profile::Key128;
use zeroize::Zeroizing;

type Block = Array<u8, U8>;

/// `3DES(IMK)[Y] ‖ 3DES(IMK)[¬Y]`, no parity fix-up (EMV Book 2, A1.4.1 and A1.4.2).
pub fn udk(imk: &Key128, digits: &Digits, derivation: Derivation) -> Key128 {
    let y = match derivation {
        Derivation::B if digits.number_len() > 16 => decimals_of_hash(digits),
        Derivation::A | Derivation::B => digits.last_16(),
    };
    pair(imk, y, !y)
}

/// Option B's 16 digits: the first decimal ones of the hash, then as many as are missing of the others, A to F
/// taken as 0 to 5.
fn decimals_of_hash(digits: &Digits) -> u64 {
    let hash = Sha1::digest(digits.packed());
    let nibbles = || hash.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
    let decimal = nibbles().filter(|nibble| *nibble < 10);
    let other = nibbles().filter(|nibble| *nibble >= 10).map(|nibble| nibble - 10);
    decimal.chain(other).take(16).fold(0, |y, digit| y << 4 | u64::from(digit))
}

/// PBOC's process key: `3DES(UDK)[00⁶ ‖ ATC] ‖ 3DES(UDK)[00⁶ ‖ ¬ATC]`; only the two bytes of the counter
/// are inverted.
pub fn process_key(udk: &Key128, atc: u16) -> Key128 {
    pair(udk, u64::from(atc), u64::from(!atc))
}

/// EMV's common session key: `3DES(UDK)[ATC ‖ F0 ‖ 00⁵] ‖ 3DES(UDK)[ATC ‖ 0F ‖ 00⁵]` (EMV Book 2, A1.3.1).
pub fn common_session_key(udk: &Key128, atc: u16) -> Key128 {
    let counter = u64::from(atc) << 48;
    pair(udk, counter | 0xF0 << 40, counter | 0x0F << 40)
}

/// ISO/IEC 9797-1 MAC algorithm 3 (the retail MAC) with padding method 2 over `data` of any length.
pub fn retail_mac(key: &Key128, data: &[u8]) -> [u8; 8] {
    let mut halves = Zeroizing::new([[0; 8]; 2]);
    for (half, bytes) in halves.iter_mut().zip(key.expose().chunks_exact(8)) {
        half.copy_from_slice(bytes);
    }
    let [left, right] = &*halves;
    let (left, right) = (Des::new(left.into()), Des::new(right.into()));

    let mut mac = Block::default();
    for block in super::padded(data, 8).chunks_exact(8) {
        mac.iter_mut().zip(block).for_each(|(mac, byte)| *mac ^= byte);
        left.encrypt_block(&mut mac);
    }
    right.decrypt_block(&mut mac);
    left.encrypt_block(&mut mac);
    mac.into()
}

/// One block.
pub fn encrypt(key: &Key128, block: u64) -> [u8; 8] {
    let mut block = Block::from(block.to_be_bytes());
    TdesEde2::new(key.expose().into()).encrypt_block(&mut block);
    block.into()
}

/// `3DES(under)[left] ‖ 3DES(under)[right]`.
pub fn pair(under: &Key128, left: u64, right: u64) -> Key128 {
    key([left, right].into_iter().flat_map(|block| encrypt(under, block)))
}
