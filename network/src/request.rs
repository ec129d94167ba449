//! What a terminal asks the issuer: the data objects of one payment, as JSON of tag and hexadecimal text.

use crate::kind::{read, write};
use serde::{Deserialize, Serialize};
use tapvault_proto::{emv::gpo::PdolData, profile::Cvn, token::Channel};

/// An authorisation request (the chip data of ISO 8583 field 55, track 2 and sequence number).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorisationRequest {
    /// The way it was paid, by the word of the network, which knows where the request entered it.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    pub channel: Channel,
    /// Amount, 12 BCD digits.
    #[serde(rename = "9F02", with = "hex::serde")]
    pub amount: [u8; 6],
    /// Other amount, 12 BCD digits.
    #[serde(rename = "9F03", with = "hex::serde")]
    pub amount_other: [u8; 6],
    /// Terminal country.
    #[serde(rename = "9F1A", with = "hex::serde")]
    pub country: [u8; 2],
    /// Terminal verification results.
    #[serde(rename = "95", with = "hex::serde")]
    pub tvr: [u8; 5],
    /// Currency.
    #[serde(rename = "5F2A", with = "hex::serde")]
    pub currency: [u8; 2],
    /// Date, YYMMDD in BCD.
    #[serde(rename = "9A", with = "hex::serde")]
    pub date: [u8; 3],
    /// Transaction type.
    #[serde(rename = "9C", with = "hex::serde")]
    pub kind: [u8; 1],
    /// The terminal's unpredictable number.
    #[serde(rename = "9F37", with = "hex::serde")]
    pub unpredictable: [u8; 4],
    /// Application interchange profile.
    #[serde(rename = "82", with = "hex::serde")]
    pub aip: [u8; 2],
    /// Application transaction counter.
    #[serde(rename = "9F36", with = "hex::serde")]
    pub atc: [u8; 2],
    /// Issuer application data, up to 32 bytes.
    #[serde(rename = "9F10", with = "hex::serde")]
    pub issuer_data: Vec<u8>,
    /// Application cryptogram.
    #[serde(rename = "9F26", with = "hex::serde")]
    pub cryptogram: [u8; 8],
    /// Track 2 equivalent data, up to 19 bytes.
    #[serde(rename = "57", with = "hex::serde")]
    pub track2: Vec<u8>,
    /// Sequence number of the token, BCD.
    #[serde(rename = "5F34", with = "hex::serde")]
    pub psn: [u8; 1],
    /// Card transaction qualifiers. No cryptogram covers them: the issuer holds them against the CVR.
    #[serde(rename = "9F6C", with = "hex::serde")]
    pub ctq: [u8; 2],
}

/// What the card says, to be joined with what the terminal said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardAnswer {
    /// 82.
    pub aip: [u8; 2],
    /// 9F36.
    pub atc: [u8; 2],
    /// 9F10.
    pub issuer_data: Vec<u8>,
    /// 9F26.
    pub cryptogram: [u8; 8],
    /// 57.
    pub track2: Vec<u8>,
    /// 5F34.
    pub psn: u8,
    /// 9F6C.
    pub ctq: [u8; 2],
}

impl AuthorisationRequest {
    /// Joins the terminal's own data and the card's, after a tap.
    #[must_use]
    pub fn new(terminal: &PdolData, card: CardAnswer) -> Self {
        Self {
            channel: Channel::Nfc,
            amount: terminal.amount,
            amount_other: terminal.amount_other,
            country: terminal.country,
            tvr: terminal.tvr,
            currency: terminal.currency,
            date: terminal.date,
            kind: [terminal.kind],
            unpredictable: terminal.unpredictable,
            aip: card.aip,
            atc: card.atc,
            issuer_data: card.issuer_data,
            cryptogram: card.cryptogram,
            track2: card.track2,
            psn: [card.psn],
            ctq: card.ctq,
        }
    }

    /// Joins what a card says where no terminal spoke to it. Country, results, date and type are zero: the card could
    /// not know them. There are no qualifiers either, since there is no terminal to heed them.
    #[must_use]
    pub fn without_terminal(
        channel: Channel,
        (amount, currency): ([u8; 6], [u8; 2]),
        unpredictable: [u8; 4],
        card: CardAnswer,
    ) -> Self {
        let terminal = PdolData { amount, currency, ..PdolData::without_terminal(unpredictable) };
        Self { channel, ..Self::new(&terminal, card) }
    }

    /// Whether the qualifiers say that the phone verified the holder (CDCVM): CTQ byte 2 bit 8.
    #[must_use]
    pub const fn ctq_claims_phone(&self) -> bool {
        let [_, qualifiers] = self.ctq;
        qualifiers & 0x80 != 0
    }

    /// The amount in minor units; `None` when it is not BCD.
    #[must_use]
    pub fn amount_minor(&self) -> Option<u64> {
        PdolData { amount: self.amount, ..PdolData::without_terminal(self.unpredictable) }.amount_minor()
    }

    /// What the card knew of the payment: of a code nothing but the number.
    fn known(&self) -> PdolData {
        let ([kind], number) = (self.kind, PdolData::without_terminal(self.unpredictable));
        match self.channel {
            Channel::Qr => number,
            _ => PdolData {
                amount: self.amount,
                amount_other: self.amount_other,
                country: self.country,
                tvr: self.tvr,
                currency: self.currency,
                date: self.date,
                kind,
                ..number
            },
        }
    }

    /// What a cryptogram covers, in its order. Version 01, 37 bytes: 9F02 9F03 9F1A 95 5F2A 9A 9C 9F37 82 9F36 and
    /// the card verification results. Version 17, 13 bytes: 9F02 9F37 9F36 and the second byte of the results. Of a
    /// code, zeros stand for all that the card did not know.
    #[must_use]
    pub fn covered(&self, cvn: Cvn, cvr: [u8; 4]) -> Vec<u8> {
        let [_, result, ..] = cvr;
        let known = self.known();
        match cvn {
            Cvn::V01 => [
                &known.amount[..],
                &known.amount_other,
                &known.country,
                &known.tvr,
                &known.currency,
                &known.date,
                &[known.kind],
                &known.unpredictable,
                &self.aip,
                &self.atc,
                &cvr,
            ]
            .concat(),
            Cvn::V17 => [&known.amount[..], &known.unpredictable, &self.atc, &[result]].concat(),
        }
    }
}

/// Issuer application data of a UnionPay card, its 8 mandatory bytes: `07 DKI CVN CVR(4) ALG`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuerData {
    /// Derivation key index: our cards put the version of their keys here.
    pub key_version: u8,
    /// Cryptogram version number.
    pub cvn: u8,
    /// Card verification results.
    pub cvr: [u8; 4],
    /// 01 is 3DES, 04 SM4.
    pub algorithm: u8,
}

impl IssuerData {
    /// Takes the fields out of 9F10; `None` unless it is exactly the 8 bytes our cards send.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        match *bytes {
            [0x07, key_version, cvn, c0 @ 0x03, c1, c2, c3, algorithm] => {
                Some(Self { key_version, cvn, cvr: [c0, c1, c2, c3], algorithm })
            }
            _ => None,
        }
    }
}

/// The digits before the separator of track 2 data; `None` unless they are 13 to 19, then a `D`.
#[must_use]
pub fn token_of(track2: &[u8]) -> Option<String> {
    let text = hex::encode(track2);
    let (token, _) = text.split_once('d')?;
    let digits = token.bytes().all(|byte| byte.is_ascii_digit());
    (digits && (13..=19).contains(&token.len())).then(|| token.to_owned())
}

/// Track 2 data of a lab card: token, `D`, expiry YYMM, service code 220, discretionary 0000, and an `F`
/// where the number of digits is odd. `None` unless the token is 13 to 19 digits and the expiry 4.
#[must_use]
pub fn track2_of(token: &str, expiry: &str) -> Option<Vec<u8>> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !(13..=19).contains(&token.len()) || expiry.len() != 4 || !digits(token) || !digits(expiry) {
        return None;
    }
    let mut text = format!("{token}D{expiry}2200000");
    if text.len() % 2 == 1 {
        text.push('F');
    }
    hex::decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn track_2_goes_there_and_back_for_every_length() {
        let digits = "6299991234567890123";
        for length in 13..=19 {
            let token = &digits[..length];
            let track2 = track2_of(token, "3112").unwrap();
            assert_eq!(token_of(&track2).as_deref(), Some(token));
            assert!(track2.len() <= 19);
        }
        assert_eq!(
            hex::encode_upper(track2_of("6299991234567890", "3112").unwrap()),
            "6299991234567890D31122200000"
        );
        for (token, expiry) in [("629999", "3112"), ("6299991234567890", "311"), ("62999912345678x0", "3112")]
        {
            assert_eq!(track2_of(token, expiry), None);
        }
    }

    #[test]
    fn a_token_needs_its_separator_and_its_length() {
        for bad in
            ["", "6299991234567890", "629999D3112", "62999912345A7890D3112F", "6299991234567890123456D3"]
        {
            assert_eq!(token_of(&hex::decode(bad).unwrap_or_default()), None, "{bad}");
        }
    }

    #[test]
    fn issuer_data_is_eight_bytes_and_nothing_else() {
        let good = [0x07, 2, 1, 0x03, 0xA4, 0, 0, 1];
        let parsed = IssuerData::parse(&good).unwrap();
        assert_eq!((parsed.key_version, parsed.cvn, parsed.cvr), (2, 1, [0x03, 0xA4, 0, 0]));
        assert_eq!(IssuerData::parse(&good[..7]), None);
        assert_eq!(IssuerData::parse(&[&good[..], &[0]].concat()), None);
        assert_eq!(IssuerData::parse(&[0x06, 2, 1, 0x03, 0xA4, 0, 0, 1]), None);
        assert_eq!(IssuerData::parse(&[0x07, 2, 1, 0x04, 0xA4, 0, 0, 1]), None);
    }
}
