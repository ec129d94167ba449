//! What can happen next: an end begins, the holder acts, or the relay delivers something it can derive.
//!
//! What an end refuses changes nothing and is left out; so is what the relay keeps back.

use crate::{
    Flaw, Protocol,
    state::{PadSession, State, TeeSession, View},
    term::{Agent, Content, PAIRINGS, Pairing, Share, Term},
};
use std::fmt;

/// One step. Sessions are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The trusted app takes this pairing.
    PairTee(Pairing),
    /// The pad takes this pairing.
    PairPad(Pairing),
    /// The trusted app begins a session in this suite: its share is public from now on.
    Offer(u8, u8),
    /// The pad answers an offer with this suite and share.
    Answer(u8, u8, Share),
    /// The trusted app believes an answer with this share, and sends proof and frame.
    Ask(u8, Share),
    /// The pad believes proof and frame, and shows this amount.
    Show(u8, u8),
    /// The holder submits a PIN, or nothing.
    Enter(u8, Content),
    /// The trusted app opens a frame with this.
    Book(u8, Content),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PairTee(pairing) => write!(f, "the trusted app takes {pairing}"),
            Self::PairPad(pairing) => write!(f, "the pad takes {pairing}"),
            Self::Offer(at, suite) => write!(f, "trusted app, session {at}: offers its share, suite {suite}"),
            Self::Answer(at, suite, share) => {
                write!(
                    f,
                    "pad, session {at}: is offered {share}, suite {suite}; answers with a share and signs"
                )
            }
            Self::Ask(at, share) => {
                write!(f, "trusted app, session {at}: is answered with {share}; signs, seals")
            }
            Self::Show(at, amount) => {
                write!(f, "pad, session {at}: shows the amount of trusted app's session {amount}")
            }
            Self::Enter(at, Content::Nothing) => write!(f, "pad, session {at}: the holder cancels"),
            Self::Enter(at, _) => write!(f, "pad, session {at}: the holder types the PIN"),
            Self::Book(at, content) => write!(f, "trusted app, session {at}: books {content}"),
        }
    }
}

/// Every step that changes something.
pub fn steps(protocol: Protocol, state: &State, steps: &mut Vec<Step>) {
    for pairing in PAIRINGS {
        let newer = |than: Pairing| {
            pairing.sequence > than.sequence
                || (protocol.has(Flaw::TakesOlderPairings) && pairing.sequence != than.sequence)
        };
        if pairing.tee == Agent::Tee && newer(state.tee_pairing) {
            steps.push(Step::PairTee(pairing));
        }
        if pairing.pad == Agent::Pad && newer(state.pad_pairing) {
            steps.push(Step::PairPad(pairing));
        }
    }
    tee_steps(protocol, state, steps);
    pad_steps(protocol, state, steps);
}

fn tee_steps(protocol: Protocol, state: &State, steps: &mut Vec<Step>) {
    let mut idle = false;
    for (at, session) in (0..).zip(state.tees.iter().copied()) {
        match session {
            // The sessions are alike: they begin in order.
            TeeSession::Idle if !idle => {
                idle = true;
                steps.extend((1..=protocol.bound.suites).map(|suite| Step::Offer(at, suite)));
            }
            TeeSession::Idle => (),
            TeeSession::Offered { suite, pairing, promised } => {
                steps.extend(
                    state
                        .shares()
                        .into_iter()
                        .filter(|pad| {
                            let view = View { suite, pairing, tee: Share::Tee(at), pad: *pad, promised };
                            state.derives(Term::Signature(pairing.pad, view.signed(protocol)))
                        })
                        .map(|pad| Step::Ask(at, pad)),
                );
            }
            TeeSession::Asked(view) => books(protocol, state, at, view, steps),
            TeeSession::Done { view, times: 1, .. } if protocol.has(Flaw::TakesFramesTwice) => {
                books(protocol, state, at, view, steps);
            }
            TeeSession::Done { .. } => (),
        }
    }
}

fn books(protocol: Protocol, state: &State, at: u8, view: View, steps: &mut Vec<Step>) {
    let pins = (0..protocol.bound.pads).map(Content::Pin);
    steps.extend(
        pins.chain([Content::Nothing, Content::Guess])
            .filter(|content| state.derives(Term::Up(view.key(protocol), *content)))
            .map(|content| Step::Book(at, content)),
    );
}

fn pad_steps(protocol: Protocol, state: &State, steps: &mut Vec<Step>) {
    let mut idle = false;
    for (at, session) in (0..).zip(state.pads.iter().copied()) {
        match session {
            PadSession::Idle if !idle => {
                idle = true;
                for share in state.shares() {
                    steps.extend((1..=protocol.bound.suites).map(|suite| Step::Answer(at, suite, share)));
                }
            }
            PadSession::Idle => (),
            PadSession::Answered(view) => shows(protocol, state, at, view, steps),
            PadSession::Showing { view, times, .. } => {
                steps.extend([Step::Enter(at, Content::Pin(at)), Step::Enter(at, Content::Nothing)]);
                if protocol.has(Flaw::ShowsTwice) && times == 1 {
                    shows(protocol, state, at, view, steps);
                }
            }
            PadSession::Done { view, times: 1, .. } if protocol.has(Flaw::ShowsTwice) => {
                shows(protocol, state, at, view, steps);
            }
            PadSession::Done { .. } => (),
        }
    }
}

fn shows(protocol: Protocol, state: &State, at: u8, view: View, steps: &mut Vec<Step>) {
    let proof = Term::Signature(view.pairing.tee, view.signed(protocol));
    if !protocol.has(Flaw::ShowsWithoutProof) && !state.derives(proof) {
        return;
    }
    steps.extend(
        (0..protocol.bound.tees)
            .filter(|amount| state.derives(Term::Down(view.key(protocol), Content::Amount(*amount))))
            .map(|amount| Step::Show(at, amount)),
    );
}

/// The state after a step that [`steps`] listed.
pub fn after(protocol: Protocol, state: &State, step: Step) -> Option<State> {
    let mut next = state.clone();
    match step {
        Step::PairTee(pairing) => {
            next.tee_pairing = pairing;
            next.tee_promised |= pairing.is_honest();
        }
        Step::PairPad(pairing) => {
            next.pad_pairing = pairing;
            next.pad_promised |= pairing.is_honest();
        }
        Step::Offer(at, suite) => {
            *next.tees.get_mut(usize::from(at))? =
                TeeSession::Offered { suite, pairing: state.tee_pairing, promised: state.tee_promised };
        }
        Step::Answer(at, suite, tee) => {
            let (pairing, promised) = (state.pad_pairing, state.pad_promised);
            let view = View { suite, pairing, tee, pad: Share::Pad(at), promised };
            *next.pads.get_mut(usize::from(at))? = PadSession::Answered(view);
            next.seen.insert(Term::Signature(Agent::Pad, view.signed(protocol)));
        }
        Step::Ask(at, pad) => {
            let TeeSession::Offered { suite, pairing, promised } = *state.tees.get(usize::from(at))? else {
                return None;
            };
            let view = View { suite, pairing, tee: Share::Tee(at), pad, promised };
            *next.tees.get_mut(usize::from(at))? = TeeSession::Asked(view);
            next.seen.insert(Term::Signature(Agent::Tee, view.signed(protocol)));
            next.seen.insert(Term::Down(view.key(protocol), Content::Amount(at)));
        }
        Step::Show(at, amount) => {
            let (view, times) = match *state.pads.get(usize::from(at))? {
                PadSession::Answered(view) => (view, 1),
                PadSession::Showing { view, times, .. } | PadSession::Done { view, times, .. } => {
                    (view, times + 1)
                }
                PadSession::Idle => return None,
            };
            *next.pads.get_mut(usize::from(at))? = PadSession::Showing { view, amount, times };
        }
        Step::Enter(at, entered) => {
            let PadSession::Showing { view, amount, times } = *state.pads.get(usize::from(at))? else {
                return None;
            };
            *next.pads.get_mut(usize::from(at))? = PadSession::Done { view, amount, entered, times };
            next.seen.insert(Term::Up(view.key(protocol), entered));
        }
        Step::Book(at, entered) => {
            let (view, times) = match *state.tees.get(usize::from(at))? {
                TeeSession::Asked(view) => (view, 1),
                TeeSession::Done { view, times, .. } => (view, times + 1),
                TeeSession::Idle | TeeSession::Offered { .. } => return None,
            };
            *next.tees.get_mut(usize::from(at))? = TeeSession::Done { view, entered, times };
        }
    }
    Some(next)
}
