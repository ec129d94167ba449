//! Offline money as a person runs it: issue, load, deliver, settle, and every refusal.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use common::{card_answer, challenge, folder, payment};
use hpke::{Kem, Serializable, kem::DhP256HkdfSha256};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tapvault_network::{
    device::ChallengeDocument,
    kind::CardKind,
    lab::LabBank,
    registry::{HolderRules, Order, TokenRules, lab_profile},
    request::AuthorisationRequest,
    suite,
};
use tapvault_proto::{id::CardId, offline::OfflineCommand, token::Channel, wire::decode_exact};

const BANK: &str = env!("CARGO_BIN_EXE_tapvault-bank");
const TERMINAL: &str = env!("CARGO_BIN_EXE_tapvault-terminal");
const TOKEN: &str = "6299991234567890";
const CARD: &str = "c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1";
const OFFLINE: [&str; 6] = ["--oda", "sm2", "--offline", "500.00", "--offline-payment", "100.00"];

fn run(program: &str, folder: &Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Issues [`CARD`] with more options.
fn issue(folder: &Path, more: &[&str]) -> Output {
    let to =
        ["issue", "--state", "bank.json", "--challenge", "challenge.json", "--token", TOKEN, "--card", CARD];
    run(BANK, folder, &[&to[..], more].concat())
}

fn begun(name: &str) -> PathBuf {
    let folder = folder(name);
    let (_, public) = DhP256HkdfSha256::derive_keypair(&[1; 32]);
    let recipient = public.to_bytes().as_slice().try_into().unwrap();
    let document = ChallengeDocument::from(challenge([9; 32], recipient));
    fs::write(folder.join("challenge.json"), serde_json::to_string(&document).unwrap()).unwrap();
    folder
}

/// A folder with one card that may pay 500.00 offline.
fn issued(name: &str) -> PathBuf {
    let folder = begun(name);
    let output = issue(&folder, &OFFLINE);
    assert!(output.status.success(), "{}", text(&output.stderr));
    folder
}

/// `tapvault-bank offline` about [`CARD`].
fn offline(folder: &Path, step: &str, more: &[&str]) -> Output {
    run(BANK, folder, &[&["offline", step, "--state", "bank.json", "--card", CARD], more].concat())
}

fn command(output: &Output) -> OfflineCommand {
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    decode_exact(&hex::decode(document["offline"].as_str().unwrap()).unwrap()).unwrap()
}

fn shown(folder: &Path) -> Value {
    serde_json::from_slice(&offline(folder, "show", &["--json"]).stdout).unwrap()
}

/// Writes what a terminal recorded of a payment of 12.00 that the card approved offline.
fn approved(folder: &Path, atc: u16) -> String {
    let order = Order {
        bank: LabBank::A,
        card: CardId([0xC1; 16]),
        token: None,
        last_four: *b"4321",
        expiry: "3112".into(),
        kind: CardKind::default(),
        holder: HolderRules::default(),
        rules: TokenRules::default(),
    };
    let profile = lab_profile(&order, TOKEN, 1).unwrap();
    let terminal = payment(false).data().unwrap();
    let mut request = AuthorisationRequest::new(&terminal, card_answer(&profile, &terminal, atc, false));
    request.issuer_data[4] = 0x90;
    let covered = request.covered(profile.cvn, [0x03, 0x90, 0, 0]);
    request.cryptogram = suite::cryptogram(profile.suite, profile.udk(Channel::Nfc).unwrap(), atc, &covered);
    let name = format!("payment-{atc}.json");
    fs::write(folder.join(&name), serde_json::to_vec(&request).unwrap()).unwrap();
    name
}

fn deliver(folder: &Path, file: &str) -> (Option<i32>, Value) {
    let output = run(TERMINAL, folder, &["deliver", file, "--state", "bank.json", "--json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code(), said["result"].clone())
}

#[test]
fn money_is_loaded_delivered_and_settled_on_the_command_line() {
    let folder = issued("offline");
    let loaded = command(&offline(&folder, "load", &["--amount", "20.5"]));
    assert_eq!((loaded.sequence, loaded.loaded, loaded.closed, loaded.key_version), (1, 52_050, 0, 1));
    // Delivered late and not in order, each once.
    for atc in [7, 3] {
        let file = approved(&folder, atc);
        let (status, result) = deliver(&folder, &file);
        assert_eq!(
            (status, &result["outcome"], &result["amount_minor"]),
            (Some(0), &"cleared".into(), &1200.into())
        );
        let (status, result) = deliver(&folder, &file);
        assert_eq!(
            (status, &result["reason"], &result["arc"]),
            (Some(1), &"replayed_atc".into(), &"94".into())
        );
    }
    let state = shown(&folder);
    assert_eq!(
        (&state["loaded_minor"], &state["spent_minor"], &state["closed"], &state["commands"]),
        (&52_050.into(), &2_400.into(), &0.into(), &1.into())
    );
    assert_eq!(
        state["delivered"],
        serde_json::json!([{"atc": 3, "amount_minor": 1200}, {"atc": 7, "amount_minor": 1200}])
    );

    let settled = command(&offline(&folder, "settle", &["--counter", "5"]));
    assert_eq!((settled.sequence, settled.loaded, settled.closed, settled.cleared), (2, 52_050, 5, 1_200));
    let (status, result) = deliver(&folder, &approved(&folder, 4));
    assert_eq!((status, &result["reason"]), (Some(1), &"replayed_atc".into()), "what comes late is declined");
    let table = text(&offline(&folder, "show", &[]).stdout);
    for line in
        ["loaded:   520.50", "spent:    24.00", "closed:   up to counter 5, with 12.00", "counter:  7, 12.00"]
    {
        assert!(table.contains(line), "no '{line}' in {table}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn money_is_refused_where_it_cannot_be() {
    let folder = begun("offline-refused");
    for (more, why) in [
        (&["--offline", "500.00", "--offline-payment", "100.00"][..], "--oda sm2"),
        (&[&OFFLINE[..], &["--channel", "qr"]].concat(), "--channel nfc"),
    ] {
        let output = issue(&folder, more);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
        assert!(text(&output.stderr).contains(why), "{}", text(&output.stderr));
        assert!(!folder.join("bank.json").exists(), "a card that no phone would take is on record");
    }
    for wrong in
        [&OFFLINE[..4], &[&OFFLINE[..], &["--limited-use", "4"]].concat(), &["--offline-payment", "1.00"]]
    {
        assert_eq!(issue(&folder, wrong).status.code(), Some(2), "{wrong:?}");
    }

    // Not without it, not more than an amount can be, and no number is used up by what is refused.
    assert!(issue(&folder, &[]).status.success());
    for (step, more) in [("load", &["--amount", "1.00"][..]), ("settle", &["--counter", "1"]), ("show", &[])]
    {
        let output = offline(&folder, step, more);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{step}");
        assert!(text(&output.stderr).contains("approves nothing offline"), "{}", text(&output.stderr));
    }
    assert!(issue(&folder, &OFFLINE).status.success());
    let before = fs::read(folder.join("bank.json")).unwrap();
    let output = offline(&folder, "load", &["--amount", "9999999999.99"]);
    assert!(text(&output.stderr).contains("12 digits"), "{}", text(&output.stderr));
    assert_eq!(offline(&folder, "settle", &["--counter", "0"]).status.code(), Some(2));
    assert_eq!(fs::read(folder.join("bank.json")).unwrap(), before);
    // What asked the issuer was not approved by the card.
    let request = text(&fs::read(folder.join(approved(&folder, 1))).unwrap());
    let asked = request.replace("07010103900000", "07020103a00000");
    assert_ne!(asked, request);
    fs::write(folder.join("asked.json"), asked).unwrap();
    assert_eq!(deliver(&folder, "asked.json").1["reason"], "not_offline_approval");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn help_says_what_the_platform_must_have() {
    let folder = folder("offline-help");
    let help = text(&run(BANK, &folder, &["offline", "--help"]).stdout);
    for word in
        ["antiRollback.protectionLevel is 1000", "Stock OP-TEE says 100", "settle", "tapvault offline show"]
    {
        assert!(help.contains(word), "no '{word}' in {help}");
    }
    // What is approved offline is lost without a record.
    let pay = ["pay", "--state", "bank.json", "--amount", "1.00", "--reach", "both"];
    assert_eq!(run(TERMINAL, &folder, &pay).status.code(), Some(64));
    fs::remove_dir_all(&folder).unwrap();
}
