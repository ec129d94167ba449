//! A hundred thousand taps of ten cards of five banks, with restarts, power cuts and damaged storage in between: no
//! counter serves twice, no intact card is lost, damage is named; and a rollback of the whole store gains nothing.

mod common;

use common::Phone;
use std::collections::BTreeSet;
use tapvault::{Wallet, sim::Sim};
use tapvault_device_tests::{
    lab::{self, Lab, gpo_command},
    random::Random,
};
use tapvault_network::{
    bank::Provider,
    issuer::{Decision, Reason},
};
use tapvault_proto::{
    card::{CardState, TapGpoRequest, TapPrepareRequest},
    emv::{AID_UNIONPAY_DEBIT, apdu::Response},
    id::CardId,
    service::Service,
};

const TAPS: usize = 100_000;
const CARDS: u8 = 10;

/// Everything that must hold, as the taps go on.
struct Endurance {
    phone: Phone,
    wallet: Wallet<Sim>,
    /// Each with two of the cards.
    banks: [Lab; 5],
    /// Key version and counter of every cryptogram, by card.
    used: BTreeSet<(CardId, u8, u16)>,
    approved: usize,
}

fn card(number: u8) -> CardId {
    CardId([number + 1; 16])
}

impl Endurance {
    fn new() -> Self {
        let (phone, bank) =
            (Phone::new(), |name| Lab { provider: Provider::lab(name).unwrap(), ..Lab::new().unwrap() });
        let wallet = phone.wallet();
        let mut endurance = Self {
            phone,
            wallet,
            banks: ["A", "B", "C", "D", "E"].map(bank),
            used: BTreeSet::new(),
            approved: 0,
        };
        (0..CARDS).for_each(|number| endurance.issue(number));
        endurance
    }

    fn issue(&mut self, number: u8) {
        self.banks[usize::from(number % 5)].issue(&mut self.wallet, card(number)).unwrap();
    }

    /// Prepares and taps; `false` when storage failed. The terminal has the cryptogram in any case.
    fn tap(&mut self, number: u8) -> bool {
        let id = card(number);
        let ready = lab::switch_on(&mut self.wallet, id).is_ok()
            && self.wallet.call(&TapPrepareRequest { card: id, verified: false }).is_ok();
        if !ready {
            return false;
        }
        let aid = AID_UNIONPAY_DEBIT.into_iter().collect();
        let command = gpo_command(100, false).into_iter().collect();
        let reply = self.wallet.call(&TapGpoRequest { card: id, aid, command }).unwrap();
        let request = lab::request(100, false, &Response::from_bytes(&reply.response).unwrap()).unwrap();
        let (keys, atc) = (request.issuer_data[1], u16::from_be_bytes(request.atc));
        assert!(self.used.insert((id, keys, atc)), "counter {atc} of card {number} serves twice");
        let issuer = &mut self.banks[usize::from(number % 5)].issuer;
        assert!(issuer.authorise(&request).is_approved());
        self.approved += 1;
        // The last counter ends a key version long before 65,535 taps of one card come together here.
        assert!(atc < 60_000);
        true
    }

    fn restart(&mut self) {
        self.phone.restart();
        self.wallet = self.phone.wallet();
    }

    /// Every card but one is there and pays.
    fn all_but(&mut self, missing: Option<u8>) {
        for number in (0..CARDS).filter(|number| Some(*number) != missing) {
            assert!(self.tap(number), "card {number}");
        }
    }

    /// Damages a card's object, or takes it away.
    fn hurt(&mut self, number: u8, damage: bool) {
        let damaged = |wallet: &mut Wallet<Sim>| {
            let places = wallet.cards().unwrap();
            places.iter().filter(|entry| entry.state == CardState::Damaged).count()
        };
        let before = damaged(&mut self.wallet);
        let places = self.wallet.cards().unwrap();
        let slot = places.iter().find(|entry| entry.card == card(number)).unwrap().slot;
        let name = (Service::Card.uuid(), format!("card.{slot:02}").into_bytes());
        let mut device = self.phone.device.borrow_mut();
        match device.objects.get_mut(&name).unwrap() {
            object if damage => *object = None,
            _ => drop(device.objects.remove(&name)),
        }
        drop(device);
        self.restart();
        let named = damaged(&mut self.wallet) - before;
        assert_eq!(named, usize::from(damage), "damage is named; what is taken away is not there");
        assert!(!self.tap(number));
        self.all_but(Some(number));
        // The bank has to put it back, with newer keys.
        self.issue(number);
        assert!(self.tap(number));
    }
}

#[test]
fn no_counter_serves_twice_and_no_intact_card_is_lost() {
    let mut random = Random::of_environment();
    let mut endurance = Endurance::new();
    let (mut restarts, mut cuts, mut hurts) = (0, 0, 0);
    while endurance.approved < TAPS {
        let number = random.byte() % CARDS;
        match random.below(2_000) {
            0..=19 => {
                endurance.restart();
                restarts += 1;
            }
            20..=39 => {
                endurance.phone.device.borrow_mut().changes_left = Some(random.word(3) + 1);
                while endurance.tap(random.byte() % CARDS) {}
                endurance.restart();
                cuts += 1;
            }
            // Key versions end at 255: each of these costs one.
            40 if hurts < 40 => {
                endurance.hurt(number, random.one_in(2));
                hurts += 1;
            }
            _ => assert!(endurance.tap(number)),
        }
    }
    endurance.restart();
    endurance.all_but(None);
    println!("{} taps, {restarts} restarts, {cuts} power cuts, {hurts} objects hurt", endurance.approved);
    assert!(restarts > 100 && cuts > 100 && hurts > 10);
}

#[test]
fn a_store_that_was_rolled_back_makes_no_payment_twice() {
    let mut endurance = Endurance::new();
    endurance.all_but(None);
    let old = endurance.phone.device.borrow().objects.clone();
    // Into a range that the old store knows nothing of.
    (0..20).for_each(|_| endurance.all_but(None));
    endurance.phone.device.borrow_mut().objects = old;
    endurance.restart();
    let (mut refused, mut paid) = (0, 0);
    for number in 0..CARDS {
        // The range that was reserved is skipped after a restart: counters are reused only where one was reserved since.
        for _ in 0..20 {
            let response = lab::tap(&mut endurance.wallet, card(number), false, &gpo_command(100, false));
            let Ok(response) = response else { continue };
            let request = lab::request(100, false, &response).unwrap();
            let new = !endurance.used.contains(&(
                card(number),
                request.issuer_data[1],
                u16::from_be_bytes(request.atc),
            ));
            match endurance.banks[usize::from(number % 5)].issuer.authorise(&request) {
                Decision::Approved { .. } => {
                    assert!(new, "paid twice");
                    paid += 1;
                }
                Decision::Declined(Reason::ReplayedAtc) => refused += 1,
                Decision::Declined(reason) => panic!("{reason}"),
            }
        }
    }
    println!("{paid} paid, {refused} refused");
    assert!(paid > 0 && refused > 0);
}
