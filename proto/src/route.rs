//! Routing: where the cards of a kind answer terminals from, which card is the first, and which app presents them.
//!
//! The table is the trusted app's. The holder changes it with the PIN, every admitted client reads it.

use crate::{
    id::{Caller, CardId},
    profile::Product,
};

crate::code! {
    /// Where a contactless application answers from.
    Endpoint {
        /// The trusted app.
        Tee = 1,
        /// The secure element.
        Element = 2,
    }
}

crate::message! {
    /// Asks for the routes.
    #[derive(Clone, Debug, PartialEq, Eq)]
    RoutesRequest {}
}
crate::message! {
    /// The routes.
    #[derive(Clone, Debug, PartialEq, Eq)]
    RoutesReply {
        /// Whose applications answer from the secure element, by their AID ([`Product::aid`]); all others from the TEE.
        element: heapless::Vec<Product, 3>,
        /// The default card: the first in the directory, and the one that a partial AID selects.
        card: Option<CardId>,
        /// The app that presents cards; while none is chosen, the one that brought the holder's PIN.
        app: Option<Caller>,
        /// Whether the app that asks may present cards now.
        presents: bool,
    }
}
crate::message! {
    /// Routes the cards of a kind: takes the PIN verification for a card.
    #[derive(Clone, Debug, PartialEq, Eq)]
    RouteRequest {
        /// The card whose PIN was verified, any of the phone's.
        card: CardId,
        /// Which application.
        product: Product,
        /// Where it answers from.
        endpoint: Endpoint,
    }
}
crate::message! {
    /// Makes a card the default card, or leaves the order to the banks: takes the PIN verification for the card.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ChooseCardRequest {
        /// The card.
        card: CardId,
        /// Whether it is to be the default card; no card is, when not.
        chosen: bool,
    }
}
crate::message! {
    /// Makes the app that asks the one that presents cards, or none: takes the PIN verification for a card.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ChooseAppRequest {
        /// The card whose PIN was verified, any of the phone's.
        card: CardId,
        /// Whether the app that asks is to be it; no app is, when not.
        chosen: bool,
    }
}
