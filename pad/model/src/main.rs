//! `tapvault-pad-model`: searches for attacks within the bound, then for those on protocols with a planted flaw.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use tapvault_pad_model::{Bound, Flaw, Found, MOST_STEPS, Protocol, attack, search};

const HELP: &str = "\
tapvault-pad-model: looks at every state that a hostile relay can bring about between PIN trusted app and
pad, within a bound, and says which claims hold. Then it plants one mistake after the other into the protocol and
prints the shortest way in which the relay makes use of it. It takes some seconds and has no options.
Exit status: 0 all claims hold and every mistake was found, 1 otherwise, 2 wrong usage.
docs/pin-pad.md says what is modelled and what is not.";

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None if run() => ExitCode::SUCCESS,
        None => ExitCode::from(1),
        Some("--help" | "-h") => {
            println!("{HELP}");
            ExitCode::SUCCESS
        }
        Some(other) => {
            eprintln!("error: {other}: there are no options; see --help");
            ExitCode::from(2)
        }
    }
}

fn run() -> bool {
    let mut good = true;
    for (bound, _) in Bound::ALL {
        let Bound { tees, pads, suites } = bound;
        let Found { states, depth, broken, impossible } = search(Protocol { bound, flaw: None });
        println!("{tees} sessions of the trusted app, {pads} of the pad, suites: {suites}");
        println!("  {states} states, {depth} steps deep");
        match (broken.is_empty(), impossible.is_empty()) {
            (true, true) => println!("  every claim holds"),
            _ => println!("  does not hold: {broken:?}; cannot happen: {impossible:?}"),
        }
        good &= broken.is_empty() && impossible.is_empty();
    }
    for flaw in Flaw::ALL {
        println!("planted: {flaw:?}");
        match attack(Protocol { bound: Bound::BOTH_SUITES, flaw: Some(flaw) }, MOST_STEPS) {
            Some((claim, steps)) => {
                println!("  does not hold: {claim}");
                for step in steps {
                    println!("    {step}");
                }
            }
            None => {
                println!("  NOT FOUND in {MOST_STEPS} steps");
                good = false;
            }
        }
    }
    good
}
