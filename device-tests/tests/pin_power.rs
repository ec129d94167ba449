//! Power lost at every change of the store, in every kind of entry of the wallet PIN, with every number of tries before
//! it, on the simulated TEE; `qemu-optee/powerloss` does it on real OP-TEE. Afterwards the counter is not above its
//! value before the entry unless that entry succeeded or was cancelled by the pad's word, and the old or the new PIN
//! works: one of them, and not both.

mod common;

use common::Phone;
use tapvault::{ClientError, Wallet, sim::Sim};
use tapvault_device_tests::{
    lab::{self, Lab, PIN},
    pad::{self, Opened, pin},
};
use tapvault_network::registry::CNY;
use tapvault_proto::{
    Error,
    id::CardId,
    pad::Entered,
    pin::{
        BeginChangeRequest, BeginSetRequest, BeginVerifyRequest, FinishRequest, PinState, TRY_LIMIT,
        TicketPurpose, Verdict,
    },
    service::Service,
};

const NEW: &str = "864209";
const WRONG: &str = "000000";

/// What an entry is begun for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Verify,
    Change,
    /// With a ticket, in place of what is there.
    Reset,
    /// With a ticket, where nothing is.
    First,
}

/// What the holder does, or the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Right,
    Wrong,
    TooSimple,
    Cancels,
    /// The frame comes altered.
    Alters,
    /// The frame comes not at all.
    Drops,
}

/// How far an entry came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Came {
    begun: bool,
    verdict: Option<Verdict>,
    finished: bool,
}

fn begin(lab: &Lab, wallet: &mut Wallet<Sim>, card: CardId, kind: Kind) -> Result<Opened, ClientError> {
    let provider = lab.provider_id();
    match kind {
        Kind::Verify => {
            let (ceiling, currency, exact) = (1, CNY, false);
            pad::begin(wallet, &BeginVerifyRequest { provider, card, ceiling, currency, exact })
        }
        Kind::Change => pad::begin(wallet, &BeginChangeRequest { provider }),
        Kind::Reset | Kind::First => {
            let purpose = if kind == Kind::First { TicketPurpose::Enrol } else { TicketPurpose::Reset };
            let ticket = lab.provider.ticket(purpose, wallet.pin_challenge()?);
            pad::begin(wallet, &BeginSetRequest { ticket })
        }
    }
}

fn typed(kind: Kind, does: Does) -> Entered {
    let digits = |text| pin(text).unwrap();
    let present = if does == Does::Wrong { WRONG } else { PIN };
    let new = if does == Does::TooSimple { "123456" } else { NEW };
    match kind {
        _ if does == Does::Cancels => Entered::Nothing,
        Kind::Verify => Entered::Pin(digits(present)),
        Kind::Change => Entered::Change(digits(present), digits(new)),
        Kind::Reset | Kind::First => Entered::Pin(digits(new)),
    }
}

/// Goes through an entry as far as it goes.
fn entry(
    (lab, wallet, card): (&Lab, &mut Wallet<Sim>, CardId),
    (kind, does): (Kind, Does),
    came: &mut Came,
) -> Result<(), ClientError> {
    let mut opened = begin(lab, wallet, card, kind)?;
    came.begun = true;
    let mut submit = opened.submit(&typed(kind, does)).unwrap();
    match does {
        Does::Drops => return Ok(()),
        Does::Alters => submit.frame.sealed[7] ^= 0x10,
        _ => {}
    }
    match wallet.call(&submit) {
        Ok(reply) => came.verdict = Some(reply.verdict),
        Err(error) => {
            let expected = if does == Does::Alters { Error::FrameInvalid } else { Error::PinTooSimple };
            assert_eq!(error.refusal(), Some(expected), "no storage is touched: it cannot fail otherwise");
            return Ok(());
        }
    }
    if came.verdict != Some(Verdict::Wrong) {
        wallet.call(&FinishRequest { entry: opened.entry })?;
        came.finished = true;
    }
    Ok(())
}

/// Which of the two PINs work.
fn working(lab: &Lab, wallet: &mut Wallet<Sim>, card: CardId) -> Vec<&'static str> {
    let works = |wallet: &mut Wallet<Sim>, pin| match lab.verify(wallet, card, pin) {
        Ok(()) => true,
        Err(ClientError::WrongPin { .. }) => false,
        Err(error) => panic!("{error}"),
    };
    [PIN, NEW].into_iter().filter(|pin| works(wallet, pin)).collect()
}

/// Cuts at every change of one kind of entry; how many there were.
fn cut_everywhere(kind: Kind, does: Does, before: u8) -> u32 {
    for point in 1..10 {
        let (phone, mut lab) = (Phone::new(), Lab::new().unwrap());
        let card = lab.provision(&mut phone.wallet()).unwrap();
        lab.set_pin(&mut phone.wallet(), PIN).unwrap();
        if kind == Kind::First {
            let record = [b"pin.", &lab.provider_id().0[..]].concat();
            phone.device.borrow_mut().objects.remove(&(Service::Pin.uuid(), record)).unwrap();
            phone.restart();
        }
        let wallet = &mut phone.wallet();
        if kind != Kind::First {
            for _ in before..TRY_LIMIT {
                lab::wait_for_try(wallet, lab.provider_id()).unwrap();
                drop(begin(&lab, wallet, card, Kind::Verify).unwrap());
            }
            lab::wait_for_try(wallet, lab.provider_id()).unwrap();
        }
        phone.device.borrow_mut().changes_left = Some(point);
        let mut came = Came::default();
        let done = entry((&lab, wallet, card), (kind, does), &mut came);
        let cut = phone.device.borrow().changes_left == Some(0);
        assert_eq!(done.is_err(), cut, "{kind:?} {does:?}: {done:?}");
        phone.restart();
        let wallet = &mut phone.wallet();
        holds((&mut lab, wallet, card), (kind, does, before), came);
        if !cut {
            return point - 1;
        }
    }
    panic!("it does not end");
}

/// What must hold after the cut.
fn holds(
    (lab, wallet, card): (&mut Lab, &mut Wallet<Sim>, CardId),
    (kind, does, before): (Kind, Does, u8),
    came: Came,
) {
    let what = format!("{kind:?} {does:?} from {before} tries: {came:?}");
    let state = wallet.pin_state(lab.provider_id()).unwrap();
    let (replaces, succeeded) = (kind != Kind::Verify, came.verdict == Some(Verdict::Accepted));
    if kind == Kind::First {
        let expected = if came.finished && succeeded { PinState::Set } else { PinState::Missing };
        assert_eq!(state.state, expected, "{what}");
        if state.state == PinState::Missing {
            lab.set_pin(wallet, NEW).unwrap();
        }
        assert_eq!(working(lab, wallet, card), [NEW], "{what}");
        return;
    }
    let spends = kind != Kind::Reset;
    let without = if spends && came.begun { before - 1 } else { before };
    let after = match (came.verdict, came.finished) {
        (Some(Verdict::Accepted), true) => TRY_LIMIT,
        (Some(Verdict::Nothing), true) => before,
        _ => without,
    };
    assert_eq!(state.tries_left, after, "{what}");
    assert!(after <= before || succeeded, "{what}");
    // The bank gives all tries back, to look at both PINs.
    let challenge = wallet.pin_challenge().unwrap();
    assert_eq!(wallet.unlock_pin(&lab.provider.unlock(challenge, 1)).unwrap(), TRY_LIMIT);
    let expected = if replaces && succeeded && came.finished { NEW } else { PIN };
    assert_eq!(working(lab, wallet, card), [expected], "{what}");
}

#[test]
fn no_cut_gives_a_try_back_or_leaves_two_pins_or_none() {
    use Does::{Alters, Cancels, Drops, Right, TooSimple, Wrong};
    for before in 1..=TRY_LIMIT {
        for (kind, does, points) in [
            (Kind::Verify, Right, 2),
            (Kind::Verify, Wrong, 1),
            (Kind::Verify, Cancels, 2),
            (Kind::Verify, Alters, 1),
            (Kind::Verify, Drops, 1),
            (Kind::Change, Right, 2),
            (Kind::Change, Wrong, 1),
            (Kind::Change, TooSimple, 1),
            (Kind::Change, Cancels, 2),
            (Kind::Change, Alters, 1),
            (Kind::Change, Drops, 1),
            (Kind::Reset, Right, 1),
            (Kind::Reset, TooSimple, 0),
            (Kind::Reset, Cancels, 0),
            (Kind::Reset, Alters, 0),
            (Kind::Reset, Drops, 0),
        ] {
            assert_eq!(cut_everywhere(kind, does, before), points, "{kind:?} {does:?} from {before}");
        }
    }
    for (does, points) in [(Right, 1), (TooSimple, 0), (Cancels, 0), (Alters, 0), (Drops, 0)] {
        assert_eq!(cut_everywhere(Kind::First, does, 0), points, "{does:?}");
    }
}
