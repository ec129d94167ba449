//! PBOC / UnionPay application cryptograms under 3DES, issuer side (JR/T 0025; as in public vectors,
//! `tests/vectors/pboc_3des_ac.json`). Written apart from the card's code, so that one checks the other.
//!
//! The `des` crate looks up tables by secret bytes: not for a machine shared with strangers.

use des::{
    Des, TdesEde2,
    cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit, typenum::U8},
};
use std::fmt;
use tapvault_proto::profile::Key128;
use zeroize::{Zeroize, Zeroizing};

type Block = Array<u8, U8>;

/// Why no key could be derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PbocError {
    /// The card number is not 1 to 19 decimal digits.
    Number,
    /// The sequence number is not two decimal digits in BCD.
    SequenceNumber,
}

impl fmt::Display for PbocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "the card number must be 1 to 19 decimal digits",
            Self::SequenceNumber => "the sequence number must be two decimal digits in BCD, 00 to 99",
        })
    }
}

impl std::error::Error for PbocError {}

/// The unique derived key of a card number (or token) and its sequence number, EMV Book 2, A1.4.1
/// option A: `3DES(IMK)[Y] ‖ 3DES(IMK)[¬Y]`, no parity fix-up. `psn` is BCD.
///
/// # Errors
/// [`PbocError`] for a number that is not digits.
pub fn udk(imk: &Key128, number: &str, psn: u8) -> Result<Key128, PbocError> {
    if !(1..=19).contains(&number.len()) || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PbocError::Number);
    }
    if psn >> 4 > 9 || psn & 0x0F > 9 {
        return Err(PbocError::SequenceNumber);
    }
    let digits = number.bytes().map(|byte| byte - b'0').chain([psn >> 4, psn & 0x0F]);
    // Shifting each digit in from the right keeps the last 16 and pads with zeros on the left.
    let y = digits.fold(0u64, |y, digit| y << 4 | u64::from(digit));
    Ok(encrypt_pair(imk, y, !y))
}

/// The session key of one transaction counter: `3DES(UDK)[00⁶ ‖ ATC] ‖ 3DES(UDK)[00⁶ ‖ ¬ATC]`; only the
/// two bytes of the counter are inverted.
#[must_use]
pub fn session_key(udk: &Key128, atc: u16) -> Key128 {
    encrypt_pair(udk, u64::from(atc), u64::from(!atc))
}

/// ISO/IEC 9797-1 MAC algorithm 3 (the retail MAC) with padding method 2 over `data` of any length.
#[must_use]
pub fn retail_mac(key: &Key128, data: &[u8]) -> [u8; 8] {
    let mut halves = Zeroizing::new([[0; 8]; 2]);
    for (half, bytes) in halves.iter_mut().zip(key.expose().chunks_exact(8)) {
        half.copy_from_slice(bytes);
    }
    let [left, right] = &*halves;
    let (left, right) = (Des::new(left.into()), Des::new(right.into()));

    let mut padded = data.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(8), 0);
    let mut mac = Block::default();
    for block in padded.chunks_exact(8) {
        mac.iter_mut().zip(block).for_each(|(mac, byte)| *mac ^= byte);
        left.encrypt_block(&mut mac);
    }
    right.decrypt_block(&mut mac);
    left.encrypt_block(&mut mac);
    mac.into()
}

/// The application cryptogram over `data` under the session key of `atc`. For cryptogram version 01
/// `data` is 37 bytes: [`crate::request::AuthorisationRequest::cvn01_data`].
#[must_use]
pub fn cryptogram(udk: &Key128, atc: u16, data: &[u8]) -> [u8; 8] {
    retail_mac(&session_key(udk, atc), data)
}

/// The issuer's answer, method 1: `3DES(SK)[ARQC ⊕ (ARC ‖ 00⁶)]`. `arc` is two ASCII characters.
#[must_use]
pub fn arpc(udk: &Key128, atc: u16, arqc: &[u8; 8], arc: [u8; 2]) -> [u8; 8] {
    let [high, low] = arc;
    let code = u64::from_be_bytes([high, low, 0, 0, 0, 0, 0, 0]);
    let session = session_key(udk, atc);
    encrypt(&TdesEde2::new(session.expose().into()), u64::from_be_bytes(*arqc) ^ code).into()
}

fn encrypt_pair(key: &Key128, left: u64, right: u64) -> Key128 {
    let cipher = TdesEde2::new(key.expose().into());
    let mut bytes = Zeroizing::new([0; 16]);
    for (half, block) in bytes.chunks_exact_mut(8).zip([left, right]) {
        let mut block = encrypt(&cipher, block);
        half.copy_from_slice(&block);
        block.zeroize();
    }
    Key128::new(*bytes)
}

fn encrypt(cipher: &TdesEde2, block: u64) -> Block {
    let mut block = Block::from(block.to_be_bytes());
    cipher.encrypt_block(&mut block);
    block
}
