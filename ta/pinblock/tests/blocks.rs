//! Blocks as `psec` and the supplement to X9.24-3 have them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panic")]

use des::{TdesEde2, cipher::BlockCipherDecrypt};
use tapvault_pinblock::{
    block::{RANDOM_LEN, Token, form},
    dukpt::WorkingKey,
};
use tapvault_proto::{
    bank_pin::PinBlockFormat::{self, Iso0, Iso3, Iso4, Sm4Layout4},
    pin::Pin,
    profile::Key128,
};

const VECTORS: &str = include_str!("vectors/pin.json");

/// A block in hexadecimal; the first random bytes are `random`, in hexadecimal as well.
fn block(format: PinBlockFormat, pin: &str, token: &str, key: &str, random: &str) -> String {
    let key = Key128::new(hex::decode(key).unwrap().try_into().unwrap());
    let mut bytes = [0; RANDOM_LEN];
    let given = hex::decode(random).unwrap();
    bytes[..given.len()].copy_from_slice(&given);
    let token = Token::new(token.as_bytes()).unwrap();
    let pin = Pin::from_ascii(pin.as_bytes()).unwrap();
    let formed = form(&pin, &token, &WorkingKey::new(key, format), &mut bytes);
    assert_eq!((formed.len(), bytes), (format.block_len(), [0; RANDOM_LEN]));
    hex::encode_upper(formed)
}

#[test]
fn format_0_is_psecs() {
    let vectors: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
    for case in vectors["iso0"].as_array().unwrap() {
        let of = |name: &str| case[name].as_str().unwrap();
        assert_eq!(block(Iso0, of("pin"), of("pan"), of("key"), ""), of("enc_tdes_ecb"));
    }
}

#[test]
fn format_3_is_psecs_but_for_its_filling() {
    let vectors: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
    let key = "0123456789ABCDEFFEDCBA9876543210";
    for case in vectors["iso3"].as_array().unwrap() {
        let of = |name: &str| case[name].as_str().unwrap();
        for random in ["00", "FF"].map(|byte| byte.repeat(RANDOM_LEN)) {
            let formed = hex::decode(block(Iso3, of("pin"), of("pan"), key, &random)).unwrap();
            let mut clear = des::cipher::Array::from(<[u8; 8]>::try_from(formed).unwrap());
            let cipher =
                <TdesEde2 as des::cipher::KeyInit>::new_from_slice(&hex::decode(key).unwrap()).unwrap();
            cipher.decrypt_block(&mut clear);
            let (ours, theirs) = (hex::encode_upper(clear), of("clear_one_random_instance"));
            let typed = 2 + of("pin").len();
            assert_eq!(ours[..typed], theirs[..typed]);
            // Theirs and ours differ in filling only: both are A to F under the same number.
            let digit = |text: &str, at: usize| u8::from_str_radix(&text[at..=at], 16).unwrap();
            let number = format!("0000{}", &of("pan")[of("pan").len() - 13..of("pan").len() - 1]);
            for at in typed..16 {
                let filling = digit(&ours, at) ^ digit(&number, at);
                assert_eq!(filling, if random.starts_with('0') { 0xA } else { 0xF });
                assert!(digit(theirs, at) ^ digit(&number, at) >= 0xA);
            }
        }
    }
}

#[test]
fn format_4_is_psecs_and_the_same_layout_under_sm4_is_what_was_expected() {
    let vectors: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
    for case in vectors["iso4"].as_array().unwrap() {
        let of = |name: &str| case[name].as_str().unwrap();
        let random = &of("pin_field(fixed random)")[16..];
        let formed = |format| block(format, of("pin"), of("pan"), of("key_aes128"), random);
        assert_eq!(formed(Iso4), of("enc"));
        assert_eq!(formed(Sm4Layout4), of("sm4_same_construction(practice, not ISO)"));
    }
}

#[test]
fn format_4_is_the_standards_example() {
    for (key, expected) in [
        ("AF8CB133A78F8DC2D1359F18527593FB", "A912150391AB65A67E52883D81CE2D15"),
        ("D30BDC73EC9714B000BEC66BDB7B6D09", "52A00503BD34BA1383F6A7EE9FE2547F"),
    ] {
        assert_eq!(block(Iso4, "1234", "4111111111111111", key, "2F69ADDE2E9E7ACE"), expected);
    }
}

#[test]
fn a_token_has_13_to_19_digits() {
    for good in ["6210948000000", "6210948000000001234"] {
        assert!(Token::new(good.as_bytes()).is_some());
    }
    for bad in ["", "621094800000", "62109480000000012345", "621094800000000x"] {
        assert!(Token::new(bad.as_bytes()).is_none());
    }
}
