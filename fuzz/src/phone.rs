//! A simulated phone with the lab's policy in force.

use tapvault::{Transport, sim::Sim, transport::call};
use tapvault_proto::{
    document::unhex,
    id::{Caller, Uuid, login},
    service::Service,
    supervisor::InstallPolicyRequest,
    wire::Bytes,
};
use tapvault_tee::host::Device;

const POLICY: &[u8] = include_bytes!("../../qemu-optee/guest/policy.json");
/// What `tapvault-bank sign-policy` printed.
const POLICY_SIGNATURE: &str = include_str!("../../qemu-optee/guest/policy.sig");

/// The kernel's UUID of group 990, the boot service.
const BOOT: Caller = Caller {
    login: login::GROUP,
    uuid: Uuid(*b"\x9c\x28\xa2\xa6\xfb\x4f\x5a\xf9\x95\x3c\x4e\xe0\x4a\x9c\x92\x6d"),
};
/// The kernel's UUID of user 1000, the wallet.
const WALLET: Caller = Caller {
    login: login::USER,
    uuid: Uuid(*b"\xfc\x34\x27\x5c\xd8\xdd\x5b\xa7\x96\x8b\x50\x47\x18\x36\x3b\x87"),
};

/// A new phone, as its wallet sees it.
///
/// # Panics
/// When the lab's policy is refused.
#[must_use]
pub fn new(device: &Device) -> Sim {
    let boot = Sim::new(device, BOOT);
    let mut supervisor = boot.connect(Service::Supervisor).expect("the boot service is let in");
    let document = Bytes::from_slice(POLICY).expect("the policy is short enough");
    let signature = unhex(POLICY_SIGNATURE.trim()).expect("a signature");
    call(&mut supervisor, &InstallPolicyRequest { document, signature }).expect("the lab's policy");
    boot.as_caller(WALLET)
}

/// A phone that just started, with what `device` has stored.
#[must_use]
pub fn started(device: &Device) -> Sim {
    Sim::new(device, WALLET)
}
