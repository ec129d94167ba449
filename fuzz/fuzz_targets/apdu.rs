//! A terminal that sends anything: every answer is one, and the cryptogram comes once, in its turn.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tapvault_proto::{
    emv::{
        AID_UNIONPAY_DEBIT, PPSE,
        apdu::{Command, MAX_RESPONSE, Response, StatusWord},
        application::{CardApplication, Record, StaticAnswers},
    },
    wire::Bytes,
};

static ANSWERS: LazyLock<[StaticAnswers; 2]> = LazyLock::new(|| {
    let bytes = |bytes: &[u8]| Bytes::from_slice(bytes).expect("short enough");
    let card = |name: &[u8]| StaticAnswers {
        aid: name.iter().copied().collect(),
        entry: Bytes::from_slice(&[0xA1; 60]).expect("short enough"),
        priority: 1,
        fci: Bytes::from_slice(&[0xA2; 150]).expect("short enough"),
        records: [(1, 1), (1, 2), (30, 255)]
            .into_iter()
            .map(|(sfi, number)| Record { sfi, number, data: bytes(&[0xA3; 100]) })
            .collect(),
    };
    [card(&AID_UNIONPAY_DEBIT), card(&[&AID_UNIONPAY_DEBIT[..], &[2]].concat())]
});

/// A command by the choice in its first byte: one of the right ones, or the bytes behind it.
fn command(part: &[u8]) -> Vec<u8> {
    let select = |name: &[u8]| Command { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: name }.to_bytes().to_vec();
    match part {
        [0xF0, ..] => select(PPSE),
        [0xF1, ..] => select(&AID_UNIONPAY_DEBIT),
        [0xF2, data @ ..] => Command { cla: 0x80, ins: 0xA8, p1: 0, p2: 0, data }.to_bytes().to_vec(),
        [0xF3, number, ..] => vec![0x00, 0xB2, *number, 0x0C, 0x00],
        other => other.to_vec(),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (mut application, mut rest) = (CardApplication::new(), bytes);
    // Whether the application is selected, and a cryptogram was given since.
    let (mut selected, mut processed) = (false, false);
    while let [len, tail @ ..] = rest {
        let (part, tail) = tail.split_at(usize::from(*len).min(tail.len()));
        rest = tail;
        let command = command(part);
        let gives = part.last().is_none_or(|last| last % 2 == 0);
        let mut asked = false;
        let response = application.transmit(ANSWERS.as_slice(), &command, |_, _| {
            asked = true;
            if gives { Response::ok(&[0xA4; 50]).into() } else { StatusWord::ConditionsNotSatisfied.into() }
        });
        let (data, status) = (response.data(), StatusWord::from_code(response.status()));
        assert!((2..=MAX_RESPONSE).contains(&response.as_bytes().len()));
        let status = status.unwrap_or_else(|| panic!("{:04X}", response.status()));
        assert!(status == StatusWord::Ok || data.is_empty(), "a refusal with data");
        let parsed = Command::parse(&command);
        if let Ok(parsed) = parsed {
            assert_eq!(Command::parse(&parsed.to_bytes()), Ok(parsed));
        }
        assert!(!asked || (selected && !processed), "a cryptogram out of turn");
        assert!(data != [0xA3; 100] || processed, "a record before the cryptogram");
        match data.first() {
            Some(0x6F) => (selected, processed) = (false, false),
            Some(0xA2) => (selected, processed) = (true, false),
            Some(0xA4) => processed = true,
            _ => {}
        }
    }
});
