//! What a test profile checks and deciphers of its issuer's: answers to cryptograms (EMV Book 2, 8.2), MACs and enciphered
//! PINs of scripts. A session key lives for one command.

use crate::suite::{mac, session_key};
use aes::{
    Aes128,
    cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};
use tapvault_cipher::{Sm4, Tdes};
use tapvault_proto::{
    contact::CardPin,
    emv::contact::{MAX_SCRIPT_DATA, SCRIPT_MAC_LEN, SCRIPT_PIN_LEN},
    profile::{Key128, Suite},
    wire::Bytes,
};
use zeroize::Zeroizing;

/// Longest data of a script with its header, counter and cryptogram in front.
const MAX_SCRIPT: usize = 5 + 2 + 8 + MAX_SCRIPT_DATA;
/// Longest data under an answer of method 2: cryptogram, card status update, proprietary data.
const MAX_STATUS: usize = 8 + 4 + 8;
/// In front of an enciphered PIN: the length of what follows, up to the padding.
const PIN_HEAD: u8 = 8;

/// The transaction an issuer's word is for: its counter and its first cryptogram.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// Tag 9F36.
    pub atc: u16,
    /// Tag 9F26.
    pub cryptogram: [u8; 8],
}

/// Method 1: `E(SK)[ARQC ⊕ (ARC ‖ 00⁶)]`; of a cipher with blocks of 16 bytes the left half, over as many zeros more.
pub fn answer(suite: Suite, udk: &Key128, to: Answered, [high, low]: [u8; 2]) -> [u8; 8] {
    let key = session_key(suite, udk, to.atc);
    let [first, second, rest @ ..] = to.cryptogram;
    let [c, d, e, f, g, h] = rest;
    let mut half = [first ^ high, second ^ low, c, d, e, f, g, h];
    match suite {
        Suite::Pboc3Des | Suite::Emv3Des => {
            Tdes::new(&key).encrypt(&mut half);
            half
        }
        Suite::EmvAes | Suite::PbocSm4 => {
            let mut block = [0; 16];
            block.iter_mut().zip(half).for_each(|(place, byte)| *place = byte);
            if suite == Suite::EmvAes {
                Aes128::new(&Array(*key)).encrypt_block((&mut block).into());
            } else {
                Sm4::new(&key).encrypt(&mut block);
            }
            let [a, b, c, d, e, f, g, h, ..] = block;
            [a, b, c, d, e, f, g, h]
        }
    }
}

/// Method 2: the left 4 bytes of a MAC over cryptogram, card status update and up to 8 bytes more, `status` being the
/// latter two, 4 to 12 bytes.
pub fn answer_with_status(suite: Suite, udk: &Key128, to: Answered, status: &[u8]) -> [u8; 4] {
    let covered: Bytes<MAX_STATUS> = to.cryptogram.iter().chain(status.iter().take(12)).copied().collect();
    let [a, b, c, d, ..] = mac(suite, &session_key(suite, udk, to.atc), &covered);
    [a, b, c, d]
}

/// The MAC of a script command: over its header, Lc with the MAC's length in it, counter, cryptogram and data, the left 4
/// bytes. `data` without the MAC, [`MAX_SCRIPT_DATA`] bytes at most.
pub fn script_mac(
    suite: Suite,
    udk: &Key128,
    to: Answered,
    header: [u8; 4],
    data: &[u8],
) -> [u8; SCRIPT_MAC_LEN] {
    let data = data.get(..MAX_SCRIPT_DATA).unwrap_or(data);
    let lc = u8::try_from(data.len() + SCRIPT_MAC_LEN).unwrap_or(u8::MAX);
    let parts: [&[u8]; 5] = [&header, &[lc], &to.atc.to_be_bytes(), &to.cryptogram, data];
    let covered: Bytes<MAX_SCRIPT> = parts.iter().copied().flatten().copied().collect();
    let [a, b, c, d, ..] = mac(suite, &script_key(suite, udk, to), &covered);
    [a, b, c, d]
}

/// The card PIN in a script, deciphered: `08 delta 80 00⁶`, where delta is the PIN (`0`, its length, its digits, padded
/// with `F`) ⊕ (`00⁴`, bytes 5 to 8 of the key), and ⊕ the digits of the present PIN where there is one. `None` when it is
/// no PIN.
pub fn script_pin(
    suite: Suite,
    udk: &Key128,
    to: Answered,
    enciphered: [u8; SCRIPT_PIN_LEN],
    current: Option<&CardPin>,
) -> Option<CardPin> {
    let mut plain = Zeroizing::new(enciphered);
    let key = script_key(suite, udk, to);
    match suite {
        Suite::Pboc3Des | Suite::Emv3Des => {
            let cipher = Tdes::new(&key);
            plain.as_chunks_mut::<8>().0.iter_mut().for_each(|block| cipher.decrypt(block));
        }
        Suite::EmvAes => Aes128::new(&Array(*key)).decrypt_block((&mut *plain).into()),
        Suite::PbocSm4 => Sm4::new(&key).decrypt(&mut plain),
    }
    let [PIN_HEAD, delta @ .., 0x80, 0, 0, 0, 0, 0, 0] = &*plain else { return None };
    let mut block = Zeroizing::new(*delta);
    let of_key = udk.expose().iter().skip(4).take(4);
    block.iter_mut().skip(4).zip(of_key).for_each(|(place, byte)| *place ^= byte);
    if let Some(current) = current {
        let digits = current.expose().iter().skip(1).map(|pair| match pair {
            0xFF => 0,
            pair if pair & 0x0F == 0x0F => pair & 0xF0,
            pair => *pair,
        });
        block.iter_mut().zip(digits).for_each(|(place, digits)| *place ^= digits);
    }
    // Format 2 has a 2 where this has a 0.
    let [head, ..] = &mut *block;
    *head ^= 0x20;
    CardPin::from_block(*block)
}

/// The session key of a script: PBOC derives it from the counter, as that of the cryptogram, EMV from the cryptogram
/// (EMV Book 2, A1.3).
fn script_key(suite: Suite, udk: &Key128, to: Answered) -> Zeroizing<[u8; 16]> {
    let [a, b, c, d, e, f, g, h] = to.cryptogram;
    match suite {
        Suite::Pboc3Des | Suite::PbocSm4 => session_key(suite, udk, to.atc),
        Suite::Emv3Des => {
            let mut key = Zeroizing::new([a, b, 0xF0, d, e, f, g, h, a, b, 0x0F, d, e, f, g, h]);
            let cipher = Tdes::new(udk.expose());
            key.as_chunks_mut::<8>().0.iter_mut().for_each(|half| cipher.encrypt(half));
            key
        }
        Suite::EmvAes => {
            let mut key = Zeroizing::new([a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0]);
            Aes128::new(&Array(*udk.expose())).encrypt_block((&mut *key).into());
            key
        }
    }
}
