//! The PIN pad on a phone whose clock and storage the test holds; the scenarios have the rest.

mod adversary;
#[path = "../common/mod.rs"]
mod common;

use common::{OTHER_APP, prepared, refusal};
use tapvault::{Wallet, sim::Sim};
use tapvault_device_tests::{
    lab::{self, Digits, PIN},
    pad::{self, LabPad},
};
use tapvault_network::{lab::LabBank, registry::CNY};
use tapvault_proto::{
    Error,
    emv::apdu::StatusWord,
    id::CardId,
    pad::{PAD_PATIENCE_S, PAD_SESSION_LIFE_MS, PadMessage, PadOfferRequest, PadSuite},
    pin::{BeginVerifyRequest, FinishRequest, VERIFICATION_LIFE_MS},
    refused::ConfirmPrepareRequest,
    service::Service,
};

fn verify(card: CardId) -> BeginVerifyRequest {
    BeginVerifyRequest { provider: LabBank::A.id(), card, ceiling: 1, currency: CNY, exact: false }
}

fn tries(wallet: &mut Wallet<Sim>) -> u8 {
    wallet.pin_state(LabBank::A.id()).unwrap().tries_left
}

#[test]
fn a_session_waits_ten_seconds_for_its_entry() {
    let (phone, _, card) = prepared();
    let mut wallet = phone.wallet();
    for (wait, refused) in [(PAD_SESSION_LIFE_MS - 1, None), (PAD_SESSION_LIFE_MS, Some(Error::NoPadSession))]
    {
        wallet.open_pad(&mut LabPad::default()).unwrap();
        phone.advance(wait);
        assert_eq!(refusal(wallet.call(&verify(card))), refused, "{wait}");
        // The answer held back as long.
        let mut link = LabPad::default();
        let offer = wallet.call(&PadOfferRequest { suite: PadSuite::P256 }).unwrap();
        let Ok(PadMessage::Answer(answer)) = link.answer(&PadMessage::Offer(offer)) else {
            panic!("no answer")
        };
        phone.advance(wait);
        assert_eq!(refusal(wallet.call(&answer)), refused, "{wait}");
    }
    assert_eq!(tries(&mut wallet), 2, "the one entry that began");
}

#[test]
fn what_a_terminal_wanted_is_for_the_app_that_presented_and_for_a_minute() {
    let (phone, lab, card) = prepared();
    let mut wallet = phone.wallet();
    let wanted = |wallet: &mut Wallet<Sim>| {
        let answer = lab::tap(wallet, card, false, &lab::gpo_command(100, true)).unwrap();
        assert_eq!(answer.status(), StatusWord::VerificationNeeded as u16);
    };
    let exact = BeginVerifyRequest { ceiling: 100, exact: true, ..verify(card) };
    wanted(&mut wallet);
    let mut other = Wallet::new(phone.sim.as_caller(OTHER_APP));
    assert_eq!(refusal(other.call(&ConfirmPrepareRequest { card })), Some(Error::NothingRefused));
    wallet.call(&ConfirmPrepareRequest { card }).unwrap();
    pad::pair(&mut other).unwrap();
    assert_eq!(refusal(pad::begin(&mut other, &exact).map(|_| ())), Some(Error::NothingRefused));
    // Handed over it lasts a minute, and can be handed over again.
    phone.advance(VERIFICATION_LIFE_MS);
    assert_eq!(refusal(pad::begin(&mut wallet, &exact).map(|_| ())), Some(Error::NothingRefused));
    wallet.confirm_tap(lab.provider_id(), card, &mut Digits::of(&[PIN])).unwrap();
    // Not so when the card is not what it was, and after a start.
    wanted(&mut wallet);
    wallet.suspend(card).unwrap();
    lab.verify(&mut wallet, card, PIN).unwrap();
    wallet.resume(card).unwrap();
    assert_eq!(refusal(wallet.call(&ConfirmPrepareRequest { card })), Some(Error::NothingRefused));
    wanted(&mut wallet);
    phone.restart();
    assert_eq!(refusal(phone.wallet().call(&ConfirmPrepareRequest { card })), Some(Error::NothingRefused));
}

#[test]
fn a_frame_that_is_held_back_comes_too_late() {
    let (phone, _, card) = prepared();
    let mut wallet = phone.wallet();
    assert!(u64::from(PAD_PATIENCE_S) * 1000 + 5_000 < VERIFICATION_LIFE_MS, "the last tick comes in time");
    let late = pad::begin(&mut wallet, &verify(card)).unwrap().pin(PIN).unwrap();
    phone.advance(VERIFICATION_LIFE_MS);
    assert_eq!(refusal(wallet.call(&late)), Some(Error::NoEntry));
    assert_eq!(tries(&mut wallet), 2);
}

#[test]
fn nothing_outlives_its_client_or_a_restart() {
    let (phone, _, card) = prepared();
    let mut wallet = phone.wallet();
    wallet.open_pad(&mut LabPad::default()).unwrap();
    drop(wallet);
    let mut wallet = phone.wallet();
    assert_eq!(refusal(wallet.call(&verify(card))), Some(Error::NoPadSession));
    let frame = pad::begin(&mut wallet, &verify(card)).unwrap().pin(PIN).unwrap();
    drop(wallet);
    let mut wallet = phone.wallet();
    assert_eq!(refusal(wallet.call(&frame)), Some(Error::NoEntry));
    lab::wait_for_try(&mut wallet, LabBank::A.id()).unwrap();
    let frame = pad::begin(&mut wallet, &verify(card)).unwrap().pin(PIN).unwrap();
    phone.restart();
    let mut wallet = phone.wallet();
    assert_eq!(refusal(wallet.call(&frame)), Some(Error::NoEntry));
    assert_eq!(tries(&mut wallet), 1, "begun twice, answered never");
    // Keys and pairing do.
    lab::wait_for_try(&mut wallet, LabBank::A.id()).unwrap();
    wallet.change_pin(LabBank::A.id(), &mut Digits::of(&[PIN, "2468"])).unwrap();
}

#[test]
fn an_answered_entry_that_nobody_finishes_brings_its_try_back_and_no_more() {
    let (phone, mut lab, card) = prepared();
    let mut wallet = phone.wallet();
    let mut opened = pad::begin(&mut wallet, &verify(card)).unwrap();
    wallet.call(&opened.pin(PIN).unwrap()).unwrap();
    phone.advance(VERIFICATION_LIFE_MS);
    assert_eq!(refusal(wallet.call(&FinishRequest { entry: opened.entry })), Some(Error::NoEntry));
    assert_eq!(tries(&mut wallet), 3);
    assert_eq!(refusal(wallet.prepare_tap(card, true)), Some(Error::NoVerification));
    assert!(lab.verify(&mut wallet, card, "000000").is_err());
    lab::wait_for_try(&mut wallet, LabBank::A.id()).unwrap();
    let mut opened = pad::begin(&mut wallet, &verify(card)).unwrap();
    wallet.call(&opened.submit(&tapvault_proto::pad::Entered::Nothing).unwrap()).unwrap();
    drop(wallet);
    assert_eq!(tries(&mut phone.wallet()), 2, "the entry's own try, not the wrong PIN's");
    lab.set_pin(&mut phone.wallet(), PIN).unwrap();
}

#[test]
fn without_its_keys_the_phone_has_no_pad_until_the_factory_pairs_it() {
    for missing in [true, false] {
        let (phone, lab, card) = prepared();
        let before = phone.wallet().pad_state().unwrap();
        let name = (Service::Pin.uuid(), b"pad".to_vec());
        if missing {
            phone.device.borrow_mut().objects.remove(&name);
        } else {
            phone.device.borrow_mut().corrupt(name.0, b"pad");
        }
        phone.restart();
        let mut wallet = phone.wallet();
        assert_eq!(refusal(lab.verify(&mut wallet, card, PIN)), Some(Error::PadNotPaired));
        assert_eq!(tries(&mut wallet), 3);
        let after = wallet.pad_state().unwrap();
        assert_eq!(after.pairing, None);
        assert_ne!(after.keys, before.keys);
        assert_eq!(refusal(wallet.call(&before.pairing.unwrap())), Some(Error::PairingInvalid));
        pad::pair(&mut wallet).unwrap();
        lab.verify(&mut wallet, card, PIN).unwrap();
    }
}

#[test]
fn a_pairing_is_kept_whole_or_not_at_all() {
    for point in 1..10 {
        let (phone, lab, card) = prepared();
        let mut wallet = phone.wallet();
        let state = wallet.pad_state().unwrap();
        let kept = state.pairing.unwrap();
        let new = pad::new_pairing(kept.sequence, state.keys).unwrap();
        phone.device.borrow_mut().changes_left = Some(point);
        let done = wallet.call(&new);
        let cut = phone.device.borrow().changes_left == Some(0);
        phone.restart();
        let mut wallet = phone.wallet();
        let after = wallet.pad_state().unwrap();
        assert_eq!(after.keys, state.keys);
        assert_eq!(after.pairing, Some(if done.is_ok() { new } else { kept }));
        lab.verify(&mut wallet, card, PIN).unwrap();
        if !cut {
            assert_eq!(point, 2, "one change");
            return;
        }
    }
    panic!("it does not end");
}
