//! Application cryptograms, issuer side, in every suite of the cards. Written apart from the card's code, over
//! other implementations of the ciphers, so that one checks the other; both are held against vectors and
//! programs of others (`tests/suites.rs`, `tools/oracles`).

mod script;
mod tdes;

use aes::{
    Aes128,
    cipher::{Array, BlockCipherEncrypt, KeyInit},
};
use cmac::{Cmac, Mac};
use sm4::Sm4;
use std::fmt;
use tapvault_proto::profile::{Key128, Suite};
use zeroize::Zeroizing;

pub use script::{arpc_with_status, script_key, script_mac, script_pin};
pub use tdes::retail_mac;

/// How a card's key comes from the issuer's 3DES master key; other suites have one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Derivation {
    /// From the last 16 digits of number and sequence number (EMV Book 2, A1.4.1).
    #[default]
    A,
    /// For numbers of more than 16 digits from a hash of all of them (EMV Book 2, A1.4.2).
    B,
}

/// Why no key could be derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DerivationError {
    /// The card number is not 1 to 19 decimal digits.
    Number,
    /// The sequence number is not two decimal digits in BCD.
    SequenceNumber,
}

impl fmt::Display for DerivationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "the card number must be 1 to 19 decimal digits",
            Self::SequenceNumber => "the sequence number must be two decimal digits in BCD, 00 to 99",
        })
    }
}

impl std::error::Error for DerivationError {}

/// A card number (or token) and its sequence number, digit by digit.
struct Digits(Vec<u8>);

impl Digits {
    fn new(number: &str, psn: u8) -> Result<Self, DerivationError> {
        if !(1..=19).contains(&number.len()) || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(DerivationError::Number);
        }
        if psn >> 4 > 9 || psn & 0x0F > 9 {
            return Err(DerivationError::SequenceNumber);
        }
        Ok(Self(number.bytes().map(|byte| byte - b'0').chain([psn >> 4, psn & 0x0F]).collect()))
    }

    /// Digits of the number alone.
    fn number_len(&self) -> usize {
        self.0.len().saturating_sub(2)
    }

    /// All of them, right-aligned in 32 places.
    fn last_32(&self) -> u128 {
        self.0.iter().fold(0, |y, digit| y << 4 | u128::from(*digit))
    }

    /// The last 16, zeros on the left where there are fewer.
    fn last_16(&self) -> u64 {
        self.0.iter().fold(0, |y, digit| y << 4 | u64::from(*digit))
    }

    /// Two in a byte, a zero in front of an odd number of them.
    fn packed(&self) -> Vec<u8> {
        let len = self.0.len().div_ceil(2);
        self.last_32().to_be_bytes().into_iter().skip(16 - len).collect()
    }
}

/// The unique derived key of a card number (or token) and its sequence number in BCD. SM4 keys are made *by
/// analogy* with 3DES, option A: `SM4(IMK)[Y ‖ ¬Y]`; **no public vector confirms that**.
///
/// # Errors
/// [`DerivationError`] for a number that is not digits.
pub fn udk(
    suite: Suite,
    derivation: Derivation,
    imk: &Key128,
    number: &str,
    psn: u8,
) -> Result<Key128, DerivationError> {
    let digits = Digits::new(number, psn)?;
    let y = digits.last_16();
    Ok(match suite {
        Suite::Pboc3Des | Suite::Emv3Des => tdes::udk(imk, &digits, derivation),
        // EMV Book 2, A1.4.3: option C.
        Suite::EmvAes => Key128::new(aes_block(imk, digits.last_32())),
        Suite::PbocSm4 => Key128::new(sm4_block(imk, u128::from(y) << 64 | u128::from(!y))),
    })
}

/// The session key of one transaction counter.
#[must_use]
pub fn session_key(suite: Suite, udk: &Key128, atc: u16) -> Key128 {
    let (counter, inverted) = (u128::from(atc), u128::from(!atc));
    match suite {
        Suite::Pboc3Des => tdes::process_key(udk, atc),
        Suite::Emv3Des => tdes::common_session_key(udk, atc),
        // EMV Book 2, A1.3.2: ATC ‖ 00¹⁴.
        Suite::EmvAes => Key128::new(aes_block(udk, counter << 112)),
        // JR/T 0025.17: 00⁶ ‖ ATC ‖ 00⁶ ‖ ¬ATC.
        Suite::PbocSm4 => Key128::new(sm4_block(udk, counter << 64 | inverted)),
    }
}

/// The suite's MAC over `data` of any length, its left 8 bytes: retail MAC, CMAC, or SM4-CBC-MAC with padding
/// method 2.
#[must_use]
pub fn mac(suite: Suite, key: &Key128, data: &[u8]) -> [u8; 8] {
    match suite {
        Suite::Pboc3Des | Suite::Emv3Des => retail_mac(key, data),
        Suite::EmvAes => {
            let mut mac = <Cmac<Aes128> as KeyInit>::new(&Array(*key.expose()));
            mac.update(data);
            left(mac.finalize().into_bytes().into())
        }
        Suite::PbocSm4 => {
            let blocks = padded(data, 16);
            let blocks = blocks
                .chunks_exact(16)
                .map(|block| block.iter().fold(0, |block, byte| block << 8 | u128::from(*byte)));
            left(blocks.fold([0; 16], |mac, block| sm4_block(key, u128::from_be_bytes(mac) ^ block)))
        }
    }
}

/// The application cryptogram over `data` under the session key of `atc`:
/// [`crate::request::AuthorisationRequest::covered`].
#[must_use]
pub fn cryptogram(suite: Suite, udk: &Key128, atc: u16, data: &[u8]) -> [u8; 8] {
    mac(suite, &session_key(suite, udk, atc), data)
}

/// The issuer's answer, method 1 (EMV Book 2, 8.2.1): `E(SK)[ARQC ⊕ (ARC ‖ 00⁶)]`, of a cipher with blocks of 16
/// bytes `left8(E(SK)[.. ‖ 00⁸])`. `arc` is two ASCII characters.
#[must_use]
pub fn arpc(suite: Suite, udk: &Key128, atc: u16, arqc: &[u8; 8], arc: [u8; 2]) -> [u8; 8] {
    let [high, low] = arc;
    let block = u64::from_be_bytes(*arqc) ^ u64::from_be_bytes([high, low, 0, 0, 0, 0, 0, 0]);
    let key = session_key(suite, udk, atc);
    match suite {
        Suite::Pboc3Des | Suite::Emv3Des => tdes::encrypt(&key, block),
        Suite::EmvAes => left(aes_block(&key, u128::from(block) << 64)),
        Suite::PbocSm4 => left(sm4_block(&key, u128::from(block) << 64)),
    }
}

/// Padding method 2 of ISO/IEC 9797-1.
fn padded(data: &[u8], block: usize) -> Vec<u8> {
    let mut padded = [data, &[0x80]].concat();
    padded.resize(padded.len().next_multiple_of(block), 0);
    padded
}

fn aes_block(under: &Key128, block: u128) -> [u8; 16] {
    let mut block = Array(block.to_be_bytes());
    Aes128::new(&Array(*under.expose())).encrypt_block(&mut block);
    block.0
}

/// The `sm4` crate looks up tables by secret bytes: not for a machine shared with strangers.
fn sm4_block(under: &Key128, block: u128) -> [u8; 16] {
    let mut block = block.to_be_bytes().into();
    Sm4::new(under.expose().into()).encrypt_block(&mut block);
    block.into()
}

fn left(block: [u8; 16]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = block;
    [a, b, c, d, e, f, g, h]
}

fn key(bytes: impl Iterator<Item = u8>) -> Key128 {
    let mut key = Zeroizing::new([0; 16]);
    key.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = byte);
    Key128::new(*key)
}
