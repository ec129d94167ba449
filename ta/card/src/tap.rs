//! A tap from the TEE: what is made ready ahead of it, and the one command that enters.

use crate::{
    Call, answers::static_answers, engine, offline, refused::Refused, store::Store, token, transaction,
};
use tapvault_proto::{
    Error,
    card::{TapGpoReply, TapGpoRequest, TapPrepareReply, TapPrepareRequest},
    emv::{
        apdu::StatusWord,
        application::{CardApplication, Processed, StaticAnswers},
    },
    id::CardId,
    route::Endpoint,
    token::Channel,
};
use tapvault_tee::Tee;

impl<T: Tee> Call<'_, T> {
    /// The answers that are the same at every tap.
    ///
    /// # Errors
    /// Who may not present the card, and why.
    pub fn answers_of(&mut self, card: CardId) -> Result<StaticAnswers, Error> {
        let now = self.tee.now();
        let profile = &self.store()?.card(card)?.profile;
        let (product, of_bank) = (profile.product, profile.priority);
        self.may_present(product, Endpoint::Tee)?;
        self.nfc_permits()?;
        let priority = self.table()?.priority(card, of_bank);
        let store = Store::loaded(&mut self.app.store, self.tee)?;
        let held = store.card(card)?;
        token::permits(held, Channel::Nfc, self.app.clock.now(held.provider, now))?;
        static_answers(&held.profile, store.name_in_field(card)?, priority)
    }

    /// Makes a card ready for taps: all storage access happens here.
    ///
    /// # Errors
    /// Who may not present the card, and why; storage's.
    pub fn make_ready(&mut self, request: TapPrepareRequest) -> Result<TapPrepareReply, Error> {
        let now = self.tee.now();
        let card = Store::loaded(&mut self.app.store, self.tee)?.card(request.card)?;
        let (provider, product) = (card.provider, card.profile.product);
        let time = self.app.clock.now(provider, now);
        engine::permit(card, Channel::Nfc, time)?;
        self.may_present(product, Endpoint::Tee)?;
        let verified_ms = if request.verified {
            let left_ms = self.arm(request.card, provider)?;
            // Whoever enters the PIN to tap wants to tap.
            self.switch_on()?;
            left_ms
        } else {
            self.nfc_permits()?;
            self.app.armed.take_if(|armed| armed.card == request.card);
            0
        };
        let store = Store::loaded(&mut self.app.store, self.tee)?;
        let room = offline::room(self.tee, &store.card(request.card)?.profile);
        let taps = store.reserve_with_room(self.tee, request.card, time, room)?;
        Ok(TapPrepareReply { taps, verified_ms })
    }

    /// Answers GET PROCESSING OPTIONS.
    ///
    /// # Errors
    /// What is not the terminal's to know; the rest is a status word.
    pub fn tap(&mut self, request: TapGpoRequest) -> Result<TapGpoReply, Error> {
        // Consumed before anything can go wrong.
        let armed = self.app.armed.take_if(|armed| armed.card == request.card);
        self.app.refused.take_if(|refused| refused.card == request.card);
        let caller = self.caller()?;
        let product = self.store()?.card(request.card)?.profile.product;
        self.may_present(product, Endpoint::Tee)?;
        let switched_on = self.nfc_permits().is_ok();
        let Self { app, tee, .. } = self;
        let card = Store::loaded(&mut app.store, *tee)?.card_mut(request.card)?;
        let [0x80, 0xA8, ..] = request.command.as_slice() else { return Err(Error::BadParameters) };
        let selected = request.aid.starts_with(&card.profile.product.aid());
        let (mut record, mut refused) = (None, None);
        let response = CardApplication::selected().transmit(&[], &request.command, |_, command| {
            if !selected || !switched_on {
                return StatusWord::ConditionsNotSatisfied.into();
            }
            let now = tee.now();
            let time = app.clock.now(card.provider, now);
            let Ok(permit) = engine::permit(card, Channel::Nfc, time) else {
                return StatusWord::ConditionsNotSatisfied.into();
            };
            let processed = transaction::process(card, permit, command, armed, (now, |out| tee.random(out)));
            if processed.is_ok() {
                app.nfc.count();
            }
            let processed = processed.unwrap_or_else(|refusal| {
                refused = refusal.unverified();
                Processed::from(refusal.status())
            });
            record.clone_from(&processed.record);
            processed
        });
        if let Some(tap) = refused {
            app.refused = Some(Refused { card: request.card, app: caller, tap });
        }
        Ok(TapGpoReply { response: response.into_bytes(), record })
    }
}
