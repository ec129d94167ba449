//! TR-31 key blocks (ANSI X9.143), versions B and D, as a bank's security module wraps card keys: usage E0, mode X, not
//! exportable. Written apart from the card's code, over another implementation of triple DES.

use aes::{
    Aes256,
    cipher::{Array, BlockCipherEncrypt, KeyInit},
};
use cmac::{Cmac, Mac};
use des::TdesEde2;
use tapvault_proto::profile::{Key128, Suite};
use zeroize::Zeroizing;

pub use tapvault_proto::document::MAX_KEY_BLOCK;

/// The version: by it the cipher of the protection key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Triple DES.
    B,
    /// AES.
    D,
}

/// A key block protection key, wiped when dropped.
pub enum Kbpk {
    /// Two-key triple DES.
    B(Zeroizing<[u8; 16]>),
    /// AES-256.
    D(Zeroizing<[u8; 32]>),
}

/// The header's letter for the keys of a suite; `None` where there is none, or an AES key would lie under a weaker one.
#[must_use]
pub const fn algorithm(suite: Suite, version: Version) -> Option<char> {
    match (suite, version) {
        (Suite::Pboc3Des | Suite::Emv3Des, _) => Some('T'),
        (Suite::EmvAes, Version::D) => Some('A'),
        (Suite::EmvAes, Version::B) | (Suite::PbocSm4, _) => None,
    }
}

/// Wraps a key; `None` without random numbers.
#[must_use]
pub fn wrap(kbpk: &Kbpk, algorithm: char, key: &Key128) -> Option<String> {
    let (version, block, code) = match kbpk {
        Kbpk::B(_) => ('B', 8, 8),
        Kbpk::D(_) => ('D', 16, 16),
    };
    let length = (2 + 16_usize).next_multiple_of(block);
    let header = format!("{version}{:04}E0{algorithm}X00N0000", 16 + 2 * (length + code));
    let mut plain = Zeroizing::new([&128_u16.to_be_bytes()[..], key.expose()].concat());
    let mut padding = vec![0; length.saturating_sub(plain.len())];
    getrandom::fill(&mut padding).ok()?;
    plain.extend(padding);
    let message = Zeroizing::new([header.as_bytes(), &plain[..]].concat());
    let body = match kbpk {
        Kbpk::B(kbpk) => {
            let code = tdes_cmac(&derive_b(kbpk, 1), &message);
            [chain(&TdesEde2::new(&Array(*derive_b(kbpk, 0))), &code, &plain), code.to_vec()].concat()
        }
        Kbpk::D(kbpk) => {
            let code = aes_cmac(&derive_d(kbpk, 1), &message);
            [chain(&Aes256::new(&Array(*derive_d(kbpk, 0))), &code, &plain), code.to_vec()].concat()
        }
    };
    Some(format!("{header}{}", hex::encode_upper(body)))
}

/// Cipher block chaining; the message authentication code is the initial vector.
fn chain<C: BlockCipherEncrypt>(cipher: &C, vector: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut before = vector.to_vec();
    let mut text = Vec::new();
    for block in plain.chunks(vector.len()) {
        let mixed = block.iter().zip(&before).map(|(byte, before)| byte ^ before);
        let mut out: Array<u8, C::BlockSize> = mixed.collect();
        cipher.encrypt_block(&mut out);
        before = out.to_vec();
        text.extend_from_slice(&before);
    }
    text
}

/// The two halves of a key under the protection key, for encryption (0) or authentication (1).
fn derive_b(kbpk: &[u8; 16], usage: u8) -> Zeroizing<[u8; 16]> {
    let [a, b] =
        [1, 2].map(|counter| u64::from_be_bytes(tdes_cmac(kbpk, &[counter, 0, usage, 0, 0, 0, 0, 0x80])));
    Zeroizing::new((u128::from(a) << 64 | u128::from(b)).to_be_bytes())
}

fn derive_d(kbpk: &[u8; 32], usage: u8) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    for (half, counter) in key.as_chunks_mut::<16>().0.iter_mut().zip(1..) {
        *half = aes_cmac(kbpk, &[counter, 0, usage, 0, 0, 4, 1, 0]);
    }
    key
}

fn tdes_cmac(key: &[u8; 16], message: &[u8]) -> [u8; 8] {
    let mut mac = <Cmac<TdesEde2> as KeyInit>::new(&Array(*key));
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn aes_cmac(key: &[u8; 32], message: &[u8]) -> [u8; 16] {
    let mut mac = <Cmac<Aes256> as KeyInit>::new(&Array(*key));
    mac.update(message);
    mac.finalize().into_bytes().into()
}
