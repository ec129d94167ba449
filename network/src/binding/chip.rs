//! Presence of a real chip card: it answers a transaction over nothing whose unpredictable number the bank's nonce
//! decides, and only its issuer can tell whether the answer is the card's.

use crate::{
    frame::CardLink,
    registry::CNY,
    request::AuthorisationRequest,
    terminal::{Payment, Reach, Taken, TerminalError, pay},
};
use sha2::{Digest, Sha256};
use tapvault_proto::token::Channel;

/// The unpredictable number of a binding, tag 9F37: the first four bytes of SHA-256 over a label and the bank's nonce. Two
/// bindings in four thousand million share one; the card's counter tells their cryptograms apart all the same.
#[must_use]
pub fn unpredictable(nonce: &[u8; 32]) -> [u8; 4] {
    let digest: [u8; 32] =
        Sha256::new().chain_update("tapvault chip presence 1").chain_update(nonce).finalize().into();
    let [a, b, c, d, ..] = digest;
    [a, b, c, d]
}

/// Takes a chip card in a reader through the transaction of a binding; `date` is today, YYMMDD in BCD. What comes back
/// is for the bank: amount nothing, so that it pays nothing anywhere.
///
/// # Errors
/// [`TerminalError`], with the exchanges until then.
pub fn read(card: &mut impl CardLink, nonce: &[u8; 32], date: [u8; 3]) -> Result<Taken, TerminalError> {
    let payment = Payment {
        amount_minor: 0,
        currency: CNY,
        country: CNY,
        date,
        unpredictable: unpredictable(nonce),
        verification_required: false,
        online_pin: false,
        signature: false,
        reach: Reach::Online,
    };
    pay(card, &payment)
}

/// Whether a request was made for a binding and pays nothing.
#[must_use]
pub fn is_for(request: &AuthorisationRequest, nonce: &[u8; 32]) -> bool {
    request.channel == Channel::Nfc
        && request.amount == [0; 6]
        && request.amount_other == [0; 6]
        && request.unpredictable == unpredictable(nonce)
}
