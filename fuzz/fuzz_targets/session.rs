//! Whole sessions of a terminal, and of a client that helps it, with the real card trusted app on the simulated TEE:
//! no panic; what is refused changes no stored object and no counter; every cryptogram takes the next counter, and
//! client and trusted app agree; afterwards an honest terminal is answered.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use std::{collections::BTreeMap, sync::LazyLock};
use tapvault::{Tap, Wallet, sim::Sim, sim::SimChannel};
use tapvault_device_tests::lab::{self, Lab, PIN};
use tapvault_fuzz::{
    phone,
    transcript::{self, Step},
};
use tapvault_network::{kind::CardKind, oda::OdaKind};
use tapvault_proto::{
    card::{LogEntry, TapGpoRequest},
    emv::{
        AID_UNIONPAY_DEBIT,
        apdu::{Command, MAX_RESPONSE, Response, StatusWord},
        application::CardApplication,
        tlv::{find, objects},
    },
    id::{CardId, Uuid},
    profile::{Cvn, Product, Suite},
    wire::Bytes,
};
use tapvault_tee::host::Device;

type Objects = BTreeMap<(Uuid, Vec<u8>), Option<Vec<u8>>>;

/// Debit, version 01, 3DES, signs with SM2; credit, version 17, SM4, signs nothing.
const CARDS: [CardId; 2] = [CardId([0xC1; 16]), CardId([0xC2; 16])];

/// What a phone with these cards has stored.
static STORED: LazyLock<Objects> = LazyLock::new(|| {
    let device = Device::default();
    let mut wallet = lab::wallet(phone::new(&device));
    let mut lab = Lab::new().expect("a bank");
    lab.set_pin(&mut wallet, PIN).expect("a PIN");
    lab.kind.oda = OdaKind::Sm2;
    lab.issue(&mut wallet, CARDS[0]).expect("a card");
    lab.kind =
        CardKind { suite: Suite::PbocSm4, cvn: Cvn::V17, product: Product::Credit, ..CardKind::default() };
    lab.issue(&mut wallet, CARDS[1]).expect("a card");
    device.borrow().objects.clone()
});

/// What a refusal leaves as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    objects: Objects,
    logs: [Vec<LogEntry>; 2],
    taps: u16,
}

/// Looks at the phone beside the session.
struct Watcher {
    device: Device,
    wallet: Wallet<Sim>,
}

impl Watcher {
    fn look(&mut self) -> Seen {
        let objects = self.device.borrow().objects.clone();
        let logs = CARDS.map(|card| self.wallet.card_log(card).expect("the log"));
        Seen { objects, logs, taps: self.wallet.nfc().expect("the switch").taps }
    }
}

/// The counter of the last cryptogram in a log, 0 before the first.
fn last(log: &[LogEntry]) -> u16 {
    log.last().map_or(0, |entry| entry.atc)
}

/// Holds an answer against what it did; `gpo` when it may be a cryptogram.
fn check(before: &Seen, after: &Seen, response: &Response, gpo: bool) {
    let (status, data) = (response.status(), response.data());
    assert!((2..=MAX_RESPONSE).contains(&response.as_bytes().len()));
    assert!(
        StatusWord::from_code(status).is_some_and(|word| word != StatusWord::NoDiagnosis),
        "{status:04X}"
    );
    assert_eq!(before.objects, after.objects, "{status:04X}: storage changed during a tap");
    let ok = status == StatusWord::Ok as u16;
    assert!(ok || data.is_empty(), "a refusal with data");
    if !(ok && gpo) {
        assert_eq!(before, after, "{status:04X} changed something");
        return;
    }
    let body = find(data, 0x77).expect("template 77");
    let counter = find(body, 0x9F36).and_then(|value| value.try_into().ok()).map(u16::from_be_bytes);
    let counter = counter.expect("a counter");
    assert_eq!(before.taps, after.taps + 1, "taps that NFC is on for");
    let moved: Vec<_> = (0..2).filter(|card| before.logs[*card] != after.logs[*card]).collect();
    let [card] = moved[..] else { panic!("{moved:?} paid at once") };
    assert_eq!(last(&after.logs[card]), counter, "the log's counter");
    assert_eq!(last(&before.logs[card]) + 1, counter, "not the next counter");
    // Qualifiers, results and type of cryptogram agree (facts: an ARQC, the phone's PIN in both or in neither).
    let results = find(body, 0x9F10).expect("issuer data");
    let qualifiers = find(body, 0x9F6C).expect("qualifiers");
    assert_eq!(results[4] & 0x30, 0x20, "no ARQC");
    assert_eq!(results[4] & 0x04 != 0, qualifiers[1] & 0x80 != 0, "verified or not");
}

/// What the client answers from memory fits what the trusted app just answered.
fn check_records(tap: &mut Tap<'_, SimChannel>, response: &Response) {
    let body = find(response.data(), 0x77).expect("template 77");
    let counter = tap.transmit(&[0x80, 0xCA, 0x9F, 0x36, 0x00]);
    assert_eq!(find(counter.data(), 0x9F36), find(body, 0x9F36), "GET DATA");
    for entry in find(body, 0x94).unwrap_or_default().chunks(4) {
        for number in entry[1]..=entry[2] {
            let record = tap.transmit(&[0x00, 0xB2, number, entry[0] | 4, 0x00]);
            let record = find(record.data(), 0x70).expect("every record of the locator");
            assert!(objects(record).all(|object| object.is_ok()));
            if let Some(authentication) = find(record, 0x9F69) {
                assert_eq!(find(body, 0x9F6C), authentication.get(5..), "the signed qualifiers");
            }
        }
    }
}

/// A command that the client makes up: the trusted app refuses it or answers as the client's machine would.
fn forwarded(client: &mut Wallet<Sim>, command: &[u8]) -> Option<Response> {
    let bytes = Bytes::from_slice(command).ok()?;
    let aid = AID_UNIONPAY_DEBIT.into_iter().collect();
    let answer = client.call(&TapGpoRequest { card: CARDS[0], aid, command: bytes });
    let answer = answer.map(|reply| Response::from_bytes(&reply.response).expect("a response"));
    if !matches!(command, [0x80, 0xA8, ..]) {
        assert!(answer.is_err(), "no GET PROCESSING OPTIONS, and answered");
        return None;
    }
    let mut asked = false;
    let own = CardApplication::selected().transmit(&[], command, |_, _| {
        asked = true;
        StatusWord::NoDiagnosis.into()
    });
    let answer = answer.expect("an answer to GET PROCESSING OPTIONS");
    assert!(asked || own == answer, "client and trusted app disagree");
    Some(answer)
}

/// Runs the steps between two entries into the field.
fn run(
    wallet: &mut Wallet<Sim>,
    client: &mut Wallet<Sim>,
    watcher: &mut Watcher,
    steps: &[Step],
    verified: bool,
) {
    let first = CARDS[0];
    if verified {
        Lab::new().expect("a bank").verify(client, first, PIN).expect("the PIN");
    } else {
        lab::switch_on(client, first).expect("NFC");
    }
    let mut tap = wallet.prepare_taps(&CARDS, verified.then_some(first)).expect("a tap");
    let mut before = watcher.look();
    for step in steps {
        let (response, gpo) = match step {
            Step::Command(command) => (tap.transmit(command), matches!(command[..], [0x80, 0xA8, ..])),
            Step::Forwarded(command) => match forwarded(client, command) {
                Some(response) => (response, true),
                None => {
                    assert_eq!(before, watcher.look(), "refused, and changed something");
                    continue;
                }
            },
            Step::Field | Step::Verified => continue,
        };
        // Counters are reserved ahead of a tap; a session may want more than there are, and is refused.
        assert!(tap.failure().is_none(), "{:?}", tap.failure());
        let after = watcher.look();
        check(&before, &after, &response, gpo);
        if gpo && response.status() == StatusWord::Ok as u16 && matches!(step, Step::Command(_)) {
            check_records(&mut tap, &response);
        }
        before = after;
    }
}

/// An honest terminal takes either card, with the data that its file control information asks for.
fn pays(wallet: &mut Wallet<Sim>, client: &mut Wallet<Sim>, watcher: &mut Watcher) {
    lab::switch_on(client, CARDS[0]).expect("NFC");
    for (card, product) in CARDS.into_iter().zip([Product::Debit, Product::Credit]) {
        let mut tap = wallet.prepare_tap(card, false).expect("a tap");
        let before = watcher.look();
        let select = Command { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: &product.aid() };
        let selected = tap.transmit(&select.to_bytes());
        let inside = |data: &[u8], tags: [u16; 3]| {
            tags.into_iter().try_fold(data.to_vec(), |data, tag| find(&data, tag).map(<[u8]>::to_vec))
        };
        let asked = inside(selected.data(), [0x6F, 0xA5, 0x9F38]).expect("a data object list");
        let long = lab::terminal_data(100, false);
        let data = if asked == Cvn::V01.pdol() {
            long.to_vec()
        } else {
            [&long[..10], &long[29..], &long[23..25]].concat()
        };
        let data = [&[0x83, u8::try_from(data.len()).expect("short")], &data[..]].concat();
        let gpo = Command { cla: 0x80, ins: 0xA8, p1: 0, p2: 0, data: &data };
        let response = tap.transmit(&gpo.to_bytes());
        assert_eq!(response.status(), StatusWord::Ok as u16, "an honest terminal");
        check(&before, &watcher.look(), &response, true);
        check_records(&mut tap, &response);
    }
}

fuzz_target!(|text: &[u8]| {
    let steps = transcript::parse(text);
    let device = Device::default();
    device.borrow_mut().objects.clone_from(&STORED);
    let sim = phone::started(&device);
    let (mut wallet, mut client) = (lab::wallet(sim.clone()), lab::wallet(sim.clone()));
    let mut watcher = Watcher { device, wallet: lab::wallet(sim) };
    let mut rest = steps.as_slice();
    while let [first, tail @ ..] = rest {
        let inside = tail.iter().position(|step| matches!(step, Step::Field | Step::Verified));
        let (session, next) = tail.split_at(inside.unwrap_or(tail.len()));
        let entered = matches!(first, Step::Field | Step::Verified);
        let session = if entered { session } else { rest.split_at(1 + session.len()).0 };
        run(&mut wallet, &mut client, &mut watcher, session, *first == Step::Verified);
        rest = next;
    }
    pays(&mut wallet, &mut client, &mut watcher);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut steps = transcript::parse(&data[..size]);
    transcript::mutate(&mut steps, seed, |bytes| {
        let len = bytes.len();
        bytes.resize(len + 8, 0);
        let len = libfuzzer_sys::fuzzer_mutate(bytes, len, len + 8);
        bytes.truncate(len);
    });
    let text = transcript::print(&steps);
    let len = text.len().min(max_size);
    data[..len].copy_from_slice(&text.as_bytes()[..len]);
    len
});
