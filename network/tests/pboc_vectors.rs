//! PBOC 3DES against public and generated vectors; `vectors/pboc_3des_ac.json` says who made which.

use serde_json::Value;
use tapvault_network::pboc::{PbocError, arpc, cryptogram, retail_mac, session_key, udk};
use tapvault_proto::profile::Key128;

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
        let key = udk(&imk, text(vector, "pan").unwrap(), of("psn")[0]).unwrap();
        assert_eq!(key.expose().as_slice(), of("udk"), "{vector}");
        let atc = u16::from_be_bytes(of("atc").try_into().unwrap());
        assert_eq!(session_key(&key, atc).expose().as_slice(), of("sk"), "{vector}");
        if text(vector, "ac_input").is_none() {
            continue;
        }
        cryptograms += 1;
        let ac = cryptogram(&key, atc, &of("ac_input"));
        assert_eq!(ac.as_slice(), of("ac"), "{vector}");
        if let Some(code) = text(vector, "arc_ascii") {
            answers += 1;
            let code = code.as_bytes().try_into().unwrap();
            assert_eq!(arpc(&key, atc, &ac, code).as_slice(), of("arpc_method1"), "{vector}");
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
        ] {
            fields.insert(tag.into(), value.into());
        }
        let request: tapvault_network::request::AuthorisationRequest =
            serde_json::from_value(fields.into()).unwrap();
        let data = request.cvn01_data(cvr.try_into().unwrap());
        assert_eq!(hex::encode_upper(data), text(vector, "ac_input").unwrap());
        seen += 1;
    }
    assert_eq!(seen, 37);
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
        assert_eq!(udk(&imk, bad, 1).err(), Some(PbocError::Number), "{bad}");
    }
    for bad in [0x0A, 0xA0, 0xFF] {
        assert_eq!(udk(&imk, "6228000100001", bad).err(), Some(PbocError::SequenceNumber));
    }
}
