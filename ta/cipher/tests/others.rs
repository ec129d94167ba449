//! The same as the crates `des` and `sm4`, whose authors are others, and as the standards' examples.

use des::{
    Des as TableDes, TdesEde2,
    cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};
use sm4::Sm4 as TableSm4;
use tapvault_cipher::{Des, Sm4, Tdes, retail_mac, sm4_mac};

const CASES: u64 = 2000;

/// Bytes that follow from a number (SplitMix64).
fn bytes<const N: usize>(seed: u64) -> [u8; N] {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    [(); N].map(|()| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed >> 32) as u8
    })
}

#[test]
fn des_is_the_des_of_others() {
    for case in 0..CASES {
        let (key, text) = (bytes(3 * case), bytes::<8>(3 * case + 1));
        let (ours, theirs) = (Des::new(&key), TableDes::new(&key.into()));
        let (mut block, mut expected) = (text, text.into());
        ours.encrypt(&mut block);
        theirs.encrypt_block(&mut expected);
        assert_eq!(block, expected.0, "encrypt, case {case}");
        theirs.decrypt_block(&mut expected);
        ours.decrypt(&mut block);
        assert_eq!((block, expected.0), (text, text), "decrypt, case {case}");

        let key: [u8; 16] = bytes(3 * case + 2);
        let (ours, theirs) = (Tdes::new(&key), TdesEde2::new(&key.into()));
        let (mut block, mut expected) = (text, text.into());
        ours.encrypt(&mut block);
        theirs.encrypt_block(&mut expected);
        assert_eq!(block, expected.0, "triple, case {case}");
        ours.decrypt(&mut block);
        assert_eq!(block, text, "triple back, case {case}");
    }
}

#[test]
fn sm4_is_the_sm4_of_others() {
    for case in 0..CASES {
        let (key, text) = (bytes(2 * case), bytes::<16>(2 * case + 1));
        let (ours, theirs) = (Sm4::new(&key), TableSm4::new(&key.into()));
        let (mut block, mut expected) = (text, text.into());
        ours.encrypt(&mut block);
        theirs.encrypt_block(&mut expected);
        assert_eq!(block, expected.0, "case {case}");
        ours.decrypt(&mut block);
        assert_eq!(block, text, "back, case {case}");
    }
}

#[test]
fn the_standards_examples_come_out() {
    // GB/T 32907-2016, annex A.1; key and text are the same.
    let text = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes();
    let mut block = text;
    Sm4::new(&text).encrypt(&mut block);
    assert_eq!(block, 0x681E_DF34_D206_965E_86B3_E94F_536E_4246_u128.to_be_bytes());
    // Annex A.2: a million times.
    let cipher = Sm4::new(&text);
    let mut block = text;
    (0..1_000_000).for_each(|_| cipher.encrypt(&mut block));
    assert_eq!(block, 0x5952_98C7_C6FD_271F_0402_F804_C33D_3F66_u128.to_be_bytes());
    // NBS SP 500-20, the first of the variable-plaintext tests.
    let mut block = 0x8000_0000_0000_0000_u64.to_be_bytes();
    Des::new(&[1; 8]).encrypt(&mut block);
    assert_eq!(block, 0x95F8_A5E5_DD31_D900_u64.to_be_bytes());
}

#[test]
fn macs_pad_every_length() {
    for len in 0..70 {
        let (data, key) = (&bytes::<70>(7)[..len], bytes::<16>(len as u64));
        let padded = |block: usize| {
            let mut padded = [data, &[0x80]].concat();
            padded.resize(padded.len().next_multiple_of(block), 0);
            padded
        };
        let (left, triple) = (TableDes::new_from_slice(&key[..8]).unwrap(), TdesEde2::new(&key.into()));
        let mut mac = [0; 8];
        for block in padded(8).chunks(8) {
            mac.iter_mut().zip(block).for_each(|(mac, byte)| *mac ^= byte);
            let mut next = mac.into();
            left.encrypt_block(&mut next);
            mac = next.0;
        }
        // Back and through all three: what the algorithm calls the output transformation.
        let mut last = mac.into();
        left.decrypt_block(&mut last);
        triple.encrypt_block(&mut last);
        assert_eq!(retail_mac(&key, data), last.0, "{len}");

        let cipher = TableSm4::new(&key.into());
        let mut mac = [0; 16];
        for block in padded(16).chunks(16) {
            mac.iter_mut().zip(block).for_each(|(mac, byte)| *mac ^= byte);
            let mut next = mac.into();
            cipher.encrypt_block(&mut next);
            mac = next.0;
        }
        assert_eq!(sm4_mac(&key, data), mac[..8], "{len}");
    }
}
