//! Freshness: what the service platform says after each start of this trusted app. Storage can be an older copy of
//! itself, so no card that was read from it pays before the platform has said how far its counter has come.

use crate::{Call, device::Device, store::Store};
use tapvault_proto::{
    Error,
    freshness::{DeviceState, FreshnessQuestion, FreshnessStatement, PinRunRequest, TakeFreshnessReply},
};
use tapvault_tee::Tee;

impl<T: Tee> Call<'_, T> {
    /// Asks for this trusted app and for the PIN trusted app.
    ///
    /// # Errors
    /// [`Error::DeviceNotCertified`]; the PIN trusted app's; storage's.
    pub fn question(&mut self) -> Result<FreshnessQuestion, Error> {
        Device::loaded(&mut self.app.device, self.tee)?.certificate()?;
        let pin = self.tee.call(&PinRunRequest {})?;
        let card_nonce = self.app.run.get(|out| self.tee.random(out));
        let cards = self.store()?.issued();
        Device::loaded(&mut self.app.device, self.tee)?.ask(DeviceState { card_nonce, cards, pin })
    }

    /// Takes the platform's word. Cards that it does not name are as they were.
    ///
    /// # Errors
    /// [`Error::NoChallenge`] before the question was asked in this run, [`Error::SignatureInvalid`],
    /// [`Error::WrongChallenge`]; storage's, while the cards are read.
    pub fn fresh(&mut self, statement: &FreshnessStatement) -> Result<TakeFreshnessReply, Error> {
        self.app.run.check(statement, &statement.said.card_nonce)?;
        let store = Store::loaded(&mut self.app.store, self.tee)?;
        let mut behind = 0;
        for counter in &statement.said.counters {
            // A card that was removed since, or issued again: counters of other keys say nothing of it.
            let Ok(card) = store.card_mut(counter.card) else { continue };
            if card.profile.key_version == counter.key_version {
                behind += u8::from(card.refresh(counter.atc));
            }
        }
        Ok(TakeFreshnessReply { behind })
    }
}
