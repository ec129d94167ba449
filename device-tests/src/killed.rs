//! Clients that are killed while the TEE reads or writes storage for them.
//!
//! OP-TEE gives the killed client's call an error that a trusted app cannot be told of, so the trusted app panics
//! (here always an attacker's TVM); Linux forgets what it had asked tee-supplicant for, and tee-supplicant, whose
//! answer nobody wants, ends. A phone must go on: its init starts tee-supplicant again.

use crate::{
    Outcome,
    bench::Other,
    ensure,
    lab::{Lab, PIN, say},
};
use std::fs;
use tapvault::{
    Wallet,
    optee::{Login, Optee},
};

/// Attackers that are killed.
const ROUNDS: usize = 60;
/// The victim's entries of a PIN, which write to storage, before each is killed: many times, so that the attacker is
/// met in the middle of its own.
const ENTRIES: usize = 3;

/// Kills a client of bank C's TVM that writes to storage, again and again, beside a wallet that must not notice.
///
/// # Errors
/// Above all when a call of the wallet fails.
pub fn clients() -> Outcome<()> {
    let (mut lab, mut wallet) = (Lab::new()?, Wallet::new(Optee::connect(Login::User).map_err(say)?));
    let card = lab.provision(&mut wallet)?;
    lab.set_pin(&mut wallet, PIN)?;
    let mut supplicants = vec![supplicant()?];
    for _ in 0..ROUNDS {
        let mut attacker = Other::start(&["attack", "write"])?;
        for _ in 0..ENTRIES {
            lab.verify(&mut wallet, card, PIN).map_err(say)?;
        }
        attacker.lives()?;
        drop(attacker);
        lab.verify(&mut wallet, card, PIN).map_err(say)?;
        supplicants.push(supplicant()?);
    }
    supplicants.dedup();
    println!("{ROUNDS} clients killed, tee-supplicant ended {} times", supplicants.len() - 1);
    ensure(supplicants.len() > 1, || "tee-supplicant never ended: this shows nothing".into())
}

/// The process that serves the TEE's storage, by number.
fn supplicant() -> Outcome<u32> {
    let named = |entry: &fs::DirEntry| {
        fs::read_to_string(entry.path().join("comm")).is_ok_and(|name| name.trim() == "tee-supplicant")
    };
    // It may just be starting again.
    for _ in 0..100_000 {
        let found = fs::read_dir("/proc").map_err(say)?.flatten().find(named);
        if let Some(process) = found.and_then(|entry| entry.file_name().to_str()?.parse().ok()) {
            return Ok(process);
        }
    }
    Err("tee-supplicant was not started again".into())
}
