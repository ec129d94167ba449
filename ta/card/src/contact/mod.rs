//! The contact test profile at a terminal: one reader, in which the last card reset is.

mod answers;
mod card;
mod changeable;
mod script;

use card::Inserted;
use tapvault_proto::{
    Error,
    emv::{apdu::Response, contact::ContactApplication},
    id::CardId,
};
use tapvault_tee::Tee;

use crate::{clock::Clock, store::Store};

/// A card in the contact reader.
pub struct Reader {
    /// The client's session that the reader belongs to.
    pub session: u32,
    /// The card.
    pub card: CardId,
    application: ContactApplication,
}

impl Reader {
    /// Resets a card, in a reader of this session.
    ///
    /// # Errors
    /// [`Error::UnknownCard`], [`Error::NotFresh`]; [`Error::TokenDomain`] for a phone's card.
    pub fn reset(store: &Store, session: u32, card: CardId) -> Result<Self, Error> {
        let inserted = store.card(card)?;
        match inserted.contact {
            // Said here; to a terminal it would be a status word.
            Some(_) if !inserted.is_fresh() => Err(Error::NotFresh),
            Some(_) => Ok(Self { session, card, application: ContactApplication::new() }),
            None => Err(Error::TokenDomain),
        }
    }

    /// Answers a command.
    ///
    /// # Errors
    /// [`Error::UnknownCard`].
    pub fn transmit<T: Tee>(
        &mut self,
        tee: &mut T,
        store: &mut Store,
        clock: &Clock,
        command: &[u8],
    ) -> Result<Response, Error> {
        let time = clock.now(store.card(self.card)?.provider, tee.now());
        let mut inserted = Inserted { tee, store, card: self.card, time };
        Ok(self.application.transmit(&mut inserted, command))
    }
}
