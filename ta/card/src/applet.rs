//! The contactless application apart from the trusted app: for a secure element, which has a profile, a source of
//! random numbers and a store, but neither clock nor holder.
//!
//! The same code answers as in the trusted app. What that knows of holder, switch, time and the token's life comes as
//! [`Leave`]; without it there is no cryptogram.

use crate::{
    answers::static_answers,
    engine,
    store::Card,
    transaction::{self, Armed},
};
use tapvault_proto::{
    Error, dgi,
    element::Leave,
    emv::{
        apdu::{Command, StatusWord},
        application::{Processed, StaticAnswers},
    },
    id::CardId,
    profile::{CardProfile, Key128, Product},
    token::Channel,
};
use tapvault_tee::Millis;

/// One card's application.
pub struct Applet(Card);

impl Applet {
    /// The application of a checked profile.
    #[must_use]
    pub fn new(card: CardId, profile: CardProfile) -> Self {
        Self(Card::in_element(card, profile))
    }

    /// The card.
    #[must_use]
    pub const fn card(&self) -> CardId {
        self.0.id
    }

    /// Version of its keys.
    #[must_use]
    pub const fn key_version(&self) -> u8 {
        self.0.profile.key_version
    }

    /// What kind of card it is.
    #[must_use]
    pub const fn product(&self) -> Product {
        self.0.profile.product
    }

    /// Its label, tag 50, ASCII.
    #[must_use]
    pub fn label(&self) -> &[u8] {
        &self.0.profile.label
    }

    /// The answers that are the same at every tap.
    ///
    /// # Errors
    /// [`Error::Internal`] never for a checked profile.
    pub fn static_answers(&self) -> Result<StaticAnswers, Error> {
        let profile = &self.0.profile;
        static_answers(profile, profile.product.aid().into_iter().collect(), profile.priority)
    }

    /// The card as data groupings, as it came: what the element stores. Up to [`dgi::MAX_CARD`] bytes, keys among them.
    ///
    /// # Errors
    /// [`Error::ShortBuffer`].
    pub fn groupings(&self, out: &mut [u8]) -> Result<usize, Error> {
        dgi::encode_card(self.0.id, &self.0.profile, out)
    }

    /// Whether a key comes with each leave: the card has limited-use keys, and none of them lies here.
    #[must_use]
    pub const fn wants_key(&self) -> bool {
        self.0.profile.limited_use().is_some()
    }

    /// Answers GET PROCESSING OPTIONS under the leave's counter, which must be above every one used and stored as used
    /// before; `key` where the card wants one. Both are good once, whatever the answer is.
    pub fn process(
        &mut self,
        command: &Command<'_>,
        (leave, key): (Leave, Option<Key128>),
        random: impl FnOnce(&mut [u8]),
    ) -> Processed {
        let wants_key = self.wants_key();
        let Self(card) = self;
        let fits = (leave.card, leave.key_version) == (card.id, card.profile.key_version);
        if !fits || key.is_some() != wants_key {
            return StatusWord::ConditionsNotSatisfied.into();
        }
        card.allot(leave.counter, key);
        // What time it is the trusted app looked at.
        let Ok(permit) = engine::permit(card, Channel::Nfc, Some(0)) else {
            card.recall();
            return StatusWord::ConditionsNotSatisfied.into();
        };
        // Without a clock it is always in time; the trusted app gave it in time.
        let (now, deadline) = (Millis(0), Millis(1));
        let armed = leave.verified.map(|verified| Armed {
            card: card.id,
            ceiling: verified.ceiling,
            currency: verified.currency,
            exact: verified.exact,
            deadline,
        });
        let processed = transaction::process(card, permit, command, armed, (now, random));
        card.recall();
        processed.unwrap_or_else(|refusal| refusal.status().into())
    }
}
