//! What a tap costs, and how long a verification lasts.

mod common;

use common::{Phone, refusal};
use tapvault_device_tests::{
    lab::{self, Digits, Lab, PIN},
    pad,
};
use tapvault_network::{
    lab::LabBank,
    registry::{CNY, draw_card_id},
};
use tapvault_proto::{
    Error,
    card::{ATC_RANGE, MAX_CARDS},
    emv::apdu::StatusWord,
    pin::{BeginVerifyRequest, FinishRequest, VERIFICATION_LIFE_MS},
    service::Service,
};

#[test]
fn a_tap_touches_no_storage() {
    let phone = Phone::new();
    let (mut wallet, mut lab) = (phone.wallet(), Lab::new().unwrap());
    let card = lab.provision(&mut wallet).unwrap();
    lab.set_pin(&mut wallet, PIN).unwrap();
    lab.verify(&mut wallet, card, PIN).unwrap();
    let mut tap = wallet.prepare_tap(card, true).unwrap();
    let before = phone.accesses();
    tap.transmit(b"\x00\xA4\x04\x00\x08\xA0\x00\x00\x03\x33\x01\x01\x01\x00");
    let response = tap.transmit(&lab::gpo_command(100, true));
    assert_eq!(response.status(), 0x9000);
    assert_eq!(phone.accesses(), before);
}

#[test]
fn storage_is_not_touched_between_the_pads_frame_and_the_answer() {
    let phone = Phone::new();
    let (mut wallet, mut other, mut lab) = (phone.wallet(), phone.wallet(), Lab::new().unwrap());
    let card = lab.provision(&mut wallet).unwrap();
    lab.set_pin(&mut wallet, PIN).unwrap();
    let provider = lab.provider_id();
    let begin = BeginVerifyRequest { provider, card, ceiling: 1, currency: CNY, exact: false };
    for digits in ["000000", PIN] {
        lab::wait_for_try(&mut wallet, provider).unwrap();
        let submit = pad::begin(&mut wallet, &begin).unwrap().pin(digits).unwrap();
        // Another record is opened in the meantime.
        other.pin_state(LabBank::B.id()).unwrap();
        let before = phone.accesses();
        wallet.call(&submit).unwrap();
        assert_eq!(phone.accesses(), before, "{digits}");
    }
}

#[test]
fn what_is_to_be_stored_ahead_of_a_tap_is_one_change() {
    let phone = Phone::new();
    let (mut wallet, mut lab) = (phone.wallet(), Lab::new().unwrap());
    let card = lab.provision(&mut wallet).unwrap();
    for number in 0..3 * ATC_RANGE {
        let before = phone.accesses();
        drop(wallet.prepare_tap(card, false).unwrap());
        assert_eq!(
            phone.accesses() - before,
            2,
            "{number}: one open, one write, of a new range and the last payment"
        );
        let before = phone.accesses();
        lab::pay(&mut lab, &mut wallet, card, (100, false, false)).unwrap();
        assert_eq!(phone.accesses(), before, "{number}: nothing new to store");
    }
}

#[test]
fn an_entry_and_a_verification_last_sixty_seconds() {
    let phone = Phone::new();
    let (mut wallet, mut lab) = (phone.wallet(), Lab::new().unwrap());
    let card = lab.provision(&mut wallet).unwrap();
    lab.set_pin(&mut wallet, PIN).unwrap();
    let begin =
        BeginVerifyRequest { provider: lab.provider_id(), card, ceiling: 100, currency: CNY, exact: false };
    let submit = pad::begin(&mut wallet, &begin).unwrap().pin(PIN).unwrap();
    phone.advance(VERIFICATION_LIFE_MS);
    assert_eq!(refusal(wallet.call(&submit)), Some(Error::NoEntry), "the entry is over");

    let submit = pad::begin(&mut wallet, &begin).unwrap().pin(PIN).unwrap();
    phone.advance(VERIFICATION_LIFE_MS - 1);
    wallet.call(&submit).unwrap();
    wallet.call(&FinishRequest { entry: submit.entry }).unwrap();
    phone.advance(VERIFICATION_LIFE_MS);
    assert_eq!(refusal(wallet.prepare_tap(card, true)), Some(Error::NoVerification), "the fact is over");

    // Taken in time, used too late.
    lab.verify(&mut wallet, card, PIN).unwrap();
    phone.advance(VERIFICATION_LIFE_MS - 1);
    let mut tap = wallet.prepare_tap(card, true).unwrap();
    phone.advance(1);
    tap.transmit(b"\x00\xA4\x04\x00\x08\xA0\x00\x00\x03\x33\x01\x01\x01\x00");
    let answer = tap.transmit(&lab::gpo_command(100, true));
    assert_eq!(answer.status(), StatusWord::VerificationNeeded as u16);
}

#[test]
fn an_entry_left_open_blocks_others_only_until_it_expires() {
    let phone = Phone::new();
    let (mut first, mut second, mut lab) = (phone.wallet(), phone.wallet(), Lab::new().unwrap());
    let card = lab.provision(&mut first).unwrap();
    lab.set_pin(&mut first, PIN).unwrap();
    let begin =
        BeginVerifyRequest { provider: lab.provider_id(), card, ceiling: 1, currency: CNY, exact: false };
    pad::begin(&mut first, &begin).unwrap();
    assert_eq!(refusal(second.call(&begin)), Some(Error::Busy));
    assert_eq!(refusal(pad::begin(&mut second, &begin)), Some(Error::Busy));
    phone.advance(VERIFICATION_LIFE_MS);
    pad::begin(&mut second, &begin).unwrap();
    drop(second);
    lab::wait_for_try(&mut first, lab.provider_id()).unwrap();
    pad::begin(&mut first, &begin).unwrap();
}

#[test]
fn the_store_holds_sixteen_cards_and_says_when_it_is_full() {
    let phone = Phone::new();
    let (mut wallet, mut lab) = (phone.wallet(), Lab::new().unwrap());
    let mut cards: Vec<_> = (0..MAX_CARDS).map(|_| lab.provision(&mut wallet).unwrap()).collect();
    let challenge = wallet.card_challenge().unwrap();
    let package = lab.package(draw_card_id().unwrap(), &challenge).unwrap();
    assert_eq!(refusal(wallet.add_card(package.as_bytes())), Some(Error::CardStoreFull));
    phone.restart();
    let mut wallet = phone.wallet();
    let mut found: Vec<_> = wallet.cards().unwrap().into_iter().map(|entry| entry.card).collect();
    cards.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, cards);
}

#[test]
fn the_last_counter_ends_the_key_version() {
    let phone = Phone::new();
    let (mut wallet, mut lab) = (phone.wallet(), Lab::new().unwrap());
    let card = lab.provision(&mut wallet).unwrap();
    // As if 65,530 counters had been reserved before.
    let name = phone.objects(Service::Card)[0].clone();
    if let Some(Some(bytes)) = phone.device.borrow_mut().objects.get_mut(&(Service::Card.uuid(), name)) {
        bytes[1..3].copy_from_slice(&65_530_u16.to_be_bytes());
    }
    phone.restart();
    let mut wallet = phone.wallet();
    for atc in 65_531..=65_535_u32 {
        let (request, decision) = lab::pay(&mut lab, &mut wallet, card, (100, false, false)).unwrap();
        assert_eq!(u32::from(u16::from_be_bytes(request.atc)), atc);
        assert!(decision.is_approved());
    }
    assert_eq!(refusal(wallet.prepare_tap(card, false)), Some(Error::AtcExhausted));
    // New keys begin a new count.
    let challenge = wallet.card_challenge().unwrap();
    let package = lab.package(card, &challenge).unwrap();
    wallet.add_card(package.as_bytes()).unwrap();
    let (request, _) = lab::pay(&mut lab, &mut wallet, card, (100, false, false)).unwrap();
    assert_eq!(request.atc, [0, 1]);
}

#[test]
fn a_verification_does_not_outlive_a_reissue_or_a_restart() {
    let phone = Phone::new();
    let (mut wallet, mut lab) = (phone.wallet(), Lab::new().unwrap());
    let card = lab.provision(&mut wallet).unwrap();
    lab.set_pin(&mut wallet, PIN).unwrap();
    lab.verify(&mut wallet, card, PIN).unwrap();
    phone.restart();
    let mut wallet = phone.wallet();
    assert_eq!(refusal(wallet.prepare_tap(card, true)), Some(Error::NoVerification));
    wallet.change_pin(lab.provider_id(), &mut Digits::of(&[PIN, "2468"])).unwrap();
    assert_eq!(
        refusal(wallet.prepare_tap(card, true)),
        Some(Error::NoVerification),
        "a change is no verification"
    );
}
