//! Random payments, power cuts at any change of storage, commands that come, are lost or come late: what a card may pay offline
//! against a second writing of the rules.

mod common;

use common::Phone;
use std::collections::BTreeSet;
use tapvault::{ClientError, Wallet, sim::Sim};
use tapvault_device_tests::{
    lab::{Field, Lab, payment, switch_on},
    random::Random,
};
use tapvault_network::{
    issuer::Reason,
    oda::OdaKind,
    request::AuthorisationRequest,
    terminal::{Payment, Reach, pay},
};
use tapvault_proto::{
    Error,
    id::CardId,
    offline::{Offline, OfflineCommand, OfflineState},
};

const STEPS: usize = 500;
const RULES: Offline = Offline { balance: 3_000, payment: 500 };

/// What the card has to know, and what nobody but the test does: all that it ever gave away.
struct Model {
    loaded: u64,
    booked: u64,
    counted: u64,
    given: u64,
    counters: BTreeSet<u16>,
}

impl Model {
    fn restart(&mut self) {
        self.counted = self.booked;
    }

    fn prepare(&mut self) {
        self.booked = self.booked.max(self.loaded.min(self.counted + RULES.payment));
    }

    fn approves(&self, amount: u64) -> bool {
        amount > 0 && amount <= RULES.payment && self.counted + amount <= self.booked
    }
}

struct Run {
    phone: Phone,
    wallet: Wallet<Sim>,
    lab: Lab,
    card: CardId,
    model: Model,
    /// Approvals that terminals have not delivered.
    pending: Vec<(u64, AuthorisationRequest)>,
    /// The last command that the card obeyed.
    obeyed: Option<OfflineCommand>,
    cuts: u32,
}

impl Run {
    fn new() -> Self {
        let (phone, mut lab) = (Phone::protected(), Lab::new().unwrap());
        let mut wallet = phone.wallet();
        (lab.kind.oda, lab.rules.offline) = (OdaKind::Sm2, Some(RULES));
        let card = lab.provision(&mut wallet).unwrap();
        let model =
            Model { loaded: RULES.balance, booked: 0, counted: 0, given: 0, counters: BTreeSet::new() };
        Self { phone, wallet, lab, card, model, pending: Vec::new(), obeyed: None, cuts: 0 }
    }

    fn restart(&mut self) {
        self.phone.restart();
        self.wallet = self.phone.wallet();
        self.model.restart();
    }

    /// Lets power go at the next change of storage, if there is one; `None` when it went.
    fn with_power<R>(
        &mut self,
        cut: bool,
        act: impl FnOnce(&mut Self) -> Result<R, ClientError>,
    ) -> Option<Result<R, ClientError>> {
        self.phone.device.borrow_mut().changes_left = cut.then_some(1);
        let done = act(self);
        let gone = self.phone.device.borrow().changes_left == Some(0);
        self.phone.device.borrow_mut().changes_left = None;
        if gone {
            assert!(done.is_err(), "nothing is said to be done that is not stored");
            self.cuts += 1;
            self.restart();
            return None;
        }
        Some(done)
    }

    fn taps(&mut self, random: &mut Random) {
        switch_on(&mut self.wallet, self.card).unwrap();
        let cut = random.one_in(4);
        let prepared = self.with_power(cut, |run| run.wallet.prepare_tap(run.card, false).map(|_| ()));
        let Some(prepared) = prepared else { return };
        prepared.unwrap();
        self.model.prepare();
        for _ in 0..1 + random.index(3) {
            let amount = random.of(&[0, 1, 80, 250, 499, 500, 501]);
            let reach = random.of(&[Reach::Both, Reach::Both, Reach::Offline, Reach::Online]);
            let wanted = Payment { reach, ..payment(amount, false) };
            // Nothing is stored here: what was prepared goes on.
            let mut tap = self.wallet.prepare_tap(self.card, false).unwrap();
            self.model.prepare();
            let expected = reach != Reach::Online && self.model.approves(amount);
            let Ok(taken) = pay(&mut Field(&mut tap), &wanted) else {
                assert!(reach == Reach::Offline && !expected);
                continue;
            };
            assert_eq!(taken.approved_offline, expected, "{amount} at {reach:?}");
            let atc = u16::from_be_bytes(taken.request.atc);
            assert!(self.model.counters.insert(atc), "counter {atc} twice");
            if taken.approved_offline {
                self.model.counted += amount;
                self.model.given += amount;
                self.pending.push((amount, taken.request));
            } else {
                assert!(self.lab.issuer.authorise(&taken.request).is_approved());
            }
        }
    }

    fn deliver(&mut self, random: &mut Random, all: bool) {
        while !self.pending.is_empty() && (all || !random.one_in(3)) {
            let (amount, request) = self.pending.swap_remove(random.index(self.pending.len()));
            let cleared = self.lab.issuer.clear(&request).map(|cleared| cleared.amount);
            assert_eq!(cleared, Ok(amount));
            assert_eq!(self.lab.issuer.clear(&request), Err(Reason::ReplayedAtc));
        }
    }

    fn command(&mut self, random: &mut Random, command: &OfflineCommand) -> Option<OfflineState> {
        if random.one_in(6) {
            // It is lost on its way.
            return None;
        }
        let cut = random.one_in(4);
        let obeyed = self.with_power(cut, |run| run.wallet.offline_command(command))?.unwrap();
        self.obeyed = Some(command.clone());
        Some(obeyed)
    }

    /// What the card knows to be closed.
    fn closed(&self) -> u16 {
        self.obeyed.as_ref().map_or(0, |obeyed| obeyed.closed)
    }

    fn load(&mut self, random: &mut Random) {
        let command = self.lab.issuer.load(self.card, random.below(800)).unwrap();
        // A settlement that was lost comes with it, and may be too late.
        if command.closed != self.closed() {
            return;
        }
        if self.command(random, &command).is_some() {
            self.model.loaded = command.loaded;
        }
    }

    fn settle(&mut self, random: &mut Random) {
        self.deliver(random, true);
        let state = self.wallet.offline_state(self.card).unwrap();
        let command = self.lab.issuer.settle(self.card, state.counter).unwrap();
        assert_eq!(command.cleared, self.model.given, "everything was delivered");
        // Where no counter was used since the last one, it settles nothing, and what is set aside stays.
        let settles = command.closed > self.closed();
        if random.one_in(4) {
            let before = self.model.counters.len();
            self.taps(random);
            if settles && self.model.counters.len() > before {
                let refused = self.wallet.offline_command(&command).unwrap_err().refusal();
                assert_eq!(refused, Some(Error::TokenState), "there was a payment since");
                return;
            }
        }
        if self.wallet.offline_state(self.card).unwrap().counter != state.counter {
            // Power went in between; what was reserved is above.
            return;
        }
        if self.command(random, &command).is_some() {
            if settles {
                (self.model.booked, self.model.counted) = (self.model.given, self.model.given);
            }
            self.model.loaded = command.loaded;
        }
    }

    fn check(&mut self) {
        let Model { loaded, booked, counted, given, .. } = self.model;
        assert!(given <= counted && counted <= booked && booked <= loaded);
        assert_eq!(self.wallet.offline_state(self.card).unwrap().left, loaded - counted);
        let record = self.lab.issuer.cards().iter().find(|card| card.card == self.card.0).unwrap();
        let record = record.offline.as_ref().unwrap();
        assert!(record.spent() <= record.loaded);
        if let Some(command) = self.obeyed.clone() {
            let before = self.wallet.offline_state(self.card).unwrap();
            assert_eq!(self.wallet.offline_command(&command).unwrap(), before, "the last one again");
        }
    }
}

#[test]
fn what_a_card_may_pay_offline_is_never_negative_and_never_spent_twice() {
    let mut random = Random::of_environment();
    let mut run = Run::new();
    let (mut settled, mut most) = (0, 0);
    for _ in 0..STEPS {
        match random.index(10) {
            0..=4 => run.taps(&mut random),
            5..=6 => run.deliver(&mut random, false),
            7 => run.load(&mut random),
            8 => {
                run.settle(&mut random);
                settled += 1;
            }
            _ => run.restart(),
        }
        run.check();
        most = most.max(run.model.given);
    }
    let Run { cuts, model, .. } = run;
    println!("{} counters, {cuts} cuts, {settled} settlements, {most} paid offline", model.counters.len());
    assert!(cuts > 20 && settled > 30 && most > 3 * RULES.balance, "{cuts} {settled} {most}");
}
