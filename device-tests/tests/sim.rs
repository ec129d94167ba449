//! The scenarios on the simulated TEE: the same that run on real OP-TEE in the guest.

mod common;

use common::Phone;
use tapvault::sim::Sim;
use tapvault_device_tests::{scenarios, trustlets};

#[test]
fn every_scenario_holds_on_the_simulated_tee() {
    let mut failed = Vec::new();
    for scenario in scenarios::all::<Sim>() {
        let phone = Phone::new();
        if let Err(message) = (scenario.run)(&|| phone.wallet()) {
            failed.push(format!("{}: {message}", scenario.name));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_trustlet_scenario_holds_on_the_simulated_tee() {
    let mut failed = Vec::new();
    for scenario in trustlets::all::<Sim>() {
        let phone = Phone::new();
        if let Err(message) = (scenario.run)(&|| phone.sim.clone()) {
            failed.push(format!("{}: {message}", scenario.name));
        }
        assert_eq!(phone.device.borrow().mapped, 0, "{}: memory was left behind", scenario.name);
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_trustlet_scenario_holds_twice_on_one_device() {
    let phone = Phone::new();
    for scenario in trustlets::all::<Sim>() {
        for round in 1..=2 {
            if let Err(message) = (scenario.run)(&|| phone.sim.clone()) {
                panic!("{} in round {round}: {message}", scenario.name);
            }
        }
    }
}
