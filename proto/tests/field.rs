//! Several cards in the field, the counter, the transaction's own record. The status word of every malformed or
//! out-of-order command: the table of `docs/card.md`, which device-tests walk.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use tapvault_proto::emv::{
    AID_UNIONPAY_DEBIT, PPSE,
    apdu::{Command, Response},
    application::{CardApplication, Processed, Record, StaticAnswers},
    gpo::{PDOL_DATA_LEN, PdolData},
};
use tapvault_proto::profile::Cvn;

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

#[test]
fn a_record_of_the_transaction_is_gone_with_the_selection() {
    let right = gpo(QPBOC);
    let read = [0x00, 0xB2, 0x01, 0x1C, 0x00];
    let paid = [SELECTED, &[&right]].concat();
    assert_eq!(last(&[&paid[..], &[&read]].concat()).data(), b"dynamic");
    let again = [&paid[..], SELECTED].concat();
    assert_eq!(after(&again, &read), 0x6985);
    let (ppse, other) = (select(PPSE, 0x00), select(b"other app", 0x00));
    let missed = [SELECTED, &[&other]].concat();
    assert_eq!(after(&missed, &right), 0x9000, "a SELECT that fails leaves the selection");
    let directory = [&paid[..], &[&ppse]].concat();
    assert_eq!(after(&directory, &right), 0x6985, "the directory is no application");
}
