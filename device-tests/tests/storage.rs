//! Damage and power loss: every change of the store, one after the other, on the simulated TEE. The
//! same promises are kept on real OP-TEE by `qemu-optee/powerloss`.

mod common;

use common::{BOOT, MALLORY, POLICY, Phone, WALLET, prepared, refusal};
use tapvault::{ClientError, Transport, Wallet, sim::Sim, transport::call};
use tapvault_device_tests::{
    lab::{self, Digits, Lab, PIN},
    pad,
    scenarios::pin,
    walk,
};
use tapvault_network::lab::sign_policy;
use tapvault_proto::{
    Error,
    bank_pin::PinBlockFormat,
    card::{ATC_RANGE, CardState},
    id::{CardId, ProviderId, Uuid},
    pin::{PinState, RETRY_DELAYS_MS, TicketPurpose},
    profile::Product,
    route::Endpoint,
    service::Service,
    supervisor::{InstallPolicyRequest, StatusRequest},
    wire::Bytes,
};

/// Runs `act` with power lost at the first change, the second, and so on until it comes through; after
/// each loss the phone restarts and `check` says what must hold.
fn at_every_change(
    act: impl Fn(&mut Lab, &mut Wallet<Sim>, CardId) -> Result<(), ClientError>,
    check: impl Fn(&mut Lab, &mut Wallet<Sim>, CardId, bool),
) -> u32 {
    for point in 1..50 {
        let (phone, mut lab, card) = prepared();
        let mut wallet = phone.wallet();
        wallet.status().unwrap();
        phone.device.borrow_mut().changes_left = Some(point);
        let done = act(&mut lab, &mut wallet, card);
        let cut = phone.device.borrow().changes_left == Some(0);
        drop(wallet);
        phone.restart();
        check(&mut lab, &mut phone.wallet(), card, done.is_ok() && !cut);
        if !cut {
            done.unwrap();
            return point - 1;
        }
    }
    panic!("it does not end");
}

#[test]
fn provisioning_is_all_or_nothing() {
    let points = at_every_change(
        |lab, wallet, _| {
            let challenge = wallet.card_challenge()?;
            let package = lab.package(CardId([9; 16]), &challenge).unwrap();
            wallet.add_card(package.as_bytes()).map(|_| ())
        },
        |lab, wallet, card, done| {
            let cards = wallet.cards().unwrap();
            assert_eq!(cards.len(), if done { 2 } else { 1 });
            assert!(cards.iter().all(|entry| entry.state == CardState::Active));
            for entry in cards {
                assert!(lab::pay(lab, wallet, entry.card, (1, false, false)).unwrap().1.is_approved());
            }
            assert!(lab.verify(wallet, card, PIN).is_ok());
        },
    );
    assert_eq!(points, 1, "a card is one object");
}

fn pays(lab: &mut Lab, wallet: &mut Wallet<Sim>, card: CardId) {
    assert!(lab::pay(lab, wallet, card, (1, false, false)).unwrap().1.is_approved());
}

fn counters(wallet: &mut Wallet<Sim>, card: CardId) -> Vec<u16> {
    wallet.card_log(card).unwrap().iter().map(|entry| entry.atc).collect()
}

#[test]
fn payments_that_were_lost_are_gaps_in_the_log() {
    let (phone, mut lab, card) = prepared();
    let mut wallet = phone.wallet();
    for _ in 0..3 {
        pays(&mut lab, &mut wallet, card);
    }
    assert_eq!(counters(&mut wallet, card), [1, 2, 3]);
    phone.restart();
    // The third was stored by nobody yet; the range that was reserved is skipped.
    let mut wallet = phone.wallet();
    assert_eq!(counters(&mut wallet, card), [1, 2]);
    pays(&mut lab, &mut wallet, card);
    assert_eq!(counters(&mut wallet, card), [1, 2, ATC_RANGE + 1]);
    drop(wallet.prepare_tap(card, false).unwrap());
    phone.restart();
    assert_eq!(counters(&mut phone.wallet(), card), [1, 2, ATC_RANGE + 1]);
}

#[test]
fn storing_the_log_is_all_or_nothing() {
    let points = at_every_change(
        |lab, wallet, card| {
            wallet.prepare_tap(card, false).map(|_| ())?;
            pays(lab, wallet, card);
            wallet.prepare_tap(card, false).map(|_| ())
        },
        |lab, wallet, card, done| {
            let before = counters(wallet, card);
            assert!(if done { before == [1] } else { before.is_empty() || before == [1] }, "{before:?}");
            pays(lab, wallet, card);
            assert_eq!(counters(wallet, card).len(), before.len() + 1);
        },
    );
    assert_eq!(points, 2, "a range, then the log");
}

#[test]
fn a_card_that_an_older_trusted_app_stored_is_kept() {
    let object = hex::decode(include_str!("../../ta/card/src/store/golden/v1.hex").trim()).unwrap();
    let (phone, card) = (Phone::new(), CardId([0xC1; 16]));
    let name = (Service::Card.uuid(), b"card.00".to_vec());
    phone.device.borrow_mut().objects.insert(name.clone(), Some(object.clone()));
    phone.restart();
    let mut wallet = phone.wallet();
    assert_eq!(wallet.show(card).unwrap().last_four.as_str(), "4321");
    // Looking changes nothing; using it writes the newest format, with the counters that follow.
    assert_eq!(phone.device.borrow().objects[&name], Some(object));
    // Its made-up bank sets no PIN; another card's switches NFC on.
    let other = Lab::new().unwrap().provision(&mut wallet).unwrap();
    let response = lab::tap(&mut wallet, card, false, &lab::gpo_command(1, false)).unwrap();
    assert_eq!(response.status(), 0x9000);
    let head = phone.device.borrow().objects[&name].as_ref().unwrap()[..3].to_vec();
    assert_eq!(head, [4, 0x01, 0x30]);
    assert_eq!(counters(&mut wallet, card), [0x0121]);
    drop(wallet.prepare_tap(card, false).unwrap());
    phone.restart();
    let mut wallet = phone.wallet();
    assert_eq!(counters(&mut wallet, card), [0x0121]);
    lab::switch_on(&mut wallet, other).unwrap();
    let response = lab::tap(&mut wallet, card, false, &lab::gpo_command(1, false)).unwrap();
    assert_eq!(response.status(), 0x9000);
    assert_eq!(counters(&mut wallet, card), [0x0121, 0x0131]);
}

#[test]
fn a_removal_is_all_or_nothing() {
    let points = at_every_change(
        |_, wallet, card| wallet.remove_card(card),
        |lab, wallet, card, done| {
            let cards = wallet.cards().unwrap();
            assert_eq!(cards.len(), usize::from(!done));
            if done {
                // The place is free, and nothing of the card is in it.
                lab.provision(wallet).unwrap();
                assert_eq!(refusal(wallet.show(card)), Some(Error::UnknownCard));
            } else {
                assert!(lab::pay(lab, wallet, card, (1, false, false)).unwrap().1.is_approved());
            }
        },
    );
    assert_eq!(points, 1, "a card is one object");
}

/// A PIN record as a trusted app before this one wrote it: the PIN is [`PIN`], with two tries left.
fn older_record(phone: &Phone, provider: ProviderId) -> (Uuid, Vec<u8>) {
    let key = (Service::Pin.uuid(), [b"pin.".as_slice(), &provider.0].concat());
    let today = phone.device.borrow().objects[&key].clone().unwrap();
    // Format 1 had no number of commands.
    let older = [&[1, 2], &today[6..]].concat();
    phone.device.borrow_mut().objects.insert(key.clone(), Some(older));
    key
}

#[test]
fn a_pin_that_an_older_trusted_app_stored_is_kept() {
    let (phone, lab, card) = prepared();
    let key = older_record(&phone, lab.provider_id());
    phone.restart();
    let mut wallet = phone.wallet();
    let before = phone.device.borrow().objects[&key].clone();
    assert_eq!(wallet.pin_state(lab.provider_id()).unwrap().tries_left, 2);
    assert_eq!(phone.device.borrow().objects[&key], before, "looking changes nothing");
    lab.verify(&mut wallet, card, PIN).unwrap();
    assert_eq!(phone.device.borrow().objects[&key].as_ref().unwrap()[..6], [2, 3, 0, 0, 0, 0]);
}

#[test]
fn an_older_record_becomes_todays_whole_or_not_at_all() {
    for point in 1..=3 {
        let (phone, lab, card) = prepared();
        older_record(&phone, lab.provider_id());
        phone.restart();
        let mut wallet = phone.wallet();
        lab::wait_for_try(&mut wallet, lab.provider_id()).unwrap();
        phone.device.borrow_mut().changes_left = Some(point);
        let done = lab.verify(&mut wallet, card, PIN).is_ok();
        drop(wallet);
        phone.restart();
        let mut wallet = phone.wallet();
        let tries = wallet.pin_state(lab.provider_id()).unwrap().tries_left;
        assert_eq!((done, tries), [(false, 2), (false, 1), (true, 3)][point as usize - 1], "{point}");
        lab.verify(&mut wallet, card, PIN).unwrap();
    }
}

#[test]
fn an_unlock_is_all_or_nothing() {
    let points = at_every_change(
        |lab, wallet, card| {
            for _ in 0..3 {
                match lab.verify(wallet, card, "0000") {
                    Err(ClientError::WrongPin { .. }) => {}
                    other => return other,
                }
            }
            let challenge = wallet.pin_challenge()?;
            wallet.unlock_pin(&lab.provider.unlock(challenge, 1)).map(|_| ())
        },
        |lab, wallet, card, done| {
            let left = wallet.pin_state(lab.provider_id()).unwrap().tries_left;
            assert!(!done || left == 3);
            if left == 0 {
                assert_eq!(refusal(lab.verify(wallet, card, PIN)), Some(Error::PinLocked));
                // Nobody knows whether the command was obeyed: the same number does it.
                let challenge = wallet.pin_challenge().unwrap();
                assert_eq!(wallet.unlock_pin(&lab.provider.unlock(challenge, 1)).unwrap(), 3);
            }
            lab.verify(wallet, card, PIN).unwrap();
        },
    );
    assert_eq!(points, 4, "three tries, then tries and number in one");
}

#[test]
fn delays_restart_in_full() {
    let (phone, lab, card) = prepared();
    let mut wallet = phone.wallet();
    assert!(matches!(lab.verify(&mut wallet, card, "0000"), Err(ClientError::WrongPin { tries_left: 2 })));
    phone.advance(RETRY_DELAYS_MS[1] - 1);
    assert_eq!(wallet.pin_delay(lab.provider_id()).unwrap(), 1);
    phone.restart();
    let mut wallet = phone.wallet();
    assert_eq!(wallet.pin_delay(lab.provider_id()).unwrap(), RETRY_DELAYS_MS[1]);
    phone.advance(RETRY_DELAYS_MS[1]);
    lab.verify(&mut wallet, card, PIN).unwrap();
}

#[test]
fn no_key_of_a_pin_block_is_used_twice_wherever_power_is_lost() {
    for point in 1..=3 {
        let (phone, lab, card) = prepared();
        let mut wallet = phone.wallet();
        let (mut hsm, token) = pin::module(&lab, card).unwrap();
        pin::give_pin_key(&lab, &mut hsm, &mut wallet, PinBlockFormat::Iso4).unwrap();
        let provider = lab.provider_id();
        let mut last = 0;
        phone.device.borrow_mut().changes_left = Some(point);
        while let Ok(block) = wallet.bank_pin(provider, card, &mut Digits::of(&["280461"])) {
            assert_eq!(block.counter, last + 1);
            hsm.check(&block, &token).unwrap();
            last = block.counter;
        }
        assert_eq!(last + 1, point, "a block is one change");
        drop(wallet);
        phone.restart();
        let block = phone.wallet().bank_pin(provider, card, &mut Digits::of(&["280461"])).unwrap();
        assert!(block.counter > last);
        hsm.check(&block, &token).unwrap();
    }
    // Keys that are damaged or missing are none.
    let (phone, lab, card) = prepared();
    let mut wallet = phone.wallet();
    let (mut hsm, _) = pin::module(&lab, card).unwrap();
    pin::give_pin_key(&lab, &mut hsm, &mut wallet, PinBlockFormat::Iso0).unwrap();
    phone.device.borrow_mut().corrupt(Service::Pin.uuid(), &[b"dkp.", &lab.provider_id().0[..]].concat());
    for _ in 0..2 {
        let refused = refusal(wallet.bank_pin(lab.provider_id(), card, &mut Digits::of(&["280461"])));
        assert_eq!(refused, Some(Error::BankPinKeyMissing));
    }
}

#[test]
fn at_most_one_range_of_counters_is_skipped() {
    at_every_change(
        |lab, wallet, card| {
            for _ in 0..ATC_RANGE + 1 {
                wallet.prepare_tap(card, false)?;
                let (request, _) = lab::pay(lab, wallet, card, (1, false, false)).unwrap();
                assert!(u16::from_be_bytes(request.atc) > 0);
            }
            Ok(())
        },
        |lab, wallet, card, _| {
            let last = lab.issuer.cards()[0].highest_atc;
            let (request, decision) = lab::pay(lab, wallet, card, (1, false, false)).unwrap();
            let next = u16::from_be_bytes(request.atc);
            assert!(
                decision.is_approved() && next > last && next <= last + ATC_RANGE + 1,
                "{next} after {last}"
            );
        },
    );
}

#[test]
fn a_change_of_the_routes_is_all_or_nothing() {
    let points = at_every_change(
        |lab, wallet, card| {
            lab.verify(wallet, card, PIN)?;
            wallet.route(card, Product::Debit, Endpoint::Element).map(|_| ())
        },
        |lab, wallet, card, done| {
            let routes = wallet.routes().unwrap();
            assert!(if done { routes.element == [Product::Debit] } else { routes.element.len() <= 1 });
            assert_eq!((routes.card, routes.app), (None, None));
            lab::switch_on(wallet, card).unwrap();
            let refused = refusal(wallet.prepare_tap(card, false));
            let expected = (!routes.element.is_empty()).then_some(Error::RoutedToElement);
            assert_eq!(refused, expected);
            lab.verify(wallet, card, PIN).unwrap();
            wallet.route(card, Product::Debit, Endpoint::Tee).unwrap();
            pays(lab, wallet, card);
        },
    );
    assert_eq!(points, 3, "begin and finish of the PIN entry, then the routes in one");
}

#[test]
fn damaged_routes_let_no_card_through_until_the_holder_sets_one_anew() {
    let (phone, mut lab, card) = prepared();
    let mut wallet = phone.wallet();
    lab.verify(&mut wallet, card, PIN).unwrap();
    wallet.choose_card(card, true).unwrap();
    phone.device.borrow_mut().corrupt(Service::Card.uuid(), b"routes");
    for _ in 0..2 {
        phone.restart();
        let mut wallet = phone.wallet();
        assert_eq!(refusal(wallet.routes()), Some(Error::RoutesDamaged));
        lab.verify(&mut wallet, card, PIN).unwrap();
        assert_eq!(refusal(wallet.prepare_tap(card, true)), Some(Error::RoutesDamaged));
        assert_eq!(refusal(wallet.nfc_on(card)), Some(Error::RoutesDamaged));
        assert_eq!(refusal(wallet.choose_card(CardId([9; 16]), true)), Some(Error::UnknownCard));
    }
    let mut wallet = phone.wallet();
    lab.verify(&mut wallet, card, PIN).unwrap();
    wallet.route(card, Product::Credit, Endpoint::Tee).unwrap();
    pays(&mut lab, &mut wallet, card);
    assert_eq!(wallet.routes().unwrap().card, None);
}

#[test]
fn a_client_that_dies_between_two_calls_leaves_nothing_half_done() {
    for steps in 0..=walk::STEPS {
        let (phone, mut lab, card) = prepared();
        let mut wallet = phone.wallet();
        walk::go(&mut lab, &mut wallet, card, steps).unwrap();
        drop(wallet);
        walk::check(&mut lab, &mut phone.wallet(), card, steps).unwrap_or_else(|message| {
            panic!("after {steps} calls: {message}");
        });
    }
}

#[test]
fn a_damaged_or_missing_pin_is_locked() {
    for damage in [true, false] {
        let (phone, lab, card) = prepared();
        let is_pin = |name: &Vec<u8>| name.starts_with(b"pin.");
        let name = phone.objects(Service::Pin).into_iter().find(is_pin).unwrap();
        if damage {
            phone.device.borrow_mut().corrupt(Service::Pin.uuid(), &name);
        } else {
            phone.device.borrow_mut().objects.remove(&(Service::Pin.uuid(), name));
        }
        phone.restart();
        let mut wallet = phone.wallet();
        for _ in 0..2 {
            assert_eq!(refusal(lab.verify(&mut wallet, card, PIN)), Some(Error::PinLocked));
            assert_eq!(
                refusal(wallet.change_pin(lab.provider_id(), &mut Digits::of(&[PIN, "2468"]))),
                Some(Error::PinLocked)
            );
            assert_eq!(wallet.pin_state(lab.provider_id()).unwrap().state, PinState::Missing);
        }
        // Nothing but the provider's ticket brings it back.
        let challenge = wallet.pin_challenge().unwrap();
        let ticket = lab.provider.ticket(TicketPurpose::Enrol, challenge);
        wallet.set_pin(ticket, &mut Digits::of(&["2468"])).unwrap();
        lab.verify(&mut wallet, card, "2468").unwrap();
    }
}

#[test]
fn a_recorded_ticket_does_not_work_on_a_wiped_store() {
    let (phone, lab, _) = prepared();
    let mut wallet = phone.wallet();
    let challenge = wallet.pin_challenge().unwrap();
    let ticket = lab.provider.ticket(TicketPurpose::Reset, challenge);
    wallet.set_pin(ticket.clone(), &mut Digits::of(&["2468"])).unwrap();
    phone.device.borrow_mut().objects.retain(|(app, _), _| *app != Service::Pin.uuid());
    phone.restart();
    let mut wallet = phone.wallet();
    let set = |wallet: &mut Wallet<Sim>| refusal(wallet.set_pin(ticket.clone(), &mut Digits::of(&["2468"])));
    // Nor has it a pad then, until the factory pairs it anew.
    assert_eq!(set(&mut wallet), Some(Error::PadNotPaired));
    pad::pair(&mut wallet).unwrap();
    assert_eq!(set(&mut wallet), Some(Error::NoChallenge));
    wallet.pin_challenge().unwrap();
    assert_eq!(set(&mut wallet), Some(Error::WrongChallenge));
}

#[test]
fn a_recorded_package_does_not_open_on_a_wiped_store() {
    let phone = Phone::new();
    let (mut wallet, mut lab) = (phone.wallet(), Lab::new().unwrap());
    let challenge = lab::challenge(&mut wallet).unwrap();
    let package = lab.package(CardId([5; 16]), &challenge).unwrap();
    wallet.add_card(package.as_bytes()).unwrap();
    phone.device.borrow_mut().objects.retain(|(app, _), _| *app != Service::Card.uuid());
    phone.restart();
    let mut wallet = phone.wallet();
    assert_eq!(refusal(wallet.add_card(package.as_bytes())), Some(Error::NoChallenge));
    lab::challenge(&mut wallet).unwrap();
    assert_eq!(refusal(wallet.add_card(package.as_bytes())), Some(Error::WrongChallenge));
    assert_eq!(wallet.cards().unwrap(), []);
}

#[test]
fn a_damaged_card_is_named_and_hurts_no_other() {
    let (phone, mut lab, first) = prepared();
    let second = lab.provision(&mut phone.wallet()).unwrap();
    let name = phone.objects(Service::Card)[0].clone();
    phone.device.borrow_mut().corrupt(Service::Card.uuid(), &name);
    for _ in 0..2 {
        phone.restart();
        let mut wallet = phone.wallet();
        let states: Vec<_> =
            wallet.cards().unwrap().into_iter().map(|entry| (entry.slot, entry.state)).collect();
        assert_eq!(states, [(0, CardState::Damaged), (1, CardState::Active)]);
        assert_eq!(refusal(wallet.prepare_tap(first, false)), Some(Error::UnknownCard));
        assert!(lab::pay(&mut lab, &mut wallet, second, (1, false, false)).unwrap().1.is_approved());
    }
}

fn install(sim: &Sim, document: &[u8], signature: [u8; 64]) -> Result<u32, ClientError> {
    let mut supervisor = sim.as_caller(BOOT).connect(Service::Supervisor)?;
    let document = Bytes::from_slice(document).unwrap();
    call(&mut supervisor, &InstallPolicyRequest { document, signature }).map(|reply| reply.version)
}

#[test]
fn a_policy_is_signed_and_never_goes_back() {
    let phone = Phone::new();
    let second = String::from_utf8(POLICY.to_vec()).unwrap().replace("\"version\":1", "\"version\":2");
    let mut forged = sign_policy(second.as_bytes());
    forged[0] ^= 1;
    assert_eq!(refusal(install(&phone.sim, second.as_bytes(), forged)), Some(Error::PolicySignature));
    assert_eq!(install(&phone.sim, second.as_bytes(), sign_policy(second.as_bytes())).unwrap(), 2);
    for _ in 0..2 {
        assert_eq!(refusal(install(&phone.sim, POLICY, sign_policy(POLICY))), Some(Error::PolicyRollback));
        phone.restart();
    }
}

#[test]
fn without_an_intact_policy_nobody_but_the_boot_service_is_let_in() {
    let phone = Phone::new();
    phone.wallet().status().unwrap();
    phone.device.borrow_mut().corrupt(Service::Supervisor.uuid(), b"policy");
    phone.restart();
    assert_eq!(refusal(phone.wallet().status()), Some(Error::AccessDenied));
    let mut supervisor = phone.sim.as_caller(BOOT).connect(Service::Supervisor).unwrap();
    assert_eq!(call(&mut supervisor, &StatusRequest {}).unwrap().policy_version, 0);
    install(&phone.sim, POLICY, sign_policy(POLICY)).unwrap();
    phone.wallet().status().unwrap();
}

#[test]
fn damage_to_the_policy_lets_no_older_one_back_in() {
    let phone = Phone::new();
    let second = String::from_utf8(POLICY.to_vec()).unwrap().replace("\"version\":1", "\"version\":2");
    let second = second.as_bytes();
    install(&phone.sim, second, sign_policy(second)).unwrap();
    phone.device.borrow_mut().corrupt(Service::Supervisor.uuid(), b"policy");
    phone.restart();
    assert_eq!(refusal(install(&phone.sim, POLICY, sign_policy(POLICY))), Some(Error::PolicyRollback));
    install(&phone.sim, second, sign_policy(second)).unwrap();
    phone.wallet().status().unwrap();

    // The floor alone: the policy in force knows as much.
    phone.device.borrow_mut().corrupt(Service::Supervisor.uuid(), b"policy.floor");
    phone.restart();
    let third = String::from_utf8(POLICY.to_vec()).unwrap().replace("\"version\":1", "\"version\":3");
    let third = third.as_bytes();
    install(&phone.sim, third, sign_policy(third)).unwrap();

    for object in [b"policy".as_slice(), b"policy.floor"] {
        phone.device.borrow_mut().corrupt(Service::Supervisor.uuid(), object);
    }
    for _ in 0..2 {
        phone.restart();
        assert_eq!(refusal(install(&phone.sim, POLICY, sign_policy(POLICY))), Some(Error::StateCorrupt));
    }
}

#[test]
fn a_caller_in_no_rule_is_refused_by_every_service() {
    let phone = Phone::new();
    for service in Service::NATIVE {
        let refused = phone.sim.as_caller(MALLORY).connect(service);
        assert_eq!(refusal(refused), Some(Error::AccessDenied), "{service:?}");
    }
    let refused = phone.sim.as_caller(WALLET).connect(Service::Supervisor);
    assert_eq!(refusal(refused), Some(Error::AccessDenied));
}

#[test]
fn quotas_outlive_the_supervisor() {
    let phone = Phone::new();
    let open = |count: usize| {
        let sessions: Vec<_> = (0..count).map(|_| phone.sim.connect(Service::Card).unwrap()).collect();
        assert_eq!(refusal(phone.sim.connect(Service::Card)), Some(Error::QuotaExceeded));
        sessions
    };
    let mut before = open(4);
    phone.sim.restart_app(Service::Supervisor.uuid());
    before.pop();
    let after = open(1);
    drop((before, after));
    open(4);
}
