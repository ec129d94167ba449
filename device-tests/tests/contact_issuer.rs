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

/// The record of the limits.
fn limits(lower: u8, upper: u8) -> Vec<u8> {
    vec![0x70, 8, 0x9F, 0x14, 1, lower, 0x9F, 0x23, 1, upper]
}

/// The limits as GET DATA gives them, and their record.
fn told(card: &mut Inserted<'_>) -> ([Vec<u8>; 2], Vec<u8>) {
    let object = |card: &mut Inserted<'_>, tag| {
        card.transmit(&command(0x80, 0xCA, 0x9F, tag, &[]))
            .data()
            .last_chunk::<1>()
            .map(|value| value.to_vec())
    };
    let values = [0x14, 0x23].map(|tag| object(card, tag).unwrap_or_default());
    (values, card.transmit(&command(0x00, 0xB2, 1, 3 << 3 | 4, &[])).data().to_vec())
}

fn of(lower: u8, upper: u8) -> ([Vec<u8>; 2], Vec<u8>) {
    ([vec![lower], vec![upper]], limits(lower, upper))
}

#[test]
fn scripts_change_the_terminals_limits() {
    for suite in Suite::ALL {
        let mut bench = Bench::new(suite, OdaKind::Rsa1536, ContactRules::default());
        let test = bench.test.clone();
        let mut card = bench.insert();
        complete(&mut card, &test);
        begin(&mut card, &test).unwrap();
        let asked = first(&mut card, 0x80);
        assert_eq!(told(&mut card), of(3, 5));
        let run = |card: &mut Inserted<'_>, script: &Script| {
            ask(card, &test.script(asked.atc, &asked.cryptogram, script).unwrap())
        };
        assert_eq!(run(&mut card, &Script::PutData { tag: 0x9F23, value: vec![9] }), 0x9000, "{suite:?}");
        assert_eq!(told(&mut card), of(3, 9));
        assert_eq!(run(&mut card, &Script::PutData { tag: 0x9F14, value: vec![0] }), 0x9000);
        assert_eq!(told(&mut card), of(0, 9));
        let record = Script::UpdateRecord { sfi: 3, number: 1, data: limits(1, 2) };
        assert_eq!(run(&mut card, &record), 0x9000);
        assert_eq!(told(&mut card), of(1, 2));
        // For good, and the next cryptogram tells of three scripts.
        bench.restart();
        let mut card = bench.insert();
        begin(&mut card, &test).unwrap();
        assert_eq!(told(&mut card), of(1, 2));
        assert_right(&test, &first(&mut card, 0x80), [0x03, 0xA0, 0x80, 0x30]);
    }
}

/// A right MAC is not enough: only what is listed may be changed, and only into something of its kind.
#[test]
fn scripts_change_nothing_that_is_signed_or_the_tokens() {
    let mut bench = Bench::plain();
    let test = bench.test.clone();
    let mut card = bench.insert();
    complete(&mut card, &test);
    begin(&mut card, &test).unwrap();
    let asked = first(&mut card, 0x80);
    let records = |card: &mut Inserted<'_>| {
        [(1, 1), (1, 2), (2, 2), (1, 3)].map(|(number, sfi): (u8, u8)| {
            let record = card.transmit(&command(0x00, 0xB2, number, sfi << 3 | 4, &[]));
            assert_eq!(record.status(), 0x9000);
            record.data().to_vec()
        })
    };
    let before = records(&mut card);
    let mut refused = |script: Script, expected: u16| {
        let command = test.script(asked.atc, &asked.cryptogram, &script).unwrap();
        assert_eq!(ask(&mut card, &command), expected, "{script:02X?}");
    };
    // Counters, tries, log format; number, track, lists, action codes, certificates; what there is not.
    for tag in
        [0x9F36, 0x9F13, 0x9F17, 0x9F4F, 0x5A, 0x57, 0x5F34, 0x8C, 0x8E, 0x9F0D, 0x9F46, 0x70, 0x9F79, 0x0000]
    {
        refused(Script::PutData { tag, value: vec![1] }, 0x6A88);
    }
    refused(Script::PutData { tag: 0x9F14, value: vec![1, 1] }, 0x6A80);
    refused(Script::PutData { tag: 0x9F14, value: Vec::new() }, 0x6700);
    let update = |sfi, number, data: &[u8]| Script::UpdateRecord { sfi, number, data: data.to_vec() };
    let [signed, issuer, own, _] = &before;
    for (sfi, number, record) in [(1, 1, signed), (2, 1, issuer), (2, 2, own)] {
        refused(update(sfi, number, record), 0x6982);
        refused(update(sfi, number, &limits(1, 1)), 0x6982);
    }
    refused(update(3, 2, &limits(1, 1)), 0x6A83);
    refused(update(4, 1, &limits(1, 1)), 0x6A82);
    refused(update(11, 1, &limits(1, 1)), 0x6A82);
    refused(update(3, 0, &limits(1, 1)), 0x6A86);
    let good = limits(1, 1);
    for wrong in [
        &good[..9],
        &[&good[..], &[0]].concat(),
        // Another template, another tag, the objects the other way round, one in place of two, a length that is not so.
        &[&[0x71], &good[1..]].concat(),
        &[&good[..2], &[0x9F, 0x15], &good[4..]].concat(),
        &[&good[..2], &good[6..], &good[2..6]].concat(),
        &[0x70, 8, 0x9F, 0x14, 5, 0, 0, 0, 0, 0],
        &[&good[..4], &[2], &good[5..]].concat(),
        &[&[0x70, 7], &good[2..]].concat(),
        &[&[0x70, 9], &good[2..]].concat(),
        &[0x70, 4, 0x9F, 0x14, 1, 1, 0x9F, 0x23, 1, 1],
    ] {
        refused(update(3, 1, wrong), 0x6A80);
    }
    assert_eq!(records(&mut card), before);
    assert_eq!(told(&mut card), of(3, 5));
    // None counts, and the issuer is told that one failed.
    begin(&mut card, &test).unwrap();
    assert_right(&test, &first(&mut card, 0x80), [0x03, 0xA0, 0x80, 0x08]);
}

#[test]
fn the_mac_covers_what_is_changed() {
    let mut bench = Bench::plain();
    let test = bench.test.clone();
    let mut card = bench.insert();
    for (script, byte) in [
        (Script::PutData { tag: 0x9F14, value: vec![9] }, 3),
        (Script::PutData { tag: 0x9F14, value: vec![9] }, 5),
        (Script::UpdateRecord { sfi: 3, number: 1, data: limits(9, 9) }, 2),
        (Script::UpdateRecord { sfi: 3, number: 1, data: limits(9, 9) }, 14),
    ] {
        begin(&mut card, &test).unwrap();
        let asked = first(&mut card, 0x80);
        let right = test.script(asked.atc, &asked.cryptogram, &script).unwrap();
        let mut wrong = right.clone();
        wrong[byte] ^= 2;
        assert_eq!(ask(&mut card, &wrong), 0x6988, "byte {byte}");
        assert_eq!(ask(&mut card, &right), 0x6985);
        assert_eq!(told(&mut card), of(3, 5));
    }
}

#[test]
fn power_that_fails_leaves_the_record_before_or_the_one_after() {
    for script in [
        Script::PutData { tag: 0x9F23, value: vec![9] },
        Script::UpdateRecord { sfi: 3, number: 1, data: limits(3, 9) },
    ] {
        let mut seen = Vec::new();
        for point in 1.. {
            let mut bench = Bench::plain();
            let (test, device) = (bench.test.clone(), bench.phone.same_device());
            let mut card = bench.insert();
            complete(&mut card, &test);
            begin(&mut card, &test).unwrap();
            let asked = first(&mut card, 0x80);
            let command = test.script(asked.atc, &asked.cryptogram, &script).unwrap();
            device.borrow_mut().changes_left = Some(point);
            let status = ask(&mut card, &command);
            let cut = device.borrow().changes_left == Some(0);
            assert_eq!(status, if cut { 0x6F00 } else { 0x9000 });
            if cut {
                // In memory as in storage.
                assert_eq!(told(&mut card), of(3, 5));
            }
            bench.restart();
            let mut card = bench.insert();
            begin(&mut card, &test).unwrap();
            let changed = told(&mut card) == of(3, 9);
            assert!(changed || told(&mut card) == of(3, 5));
            // The record and the count of scripts change together.
            let count = if changed { 0x10 } else { 0x00 };
            assert_right(&test, &first(&mut card, 0x80), [0x03, 0xA0, 0x80, count]);
            seen.push(changed);
            if !cut {
                break;
            }
        }
        assert!(seen.len() > 1 && !seen[0] && seen[seen.len() - 1], "{seen:?}");
    }
}
