//! AES DUKPT (ANSI X9.24-3-2017) as a security module derives it: from the base key, for any counter. Written apart
//! from the phone's, which goes from key to key and cannot go back.

use aes::{
    Aes128,
    cipher::{Array, BlockCipherEncrypt, KeyInit},
};
use tapvault_proto::{
    bank_pin::{IDENTIFIER_LEN, PinBlockFormat},
    profile::Key128,
};

/// Most ones in a counter (6.3.2).
const MOST_ONES: u32 = 16;

/// Whether a phone's key has such a counter.
#[must_use]
pub const fn is_counter(counter: u32) -> bool {
    counter != 0 && counter.count_ones() <= MOST_ONES
}

/// The initial key of a phone.
#[must_use]
pub fn initial_key(base: &Key128, identifier: [u8; IDENTIFIER_LEN]) -> Key128 {
    derived(base, (0x8001, 0x0002), identifier)
}

/// The key of the block with this counter.
#[must_use]
pub fn working_key(
    base: &Key128,
    identifier: [u8; IDENTIFIER_LEN],
    counter: u32,
    format: PinBlockFormat,
) -> Key128 {
    let [.., a, b, c, d] = identifier;
    let tail = |counter: u32| {
        let [e, f, g, h] = counter.to_be_bytes();
        [a, b, c, d, e, f, g, h]
    };
    let mut key = initial_key(base, identifier);
    let mut so_far = 0;
    for one in (0..32).rev().map(|bit| 1 << bit).filter(|one| counter & one != 0) {
        so_far |= one;
        key = derived(&key, (0x8000, 0x0002), tail(so_far));
    }
    let algorithm = match format {
        PinBlockFormat::Iso0 | PinBlockFormat::Iso3 => 0x0000,
        PinBlockFormat::Iso4 => 0x0002,
        // Not the standard's, which has no number for SM4.
        PinBlockFormat::Sm4Layout4 => 0xFF04,
    };
    derived(&key, (0x1000, algorithm), tail(counter))
}

/// A key of 128 bits for a usage and an algorithm (6.3.3).
fn derived(key: &Key128, (usage, algorithm): (u16, u16), tail: [u8; 8]) -> Key128 {
    let head = 0x0101_u64 << 48 | u64::from(usage) << 32 | u64::from(algorithm) << 16 | 128;
    let data = u128::from(head) << 64 | u128::from(u64::from_be_bytes(tail));
    let mut block = Array(data.to_be_bytes());
    Aes128::new(&Array(*key.expose())).encrypt_block(&mut block);
    Key128::new(block.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_standards_vectors() {
        let key = |text: &str| Key128::new(hex::decode(text).unwrap().try_into().unwrap());
        let base = key("FEDCBA9876543210F1F1F1F1F1F1F1F1");
        let identifier = [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56];
        let hex = |key: Key128| hex::encode_upper(key.expose());
        assert_eq!(hex(initial_key(&base, identifier)), "1273671EA26AC29AFA4D1084127652A1");
        for (counter, format, expected) in [
            (1, PinBlockFormat::Iso4, "AF8CB133A78F8DC2D1359F18527593FB"),
            (1, PinBlockFormat::Iso0, "630C706D9546E47D4449313F61C4D4AB"),
            (3, PinBlockFormat::Iso4, "7D69F01F3B45449F62C7816ECE723268"),
            (0x0002_0000, PinBlockFormat::Iso4, "AB828BE7B58C7EC5D5ED0D5D320A0C9D"),
            (0x0084_5FED, PinBlockFormat::Iso4, "D1DDA386AA4A556AF0119FDCB5D132C6"),
        ] {
            assert_eq!(hex(working_key(&base, identifier, counter, format)), expected, "{counter:X}");
        }
    }
}
