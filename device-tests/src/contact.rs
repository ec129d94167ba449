//! Contact test profiles of the lab's bank A, and what a contact terminal sends them.

use crate::{
    Outcome, ensure,
    lab::{Lab, challenge, say},
};
use tapvault::{Channel, ContactCard, Transport, Wallet};
use tapvault_network::{
    contact::{ContactRules, TestCard},
    oda::OdaKind,
    registry::{CNY, HolderRules, Order, TokenRules, draw_card_id},
};
use tapvault_proto::{
    emv::{
        apdu::{Command, Response},
        contact::CDOL1_DATA_LEN,
        tlv::find,
    },
    id::CardId,
};

/// The number of the lab's test profiles.
pub const NUMBER: &str = "6299990000000018";

/// A test profile of the lab's kind, by default with an RSA key.
#[must_use]
pub fn test_card(lab: &Lab, rules: ContactRules) -> TestCard {
    let mut kind = lab.kind;
    if kind.oda == OdaKind::None {
        kind.oda = OdaKind::Rsa1024;
    }
    let order = Order {
        bank: lab.provider.bank(),
        card: CardId([0xC7; 16]),
        token: None,
        last_four: *b"0018",
        expiry: "3012".into(),
        kind,
        holder: HolderRules::default(),
        rules: TokenRules::default(),
    };
    TestCard { order, token: NUMBER.into(), key_version: 1, rules }
}

/// Puts a test profile into the wallet, under a new id.
///
/// # Errors
/// Anybody's.
pub fn provision<T: Transport>(lab: &Lab, wallet: &mut Wallet<T>, test: &mut TestCard) -> Outcome<CardId> {
    test.order.card = draw_card_id().map_err(say)?;
    issue(lab, wallet, test)
}

/// Puts a test profile into the wallet, under the id that it has.
///
/// # Errors
/// Anybody's.
pub fn issue<T: Transport>(lab: &Lab, wallet: &mut Wallet<T>, test: &TestCard) -> Outcome<CardId> {
    let challenge = challenge(wallet)?;
    let profile = test.profile().map_err(say)?;
    let card = test.order.card;
    let sealed = lab.provider.seal(card, &challenge, &profile).map_err(say)?;
    wallet.add_card(sealed.as_bytes()).map_err(say)
}

/// What a terminal sends for CDOL1: an amount in CNY, and verification results.
#[must_use]
pub fn terminal_data(amount_minor: u32, tvr: [u8; 5], unpredictable: [u8; 4]) -> [u8; CDOL1_DATA_LEN] {
    let mut data = [0; CDOL1_DATA_LEN];
    let digits = format!("{amount_minor:012}");
    for (byte, pair) in data.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = (pair[0] - b'0') << 4 | (pair[1] - b'0');
    }
    data[12..14].copy_from_slice(&CNY.to_be_bytes());
    data[14..19].copy_from_slice(&tvr);
    data[19..21].copy_from_slice(&CNY.to_be_bytes());
    data[21..24].copy_from_slice(&[0x26, 0x11, 0x24]);
    data[25..].copy_from_slice(&unpredictable);
    data
}

/// What a cryptogram covers with version 01: the terminal's data, then interchange profile, counter and results.
#[must_use]
pub fn covered(data: &[u8; CDOL1_DATA_LEN], aip: [u8; 2], atc: u16, cvr: [u8; 4]) -> Vec<u8> {
    [&data[..], &aip, &atc.to_be_bytes(), &cvr].concat()
}

/// The answer to GENERATE AC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// 9F27.
    pub information: u8,
    /// 9F36.
    pub atc: u16,
    /// 9F26.
    pub cryptogram: [u8; 8],
    /// 9F10.
    pub issuer_data: [u8; 8],
}

impl Generated {
    /// Takes an answer apart; `Err` when the card refused.
    ///
    /// # Errors
    /// When a data object is missing.
    pub fn of(response: &Response) -> Outcome<Self> {
        let body =
            find(response.data(), 0x77).ok_or_else(|| format!("refused: {:04X}", response.status()))?;
        let get = |tag: u16| find(body, tag).ok_or_else(|| format!("no {tag:04X}"));
        let [information] = get(0x9F27)?.try_into().map_err(say)?;
        Ok(Self {
            information,
            atc: u16::from_be_bytes(get(0x9F36)?.try_into().map_err(say)?),
            cryptogram: get(0x9F26)?.try_into().map_err(say)?,
            issuer_data: get(0x9F10)?.try_into().map_err(say)?,
        })
    }

    /// The card verification results.
    #[must_use]
    pub fn cvr(&self) -> [u8; 4] {
        let [_, _, _, a, b, c, d, _] = self.issuer_data;
        [a, b, c, d]
    }
}

/// A command, with Le.
#[must_use]
pub fn command(cla: u8, ins: u8, p1: u8, p2: u8, data: &[u8]) -> Vec<u8> {
    Command { cla, ins, p1, p2, data }.to_bytes().to_vec()
}

/// SELECT of the application.
#[must_use]
pub fn select(test: &TestCard) -> Vec<u8> {
    command(0x00, 0xA4, 4, 0, &test.order.kind.product.aid())
}

/// GET PROCESSING OPTIONS.
#[must_use]
pub fn options() -> Vec<u8> {
    command(0x80, 0xA8, 0, 0, &[0x83, 0])
}

/// VERIFY of a PIN.
///
/// # Panics
/// When it is not digits, 14 at most.
#[must_use]
pub fn verify(pin: &str) -> Vec<u8> {
    let block = hex::decode(format!("2{:X}{pin:F<14}", pin.len())).expect("digits");
    command(0x00, 0x20, 0, 0x80, &block)
}

/// SELECT and GET PROCESSING OPTIONS.
///
/// # Errors
/// A refusal.
pub fn begin<C: Channel>(card: &mut ContactCard<'_, C>, test: &TestCard) -> Outcome<()> {
    for command in [select(test), options()] {
        let status = card.transmit(&command).status();
        ensure(matches!(status, 0x9000 | 0x6283), || format!("{command:02X?}: {status:04X}"))?;
    }
    Ok(())
}
