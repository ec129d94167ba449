//! AES DUKPT against the vectors of X9's supplement to ANSI X9.24-3-2017, and against the bank's way of deriving, which
//! walks from the initial key along the ones of the counter.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panic")]

use aes::{
    Aes128,
    cipher::{Array, BlockCipherEncrypt, KeyInit},
};
use tapvault_pinblock::dukpt::{Dukpt, STATE_LEN, initial_key};
use tapvault_proto::bank_pin::PinBlockFormat::{self, Iso0, Iso3, Iso4, Sm4Layout4};

const IDENTIFIER: [u8; 8] = [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56];

fn hex16(text: &str) -> [u8; 16] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn initial() -> [u8; 16] {
    initial_key(&hex16("FEDCBA9876543210F1F1F1F1F1F1F1F1"), IDENTIFIER)
}

fn encrypted(key: [u8; 16], usage: u16, algorithm: u16, counter: u32) -> [u8; 16] {
    let [u, v] = usage.to_be_bytes();
    let [x, y] = algorithm.to_be_bytes();
    let mut data = [1, 1, u, v, x, y, 0, 128, 0x90, 0x12, 0x34, 0x56, 0, 0, 0, 0];
    data[12..].copy_from_slice(&counter.to_be_bytes());
    let mut block = Array(data);
    Aes128::new(&Array(key)).encrypt_block(&mut block);
    block.0
}

/// The derivation key of a counter.
fn derivation(counter: u32) -> [u8; 16] {
    let ones = (0..32).rev().map(|bit| 1_u32 << bit).filter(|one| counter & one != 0);
    let mut so_far = 0;
    ones.fold(initial(), |key, one| {
        so_far |= one;
        encrypted(key, 0x8000, 0x0002, so_far)
    })
}

fn working(counter: u32, format: PinBlockFormat) -> [u8; 16] {
    let algorithm = match format {
        Iso0 | Iso3 => 0,
        Iso4 => 2,
        Sm4Layout4 => 0xFF04,
    };
    encrypted(derivation(counter), 0x1000, algorithm, counter)
}

/// The state in which `counter` comes next.
fn state(counter: u32) -> [u8; STATE_LEN] {
    let mut bytes = [0; STATE_LEN];
    bytes[..8].copy_from_slice(&IDENTIFIER);
    bytes[8..12].copy_from_slice(&counter.to_be_bytes());
    if counter == 0 {
        return bytes;
    }
    let lowest = counter.trailing_zeros() as usize;
    for bit in lowest..32 {
        let above = u32::MAX.checked_shl(bit as u32 + 1).unwrap_or(0);
        if bit == lowest || counter & 1 << bit == 0 {
            bytes[12 + 16 * bit..][..16].copy_from_slice(&derivation(counter & above | 1 << bit));
        }
    }
    bytes
}

fn stored(dukpt: &Dukpt) -> [u8; STATE_LEN] {
    let mut bytes = [0; STATE_LEN];
    dukpt.write(&mut bytes);
    bytes
}

#[test]
fn keys_are_those_of_the_standards_vectors() {
    assert_eq!(initial(), hex16("1273671EA26AC29AFA4D1084127652A1"));
    assert_eq!(derivation(1), hex16("4F21B565BAD9835E112B6465635EAE44"));
    for (counter, expected) in [
        (1, "AF8CB133A78F8DC2D1359F18527593FB"),
        (2, "D30BDC73EC9714B000BEC66BDB7B6D09"),
        (3, "7D69F01F3B45449F62C7816ECE723268"),
        (8, "4D9DF3FBEE3448FC3E676D04320A90F5"),
        (0x0002_0000, "AB828BE7B58C7EC5D5ED0D5D320A0C9D"),
        (0x0084_5FED, "D1DDA386AA4A556AF0119FDCB5D132C6"),
    ] {
        let (given, key) = Dukpt::from_bytes(&state(counter)).take(Iso4).unwrap();
        assert_eq!((given, *key.expose()), (counter, hex16(expected)), "{counter:X}");
    }
    let (_, key) = Dukpt::from_bytes(&state(1)).take(Iso0).unwrap();
    assert_eq!(*key.expose(), hex16("630C706D9546E47D4449313F61C4D4AB"), "two-key triple DES");
}

#[test]
fn one_key_after_the_other_is_the_banks_and_is_forgotten() {
    let mut dukpt = Dukpt::load(IDENTIFIER, &initial());
    assert_eq!(stored(&dukpt), state(1));
    for (counter, format) in (1..=300).zip(PinBlockFormat::ALL.into_iter().cycle()) {
        let (given, key) = dukpt.take(format).unwrap();
        assert_eq!((given, *key.expose()), (counter, working(counter, format)), "{counter}");
        assert_eq!(stored(&dukpt), state(counter + 1), "after {counter}");
        let bytes = stored(&dukpt);
        for secret in [*key.expose(), derivation(counter), initial()] {
            assert!(!bytes.windows(16).any(|window| window == secret), "{counter} is kept");
        }
        dukpt = Dukpt::from_bytes(&bytes);
    }
}

#[test]
fn no_counter_has_more_than_sixteen_ones_and_the_last_is_the_end() {
    for (counter, next) in [
        (0x0000_FFFE, 0x0000_FFFF),
        (0x0000_FFFF, 0x0001_0000),
        (0x0001_FFFD, 0x0001_FFFE),
        (0x0001_FFFE, 0x0002_0000),
        (0x7FFF_8000, 0x8000_0000),
        (0xFFFE_8000, 0xFFFF_0000),
        (0xFFFF_0000, 0),
    ] {
        let mut dukpt = Dukpt::from_bytes(&state(counter));
        assert_eq!(dukpt.take(Iso4).unwrap().0, counter);
        assert_eq!(stored(&dukpt)[8..], state(next)[8..], "after {counter:X}");
    }
    assert!(Dukpt::from_bytes(&state(0)).take(Iso4).is_none());
}
