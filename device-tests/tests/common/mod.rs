//! A simulated device with the lab's policy in force.

#![allow(dead_code, reason = "every test file uses its own part")]

pub mod contact;
pub mod contact_model;
pub mod middle;

use std::rc::Rc;
use tapvault::{ClientError, Transport, Wallet, sim::Sim, transport::call};
use tapvault_device_tests::{
    lab::{self, Lab, PIN},
    platform::LabPlatform,
    trustlets::{anything, bank::Bank},
};
use tapvault_proto::{
    Error,
    document::unhex,
    id::{Caller, CardId, Uuid, login},
    service::Service,
    supervisor::InstallPolicyRequest,
    wire::Bytes,
};
use tapvault_tee::{host::Device, rollback};

pub const POLICY: &[u8] = include_bytes!("../../../qemu-optee/guest/policy.json");
/// What `tapvault-bank sign-policy` printed.
const POLICY_SIGNATURE: &str = include_str!("../../../qemu-optee/guest/policy.sig");

/// The kernel's UUID of group 990, the boot service.
pub const BOOT: Caller = Caller {
    login: login::GROUP,
    uuid: Uuid(*b"\x9c\x28\xa2\xa6\xfb\x4f\x5a\xf9\x95\x3c\x4e\xe0\x4a\x9c\x92\x6d"),
};
/// The kernel's UUID of user 1000, the wallet.
pub const WALLET: Caller = Caller {
    login: login::USER,
    uuid: Uuid(*b"\xfc\x34\x27\x5c\xd8\xdd\x5b\xa7\x96\x8b\x50\x47\x18\x36\x3b\x87"),
};
/// The kernel's UUID of group 1000, which the lab's policy admits as a wallet too.
pub const OTHER_APP: Caller = Caller {
    login: login::GROUP,
    uuid: Uuid(*b"\x0e\xce\x43\xed\x00\x1d\x51\xbd\xba\xb7\x48\x0c\x89\x54\xc3\xcf"),
};
/// The kernel's UUID of user 1001, whom no rule names.
pub const MALLORY: Caller = Caller {
    login: login::USER,
    uuid: Uuid(*b"\xa5\x1a\xa4\x30\xd8\xbb\x58\x80\x9c\x5c\x65\xad\x1a\x49\xbb\x75"),
};

/// The trusted app's refusal, if it was one.
pub fn refusal<T>(result: Result<T, ClientError>) -> Option<Error> {
    result.err().and_then(|error| error.refusal())
}

/// A phone with a card and a PIN.
pub fn prepared() -> (Phone, Lab, CardId) {
    let phone = Phone::new();
    let (mut wallet, mut lab) = (phone.wallet(), Lab::new().unwrap());
    let card = lab.provision(&mut wallet).unwrap();
    lab.set_pin(&mut wallet, PIN).unwrap();
    (phone, lab, card)
}

pub struct Phone {
    pub device: Device,
    pub sim: Sim,
    pub platform: LabPlatform,
}

impl Phone {
    pub fn new() -> Self {
        let device = Device::default();
        let boot = Sim::new(&device, BOOT);
        let mut supervisor = boot.connect(Service::Supervisor).unwrap();
        let document = Bytes::from_slice(POLICY).unwrap();
        let signature = unhex(POLICY_SIGNATURE.trim()).unwrap();
        assert_eq!(call(&mut supervisor, &InstallPolicyRequest { document, signature }).unwrap().version, 1);
        for letter in ["A", "B", "C", "D", "E", "F", "G", "J"] {
            let bank = Bank::lab(letter);
            boot.add_tvm(bank.tvm(), bank.signer());
        }
        let phone = Self { device, sim: boot.as_caller(WALLET), platform: LabPlatform::default() };
        phone.keeps_time();
        phone
    }

    /// Where the tests of this thread wait, this phone's time passes.
    fn keeps_time(&self) {
        let device = self.device.clone();
        lab::pass_time_with(move |ms| device.borrow_mut().now += ms);
    }

    /// A device that says of its storage that hardware protects it from a rollback. **Nothing does.**
    pub fn protected() -> Self {
        let phone = Self::new();
        phone.claim(Some(rollback::BY_HARDWARE));
        phone
    }

    /// What the device says of rollback; `None` is what stock OP-TEE says.
    pub fn claim(&self, level: Option<u32>) {
        self.device.borrow_mut().anti_rollback = level;
    }

    pub fn wallet(&self) -> Wallet<Sim> {
        self.keeps_time();
        self.wallet_of(self.sim.clone())
    }

    /// A wallet over another way to this phone.
    pub fn wallet_of<T: Transport>(&self, transport: T) -> Wallet<T> {
        Wallet::new(transport).with_platform(self.platform.clone())
    }

    /// Power off and on: memory is lost, storage is not, and works again.
    pub fn restart(&self) {
        self.device.borrow_mut().changes_left = None;
        self.sim.restart();
    }

    pub fn advance(&self, ms: u64) {
        self.device.borrow_mut().now += ms;
    }

    /// Names of a service's objects.
    pub fn objects(&self, service: Service) -> Vec<Vec<u8>> {
        let world = self.device.borrow();
        world.objects.keys().filter(|(of, _)| *of == service.uuid()).map(|(_, name)| name.clone()).collect()
    }

    /// The supervisor's count of sessions with the TVMs of these banks, and of all.
    pub fn sessions(&self, banks: &[&Bank]) -> (u16, u16) {
        let mut supervisor = self.sim.as_caller(BOOT).connect(Service::Supervisor).unwrap();
        anything::sessions(&mut supervisor, banks).unwrap()
    }

    /// Storage reads and changes so far.
    pub fn accesses(&self) -> u32 {
        self.device.borrow().accesses
    }

    /// A second handle on the same storage.
    pub fn same_device(&self) -> Device {
        Rc::clone(&self.device)
    }
}
