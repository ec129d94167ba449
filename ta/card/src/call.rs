//! One invocation of the card trusted app, and what its methods share.

use crate::{
    Card,
    engine::{self, Permit},
    keys::Asker,
    life,
    prepared::Prepared,
    store::{Life, Store},
    transaction::Armed,
};
use tapvault_proto::{
    Error,
    approval::{Approval, TakeApprovalRequest},
    card::{CardState, NfcStateReply, PreparedReply},
    id::{CardId, ProviderId},
    pin::{TakeVerificationReply, TakeVerificationRequest},
    token::Channel,
    trustlet::Owner,
};
use tapvault_tee::{Tee, Wiped};

/// One invocation.
pub struct Call<'a, T> {
    /// The trusted app.
    pub app: &'a mut Card,
    /// Its TEE.
    pub tee: &'a mut T,
    /// The session whose call it is.
    pub session: u32,
}

impl<T: Tee> Call<'_, T> {
    /// The cards.
    pub fn store(&mut self) -> Result<&mut Store, Error> {
        self.app.store(self.tee)
    }

    /// A trustlet of the TVM whose session this is.
    pub fn asker<'o>(&self, owner: &'o Owner) -> Result<Asker<'o>, Error> {
        let provider = self.app.gate.provider(self.session)?;
        Ok(Asker { session: self.session, provider, owner })
    }

    /// Takes a verification for `card` from the PIN trusted app, for anything but a payment.
    pub fn verified(&mut self, card: CardId) -> Result<(), Error> {
        let provider = self.store()?.card(card)?.provider;
        let app = self.caller()?;
        self.tee.call(&TakeVerificationRequest { provider, card, app, tap: false }).map(|_| ())
    }

    /// Deletes a card and what was verified for it.
    pub fn forget(&mut self, card: CardId) -> Result<(), Error> {
        self.app.store(self.tee)?.remove(self.tee, card)?;
        self.disarm(card);
        Ok(())
    }

    /// The NFC switch as it is.
    pub fn nfc(&mut self) -> NfcStateReply {
        let (left_ms, taps) = self.app.nfc.left(self.tee.now());
        NfcStateReply { left_ms, taps }
    }

    /// Moves a card's token on in its life; a verification, or a transaction, was for the card as it was.
    pub fn live(&mut self, card: CardId, life: Life) -> Result<CardState, Error> {
        self.app.store(self.tee)?.live(self.tee, card, life)?;
        self.disarm(card);
        Ok(life::state(life))
    }

    /// The time at the card's provider, and its leave to pay now.
    pub fn permit(&mut self, card: CardId, channel: Channel) -> Result<(Permit, u64), Error> {
        let now = self.tee.now();
        let card = Store::loaded(&mut self.app.store, self.tee)?.card(card)?;
        let time = self.app.clock.now(card.provider, now).ok_or(Error::NoTime)?;
        engine::permit(card, channel, Some(time)).map(|permit| (permit, time))
    }

    /// Takes the holder's approval of what is ready. The last of all steps: nothing is lost when another fails.
    pub fn approved<W>(
        &mut self,
        approval: Approval,
        what: W,
    ) -> Result<(Prepared<W>, PreparedReply), Error> {
        let card = approval.card;
        let provider = self.store()?.card(card)?.provider;
        let now = self.tee.now();
        let approved_ms = self.tee.call(&TakeApprovalRequest { provider, approval })?.remaining_ms;
        let deadline = now.plus(approved_ms);
        Ok((Prepared { card, deadline, what: Wiped::new(what) }, PreparedReply { approved_ms }))
    }

    /// Takes a verification for a payment with `card` from the PIN trusted app, unless one is here already.
    pub fn arm(&mut self, card: CardId, provider: ProviderId) -> Result<u64, Error> {
        let now = self.tee.now();
        // One that another app brought is none of this one's.
        let (app, its) = (self.caller()?, self.nfc_permits().is_ok());
        let here = |armed: &&Armed| its && armed.card == card && now < armed.deadline;
        if let Some(armed) = self.app.armed.as_ref().filter(here) {
            return Ok(armed.deadline.since(now));
        }
        let taken = self.tee.call(&TakeVerificationRequest { provider, card, app, tap: true })?;
        let deadline = now.plus(taken.remaining_ms);
        let TakeVerificationReply { ceiling, currency, exact, .. } = taken;
        self.app.armed = Some(Armed { card, ceiling, currency, exact, deadline });
        Ok(taken.remaining_ms)
    }
}
