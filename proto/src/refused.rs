//! A tap that a terminal wanted verified and that was not: what it was for stays in the card trusted app, the pad shows
//! it, and the verification is *exact*.

use crate::id::{Caller, CardId, ProviderId};

crate::message! {
    /// Has the card trusted app hand over what the last terminal wanted verified with a card, ahead of an *exact*
    /// [`crate::pin::BeginVerifyRequest`].
    #[derive(Clone, Debug, PartialEq, Eq)]
    ConfirmPrepareRequest {
        /// The card.
        card: CardId,
    }
}
crate::message! {
    /// What the terminal wanted; it can be confirmed within the next 60 seconds.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    RefusedTap {
        /// In minor units of `currency`.
        amount: u64,
        /// ISO 4217 numeric code, as in tag 5F2A.
        currency: u16,
    }
}
crate::message! {
    /// The card trusted app hands over what a terminal wanted verified, for one entry of one app.
    #[derive(Clone, Debug, PartialEq, Eq)]
    OfferRefusedRequest {
        /// The card's provider.
        provider: ProviderId,
        /// The card.
        card: CardId,
        /// The app that presented the card, and enters the PIN in a session of its own.
        app: Caller,
        /// What the terminal wanted.
        tap: RefusedTap,
    }
}
crate::message! {
    /// It waits for its entry; an earlier one does not any more.
    #[derive(Clone, Debug, PartialEq, Eq)]
    OfferRefusedReply {}
}
