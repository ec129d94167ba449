//! The application cryptogram in four suites (JR/T 0025 parts 5 and 17; EMV Book 2, 8.1 and annex A1.3).
//!
//! A session key lives for one command. DES and SM4 are those of `ta/cipher`, AES is the bitsliced one of the
//! crate `aes`: no access to memory depends on a key.

use aes::{
    Aes128,
    cipher::{Array, BlockCipherEncrypt, KeyInit},
};
use cmac::{Cmac, Mac};
use tapvault_cipher::{Sm4, Tdes, retail_mac, sm4_mac};
use tapvault_proto::{
    emv::gpo::PdolData,
    profile::{CardProfile, Cvn, Key128, Suite},
    wire::Bytes,
};
use zeroize::Zeroizing;

/// Longest data under a cryptogram: 29 bytes of the terminal, then AIP, ATC and CVR.
const MAX_DATA: usize = 37;

/// The card's part of a transaction.
#[derive(Clone, Copy, Debug)]
pub struct CardData {
    /// Tag 82.
    pub aip: [u8; 2],
    /// Tag 9F36.
    pub atc: u16,
    /// Card verification results, out of 9F10.
    pub cvr: [u8; 4],
}

/// The key of one transaction, wiped when dropped.
pub type SessionKey = Zeroizing<[u8; 16]>;

/// The cryptogram, tag 9F26, under the session key of the transaction.
pub fn cryptogram(suite: Suite, cvn: Cvn, key: &SessionKey, terminal: &PdolData, card: &CardData) -> [u8; 8] {
    mac(suite, key, &covered(cvn, terminal, card))
}

/// Issuer application data, tag 9F10: length, version of the keys, cryptogram version, card verification results,
/// algorithm.
pub fn issuer_data(profile: &CardProfile, cvr: [u8; 4]) -> [u8; 8] {
    let [c0, c1, c2, c3] = cvr;
    [0x07, profile.key_version, profile.cvn as u8, c0, c1, c2, c3, profile.suite.algorithm()]
}

/// What a cryptogram covers.
fn covered(cvn: Cvn, terminal: &PdolData, card: &CardData) -> Bytes<MAX_DATA> {
    let atc = card.atc.to_be_bytes();
    let [_, result, ..] = card.cvr;
    let long: [&[u8]; 11] = [
        &terminal.amount,
        &terminal.amount_other,
        &terminal.country,
        &terminal.tvr,
        &terminal.currency,
        &terminal.date,
        &[terminal.kind],
        &terminal.unpredictable,
        &card.aip,
        &atc,
        &card.cvr,
    ];
    let short: [&[u8]; 4] = [&terminal.amount, &terminal.unpredictable, &atc, &[result]];
    let parts = match cvn {
        Cvn::V01 => long.as_slice(),
        Cvn::V17 => short.as_slice(),
    };
    parts.iter().copied().flatten().copied().collect()
}

/// The session key of one transaction counter, out of a card's unique derived key.
pub fn session_key(suite: Suite, udk: &Key128, atc: u16) -> SessionKey {
    let ([high, low], [not_high, not_low]) = (atc.to_be_bytes(), (!atc).to_be_bytes());
    let mut key = Zeroizing::new(match suite {
        Suite::Pboc3Des | Suite::PbocSm4 => {
            [0, 0, 0, 0, 0, 0, high, low, 0, 0, 0, 0, 0, 0, not_high, not_low]
        }
        Suite::Emv3Des => [high, low, 0xF0, 0, 0, 0, 0, 0, high, low, 0x0F, 0, 0, 0, 0, 0],
        Suite::EmvAes => [high, low, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    });
    match suite {
        Suite::Pboc3Des | Suite::Emv3Des => {
            let cipher = Tdes::new(udk.expose());
            key.as_chunks_mut::<8>().0.iter_mut().for_each(|half| cipher.encrypt(half));
        }
        Suite::EmvAes => Aes128::new(&Array(*udk.expose())).encrypt_block((&mut *key).into()),
        Suite::PbocSm4 => Sm4::new(udk.expose()).encrypt(&mut key),
    }
    key
}

/// The suite's MAC, its left 8 bytes.
pub(crate) fn mac(suite: Suite, key: &[u8; 16], data: &[u8]) -> [u8; 8] {
    match suite {
        Suite::Pboc3Des | Suite::Emv3Des => retail_mac(key, data),
        Suite::EmvAes => {
            let mut mac = <Cmac<Aes128> as KeyInit>::new(&Array(*key));
            mac.update(data);
            let [a, b, c, d, e, f, g, h, ..]: [u8; 16] = mac.finalize().into_bytes().into();
            [a, b, c, d, e, f, g, h]
        }
        Suite::PbocSm4 => sm4_mac(key, data),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::vec::Vec;
    use tapvault_proto::emv::gpo::{PDOL_DATA_LEN, Ttq};

    const PBOC_3DES: &str = include_str!("../../../network/tests/vectors/pboc_3des_ac.json");
    const PBOC_SM4: &str = include_str!("../../../network/tests/vectors/pboc_sm4_ac.json");
    const EMV_3DES: &str = include_str!("../../../network/tests/vectors/emv_common_3des.json");
    const EMV_AES: &str = include_str!("../../../network/tests/vectors/emv_aes.json");

    fn bytes<const N: usize>(value: &Value) -> [u8; N] {
        hex::decode(value.as_str().unwrap()).unwrap().try_into().unwrap()
    }

    /// One published and 36 generated ones.
    #[test]
    fn pboc_3des_cryptograms_are_those_of_others() {
        let file: Value = serde_json::from_str(PBOC_3DES).unwrap();
        let cases: Vec<_> =
            ["public", "generated"].iter().flat_map(|part| file[part].as_array().unwrap()).collect();
        let mut checked = 0;
        for case in cases.iter().filter(|case| case["ac"].is_string()) {
            let field = |tag: &str| &case["fields"][tag];
            let mut terminal = PdolData::from_bytes(&[0; PDOL_DATA_LEN]);
            terminal.ttq = Ttq([0xFF; 4]);
            terminal.amount = bytes(field("9F02"));
            terminal.amount_other = bytes(field("9F03"));
            terminal.country = bytes(field("9F1A"));
            terminal.tvr = bytes(field("95"));
            terminal.currency = bytes(field("5F2A"));
            terminal.date = bytes(field("9A"));
            [terminal.kind] = bytes(field("9C"));
            terminal.unpredictable = bytes(field("9F37"));
            let atc = u16::from_be_bytes(bytes(&case["atc"]));
            let card = CardData { aip: bytes(field("82")), atc, cvr: bytes(field("CVR")) };
            let udk = Key128::new(bytes(&case["udk"]));
            let key = session_key(Suite::Pboc3Des, &udk, atc);
            assert_eq!(*key, bytes::<16>(&case["sk"]), "{case}");
            let ac = cryptogram(Suite::Pboc3Des, Cvn::V01, &key, &terminal, &card);
            assert_eq!(ac, bytes::<8>(&case["ac"]), "{case}");
            checked += 1;
        }
        assert_eq!(checked, 37);
    }

    /// `0000000000011E78EEBC0001A0` of the SM4 vectors.
    #[test]
    fn version_17_covers_thirteen_bytes() {
        let mut terminal = PdolData::from_bytes(&[0x77; PDOL_DATA_LEN]);
        (terminal.amount, terminal.unpredictable) = ([0, 0, 0, 0, 0, 1], [0x1E, 0x78, 0xEE, 0xBC]);
        let card = CardData { aip: [0x7C, 0], atc: 1, cvr: [3, 0xA0, 0x11, 0x22] };
        assert_eq!(hex::encode_upper(covered(Cvn::V17, &terminal, &card)), "0000000000011E78EEBC0001A0");
    }

    #[test]
    fn the_other_suites_keys_and_macs_are_those_of_others() {
        let mut checked = 0;
        let sm4: Value = serde_json::from_str(PBOC_SM4).unwrap();
        for (suite, cases, udk, sk, data) in [
            (Suite::PbocSm4, &sm4["cases"], "udk", "sk", "ac_input"),
            (Suite::Emv3Des, &serde_json::from_str(EMV_3DES).unwrap(), "mk_optA", "sk_common_csk", "data"),
            (Suite::EmvAes, &serde_json::from_str(EMV_AES).unwrap(), "mk_optC", "sk", "data"),
        ] {
            for case in cases.as_array().unwrap() {
                let key = session_key(
                    suite,
                    &Key128::new(bytes(&case[udk])),
                    u16::from_be_bytes(bytes(&case["atc"])),
                );
                // A 3DES key's parity bits, which no cipher looks at, are set by some software.
                let odd =
                    |key: [u8; 16]| key.map(|byte| if suite == Suite::Emv3Des { byte | 1 } else { byte });
                assert_eq!(odd(*key), odd(bytes(&case[sk])), "{case}");
                let covered = hex::decode(case[data].as_str().unwrap()).unwrap();
                assert_eq!(mac(suite, &key, &covered), bytes::<8>(&case["ac"]), "{case}");
                checked += 1;
            }
        }
        assert_eq!(checked, 8 + 6 + 2);
    }
}
