//! What a test profile remembers between transactions.

use super::Store;
use tapvault_proto::{
    Error,
    contact::{CardPin, Contact},
    emv::application::MAX_RECORD,
    id::CardId,
    wire::Bytes,
};
use tapvault_tee::Tee;

tapvault_proto::message! {
    /// What a test profile remembers between transactions.
    #[derive(Clone)]
    ContactState {
        /// The card PIN.
        pin: CardPin,
        /// Tries that are left, tag 9F17.
        tries: u8,
        /// Whether the issuer blocked the application.
        application_blocked: bool,
        /// Whether the issuer blocked the card.
        card_blocked: bool,
        /// Whether the issuer was asked, and no transaction with its answer was completed since.
        incomplete: bool,
        /// Whether its answer was wrong, and no right one came since.
        issuer_failed: bool,
        /// Whether offline data authentication failed in a transaction that was declined offline, and no right answer of
        /// the issuer came since.
        dda_failed: bool,
        /// Script commands since the last right answer, 15 at most.
        scripts: u8,
        /// Whether one of them failed.
        script_failed: bool,
        /// Counter of the last transaction with a right answer of the issuer, tag 9F13; 0 for none.
        last_online: u16,
    }
}

impl ContactState {
    /// That of a card that was just installed.
    pub fn new(contact: &Contact) -> Self {
        Self {
            pin: contact.pin.clone(),
            tries: contact.pin_tries,
            application_blocked: false,
            card_blocked: false,
            incomplete: false,
            issuer_failed: false,
            dda_failed: false,
            scripts: 0,
            script_failed: false,
            last_online: 0,
        }
    }
}

impl Store {
    /// Has a test profile remember something: stored when this returns, and not at all when it fails.
    ///
    /// # Errors
    /// [`Error::UnknownCard`]; [`Error::TokenDomain`] for a phone's card; storage's.
    pub fn remember<T: Tee>(
        &mut self,
        tee: &mut T,
        id: CardId,
        change: impl FnOnce(&mut ContactState),
    ) -> Result<(), Error> {
        let (index, card) = self.held_mut(id)?;
        let before = card.contact.clone().ok_or(Error::TokenDomain)?;
        if let Some(contact) = &mut card.contact {
            change(contact);
        }
        let saved = card.save(tee, index, card.reserved, card.life);
        if saved.is_err() {
            card.contact = Some(before);
        }
        saved
    }

    /// As [`Store::remember`], and puts `data` in place of the record at this place of the profile, in the same change of
    /// storage: the whole object is replaced.
    ///
    /// # Errors
    /// [`Error::UnknownCard`]; [`Error::TokenDomain`] for a phone's card; [`Error::Internal`] for a place that there is not;
    /// storage's.
    pub fn replace_record<T: Tee>(
        &mut self,
        tee: &mut T,
        id: CardId,
        (place, data): (usize, Bytes<MAX_RECORD>),
        change: impl FnOnce(&mut ContactState),
    ) -> Result<(), Error> {
        let (index, card) = self.held_mut(id)?;
        let contact = card.contact.as_mut().ok_or(Error::TokenDomain)?;
        let records = card.profile.oda.as_mut().map(|oda| &mut oda.records);
        let record = records.and_then(|records| records.get_mut(place)).ok_or(Error::Internal)?;
        let state_before = contact.clone();
        let data_before = core::mem::replace(&mut record.data, data);
        change(contact);
        let saved = card.save_whole(tee, index, card.reserved, card.life);
        if saved.is_err() {
            card.contact = Some(state_before);
            let records = card.profile.oda.as_mut().map(|oda| &mut oda.records);
            if let Some(record) = records.and_then(|records| records.get_mut(place)) {
                record.data = data_before;
            }
        }
        saved
    }
}
