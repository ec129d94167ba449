//! The search itself, and that it finds planted mistakes.

use tapvault_pad_model::{
    Bound, Flaw, Found, MOST_STEPS, Protocol, attack,
    claims::{AGREEMENT, ONCE, SECRECY, SHOWN},
    search,
};

#[test]
fn the_relay_breaks_nothing_within_the_bound() {
    for (bound, known) in Bound::ALL {
        let Found { states, depth, broken, impossible } = search(Protocol { bound, flaw: None });
        println!("{bound:?}: {states} states, {depth} steps deep");
        assert!(broken.is_empty(), "{bound:?}: {broken:?}");
        // A protocol that does nothing has no secrets to lose.
        assert!(impossible.is_empty(), "{bound:?}: {impossible:?}");
        assert_eq!(states, known, "{bound:?}: docs/pin-pad.md names this number");
    }
}

#[test]
fn every_planted_flaw_is_found() {
    let found = Flaw::ALL.map(|flaw| {
        let attack = attack(Protocol { bound: Bound::BOTH_SUITES, flaw: Some(flaw) }, MOST_STEPS);
        (flaw, attack.map(|(claim, steps)| (claim, steps.len())))
    });
    assert_eq!(
        found,
        [
            (Flaw::SignsNoShares, Some((AGREEMENT, 6))),
            (Flaw::NamesNoPairing, Some((SHOWN, 5))),
            (Flaw::ShowsWithoutProof, Some((SHOWN, 3))),
            (Flaw::TakesOlderPairings, Some((SHOWN, 4))),
            (Flaw::TakesFramesTwice, Some((ONCE, 4))),
            (Flaw::ShowsTwice, Some((ONCE, 3))),
        ]
    );
}

#[test]
fn shares_that_nobody_signs_give_the_pin_away() {
    let found = search(Protocol { bound: Bound::BOTH_SUITES, flaw: Some(Flaw::SignsNoShares) });
    assert!(found.broken.contains(&SECRECY), "{:?}", found.broken);
}
