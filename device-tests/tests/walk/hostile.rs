//! The guest that tries everything, and the memory that only the simulated TEE can count.

use crate::common::Phone;
use tapvault_device_tests::{
    random::Random,
    trustlets::{anything, bank::Bank},
};

pub fn run(random: &mut Random, actions: usize) {
    let (phone, bank) = (Phone::new(), Bank::lab("A"));
    let mut trustlet = anything::start(&phone.sim, &bank).unwrap();
    anything::open_peers(&mut trustlet).unwrap();
    drop(trustlet);
    let (capacity, sessions) = (anything::capacity(&phone.sim, &bank), phone.sessions(&[&bank]));
    let mut trustlet = anything::start(&phone.sim, &bank).unwrap();
    let mapped = phone.device.borrow().mapped;
    // Rates have tests of their own.
    let (answered, refused) = anything::act(&mut trustlet, random, actions, || phone.advance(20)).unwrap();
    println!("{answered} answered, {refused} refused");
    assert_eq!(phone.device.borrow().mapped, mapped, "memory of a guest that does nothing but call");
    drop(trustlet);
    assert_eq!(phone.device.borrow().mapped, 0, "memory was left behind");
    assert_eq!(phone.sessions(&[&bank]), sessions, "a session was left behind");
    assert_eq!(anything::capacity(&phone.sim, &bank), capacity, "a guest or a key was left behind");
}
