//! Who presents cards, and from where: every way to a terminal passes here, that of the TEE and that of the element.

use crate::{
    Call,
    element::{self, Exchange, What},
    engine,
    prepared::Prepared,
    route::{Routes, Table},
    store::{Store, TransactionKey},
};
use tapvault_proto::{
    Error, dgi,
    element::{ElementBeginRequest, ElementFrame, ElementProgress, ElementPurpose, Leave, Verified},
    id::{Caller, CardId},
    profile::{Key128, Product},
    route::{Endpoint, RoutesReply},
    token::Channel,
    tvm::MAX_FRAME,
    wire::Bytes,
};
use tapvault_tee::{Tee, Wiped, drop_if};

impl<T: Tee> Call<'_, T> {
    /// The app whose call this is.
    pub fn caller(&self) -> Result<Caller, Error> {
        self.app.gate.caller(self.session)
    }

    /// The routes.
    pub fn table(&mut self) -> Result<&Table, Error> {
        Routes::loaded(&mut self.app.routes, self.tee)?.table()
    }

    /// Whether the app that asks may present cards of this kind from there at all.
    pub fn may_present(&mut self, product: Product, endpoint: Endpoint) -> Result<(), Error> {
        let caller = self.caller()?;
        let table = self.table()?;
        table.admits(caller)?;
        table.permits(product, endpoint)
    }

    /// Whether the holder switched NFC on for the app that asks.
    pub fn nfc_permits(&mut self) -> Result<(), Error> {
        let caller = self.caller()?;
        self.app.nfc.permits(self.tee.now(), caller)
    }

    /// Switches NFC on for the app that brought the PIN.
    pub fn switch_on(&mut self) -> Result<(), Error> {
        let caller = self.caller()?;
        self.app.nfc.switch_on(self.tee.now(), caller);
        Ok(())
    }

    /// The routes as the app that asks sees them.
    pub fn routes_now(&mut self) -> Result<RoutesReply, Error> {
        let caller = self.caller()?;
        let switched_on = self.nfc_permits().is_ok();
        let table = self.table()?.clone();
        let store = self.store()?;
        Ok(RoutesReply {
            presents: switched_on && table.admits(caller).is_ok(),
            card: table.card.filter(|card| store.card(*card).is_ok()),
            element: table.element,
            app: table.app,
        })
    }

    /// Changes the routes by the holder's will, verified with the PIN for `card`. What was under way was so by the
    /// routes as they were.
    pub fn reroute(&mut self, card: CardId, change: impl FnOnce(&mut Table)) -> Result<RoutesReply, Error> {
        self.verified(card)?;
        Routes::loaded(&mut self.app.routes, self.tee)?.change(self.tee, change)?;
        self.app.armed = None;
        self.app.exchange = None;
        self.routes_now()
    }

    /// Begins an exchange with the element.
    pub fn begin(&mut self, request: ElementBeginRequest) -> Result<ElementFrame, Error> {
        let ElementBeginRequest { card, purpose } = request;
        let held = self.store()?.card(card)?;
        let (provider, product) = (held.provider, held.profile.product);
        if !held.profile.fits_element() {
            return Err(Error::NotForElement);
        }
        let caller = self.caller()?;
        self.table()?.admits(caller)?;
        let start = element::start(self.tee, provider)?;
        let what = match purpose {
            ElementPurpose::Personalise => {
                self.verified(card)?;
                What::Personalise
            }
            ElementPurpose::Tap => {
                let time = self.permit_element(card)?;
                self.nfc_permits()?;
                self.app.store(self.tee)?.reserve(self.tee, card, time)?;
                What::Tap(None)
            }
            ElementPurpose::VerifiedTap => {
                let time = self.permit_element(card)?;
                self.app.store(self.tee)?.reserve(self.tee, card, time)?;
                self.arm(card, provider)?;
                self.switch_on()?;
                What::Tap(self.app.armed.take())
            }
        };
        let (exchange, frame) = Exchange::begin(self.session, (card, product), what, start)?;
        self.app.exchange = Some(Wiped::new(exchange));
        Ok(ElementFrame { frame: carried(&frame)? })
    }

    /// Goes on with the exchange of this session; after an error it is over.
    pub fn go_on(&mut self, frame: &[u8]) -> Result<ElementProgress, Error> {
        let session = self.session;
        let taken = self.app.exchange.take_if(|exchange| exchange.session == session);
        let mut exchange = taken.ok_or(Error::NoExchange)?;
        let (card, what) = (exchange.card, exchange.what);
        let next = exchange.answered(frame, |out| self.groupings(card, what, out))?;
        let frame = next.as_deref().map(carried).transpose()?;
        if frame.is_some() {
            self.app.exchange = Some(exchange);
        }
        Ok(ElementProgress { frame })
    }

    /// What the element is to store.
    fn groupings(&mut self, card: CardId, what: What, out: &mut [u8]) -> Result<usize, Error> {
        let armed = match what {
            What::Personalise => return dgi::encode_card(card, &self.store()?.card(card)?.profile, out),
            What::Tap(armed) => armed,
        };
        // All of it again: time has passed.
        let time = self.permit_element(card)?;
        self.nfc_permits()?;
        let now = self.tee.now();
        if armed.is_some_and(|armed| armed.deadline <= now) {
            return Err(Error::NoVerification);
        }
        let held = self.store()?.card_mut(card)?;
        // A limited-use key goes with the counter that it is for, and is gone here.
        let (counter, key) = match held.profile.limited_use() {
            None => (held.next_atc()?, None),
            Some(_) => {
                let TransactionKey { atc, key } = held.next(Channel::Nfc, time)?;
                (atc, Some(Key128::new(*key)))
            }
        };
        let leave = Leave {
            card,
            key_version: held.profile.key_version,
            counter,
            verified: armed.map(|armed| Verified {
                ceiling: armed.ceiling,
                currency: armed.currency,
                exact: armed.exact,
            }),
        };
        self.app.nfc.count();
        dgi::encode_leave(&leave, key.as_ref(), out)
    }

    /// Whether a card's token may make a tap from the element now; what time that is to its provider.
    fn permit_element(&mut self, card: CardId) -> Result<Option<u64>, Error> {
        let now = self.tee.now();
        let held = Store::loaded(&mut self.app.store, self.tee)?.card(card)?;
        let (product, time) = (held.profile.product, self.app.clock.now(held.provider, now));
        engine::permit(held, Channel::Nfc, time)?;
        self.may_present(product, Endpoint::Element)?;
        Ok(time)
    }

    /// Forgets what was verified, approved and begun for a card as it was.
    pub fn disarm(&mut self, card: CardId) {
        self.app.armed.take_if(|armed| armed.card == card);
        self.app.refused.take_if(|refused| refused.card == card);
        drop_if(&mut self.app.reader, |reader| reader.card == card);
        drop_if(&mut self.app.exchange, |exchange| exchange.card == card);
        Prepared::forget(&mut self.app.code, card);
        Prepared::forget(&mut self.app.order, card);
    }
}

fn carried(frame: &[u8]) -> Result<Bytes<MAX_FRAME>, Error> {
    Bytes::from_slice(frame).map_err(|_| Error::Internal)
}
