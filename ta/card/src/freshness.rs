//! Freshness: what the service platform says after each start of this trusted app. Storage can be an older copy of itself,
//! so no card that was read from it pays before the platform has said how far its counter has come.

use crate::{Call, device::Device, store::Store};
use subtle::ConstantTimeEq;
use tapvault_proto::{
    Error,
    freshness::{DeviceState, FreshnessQuestion, FreshnessStatement, PinRunRequest, TakeFreshnessReply},
};
use tapvault_tee::Tee;
use tapvault_trust::PLATFORM_KEY;

/// The nonce of this run: the same for all of it, since a statement is good for all of it.
#[derive(Default)]
pub struct Run(Option<[u8; 32]>);

impl Run {
    fn nonce<T: Tee>(&mut self, tee: &mut T) -> [u8; 32] {
        *self.0.get_or_insert_with(|| {
            let mut nonce = [0; 32];
            tee.random(&mut nonce);
            nonce
        })
    }
}

impl<T: Tee> Call<'_, T> {
    /// Asks for this trusted app and for the PIN trusted app.
    ///
    /// # Errors
    /// [`Error::DeviceNotCertified`]; storage's.
    pub fn question(&mut self) -> Result<FreshnessQuestion, Error> {
        Device::loaded(&mut self.app.device, self.tee)?.certificate()?;
        let pin = self.tee.call(&PinRunRequest {})?;
        let card_nonce = self.app.run.nonce(self.tee);
        let cards = self.store()?.ids();
        Device::loaded(&mut self.app.device, self.tee)?.ask(DeviceState { card_nonce, cards, pin })
    }

    /// Takes the platform's word. Cards that it does not name are as they were.
    ///
    /// # Errors
    /// [`Error::NoChallenge`] before the question was asked in this run, [`Error::SignatureInvalid`],
    /// [`Error::WrongChallenge`]; storage's, while the cards are read.
    pub fn fresh(&mut self, statement: &FreshnessStatement) -> Result<TakeFreshnessReply, Error> {
        let nonce = self.app.run.0.as_ref().ok_or(Error::NoChallenge)?;
        if !PLATFORM_KEY.verifies(&statement.said.signed_bytes()?, &statement.signature) {
            return Err(Error::SignatureInvalid);
        }
        if !bool::from(nonce.ct_eq(&statement.said.card_nonce)) {
            return Err(Error::WrongChallenge);
        }
        let store = Store::loaded(&mut self.app.store, self.tee)?;
        let mut behind = 0;
        for counter in &statement.said.counters {
            // A card that was removed since.
            let Ok(card) = store.card_mut(counter.card) else { continue };
            behind += u8::from(card.refresh(counter.atc));
        }
        Ok(TakeFreshnessReply { behind })
    }
}
