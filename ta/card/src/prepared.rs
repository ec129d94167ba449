//! What a holder approved and what waits to be made: one of a kind, of one card, for the approval's time. Memory alone
//! holds it, so that a restart ends it.

use tapvault_proto::{Error, id::CardId};
use tapvault_tee::{Millis, Wiped, drop_if};

/// An approved payment.
pub struct Prepared<W> {
    /// The card that pays.
    pub card: CardId,
    /// When the approval is over.
    pub deadline: Millis,
    /// What is ready. On the heap, so that it does not move when it is taken: it may hold the key of a seal.
    pub what: Wiped<W>,
}

impl<W> Prepared<W> {
    /// Takes what is prepared for `card`; it is gone whatever happens next.
    ///
    /// # Errors
    /// [`Error::NothingPrepared`]; what is prepared for another card stays.
    pub fn take(place: &mut Option<Self>, card: CardId, now: Millis) -> Result<Wiped<W>, Error> {
        let taken = place.take_if(|prepared| prepared.card == card);
        let in_time = taken.filter(|prepared| now < prepared.deadline);
        in_time.map(|prepared| prepared.what).ok_or(Error::NothingPrepared)
    }

    /// Forgets what is prepared for `card`.
    pub fn forget(place: &mut Option<Self>, card: CardId) {
        drop_if(place, |prepared| prepared.card == card);
    }
}
