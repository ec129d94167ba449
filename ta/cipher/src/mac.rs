//! The MACs of payment cards over these ciphers.

use crate::{Sm4, Tdes};

/// ISO/IEC 9797-1 MAC algorithm 3 (the retail MAC) under a two-key triple DES key, padding method 2, of
/// data of any length: 8 bytes.
#[must_use]
pub fn retail_mac(key: &[u8; 16], data: &[u8]) -> [u8; 8] {
    let cipher = Tdes::new(key);
    let mut mac = chain(data, |block| cipher.single().encrypt(block));
    cipher.finish(&mut mac);
    mac
}

/// SM4-CBC-MAC with padding method 2 and a zero start value, of data of any length: the left 8 of 16 bytes
/// (JR/T 0025.17, as in card test scripts).
#[must_use]
pub fn sm4_mac(key: &[u8; 16], data: &[u8]) -> [u8; 8] {
    let cipher = Sm4::new(key);
    let [a, b, c, d, e, f, g, h, ..]: [u8; 16] = chain(data, |block| cipher.encrypt(block));
    [a, b, c, d, e, f, g, h]
}

/// Cipher block chaining of data and `80 00...`: the last block.
fn chain<const N: usize>(data: &[u8], encrypt: impl Fn(&mut [u8; N])) -> [u8; N] {
    let mut mac = [0; N];
    let add =
        |mac: &mut [u8; N], block: &[u8]| mac.iter_mut().zip(block).for_each(|(mac, byte)| *mac ^= byte);
    let mut blocks = data.chunks_exact(N);
    for block in &mut blocks {
        add(&mut mac, block);
        encrypt(&mut mac);
    }
    let rest = blocks.remainder();
    add(&mut mac, rest);
    if let Some(next) = mac.get_mut(rest.len()) {
        *next ^= 0x80;
    }
    encrypt(&mut mac);
    mac
}
