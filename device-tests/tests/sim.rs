//! The scenarios on the simulated TEE: the same that run on real OP-TEE in the guest.

mod common;

use common::Phone;
use tapvault::sim::Sim;
use tapvault_device_tests::scenarios;

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
