//! A chip card in a reader proves its presence to the bank that binds it: the phone plays the terminal, over an amount of
//! nothing, and hands the card's cryptogram on. It checks nothing that matters; the bank, who has the card's keys, does.

use std::time::{SystemTime, UNIX_EPOCH};
use tapvault_network::{binding::chip, calendar};
pub use tapvault_network::{
    frame::{CardLink, TcpCard},
    request::AuthorisationRequest,
    terminal::TerminalError,
};
use tapvault_proto::binding::BeginCardDataRequest;

/// Reads a chip card for a binding; what comes back is for the bank.
///
/// # Errors
/// [`TerminalError`]: the reader's failure, or what the card refused or said wrong.
pub fn read(
    card: &mut impl CardLink,
    offer: &BeginCardDataRequest,
) -> Result<AuthorisationRequest, TerminalError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    chip::read(card, &offer.nonce, calendar::date(now.as_secs())).map(|taken| taken.request)
}
