//! The acquirer's side of a consumer-presented code: reads it off a phone's screen and asks the issuer.

use crate::request::{AuthorisationRequest, CardAnswer};
use base64ct::{Base64, Encoding};
use std::fmt;
use tapvault_proto::{
    emv::{
        gpo::amount_bcd,
        qr::{ARQC, Code, MAX_PAYLOAD},
        tlv::find,
    },
    token::Channel,
};

/// Why a code was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeError {
    /// The text is not base64, or longer than any code.
    Base64,
    /// The data objects are not those of a code.
    Malformed,
    /// A data object is missing or has a wrong length.
    Missing(u16),
    /// The amount has more than 12 digits.
    Amount,
}

impl fmt::Display for CodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base64 => f.write_str("not base64 text; give what the phone shows, without line breaks"),
            Self::Malformed => f.write_str("not a consumer-presented code (85 CPV01, one template 61)"),
            Self::Missing(tag) => write!(f, "data object {tag:02X} is missing or has a wrong length"),
            Self::Amount => f.write_str("an amount has at most 12 digits"),
        }
    }
}

impl std::error::Error for CodeError {}

/// What to ask the issuer when a merchant charges `amount_minor` of `currency` (ISO 4217 numeric code, as in tag 5F2A) to
/// the code with this text.
///
/// # Errors
/// [`CodeError`].
pub fn charge(text: &str, amount_minor: u64, currency: u16) -> Result<AuthorisationRequest, CodeError> {
    let mut buffer = [0; MAX_PAYLOAD];
    let payload = Base64::decode(text.trim(), &mut buffer).map_err(|_| CodeError::Base64)?;
    let code = Code::parse(payload).map_err(|_| CodeError::Malformed)?;
    let amount = amount_bcd(amount_minor).ok_or(CodeError::Amount)?;
    let of_token = |tag| find(code.application, tag).ok_or(CodeError::Missing(tag));
    let of_payment = |tag| find(code.transparent, tag).ok_or(CodeError::Missing(tag));
    let [psn] = fixed(0x5F34, of_token(0x5F34)?)?;
    if of_payment(0x9F27)? != [ARQC] {
        return Err(CodeError::Missing(0x9F27));
    }
    let card = CardAnswer {
        aip: fixed(0x82, of_payment(0x82)?)?,
        atc: fixed(0x9F36, of_payment(0x9F36)?)?,
        issuer_data: of_payment(0x9F10)?.to_vec(),
        cryptogram: fixed(0x9F26, of_payment(0x9F26)?)?,
        track2: of_token(0x57)?.to_vec(),
        psn,
        ctq: [0; 2],
    };
    let number = fixed(0x9F37, of_payment(0x9F37)?)?;
    let charged = (amount, currency.to_be_bytes());
    Ok(AuthorisationRequest::without_terminal(Channel::Qr, charged, number, card))
}

fn fixed<const N: usize>(tag: u16, value: &[u8]) -> Result<[u8; N], CodeError> {
    value.try_into().map_err(|_| CodeError::Missing(tag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const VECTORS: &str = include_str!("../tests/vectors/emv_qr.json");

    fn vector(name: &str) -> String {
        let file: Value = serde_json::from_str(VECTORS).unwrap();
        file[name].as_str().unwrap().to_owned()
    }

    /// Made by other software in the layout of UnionPay.
    #[test]
    fn a_foreign_code_is_read() {
        let request = charge(&vector("cpm_unionpay_style_generated_b64"), 1_234, 0x0156).unwrap();
        assert_eq!(hex::encode_upper(&request.track2), "6292603512345678D30122010000000000");
        assert_eq!(request.cryptogram, *b"\x58\x4F\xD3\x85\xFA\x23\x4B\xCC");
        assert_eq!((request.atc, request.psn, request.aip), ([0, 1], [1], [0x7C, 0]));
        assert_eq!(hex::encode_upper(&request.issuer_data), "07010103A0000001");
        assert_eq!((request.amount, request.channel), ([0, 0, 0, 0, 0x12, 0x34], Channel::Qr));
    }

    /// The published one has two applications and common data, which our terminal does not take; its text and its
    /// objects are those of its own bytes.
    #[test]
    fn the_published_code_is_told_from_ours() {
        let text = vector("cpm_public_example_b64");
        assert_eq!(
            Base64::decode_vec(&text).unwrap(),
            hex::decode(vector("cpm_public_example_hex")).unwrap()
        );
        assert_eq!(charge(&text, 1, 0x0156), Err(CodeError::Malformed));
    }

    #[test]
    fn what_is_cut_longer_or_no_base64_is_refused() {
        let good = hex::decode(vector("cpm_unionpay_style_generated_hex")).unwrap();
        let charge = |bytes: &[u8]| charge(&Base64::encode_string(bytes), 1, 0x0156);
        assert!(charge(&good).is_ok());
        for len in 0..good.len() {
            assert!(charge(&good[..len]).is_err(), "cut at {len}");
        }
        assert_eq!(charge(&[&good[..], &[0x82, 0]].concat()), Err(CodeError::Malformed));
        assert_eq!(charge(&[0; MAX_PAYLOAD + 1]), Err(CodeError::Base64));
        assert_eq!(super::charge("!!!!", 1, 0x0156), Err(CodeError::Base64));
        // Behind the head, whose length is 57.
        let at = |tag: &[u8]| 9 + good[9..].windows(tag.len()).position(|window| window == tag).unwrap();
        for tag in [&[0x57][..], &[0x5F, 0x34], &[0x9F, 0x26], &[0x9F, 0x27], &[0x9F, 0x10], &[0x9F, 0x36]] {
            let mut without = good.clone();
            without[at(tag) + tag.len() - 1] ^= 0x01;
            assert!(matches!(charge(&without), Err(CodeError::Missing(_))), "{tag:02X?}");
        }
        assert_eq!(super::charge(&Base64::encode_string(&good), u64::MAX, 0x0156), Err(CodeError::Amount));
    }
}
