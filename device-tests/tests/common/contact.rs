//! A contact test profile in a reader, and a terminal's steps.

use super::Phone;
use tapvault::{ContactCard, Wallet, sim::Sim, sim::SimChannel};
use tapvault_device_tests::{
    contact::{Generated, begin, command, covered, provision, terminal_data, test_card},
    lab::Lab,
};
use tapvault_network::{
    contact::{AIP, ContactRules, TestCard},
    oda::OdaKind,
};
use tapvault_proto::{contact::ArpcMethod, emv::contact::CDOL1_DATA_LEN, id::CardId, profile::Suite};

pub const UNPREDICTABLE: [u8; 4] = [0x2B, 0x29, 0xEB, 0xE4];
pub const PIN: &str = "123456";
/// A card status update that approves.
pub const APPROVES: [u8; 4] = [0x00, 0x80, 0x00, 0x00];

pub struct Bench {
    pub phone: Phone,
    pub lab: Lab,
    pub wallet: Wallet<Sim>,
    pub test: TestCard,
    pub card: CardId,
}

impl Bench {
    pub fn new(suite: Suite, oda: OdaKind, rules: ContactRules) -> Self {
        let (phone, mut lab) = (Phone::new(), Lab::new().unwrap());
        let mut wallet = phone.wallet();
        (lab.kind.suite, lab.kind.oda) = (suite, oda);
        let mut test = test_card(&lab, rules);
        let card = provision(&lab, &mut wallet, &mut test).unwrap();
        Self { phone, lab, wallet, test, card }
    }

    pub fn plain() -> Self {
        Self::new(Suite::Pboc3Des, OdaKind::Rsa1024, ContactRules::default())
    }

    pub fn insert(&mut self) -> ContactCard<'_, SimChannel> {
        self.wallet.insert_card(self.card).unwrap()
    }

    /// Restarts the phone; the card is in its reader again.
    pub fn restart(&mut self) {
        self.phone.restart();
        self.wallet = self.phone.wallet();
    }
}

pub type Inserted<'a> = ContactCard<'a, SimChannel>;

pub fn data() -> [u8; CDOL1_DATA_LEN] {
    terminal_data(12_345, [0; 5], UNPREDICTABLE)
}

pub fn ask(card: &mut Inserted<'_>, command: &[u8]) -> u16 {
    let response = card.transmit(command);
    assert!(response.status() == 0x9000 || response.status() == 0x6283 || response.data().is_empty());
    response.status()
}

pub fn first(card: &mut Inserted<'_>, p1: u8) -> Generated {
    Generated::of(&card.transmit(&command(0x80, 0xAE, p1, 0, &data()))).unwrap()
}

pub fn second(card: &mut Inserted<'_>, p1: u8, arc: [u8; 2]) -> Generated {
    Generated::of(&card.transmit(&command(0x80, 0xAE, p1, 0, &[&arc[..], &data()].concat()))).unwrap()
}

/// Issuer authentication data that approve, by the card's method.
pub fn approval(test: &TestCard, asked: &Generated) -> Vec<u8> {
    match test.rules.arpc {
        ArpcMethod::One => test.answer(asked.atc, &asked.cryptogram, *b"00"),
        ArpcMethod::Two => test.answer_with_status(asked.atc, &asked.cryptogram, &APPROVES),
    }
}

pub fn external(data: &[u8]) -> Vec<u8> {
    command(0x00, 0x82, 0, 0, data)
}

/// The cryptogram is the issuer's over what the card says of it.
pub fn assert_right(test: &TestCard, generated: &Generated, cvr: [u8; 4]) {
    assert_eq!(generated.cvr(), cvr, "{:02X?}", generated.cvr());
    let covered = covered(&data(), AIP, generated.atc, cvr);
    assert_eq!(generated.cryptogram, test.cryptogram(generated.atc, &covered));
    let [_, version, cvn, .., algorithm] = generated.issuer_data;
    let kind = test.order.kind;
    assert_eq!((version, cvn, algorithm), (test.key_version, kind.cvn as u8, kind.suite.algorithm()));
}

/// A completed online transaction with the right PIN: the next one finds no traces.
pub fn complete(card: &mut Inserted<'_>, test: &TestCard) -> Generated {
    begin(card, test).unwrap();
    let asked = first(card, 0x80);
    assert_eq!(ask(card, &external(&approval(test, &asked))), 0x9000);
    second(card, 0x40, *b"00")
}
