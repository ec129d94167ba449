//! AES-128 in the three ways of SCP03, from the block cipher up: CMAC (NIST SP 800-38B), the derivation
//! made of it (SP 800-108; Amendment D, 4.1.5), CBC with padding 80 00….
//!
//! A block is a number of 128 bits, most significant byte first.

use aes::{
    Aes128,
    cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};
use tapvault_proto::profile::Key128;
use zeroize::Zeroizing;

/// Derivation constant (table 4-1) of the card cryptogram.
pub(super) const CARD_CRYPTOGRAM: u8 = 0x00;
/// Of the host cryptogram.
pub(super) const HOST_CRYPTOGRAM: u8 = 0x01;
/// Of a card challenge.
pub(super) const CARD_CHALLENGE: u8 = 0x02;
/// Of S-ENC.
pub(super) const S_ENC: u8 = 0x04;
/// Of S-MAC.
pub(super) const S_MAC: u8 = 0x06;
/// Of S-RMAC.
pub(super) const S_RMAC: u8 = 0x07;

/// Derives a key.
pub(super) fn derive_key(key: &Key128, constant: u8, context: &[u8]) -> Key128 {
    Key128::new(*derive(key, constant, 128, context))
}

/// Derives 8 bytes.
pub(super) fn derive_half(key: &Key128, constant: u8, context: &[u8]) -> [u8; 8] {
    let derived = u128::from_be_bytes(*derive(key, constant, 64, context));
    let [half @ .., _, _, _, _, _, _, _, _] = derived.to_be_bytes();
    half
}

fn derive(key: &Key128, constant: u8, bits: u16, context: &[u8]) -> Zeroizing<[u8; 16]> {
    let mut input = vec![0; 11];
    input.extend([constant, 0x00]);
    input.extend(bits.to_be_bytes());
    input.push(0x01);
    input.extend(context);
    Zeroizing::new(cmac(key, &input))
}

/// The MAC, 16 bytes.
pub(super) fn cmac(key: &Key128, message: &[u8]) -> [u8; 16] {
    let cipher = Aes128::new(key.expose().into());
    let for_whole = doubled(encrypt_block(&cipher, 0));
    let whole = !message.is_empty() && message.len().is_multiple_of(16);
    let (message, mask) =
        if whole { (message.to_vec(), for_whole) } else { (padded(message), doubled(for_whole)) };
    let (blocks, _) = message.as_chunks();
    let mut mac = 0;
    for (number, block) in (1..).zip(blocks) {
        let mask = if number == blocks.len() { mask } else { 0 };
        mac = encrypt_block(&cipher, mac ^ u128::from_be_bytes(*block) ^ mask);
    }
    mac.to_be_bytes()
}

/// Pads and encrypts; the initial vector is `counter` encrypted.
pub(super) fn encrypt(key: &Key128, counter: u128, data: &[u8]) -> Vec<u8> {
    let cipher = Aes128::new(key.expose().into());
    let mut last = encrypt_block(&cipher, counter);
    let mut sealed = Vec::new();
    for block in padded(data).as_chunks().0 {
        last = encrypt_block(&cipher, last ^ u128::from_be_bytes(*block));
        sealed.extend(last.to_be_bytes());
    }
    sealed
}

/// Undoes [`encrypt`]; `None` for part of a block or other padding.
pub(super) fn decrypt(key: &Key128, counter: u128, sealed: &[u8]) -> Option<Vec<u8>> {
    let cipher = Aes128::new(key.expose().into());
    let mut last = encrypt_block(&cipher, counter);
    let (blocks, []) = sealed.as_chunks() else { return None };
    let mut data = Vec::new();
    for block in blocks {
        let mut clear = Array::from(*block);
        cipher.decrypt_block(&mut clear);
        data.extend((last ^ u128::from_be_bytes(clear.into())).to_be_bytes());
        last = u128::from_be_bytes(*block);
    }
    // The mark is in the last block: behind it at most 15 zeros.
    let zeros = data.iter().rev().take(15).take_while(|byte| **byte == 0).count();
    data.truncate(data.len() - zeros);
    (data.pop() == Some(0x80)).then_some(data)
}

fn padded(data: &[u8]) -> Vec<u8> {
    let mut padded = data.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(16), 0);
    padded
}

fn encrypt_block(cipher: &Aes128, block: u128) -> u128 {
    let mut block = Array::from(block.to_be_bytes());
    cipher.encrypt_block(&mut block);
    u128::from_be_bytes(block.into())
}

/// Multiplies by x in GF(2^128), SP 800-38B, 6.1.
fn doubled(block: u128) -> u128 {
    (block << 1) ^ ((block >> 127) * 0x87)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4493, section 4: the four messages are the front of one.
    #[test]
    fn the_mac_is_the_one_of_rfc_4493() {
        let key = Key128::new(*b"\x2b\x7e\x15\x16\x28\xae\xd2\xa6\xab\xf7\x15\x88\x09\xcf\x4f\x3c");
        let message = hex::decode(
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
        )
        .unwrap();
        for (length, mac) in [
            (0, "bb1d6929e95937287fa37d129b756746"),
            (16, "070a16b46b4d4144f79bdd9dd04a287c"),
            (40, "dfa66747de9ae63030ca32611497c827"),
            (64, "51f0bebf7e3b9d92fc49741779363cfe"),
        ] {
            assert_eq!(hex::encode(cmac(&key, &message[..length])), mac, "{length} bytes");
        }
    }

    #[test]
    fn padding_comes_off_and_nothing_else_opens() {
        let key = Key128::new([7; 16]);
        for length in 0..=48 {
            let data = vec![0; length];
            let sealed = encrypt(&key, 1, &data);
            assert_eq!(sealed.len(), (length + 16) / 16 * 16);
            assert_eq!(decrypt(&key, 1, &sealed), Some(data));
            assert_eq!(decrypt(&key, 1, &sealed[1..]), None);
        }
        assert_eq!(decrypt(&key, 1, &[]), None);
    }
}
