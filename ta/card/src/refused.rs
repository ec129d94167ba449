//! A tap refused for want of a verification: what the terminal wanted stays here, so that nobody between has a say in
//! what the holder confirms.

use crate::{Call, store::Store, token};
use tapvault_proto::{
    Error,
    id::{Caller, CardId},
    refused::{OfferRefusedRequest, RefusedTap},
};
use tapvault_tee::Tee;

/// The last one: kept until a terminal asks this card again, or it is not the card it was.
pub struct Refused {
    /// The card.
    pub card: CardId,
    /// The app that presented it.
    pub app: Caller,
    /// What was wanted.
    pub tap: RefusedTap,
}

impl<T: Tee> Call<'_, T> {
    /// Hands it to the PIN trusted app, for one entry of the app that presented the card.
    ///
    /// # Errors
    /// [`Error::UnknownCard`]; [`Error::NothingRefused`]; what keeps the token from being used.
    pub fn offer_refused(&mut self, card: CardId) -> Result<RefusedTap, Error> {
        let (app, now) = (self.caller()?, self.tee.now());
        let held = Store::loaded(&mut self.app.store, self.tee)?.card(card)?;
        token::permits_use(held, self.app.clock.now(held.provider, now))?;
        let provider = held.provider;
        let ours = |refused: &&Refused| (refused.card, refused.app) == (card, app);
        let tap = self.app.refused.as_ref().filter(ours).ok_or(Error::NothingRefused)?.tap;
        self.tee.call(&OfferRefusedRequest { provider, card, app, tap })?;
        Ok(tap)
    }
}
