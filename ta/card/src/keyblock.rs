//! TR-31 key blocks (ANSI X9.143) of versions B and D: a key under a key block protection key (KBPK), with a header
//! that says what it is for. The message authentication code covers header and key and is checked before either is
//! believed.
//!
//! ```text
//! V LLLL UU A M NN E OO RR | cipher text | MAC      16 characters of header, the rest in upper-case hexadecimal
//! ```

use aes::{
    Aes256,
    cipher::{Array, BlockCipherDecrypt, KeyInit},
};
use cmac::{Cmac, Mac, digest::InnerInit};
use subtle::ConstantTimeEq;
use tapvault_cipher::Tdes;
use tapvault_proto::{
    Error,
    document::MAX_KEY_BLOCK,
    profile::{Key128, Suite},
    wire::Bytes,
};
use zeroize::{Zeroize, Zeroizing};

/// Characters of the header; optional blocks are refused.
const HEADER: usize = 16;
/// Longest cipher text and code in bytes.
const MAX_BODY: usize = (MAX_KEY_BLOCK - HEADER) / 2;
/// Usage of a key that application cryptograms' session keys are derived from.
const USAGE: [u8; 2] = *b"E0";
/// Mode of use: to derive other keys.
const MODE: u8 = b'X';
/// The key's length in bits, as the plain text begins.
const BITS: [u8; 2] = 128_u16.to_be_bytes();

/// The version: by it the cipher of the KBPK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Triple DES.
    B,
    /// AES.
    D,
}

/// A parsed block, not believed yet.
pub struct KeyBlock {
    version: Version,
    header: [u8; HEADER],
    usage: [u8; 2],
    algorithm: u8,
    mode: u8,
    body: Bytes<MAX_BODY>,
}

impl KeyBlock {
    /// Parses a block.
    ///
    /// # Errors
    /// [`Error::KeyBlockInvalid`].
    pub fn parse(block: &[u8]) -> Result<Self, Error> {
        let (header, body) = block.split_first_chunk::<HEADER>().ok_or(Error::KeyBlockInvalid)?;
        let [version, l0, l1, l2, l3, u0, u1, algorithm, mode, _, _, exportability, o0, o1, r0, r1] = *header;
        let version = match version {
            b'B' => Version::B,
            b'D' => Version::D,
            _ => return Err(Error::KeyBlockInvalid),
        };
        let decimal = |value: usize, digit: u8| match digit {
            b'0'..=b'9' => Some(10 * value + usize::from(digit - b'0')),
            _ => None,
        };
        let length = [l0, l1, l2, l3].into_iter().try_fold(0, decimal);
        let ends = [o0, o1, r0, r1] == *b"0000" && matches!(exportability, b'E' | b'N' | b'S');
        if length != Some(block.len()) || !ends || body.len() % 2 != 0 {
            return Err(Error::KeyBlockInvalid);
        }
        let nibble = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'A'..=b'F' => Ok(digit - b'A' + 10),
            _ => Err(Error::KeyBlockInvalid),
        };
        let mut bytes = Bytes::new();
        for [high, low] in body.as_chunks::<2>().0 {
            let byte = nibble(*high)? << 4 | nibble(*low)?;
            bytes.push(byte).map_err(|_| Error::KeyBlockInvalid)?;
        }
        Ok(Self { version, header: *header, usage: [u0, u1], algorithm, mode, body: bytes })
    }

    /// The version.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The key, once the block is found authentic under `kbpk` and for the cryptograms of this suite.
    ///
    /// # Errors
    /// [`Error::KeyBlockInvalid`], also for a KBPK of another version; [`Error::KeyBlockPurpose`].
    pub fn open(&self, kbpk: &Kbpk, suite: Suite) -> Result<Key128, Error> {
        let plain = match (self.version, kbpk) {
            (Version::B, Kbpk::B(key)) => self.open_b(key),
            (Version::D, Kbpk::D(key)) => self.open_d(key),
            _ => Err(Error::KeyBlockInvalid),
        }?;
        let algorithm = match suite {
            Suite::Pboc3Des | Suite::Emv3Des => b'T',
            // An AES key is stronger than what protects a block of version B.
            Suite::EmvAes if self.version == Version::D => b'A',
            // X9.143 has no letter for SM4.
            Suite::EmvAes | Suite::PbocSm4 => return Err(Error::KeyBlockPurpose),
        };
        if (self.usage, self.algorithm, self.mode) != (USAGE, algorithm, MODE) {
            return Err(Error::KeyBlockPurpose);
        }
        let (bits, rest) = plain.0.split_first_chunk::<2>().ok_or(Error::KeyBlockInvalid)?;
        let (key, _) = rest.split_first_chunk::<16>().ok_or(Error::KeyBlockInvalid)?;
        if *bits == BITS { Ok(Key128::new(*key)) } else { Err(Error::KeyBlockPurpose) }
    }

    fn open_b(&self, kbpk: &[u8; 16]) -> Result<Plain, Error> {
        let (text, mac) = self.body.split_last_chunk::<8>().ok_or(Error::KeyBlockInvalid)?;
        let cipher = Tdes::new(&derive_b(kbpk, ENCRYPTION));
        let (blocks, rest) = text.as_chunks::<8>();
        let (mut plain, mut before) = (Plain::default(), mac);
        for block in blocks {
            let mut out = *block;
            cipher.decrypt(&mut out);
            out.iter_mut().zip(before).for_each(|(out, before)| *out ^= before);
            plain.0.extend_from_slice(&out).map_err(|_| Error::KeyBlockInvalid)?;
            before = block;
        }
        let code = tdes_cmac(&derive_b(kbpk, AUTHENTICATION), &[&self.header, &plain.0]);
        if rest.is_empty() && bool::from(code.ct_eq(mac)) { Ok(plain) } else { Err(Error::KeyBlockInvalid) }
    }

    fn open_d(&self, kbpk: &[u8; 32]) -> Result<Plain, Error> {
        let (text, mac) = self.body.split_last_chunk::<16>().ok_or(Error::KeyBlockInvalid)?;
        let cipher = Aes256::new(&Array(*derive_d(kbpk, ENCRYPTION)));
        let (blocks, rest) = text.as_chunks::<16>();
        let (mut plain, mut before) = (Plain::default(), mac);
        for block in blocks {
            let mut out = Array(*block);
            cipher.decrypt_block(&mut out);
            out.iter_mut().zip(before).for_each(|(out, before)| *out ^= before);
            plain.0.extend_from_slice(&out).map_err(|_| Error::KeyBlockInvalid)?;
            before = block;
        }
        let code = aes_cmac(&derive_d(kbpk, AUTHENTICATION), &[&self.header, &plain.0]);
        if rest.is_empty() && bool::from(code.ct_eq(mac)) { Ok(plain) } else { Err(Error::KeyBlockInvalid) }
    }
}

/// A key block protection key, wiped when dropped.
pub enum Kbpk {
    /// Two-key triple DES.
    B(Zeroizing<[u8; 16]>),
    /// AES-256.
    D(Zeroizing<[u8; 32]>),
}

/// A block's plain text, wiped when dropped: length, key, padding.
#[derive(Default)]
struct Plain(Bytes<MAX_BODY>);

impl Drop for Plain {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

/// Usage of a derived key: it encrypts.
const ENCRYPTION: [u8; 2] = [0x00, 0x00];
/// Usage of a derived key: it authenticates.
const AUTHENTICATION: [u8; 2] = [0x00, 0x01];

/// A key under the KBPK: `CMAC(counter ‖ usage ‖ 00 ‖ algorithm ‖ bits)`, as often as fills it. Two-key triple DES is
/// algorithm 0000 with 128 bits.
fn derive_b(kbpk: &[u8; 16], usage: [u8; 2]) -> Zeroizing<[u8; 16]> {
    let mut key = Zeroizing::new([0; 16]);
    for (half, counter) in key.as_chunks_mut::<8>().0.iter_mut().zip(1_u8..) {
        *half = tdes_cmac(kbpk, &[&[counter], &usage, &[0x00, 0x00, 0x00, 0x00, 0x80]]);
    }
    key
}

/// As [`derive_b`]; AES-256 is algorithm 0004 with 256 bits.
fn derive_d(kbpk: &[u8; 32], usage: [u8; 2]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    for (half, counter) in key.as_chunks_mut::<16>().0.iter_mut().zip(1_u8..) {
        *half = aes_cmac(kbpk, &[&[counter], &usage, &[0x00, 0x00, 0x04, 0x01, 0x00]]);
    }
    key
}

fn tdes_cmac(key: &[u8; 16], parts: &[&[u8]]) -> [u8; 8] {
    let mut mac = Cmac::inner_init(Tdes::new(key));
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn aes_cmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 16] {
    let mut mac = <Cmac<Aes256> as KeyInit>::new(&Array(*key));
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::{string::String, vec::Vec};

    const VECTORS: &str = include_str!("../../../network/tests/vectors/tr31_kcv.json");

    fn bytes<const N: usize>(value: &Value) -> Zeroizing<[u8; N]> {
        Zeroizing::new(hex::decode(value.as_str().unwrap()).unwrap().try_into().unwrap())
    }

    /// Blocks of `psec`: version, KBPK, key, block.
    fn cases() -> Vec<(Kbpk, [u8; 16], String)> {
        let file: Value = serde_json::from_str(VECTORS).unwrap();
        let cases = file["blocks"].as_array().unwrap().iter().filter_map(|case| {
            let kbpk = match (case["version"].as_str().unwrap(), case["kbpk"].as_str().unwrap().len()) {
                ("B", 32) => Kbpk::B(bytes(&case["kbpk"])),
                ("D", 64) => Kbpk::D(bytes(&case["kbpk"])),
                _ => return None,
            };
            let block = case["block(random padding, unwrap only)"].as_str().unwrap();
            Some((kbpk, *bytes(&case["key"]), block.into()))
        });
        cases.collect()
    }

    fn open(block: &[u8], kbpk: &Kbpk) -> Result<[u8; 16], Error> {
        KeyBlock::parse(block)?.open(kbpk, Suite::Pboc3Des).map(|key| *key.expose())
    }

    #[test]
    fn blocks_of_others_open() {
        let cases = cases();
        assert_eq!(cases.len(), 2);
        for (kbpk, key, block) in cases {
            assert_eq!(open(block.as_bytes(), &kbpk), Ok(key), "{block}");
        }
    }

    #[test]
    fn an_altered_block_is_refused() {
        for (kbpk, _, block) in cases() {
            let good = block.as_bytes();
            for at in 0..good.len() {
                for to in *b"01ABDENSTXYZ \xFF" {
                    let mut bad = good.to_vec();
                    bad[at] = to;
                    if bad != good {
                        assert_eq!(open(&bad, &kbpk), Err(Error::KeyBlockInvalid), "{block} at {at}");
                    }
                }
                assert_eq!(open(&good[..at], &kbpk), Err(Error::KeyBlockInvalid), "{block} cut at {at}");
            }
            assert_eq!(open(&[good, b"00"].concat(), &kbpk), Err(Error::KeyBlockInvalid));
        }
    }

    #[test]
    fn a_key_for_something_else_is_refused() {
        for (kbpk, _, block) in cases() {
            for suite in [Suite::EmvAes, Suite::PbocSm4] {
                let opened = KeyBlock::parse(block.as_bytes()).unwrap().open(&kbpk, suite);
                assert_eq!(opened.err(), Some(Error::KeyBlockPurpose), "{block}");
            }
        }
        let [(b, ..), (d, ..)] = &cases()[..] else { panic!("two cases") };
        let block = |at: usize| cases()[at].2.clone();
        assert_eq!(open(block(0).as_bytes(), d), Err(Error::KeyBlockInvalid));
        assert_eq!(open(block(1).as_bytes(), b), Err(Error::KeyBlockInvalid));
    }
}
