//! The two commands as a person runs them: issue, pay, replay, and every exit status.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{SoftCard, challenge, folder, honest};
use hpke::{Kem, Serializable, kem::DhP256HkdfSha256};
use serde_json::Value;
use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use tapvault_network::{
    device::ChallengeDocument,
    frame::{CardLink, Control, FromReader, read_frame, write_frame},
    kind::CardKind,
    lab::LabBank,
    registry::{HolderRules, Order, TokenRules, lab_profile},
};
use tapvault_proto::{
    device::DeviceCertificate, document::SealedPackage, element::InstallElementKeysRequest, id::CardId,
    limited::ReplenishRequest, wire::decode_exact,
};

const BANK: &str = env!("CARGO_BIN_EXE_tapvault-bank");
const TERMINAL: &str = env!("CARGO_BIN_EXE_tapvault-terminal");
const TOKEN: &str = "6299991234567890";

fn bank(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(BANK).args(arguments).current_dir(folder).output().unwrap()
}

fn terminal(folder: &Path, arguments: &[&str]) -> Child {
    Command::new(TERMINAL)
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder with a challenge and one issued card.
fn issued(name: &str) -> PathBuf {
    let folder = folder(name);
    let (_, public) = DhP256HkdfSha256::derive_keypair(&[1; 32]);
    let recipient = public.to_bytes().as_slice().try_into().unwrap();
    let document = ChallengeDocument::from(challenge([9; 32], recipient));
    fs::write(folder.join("challenge.json"), serde_json::to_string(&document).unwrap()).unwrap();
    let output = bank(
        &folder,
        &[
            "issue",
            "--state",
            "bank.json",
            "--challenge",
            "challenge.json",
            "--token",
            TOKEN,
            "--card",
            &"c1".repeat(16),
        ],
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    fs::write(folder.join("package.json"), &output.stdout).unwrap();
    folder
}

/// Connects a software card to the terminal's port and answers until the field is gone.
fn tap(folder: &Path, pin: bool, atc: u16) {
    let ready = folder.join("ready");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !ready.exists() {
        assert!(Instant::now() < deadline, "the terminal did not get ready");
        thread::sleep(Duration::from_millis(10));
    }
    let port: u16 = fs::read_to_string(&ready).unwrap().trim().parse().unwrap();
    fs::remove_file(&ready).unwrap();
    let profile = {
        let order = Order {
            bank: LabBank::A,
            card: CardId([0; 16]),
            token: None,
            last_four: *b"4321",
            expiry: "3112".into(),
            kind: CardKind::default(),
            holder: HolderRules::default(),
            rules: TokenRules::default(),
        };
        lab_profile(&order, TOKEN, 1).unwrap()
    };
    let mut card = SoftCard::new(profile, honest);
    (card.pin, card.atc) = (pin, atc);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    while let Some(frame) = read_frame(&mut stream).unwrap() {
        match FromReader::parse(&frame).unwrap() {
            FromReader::Control(Control::GetAtr) => {
                let atr = card.power_on().unwrap();
                write_frame(&mut stream, &atr).unwrap();
            }
            FromReader::Control(Control::PowerOff) => return,
            FromReader::Control(_) => {}
            FromReader::Command(command) => {
                let response = card.transmit(command).unwrap();
                write_frame(&mut stream, &response).unwrap();
            }
        }
    }
}

const PAY: [&str; 9] =
    ["pay", "--listen", "127.0.0.1:0", "--state", "bank.json", "--ready-file", "ready", "--amount", "12.00"];

#[test]
fn a_payment_is_approved_and_its_replay_declined() {
    let folder = issued("pay");
    let running =
        terminal(&folder, &[&PAY[..], &["--verify", "always", "--record", "payment.json"]].concat());
    tap(&folder, true, 0);
    let output = running.wait_with_output().unwrap();
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    assert!(said.contains("> SELECT 2PAY.SYS.DDF01: which cards are there?"));
    assert!(said.contains("approved (00): payment 1 of this card, holder verified by wallet PIN"));
    assert!(!said.contains('\x1b'), "colour although this is no screen");

    let replay = terminal(&folder, &["replay", "payment.json", "--state", "bank.json", "--json"]);
    let output = replay.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["result"]["reason"], "replayed_atc");
    assert_eq!(result["result"]["arc"], "94");

    let listed: Value =
        serde_json::from_slice(&bank(&folder, &["cards", "--state", "bank.json", "--json"]).stdout).unwrap();
    assert_eq!(listed[0]["highest_atc"], 1);
    assert_eq!(listed[0]["token"], "************7890");
    let table = text(&bank(&folder, &["cards", "--state", "bank.json"]).stdout);
    assert!(table.contains("************7890") && !table.contains(TOKEN));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_limit_decides_when_the_holder_is_asked_for() {
    let folder = issued("limit");
    // Up to the limit: no PIN.
    let running = terminal(&folder, &[&PAY[..], &["--cvm-limit", "12.00", "--json"]].concat());
    tap(&folder, false, 0);
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["result"]["outcome"], "approved");
    assert_eq!(result["result"]["verification"], "none");
    assert_eq!(result["transcript"].as_array().unwrap().len(), 4);
    // One fen above: the card refuses.
    let running = terminal(&folder, &[&PAY[..], &["--cvm-limit", "11.99"]].concat());
    tap(&folder, false, 1);
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).contains("the holder must be verified on the phone first"));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_offline_terminal_takes_no_card_that_asks() {
    let folder = issued("reach");
    for (reach, expected) in [("both", 0), ("offline", 2)] {
        let more = ["--reach", reach, "--record", "payment.json", "--json"];
        let running = terminal(&folder, &[&PAY[..], &more].concat());
        tap(&folder, false, 0);
        let output = running.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(expected), "{reach}: {}", text(&output.stdout));
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_command_that_does_not_fit_is_refused_and_takes_no_number() {
    let folder = issued("command");
    let card = "c1".repeat(16);
    let command = |action: &str| bank(&folder, &["command", "--state", "bank.json", "--card", &card, action]);
    let before = fs::read(folder.join("bank.json")).unwrap();
    let output = command("resume");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(text(&output.stderr).contains("the token is active"), "{}", text(&output.stderr));
    assert_eq!(fs::read(folder.join("bank.json")).unwrap(), before);
    assert!(command("suspend").status.success());
    assert!(text(&bank(&folder, &["cards", "--state", "bank.json"]).stdout).contains("suspended"));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_used_counter_is_declined_with_status_1() {
    let folder = issued("used");
    for (expected, verify) in [(0, "never"), (1, "never")] {
        let running = terminal(&folder, &[&PAY[..], &["--verify", verify]].concat());
        tap(&folder, false, 0);
        assert_eq!(running.wait_with_output().unwrap().status.code(), Some(expected));
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn files_and_usage_have_their_own_status() {
    let folder = folder("usage");
    let status = |arguments: &[&str]| terminal(&folder, arguments).wait_with_output().unwrap().status.code();
    assert_eq!(status(&PAY), Some(3), "no issuer state");
    assert_eq!(status(&["replay", "none.json", "--state", "none.json"]), Some(3));
    assert_eq!(status(&["pay", "--listen", "0.0.0.0:0", "--state", "x", "--amount", "1"]), Some(64));
    assert_eq!(status(&["pay"]), Some(64));
    assert_eq!(status(&["--help"]), Some(0));
    assert_eq!(bank(&folder, &["--help"]).status.code(), Some(0));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_card_that_hangs_up_is_status_3() {
    let folder = issued("gone");
    let running = terminal(&folder, &PAY);
    let ready = folder.join("ready");
    while !ready.exists() {
        thread::sleep(Duration::from_millis(10));
    }
    let port: u16 = fs::read_to_string(&ready).unwrap().trim().parse().unwrap();
    drop(TcpStream::connect(("127.0.0.1", port)).unwrap());
    assert_eq!(running.wait_with_output().unwrap().status.code(), Some(3));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn packages_tickets_and_signatures_come_out_as_documents() {
    let folder = issued("documents");
    let package = fs::read(folder.join("package.json")).unwrap();
    let good = SealedPackage::parse(&package).unwrap();
    assert_eq!(good.header.challenge, [9; 32]);
    let tampered = SealedPackage::parse(&bank(&folder, &["tamper", "package.json"]).stdout).unwrap();
    assert_ne!(tampered.ciphertext, good.ciphertext);
    assert_eq!(tampered.signature, good.signature);

    let ticket = bank(&folder, &["ticket", "--challenge", "challenge.json", "--purpose", "enrol"]);
    let ticket: Value = serde_json::from_slice(&ticket.stdout).unwrap();
    assert_eq!(ticket["ticket"].as_str().unwrap().len(), 2 * (145 + 1 + 32 + 64));

    fs::write(folder.join("policy.json"), b"{}").unwrap();
    let signature = text(&bank(&folder, &["sign-policy", "policy.json"]).stdout);
    assert_eq!(signature.trim(), hex::encode(tapvault_network::lab::sign_policy(b"{}")));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_device_is_certified_by_the_command_as_by_the_factory() {
    let folder = folder("device");
    let certificate = challenge([9; 32], [4; 65]).certificate;
    let (key, sm2_key) = (hex::encode(certificate.key), hex::encode(certificate.sm2_key));
    let keys = serde_json::json!({ "key": key, "sm2_key": sm2_key, "certified": false });
    fs::write(folder.join("device-key.json"), keys.to_string()).unwrap();
    let output = bank(&folder, &["certify-device", "device-key.json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let bytes = hex::decode(document["certificate"].as_str().unwrap()).unwrap();
    assert_eq!(decode_exact::<DeviceCertificate>(&bytes), Ok(certificate));
    for bad in [keys.to_string().replace(&sm2_key, "04"), keys.to_string().replace("key", "kay")] {
        fs::write(folder.join("bad.json"), bad).unwrap();
        let output = bank(&folder, &["certify-device", "bad.json"]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn batches_of_limited_use_keys_are_given_out_by_the_command() {
    let folder = issued("batches");
    let card = "c2".repeat(16);
    let to = ["--state", "bank.json", "--challenge", "challenge.json", "--card", &card];
    assert!(bank(&folder, &[&["issue", "--limited-use", "4"], &to[..]].concat()).status.success());
    let keys = |more: &[&str]| bank(&folder, &[&["keys"], &to[..], more].concat());
    for given in [3, 6] {
        let output = keys(&["--count", "3"]);
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let bytes = hex::decode(document["keys"].as_str().unwrap()).unwrap();
        assert_eq!(decode_exact::<ReplenishRequest>(&bytes).unwrap().card, CardId([0xC2; 16]));
        let state: Value = serde_json::from_slice(&fs::read(folder.join("bank.json")).unwrap()).unwrap();
        assert_eq!(state["cards"][1]["limited_use"]["given"], given);
        assert_eq!(state["cards"][1]["limited_use"]["channels"][2], "in-app");
    }
    // Refused: nothing is given out.
    let before = fs::read(folder.join("bank.json")).unwrap();
    assert_eq!(keys(&["--count", "17"]).status.code(), Some(1));
    let forged = fs::read_to_string(folder.join("challenge.json")).unwrap().replace("hpke", "sm2");
    fs::write(folder.join("challenge.json"), forged).unwrap();
    assert_eq!(keys(&[]).status.code(), Some(1));
    assert_eq!(fs::read(folder.join("bank.json")).unwrap(), before);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_bad_challenge_issues_nothing() {
    let folder = issued("bad");
    let before = fs::read(folder.join("bank.json")).unwrap();
    let good = fs::read_to_string(folder.join("challenge.json")).unwrap();
    for bad in [
        "{}".to_owned(),
        "not json".to_owned(),
        good.replace(&"09".repeat(32), &"08".repeat(32)),
        good.replace("hpke", "sm2"),
        good.replace("hpke", "none"),
        good.trim_end_matches('}').to_owned(),
        format!("{{\"challenge\":\"{}\"}}", "09".repeat(32)),
        format!("{{\"challenge\":\"{}\",\"recipient\":\"{}\"}}", "09".repeat(32), "04".repeat(65)),
        format!("{{\"challenge\":\"{}\",\"recipient\":\"{}\"}}", "09".repeat(31), "04".repeat(65)),
    ] {
        fs::write(folder.join("bad.json"), &bad).unwrap();
        let card = "c1".repeat(16);
        let output =
            bank(&folder, &["issue", "--state", "bank.json", "--challenge", "bad.json", "--card", &card]);
        assert_eq!(output.status.code(), Some(1), "{bad}");
        assert!(text(&output.stderr).starts_with("error: "));
        assert_eq!(fs::read(folder.join("bank.json")).unwrap(), before);
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn element_keys_are_sealed_for_a_device_and_for_nothing_else() {
    let folder = issued("element-keys");
    let output = bank(&folder, &["element-keys", "--challenge", "challenge.json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let bytes = hex::decode(document["element-keys"].as_str().unwrap()).unwrap();
    let request: InstallElementKeysRequest = decode_exact(&bytes).unwrap();
    assert_eq!(request.challenge, [9; 32]);
    // A challenge that no device signed.
    let mut challenge: Value =
        serde_json::from_slice(&fs::read(folder.join("challenge.json")).unwrap()).unwrap();
    challenge["challenge"] = Value::from("0a".repeat(32));
    fs::write(folder.join("challenge.json"), challenge.to_string()).unwrap();
    let output = bank(&folder, &["element-keys", "--challenge", "challenge.json"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
}
