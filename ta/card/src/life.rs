//! A token's life: what its provider commands, what its holder may.

use crate::store::{Card, Life};
use tapvault_proto::{
    Error,
    card::CardState,
    pin::ProviderCertificate,
    token::{TokenAction, TokenCommand, TokenState},
};
use tapvault_trust::certified;

/// What becomes of a token.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// The command is here already; nothing changes.
    Same,
    /// Its life goes on.
    Lives(Life),
    /// It is deleted.
    Deleted,
}

/// Checks that a command to a card is of its provider's; `signature` is `r‖s`.
///
/// # Errors
/// [`Error::CertificateInvalid`], [`Error::WrongProvider`], [`Error::SignatureInvalid`].
pub fn check_provider(
    card: &Card,
    certificate: &ProviderCertificate,
    message: &[u8],
    signature: &[u8; 64],
) -> Result<(), Error> {
    let key = certified(certificate)?;
    if certificate.provider != card.provider {
        return Err(Error::WrongProvider);
    }
    if key.verifies(message, signature) { Ok(()) } else { Err(Error::SignatureInvalid) }
}

/// What a command makes of a card's token.
///
/// # Errors
/// Those of [`check_provider`];
/// [`Error::CommandOutOfOrder`] for another version of the keys and for any but the next command and the last one;
/// [`Error::TokenState`] for one that does not fit, whose number the next one may have.
pub fn obey(card: &Card, command: &TokenCommand) -> Result<Next, Error> {
    check_provider(card, &command.certificate, &command.signed_bytes(), &command.signature)?;
    let TokenCommand { sequence, action, .. } = *command;
    let life = card.life;
    if command.key_version != card.profile.key_version {
        return Err(Error::CommandOutOfOrder);
    }
    if sequence > 0 && (sequence, action) == (life.sequence, life.action) {
        return Ok(Next::Same);
    }
    if Some(sequence) != life.sequence.checked_add(1) {
        return Err(Error::CommandOutOfOrder);
    }
    if action == TokenAction::Delete {
        return Ok(Next::Deleted);
    }
    let state = life.state.after(action).ok_or(Error::TokenState)?;
    Ok(Next::Lives(Life { state, sequence, action, ..life }))
}

/// The state to show: the provider's word goes before the holder's.
pub const fn state(life: Life) -> CardState {
    match life.state {
        TokenState::Inactive => CardState::Inactive,
        TokenState::Suspended => CardState::Suspended,
        TokenState::Active if life.suspended => CardState::SuspendedByHolder,
        TokenState::Active => CardState::Active,
    }
}
