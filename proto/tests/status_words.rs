//! The status word of every malformed or out-of-order command (facts A8; EMV Book 1, 12; ISO/IEC 7816-4).

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use tapvault_proto::emv::{
    AID_UNIONPAY_DEBIT, PPSE,
    apdu::{Command, Response, StatusWord},
    application::{CardApplication, Processed, Record, StaticAnswers},
    gpo::{PDOL_DATA_LEN, PdolData},
};
use tapvault_proto::profile::Cvn;

const READY: &[&[u8]] = &[];
const SELECTED: &[&[u8]] = &[&[0x00, 0xA4, 0x04, 0x00, 0x08, 0xA0, 0, 0, 3, 0x33, 1, 1, 1, 0x00]];

/// A card whose application has a name; the file control information is the name.
fn card(name: &[u8], priority: u8) -> StaticAnswers {
    let data = b"record".iter().copied().collect();
    StaticAnswers {
        aid: name.iter().copied().collect(),
        entry: [&[0x61, name.len() as u8], name].concat().into_iter().collect(),
        priority,
        fci: name.iter().copied().collect(),
        records: [Record { sfi: 1, number: 1, data }].into_iter().collect(),
    }
}

/// The answer to the last of `commands`; GET PROCESSING OPTIONS is answered as the trusted app does.
fn last(commands: &[&[u8]]) -> Response {
    let (mut application, cards) = (CardApplication::new(), [card(&AID_UNIONPAY_DEBIT, 1)]);
    let gpo = |_, command: &Command<'_>| match PdolData::from_command(command, Cvn::V01) {
        Ok(_) => Processed {
            response: Response::ok(&[0x77, 5, 0x9F, 0x36, 2, 0x01, 0x02]),
            record: Some(Record { sfi: 3, number: 1, data: b"dynamic".iter().copied().collect() }),
        },
        Err(status) => status.into(),
    };
    let all = commands.iter().map(|command| application.transmit(&cards, command, gpo));
    all.last().unwrap()
}

fn after(before: &[&[u8]], command: &[u8]) -> u16 {
    last(&[before, &[command]].concat()).status()
}

fn select(name: &[u8], p2: u8) -> Vec<u8> {
    Command { cla: 0x00, ins: 0xA4, p1: 0x04, p2, data: name }.to_bytes().to_vec()
}

fn gpo(ttq: [u8; 4]) -> Vec<u8> {
    let mut data = vec![0x83, PDOL_DATA_LEN as u8];
    data.extend(ttq);
    data.resize(2 + PDOL_DATA_LEN, 0);
    Command { cla: 0x80, ins: 0xA8, p1: 0, p2: 0, data: &data }.to_bytes().to_vec()
}

const QPBOC: [u8; 4] = [0x20, 0x80, 0, 0];

#[test]
fn malformed_commands_have_their_status_word() {
    let partial: &[u8] = &AID_UNIONPAY_DEBIT[..5];
    let cases: &[(Vec<u8>, u16)] = &[
        (vec![], 0x6700),
        (vec![0x00, 0xA4, 0x04], 0x6700),
        (vec![0x00, 0xA4, 0x04, 0x00, 0x05, 0xA0], 0x6700),
        (vec![0x00, 0xA4, 0x04, 0x00, 0x01, 0xA0, 0x00, 0x00], 0x6700),
        (select(PPSE, 0x00), 0x9000),
        (select(PPSE, 0x02), 0x6A82),
        (select(&AID_UNIONPAY_DEBIT, 0x00), 0x9000),
        (select(partial, 0x00), 0x9000),
        (select(partial, 0x02), 0x6A82),
        (select(&AID_UNIONPAY_DEBIT[..4], 0x00), 0x6A82),
        (select(b"1PAY.SYS.DDF01", 0x00), 0x6A82),
        (select(&[0xA0, 0, 0, 0, 3], 0x00), 0x6A82),
        (select(&AID_UNIONPAY_DEBIT, 0x04), 0x6A86),
        (vec![0x00, 0xA4, 0x00, 0x00, 0x00], 0x6A86),
        (vec![0x01, 0xA4, 0x04, 0x00, 0x00], 0x6881),
        (vec![0x83, 0xA8, 0x00, 0x00, 0x00], 0x6881),
        (vec![0x84, 0xA4, 0x04, 0x00, 0x00], 0x6E00),
        (vec![0xFF, 0xCA, 0x00, 0x00, 0x00], 0x6E00),
        (vec![0x80, 0xCA, 0x9F, 0x36, 0x00], 0x6985),
        (vec![0x80, 0xAE, 0x80, 0x00, 0x00], 0x6D00),
        (vec![0x00, 0x20, 0x00, 0x80, 0x00], 0x6D00),
        (vec![0x00, 0x82, 0x00, 0x00, 0x00], 0x6D00),
        (vec![0x00, 0x84, 0x00, 0x00, 0x00], 0x6D00),
        (vec![0x00, 0x88, 0x00, 0x00, 0x00], 0x6D00),
        (gpo(QPBOC), 0x6985),
        (vec![0x00, 0xB2, 0x01, 0x0C, 0x00], 0x6985),
    ];
    for (command, status) in cases {
        assert_eq!(after(READY, command), *status, "{command:02X?}");
    }
}

#[test]
fn processing_options_have_their_status_word() {
    let right = gpo(QPBOC);
    let no_le = &right[..right.len() - 1];
    let cases: &[(Vec<u8>, u16)] = &[
        (right.clone(), 0x9000),
        (no_le.to_vec(), 0x9000),
        (vec![0x80, 0xA8, 0x00, 0x00], 0x6A80),
        (vec![0x80, 0xA8, 0x00, 0x00, 0x00], 0x6A80),
        ([&right[..5], &[0x84], &right[6..]].concat(), 0x6A80),
        (vec![0x80, 0xA8, 0x00, 0x00, 0x01, 0x83, 0x00], 0x6700),
        (vec![0x80, 0xA8, 0x00, 0x00, 0x02, 0x83, 0x00, 0x00], 0x6700),
        ([&right[..6], &[0x20], &right[7..]].concat(), 0x6700),
        ([&[0x80, 0xA8, 0x00, 0x00, 0x22, 0x83, 0x20], &right[7..right.len() - 2]].concat(), 0x6700),
        ([&[0x80, 0xA8, 0x01, 0x00], &right[4..]].concat(), 0x6A86),
        ([&[0x80, 0xA8, 0x00, 0x80], &right[4..]].concat(), 0x6A86),
        (gpo([0; 4]), 0x6700),
        (gpo([0x80, 0x80, 0, 0]), 0x6985),
    ];
    for (command, status) in cases {
        assert_eq!(after(SELECTED, command), *status, "{command:02X?}");
    }
}

#[test]
fn records_are_read_once_a_cryptogram_was_given() {
    let right = gpo(QPBOC);
    let processed = [SELECTED, &[&right]].concat();
    for (command, status) in [
        ([0x00, 0xB2, 0x01, 0x0C, 0x00], 0x9000),
        ([0x00, 0xB2, 0x02, 0x0C, 0x00], 0x6A83),
        ([0x00, 0xB2, 0x01, 0x1C, 0x00], 0x9000),
        ([0x00, 0xB2, 0x02, 0x1C, 0x00], 0x6A83),
        ([0x00, 0xB2, 0x01, 0x14, 0x00], 0x6A82),
        ([0x00, 0xB2, 0x00, 0x0C, 0x00], 0x6A86),
        ([0x00, 0xB2, 0x01, 0x0D, 0x00], 0x6A86),
        ([0x80, 0xCA, 0x9F, 0x36, 0x00], 0x9000),
        ([0x80, 0xCA, 0x9F, 0x17, 0x00], 0x6A88),
        ([0x80, 0xCA, 0x9F, 0x4F, 0x00], 0x6A88),
        ([0x80, 0xCA, 0x9F, 0x79, 0x00], 0x6A88),
    ] {
        assert_eq!(after(&processed, &command), status, "{command:02X?}");
    }
    assert_eq!(after(&processed, &right), StatusWord::ConditionsNotSatisfied as u16, "one per SELECT");
    let again = [&processed[..], SELECTED].concat();
    assert_eq!(after(&again, &right), 0x9000);
    let (ppse, other) = (select(PPSE, 0x00), select(b"other app", 0x00));
    let directory = [&processed[..], &[&ppse]].concat();
    assert_eq!(after(&directory, &right), 0x6985, "the directory is no application");
    let missed = [SELECTED, &[&other]].concat();
    assert_eq!(after(&missed, &right), 0x9000, "a SELECT that fails leaves the selection");
}

#[test]
fn the_counter_of_the_last_cryptogram_can_be_asked_for() {
    let counter = [0x80, 0xCA, 0x9F, 0x36, 0x00];
    assert_eq!(after(SELECTED, &counter), 0x6A88, "there was none yet");
    let right = gpo(QPBOC);
    let read = last(&[SELECTED, &[&right, &counter]].concat());
    assert_eq!(read.data(), [0x9F, 0x36, 2, 0x01, 0x02]);
    // Selecting again starts no new count.
    let again = last(&[SELECTED, &[&right], SELECTED, &[&counter]].concat());
    assert_eq!(again.data(), [0x9F, 0x36, 2, 0x01, 0x02]);
}

#[test]
fn a_terminal_finds_every_card() {
    let aid = &AID_UNIONPAY_DEBIT;
    let credit = [&aid[..7], &[2]].concat();
    // As a phone gives them: in order of priority, the second debit card with one byte more.
    let cards = [card(&[&aid[..], &[3]].concat(), 1), card(aid, 1), card(&credit, 2)];
    let mut application = CardApplication::new();
    let mut ask = |command: &[u8]| {
        let mut chosen = None;
        let response = application.transmit(&cards, command, |number, _| {
            chosen = Some(number);
            Response::ok(&[]).into()
        });
        (response, chosen)
    };
    let (directory, _) = ask(&select(PPSE, 0x00));
    let entries: Vec<_> = cards.iter().flat_map(|card| card.entry.to_vec()).collect();
    assert!(directory.data().ends_with(&entries), "{:02X?}", directory.data());

    // The whole name means that card, whoever is first.
    for (number, card) in cards.iter().enumerate() {
        assert_eq!(ask(&select(&card.aid, 0x00)).0.data(), &*card.fci);
        assert_eq!(ask(&gpo(QPBOC)).1, Some(number));
    }
    // Part of it finds one after the other.
    for (name, order) in [(&aid[..5], vec![0, 1, 2]), (&aid[..8], vec![1, 0]), (&credit[..], vec![2])] {
        for (at, number) in order.iter().enumerate() {
            let p2 = if at == 0 { 0x00 } else { 0x02 };
            assert_eq!(ask(&select(name, p2)).0.data(), &*cards[*number].fci, "{name:02X?}, {at}");
        }
        assert_eq!(ask(&select(name, 0x02)).0.status(), 0x6A82, "{name:02X?}");
        // And the last stays selected.
        assert_eq!(ask(&gpo(QPBOC)).1, order.last().copied());
    }
    let (nothing, _) = ask(&select(PPSE, 0x00));
    assert_eq!(nothing.status(), 0x9000);
    assert_eq!(ask(&select(aid, 0x02)).0.status(), 0x6A82, "next of none");
}
