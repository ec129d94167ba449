//! The normal world between PIN trusted app and pad, one scenario for each thing that it can do to a message: record,
//! drop, reorder, replay, delay, alter. It learns no digit and not how many there are, has nothing else shown, and gets
//! no try, no fact and no PIN by it.

use super::{pad::begin_when_due, prepared, refused, tries, verify_one};
use crate::{
    Outcome, ensure,
    lab::{self, Lab, PIN, say},
    pad::{LabPad, Opened, begin, begin_card_data, pin},
    scenarios::binding::at_desk,
};
use tapvault::{Transport, Wallet};
use tapvault_network::lab::LabBank;
use tapvault_proto::{
    Error,
    id::CardId,
    pad::{
        Entered, PAD_SESSION_LIFE_MS, PadAnswer, PadMessage, PadOffer, PadOfferRequest, PadShow, PadSuite,
    },
    pin::{FinishRequest, PinState, SubmitRequest, VERIFICATION_LIFE_MS, Verdict},
    wire::{Wire, decode_exact, encode_into},
};

const SUITES: [PadSuite; 2] = [PadSuite::P256, PadSuite::Sm2];

fn bytes<W: Wire>(message: &W) -> Outcome<Vec<u8>> {
    let mut bytes = vec![0; W::MAX];
    let len = encode_into(message, &mut bytes).map_err(say)?;
    bytes.truncate(len);
    Ok(bytes)
}

fn offer<T: Transport>(wallet: &mut Wallet<T>, suite: PadSuite) -> Outcome<PadOffer> {
    wallet.call(&PadOfferRequest { suite }).map_err(say)
}

fn answer(link: &mut LabPad, offer: PadOffer) -> Outcome<PadAnswer> {
    match link.answer(&PadMessage::Offer(offer)) {
        Ok(PadMessage::Answer(answer)) => Ok(answer),
        other => Err(format!("the pad answers {other:?}")),
    }
}

/// The pad takes nothing of it.
fn pad_refuses(link: &mut LabPad, show: PadShow) -> Outcome<()> {
    let said = link.answer(&PadMessage::Show(show));
    ensure(said == Ok(PadMessage::Refused), || format!("the pad answers {said:?}"))
}

fn left<T: Transport>(wallet: &mut Wallet<T>, lab: &Lab, expected: u8) -> Outcome<()> {
    let (state, left) = tries(wallet, lab)?;
    ensure((state, left) == (PinState::Set, expected), || format!("{left} tries left, not {expected}"))
}

fn no_fact<T: Transport>(wallet: &mut Wallet<T>, card: CardId) -> Outcome<()> {
    refused(wallet.prepare_tap(card, true).map(|_| ()), Error::NoVerification)
}

/// Every message of one entry, and what came of it.
fn recorded<T: Transport>(
    wallet: &mut Wallet<T>,
    (lab, card): (&Lab, CardId),
    suite: PadSuite,
    entered: &Entered,
) -> Outcome<([Vec<u8>; 4], Verdict)> {
    let mut link = LabPad::default();
    let offered = offer(wallet, suite)?;
    let answered = answer(&mut link, offered)?;
    wallet.call(&answered).map_err(say)?;
    let reply = wallet.call(&verify_one(lab, card)).map_err(say)?;
    let show = reply.show;
    let mut opened = Opened::of(link, &reply).map_err(say)?;
    let submit = opened.submit(entered)?;
    let verdict = wallet.call(&submit).map_err(say)?.verdict;
    if verdict != Verdict::Wrong {
        wallet.call(&FinishRequest { entry: opened.entry }).map_err(say)?;
    }
    Ok(([bytes(&offered)?, bytes(&answered)?, bytes(&show)?, bytes(&submit.frame)?], verdict))
}

/// Recorded: the messages have one length whatever the holder does, hold no digit, and are never the same.
pub(super) fn a_relay_that_records_learns_no_digit_and_no_number_of_them<T: Transport>(
    make: &dyn Fn() -> Wallet<T>,
) -> Outcome<()> {
    const LONG: &str = "482915730664";
    let wallet = &mut make();
    let (mut lab, card) = prepared(wallet)?;
    for suite in SUITES {
        lab.set_pin(wallet, LONG)?;
        let mut seen: Vec<[Vec<u8>; 4]> = Vec::new();
        for (entered, expected) in [
            (Entered::Pin(pin(LONG)?), Verdict::Accepted),
            (Entered::Pin(pin(LONG)?), Verdict::Accepted),
            (Entered::Nothing, Verdict::Nothing),
            (Entered::Pin(pin("4829")?), Verdict::Wrong),
        ] {
            let (messages, verdict) = recorded(wallet, (&lab, card), suite, &entered)?;
            ensure(verdict == expected, || format!("{verdict:?}, not {expected:?}"))?;
            for other in &seen {
                for (message, other) in messages.iter().zip(other) {
                    ensure(message.len() == other.len(), || "its length tells".into())?;
                    ensure(message != other, || "a message came twice".into())?;
                }
            }
            seen.push(messages);
        }
        let all = seen.concat().concat();
        for secret in [LONG.as_bytes().to_vec(), hex::decode(LONG).map_err(say)?] {
            ensure(!all.windows(secret.len()).any(|part| part == secret), || "the PIN was seen".into())?;
        }
    }
    lab.set_pin(wallet, PIN)
}

/// Dropped, at each place: what was begun costs its try, and nothing comes of it.
pub(super) fn a_relay_that_drops_messages_gains_nothing<T: Transport>(
    make: &dyn Fn() -> Wallet<T>,
) -> Outcome<()> {
    let wallet = &mut make();
    let (lab, card) = prepared(wallet)?;
    let verify = verify_one(&lab, card);
    let link = &mut LabPad::default();
    // The offer; the answer.
    offer(wallet, PadSuite::P256)?;
    refused(wallet.call(&verify), Error::NoPadSession)?;
    let offered = offer(wallet, PadSuite::P256)?;
    answer(link, offered)?;
    refused(wallet.call(&verify), Error::NoPadSession)?;
    left(wallet, &lab, 3)?;
    // What is to be shown.
    wallet.open_pad(link).map_err(say)?;
    let entry = wallet.call(&verify).map_err(say)?.entry;
    refused(wallet.call(&FinishRequest { entry }), Error::NoEntry)?;
    left(wallet, &lab, 2)?;
    // What was entered.
    let entry = begin_when_due(&lab, wallet, &verify)?.entry;
    refused(wallet.call(&FinishRequest { entry }), Error::NoEntry)?;
    left(wallet, &lab, 1)?;
    no_fact(wallet, card)?;
    // The end: the digits were right, so the tries are back, and nobody was verified.
    let mut opened = begin_when_due(&lab, wallet, &verify)?;
    let submit = opened.pin(PIN)?;
    wallet.call(&submit).map_err(say)?;
    offer(wallet, PadSuite::P256)?;
    left(wallet, &lab, 3)?;
    no_fact(wallet, card)?;
    lab.verify(wallet, card, PIN).map_err(say)
}

/// Reordered: each message is taken in its place and session alone.
pub(super) fn a_relay_that_reorders_messages_gains_nothing<T: Transport>(
    make: &dyn Fn() -> Wallet<T>,
) -> Outcome<()> {
    let wallet = &mut make();
    let (mut lab, card) = prepared(wallet)?;
    let verify = verify_one(&lab, card);
    for suite in SUITES {
        wallet.choose_pad_suite(suite);
        // Begun before the answer; the answer to the first of two offers after the second.
        let (early, late) = (&mut LabPad::default(), &mut LabPad::default());
        let first = answer(early, offer(wallet, suite)?)?;
        refused(wallet.call(&verify), Error::NoPadSession)?;
        let second = answer(late, offer(wallet, suite)?)?;
        refused(wallet.call(&first), Error::PadUntrusted)?;
        refused(wallet.call(&second), Error::NoPadSession)?;
        left(wallet, &lab, 3)?;
        // Finished, then entered; the frame of the first of two entries in the second, whose showing comes to the pad
        // in an earlier session.
        let mut opened = begin(wallet, &verify).map_err(say)?;
        refused(wallet.call(&FinishRequest { entry: opened.entry }), Error::NoEntry)?;
        let held = opened.pin(PIN)?;
        lab::wait_for_try(wallet, lab.provider_id()).map_err(say)?;
        let waits = &mut LabPad::default();
        wallet.open_pad(waits).map_err(say)?;
        let reply = wallet.call(&verify).map_err(say)?;
        pad_refuses(early, reply.show)?;
        refused(wallet.call(&held), Error::NoEntry)?;
        refused(wallet.call(&SubmitRequest { entry: reply.entry, ..held }), Error::FrameInvalid)?;
        refused(wallet.call(&FinishRequest { entry: reply.entry }), Error::NoEntry)?;
        left(wallet, &lab, 1)?;
        // Sent back to where it came from.
        let next = begin_when_due(&lab, wallet, &verify)?;
        let reflected = SubmitRequest { entry: next.entry, frame: next.show.frame };
        refused(wallet.call(&reflected), Error::FrameInvalid)?;
        let (state, left) = tries(wallet, &lab)?;
        ensure((state, left) == (PinState::Locked, 0), || format!("{left} tries left"))?;
        no_fact(wallet, card)?;
        lab.set_pin(wallet, PIN)?;
    }
    Ok(())
}

/// Replayed: a message is good once, at both ends.
pub(super) fn a_relay_that_replays_messages_gains_nothing<T: Transport>(
    make: &dyn Fn() -> Wallet<T>,
) -> Outcome<()> {
    let wallet = &mut make();
    let (mut lab, card) = prepared(wallet)?;
    let verify = verify_one(&lab, card);
    for suite in SUITES {
        let mut link = LabPad::default();
        let answered = answer(&mut link, offer(wallet, suite)?)?;
        wallet.call(&answered).map_err(say)?;
        refused(wallet.call(&answered), Error::NoPadSession)?;
        let reply = wallet.call(&verify).map_err(say)?;
        let shown = link.answer(&PadMessage::Show(reply.show));
        ensure(shown.is_err(), || format!("the pad answers {shown:?}"))?;
        let PadMessage::Entered(frame) = link.enter(&Entered::Pin(pin(PIN)?)) else {
            return Err("the pad enters nothing".into());
        };
        pad_refuses(&mut link, reply.show)?;
        let submit = SubmitRequest { entry: reply.entry, frame };
        wallet.call(&submit).map_err(say)?;
        refused(wallet.call(&submit), Error::NoEntry)?;
        let finish = FinishRequest { entry: reply.entry };
        wallet.call(&finish).map_err(say)?;
        refused(wallet.call(&finish), Error::NoEntry)?;
        refused(wallet.call(&submit), Error::NoEntry)?;
        left(wallet, &lab, 3)?;
        // One entry, one fact.
        let used = super::status(wallet, card, true, &lab::gpo_command(1, true))?;
        ensure(used == 0x9000, || format!("{used:04X}"))?;
        no_fact(wallet, card)?;
        // All of it again, in a session of later.
        let mut link = LabPad::default();
        let fresh = answer(&mut link, offer(wallet, suite)?)?;
        refused(wallet.call(&answered), Error::PadUntrusted)?;
        refused(wallet.call(&fresh), Error::NoPadSession)?;
        let fresh = answer(&mut link, offer(wallet, suite)?)?;
        wallet.call(&fresh).map_err(say)?;
        let next = wallet.call(&verify).map_err(say)?;
        pad_refuses(&mut link, reply.show)?;
        refused(wallet.call(&SubmitRequest { entry: next.entry, frame }), Error::FrameInvalid)?;
        left(wallet, &lab, 2)?;
        no_fact(wallet, card)?;
        lab.set_pin(wallet, PIN)?;
    }
    Ok(())
}

/// Delayed: an answer is good for ten seconds, an entry and what it brought for a minute.
pub(super) fn a_relay_that_delays_messages_gains_nothing<T: Transport>(
    make: &dyn Fn() -> Wallet<T>,
) -> Outcome<()> {
    let wallet = &mut make();
    let (lab, card) = prepared(wallet)?;
    let verify = verify_one(&lab, card);
    let link = &mut LabPad::default();
    let held = answer(link, offer(wallet, PadSuite::P256)?)?;
    lab::pass(PAD_SESSION_LIFE_MS);
    refused(wallet.call(&held), Error::NoPadSession)?;
    left(wallet, &lab, 3)?;
    lab.verify(wallet, card, PIN).map_err(say)?;
    let late = begin(wallet, &verify).map_err(say)?.pin(PIN)?;
    lab::pass(VERIFICATION_LIFE_MS);
    refused(wallet.call(&late), Error::NoEntry)?;
    left(wallet, &lab, 2)?;
    no_fact(wallet, card)?;
    lab.verify(wallet, card, PIN).map_err(say)
}

/// Altered: the pad shows nothing that differs in a bit from what the trusted app sealed. The other ways:
/// `an_altered_answer_brings_no_session`, `an_altered_frame_costs_the_entry_and_opens_nothing`.
pub(super) fn a_relay_that_alters_messages_has_nothing_shown<T: Transport>(
    make: &dyn Fn() -> Wallet<T>,
) -> Outcome<()> {
    let wallet = &mut make();
    let (mut lab, _) = prepared(wallet)?;
    // Entries of card data take no try, so that there can be many.
    let data = at_desk(&mut lab.issuer, |desk| desk.begin(LabBank::A))?.map_err(say)?;
    for suite in SUITES {
        wallet.choose_pad_suite(suite);
        let mut at = 0;
        // A prime, so that signature, number, content and tag are met in all their parts.
        while at < PadShow::MAX {
            let mut link = LabPad::default();
            wallet.open_pad(&mut link).map_err(say)?;
            let show = wallet.call(&data).map_err(say)?.show;
            let mut other = bytes(&show)?;
            other[at] ^= 1 << (at % 8);
            pad_refuses(&mut link, decode_exact(&other).map_err(say)?)?;
            // Nor the right one after that: the session is over.
            pad_refuses(&mut link, show)?;
            at += 7;
        }
        // As it was it is shown.
        begin_card_data(wallet, &data).map_err(say)?;
    }
    Ok(())
}
