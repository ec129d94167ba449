//! Ten thousand random actions of clients and guests, and counters of everything that could be left behind.

#[path = "../common/mod.rs"]
mod common;
mod guest;
mod hostile;
mod session;
mod state;
mod world;

use tapvault_device_tests::random::Random;
use world::World;

const ACTIONS: usize = 10_000;

#[test]
fn two_banks_do_what_the_model_says_and_leave_nothing_behind() {
    let mut random = Random::of_environment();
    let mut world = World::new();
    for action in 0..ACTIONS {
        world.act(&mut random).unwrap_or_else(|message| panic!("action {action}: {message}"));
        if action % 50 == 0 {
            world.compare().unwrap_or_else(|message| panic!("after action {action}: {message}"));
        }
    }
    world.end();
}

#[test]
fn a_guest_that_tries_everything_leaves_nothing_behind() {
    hostile::run(&mut Random::of_environment(), ACTIONS);
}
