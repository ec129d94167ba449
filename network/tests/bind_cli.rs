//! `tapvault-bank bind` as a person runs it: from the offer to the order, and its refusals.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use common::{SoftCard, binding, folder, honest, order};
use serde_json::Value;
use std::{fs, path::Path, process::Command};
use tapvault_network::{binding::chip, issuer::Issuer, registry::Order};
use tapvault_proto::{
    binding::{BeginCardDataRequest, SealedCardData},
    wire::{Wire, decode_exact, encode_into},
};

const NUMBER: &str = "6299998765432101";
const ACCOUNTS: &str = r#"{"accounts":[{"account":"one","bank":"A","number":"6299998765432101","expiry":"9912",
"cvn2":"9753","name":"TEST HOLDER","document":"TEST 0001","phone":"test line 1"}]}"#;

/// Runs one step with the folder's files; what it printed, or its error.
fn bind(folder: &Path, step: &str, arguments: &[&str]) -> Result<Value, String> {
    let files = ["bind", step, "--state", "bank.json", "--accounts", "accounts.json"];
    let output = Command::new(env!("CARGO_BIN_EXE_tapvault-bank"))
        .args([&files[..], arguments].concat())
        .current_dir(folder)
        .output()
        .unwrap();
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for secret in [NUMBER, "9753"] {
        assert!(!said.contains(secret) && !error.contains(secret), "{step} shows card data");
    }
    if output.status.success() { Ok(serde_json::from_str(&said).unwrap()) } else { Err(error.into_owned()) }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// What `tapvault bind data` prints on a phone.
fn sealed(offer: &BeginCardDataRequest, cvn2: &str) -> String {
    let message = binding::seal(offer, NUMBER, "9912", cvn2);
    let mut bytes = [0; SealedCardData::MAX];
    let len = encode_into(&message, &mut bytes).unwrap();
    serde_json::json!({ "card_data": hex::encode(&bytes[..len]) }).to_string()
}

#[test]
fn a_card_is_bound_by_its_data_on_the_command_line() {
    let folder = folder("bind-data");
    fs::write(folder.join("accounts.json"), ACCOUNTS).unwrap();
    let begun = bind(&folder, "begin", &[]).unwrap();
    assert_eq!(begun["next"], "card");
    let id = text(&begun["binding"]);
    let offer: BeginCardDataRequest = decode_exact(&hex::decode(text(&begun["offer"])).unwrap()).unwrap();
    fs::write(folder.join("wrong.json"), sealed(&offer, "9754")).unwrap();
    fs::write(folder.join("data.json"), sealed(&offer, "9753")).unwrap();
    fs::write(folder.join("none.json"), "{}").unwrap();
    assert!(bind(&folder, "data", &["none.json"]).unwrap_err().contains("tapvault bind data"));
    assert!(bind(&folder, "data", &["wrong.json"]).unwrap_err().contains("not right; 2 more tries"));
    assert_eq!(bind(&folder, "data", &["data.json"]).unwrap()["next"], "code");
    let named = ["--binding", id.as_str()];
    assert!(bind(&folder, "order", &named).unwrap_err().contains("too early"));
    let code = text(&bind(&folder, "sms", &named).unwrap()["code"]);
    assert_eq!(bind(&folder, "code", &[&named[..], &[&code]].concat()).unwrap()["next"], "name");
    let holder = [&named[..], &["TEST HOLDER", "TEST 0001"]].concat();
    assert_eq!(bind(&folder, "name", &holder).unwrap()["next"], "order");
    let ordered = bind(&folder, "order", &named).unwrap();
    assert_eq!(
        (&ordered["pan_last_four"], &ordered["expiry"], &ordered["provider"]),
        (&Value::from("2101"), &Value::from("9912"), &Value::from("A"))
    );
    assert_eq!(text(&ordered["card"]).len(), 32);
    let state = fs::read_to_string(folder.join("bank.json")).unwrap();
    assert!(!state.contains(NUMBER) && !state.contains("9753"));
    assert!(bind(&folder, "unlock", &["one"]).is_ok_and(|unlocked| unlocked["was_wrong"] == false));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_card_is_bound_by_its_chip_on_the_command_line() {
    let folder = folder("bind-chip");
    fs::write(folder.join("accounts.json"), ACCOUNTS).unwrap();
    let mut issuer = Issuer::open_or_create(&folder.join("bank.json")).unwrap();
    let profile = issuer.issue(&Order { expiry: "9912".into(), ..order(NUMBER) }).unwrap();
    drop(issuer);
    let begun = bind(&folder, "begin", &[]).unwrap();
    let id = text(&begun["binding"]);
    let nonce: [u8; 32] = hex::decode(&id).unwrap().try_into().unwrap();
    let mut card = SoftCard::new(profile, honest);
    let request = chip::read(&mut card, &nonce, [0x26, 0x11, 0x24]).unwrap().request;
    fs::write(folder.join("request.json"), serde_json::to_vec(&request).unwrap()).unwrap();
    let other = text(&bind(&folder, "begin", &[]).unwrap()["binding"]);
    let refused = bind_chip(&folder, &other).unwrap_err();
    assert!(refused.contains("not made for this binding"), "{refused}");
    assert_eq!(bind_chip(&folder, &id).unwrap()["next"], "code");
    assert!(bind_chip(&folder, &"00".repeat(32)).unwrap_err().contains("no such binding"));
    fs::remove_dir_all(&folder).unwrap();
}

/// Hands the chip card's answer in for a binding.
fn bind_chip(folder: &Path, binding: &str) -> Result<Value, String> {
    bind(folder, "chip", &["--binding", binding, "request.json"])
}
