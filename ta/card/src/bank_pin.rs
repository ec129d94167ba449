//! What the PIN trusted app needs of this one for the bank PIN: a card's token, and the device's word for its
//! challenge.

use crate::{Call, device::Device, store::Store, token};
use tapvault_proto::{
    Error,
    bank_pin::{DrawPinKeyRequest, OfferTokenRequest, PinKeyChallenge},
    id::CardId,
};
use tapvault_tee::Tee;

impl<T: Tee> Call<'_, T> {
    /// Has the PIN trusted app draw a challenge, and vouches for it.
    pub fn pin_key(&mut self) -> Result<PinKeyChallenge, Error> {
        // Asked first: a challenge that nobody can vouch for would replace one that is out.
        Device::loaded(&mut self.app.device, self.tee)?.certificate()?;
        let drawn = self.tee.call(&DrawPinKeyRequest {})?;
        Device::loaded(&mut self.app.device, self.tee)?.vouch(drawn)
    }

    /// Hands a card's token to the PIN trusted app, for one entry of the app that asks.
    pub fn offer(&mut self, card: CardId) -> Result<(), Error> {
        let (app, now) = (self.caller()?, self.tee.now());
        let held = Store::loaded(&mut self.app.store, self.tee)?.card(card)?;
        token::permits_use(held, self.app.clock.now(held.provider, now))?;
        // The same word of the bank's as for a terminal's PIN: who takes none there has nothing to compare with.
        if !held.profile.online_pin_allowed {
            return Err(Error::BankPinNotAllowed);
        }
        let (provider, token) = (held.provider, held.profile.token_digits());
        self.tee.call(&OfferTokenRequest { provider, card, app, token }).map(|_| ())
    }
}
