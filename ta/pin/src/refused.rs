//! What a terminal wanted and did not get, by the card trusted app's word: an *exact* verification is of that and of
//! nothing else.

use crate::Pin;
use tapvault_proto::{
    Error,
    id::Caller,
    pin::{BeginVerifyRequest, VERIFICATION_LIFE_MS},
    refused::{OfferRefusedRequest, RefusedTap},
};
use tapvault_tee::{Millis, Tee};

/// It waits for its entry.
pub struct Refused {
    offer: OfferRefusedRequest,
    deadline: Millis,
}

impl<T: Tee> Pin<T> {
    /// Keeps it for an entry; an earlier one is forgotten.
    pub(crate) fn refused_offered(&mut self, tee: &mut T, offer: OfferRefusedRequest) {
        self.refused = Some(Refused { offer, deadline: tee.now().plus(VERIFICATION_LIFE_MS) });
    }

    /// Checks that what is to be verified *exactly* is what waits. It is used up by the entry that begins.
    ///
    /// # Errors
    /// [`Error::NothingRefused`].
    pub(crate) fn check_refused(
        &self,
        request: &BeginVerifyRequest,
        app: Caller,
        now: Millis,
    ) -> Result<(), Error> {
        let BeginVerifyRequest { provider, card, ceiling: amount, currency, .. } = *request;
        let wanted = OfferRefusedRequest { provider, card, app, tap: RefusedTap { amount, currency } };
        let fits = |refused: &Refused| refused.offer == wanted && now < refused.deadline;
        if self.refused.as_ref().is_some_and(fits) { Ok(()) } else { Err(Error::NothingRefused) }
    }
}
