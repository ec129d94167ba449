//! What the element refuses even to somebody who has its keys. `tests/scp03.rs` has the rest.

use super::{ElementKeys, SoftElement, cipher, payment::Cards, session::Session, status};
use crate::{
    issuer::Issuer,
    kind::CardKind,
    lab::LabBank,
    registry::{HolderRules, Order, TokenRules},
};
use tapvault_proto::{
    dgi::{MAX_CARD, MAX_LEAVE, encode_card, encode_leave},
    element::Leave,
    emv::apdu::Command,
    id::CardId,
    profile::{CardProfile, Key128, Product},
};

const HOST_CHALLENGE: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

/// A host made of the element's own parts.
struct Insider {
    element: SoftElement,
    session: Session,
    host_cryptogram: [u8; 8],
    chain: Vec<u8>,
}

impl Insider {
    fn new() -> Self {
        let mut element = SoftElement::new(ElementKeys::lab());
        let answer =
            element.transmit(&[&[0x80, 0x50, 0x00, 0x00, 0x08], &HOST_CHALLENGE[..], &[0x00]].concat());
        let context = [&HOST_CHALLENGE, &answer[13..21]].concat();
        let session = Session::new(&ElementKeys::lab(), &context);
        let host_cryptogram = session.cryptogram(cipher::HOST_CRYPTOGRAM, &context);
        Self { element, session, host_cryptogram, chain: vec![0; 16] }
    }

    /// Sends a command with a right MAC.
    fn send(&mut self, header: [u8; 4], body: &[u8]) -> Vec<u8> {
        let command = [&header[..], &[u8::try_from(body.len() + 8).unwrap()], body].concat();
        self.chain = cipher::cmac(&self.session.mac, &[&self.chain, &command[..]].concat()).to_vec();
        self.element.transmit(&[&command[..], &self.chain[..8]].concat())
    }

    fn authenticate(&mut self) -> Vec<u8> {
        let cryptogram = self.host_cryptogram;
        self.send([0x84, 0x82, 0x33, 0x00], &cryptogram)
    }
}

#[test]
fn session_keys_equal_the_vector() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/vectors/scp03.json")).unwrap();
    let bytes = |name: &str| hex::decode(file[name].as_str().unwrap()).unwrap();
    let key = || Key128::new(bytes("static").try_into().unwrap());
    let context = [bytes("host_challenge"), bytes("card_challenge")].concat();
    let session = Session::new(&ElementKeys { version: 1, enc: key(), mac: key() }, &context);
    assert_eq!(session.enc.expose().as_slice(), bytes("S-ENC"));
    assert_eq!(session.mac.expose().as_slice(), bytes("S-MAC"));
    assert_eq!(session.rmac.expose().as_slice(), bytes("S-RMAC"));
    assert_eq!(session.cryptogram(cipher::CARD_CRYPTOGRAM, &context).as_slice(), bytes("card_cryptogram"));
    assert_eq!(session.cryptogram(cipher::HOST_CRYPTOGRAM, &context).as_slice(), bytes("host_cryptogram"));
}

#[test]
fn a_right_mac_does_not_stand_in_for_the_host_cryptogram() {
    let mut host = Insider::new();
    host.host_cryptogram[7] ^= 0x01;
    assert_eq!(host.authenticate(), [0x63, 0x00]);
    assert!(!host.element.has_channel());
}

#[test]
fn no_channel_opens_at_a_lower_level() {
    for level in [0x00, 0x01, 0x03, 0x11, 0x13, 0x30, 0x73] {
        let mut host = Insider::new();
        let cryptogram = host.host_cryptogram;
        assert_eq!(host.send([0x84, 0x82, level, 0x00], &cryptogram), [0x6A, 0x86], "level {level:02X}");
        assert!(!host.element.has_channel());
    }
}

#[test]
fn a_class_that_names_no_secure_messaging_has_none() {
    for (class, passes) in [(0x84, true), (0x80, false), (0x88, false)] {
        let mut host = Insider::new();
        assert_eq!(host.authenticate(), [0x90, 0x00]);
        assert_eq!(host.send([class, 0xCA, 0xDF, 0x01], &[]).ends_with(&[0x62, 0x82]), passes, "{class:02X}");
        assert_eq!(host.element.has_channel(), passes);
    }
}

const CARD: CardId = CardId([0xC1; 16]);

/// A debit card with this version of its keys, and its groupings.
pub(super) fn card(key_version: u8) -> (CardProfile, Vec<u8>) {
    card_with(key_version, TokenRules::default())
}

fn card_with(key_version: u8, rules: TokenRules) -> (CardProfile, Vec<u8>) {
    let order = Order {
        bank: LabBank::A,
        card: CARD,
        token: None,
        last_four: *b"4321",
        expiry: "3012".into(),
        kind: CardKind::default(),
        holder: HolderRules::default(),
        rules,
    };
    let mut profile = Issuer::in_memory().issue(&order).unwrap();
    profile.key_version = key_version;
    let mut bytes = [0; MAX_CARD];
    let len = encode_card(CARD, &profile, &mut bytes).unwrap();
    (profile, bytes[..len].to_vec())
}

pub(super) fn leave(key_version: u8, counter: u16) -> Vec<u8> {
    leave_with(key_version, counter, None)
}

fn leave_with(key_version: u8, counter: u16, key: Option<&Key128>) -> Vec<u8> {
    let mut bytes = [0; MAX_LEAVE];
    let leave = Leave { card: CARD, key_version, counter, verified: None };
    let len = encode_leave(&leave, key, &mut bytes).unwrap();
    bytes[..len].to_vec()
}

fn answer(cards: &mut Cards, (cla, ins, p1, p2): (u8, u8, u8, u8), data: &[u8]) -> u16 {
    cards.personalise(&Command { cla, ins, p1, p2, data }).map_or_else(|status| status, |(_, status)| status)
}

fn install(cards: &mut Cards, product: Product) -> u16 {
    let data = [&[0, 0, 8][..], &product.aid(), &[0; 3]].concat();
    answer(cards, (0x80, 0xE6, 0x20, 0), &data)
}

/// Stores in blocks of 100 bytes.
fn store(cards: &mut Cards, groupings: &[u8]) -> u16 {
    let blocks = groupings.chunks(100).count();
    let mut last = status::OK;
    for (number, block) in (0..).zip(groupings.chunks(100)) {
        let p1 = if usize::from(number) + 1 == blocks { 0x88 } else { 0x08 };
        last = answer(cards, (0x80, 0xE2, p1, number), block);
    }
    last
}

pub(super) fn put(cards: &mut Cards, groupings: &[u8]) -> u16 {
    assert_eq!(install(cards, Product::Debit), status::OK);
    store(cards, groupings)
}

#[test]
fn personalisation_goes_in_order_and_no_other_way() {
    let (_, groupings) = card(1);
    let cards = &mut Cards::default();
    let data = [&[0, 0, 8][..], &Product::Debit.aid(), &[0; 3]].concat();
    let mut unknown = data.clone();
    unknown[10] ^= 0x40;
    for (header, data, expected) in [
        ((0x00, 0xE6, 0x20, 0), &data[..], status::UNKNOWN_CLASS),
        ((0x80, 0xE6, 0x0C, 0), &data, status::WRONG_PARAMETERS),
        ((0x80, 0xE6, 0x20, 1), &data, status::WRONG_PARAMETERS),
        ((0x80, 0xE6, 0x20, 0), &data[1..], status::WRONG_DATA),
        ((0x80, 0xE6, 0x20, 0), &unknown, status::NOT_FOUND),
        ((0x80, 0xE2, 0x88, 0), &groupings[..100], status::CONDITIONS),
    ] {
        assert_eq!(answer(cards, header, data), expected, "{header:02X?}");
    }
    // Blocks are numbered, are groupings, and are no more than a card.
    for header in [(0x80, 0xE2, 0x08, 1), (0x80, 0xE2, 0x00, 0), (0x80, 0xE2, 0x18, 0)] {
        assert_eq!(install(cards, Product::Debit), status::OK);
        assert_eq!(answer(cards, header, &groupings[..100]), status::WRONG_PARAMETERS, "{header:02X?}");
        assert_eq!(answer(cards, (0x80, 0xE2, 0x08, 0), &groupings[..100]), status::CONDITIONS, "it is over");
    }
    assert_eq!(install(cards, Product::Debit), status::OK);
    let long = (0..).map(|number| answer(cards, (0x80, 0xE2, 0x08, number), &[0; 239]));
    assert_eq!(long.take(20).find(|status| *status != status::OK), Some(status::WRONG_LENGTH));
    // What a channel began does not go on in another.
    assert_eq!(install(cards, Product::Debit), status::OK);
    cards.new_channel();
    assert_eq!(store(cards, &groupings), status::CONDITIONS);
    // Nor is a card what is cut, or another kind than the one announced.
    assert_eq!(put(cards, &groupings[..groupings.len() - 1]), status::WRONG_DATA);
    assert_eq!(install(cards, Product::Credit), status::OK);
    assert_eq!(store(cards, &groupings), status::WRONG_DATA);
    assert_eq!(put(cards, &leave(1, 1)), status::NO_DATA, "nothing of that was a card");
    assert_eq!(put(cards, &groupings), status::OK);
    assert_eq!(put(cards, &leave(1, 1)), status::OK);
}

#[test]
fn counters_and_versions_of_keys_only_rise() {
    let cards = &mut Cards::default();
    assert_eq!(put(cards, &card(2).1), status::OK);
    for (groupings, expected) in [
        (leave(2, 0), status::CONDITIONS),
        (leave(2, 5), status::OK),
        (leave(2, 5), status::CONDITIONS),
        (leave(2, 4), status::CONDITIONS),
        (leave(1, 9), status::NO_DATA),
        (leave(3, 9), status::NO_DATA),
        (card(1).1, status::CONDITIONS),
        // The same card again does not begin again.
        (card(2).1, status::OK),
        (leave(2, 5), status::CONDITIONS),
        (leave(2, 6), status::OK),
        // New keys do.
        (card(3).1, status::OK),
        (leave(3, 1), status::OK),
        (leave(2, 7), status::NO_DATA),
        (card(2).1, status::CONDITIONS),
    ] {
        assert_eq!(put(cards, &groupings), expected);
    }
}

#[test]
fn a_limited_use_key_comes_with_its_leave_or_there_is_none() {
    let cards = &mut Cards::default();
    let limited = TokenRules { limited_use: Some(4), ..TokenRules::default() };
    let key = Key128::new([7; 16]);
    for (groupings, expected) in [
        (card_with(1, limited).1, status::OK),
        // Refused, it uses up no counter.
        (leave(1, 3), status::WRONG_DATA),
        (leave_with(1, 3, Some(&key)), status::OK),
        (leave_with(1, 3, Some(&key)), status::CONDITIONS),
        // The keys of a card that has its own are its own.
        (card(2).1, status::OK),
        (leave_with(2, 3, Some(&key)), status::WRONG_DATA),
        (leave(2, 3), status::OK),
    ] {
        assert_eq!(put(cards, &groupings), expected);
    }
}
