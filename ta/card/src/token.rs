//! Whether a card's token may make a payment.

use crate::store::Card;
use tapvault_proto::{
    Error,
    profile::CardProfile,
    token::{Channel, Domain, TokenState},
};

/// Whether it may pay through `channel` at all now; `time` is its provider's.
///
/// # Errors
/// [`Error::TokenNotActive`], [`Error::NotFresh`], [`Error::NoTime`], [`Error::TokenDomain`].
pub fn permits(card: &Card, channel: Channel, time: Option<u64>) -> Result<(), Error> {
    permits_use(card, time)?;
    if card.profile.allows(channel) { Ok(()) } else { Err(Error::TokenDomain) }
}

/// Whether it may be used at all now, a test profile as well.
///
/// # Errors
/// As [`permits`].
pub fn permits_use(card: &Card, time: Option<u64>) -> Result<(), Error> {
    if card.life.state != TokenState::Active || card.life.suspended {
        return Err(Error::TokenNotActive);
    }
    if !card.is_fresh() {
        return Err(Error::NotFresh);
    }
    let domain = &card.profile.token.domain;
    let in_time = domain.valid_until == Domain::UNLIMITED
        || time.map(|time| time <= domain.valid_until).ok_or(Error::NoTime)?;
    let in_number = domain.payments == u16::MAX || card.used() < domain.payments;
    if card.profile.limited_use().is_some() && time.is_none() {
        // Limited-use keys have a life of their own.
        return Err(Error::NoTime);
    }
    if in_time && in_number { Ok(()) } else { Err(Error::TokenDomain) }
}

/// Whether it may pay this much, in minor units of `currency`.
pub fn permits_amount(profile: &CardProfile, amount: u64, currency: u16) -> bool {
    let limit = profile.token.domain.amount;
    limit == Domain::UNLIMITED || currency == profile.currency && amount <= limit
}
