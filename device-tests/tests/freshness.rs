//! Freshness on a phone whose storage the test can put back, with the attacker who does so.

mod common;

use common::{Phone, prepared, refusal};
use std::{cell::RefCell, io, rc::Rc};
use tapvault::{ClientError, PlatformLink, Wallet, sim::Sim};
use tapvault_device_tests::{
    lab::{self, Digits, Lab, PIN},
    pad::{self, LabPad},
    platform::{self, LabPlatform},
};
use tapvault_network::{lab::LabBank, registry::CNY};
use tapvault_proto::{
    Error,
    bank_pin::BankPinPrepareRequest,
    card::QrPrepareRequest,
    freshness::{
        FreshnessQuestion, FreshnessStatement, GrantedTries, HighestCounter, IssuedCard, MAX_BOOKED,
        TakeGrantRequest,
    },
    id::CardId,
    pad::Entered,
    pin::{BeginVerifyRequest, FinishRequest, RETRY_DELAYS_MS, TRY_LIMIT, Verdict},
    supervisor::MAX_PROVIDERS,
};

/// A wallet that asks nobody by itself.
fn alone(phone: &Phone) -> Wallet<Sim> {
    phone.wallet();
    Wallet::new(phone.sim.clone())
}

fn verify(card: CardId) -> BeginVerifyRequest {
    BeginVerifyRequest { provider: LabBank::A.id(), card, ceiling: 1, currency: CNY, exact: false }
}

/// What the platform answers, brought by hand.
fn asked(phone: &Phone, wallet: &mut Wallet<Sim>) -> FreshnessStatement {
    let question = wallet.freshness_question().unwrap();
    phone.platform.clone().ask(&question).unwrap()
}

fn resigned(
    statement: &FreshnessStatement,
    change: impl FnOnce(&mut FreshnessStatement),
) -> FreshnessStatement {
    platform::resigned(statement, change).unwrap()
}

/// What a card says that is to pay: with a code, and with the bank PIN.
fn uses(wallet: &mut Wallet<Sim>, card: CardId) -> [Option<Error>; 2] {
    [refusal(wallet.call(&QrPrepareRequest { card })), refusal(wallet.call(&BankPinPrepareRequest { card }))]
}

#[test]
fn no_card_pays_after_a_start_before_the_platform_has_spoken() {
    let (phone, mut lab, card) = prepared();
    assert!(lab::pay(&mut lab, &mut phone.wallet(), card, (100, false, false)).unwrap().1.is_approved());
    phone.restart();
    let mut wallet = alone(&phone);
    lab.set_time(&mut wallet).unwrap();
    assert_eq!(uses(&mut wallet, card), [Some(Error::NotFresh); 2]);
    // With NFC on, which takes a PIN, that takes the platform: but the card still waits for its own word.
    let granting = asked_after_a_refusal(&phone, &mut wallet, card);
    wallet.call(&TakeGrantRequest { statement: granting }).unwrap();
    lab.verify(&mut wallet, card, PIN).unwrap();
    assert_eq!(refusal(wallet.prepare_tap(card, true).map(|_| ())), Some(Error::NotFresh));
    wallet.nfc_on(card).unwrap();
    assert_eq!(refusal(wallet.prepare_tap(card, false).map(|_| ())), Some(Error::NotFresh));
    assert_eq!(refusal(wallet.take_freshness(&asked_elsewhere())), Some(Error::WrongChallenge));
    let statement = asked(&phone, &mut wallet);
    assert_eq!(wallet.take_freshness(&statement).unwrap(), 0);
    // And again: it is for all of this run.
    assert_eq!(wallet.take_freshness(&statement).unwrap(), 0);
    assert!(lab::pay(&mut lab, &mut phone.wallet(), card, (100, false, false)).unwrap().1.is_approved());
    // The next run has another nonce.
    phone.restart();
    let mut wallet = alone(&phone);
    lab.set_time(&mut wallet).unwrap();
    assert_eq!(refusal(wallet.take_freshness(&statement)), Some(Error::NoChallenge));
    wallet.freshness_question().unwrap();
    assert_eq!(refusal(wallet.take_freshness(&statement)), Some(Error::WrongChallenge));
    assert_eq!(uses(&mut wallet, card), [Some(Error::NotFresh); 2]);
}

fn asked_after_a_refusal(phone: &Phone, wallet: &mut Wallet<Sim>, card: CardId) -> FreshnessStatement {
    wallet.open_pad(&mut LabPad::default()).unwrap();
    assert_eq!(refusal(wallet.call(&verify(card))), Some(Error::TryNotGranted));
    asked(phone, wallet)
}

/// A statement for a phone that is another one.
fn asked_elsewhere() -> FreshnessStatement {
    let (phone, _, _) = prepared();
    let mut wallet = alone(&phone);
    asked(&phone, &mut wallet)
}

#[test]
fn a_statement_that_is_not_the_platforms_changes_nothing() {
    let (phone, lab, card) = prepared();
    phone.restart();
    let mut wallet = alone(&phone);
    lab.set_time(&mut wallet).unwrap();
    let question = wallet.freshness_question().unwrap();
    assert!(
        matches!(question.state.cards[..], [IssuedCard { card: only, key_version: 1, .. }] if only == card)
    );
    // Asked again it is the same run.
    assert_eq!(wallet.freshness_question().unwrap().state, question.state);
    let good = phone.platform.clone().ask(&question).unwrap();
    for at in 0..64 {
        let mut forged = good.clone();
        forged.signature[at] ^= 1;
        assert_eq!(refusal(wallet.take_freshness(&forged)), Some(Error::SignatureInvalid));
        assert_eq!(
            refusal(wallet.call(&TakeGrantRequest { statement: forged })),
            Some(Error::SignatureInvalid)
        );
    }
    let changes: [fn(&mut FreshnessStatement); 5] = [
        |statement| statement.said.counters.clear(),
        |statement| statement.said.counters[0].atc = 1,
        |statement| statement.said.granted = Some(GrantedTries { provider: LabBank::A.id(), granted: 9 }),
        |statement| statement.said.pin_nonce[0] ^= 1,
        |statement| statement.said.card_nonce[0] ^= 1,
    ];
    for change in changes {
        let mut altered = good.clone();
        change(&mut altered);
        assert_eq!(refusal(wallet.take_freshness(&altered)), Some(Error::SignatureInvalid));
        assert_eq!(
            refusal(wallet.call(&TakeGrantRequest { statement: altered })),
            Some(Error::SignatureInvalid)
        );
    }
    let other = resigned(&good, |statement| statement.said.card_nonce = [7; 32]);
    assert_eq!(refusal(wallet.take_freshness(&other)), Some(Error::WrongChallenge));
    let other = resigned(&good, |statement| statement.said.pin_nonce = [7; 32]);
    assert_eq!(refusal(wallet.call(&TakeGrantRequest { statement: other })), Some(Error::WrongChallenge));
    assert_eq!(uses(&mut wallet, card), [Some(Error::NotFresh); 2]);
    // A card that the platform does not name, or with other keys.
    let newer = resigned(&good, |statement| statement.said.counters[0].key_version = 2);
    assert_eq!(wallet.take_freshness(&newer).unwrap(), 0);
    assert_eq!(uses(&mut wallet, card), [Some(Error::NotFresh); 2]);
    let silent = resigned(&good, |statement| statement.said.counters.clear());
    wallet.take_freshness(&silent).unwrap();
    assert_eq!(uses(&mut wallet, card), [Some(Error::NotFresh); 2]);
    let unknown = HighestCounter { card: CardId([9; 16]), key_version: 1, atc: 3 };
    let unknown = resigned(&silent, |statement| statement.said.counters.push(unknown).unwrap());
    assert_eq!(wallet.take_freshness(&unknown).unwrap(), 0);
}

#[test]
fn cards_of_an_older_store_go_on_above_what_was_seen() {
    for limited in [None, Some(3)] {
        let phone = Phone::new();
        let (mut wallet, mut lab) = (phone.wallet(), Lab::new().unwrap());
        lab.rules.limited_use = limited;
        let card = lab.provision(&mut wallet).unwrap();
        lab.set_time(&mut wallet).unwrap();
        if limited.is_some() {
            for count in [16, 8] {
                let batch = lab.key_batch(&mut wallet, card, count, u64::MAX).unwrap();
                wallet.replenish(&batch).unwrap();
            }
        }
        let mut pay =
            |wallet: &mut Wallet<Sim>| lab::pay(&mut lab, wallet, card, (100, false, false)).unwrap();
        assert!(pay(&mut wallet).1.is_approved());
        let older = phone.device.borrow().objects.clone();
        for _ in 0..17 {
            assert!(pay(&mut wallet).1.is_approved());
        }
        drop(wallet);
        phone.device.borrow_mut().objects = older;
        phone.restart();
        // The platform knows of the last payment.
        phone.platform.saw(card, 18);
        let mut wallet = alone(&phone);
        let statement = asked(&phone, &mut wallet);
        assert_eq!(wallet.take_freshness(&statement).unwrap(), 1, "the rollback is noticed");
        assert_eq!(wallet.take_freshness(&statement).unwrap(), 0, "and mended");
        let mut wallet = phone.wallet();
        let nonce = wallet.time_nonce().unwrap();
        wallet.set_time(Lab::new().unwrap().provider.time(nonce, lab::TIME)).unwrap();
        assert!(pay(&mut wallet).1.is_approved(), "{limited:?}");
        let last = wallet.card_log(card).unwrap().last().map(|entry| entry.atc);
        assert_eq!(last, Some(19), "{limited:?}");
    }
}

#[test]
fn each_try_is_granted_and_a_success_settles_its_run() {
    let (phone, lab, card) = prepared();
    phone.restart();
    let provider = LabBank::A.id();
    let mut wallet = alone(&phone);
    let mut opened = || {
        let mut pad = LabPad::default();
        wallet.open_pad(&mut pad).unwrap();
        let begun = wallet.call(&verify(card));
        (begun, pad, wallet.freshness_question().unwrap())
    };
    let before = phone.device.borrow().objects.clone();
    let (refused, _, question) = opened();
    assert_eq!(refusal(refused), Some(Error::TryNotGranted));
    assert_eq!(phone.device.borrow().objects, before, "a refusal spends nothing");
    assert_eq!(question.state.pin.asked, Some(GrantedTries { provider, granted: 0 }));
    let first = phone.platform.clone().ask(&question).unwrap();
    let mut bringing = alone(&phone);
    bringing.take_freshness(&first).unwrap();
    // Twice is once.
    bringing.take_freshness(&first).unwrap();
    assert_eq!(phone.platform.booked(provider), 1);
    let (begun, pad, question) = opened();
    assert_eq!(question.state.pin.asked, None);
    let mut entry = pad::Opened::of(pad, &begun.unwrap()).unwrap();
    let reply = wallet.call(&entry.pin("000000").unwrap()).unwrap();
    assert_eq!(reply.verdict, Verdict::Wrong);
    assert!(
        bringing.freshness_question().unwrap().state.pin.settled.is_empty(),
        "a wrong PIN settles nothing"
    );
    phone.advance(30_000);
    // Used up: an old statement brings no other.
    bringing.take_freshness(&first).unwrap();
    assert_eq!(refusal(pad::begin(&mut wallet, &verify(card))), Some(Error::TryNotGranted));
    let second = asked(&phone, &mut bringing);
    assert_eq!(second.said.granted, Some(GrantedTries { provider, granted: 2 }));
    bringing.take_freshness(&second).unwrap();
    assert_eq!(phone.platform.booked(provider), 2);
    // What the holder cancels is not used.
    for _ in 0..3 {
        let mut entry = pad::begin(&mut wallet, &verify(card)).unwrap();
        wallet.call(&entry.submit(&Entered::Nothing).unwrap()).unwrap();
        wallet.call(&FinishRequest { entry: entry.entry }).unwrap();
        phone.advance(30_000);
    }
    lab.verify(&mut wallet, card, PIN).unwrap();
    let question = bringing.freshness_question().unwrap();
    assert_eq!(question.state.pin.settled[..], [GrantedTries { provider, granted: 2 }]);
    phone.platform.clone().ask(&question).unwrap();
    assert_eq!(phone.platform.booked(provider), 0);
    // What was granted went with the success.
    assert_eq!(refusal(pad::begin(&mut wallet, &verify(card))), Some(Error::TryNotGranted));
}

#[test]
fn a_wallet_with_a_way_to_the_platform_does_all_that_by_itself() {
    let (phone, mut lab, card) = prepared();
    let provider = LabBank::A.id();
    phone.restart();
    let mut wallet = phone.wallet();
    assert!(lab::pay(&mut lab, &mut wallet, card, (100, false, false)).unwrap().1.is_approved());
    assert_eq!(phone.platform.booked(provider), 0, "a success is reported");
    assert!(matches!(lab.verify(&mut wallet, card, "000000"), Err(ClientError::WrongPin { tries_left: 2 })));
    assert_eq!(phone.platform.booked(provider), 1);
    phone.platform.answers(false);
    assert!(matches!(lab.verify(&mut wallet, card, PIN), Err(ClientError::Platform(_))));
    assert_eq!(wallet.pin_state(provider).unwrap().tries_left, 2, "nothing was spent");
    phone.platform.answers(true);
    lab.verify(&mut wallet, card, PIN).unwrap();
    assert_eq!(phone.platform.booked(provider), 0);
    // No way to it, but no need of it either: what is done with the pad's word alone, and what reads.
    phone.platform.answers(false);
    lab.set_pin(&mut wallet, "2468").unwrap();
    wallet.cards().unwrap();
}

#[test]
fn tries_of_more_providers_than_there_can_be_are_not_forgotten_but_refused() {
    let (phone, _, card) = prepared();
    let mut wallet = alone(&phone);
    wallet.open_pad(&mut LabPad::default()).unwrap();
    assert_eq!(refusal(wallet.call(&verify(card))), Some(Error::TryNotGranted));
    let good = asked(&phone, &mut wallet);
    // The lab's set-up has used one place.
    for provider in 1..=u8::try_from(MAX_PROVIDERS).unwrap() {
        let granted = GrantedTries { provider: tapvault_proto::id::ProviderId([provider; 16]), granted: 1 };
        let statement = resigned(&good, |statement| statement.said.granted = Some(granted));
        let taken = wallet.call(&TakeGrantRequest { statement });
        let full = usize::from(provider) == MAX_PROVIDERS;
        assert_eq!(refusal(taken), full.then_some(Error::OutOfMemory), "{provider}");
    }
}

/// Put back while the trusted app runs, storage brings no try: it is not asked how many were spent in this run.
#[test]
fn files_that_are_put_back_in_a_run_bring_no_try() {
    let (phone, lab, card) = prepared();
    let (provider, other) = (LabBank::A.id(), LabBank::B.id());
    phone.restart();
    let kept = phone.device.borrow().objects.clone();
    let mut wallet = phone.wallet();
    for left in (0..TRY_LIMIT).rev() {
        let wrong = lab.verify(&mut wallet, card, "000000");
        assert!(
            matches!(wrong, Err(ClientError::WrongPin { tries_left }) if tries_left == left),
            "{wrong:?}"
        );
        // The record is read anew when another one was.
        wallet.pin_state(other).unwrap();
        phone.device.borrow_mut().objects.clone_from(&kept);
        assert_eq!(wallet.pin_state(provider).unwrap().tries_left, left);
        let delay = RETRY_DELAYS_MS.get(usize::from(TRY_LIMIT - left)).copied().unwrap_or_default();
        assert_eq!(wallet.pin_delay(provider).unwrap(), delay, "nor does it shorten the delay");
    }
    assert_eq!(phone.platform.booked(provider), u32::from(TRY_LIMIT));
    assert_eq!(refusal(pad::begin(&mut wallet, &verify(card))), Some(Error::PinLocked));
    assert_eq!(phone.platform.booked(provider), u32::from(TRY_LIMIT), "and books none");
    // The bank's command does, as a new PIN with its ticket.
    let challenge = wallet.pin_challenge().unwrap();
    wallet.unlock_pin(&lab.provider.unlock(challenge, 1)).unwrap();
    lab.verify(&mut wallet, card, PIN).unwrap();
    assert_eq!(phone.platform.booked(provider), 0);
}

/// Who knows the PIN from before it was changed has the old record put back for it; what he guessed of the new one
/// before is not settled by it.
#[test]
fn an_old_record_settles_no_guess_of_the_new_one() {
    let (phone, mut lab, card) = prepared();
    let (provider, other) = (LabBank::A.id(), LabBank::B.id());
    let mut wallet = phone.wallet();
    let old = phone.device.borrow().objects.clone();
    lab.set_pin(&mut wallet, "864209").unwrap();
    let new = phone.device.borrow().objects.clone();
    phone.restart();
    let mut guesses = 0;
    for _ in 0..20 {
        let mut wallet = phone.wallet();
        let guessed = matches!(lab.verify(&mut wallet, card, "000000"), Err(ClientError::WrongPin { .. }));
        guesses += u32::from(guessed);
        let refused = if guessed { Error::PinLocked } else { Error::TryNotGranted };
        wallet.pin_state(other).unwrap();
        phone.device.borrow_mut().objects.clone_from(&old);
        assert_eq!(refusal(lab.verify(&mut wallet, card, PIN)), Some(refused), "in this run");
        wallet.pin_state(other).unwrap();
        drop(wallet);
        phone.device.borrow_mut().objects.clone_from(&new);
        phone.restart();
        // Alone in a run it is right, and settles that run.
        phone.device.borrow_mut().objects.clone_from(&old);
        if guesses < MAX_BOOKED {
            lab.verify(&mut phone.wallet(), card, PIN).unwrap();
        }
        phone.device.borrow_mut().objects.clone_from(&new);
        phone.restart();
    }
    assert_eq!((guesses, phone.platform.booked(provider)), (MAX_BOOKED, MAX_BOOKED));
}

/// An entry that is left, one that is accepted and not finished, and what takes no try.
#[test]
fn what_settles_and_what_does_not() {
    let (phone, mut lab, card) = prepared();
    let provider = LabBank::A.id();
    let mut wallet = phone.wallet();
    phone.restart();
    let mut wallet_of_another = phone.wallet();
    drop(pad::begin(&mut wallet_of_another, &verify(card)).unwrap());
    drop(wallet_of_another);
    assert_eq!(phone.platform.booked(provider), 1, "an entry that is left has used its try");
    lab.set_pin(&mut wallet, PIN).unwrap();
    wallet.freshness_question().map(|question| phone.platform.clone().ask(&question)).unwrap().unwrap();
    assert_eq!(phone.platform.booked(provider), 1, "a new PIN proves nothing");
    let mut opened = pad::begin(&mut wallet, &verify(card)).unwrap();
    wallet.call(&opened.pin(PIN).unwrap()).unwrap();
    // Nobody finishes it; it was the right PIN.
    drop(wallet);
    let mut wallet = phone.wallet();
    asked(&phone, &mut wallet);
    assert_eq!(phone.platform.booked(provider), 0);
    wallet.change_pin(provider, &mut Digits::of(&[PIN, "864209"])).unwrap();
    assert_eq!(phone.platform.booked(provider), 0, "a change is a success");
    // A statement that is withheld, a success, and then the statement.
    let late = asked_after_a_refusal(&phone, &mut alone(&phone), card);
    lab.verify(&mut wallet, card, "864209").unwrap();
    assert_eq!(phone.platform.booked(provider), 0);
    wallet.take_freshness(&late).unwrap();
    assert_eq!(refusal(pad::begin(&mut alone(&phone), &verify(card))), Some(Error::TryNotGranted));
}

/// A statement of the first keys says nothing of the second.
#[test]
fn a_card_that_is_issued_again_counts_from_one() {
    let (phone, mut lab, card) = prepared();
    let mut wallet = phone.wallet();
    assert!(lab::pay(&mut lab, &mut wallet, card, (100, false, false)).unwrap().1.is_approved());
    let statement = resigned(&asked(&phone, &mut wallet), |statement| statement.said.counters[0].atc = 900);
    lab.issue(&mut wallet, card).unwrap();
    assert_eq!(wallet.take_freshness(&statement).unwrap(), 0);
    assert!(lab::pay(&mut lab, &mut wallet, card, (100, false, false)).unwrap().1.is_approved());
    assert_eq!(
        wallet.card_log(card).unwrap().last().map(|entry| (entry.key_version, entry.atc)),
        Some((2, 1))
    );
}

/// What passed between phones and platform.
#[derive(Clone)]
struct Recorder {
    platform: LabPlatform,
    seen: Rc<RefCell<Vec<(FreshnessQuestion, FreshnessStatement)>>>,
}

impl PlatformLink for Recorder {
    fn ask(&mut self, question: &FreshnessQuestion) -> io::Result<FreshnessStatement> {
        let statement = self.platform.ask(question)?;
        self.seen.borrow_mut().push((question.clone(), statement.clone()));
        Ok(statement)
    }
}

/// The attacker has root and the pad in his hands, knows no PIN, puts every file back after every guess, has the
/// trusted apps start again, replays each statement that he ever saw and asks for new ones: he compares as many PINs as
/// are booked.
#[test]
fn who_grinds_gets_the_tries_that_are_booked_and_no_more() {
    let (phone, lab, card) = prepared();
    let provider = LabBank::A.id();
    let recorder = Recorder { platform: phone.platform.clone(), seen: Rc::default() };
    let kept = phone.device.borrow().objects.clone();
    let mut compared = 0;
    for round in 0..40 {
        // A guess of his: three in a run where it goes on, one where he starts it again at once.
        for guess in 0..(if round % 2 == 0 { 1 } else { u32::from(TRY_LIMIT) }) {
            let mut wallet = Wallet::new(phone.sim.clone()).with_platform(recorder.clone());
            for (_, statement) in recorder.seen.borrow().iter() {
                // Those of this run are good, and bring nothing new; the others are refused.
                let _ = wallet.take_freshness(statement);
            }
            for (question, _) in recorder.seen.borrow().clone() {
                // A question that is asked again books nothing.
                let booked = phone.platform.booked(provider);
                recorder.platform.clone().ask(&question).unwrap();
                assert!(phone.platform.booked(provider) <= booked);
            }
            lab::wait_for_try(&mut wallet, provider).unwrap();
            let mut pad = LabPad::default();
            wallet.open_pad(&mut pad).unwrap();
            let Ok(begun) = wallet.call(&verify(card)) else { continue };
            let mut entry = pad::Opened::of(pad, &begun).unwrap();
            let reply = wallet.call(&entry.pin(&format!("9{round:02}{guess}57")).unwrap()).unwrap();
            assert_eq!(reply.verdict, Verdict::Wrong);
            compared += 1;
            drop(wallet);
            phone.device.borrow_mut().objects.clone_from(&kept);
        }
        phone.restart();
    }
    assert_eq!(compared, MAX_BOOKED);
    assert_eq!(phone.platform.booked(provider), MAX_BOOKED);
    // The holder is locked out with him, in storage as it was: three tries, and none is granted.
    let mut wallet = phone.wallet();
    assert_eq!(wallet.pin_state(provider).unwrap().tries_left, TRY_LIMIT);
    wallet.open_pad(&mut LabPad::default()).unwrap();
    lab::pass(30_000);
    let refused = wallet.verify_pin(
        provider,
        tapvault::wallet::Purpose { card, ceiling: 1, currency: CNY },
        &mut Digits::of(&[PIN]),
    );
    assert_eq!(refusal(refused), Some(Error::TryNotGranted));
    // The bank makes sure who has the phone.
    phone.platform.forgive(provider);
    lab.verify(&mut wallet, card, PIN).unwrap();
}
