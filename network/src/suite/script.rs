//! The issuer's scripts and its second kind of answer, in every suite.

use super::{aes_block, mac, session_key, tdes};
use aes::{
    Aes128,
    cipher::{Array, BlockCipherEncrypt, KeyInit},
};
use sm4::Sm4;
use tapvault_proto::profile::{Key128, Suite};

/// The issuer's answer, method 2 (EMV Book 2, 8.2.2): 4 bytes of the MAC over ARQC, card status update and proprietary
/// data, these being `status`.
#[must_use]
pub fn arpc_with_status(suite: Suite, udk: &Key128, atc: u16, arqc: &[u8; 8], status: &[u8]) -> [u8; 4] {
    four(mac(suite, &session_key(suite, udk, atc), &[arqc, status].concat()))
}

/// The session key for a script of the transaction with this counter and first cryptogram: PBOC's process key, EMV's common
/// session key of the cryptogram (EMV Book 2, A1.3).
#[must_use]
pub fn script_key(suite: Suite, udk: &Key128, atc: u16, cryptogram: &[u8; 8]) -> Key128 {
    let cryptogram = u64::from_be_bytes(*cryptogram);
    match suite {
        Suite::Pboc3Des | Suite::PbocSm4 => session_key(suite, udk, atc),
        Suite::Emv3Des => {
            let third = |byte: u64| cryptogram & !(0xFF << 40) | byte << 40;
            tdes::pair(udk, third(0xF0), third(0x0F))
        }
        Suite::EmvAes => Key128::new(aes_block(udk, u128::from(cryptogram) << 64)),
    }
}

/// The MAC of a script command: over `CLA INS P1 P2 Lc ‖ ATC ‖ cryptogram ‖ data`, Lc counting the MAC, the left 4 bytes.
#[must_use]
pub fn script_mac(
    suite: Suite,
    udk: &Key128,
    (atc, cryptogram): (u16, &[u8; 8]),
    header: [u8; 4],
    data: &[u8],
) -> [u8; 4] {
    let lc = u8::try_from(data.len() + 4).unwrap_or(u8::MAX);
    let covered = [&header[..], &[lc], &atc.to_be_bytes(), cryptogram, data].concat();
    four(mac(suite, &script_key(suite, udk, atc, cryptogram), &covered))
}

/// A new card PIN for a script, enciphered: `08 delta 80 00⁶` in the suite's cipher, block by block. `None` for what is no
/// PIN of 4 to 12 digits.
#[must_use]
pub fn script_pin(
    suite: Suite,
    udk: &Key128,
    (atc, cryptogram): (u16, &[u8; 8]),
    new: &str,
    current: Option<&str>,
) -> Option<[u8; 16]> {
    let key = script_key(suite, udk, atc, cryptogram);
    let mut plain = u128::from(delta(udk, new, current)?) << 56;
    plain |= 0x08 << 120 | 0x80 << 48;
    Some(match suite {
        Suite::Pboc3Des | Suite::Emv3Des => {
            let [high, low] = [plain >> 64, plain & u128::from(u64::MAX)];
            let block = |half: u128| u128::from(u64::from_be_bytes(tdes::encrypt(&key, half as u64)));
            (block(high) << 64 | block(low)).to_be_bytes()
        }
        Suite::EmvAes => {
            let mut block = Array(plain.to_be_bytes());
            Aes128::new(&Array(*key.expose())).encrypt_block(&mut block);
            block.0
        }
        Suite::PbocSm4 => {
            let mut block = plain.to_be_bytes().into();
            Sm4::new(key.expose().into()).encrypt_block(&mut block);
            block.into()
        }
    })
}

/// The block of VIS: `00⁴ ‖ bytes 5 to 8 of the key`, ⊕ `0 L PIN F..`, ⊕ the digits of the current PIN.
fn delta(udk: &Key128, new: &str, current: Option<&str>) -> Option<u64> {
    let digits = |pin: &str| {
        let holds = (4..=12).contains(&pin.len()) && pin.bytes().all(|byte| byte.is_ascii_digit());
        holds.then(|| pin.to_owned())
    };
    let new = digits(new)?;
    let block = u64::from_str_radix(&format!("{:02X}{new:F<14}", new.len()), 16).ok()?;
    let current = match current {
        Some(current) => u64::from_str_radix(&format!("{:0<16}", digits(current)?), 16).ok()?,
        None => 0,
    };
    let of_key = udk.expose().iter().skip(4).take(4).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    Some(block ^ of_key ^ current)
}

fn four(mac: [u8; 8]) -> [u8; 4] {
    let [a, b, c, d, ..] = mac;
    [a, b, c, d]
}
