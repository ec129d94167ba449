//! Every suite against vectors of others; each file says who made it.

use serde_json::Value;
use tapvault_network::suite::{
    Derivation, DerivationError, arpc, cryptogram, mac, retail_mac, session_key, udk,
};
use tapvault_proto::profile::{Cvn, Key128, Suite};

const PBOC: Suite = Suite::Pboc3Des;

fn text<'a>(vector: &'a Value, name: &str) -> Option<&'a str> {
    vector.get(name).and_then(Value::as_str)
}

#[test]
fn keys_cryptograms_and_answers_equal_the_vectors() {
    let file: Value = serde_json::from_str(include_str!("vectors/pboc_3des_ac.json")).unwrap();
    let lists = ["public", "generated"].map(|list| file[list].as_array().unwrap());
    let (mut cryptograms, mut answers) = (0, 0);
    for vector in lists.into_iter().flatten() {
        let of = |name| hex::decode(text(vector, name).unwrap()).unwrap();
        let imk = Key128::new(of("imk_ac").try_into().unwrap());
        let key = udk(PBOC, Derivation::A, &imk, text(vector, "pan").unwrap(), of("psn")[0]).unwrap();
        assert_eq!(key.expose().as_slice(), of("udk"), "{vector}");
        let atc = u16::from_be_bytes(of("atc").try_into().unwrap());
        assert_eq!(session_key(PBOC, &key, atc).expose().as_slice(), of("sk"), "{vector}");
        if text(vector, "ac_input").is_none() {
            continue;
        }
        cryptograms += 1;
        let ac = cryptogram(PBOC, &key, atc, &of("ac_input"));
        assert_eq!(ac.as_slice(), of("ac"), "{vector}");
        if let Some(code) = text(vector, "arc_ascii") {
            answers += 1;
            let code = code.as_bytes().try_into().unwrap();
            assert_eq!(arpc(PBOC, &key, atc, &ac, code).as_slice(), of("arpc_method1"), "{vector}");
        }
    }
    assert_eq!((cryptograms, answers), (37, 37));
}

#[test]
fn the_request_puts_the_data_in_the_vectors_order() {
    let file: Value = serde_json::from_str(include_str!("vectors/pboc_3des_ac.json")).unwrap();
    let mut seen = 0;
    for vector in file["generated"].as_array().unwrap().iter().chain(&[file["public"][0].clone()]) {
        if text(vector, "cvn") != Some("01") {
            continue;
        }
        let mut fields = vector["fields"].as_object().unwrap().clone();
        let cvr = hex::decode(fields.remove("CVR").unwrap().as_str().unwrap()).unwrap();
        for (tag, value) in [
            ("9F36", text(vector, "atc").unwrap()),
            ("9F10", ""),
            ("9F26", "0000000000000000"),
            ("57", ""),
            ("5F34", "01"),
            ("9F6C", "0000"),
            ("channel", "nfc"),
        ] {
            fields.insert(tag.into(), value.into());
        }
        let request: tapvault_network::request::AuthorisationRequest =
            serde_json::from_value(fields.into()).unwrap();
        let data = request.covered(Cvn::V01, cvr.try_into().unwrap());
        assert_eq!(hex::encode_upper(data), text(vector, "ac_input").unwrap());
        seen += 1;
    }
    assert_eq!(seen, 37);
}

/// Master key, card key under one or both derivations, session key, cryptogram, answer.
#[test]
fn the_other_suites_equal_their_vectors() {
    let sm4: Value = serde_json::from_str(include_str!("vectors/pboc_sm4_ac.json")).unwrap();
    let emv: Value = serde_json::from_str(include_str!("vectors/emv_common_3des.json")).unwrap();
    let aes: Value = serde_json::from_str(include_str!("vectors/emv_aes.json")).unwrap();
    let mut checked = 0;
    for (suite, cases, derived, [session, data, answer]) in [
        (Suite::PbocSm4, &sm4["cases"], &[("udk", Derivation::A)][..], ["sk", "ac_input", "arpc_arc3030"]),
        (
            Suite::Emv3Des,
            &emv,
            &[("mk_optB", Derivation::B), ("mk_optA", Derivation::A)],
            ["sk_common_csk", "data", "arpc1"],
        ),
        (Suite::EmvAes, &aes, &[("mk_optC", Derivation::A)], ["sk", "data", "arpc1_arc3030"]),
    ] {
        for vector in cases.as_array().unwrap() {
            let of = |name| hex::decode(text(vector, name).unwrap()).unwrap();
            // A DES key's parity bits, which no cipher looks at, are set by some software.
            let odd = |key: &[u8]| -> Vec<u8> {
                key.iter().map(|byte| if suite == Suite::Emv3Des { byte | 1 } else { *byte }).collect()
            };
            let imk = Key128::new(of("imk").try_into().unwrap());
            let mut key = None;
            for (name, derivation) in derived {
                let made = udk(suite, *derivation, &imk, text(vector, "pan").unwrap(), of("psn")[0]).unwrap();
                assert_eq!(odd(made.expose()), odd(&of(name)), "{vector}");
                key = Some(made);
            }
            let key = key.unwrap();
            let atc = u16::from_be_bytes(of("atc").try_into().unwrap());
            assert_eq!(odd(session_key(suite, &key, atc).expose()), odd(&of(session)), "{vector}");
            let ac = cryptogram(suite, &key, atc, &of(data));
            assert_eq!(ac.as_slice(), of("ac"), "{vector}");
            assert_eq!(arpc(suite, &key, atc, &ac, *b"00").as_slice(), of(answer), "{vector}");
            checked += 1;
        }
    }
    assert_eq!(checked, 8 + 6 + 2);
}

#[test]
fn a_mac_of_whole_blocks_is_padded_all_the_same() {
    let key = Key128::new([7; 16]);
    for suite in Suite::ALL {
        assert_ne!(mac(suite, &key, &[0; 16]), mac(suite, &key, &[]), "{suite:?}");
        assert_ne!(mac(suite, &key, &[0; 16]), mac(suite, &key, &[0; 15]), "{suite:?}");
    }
}

/// With equal halves the retail MAC is DES CBC-MAC; the value is from OpenSSL (pyca/cryptography 48).
#[test]
fn a_mac_with_equal_halves_is_the_plain_cbc_mac() {
    // Key and plain text of FIPS 81, then 80 00..00.
    let key = Key128::new([0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF].repeat(2).try_into().unwrap());
    assert_eq!(hex::encode_upper(retail_mac(&key, b"Now is the time for all ")), "10E1F0F108341B6D");
}

#[test]
fn numbers_that_are_none_derive_nothing() {
    let imk = Key128::new([7; 16]);
    for bad in ["", "62281234x", "12345678901234567890", "６２２８"] {
        assert_eq!(udk(PBOC, Derivation::A, &imk, bad, 1).err(), Some(DerivationError::Number), "{bad}");
    }
    for bad in [0x0A, 0xA0, 0xFF] {
        assert_eq!(
            udk(PBOC, Derivation::B, &imk, "6228000100001", bad).err(),
            Some(DerivationError::SequenceNumber)
        );
    }
}
