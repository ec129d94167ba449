//! The service platform as a person runs it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use common::{challenge, folder};
use hpke::{Kem, Serializable, kem::DhP256HkdfSha256};
use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tapvault_network::{device::ChallengeDocument, lab::LabBank};
use tapvault_proto::{
    freshness::{
        DeviceState, Freshness, FreshnessQuestion, FreshnessStatement, GrantedTries, IssuedCard, MAX_BOOKED,
        PinRun,
    },
    id::{CardId, ProviderId},
    wire::{Wire, decode_exact, encode_into},
};

const BANK: &str = env!("CARGO_BIN_EXE_tapvault-bank");
const PLATFORM: &str = env!("CARGO_BIN_EXE_tapvault-platform");
const CARD: &str = "c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1";

fn run(program: &str, folder: &Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder with a bank that issued [`CARD`], and a ledger.
fn begun(name: &str) -> PathBuf {
    let folder = folder(name);
    let (_, public) = DhP256HkdfSha256::derive_keypair(&[1; 32]);
    let recipient = public.to_bytes().as_slice().try_into().unwrap();
    let document = ChallengeDocument::from(challenge([9; 32], recipient));
    fs::write(folder.join("challenge.json"), serde_json::to_string(&document).unwrap()).unwrap();
    let issue = ["issue", "--state", "bank.json", "--challenge", "challenge.json", "--card", CARD];
    assert!(run(BANK, &folder, &issue).status.success());
    assert!(run(PLATFORM, &folder, &["init"]).status.success());
    folder
}

/// What a certified device asks in one run; its key signs challenges in other tests.
fn question(cards: &[IssuedCard], run: u8, asked: Option<u32>) -> FreshnessQuestion {
    let key = SigningKey::from_slice(&[0x5A; 32]).unwrap();
    let certificate = challenge([0; 32], [4; 65]).certificate;
    let asked = asked.map(|granted| GrantedTries { provider: LabBank::A.id(), granted });
    let pin = PinRun { nonce: [run; 32], asked, settled: std::iter::empty().collect() };
    let state = DeviceState { card_nonce: [7; 32], cards: cards.iter().copied().collect(), pin };
    let signature: Signature = key.sign(&state.signed_bytes().unwrap());
    FreshnessQuestion { certificate, state, signature: signature.to_bytes().into() }
}

fn answer(folder: &Path, question: &FreshnessQuestion) -> Output {
    let mut bytes = vec![0; FreshnessQuestion::MAX];
    let length = encode_into(question, &mut bytes).unwrap();
    let document = serde_json::json!({ "question": hex::encode(&bytes[..length]) });
    fs::write(folder.join("question.json"), document.to_string()).unwrap();
    run(PLATFORM, folder, &["answer", "--issuer", "bank.json", "question.json"])
}

fn said(output: &Output) -> Freshness {
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let bytes = hex::decode(document["statement"].as_str().unwrap()).unwrap();
    decode_exact::<FreshnessStatement>(&bytes).unwrap().said
}

fn issued(card: u8, provider: ProviderId, key_version: u8) -> IssuedCard {
    IssuedCard { card: CardId([card; 16]), provider, key_version }
}

#[test]
fn it_vouches_for_the_cards_that_their_issuer_knows_by_these_keys() {
    let folder = begun("platform-cards");
    let known = issued(0xC1, LabBank::A.id(), 1);
    let asked = [
        issued(0xC2, LabBank::A.id(), 1),
        known,
        issued(0xC1, LabBank::B.id(), 1),
        issued(0xC1, LabBank::A.id(), 2),
    ];
    let statement = said(&answer(&folder, &question(&asked, 1, None)));
    assert_eq!(statement.counters.len(), 1);
    let counter = statement.counters[0];
    assert_eq!((counter.card, counter.key_version, counter.atc), (known.card, 1, 0));
    assert_eq!((statement.card_nonce, statement.pin_nonce, statement.granted), ([7; 32], [1; 32], None));
}

#[test]
fn it_books_shows_stops_and_forgives() {
    let folder = begun("platform-tries");
    assert_eq!(text(&run(PLATFORM, &folder, &["booked"]).stdout), "no try is booked\n");
    for run in 0..10 {
        let granted = said(&answer(&folder, &question(&[], run, Some(0)))).granted;
        assert_eq!(granted.map(|granted| granted.granted), Some(1));
    }
    let refused = answer(&folder, &question(&[], 10, Some(0)));
    assert_eq!(said(&refused).granted.map(|granted| granted.granted), Some(0));
    assert!(text(&refused.stderr).contains("tapvault-platform forgive"));
    let booked: Value =
        serde_json::from_slice(&run(PLATFORM, &folder, &["booked", "--json"]).stdout).unwrap();
    assert_eq!(booked[0]["booked"], MAX_BOOKED);
    let device = booked[0]["device"].as_str().unwrap();
    let shown = text(&run(PLATFORM, &folder, &["booked"]).stdout);
    assert!(shown.contains(&format!("{device}  A     10")), "{shown}");
    let forgive = |device: &str| run(PLATFORM, &folder, &["forgive", "--device", device, "--provider", "A"]);
    assert!(text(&forgive(&"00".repeat(32)).stdout).contains("\"forgiven\":0"), "another phone");
    assert!(text(&forgive(device).stdout).contains("\"forgiven\":10"));
    assert_eq!(
        said(&answer(&folder, &question(&[], 10, Some(0)))).granted.map(|granted| granted.granted),
        Some(1)
    );
}

#[test]
fn it_answers_no_stranger_and_nothing_without_its_ledger() {
    let folder = begun("platform-refusals");
    let ledger = || fs::read(folder.join("platform.json")).unwrap();
    let before = ledger();
    let mut forged = question(&[], 1, Some(0));
    forged.signature[5] ^= 1;
    let mut altered = question(&[], 1, Some(0));
    altered.state.pin.nonce = [2; 32];
    let mut uncertified = question(&[], 1, Some(0));
    uncertified.certificate.signature[5] ^= 1;
    for (stranger, why) in [
        (forged, "not signed by the certified device"),
        (altered, "not signed"),
        (uncertified, "not certified"),
    ] {
        let output = answer(&folder, &stranger);
        assert!(!output.status.success() && output.stdout.is_empty());
        assert!(text(&output.stderr).contains(why), "{}", text(&output.stderr));
    }
    fs::write(folder.join("question.json"), "{}").unwrap();
    let malformed = run(PLATFORM, &folder, &["answer", "--issuer", "bank.json", "question.json"]);
    assert!(text(&malformed.stderr).contains("tapvault card freshness --json"));
    assert_eq!(ledger(), before);
    // One that is there is not begun anew, one that is lost not taken for an empty one.
    assert!(!run(PLATFORM, &folder, &["init"]).status.success());
    fs::remove_file(folder.join("platform.json")).unwrap();
    let lost = answer(&folder, &question(&[], 1, Some(0)));
    assert!(!lost.status.success() && lost.stdout.is_empty());
    assert!(text(&lost.stderr).contains("tapvault-platform init"));
}
