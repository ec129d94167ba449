//! The merchant's command as a person runs it, with a card in software: paid, declined, not the merchant's.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panic")]

mod common;

use base64ct::{Base64, Encoding};
use common::{folder, object, order};
use hpke::{
    Deserializable, Kem, OpModeS, Serializable, aead::AesGcm128, inout::InOutBuf, kdf::HkdfSha256,
    kem::DhP256HkdfSha256, single_shot_seal_inout_detached,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{SystemTime, UNIX_EPOCH},
};
use tapvault_network::{
    issuer::{Decision, Issuer, Reason},
    online::digest,
    registry::Order as CardOrder,
    request::{AuthorisationRequest, CardAnswer},
    suite,
};
use tapvault_proto::{
    emv::qr::LIFE,
    online::{PaymentData, PaymentRequest, number},
    profile::CardProfile,
    token::Channel,
    wire::{Wire, encode_into},
};

fn merchant(folder: &Path, arguments: &[&str]) -> (Option<i32>, Value) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_tapvault-merchant"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&stderr).into_owned();
    (status.code(), serde_json::from_slice(&stdout).unwrap_or_else(|_| json!(said)))
}

fn issued(name: &str) -> (PathBuf, CardProfile) {
    let folder = folder(name);
    let mut issuer = Issuer::open_or_create(&folder.join("bank.json")).unwrap();
    let profile = issuer.issue(&order("6299991234567890")).unwrap();
    (folder, profile)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What the card says over these data through this channel, as a card that verified its holder or did not.
fn answer(
    profile: &CardProfile,
    channel: Channel,
    (amount, currency): ([u8; 6], [u8; 2]),
    number: [u8; 4],
    (atc, pin): (u16, bool),
) -> CardAnswer {
    let cvr = [0x03, if pin { 0xA4 } else { 0xA0 }, 0, 0];
    let mut answer = CardAnswer {
        aip: profile.aip,
        atc: atc.to_be_bytes(),
        issuer_data: [&[0x07, profile.key_version, 1], &cvr[..], &[1]].concat(),
        cryptogram: [0; 8],
        track2: profile.track2.to_vec(),
        psn: profile.psn,
        ctq: [0; 2],
    };
    let request = AuthorisationRequest::without_terminal(channel, (amount, currency), number, answer.clone());
    let covered = request.covered(profile.cvn, cvr);
    answer.cryptogram = suite::cryptogram(profile.suite, profile.udk(channel).unwrap(), atc, &covered);
    answer
}

fn code(profile: &CardProfile, made: u64, atc: u16, pin: bool) -> String {
    let number = u32::try_from(made).unwrap().to_be_bytes();
    let card = answer(profile, Channel::Qr, ([0; 6], [0; 2]), number, (atc, pin));
    let transparent = [
        object(0x9F26, &card.cryptogram),
        object(0x9F27, &[0x80]),
        object(0x9F10, &card.issuer_data),
        object(0x9F36, &card.atc),
        object(0x82, &card.aip),
        object(0x9F37, &number),
    ]
    .concat();
    let application =
        [object(0x57, &card.track2), object(0x5F34, &[card.psn]), object(0x63, &transparent)].concat();
    Base64::encode_string(&[object(0x85, b"CPV01"), object(0x61, &application)].concat())
}

/// A payment as `tapvault pay in-app --json` prints it.
fn payment(profile: &CardProfile, request: &PaymentRequest, atc: u16) -> Value {
    let digest = digest(request).unwrap();
    let amount = tapvault_proto::emv::gpo::amount_bcd(request.order.amount).unwrap();
    let asked = (amount, request.order.currency.to_be_bytes());
    let card = answer(profile, request.certificate.role.channel(), asked, number(&digest), (atc, true));
    let data = PaymentData {
        track2: profile.track2.clone(),
        psn: profile.psn,
        requestor: profile.token.requestor,
        aip: card.aip,
        atc,
        issuer_data: card.issuer_data.try_into().unwrap(),
        cryptogram: card.cryptogram,
        digest,
    };
    let mut plain = [0; PaymentData::MAX];
    let len = encode_into(&data, &mut plain).unwrap();
    let recipient = <DhP256HkdfSha256 as Kem>::PublicKey::from_bytes(&request.certificate.recipient).unwrap();
    let (encapsulated, tag) = single_shot_seal_inout_detached::<AesGcm128, HkdfSha256, DhP256HkdfSha256>(
        &OpModeS::Base,
        &recipient,
        &PaymentData::info(&digest),
        InOutBuf::from(&mut plain[..len]),
        &[],
    )
    .unwrap();
    let sealed = [&plain[..len], &tag.to_bytes()].concat();
    json!({ "encapsulated": hex::encode(encapsulated.to_bytes()), "sealed": hex::encode(sealed) })
}

#[test]
fn a_request_is_settled_once() {
    for (name, wallet) in [("settle", false), ("settle-wallet", true)] {
        let (folder, profile) = issued(name);
        let mut arguments = vec!["request", "--order", "2026-11-26/1", "--amount", "123.45"];
        arguments.extend(wallet.then_some("--wallet"));
        let (status, request) = merchant(&folder, &arguments);
        assert_eq!(status, Some(0), "{request}");
        assert_eq!((&request["merchant"], &request["amount"]), (&json!("898110048990001"), &json!(12_345)));
        fs::write(folder.join("request.json"), request.to_string()).unwrap();
        let parsed = PaymentRequest::parse(request.to_string().as_bytes()).unwrap();
        let paid = payment(&profile, &parsed, 1);
        fs::write(folder.join("payment.json"), paid.to_string()).unwrap();
        let settle =
            ["settle", "--request", "request.json", "--payment", "payment.json", "--state", "bank.json"];
        let (status, said) = merchant(&folder, &settle);
        assert_eq!((status, &said["arc"]), (Some(0), &json!("00")), "{said}");
        let (status, said) = merchant(&folder, &settle);
        assert_eq!((status, &said["reason"]), (Some(1), &json!("replayed_atc")), "{said}");
        // Altered on the way, and another order of the same merchant.
        let mut altered = paid.clone();
        altered["sealed"] = json!(format!("00{}", &paid["sealed"].as_str().unwrap()[2..]));
        fs::write(folder.join("payment.json"), altered.to_string()).unwrap();
        assert_eq!(merchant(&folder, &settle).0, Some(3));
        fs::write(folder.join("payment.json"), paid.to_string()).unwrap();
        let other = request.to_string().replace("2026-11-26/1", "2026-11-26/2");
        fs::write(folder.join("request.json"), other).unwrap();
        assert_eq!(merchant(&folder, &settle).0, Some(3));
        fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn a_code_is_charged_once_and_soon() {
    let (folder, profile) = issued("charge");
    let charge = |text: String| {
        fs::write(folder.join("code"), text).unwrap();
        merchant(&folder, &["charge", "--code", "code", "--amount", "12", "--state", "bank.json"])
    };
    let good = code(&profile, now(), 1, true);
    let (status, said) = charge(good.clone());
    assert_eq!((status, &said["arc"]), (Some(0), &json!("00")), "{said}");
    for (code, reason) in [
        (good, "replayed_atc"),
        (code(&profile, now() - LIFE - 2, 2, true), "code_expired"),
        (code(&profile, now() + 20, 2, true), "code_expired"),
        (code(&profile, now(), 2, false), "holder_not_verified"),
    ] {
        let (status, said) = charge(code);
        assert_eq!((status, &said["reason"]), (Some(1), &json!(reason)), "{said}");
    }
    // None of these used the counter up.
    assert_eq!(charge(code(&profile, now(), 2, true)).0, Some(0));
    assert_eq!(charge("hQVDUFYwMQ==".into()).0, Some(3));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn usage_and_files_have_their_own_status() {
    let (folder, _) = issued("usage");
    assert_eq!(merchant(&folder, &["request", "--order", "1", "--amount", "x"]).0, Some(2));
    assert_eq!(merchant(&folder, &["request", "--order", "a b", "--amount", "1"]).0, Some(3));
    let long = "9".repeat(16);
    assert_eq!(
        merchant(&folder, &["request", "--merchant", &long, "--order", "1", "--amount", "1"]).0,
        Some(3)
    );
    assert_eq!(
        merchant(&folder, &["charge", "--code", "none", "--amount", "1", "--state", "bank.json"]).0,
        Some(3)
    );
    fs::remove_dir_all(&folder).unwrap();
}

/// An issuer that was stopped between a tap and a code knows both afterwards.
#[test]
fn counters_out_of_order_survive_a_restart() {
    let (folder, profile) = issued("order");
    let path = folder.join("bank.json");
    let at = now();
    let asked = |atc| tapvault_network::code::charge(&code(&profile, at, atc, true), 1, 0x0156).unwrap();
    for (atc, expected) in [(7, None), (3, None), (5, None), (3, Some(Reason::ReplayedAtc)), (80, None)] {
        let decision = Issuer::open(&path).unwrap().authorise_at(&asked(atc), at);
        let expected = expected.map(Decision::Declined);
        assert_eq!(expected.is_none(), decision.is_approved(), "{atc}: {decision}");
        assert!(expected.is_none_or(|expected| expected == decision), "{atc}");
    }
    for (atc, fresh) in [(3, false), (4, false), (7, false), (16, true), (15, false), (79, true)] {
        let decision = Issuer::open(&path).unwrap().authorise_at(&asked(atc), at);
        assert_eq!(decision.is_approved(), fresh, "{atc}: {decision}");
    }
    // New keys begin a new count.
    let renewed = Issuer::open(&path).unwrap().issue(&CardOrder { token: None, ..order("") }).unwrap();
    let first = tapvault_network::code::charge(&code(&renewed, at, 1, true), 1, 0x0156).unwrap();
    assert!(Issuer::open(&path).unwrap().authorise_at(&first, at).is_approved());
    fs::remove_dir_all(&folder).unwrap();
}
