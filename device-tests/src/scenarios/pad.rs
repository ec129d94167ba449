//! The PIN pad: what it shows, what brings a PIN, and what a normal world that records, drops, changes, repeats and
//! reorders everything gets by it. What time does is in `device-tests/tests/pad.rs`, where there is a clock to turn.

use super::{NEEDS_PIN, prepared, refused, status, tries, verify_one};
use crate::{
    Outcome, ensure,
    lab::{self, Digits, Lab, PIN, say},
    pad::{self, LabPad, Opened, begin, begin_card_data, keys_of, pin},
    scenarios::binding::at_desk,
};
use tapvault::{ClientError, Transport, Wallet};
use tapvault_network::{device::Factory, lab::LabBank, registry::CNY};
use tapvault_pad_link::pad::Answered;
use tapvault_proto::{
    Error,
    approval::{Approval, BeginApprovalRequest},
    id::{CardId, TrustletName},
    pad::{
        Entered, Frame, PAD_PATIENCE_S, PadAnswer, PadMessage, PadOffer, PadOfferRequest, PadPurpose,
        PadSuite, Pairing, Showing,
    },
    pin::{
        BeginChangeRequest, BeginConfirmRequest, BeginSetRequest, BeginVerifyRequest, EntryReply,
        FinishRequest, PinState, SubmitRequest, TicketPurpose, Transfer, Verdict,
    },
    refused::{ConfirmPrepareRequest, RefusedTap},
    service::Request,
    token::Channel,
    wire::{Bytes, Wire, decode_exact, encode_into},
};

const SUITES: [PadSuite; 2] = [PadSuite::P256, PadSuite::Sm2];

fn offer<T: Transport>(wallet: &mut Wallet<T>, suite: PadSuite) -> Outcome<PadOffer> {
    wallet.call(&PadOfferRequest { suite }).map_err(say)
}

fn answer(link: &mut LabPad, offer: PadOffer) -> Outcome<PadAnswer> {
    match link.answer(&PadMessage::Offer(offer)) {
        Ok(PadMessage::Answer(answer)) => Ok(answer),
        other => Err(format!("the pad answers {other:?}")),
    }
}

/// Each message that differs from this one in one bit of one byte, as far as it is one.
fn altered<W: Wire>(message: &W) -> Outcome<Vec<W>> {
    let mut bytes = vec![0; W::MAX];
    let len = encode_into(message, &mut bytes).map_err(say)?;
    bytes.truncate(len);
    let other = |at: usize| {
        let mut other = bytes.clone();
        other[at] ^= 1 << (at % 8);
        decode_exact(&other).ok()
    };
    Ok((0..len).filter_map(other).collect())
}

/// Begins an entry as soon as the spent tries allow it.
pub(super) fn begin_when_due<T: Transport, R: Request<Reply = EntryReply>>(
    lab: &Lab,
    wallet: &mut Wallet<T>,
    request: &R,
) -> Outcome<Opened> {
    lab::wait_for_try(wallet, lab.provider_id()).map_err(say)?;
    begin(wallet, request).map_err(say)
}

fn has_shown(opened: &Opened, expected: &Showing) -> Outcome<()> {
    ensure(opened.showing == *expected, || format!("{:?}, not {expected:?}", opened.showing))
}

/// Begins an entry, and has the holder cancel it; returns what was shown.
fn shown_and_cancelled<T: Transport, R: Request<Reply = EntryReply>>(
    lab: &Lab,
    wallet: &mut Wallet<T>,
    request: &R,
) -> Outcome<Opened> {
    let mut opened = begin_when_due(lab, wallet, request)?;
    wallet.call(&opened.submit(&Entered::Nothing)?).map_err(say)?;
    wallet.call(&FinishRequest { entry: opened.entry }).map_err(say)?;
    Ok(opened)
}

/// What the pad shows is the trusted app's own knowledge, for every purpose and in both suites.
///
/// # Errors
/// What does not hold.
pub fn the_pad_shows_what_an_entry_is_for<T: Transport>(make: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut make();
    let (mut lab, card) = prepared(wallet)?;
    let provider = lab.provider_id();
    let payee = |name: &[u8]| Bytes::from_slice(name).map_err(|_| "a name is too long".to_string());
    let shown = |purpose| Showing {
        purpose,
        amount: 0,
        currency: 0,
        payee: Bytes::new(),
        digest: [0; 32],
        life_s: PAD_PATIENCE_S,
    };
    let paid = |purpose| Showing { amount: 12_345, currency: CNY, ..shown(purpose) };
    for suite in SUITES {
        wallet.choose_pad_suite(suite);
        let challenge = wallet.pin_challenge().map_err(say)?;
        let ticket = lab.provider.ticket(TicketPurpose::Reset, challenge);
        let opened = begin(wallet, &BeginSetRequest { ticket }).map_err(say)?;
        has_shown(&opened, &shown(PadPurpose::SetPin))?;
        unverified(wallet, card, 12_345)?;
        wallet.call(&ConfirmPrepareRequest { card }).map_err(say)?;
        for (exact, purpose) in [(false, PadPurpose::ArmTap), (true, PadPurpose::ConfirmTap)] {
            let verify = BeginVerifyRequest { provider, card, ceiling: 12_345, currency: CNY, exact };
            has_shown(&shown_and_cancelled(&lab, wallet, &verify)?, &paid(purpose))?;
        }
        let approval = Approval {
            card,
            channel: Channel::InApp,
            amount: 12_345,
            currency: CNY,
            payee: payee(b"Tea Shop")?,
            digest: [0xD1; 32],
        };
        let opened = shown_and_cancelled(&lab, wallet, &BeginApprovalRequest { provider, approval })?;
        let expected =
            Showing { payee: payee(b"Tea Shop")?, digest: [0xD1; 32], ..paid(PadPurpose::ApprovePayment) };
        has_shown(&opened, &expected)?;
        let code = BeginApprovalRequest { provider, approval: Approval::code(card) };
        has_shown(&shown_and_cancelled(&lab, wallet, &code)?, &shown(PadPurpose::ShowCode))?;
        let transfer = Transfer { amount: 12_345, currency: CNY, payee: payee(b"somebody")? };
        let trustlet = TrustletName::new(b"shield").map_err(say)?;
        let confirm = BeginConfirmRequest { provider, trustlet, transfer };
        let expected = Showing { payee: payee(b"somebody")?, ..paid(PadPurpose::ConfirmTransfer) };
        has_shown(&shown_and_cancelled(&lab, wallet, &confirm)?, &expected)?;
        let opened = shown_and_cancelled(&lab, wallet, &BeginChangeRequest { provider })?;
        has_shown(&opened, &shown(PadPurpose::ChangePin))?;
        let data = at_desk(&mut lab.issuer, |desk| desk.begin(LabBank::A))?.map_err(say)?;
        let expected = Showing { payee: payee(b"Lab Bank A")?, ..shown(PadPurpose::CardData) };
        has_shown(&begin_card_data(wallet, &data).map_err(say)?.0, &expected)?;
    }
    Ok(())
}

/// Tap, PIN, tap: the pad shows what the terminal wanted, by the card trusted app's word, and that is paid: nothing
/// below, above or beside it, and once.
///
/// # Errors
/// What does not hold.
pub fn an_exact_verification_pays_exactly<T: Transport>(make: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut make();
    let (lab, card) = prepared(wallet)?;
    let provider = lab.provider_id();
    let digits = &mut Digits::of(&[PIN; 4]);
    refused(wallet.confirm_tap(provider, card, digits), Error::NothingRefused)?;
    for (amount, then, fits) in [(100, 100, true), (100, 101, false), (100, 99, false), (7, 7, true)] {
        unverified(wallet, card, amount)?;
        let tap = wallet.confirm_tap(provider, card, digits).map_err(say)?;
        ensure(tap == RefusedTap { amount: amount.into(), currency: CNY }, || format!("{tap:?}"))?;
        let shown = digits.shown.last().ok_or("nothing was shown")?;
        ensure((shown.amount, shown.currency) == (tap.amount, tap.currency), || format!("{shown:?}"))?;
        let answer = status(wallet, card, true, &lab::gpo_command(then, true))?;
        let expected = if fits { 0x9000 } else { NEEDS_PIN };
        ensure(answer == expected, || format!("{amount}, then {then}: {answer:04X}"))?;
    }
    // It was paid, so there is nothing more to confirm.
    refused(wallet.confirm_tap(provider, card, digits), Error::NothingRefused)?;
    // What a client says besides has no weight.
    unverified(wallet, card, 100)?;
    wallet.call(&ConfirmPrepareRequest { card }).map_err(say)?;
    let exact = BeginVerifyRequest { provider, card, ceiling: 100, currency: CNY, exact: true };
    for other in [
        BeginVerifyRequest { ceiling: 99, ..exact },
        BeginVerifyRequest { ceiling: 101, ..exact },
        BeginVerifyRequest { currency: 0x0840, ..exact },
        BeginVerifyRequest { card: CardId([0xEE; 16]), ..exact },
        BeginVerifyRequest { provider: LabBank::B.id(), ..exact },
    ] {
        refused(begin(wallet, &other), Error::NothingRefused)?;
    }
    ensure(tries(wallet, &lab)? == (PinState::Set, 3), || "a refused beginning cost a try".into())?;
    let mut opened = begin(wallet, &exact).map_err(say)?;
    let (entry, typed) = (opened.entry, opened.pin(PIN)?);
    wallet.call(&typed).map_err(say)?;
    wallet.call(&FinishRequest { entry }).map_err(say)?;
    // Handed over for one entry.
    refused(begin(wallet, &exact), Error::NothingRefused)?;
    // It is good for a tap and for nothing else; refused there, it still is.
    refused(wallet.nfc_on(card), Error::NoVerification)?;
    refused(wallet.choose_card(card, true), Error::NoVerification)?;
    let answer = status(wallet, card, true, &lab::gpo_command(100, true))?;
    ensure(answer == 0x9000, || format!("{answer:04X}"))
}

/// A terminal wants so much, verified, and is refused.
fn unverified<T: Transport>(wallet: &mut Wallet<T>, card: CardId, amount: u32) -> Outcome<()> {
    let answer = status(wallet, card, false, &lab::gpo_command(amount, true))?;
    ensure(answer == NEEDS_PIN, || format!("{answer:04X}"))
}

/// The pad's word that nothing was submitted gives back the try of this entry, and no other.
///
/// # Errors
/// What does not hold.
pub fn nothing_entered_gives_one_try_back<T: Transport>(make: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut make();
    let (mut lab, card) = prepared(wallet)?;
    let wrong = lab.verify(wallet, card, "000000");
    ensure(matches!(wrong, Err(ClientError::WrongPin { tries_left: 2 })), || format!("{wrong:?}"))?;
    let verify = verify_one(&lab, card);
    let mut opened = begin_when_due(&lab, wallet, &verify)?;
    ensure(tries(wallet, &lab)? == (PinState::Set, 1), || "no try was taken".into())?;
    let outcome = wallet.call(&opened.submit(&Entered::Nothing)?).map_err(say)?;
    ensure((outcome.verdict, outcome.tries_left) == (Verdict::Nothing, 2), || format!("{outcome:?}"))?;
    let finished = wallet.call(&FinishRequest { entry: opened.entry }).map_err(say)?;
    ensure(finished.tries_left == 2, || format!("{finished:?}"))?;
    ensure(tries(wallet, &lab)? == (PinState::Set, 2), || "the try did not come back".into())?;
    refused(wallet.prepare_tap(card, true).map(|_| ()), Error::NoVerification)?;
    // As a wallet does it; and of all purposes.
    let nobody = &mut Digits::of(&[]);
    lab::wait_for_try(wallet, lab.provider_id()).map_err(say)?;
    let cancelled = wallet.change_pin(lab.provider_id(), nobody);
    ensure(matches!(cancelled, Err(ClientError::NothingEntered)), || format!("{cancelled:?}"))?;
    let ticket = lab.provider.ticket(TicketPurpose::Reset, wallet.pin_challenge().map_err(say)?);
    let cancelled = wallet.set_pin(ticket, nobody);
    ensure(matches!(cancelled, Err(ClientError::NothingEntered)), || format!("{cancelled:?}"))?;
    let data = at_desk(&mut lab.issuer, |desk| desk.begin(LabBank::A))?.map_err(say)?;
    let cancelled = wallet.bind_card(data, nobody);
    ensure(matches!(cancelled, Err(ClientError::NothingEntered)), || format!("{cancelled:?}"))?;
    ensure(tries(wallet, &lab)? == (PinState::Set, 2), || "a cancelled entry changed the tries".into())?;
    lab.verify(wallet, card, PIN).map_err(say)
}

/// An entry takes the session that its own client brought up, one each; without one it costs nothing.
///
/// # Errors
/// What does not hold.
pub fn an_entry_takes_a_session_of_its_own_client<T: Transport>(make: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let (first, second) = (&mut make(), &mut make());
    let (lab, card) = prepared(first)?;
    let verify = verify_one(&lab, card);
    let link = &mut LabPad::default();
    refused(first.call(&verify), Error::NoPadSession)?;
    // Offered and not answered; answered by the client that did not ask; answered twice.
    let made = offer(first, PadSuite::P256)?;
    refused(first.call(&verify), Error::NoPadSession)?;
    let answered = answer(link, made)?;
    refused(second.call(&answered), Error::NoPadSession)?;
    first.call(&answered).map_err(say)?;
    refused(first.call(&answered), Error::NoPadSession)?;
    refused(second.call(&verify), Error::NoPadSession)?;
    ensure(tries(first, &lab)? == (PinState::Set, 3), || "a refused beginning cost a try".into())?;
    // Begun with it, it is gone; the entry before is over, and its try with it.
    first.call(&verify).map_err(say)?;
    refused(first.call(&verify), Error::NoPadSession)?;
    // A later offer takes an earlier one's place, also of another client: the pad has one session.
    let early = answer(link, offer(first, PadSuite::Sm2)?)?;
    let late = answer(link, offer(first, PadSuite::Sm2)?)?;
    refused(first.call(&early), Error::PadUntrusted)?;
    refused(first.call(&late), Error::NoPadSession)?;
    lab.verify(first, card, PIN).map_err(say)?;
    let early = answer(link, offer(first, PadSuite::P256)?)?;
    let late = answer(link, offer(second, PadSuite::P256)?)?;
    refused(first.call(&early), Error::NoPadSession)?;
    second.call(&late).map_err(say)?;
    second.call(&verify).map_err(say)?;
    refused(offer_refusal(first), Error::Busy)
}

fn offer_refusal<T: Transport>(wallet: &mut Wallet<T>) -> Result<PadOffer, ClientError> {
    wallet.call(&PadOfferRequest { suite: PadSuite::P256 })
}

/// A pad that was not paired, and an answer changed on the way, bring nothing up.
///
/// # Errors
/// What does not hold.
pub fn an_altered_answer_brings_no_session<T: Transport>(make: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut make();
    let (lab, card) = prepared(wallet)?;
    let verify = verify_one(&lab, card);
    let link = &mut LabPad::default();
    for suite in SUITES {
        let recorded = answer(link, offer(wallet, suite)?)?;
        // One offer for each: the first wrong answer ends it.
        for at in 0..altered(&recorded)?.len() {
            let fresh = answer(link, offer(wallet, suite)?)?;
            let wrong = altered(&fresh)?.into_iter().nth(at).ok_or("fewer messages")?;
            refused(wallet.call(&wrong), Error::PadUntrusted)?;
            refused(wallet.call(&fresh), Error::NoPadSession)?;
        }
        offer(wallet, suite)?;
        refused(wallet.call(&recorded), Error::PadUntrusted)?;
        // A pad of other keys, which claims to be meant.
        let foreign = keys_of("a foreign pad")?;
        let pairing = wallet.pad_state().map_err(say)?.pairing.ok_or("not paired")?;
        let claimed = Pairing { pad: *foreign.public(), ..pairing };
        let made = offer(wallet, suite)?;
        let (_, answer) =
            Answered::new(&foreign, &claimed, &made, &mut |out| pad::random(out)).map_err(say)?;
        refused(wallet.call(&answer), Error::PadUntrusted)?;
    }
    refused(wallet.call(&verify), Error::NoPadSession)?;
    ensure(tries(wallet, &lab)? == (PinState::Set, 3), || "a refused session cost a try".into())
}

/// A frame changed on the way opens nothing, ends the entry, and is no second chance.
///
/// # Errors
/// What does not hold.
pub fn an_altered_frame_costs_the_entry_and_opens_nothing<T: Transport>(
    make: &dyn Fn() -> Wallet<T>,
) -> Outcome<()> {
    let wallet = &mut make();
    let (mut lab, card) = prepared(wallet)?;
    // Entries of card data take no try, so that every byte can be changed.
    let data = at_desk(&mut lab.issuer, |desk| desk.begin(LabBank::A))?.map_err(say)?;
    for suite in SUITES {
        wallet.choose_pad_suite(suite);
        for at in 0..Frame::MAX {
            let (mut opened, _) = begin_card_data(wallet, &data).map_err(say)?;
            let right = opened.pin(PIN)?;
            let frame = altered(&right.frame)?.into_iter().nth(at).ok_or("fewer frames")?;
            refused(wallet.call(&SubmitRequest { frame, ..right }), Error::FrameInvalid)?;
            refused(wallet.call(&right), Error::NoEntry)?;
        }
        let verify = verify_one(&lab, card);
        let mut opened = begin(wallet, &verify).map_err(say)?;
        let mut wrong = opened.pin(PIN)?;
        wrong.frame.sealed[3] ^= 1;
        refused(wallet.call(&wrong), Error::FrameInvalid)?;
        ensure(tries(wallet, &lab)? == (PinState::Set, 2), || "the try came back".into())?;
        refused(wallet.call(&FinishRequest { entry: opened.entry }), Error::NoEntry)?;
        refused(wallet.prepare_tap(card, true).map(|_| ()), Error::NoVerification)?;
        lab.verify(wallet, card, PIN).map_err(say)?;
        let paid = status(wallet, card, true, &lab::gpo_command(1, true))?;
        ensure(paid == 0x9000, || format!("{paid:04X}"))?;
    }
    Ok(())
}

/// What an authentic pad sends for another purpose is refused as well, and costs as much.
///
/// # Errors
/// What does not hold.
pub fn a_frame_holds_what_was_asked_for<T: Transport>(make: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut make();
    let (lab, card) = prepared(wallet)?;
    let change = || -> Outcome<_> { Ok(Entered::Change(pin(PIN)?, pin("864209")?)) };
    let mut opened = begin(wallet, &verify_one(&lab, card)).map_err(say)?;
    refused(wallet.call(&opened.submit(&change()?)?), Error::PadContent)?;
    let mut opened = begin_when_due(&lab, wallet, &BeginChangeRequest { provider: lab.provider_id() })?;
    refused(wallet.call(&opened.pin(PIN)?), Error::PadContent)?;
    ensure(tries(wallet, &lab)? == (PinState::Set, 1), || "a try came back".into())?;
    let ticket = lab.provider.ticket(TicketPurpose::Reset, wallet.pin_challenge().map_err(say)?);
    let mut opened = begin(wallet, &BeginSetRequest { ticket }).map_err(say)?;
    refused(wallet.call(&opened.submit(&change()?)?), Error::PadContent)?;
    refused(wallet.call(&FinishRequest { entry: opened.entry }), Error::NoEntry)?;
    lab.verify(wallet, card, PIN).map_err(say)
}

/// Who belongs together the factory says, and its last word counts.
///
/// # Errors
/// What does not hold.
pub fn a_pairing_is_the_factorys_and_the_newest<T: Transport>(make: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut make();
    let (lab, card) = prepared(wallet)?;
    let state = wallet.pad_state().map_err(say)?;
    let kept = state.pairing.ok_or("not paired")?;
    refused(wallet.call(&kept), Error::PairingNotNewer)?;
    let new = pad::new_pairing(kept.sequence, state.keys)?;
    for wrong in altered(&new)? {
        refused(wallet.call(&wrong), Error::PairingInvalid)?;
    }
    // Of another factory, and for another phone.
    let foreign = keys_of("a foreign pad")?;
    let bank = tapvault_network::lab::provider_key("A");
    let forged = Factory::new(bank).pair(new.sequence, state.keys, *foreign.public());
    refused(wallet.call(&forged), Error::PairingInvalid)?;
    let elsewhere = Factory::lab().pair(new.sequence, *foreign.public(), *pad::keys().public());
    refused(wallet.call(&elsewhere), Error::PairingInvalid)?;
    ensure(wallet.pad_state().map_err(say)? == state, || "a refused pairing changed something".into())?;
    lab.verify(wallet, card, PIN).map_err(say)?;
    // The factory gives the phone another pad: the one before is none any more, and does not come back by its pairing.
    let other = Factory::lab().pair(new.sequence, state.keys, *foreign.public());
    let link = &mut LabPad::default();
    let before = answer(link, offer(wallet, PadSuite::P256)?)?;
    wallet.call(&other).map_err(say)?;
    refused(wallet.call(&before), Error::NoPadSession)?;
    let made = offer(wallet, PadSuite::P256)?;
    ensure(made.sequence == new.sequence, || format!("{made:?}"))?;
    refused(wallet.call(&kept), Error::PairingNotNewer)?;
    pad::pair(wallet)?;
    refused(wallet.call(&other), Error::PairingNotNewer)?;
    lab.verify(wallet, card, PIN).map_err(say)
}
