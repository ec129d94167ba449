//! The scenarios on the simulated TEE: the same that run on real OP-TEE in the guest.

use tapvault::{Transport, Wallet, sim::Sim, transport::call};
use tapvault_guest_tests::scenarios;
use tapvault_proto::{
    document::unhex,
    id::{Caller, Uuid, login},
    service::Service,
    supervisor::InstallPolicyRequest,
    wire::Bytes,
};
use tapvault_tee::host::Device;

const POLICY: &[u8] = include_bytes!("../../guest/policy.json");
/// What `tapvault-bank sign-policy` printed.
const POLICY_SIGNATURE: &str = include_str!("../../guest/policy.sig");
/// The kernel's UUIDs of group 990 and of user 1000, as the lab's policy names them.
const BOOT: [u8; 16] = *b"\x9c\x28\xa2\xa6\xfb\x4f\x5a\xf9\x95\x3c\x4e\xe0\x4a\x9c\x92\x6d";
const WALLET: [u8; 16] = *b"\xfc\x34\x27\x5c\xd8\xdd\x5b\xa7\x96\x8b\x50\x47\x18\x36\x3b\x87";

fn device() -> Sim {
    let boot = Sim::new(&Device::default(), Caller { login: login::GROUP, uuid: Uuid(BOOT) });
    let mut supervisor = boot.connect(Service::Supervisor).unwrap();
    let document = Bytes::from_slice(POLICY).unwrap();
    let signature = unhex(POLICY_SIGNATURE.trim()).unwrap();
    assert_eq!(call(&mut supervisor, &InstallPolicyRequest { document, signature }).unwrap().version, 1);
    boot.as_caller(Caller { login: login::USER, uuid: Uuid(WALLET) })
}

#[test]
fn every_scenario_holds_on_the_simulated_tee() {
    let mut failed = Vec::new();
    for scenario in scenarios::all::<Sim>() {
        let sim = device();
        if let Err(message) = (scenario.run)(&|| Wallet::new(sim.clone())) {
            failed.push(format!("{}: {message}", scenario.name));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
