//! The bank's desk: every step in its order, a bounded number of guesses, and a memory that outlives the process.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{SoftCard, binding::seal, folder, honest};
use std::fs;
use tapvault_network::{
    binding::{
        ACCOUNT_TRIES, Account, Accounts, BindingError, Desk, Identity, LIFE, LabNetwork, MAX_OPEN,
        NetworkSteps, Recipient, Step, StepFailed, TRIES, chip,
    },
    issuer::{Issuer, Reason},
    lab::LabBank,
    registry::{HolderRules, Order, TokenRules, draw_card_id},
};
use tapvault_proto::{
    binding::{BeginCardDataRequest, SealedCardData},
    profile::CardProfile,
};

const NUMBER: &str = "6299998765432101";
const OTHER: &str = "6299990000000017";
const ACCOUNTS: &[u8] = br#"{"accounts":[
{"account":"one","bank":"A","number":"6299998765432101","expiry":"2611","cvn2":"9753",
 "name":"TEST HOLDER","document":"TEST 0001","phone":"test line 1"},
{"account":"two","bank":"B","number":"6299990000000017","expiry":"3108","cvn2":"135",
 "name":"TEST HOLDER","document":"TEST 0002","phone":"test line 2"}]}"#;
/// In November 2026.
const NOW: u64 = 1_795_694_400;
/// In December.
const DECEMBER: u64 = 1_796_083_200;

/// A network that may be out of order.
#[derive(Default)]
struct Line {
    sent: u32,
    broken: bool,
}

impl NetworkSteps for Line {
    fn send_code(&mut self, account: &Account) -> Result<String, StepFailed> {
        if self.broken {
            return Err(StepFailed("no line".into()));
        }
        self.sent += 1;
        LabNetwork.send_code(account)
    }
    fn check_code(&mut self, reference: &str, code: &str) -> Result<bool, StepFailed> {
        LabNetwork.check_code(reference, code)
    }
    fn check_name(&mut self, account: &Account, identity: &Identity) -> Result<bool, StepFailed> {
        LabNetwork.check_name(account, identity)
    }
}

struct Bank {
    issuer: Issuer,
    accounts: Accounts,
    network: Line,
    now: u64,
}

impl Bank {
    fn new(issuer: Issuer) -> Self {
        Self { issuer, accounts: Accounts::parse(ACCOUNTS).unwrap(), network: Line::default(), now: NOW }
    }

    fn desk(&mut self) -> Desk<'_, Line> {
        let Self { issuer, accounts, network, now } = self;
        Desk { issuer, accounts, network, now: *now }
    }

    fn begin(&mut self) -> BeginCardDataRequest {
        self.desk().begin(LabBank::A).unwrap()
    }

    fn data(&mut self, sealed: &SealedCardData) -> Result<Step, BindingError> {
        self.desk().card_data(sealed)
    }

    fn code(&mut self, nonce: &[u8; 32]) -> String {
        let desk = self.desk();
        LabNetwork::code_of(desk.binding(nonce).unwrap().reference.as_deref().unwrap())
    }
}

fn right(offer: &BeginCardDataRequest) -> SealedCardData {
    seal(offer, NUMBER, "2611", "9753")
}

fn holder(document: &str) -> Identity {
    Identity { name: "TEST HOLDER".into(), document: document.into() }
}

fn mismatch(answer: Result<Step, BindingError>) -> Option<u8> {
    match answer {
        Err(BindingError::Mismatch { tries_left }) => Some(tries_left),
        _ => None,
    }
}

#[test]
fn every_step_comes_in_its_order_and_once() {
    let mut bank = Bank::new(Issuer::in_memory());
    let offer = bank.begin();
    let (nonce, sealed) = (offer.nonce, right(&offer));
    let early = |answer, next| match answer {
        Err(BindingError::OutOfOrder(step)) => assert_eq!(step, next),
        _ => unreachable!("not refused before {next:?}"),
    };
    early(bank.desk().code(&nonce, "000000"), Step::Card);
    early(bank.desk().name(&nonce, &holder("TEST 0001")), Step::Card);
    early(bank.desk().order(&nonce).map(|_| Step::Order), Step::Card);

    assert_eq!(bank.data(&sealed).unwrap(), Step::Code);
    // The same message, lost and sent again: no second code.
    assert_eq!(bank.data(&sealed).unwrap(), Step::Code);
    assert_eq!(bank.network.sent, 1);
    early(bank.desk().name(&nonce, &holder("TEST 0001")), Step::Code);
    early(bank.desk().order(&nonce).map(|_| Step::Order), Step::Code);

    let code = bank.code(&nonce);
    assert_eq!(bank.desk().code(&nonce, &code).unwrap(), Step::Name);
    assert_eq!(bank.desk().code(&nonce, &code).unwrap(), Step::Name);
    early(bank.desk().order(&nonce).map(|_| Step::Order), Step::Name);

    assert_eq!(bank.desk().name(&nonce, &holder("TEST 0001")).unwrap(), Step::Order);
    let order = bank.desk().order(&nonce).unwrap();
    assert_eq!((order.bank, &order.last_four, order.expiry.as_str()), (LabBank::A, b"2101", "2611"));
    assert_eq!(bank.desk().order(&nonce).unwrap(), order, "the same card, however often");
    assert_eq!(bank.data(&sealed).unwrap(), Step::Ordered);
    let profile = bank.issuer.issue(&order).unwrap();
    assert_eq!((profile.key_version, profile.last_four), (1, *b"2101"));
    assert_ne!(bank.issuer.cards()[0].token, NUMBER);
}

#[test]
fn wrong_data_are_answered_alike_and_counted() {
    let mut bank = Bank::new(Issuer::in_memory());
    for wrong in [
        (NUMBER, "2611", "9754"),
        (NUMBER, "2611", "975"),
        (NUMBER, "2612", "9753"),
        (OTHER, "3108", "135"),
        ("4111111111111111", "2611", "9753"),
    ] {
        let offer = bank.begin();
        let sealed = seal(&offer, wrong.0, wrong.1, wrong.2);
        assert_eq!(mismatch(bank.data(&sealed)), Some(TRIES - 1), "{wrong:?}");
        // The same message once more is the same try.
        assert_eq!(mismatch(bank.data(&sealed)), Some(TRIES - 1), "{wrong:?}");
        assert_eq!(bank.network.sent, 0);
    }
    // Right data end the count.
    let offer = bank.begin();
    assert_eq!(bank.data(&right(&offer)).unwrap(), Step::Code);
    for left in (0..TRIES).rev() {
        let offer = bank.begin();
        assert_eq!(mismatch(bank.data(&seal(&offer, NUMBER, "2611", "0000"))), Some(TRIES - 1), "{left}");
    }
}

#[test]
fn guesses_end_a_binding_and_then_the_account() {
    let mut bank = Bank::new(Issuer::in_memory());
    let mut guess = 0;
    let mut wrong = |bank: &mut Bank, offer: &BeginCardDataRequest| {
        guess += 1;
        bank.data(&seal(offer, NUMBER, "2611", &format!("{guess:04}")))
    };
    let first = bank.begin();
    for left in [2, 1, 0] {
        assert_eq!(mismatch(wrong(&mut bank, &first)), Some(left));
    }
    assert!(matches!(bank.data(&right(&first)), Err(BindingError::Closed)));
    let second = bank.begin();
    for _ in TRIES..ACCOUNT_TRIES {
        assert!(mismatch(wrong(&mut bank, &second)).is_some());
    }
    // The account is locked, and nobody who guesses is told: right data look wrong.
    let third = bank.begin();
    assert_eq!(mismatch(bank.data(&right(&third))), Some(2));
    assert!(bank.desk().unlock("one").unwrap());
    assert!(!bank.desk().unlock("one").unwrap());
    let fourth = bank.begin();
    assert_eq!(bank.data(&right(&fourth)).unwrap(), Step::Code);
}

#[test]
fn codes_and_names_have_three_tries() {
    for step in [Step::Code, Step::Name] {
        let mut bank = Bank::new(Issuer::in_memory());
        let offer = bank.begin();
        bank.data(&right(&offer)).unwrap();
        let code = bank.code(&offer.nonce);
        if step == Step::Name {
            bank.desk().code(&offer.nonce, &code).unwrap();
        }
        for left in [2, 1, 0] {
            let answer = match step {
                Step::Code => bank.desk().code(&offer.nonce, &code[1..]),
                _ => bank.desk().name(&offer.nonce, &holder("TEST 0002")),
            };
            assert_eq!(mismatch(answer), Some(left), "{step:?}");
        }
        let closed =
            [bank.desk().code(&offer.nonce, &code), bank.desk().name(&offer.nonce, &holder("TEST 0001"))];
        assert!(closed.iter().all(|answer| matches!(answer, Err(BindingError::Closed))), "{closed:?}");
        assert!(matches!(bank.desk().order(&offer.nonce), Err(BindingError::Closed)));
    }
}

#[test]
fn a_seal_that_is_not_this_banks_costs_nothing() {
    let mut bank = Bank::new(Issuer::in_memory());
    let (offer, other) = (bank.begin(), bank.begin());
    let mut moved = right(&offer);
    moved.nonce = other.nonce;
    let mut foreign = offer.clone();
    foreign.certificate = Recipient::lab(LabBank::B).unwrap().certificate().clone();
    let mut to_another = right(&foreign);
    assert!(matches!(bank.data(&to_another), Err(BindingError::Sealed)), "the other bank's");
    to_another.provider = offer.certificate.provider;
    let mut off_curve = right(&offer);
    off_curve.encapsulated = [0x04; 65];
    for (at, bad) in [moved, to_another, off_curve].iter().enumerate() {
        assert!(matches!(bank.data(bad), Err(BindingError::Sealed)), "{at}");
    }
    let mut unknown = right(&offer);
    unknown.nonce = [0; 32];
    assert!(matches!(bank.data(&unknown), Err(BindingError::Unknown)));
    assert_eq!(bank.desk().binding(&offer.nonce).unwrap().wrong, 0);
    assert_eq!(bank.data(&right(&offer)).unwrap(), Step::Code);
}

#[test]
fn a_binding_ends_and_an_expired_card_binds_nothing() {
    let mut bank = Bank::new(Issuer::in_memory());
    let offer = bank.begin();
    bank.now = NOW + LIFE - 1;
    assert_eq!(bank.data(&right(&offer)).unwrap(), Step::Code);
    bank.now = NOW + LIFE;
    assert!(matches!(bank.data(&right(&offer)), Err(BindingError::Unknown)));
    // The card is good to the end of November.
    bank.now = DECEMBER - 1;
    let offer = bank.begin();
    bank.data(&right(&offer)).unwrap();
    bank.now = DECEMBER;
    let offer = bank.begin();
    assert!(matches!(bank.data(&right(&offer)), Err(BindingError::CardExpired)));
}

#[test]
fn open_bindings_are_bounded_and_make_room_when_they_end() {
    let mut bank = Bank::new(Issuer::in_memory());
    for _ in 0..MAX_OPEN {
        bank.begin();
    }
    assert!(matches!(bank.desk().begin(LabBank::A), Err(BindingError::TooMany)));
    bank.now = NOW + LIFE;
    bank.begin();
}

/// A real chip card with an account's number, as the issuer knows it.
fn chip_card(issuer: &mut Issuer) -> CardProfile {
    let order = Order {
        bank: LabBank::A,
        card: draw_card_id().unwrap(),
        token: Some(NUMBER.into()),
        last_four: *b"2101",
        expiry: "2611".into(),
        kind: Default::default(),
        holder: HolderRules::default(),
        rules: TokenRules::default(),
    };
    issuer.issue(&order).unwrap()
}

#[test]
fn a_chip_cards_counter_binds_once_even_when_the_network_fails() {
    let mut bank = Bank::new(Issuer::in_memory());
    let mut card = SoftCard::new(chip_card(&mut bank.issuer), honest);
    let offer = bank.begin();
    let request = chip::read(&mut card, &offer.nonce, [0x26, 0x11, 0x24]).unwrap().request;
    bank.network.broken = true;
    assert!(matches!(bank.desk().chip(&offer.nonce, &request), Err(BindingError::Network(_))));
    bank.network.broken = false;
    // The counter is used up: the card is read again, and its next one is taken.
    let replayed = bank.desk().chip(&offer.nonce, &request);
    assert!(matches!(replayed, Err(BindingError::Chip(Reason::ReplayedAtc))), "{replayed:?}");
    let request = chip::read(&mut card, &offer.nonce, [0x26, 0x11, 0x24]).unwrap().request;
    assert_eq!(bank.desk().chip(&offer.nonce, &request).unwrap(), Step::Code);
    assert_eq!(bank.issuer.cards()[0].highest_atc, 2);
    let code = bank.code(&offer.nonce);
    bank.desk().code(&offer.nonce, &code).unwrap();
    bank.desk().name(&offer.nonce, &holder("TEST 0001")).unwrap();
    let order = bank.desk().order(&offer.nonce).unwrap();
    assert!(bank.issuer.issue(&order).is_ok());
    // Presence opens no account whose data were guessed at: those stay counted.
    assert_eq!(bank.issuer.cards().len(), 2);
}

#[test]
fn bindings_outlive_the_process_and_hold_no_card_data() {
    let folder = folder("bindings");
    let path = folder.join("bank.json");
    let mut bank = Bank::new(Issuer::open_or_create(&path).unwrap());
    bank.issuer.issue(&common::order("6299991234567890")).unwrap();
    let before = fs::read_to_string(&path).unwrap();
    assert!(!before.contains("bindings"), "a state without bindings is what it was before there were any");
    let offer = bank.begin();
    assert!(mismatch(bank.data(&seal(&offer, NUMBER, "2611", "9754"))).is_some());
    assert!(mismatch(bank.data(&seal(&offer, NUMBER, "2611", "9755"))).is_some());
    drop(bank);
    // Another process: the guesses are remembered, the cards too.
    let mut bank = Bank::new(Issuer::open(&path).unwrap());
    assert_eq!(bank.issuer.cards().len(), 1);
    assert_eq!(bank.desk().binding(&offer.nonce).unwrap().wrong, 2);
    assert_eq!(bank.data(&right(&offer)).unwrap(), Step::Code);
    let code = bank.code(&offer.nonce);
    drop(bank);
    let stored = fs::read_to_string(&path).unwrap();
    for secret in [NUMBER, &NUMBER[..12], "9753", "9754", code.as_str(), "TEST HOLDER", "TEST 0001"] {
        assert!(!stored.contains(secret), "{secret} is stored");
    }
    let mut bank = Bank::new(Issuer::open(&path).unwrap());
    assert_eq!(bank.desk().code(&offer.nonce, &code).unwrap(), Step::Name);
    // A payment by a card keeps the bindings.
    bank.issuer.issue(&common::order("6299991234567890")).unwrap();
    drop(bank);
    let mut bank = Bank::new(Issuer::open(&path).unwrap());
    assert_eq!(bank.desk().binding(&offer.nonce).unwrap().step, Step::Name);
    drop(bank);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_step_that_cannot_be_stored_is_not_made() {
    let folder = folder("unstored");
    let path = folder.join("bank.json");
    let mut bank = Bank::new(Issuer::open_or_create(&path).unwrap());
    let offer = bank.begin();
    // The place of the new state is taken by a folder.
    fs::create_dir(folder.join("bank.json.new")).unwrap();
    for sealed in [right(&offer), seal(&offer, NUMBER, "2611", "9754")] {
        assert!(matches!(bank.data(&sealed), Err(BindingError::State(_))), "nobody is told right from wrong");
    }
    let record = bank.desk().binding(&offer.nonce).unwrap().clone();
    assert_eq!((record.step, record.wrong), (Step::Card, 0));
    fs::remove_dir(folder.join("bank.json.new")).unwrap();
    assert_eq!(bank.data(&right(&offer)).unwrap(), Step::Code);
    drop(bank);
    fs::remove_dir_all(&folder).unwrap();
}
