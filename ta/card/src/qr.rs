//! Codes that the holder shows (EMV QR Code, consumer-presented mode).
//!
//! A code is for one payment of an amount, by a merchant, that only the network will see. So it needs the holder's
//! approval every time, whatever the profile says of taps: what a card cannot compare, it does not give away unasked.

use crate::{
    engine::{self, Permit, Verification},
    store::Card,
};
use tapvault_proto::{
    Error,
    card::QrPayloadReply,
    emv::{
        gpo::PdolData,
        qr::{ARQC, FORMAT, LIFE, MAX_PAYLOAD, TAG_APPLICATION, TAG_FORMAT, TAG_TRANSPARENT, moment},
        tlv::push,
    },
    wire::Bytes,
};

/// Makes the code of one counter. The cryptogram covers no amount and no terminal: zero stands for all of it. It covers
/// the moment in its place of the unpredictable number (9F37), so that nobody can make an old code young.
///
/// # Errors
/// [`Error::Busy`], [`Error::AtcExhausted`]; [`Error::Internal`] after the year 2106.
pub fn payload(card: &mut Card, permit: Permit, time: u64) -> Result<QrPayloadReply, Error> {
    let number = moment(time)?;
    let expires = time.saturating_add(LIFE);
    let terminal = PdolData::without_terminal(number);
    let made = engine::make(card, permit, &terminal, 0, Verification::WalletPin)?;
    let profile = &card.profile;

    let mut transparent = Bytes::<64>::new();
    push(&mut transparent, 0x9F26, &made.value)?;
    push(&mut transparent, 0x9F27, &[ARQC])?;
    push(&mut transparent, 0x9F10, &made.issuer_data)?;
    push(&mut transparent, 0x9F36, &made.atc.to_be_bytes())?;
    push(&mut transparent, 0x82, &profile.aip)?;
    push(&mut transparent, 0x9F37, &number)?;

    let mut application = Bytes::<MAX_PAYLOAD>::new();
    push(&mut application, 0x4F, &profile.product.aid())?;
    push(&mut application, 0x50, &profile.label)?;
    push(&mut application, 0x57, &profile.track2)?;
    push(&mut application, 0x5F34, &[profile.psn])?;
    push(&mut application, 0x9F19, &requestor(&profile.token.requestor))?;
    if !profile.token.par.is_empty() {
        push(&mut application, 0x9F24, &profile.token.par)?;
    }
    let [a, b, c, d] = profile.last_four.map(|digit| digit & 0x0F);
    push(&mut application, 0x9F25, &[a << 4 | b, c << 4 | d])?;
    push(&mut application, TAG_TRANSPARENT, &transparent)?;

    let mut payload = Bytes::new();
    push(&mut payload, TAG_FORMAT, &FORMAT)?;
    push(&mut payload, TAG_APPLICATION, &application)?;
    engine::remember(card, made);
    Ok(QrPayloadReply { payload, expires })
}

/// Eleven digits, two in a byte, a zero in front.
fn requestor(digits: &[u8; 11]) -> [u8; 6] {
    let mut packed = [0; 6];
    let nibbles = core::iter::once(0).chain(digits.iter().map(|digit| digit & 0x0F));
    for (at, nibble) in nibbles.enumerate() {
        if let Some(byte) = packed.get_mut(at / 2) {
            *byte = *byte << 4 | nibble;
        }
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requestor_is_six_bytes() {
        assert_eq!(requestor(b"62999900001"), [0x06, 0x29, 0x99, 0x90, 0x00, 0x01]);
    }
}
