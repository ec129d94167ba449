//! Claims about what a provider signs.

use super::{flipped, key, name, public, sign};
use crate::{
    manifest::{Action, Command, Limits, Manifest, Signer},
    signature::PublicKey,
};
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use std::{format, string::String};
use tapvault_proto::{
    Error,
    id::{Address, Caller, ProviderId, Uuid, login},
    service::Service,
};

const MANIFEST: &str = r#"{"kind":"manifest","format":1,"provider":"11111111111111111111111111111111","name":"transit","version":3,"module":"2222222222222222222222222222222222222222222222222222222222222222","size":18231,"pages":2,"stack":8192,"depth":64,"fuel":2000000,"services":["store","card"],"store":1024,"peers":["33333333333333333333333333333333/shield"],"clients":[{"login":"user","id":"44444444444444444444444444444444"}],"recover":true}"#;
const COMMAND: &str = r#"{"kind":"command","format":1,"provider":"11111111111111111111111111111111","name":"transit","sequence":7,"action":"lock"}"#;
/// The optional field.
const RECOVER: &str = r#","recover":true"#;

fn signer() -> Signer {
    Signer { provider: ProviderId([0x11; 16]), key: public() }
}

fn manifest(text: &str) -> Result<Manifest, Error> {
    signer().manifest(text.as_bytes(), &sign(text))
}

fn command(text: &str) -> Result<Command, Error> {
    signer().command(text.as_bytes(), &sign(text))
}

/// `text` with `from` replaced, which must be there.
fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "no {from}");
    text.replace(from, to)
}

#[test]
fn a_manifest_says_what_was_signed() {
    let expected = Manifest {
        name: name("transit"),
        version: 3,
        module: [0x22; 32],
        size: 18231,
        limits: Limits { pages: 2, stack: 8192, depth: 64, fuel: 2_000_000 },
        services: Service::Store.bit() | Service::Card.bit(),
        store: 1024,
        peers: [Address { provider: ProviderId([0x33; 16]), name: name("shield") }].into_iter().collect(),
        clients: [Caller { login: login::USER, uuid: Uuid([0x44; 16]) }].into_iter().collect(),
        recover: true,
    };
    assert_eq!(manifest(MANIFEST), Ok(expected));
    assert!(!manifest(&with(MANIFEST, RECOVER, "")).unwrap().recover, "said by none that leaves it out");
}

#[test]
fn a_command_says_what_was_signed() {
    let actions = [
        ("activate", Action::Activate),
        ("lock", Action::Lock),
        ("unlock", Action::Unlock),
        ("remove", Action::Remove),
    ];
    for (text, action) in actions {
        let expected = Command { name: name("transit"), sequence: 7, action };
        assert_eq!(command(&with(COMMAND, "\"lock\"", &format!("\"{text}\""))), Ok(expected));
    }
}

#[test]
fn every_bit_of_a_document_is_signed() {
    let (of_manifest, of_command) = (sign(MANIFEST), sign(COMMAND));
    // Every byte has its turn; all bits of so much text take long.
    for altered in flipped(MANIFEST).step_by(7) {
        assert_eq!(signer().manifest(&altered, &of_manifest), Err(Error::ManifestSignature));
    }
    for altered in flipped(COMMAND) {
        assert_eq!(signer().command(&altered, &of_command), Err(Error::ManifestSignature));
    }
}

#[test]
fn every_bit_of_a_signature_counts() {
    for bit in 0..512 {
        let mut signature = sign(COMMAND);
        signature[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(signer().command(COMMAND.as_bytes(), &signature), Err(Error::ManifestSignature));
    }
}

#[test]
fn another_providers_document_is_refused() {
    let foreign = SigningKey::from_slice(&[8; 32]).unwrap();
    let forged: Signature = foreign.sign(MANIFEST.as_bytes());
    let forged: [u8; 64] = forged.to_bytes().into();
    assert_eq!(signer().manifest(MANIFEST.as_bytes(), &forged), Err(Error::ManifestSignature));
    // One key could belong to two providers.
    for digit in ["0", "2", "f"] {
        let other = digit.repeat(32);
        let ours = "1".repeat(32);
        assert_eq!(manifest(&with(MANIFEST, &ours, &other)), Err(Error::ManifestSignature));
        assert_eq!(command(&with(COMMAND, &ours, &other)), Err(Error::ManifestSignature));
    }
    let nobody = Signer { key: PublicKey([4; 65]), ..signer() };
    assert_eq!(nobody.manifest(MANIFEST.as_bytes(), &sign(MANIFEST)), Err(Error::ManifestSignature));
    assert_eq!(key().verifying_key().to_sec1_point(false).as_bytes(), public().0);
}

#[test]
fn one_kind_of_document_is_not_the_other() {
    assert_eq!(manifest(COMMAND), Err(Error::ManifestMalformed));
    assert_eq!(command(MANIFEST), Err(Error::ManifestMalformed));
    assert_eq!(manifest(&with(MANIFEST, "\"manifest\"", "\"command\"")), Err(Error::ManifestMalformed));
    assert_eq!(command(&with(COMMAND, "\"command\"", "\"manifest\"")), Err(Error::ManifestMalformed));
}

#[test]
fn every_field_has_to_be_there_once() {
    for (text, optional) in [(MANIFEST, Some("recover")), (COMMAND, None)] {
        let parse = |text: &str| match optional {
            Some(_) => manifest(text).err(),
            None => command(text).err(),
        };
        for (field, whole) in fields(text) {
            let without = text.replacen(&format!("{whole},"), "", 1);
            let without = if without == text { text.replacen(&format!(",{whole}"), "", 1) } else { without };
            let expected = (optional != Some(field)).then_some(Error::ManifestMalformed);
            assert_eq!(parse(&without), expected, "without {field}");
            let twice = text.replacen(whole, &format!("{whole},{whole}"), 1);
            assert_eq!(parse(&twice), Some(Error::ManifestMalformed), "twice {field}");
            let renamed = text.replacen(&format!("\"{field}\":"), &format!("\"{field}x\":"), 1);
            assert_eq!(parse(&renamed), Some(Error::ManifestMalformed), "{field} renamed");
            let other = with(text, whole, &format!("\"{field}\":{{}}"));
            assert_eq!(parse(&other), Some(Error::ManifestMalformed), "{field} of another type");
        }
        for trailer in ["x", "{}", "\0"] {
            assert_eq!(parse(&format!("{text}{trailer}")), Some(Error::ManifestMalformed));
        }
        assert_eq!(parse(&format!("{text} \n")), None, "white space behind it");
        assert_eq!(parse(""), Some(Error::ManifestMalformed));
    }
}

/// The fields of a document: name, and name with value.
fn fields(text: &str) -> std::vec::Vec<(&str, &str)> {
    let mut fields = std::vec::Vec::new();
    let (mut depth, mut start) = (0, 1);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        if (depth, byte) == (1, b',') || (depth, byte) == (0, b'}') {
            let whole = &text[start..at];
            fields.push((whole[1..].split('"').next().unwrap(), whole));
            start = at + 1;
        }
    }
    fields
}

#[test]
fn a_value_out_of_range_is_refused() {
    for (field, good, bad) in [
        ("format", "1", &["0", "2", "256", "-1", "\"1\""][..]),
        ("version", "3", &["0", "-1", "4294967296", "1.5"]),
        ("size", "18231", &["0", "65537", "-1"]),
        ("pages", "2", &["0", "17", "256"]),
        ("stack", "8192", &["0", "1023", "65537"]),
        ("depth", "64", &["0", "257", "65536"]),
        ("fuel", "2000000", &["0", "18446744073709551616"]),
        ("store", "1024", &["65536", "-1"]),
    ] {
        for bad in bad {
            let text = with(MANIFEST, &format!("\"{field}\":{good}"), &format!("\"{field}\":{bad}"));
            assert_eq!(manifest(&text), Err(Error::ManifestMalformed), "{field} {bad}");
        }
    }
    for (field, good, bounds) in [
        ("version", "3", ["1", "4294967295"]),
        ("size", "18231", ["1", "65536"]),
        ("pages", "2", ["1", "16"]),
        ("stack", "8192", ["1024", "65536"]),
        ("depth", "64", ["1", "256"]),
        ("fuel", "2000000", ["1", "18446744073709551615"]),
        ("store", "1024", ["0", "65535"]),
    ] {
        for bound in bounds {
            let text = with(MANIFEST, &format!("\"{field}\":{good}"), &format!("\"{field}\":{bound}"));
            assert!(manifest(&text).is_ok(), "{field} {bound}");
        }
    }
}

#[test]
fn a_value_of_no_meaning_is_refused() {
    let peer = "\"33333333333333333333333333333333/shield\"";
    let client = r#"{"login":"user","id":"44444444444444444444444444444444"}"#;
    for (from, to) in [
        ("\"transit\"", "\"\""),
        ("\"transit\"", "\"Transit\""),
        ("\"transit\"", "\"seventeen-letters\""),
        ("22\",", "2\","),
        ("22\",", "2A\","),
        ("22\",", "222\","),
        ("\"store\",\"card\"", "\"store\",\"vault\""),
        ("\"store\",\"card\"", "\"store\",\"tvm\""),
        ("\"store\",\"card\"", "\"store\",\"supervisor\""),
        ("/shield", ""),
        ("/shield", "/"),
        ("/shield", "/a/b"),
        ("33/shield", "3/shield"),
        ("\"user\"", "\"root\""),
        ("\"user\"", "\"public\""),
        ("44\"", "4\""),
        ("\"login\"", "\"extra\":1,\"login\""),
        (peer, &[peer; 5].join(",")),
        (client, &[client; 5].join(",")),
        ("\"provider\":\"11", "\"provider\":\"1"),
        ("true", "1"),
    ] {
        let text = with(MANIFEST, from, to);
        assert_eq!(manifest(&text), Err(Error::ManifestMalformed), "{to} for {from}");
    }
    for (from, to) in [
        ("\"lock\"", "\"Lock\""),
        ("\"lock\"", "\"install\""),
        ("\"transit\"", "\"\""),
        ("7", "-1"),
        ("7", "4294967296"),
    ] {
        assert_eq!(command(&with(COMMAND, from, to)), Err(Error::ManifestMalformed), "{to} for {from}");
    }
    assert!(manifest(&with(MANIFEST, peer, &[peer; 4].join(","))).is_ok());
    assert!(manifest(&with(MANIFEST, client, &[client; 4].join(","))).is_ok());
    assert!(manifest(&with(MANIFEST, "\"user\"", "\"group\"")).is_ok());
}
