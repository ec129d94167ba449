//! Routes: a card in the secure element, what its relay can do, the first card in the field.

use super::{
    NEEDS_PIN, approved,
    card::{with_rsa, with_sm2},
    prepared, refused,
};
use crate::{
    Outcome, ensure,
    lab::{self, Carrier, Digits, Field, Lab, PIN, say},
    oda::{Read, WANTS_ODA},
};
use std::io;
use tapvault::{Transport, Wallet, trustlet::Element, wallet::Purpose};
use tapvault_network::{
    bank::Provider,
    element::{ElementKeys, SoftElement},
    frame::CardLink,
    issuer::{Decision, Reason},
    oda::OdaKind,
    registry::CNY,
    request::AuthorisationRequest,
    terminal::{Refusal, pay},
};
use tapvault_proto::{
    Error,
    card::{StaticAnswersRequest, TapGpoRequest},
    element::{ElementAnswerRequest, ElementBeginRequest, ElementPurpose},
    emv::{AID_UNIONPAY_DEBIT, PPSE, apdu::Command},
    id::CardId,
    profile::Product,
    route::Endpoint,
    tvm,
};

/// A terminal wants this much of the element.
fn pay_at(
    element: &mut SoftElement,
    amount: u64,
    verification: bool,
) -> Result<AuthorisationRequest, Refusal> {
    let payment = lab::payment(amount, verification);
    pay(&mut element.contactless(), &payment).map(|taken| taken.request).map_err(|error| error.refusal)
}

/// Whether it refuses every cryptogram.
fn gives_nothing(element: &mut SoftElement) -> Outcome<()> {
    match pay_at(element, 100, false) {
        Err(Refusal::VerificationNeeded { status: 0x6985 }) => Ok(()),
        other => Err(format!("without leave: {other:?}")),
    }
}

fn route<T: Transport>(lab: &Lab, wallet: &mut Wallet<T>, card: CardId, endpoint: Endpoint) -> Outcome<()> {
    lab.verify(wallet, card, PIN).map_err(say)?;
    wallet.route(card, Product::Debit, endpoint).map(|_| ()).map_err(say)
}

fn put<T: Transport>(
    lab: &Lab,
    wallet: &mut Wallet<T>,
    card: CardId,
    element: &mut SoftElement,
) -> Outcome<()> {
    lab.verify(wallet, card, PIN).map_err(say)?;
    wallet.put_in_element(card, &mut Carrier(element)).map_err(say)
}

/// A card in the element, and debit cards routed there.
fn moved<T: Transport>(wallet: &mut Wallet<T>) -> Outcome<(Lab, CardId, SoftElement)> {
    let (lab, card) = prepared(wallet)?;
    let mut element = SoftElement::new(ElementKeys::lab());
    lab.give_element_keys(wallet)?;
    put(&lab, wallet, card, &mut element)?;
    route(&lab, wallet, card, Endpoint::Element)?;
    Ok((lab, card, element))
}

pub fn a_card_in_the_element_pays_by_leave_of_the_tee<T: Transport>(
    wallet: &dyn Fn() -> Wallet<T>,
) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = prepared(wallet)?;
    let element = &mut SoftElement::new(ElementKeys::lab());
    lab.give_element_keys(wallet)?;
    refused(wallet.put_in_element(card, &mut Carrier(element)), Error::NoVerification)?;
    refused(wallet.route(card, Product::Debit, Endpoint::Element), Error::NoVerification)?;
    // Elsewhere there is no such card yet, and taps are the TEE's.
    refused(wallet.allow_element_tap(card, false, &mut Carrier(element)), Error::NotRoutedToElement)?;
    approved(&lab::pay(&mut lab, wallet, card, (100, false, false))?.1, false)?;
    route(&lab, wallet, card, Endpoint::Element)?;
    refused(wallet.allow_element_tap(card, false, &mut Carrier(element)), Error::NotInElement)?;
    put(&lab, wallet, card, element)?;

    let aid = AID_UNIONPAY_DEBIT.into_iter().collect();
    let command = lab::gpo_command(100, false).into_iter().collect();
    refused(wallet.prepare_tap(card, false).map(|_| ()), Error::RoutedToElement)?;
    refused(wallet.call(&StaticAnswersRequest { card }), Error::RoutedToElement)?;
    refused(wallet.call(&TapGpoRequest { card, aid, command }), Error::RoutedToElement)?;
    gives_nothing(element)?;

    // Leave is good once, paid or not.
    wallet.allow_element_tap(card, false, &mut Carrier(element)).map_err(say)?;
    let request = pay_at(element, 100, false).map_err(say)?;
    approved(&lab.issuer.authorise(&request), false)?;
    let again = lab.issuer.authorise(&request);
    ensure(again == Decision::Declined(Reason::ReplayedAtc), || format!("a replay was {again}"))?;
    gives_nothing(element)?;
    refused(wallet.allow_element_tap(card, true, &mut Carrier(element)), Error::NoVerification)?;
    wallet.allow_element_tap(card, false, &mut Carrier(element)).map_err(say)?;
    let asked = pay_at(element, 100, true);
    ensure(matches!(asked, Err(Refusal::VerificationNeeded { status: NEEDS_PIN })), || {
        format!("no PIN: {asked:?}")
    })?;
    gives_nothing(element)?;

    // The holder's PIN comes with it, with ceiling and currency.
    lab.verify(wallet, card, PIN).map_err(say)?;
    wallet.allow_element_tap(card, true, &mut Carrier(element)).map_err(say)?;
    let request = pay_at(element, 100_000, true).map_err(say)?;
    approved(&lab.issuer.authorise(&request), true)?;
    for (ceiling, currency) in [(99, CNY), (100, 0x0840)] {
        let purpose = Purpose { card, ceiling, currency };
        wallet.verify_pin(lab.provider_id(), purpose, &mut Digits::of(&[PIN])).map_err(say)?;
        wallet.allow_element_tap(card, true, &mut Carrier(element)).map_err(say)?;
        let over = pay_at(element, 100, true);
        ensure(matches!(over, Err(Refusal::VerificationNeeded { status: NEEDS_PIN })), || {
            format!("{over:?}")
        })?;
    }
    // Without power it forgets what it was allowed.
    wallet.allow_element_tap(card, false, &mut Carrier(element)).map_err(say)?;
    CardLink::power_on(element).map_err(say)?;
    gives_nothing(element)?;

    wallet.nfc_off().map_err(say)?;
    refused(wallet.allow_element_tap(card, false, &mut Carrier(element)), Error::NfcOff)?;
    wallet.suspend(card).map_err(say)?;
    refused(wallet.allow_element_tap(card, false, &mut Carrier(element)), Error::TokenNotActive)?;
    lab.verify(wallet, card, PIN).map_err(say)?;
    wallet.resume(card).map_err(say)?;
    // Newer keys are in the TEE alone, until they are put there too.
    lab.issue(wallet, card)?;
    lab::switch_on(wallet, card)?;
    refused(wallet.allow_element_tap(card, false, &mut Carrier(element)), Error::NotInElement)?;
    put(&lab, wallet, card, element)?;
    wallet.allow_element_tap(card, false, &mut Carrier(element)).map_err(say)?;
    let request = pay_at(element, 100, false).map_err(say)?;
    approved(&lab.issuer.authorise(&request), false)?;

    // Counters go on where the element was.
    route(&lab, wallet, card, Endpoint::Tee)?;
    let (back, decision) = lab::pay(&mut lab, wallet, card, (100, false, false))?;
    approved(&decision, false)?;
    ensure(back.atc > request.atc, || format!("{:?} after {:?}", back.atc, request.atc))
}

pub fn the_element_gets_limited_use_keys_one_by_one<T: Transport>(
    wallet: &dyn Fn() -> Wallet<T>,
) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card, mut element) = moved(wallet)?;
    let element = &mut element;
    lab.rules.limited_use = Some(2);
    lab.issue(wallet, card)?;
    put(&lab, wallet, card, element)?;
    lab::switch_on(wallet, card)?;
    let nonce = wallet.time_nonce().map_err(say)?;
    wallet.set_time(lab.provider.time(nonce, NOW)).map_err(say)?;
    refused(wallet.allow_element_tap(card, false, &mut Carrier(element)), Error::KeysUsedUp)?;
    let batch = lab.key_batch(wallet, card, 2, NOW + 3600)?;
    wallet.replenish(&batch).map_err(say)?;
    for _ in 0..2 {
        wallet.allow_element_tap(card, false, &mut Carrier(element)).map_err(say)?;
        let request = pay_at(element, 100, false).map_err(say)?;
        approved(&lab.issuer.authorise(&request), false)?;
        gives_nothing(element)?;
    }
    refused(wallet.allow_element_tap(card, false, &mut Carrier(element)), Error::KeysUsedUp)?;
    route(&lab, wallet, card, Endpoint::Tee)
}

/// A moment of the lab's clock.
const NOW: u64 = 1_795_608_000;

/// What a relay makes of a frame, or of an answer.
type Change = fn(Vec<u8>) -> Vec<u8>;

/// A client that alters one frame or answer.
struct Relay<'a> {
    element: &'a mut SoftElement,
    seen: usize,
    at: usize,
    frame: Option<Change>,
    answer: Option<Change>,
}

impl Element for Relay<'_> {
    fn transmit(&mut self, frame: &[u8]) -> io::Result<Vec<u8>> {
        self.seen += 1;
        let here = self.seen == self.at;
        let frame = match self.frame {
            Some(change) if here => change(frame.to_vec()),
            _ => frame.to_vec(),
        };
        let answer = self.element.transmit(&frame);
        Ok(match self.answer {
            Some(change) if here => change(answer),
            _ => answer,
        })
    }
}

pub fn a_relay_to_the_element_gains_nothing<T: Transport>(make: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut make();
    let (lab, card, mut element) = moved(wallet)?;
    let element = &mut element;
    // One bit of each frame and of each answer; an answer forged, lost, or of no length at all.
    let flip: Change = |mut bytes| {
        let at = bytes.len().saturating_sub(4);
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1;
        }
        bytes
    };
    let error: Change = |_| vec![0x6A, 0x88];
    let nothing: Change = |_| Vec::new();
    for at in 1..=4 {
        let changes = [(Some(flip), None), (None, Some(error)), (None, Some(nothing))];
        for (number, (frame, answer)) in changes.into_iter().enumerate() {
            let mut relay = Relay { element, seen: 0, at, frame, answer };
            let result = wallet.allow_element_tap(card, false, &mut relay);
            let seen = relay.seen;
            let code = result.err().and_then(|error| error.refusal());
            let named = matches!(
                code,
                Some(Error::ElementRefused | Error::ElementNotAuthentic | Error::ChannelBroken)
            );
            ensure(named, || format!("change {number} at {at}: {code:?}"))?;
            ensure(seen == at, || format!("change {number} at {at}: {seen} frames"))?;
            // Only where the last answer was lost did the leave arrive: it is as good as any, once.
            if at == 4 && answer.is_some() {
                pay_at(element, 100, false).map_err(say)?;
            }
            gives_nothing(element)?;
        }
    }
    // Frames that were recorded are of a channel that is over.
    let mut recorded = Vec::new();
    let mut recorder = Recorder { element, frames: &mut recorded };
    wallet.allow_element_tap(card, false, &mut recorder).map_err(say)?;
    pay_at(element, 100, false).map_err(say)?;
    for frame in &recorded {
        element.transmit(frame);
    }
    gives_nothing(element)?;
    // Of a card that goes over, whoever carries it sees nothing.
    lab.verify(wallet, card, PIN).map_err(say)?;
    let mut recorder = Recorder { element, frames: &mut recorded };
    wallet.put_in_element(card, &mut recorder).map_err(say)?;
    let token = hex::decode(&lab.issuer.cards().first().ok_or("no card")?.token).map_err(say)?;
    let seen = recorded.iter().any(|frame| frame.windows(token.len()).any(|window| window == token));
    ensure(!seen, || "the relay sees the token".into())?;

    // An exchange is its session's, one at a time, and over with what it was allowed by.
    let answer = ElementAnswerRequest { frame: [0x90, 0x00].into_iter().collect() };
    refused(wallet.call(&answer), Error::NoExchange)?;
    let begin = ElementBeginRequest { card, purpose: ElementPurpose::Tap };
    wallet.call(&begin).map_err(say)?;
    let other = &mut make();
    refused(other.call(&answer), Error::NoExchange)?;
    wallet.nfc_off().map_err(say)?;
    refused(wallet.call(&answer), Error::NoExchange)?;
    lab::switch_on(wallet, card)?;
    let first = wallet.call(&begin).map_err(say)?.frame;
    wallet.suspend(card).map_err(say)?;
    let answered = element.transmit(&first).into_iter().collect();
    refused(wallet.call(&ElementAnswerRequest { frame: answered }), Error::NoExchange)?;
    lab.verify(wallet, card, PIN).map_err(say)?;
    wallet.resume(card).map_err(say)?;
    route(&lab, wallet, card, Endpoint::Tee)?;

    // Another bank's word is not this one's, and nobody's but a bank's counts.
    let other_bank = Provider::lab("B").map_err(say)?;
    let challenge = wallet.card_challenge().map_err(say)?;
    let keys = || {
        let ElementKeys { version, enc, mac } = ElementKeys::lab();
        tvm::ElementKeys { version, enc, mac }
    };
    let sealed = |bank: &Provider, nonce: &[u8; 32]| {
        bank.element_keys(nonce, &challenge.recipient, &keys()).map_err(say)
    };
    let mut forged = sealed(&lab.provider, &challenge.challenge)?;
    forged.certificate = other_bank.certificate().clone();
    refused(wallet.install_element_keys(&forged), Error::SignatureInvalid)?;
    let mut uncertified = sealed(&lab.provider, &challenge.challenge)?;
    uncertified.certificate.signature[0] ^= 1;
    refused(wallet.install_element_keys(&uncertified), Error::CertificateInvalid)?;
    let stale = sealed(&lab.provider, &[7; 32])?;
    refused(wallet.install_element_keys(&stale), Error::WrongChallenge)?;
    let good = sealed(&lab.provider, &challenge.challenge)?;
    wallet.install_element_keys(&good).map_err(say)?;
    refused(wallet.install_element_keys(&good), Error::NoChallenge)
}

/// A client that keeps what it carries.
struct Recorder<'a> {
    element: &'a mut SoftElement,
    frames: &'a mut Vec<Vec<u8>>,
}

impl Element for Recorder<'_> {
    fn transmit(&mut self, frame: &[u8]) -> io::Result<Vec<u8>> {
        self.frames.push(frame.to_vec());
        Ok(self.element.transmit(frame))
    }
}

pub fn the_element_authenticates_offline_too<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card, mut element) = moved(wallet)?;
    for kind in [OdaKind::Rsa1024, OdaKind::Rsa1536, OdaKind::Sm2] {
        lab.kind.oda = kind;
        lab.issue(wallet, card)?;
        put(&lab, wallet, card, &mut element)?;
        lab::switch_on(wallet, card)?;
        wallet.allow_element_tap(card, false, &mut Carrier(&mut element)).map_err(say)?;
        let read = Read::of(&mut element.contactless(), WANTS_ODA, [9; 4])?;
        let authentic = if kind == OdaKind::Sm2 { with_sm2(&read)? } else { with_rsa(&read)? };
        ensure(authentic == Some(()), || format!("{kind:?}: not authentic"))?;
    }
    route(&lab, wallet, card, Endpoint::Tee)
}

pub fn the_holder_chooses_the_first_card<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, debit) = prepared(wallet)?;
    let second = lab.provision(wallet)?;
    let first = |wallet: &mut Wallet<T>, lab: &Lab| -> Outcome<(CardId, Vec<u8>)> {
        let mut tap = wallet.prepare_taps(&[debit, second], None).map_err(say)?;
        let select = |name| Command { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: name }.to_bytes();
        let directory = tap.transmit(&select(PPSE)).data().to_vec();
        // The RID alone: the first occurrence.
        tap.transmit(&select(&AID_UNIONPAY_DEBIT[..5]));
        let taken = lab::request(100, false, &tap.transmit(&lab::gpo_command(100, false)))?;
        drop(tap);
        if wallet.routes().map_err(say)?.card.is_some() {
            // Whoever chooses by the directory's priorities comes to the same card.
            let mut tap = wallet.prepare_taps(&[debit, second], None).map_err(say)?;
            let chosen = pay(&mut Field(&mut tap), &lab::payment(100, false));
            let chosen = chosen.map_err(|error| say(error.refusal))?.request;
            ensure(chosen.track2 == taken.track2, || "the directory says otherwise".into())?;
        }
        let card = lab.issuer.cards().iter().find(|card| {
            let token = hex::encode(&taken.track2);
            token.starts_with(&card.token)
        });
        Ok((CardId(card.ok_or("nobody's card")?.card), directory))
    };
    let (before, directory) = first(wallet, &lab)?;
    for card in [second, debit] {
        refused(wallet.choose_card(card, true), Error::NoVerification)?;
        // A verification for one card is none for another.
        lab.verify(wallet, before, PIN).map_err(say)?;
        if card != before {
            refused(wallet.choose_card(card, true), Error::NoVerification)?;
        }
        lab.verify(wallet, card, PIN).map_err(say)?;
        let routes = wallet.choose_card(card, true).map_err(say)?;
        ensure(routes.card == Some(card), || format!("{routes:?}"))?;
        let (chosen, _) = first(wallet, &lab)?;
        ensure(chosen == card, || format!("{chosen} and not {card}"))?;
    }
    lab.verify(wallet, second, PIN).map_err(say)?;
    wallet.choose_card(second, false).map_err(say)?;
    let (after, same) = first(wallet, &lab)?;
    ensure((after, same) == (before, directory), || "the banks' order did not come back".into())?;
    // A card that is gone is none.
    lab.verify(wallet, second, PIN).map_err(say)?;
    wallet.choose_card(second, true).map_err(say)?;
    wallet.remove_card(second).map_err(say)?;
    ensure(wallet.routes().map_err(say)?.card.is_none(), || "a card that is gone is the first".into())?;
    lab.verify(wallet, debit, PIN).map_err(say)?;
    wallet.choose_card(debit, false).map(|_| ()).map_err(say)
}
