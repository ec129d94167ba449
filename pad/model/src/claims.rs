//! What must hold in every state, and what must be possible. An end is promised something from the moment it takes a
//! pairing of which the relay has neither end's keys: all sessions that it begins later are meant.

use crate::{
    Protocol,
    state::{PadSession, State, TeeSession, View},
    term::{Content, Share},
};
use stateright::Property;

/// The relay does not know a PIN.
pub const SECRECY: &str = "a PIN typed for the trusted app stays unknown to the relay";
/// What the trusted app books was entered at its pad, under the amount of this session and in the same pairing.
pub const AGREEMENT: &str = "what is booked was entered at the paired pad under the amount that is booked";
/// What the pad shows was asked by its trusted app.
pub const SHOWN: &str = "what is shown was asked by the paired trusted app in this very session";
/// No frame counts twice, and no second one of a session counts.
pub const ONCE: &str = "a session takes one frame and no second";
/// Sessions belong together one to one.
pub const OWN: &str = "no two sessions of an end belong to one of the other";
/// The protocol does something.
pub const POSSIBLE: &str = "two entries can be booked";

/// All of them.
pub fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(SECRECY, |_, state: &State| (0..).zip(&state.pads).all(|pad| is_secret(state, pad))),
        Property::always(AGREEMENT, |_, state: &State| (0..).zip(&state.tees).all(|tee| agrees(state, tee))),
        Property::always(SHOWN, |_, state: &State| state.pads.iter().all(|pad| was_asked(state, pad))),
        Property::always(ONCE, |_, state: &State| {
            let tees = state.tees.iter().all(|tee| !matches!(tee, TeeSession::Done { times: 2.., .. }));
            let pads = state.pads.iter().all(|pad| !matches!(shown(pad), Some((_, _, 2..))));
            tees && pads
        }),
        Property::always(OWN, |_, state: &State| {
            let tees: Vec<Share> = state.tees.iter().filter_map(booked).map(|(view, _)| view.pad).collect();
            let pads: Vec<Share> = state
                .pads
                .iter()
                .filter_map(shown)
                .map(|(view, ..)| view)
                .filter(promised)
                .map(|view| view.tee)
                .collect();
            are_different(&tees) && are_different(&pads)
        }),
        Property::sometimes(POSSIBLE, |_, state: &State| {
            let pins = state.tees.iter().filter(|tee| matches!(booked(tee), Some((_, Content::Pin(_)))));
            pins.count() >= 2
        }),
    ]
}

fn promised(view: &View) -> bool {
    view.promised
}

/// What an session of the trusted app booked.
fn booked(tee: &TeeSession) -> Option<(View, Content)> {
    match *tee {
        TeeSession::Done { view, entered, .. } if promised(&view) => Some((view, entered)),
        _ => None,
    }
}

/// What a session of the pad showed: session, amount, how often.
fn shown(pad: &PadSession) -> Option<(View, u8, u8)> {
    match *pad {
        PadSession::Showing { view, amount, times } | PadSession::Done { view, amount, times, .. } => {
            Some((view, amount, times))
        }
        PadSession::Idle | PadSession::Answered(_) => None,
    }
}

fn is_secret(state: &State, (at, pad): (u8, &PadSession)) -> bool {
    shown(pad).is_none_or(|(view, ..)| !promised(&view) || !state.knows(Content::Pin(at)))
}

fn agrees(state: &State, (at, tee): (u8, &TeeSession)) -> bool {
    booked(tee).is_none_or(|(view, entered)| {
        state.pads.iter().any(|pad| {
            matches!(pad, PadSession::Done { view: theirs, amount, entered: typed, .. }
                if *theirs == view && *amount == at && *typed == entered)
        })
    })
}

fn was_asked(state: &State, pad: &PadSession) -> bool {
    shown(pad).is_none_or(|(view, amount, _)| {
        let tee = state.tees.get(usize::from(amount));
        !promised(&view)
            || matches!(tee, Some(TeeSession::Asked(theirs) | TeeSession::Done { view: theirs, .. })
                if *theirs == view)
    })
}

fn are_different(shares: &[Share]) -> bool {
    shares.iter().enumerate().all(|(at, share)| !shares.iter().skip(at + 1).any(|other| other == share))
}
