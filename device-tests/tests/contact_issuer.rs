//! What a test profile's issuer has it do: card PIN, scripts, card status updates.

mod common;

use common::contact::*;
use tapvault_device_tests::contact::{Generated, begin, command, options, select, verify};
use tapvault_network::{
    contact::{ContactRules, Script},
    oda::OdaKind,
};
use tapvault_proto::{contact::ArpcMethod, emv::contact::PSE, profile::Suite};

#[test]
fn a_card_status_update_is_obeyed() {
    let rules = ContactRules { arpc: ArpcMethod::Two, ..ContactRules::default() };
    let mut bench = Bench::new(Suite::Emv3Des, OdaKind::Rsa1024, rules);
    let test = bench.test.clone();
    let mut card = bench.insert();
    let mut end = |status: &[u8]| {
        begin(&mut card, &test).unwrap();
        let asked = first(&mut card, 0x80);
        let answer = test.answer_with_status(asked.atc, &asked.cryptogram, status);
        assert_eq!(ask(&mut card, &external(&answer)), 0x9000);
        let tries = card.transmit(&command(0x80, 0xCA, 0x9F, 0x17, &[])).data().to_vec();
        (second(&mut card, 0x40, *b"00").information, tries)
    };
    // Proprietary data behind the update are covered; one that does not approve; tries, never more than the limit.
    assert_eq!(end(&[0x80, 0x80, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]), (0x40, vec![0x9F, 0x17, 1, 3]));
    assert_eq!(end(&[0; 4]).0, 0x00);
    assert_eq!(end(&[0x01, 0x90, 0, 0]), (0x40, vec![0x9F, 0x17, 1, 1]));
    assert_eq!(end(&[0x0F, 0x90, 0, 0]), (0x40, vec![0x9F, 0x17, 1, 3]));
    // The application is blocked, and the card.
    assert_eq!(end(&[0, 0xA0, 0, 0]).0, 0x00);
    assert_eq!(ask(&mut card, &select(&test)), 0x6283);
    assert_eq!(ask(&mut card, &options()), 0x9000);
    assert_eq!(first(&mut card, 0x80).information, 0x00);
}

#[test]
fn a_wrong_pin_costs_a_try_whatever_happens() {
    let mut bench = Bench::plain();
    let test = bench.test.clone();
    let mut card = bench.insert();
    begin(&mut card, &test).unwrap();
    assert_eq!(ask(&mut card, &verify("654321")), 0x63C2);
    let asked = first(&mut card, 0x80);
    assert_right(&test, &asked, [0x03, 0xA6, 0x10, 0x00]);
    // No PIN behind the cryptogram.
    assert_eq!(ask(&mut card, &verify(PIN)), 0x6985);
    // A block that is none is a wrong PIN; the last try is spent, and a restart gives none back.
    begin(&mut card, &test).unwrap();
    assert_eq!(ask(&mut card, &command(0x00, 0x20, 0, 0x80, &[0; 8])), 0x63C1);
    bench.restart();
    let mut card = bench.insert();
    begin(&mut card, &test).unwrap();
    assert_eq!(ask(&mut card, &verify("0000")), 0x63C0);
    assert_eq!(ask(&mut card, &verify(PIN)), 0x6984);
    bench.restart();
    let mut card = bench.insert();
    begin(&mut card, &test).unwrap();
    assert_eq!(ask(&mut card, &verify(PIN)), 0x6984);
    assert_right(&test, &first(&mut card, 0x80), [0x03, 0xA0, 0xD0, 0x00]);
    // A right one gives all tries back.
    let mut bench = Bench::plain();
    let mut card = bench.insert();
    begin(&mut card, &test).unwrap();
    assert_eq!(ask(&mut card, &verify("0000")), 0x63C2);
    assert_eq!(ask(&mut card, &verify(PIN)), 0x9000);
    assert_eq!(ask(&mut card, &verify("0000")), 0x63C2);
}

/// A try is gone before anything is compared: storage that fails says nothing of the PIN.
#[test]
fn storage_that_fails_tells_nothing_of_a_pin() {
    let mut bench = Bench::plain();
    let (test, device) = (bench.test.clone(), bench.phone.same_device());
    let mut card = bench.insert();
    begin(&mut card, &test).unwrap();
    for pin in [PIN, "0000"] {
        device.borrow_mut().changes_left = Some(0);
        assert_eq!(ask(&mut card, &verify(pin)), 0x6F00);
        device.borrow_mut().changes_left = None;
    }
    // Power fails between the try and the right PIN's reward.
    device.borrow_mut().changes_left = Some(2);
    assert_eq!(ask(&mut card, &verify(PIN)), 0x6F00);
    device.borrow_mut().changes_left = None;
    assert_eq!(ask(&mut card, &verify("0000")), 0x63C1);
    // A cryptogram does not leave before the card knows that it was online.
    device.borrow_mut().changes_left = Some(0);
    assert_eq!(ask(&mut card, &command(0x80, 0xAE, 0x80, 0, &data())), 0x6F00);
    device.borrow_mut().changes_left = None;
    assert_right(&test, &first(&mut card, 0x80), [0x03, 0xA6, 0x10, 0x00]);
}

#[test]
fn scripts_do_what_their_mac_covers() {
    for suite in Suite::ALL {
        let mut bench = Bench::new(suite, OdaKind::Sm2, ContactRules::default());
        let test = bench.test.clone();
        let mut card = bench.insert();
        let tries = |card: &mut Inserted<'_>| {
            *card.transmit(&command(0x80, 0xCA, 0x9F, 0x17, &[])).data().last().unwrap()
        };
        let run = |card: &mut Inserted<'_>, asked: &Generated, script: &Script| {
            ask(card, &test.script(asked.atc, &asked.cryptogram, script).unwrap())
        };
        complete(&mut card, &test);
        // The PIN: blocked, unblocked, changed, changed from the present one.
        begin(&mut card, &test).unwrap();
        for left in [0x63C2, 0x63C1, 0x63C0, 0x6984] {
            assert_eq!(ask(&mut card, &verify("0000")), left);
        }
        let asked = first(&mut card, 0x80);
        assert_eq!(run(&mut card, &asked, &Script::PinUnblock), 0x9000);
        assert_eq!(tries(&mut card), 3);
        let change = |new: &str, current: Option<&str>| Script::PinChange {
            new: new.into(),
            current: current.map(str::to_owned),
        };
        assert_eq!(run(&mut card, &asked, &change("97531", None)), 0x9000);
        assert_eq!(run(&mut card, &asked, &change("864208642086", Some("97531"))), 0x9000);
        assert_eq!(run(&mut card, &asked, &change("1111", Some("97532"))), 0x6A80, "{suite:?}");
        begin(&mut card, &test).unwrap();
        assert_eq!(ask(&mut card, &verify("97531")), 0x63C2);
        assert_eq!(ask(&mut card, &verify("864208642086")), 0x9000);
        // Three scripts, and one that failed; the transaction before was not completed.
        let asked = first(&mut card, 0x80);
        assert_right(&test, &asked, [0x03, 0xA4, 0x80, 0x38]);
        // The application: blocked at once, and only its issuer's word unblocks it.
        assert_eq!(ask(&mut card, &external(&approval(&test, &asked))), 0x9000);
        assert_eq!(run(&mut card, &asked, &Script::ApplicationBlock), 0x9000);
        let declined = second(&mut card, 0x40, *b"00");
        assert_right(&test, &declined, [0x03, 0x24, 0x80, 0x10]);
        assert_eq!(ask(&mut card, &select(&test)), 0x6283);
        assert_eq!(ask(&mut card, &options()), 0x9000);
        let declined = first(&mut card, 0x80);
        assert_right(&test, &declined, [0x03, 0x80, 0x00, 0x10]);
        assert_eq!(declined.information, 0x00);
        assert_eq!(run(&mut card, &declined, &Script::ApplicationUnblock), 0x9000);
        assert_eq!(ask(&mut card, &select(&test)), 0x9000);
        // The card, for good.
        assert_eq!(ask(&mut card, &options()), 0x9000);
        let asked = first(&mut card, 0x80);
        assert_eq!(run(&mut card, &asked, &Script::CardBlock), 0x9000);
        bench.restart();
        let mut card = bench.insert();
        assert_eq!(ask(&mut card, &select(&test)), 0x6A81);
        assert_eq!(ask(&mut card, &command(0x00, 0xA4, 4, 0, PSE)), 0x6A81);
        assert_eq!(ask(&mut card, &options()), 0x6985);
    }
}

#[test]
fn a_wrong_mac_changes_nothing_and_ends_scripts() {
    let mut bench = Bench::plain();
    let test = bench.test.clone();
    let mut card = bench.insert();
    complete(&mut card, &test);
    begin(&mut card, &test).unwrap();
    // Before a cryptogram there is nothing a MAC could cover.
    let early = test.script(2, &[0; 8], &Script::ApplicationBlock).unwrap();
    assert_eq!(ask(&mut card, &early), 0x6985);
    let asked = first(&mut card, 0x80);
    let script = |script: &Script| test.script(asked.atc, &asked.cryptogram, script).unwrap();
    let block = script(&Script::ApplicationBlock);
    // A MAC of another length.
    for mac in [3, 9] {
        let header = [0x84, 0x1E, 0, 0, mac];
        assert_eq!(ask(&mut card, &[&header[..], &vec![0; usize::from(mac)]].concat()), 0x6700);
    }
    for at in [5, 8] {
        let mut wrong = block.clone();
        wrong[at] ^= 1;
        let expected = if at == 5 { 0x6988 } else { 0x6985 };
        assert_eq!(ask(&mut card, &wrong), expected);
    }
    // The right one comes too late.
    assert_eq!(ask(&mut card, &block), 0x6985);
    // Not for this header, not for this counter, not for this cryptogram; none of them did anything.
    for which in 0..3 {
        begin(&mut card, &test).unwrap();
        let asked = first(&mut card, 0x80);
        assert_eq!(asked.information, 0x80);
        let mut other = asked.cryptogram;
        other[0] ^= 1;
        let wrong = match which {
            0 => {
                let mut wrong = test.script(asked.atc, &asked.cryptogram, &Script::ApplicationBlock).unwrap();
                wrong[1] = 0x16;
                wrong
            }
            1 => test.script(asked.atc + 1, &asked.cryptogram, &Script::CardBlock).unwrap(),
            _ => test.script(asked.atc, &other, &Script::CardBlock).unwrap(),
        };
        assert_eq!(ask(&mut card, &wrong), 0x6988);
    }
    assert_eq!(ask(&mut card, &select(&test)), 0x9000);
    assert_eq!(ask(&mut card, &options()), 0x9000);
    assert_right(&test, &first(&mut card, 0x80), [0x03, 0xA0, 0x80, 0x08]);
}
