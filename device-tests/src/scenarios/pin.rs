//! The rules of new PINs, what tries cost and who gives them back, and the bank PIN.

use super::{prepared, refused, tries, verify_one};
use crate::{
    Outcome, ensure,
    lab::{self, Digits, Lab, PIN, say},
    pad::{self, LabPad},
};
use tapvault::{ClientError, Transport, Wallet};
use tapvault_network::{
    bank::Provider,
    hsm::{Hsm, Refusal},
    lab::LabBank,
};
use tapvault_proto::{
    Error,
    bank_pin::{BankPinPrepareRequest, BeginBankPinRequest, FinishBankPinRequest, PinBlockFormat},
    id::CardId,
    pad::Entered,
    pin::{BeginChangeRequest, BeginSetRequest, FinishRequest, PinState, RETRY_DELAYS_MS, TicketPurpose},
    profile::Key128,
    tries::UnlockPinRequest,
};

/// The PIN that the holder has at the bank.
const BANK_PIN: &str = "280461";

pub(super) fn a_simple_pin_is_refused<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (lab, card) = prepared(wallet)?;
    let provider = lab.provider_id();
    // No pad sends one; the trusted app does not rely on it. The entry is over, and its ticket used up.
    for simple in ["0000", "112211", "1234", "3210", "7890", "123123", "258258258258"] {
        let challenge = wallet.pin_challenge().map_err(say)?;
        let ticket = lab.provider.ticket(TicketPurpose::Reset, challenge);
        let mut opened = pad::begin(wallet, &BeginSetRequest { ticket }).map_err(say)?;
        refused(wallet.call(&opened.pin(simple)?), Error::PinTooSimple)?;
        refused(wallet.call(&FinishRequest { entry: opened.entry }), Error::NoEntry)?;
    }
    lab.verify(wallet, card, PIN).map_err(say)?;
    // A change: nothing is compared before the new PIN is acceptable, so the refusal is no hint to the present one. The
    // try is spent like any that ends without the right digits.
    for (present, new) in [(PIN, "1111"), (PIN, PIN), ("000000", "4321")] {
        let mut opened = pad::begin(wallet, &BeginChangeRequest { provider }).map_err(say)?;
        let typed = opened.submit(&Entered::Change(pad::pin(present)?, pad::pin(new)?))?;
        refused(wallet.call(&typed), Error::PinTooSimple)?;
        ensure(tries(wallet, &lab)? == (PinState::Set, 2), || "not the one try".into())?;
        lab.verify(wallet, card, PIN).map_err(say)?;
    }
    let mut opened = pad::begin(wallet, &BeginChangeRequest { provider }).map_err(say)?;
    let typed = opened.submit(&Entered::Change(pad::pin(PIN)?, pad::pin("864209")?))?;
    wallet.call(&typed).map_err(say)?;
    wallet.call(&FinishRequest { entry: opened.entry }).map_err(say)?;
    lab.verify(wallet, card, "864209").map_err(say)
}

pub(super) fn a_spent_try_makes_the_next_one_wait<T: Transport>(
    wallet: &dyn Fn() -> Wallet<T>,
) -> Outcome<()> {
    let make = wallet;
    let wallet = &mut make();
    let (lab, card) = prepared(wallet)?;
    let provider = lab.provider_id();
    ensure(wallet.pin_delay(provider).map_err(say)? == 0, || "no try is spent".into())?;
    let begin = verify_one(&lab, card);
    for (left, delay) in [(2, RETRY_DELAYS_MS[1]), (1, RETRY_DELAYS_MS[2])] {
        let wrong = lab.verify(wallet, card, "000000");
        let fits = matches!(wrong, Err(ClientError::WrongPin { tries_left }) if tries_left == left);
        ensure(fits, || format!("{wrong:?}"))?;
        // Every kind of entry that compares waits, in every session; nothing is spent by asking.
        refused(pad::begin(wallet, &begin), Error::PinDelayed)?;
        refused(pad::begin(wallet, &BeginChangeRequest { provider }), Error::PinDelayed)?;
        refused(pad::begin(&mut make(), &begin), Error::PinDelayed)?;
        ensure(tries(wallet, &lab)? == (PinState::Set, left), || "waiting costs a try".into())?;
        let wait = wallet.pin_delay(provider).map_err(say)?;
        ensure(wait > 0 && wait <= delay, || format!("{wait} of {delay}"))?;
    }
    // The right PIN ends it.
    lab.verify(wallet, card, PIN).map_err(say)?;
    ensure(wallet.pin_delay(provider).map_err(say)? == 0, || "it goes on".into())?;
    pad::begin(wallet, &begin).map_err(say)?;
    ensure(wallet.pin_delay(provider).map_err(say)? > 0, || "an open entry has spent a try".into())
}

fn lock<T: Transport>(lab: &Lab, wallet: &mut Wallet<T>, card: CardId) -> Outcome<()> {
    for _ in 0..3 {
        let wrong = lab.verify(wallet, card, "000000");
        ensure(matches!(wrong, Err(ClientError::WrongPin { .. })), || format!("{wrong:?}"))?;
    }
    ensure(tries(wallet, lab)? == (PinState::Locked, 0), || "not locked".into())
}

pub(super) fn only_the_banks_command_unlocks<T: Transport>(make: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut make();
    let (lab, card) = prepared(wallet)?;
    // What a run before this one left: the numbers go on with the record.
    let mut number = last_number(&lab, wallet)?;
    lock(&lab, wallet, card)?;
    refused(lab.verify(wallet, card, PIN), Error::PinLocked)?;
    let command = |challenge, number| lab.provider.unlock(challenge, number);

    let challenge = wallet.pin_challenge().map_err(say)?;
    number += 1;
    let mut forged = command(challenge, number);
    forged.signature[3] ^= 1;
    refused(wallet.unlock_pin(&forged), Error::SignatureInvalid)?;
    let raised = UnlockPinRequest { sequence: number + 1, ..command(challenge, number) };
    refused(wallet.unlock_pin(&raised), Error::SignatureInvalid)?;
    let mut unchained = command(challenge, number);
    unchained.certificate.provider.0[0] ^= 1;
    refused(wallet.unlock_pin(&unchained), Error::CertificateInvalid)?;
    refused(wallet.unlock_pin(&command([7; 32], number)), Error::WrongChallenge)?;
    refused(wallet.unlock_pin(&command(challenge, 0)), Error::CommandOutOfOrder)?;
    // Another bank unlocks its own PIN, which is not there.
    let other = Provider::lab("E").map_err(say)?;
    refused(wallet.unlock_pin(&other.unlock(challenge, number)), Error::PinLocked)?;
    ensure(tries(wallet, &lab)? == (PinState::Locked, 0), || "unlocked".into())?;

    // None of this used the challenge up; the command does, and is good once.
    let good = command(challenge, number);
    ensure(wallet.unlock_pin(&good).map_err(say)? == 3, || "not all tries".into())?;
    refused(wallet.unlock_pin(&good), Error::NoChallenge)?;
    wallet.pin_challenge().map_err(say)?;
    refused(wallet.unlock_pin(&good), Error::WrongChallenge)?;
    // The same number again changes nothing, a lower one is refused.
    let wrong = lab.verify(wallet, card, "000000");
    ensure(matches!(wrong, Err(ClientError::WrongPin { tries_left: 2 })), || format!("{wrong:?}"))?;
    let challenge = wallet.pin_challenge().map_err(say)?;
    ensure(wallet.unlock_pin(&command(challenge, number)).map_err(say)? == 2, || "obeyed twice".into())?;
    let challenge = wallet.pin_challenge().map_err(say)?;
    refused(wallet.unlock_pin(&command(challenge, number - 1)), Error::CommandOutOfOrder)?;
    // Another session's entry is not given more tries than it found.
    let second = &mut make();
    let begin = verify_one(&lab, card);
    lab::wait_for_try(wallet, lab.provider_id()).map_err(say)?;
    pad::begin(wallet, &begin).map_err(say)?;
    refused(second.unlock_pin(&command(challenge, number + 1)), Error::Busy)?;
    ensure(wallet.unlock_pin(&command(challenge, number + 1)).map_err(say)? == 3, || "not all".into())?;
    lab.verify(wallet, card, PIN).map_err(say)?;
    // A new PIN does not begin the numbers again.
    lab_reset(&lab, wallet)?;
    let challenge = wallet.pin_challenge().map_err(say)?;
    refused(wallet.unlock_pin(&command(challenge, number)), Error::CommandOutOfOrder)
}

/// Number of the last command: the lowest one that is not refused changes nothing.
fn last_number<T: Transport>(lab: &Lab, wallet: &mut Wallet<T>) -> Outcome<u32> {
    let challenge = wallet.pin_challenge().map_err(say)?;
    for number in 1..1000 {
        match wallet.unlock_pin(&lab.provider.unlock(challenge, number)) {
            Ok(_) => return Ok(number),
            Err(error) if error.refusal() == Some(Error::CommandOutOfOrder) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Err("no number is the next".into())
}

fn lab_reset<T: Transport>(lab: &Lab, wallet: &mut Wallet<T>) -> Outcome<()> {
    let challenge = wallet.pin_challenge().map_err(say)?;
    let ticket = lab.provider.ticket(TicketPurpose::Reset, challenge);
    wallet.set_pin(ticket, &mut Digits::of(&[PIN])).map_err(say)
}

/// Gives the phone a key of the bank's security module.
///
/// # Errors
/// Anybody's.
pub fn give_pin_key<T: Transport>(
    lab: &Lab,
    hsm: &mut Hsm,
    wallet: &mut Wallet<T>,
    format: PinBlockFormat,
) -> Outcome<()> {
    lab::certify(wallet)?;
    let challenge = wallet.pin_key_challenge().map_err(say)?;
    let key = hsm.phone_key(format).map_err(say)?;
    let delivery = lab.provider.seal_pin_key(&challenge, &key).map_err(say)?;
    wallet.install_pin_key(&delivery).map_err(say)
}

/// The bank's module, which knows the card's token.
///
/// # Errors
/// None, of a card that was issued.
pub fn module(lab: &Lab, card: CardId) -> Outcome<(Hsm, String)> {
    let token = lab.issuer.cards().iter().find(|record| record.card == card.0);
    let token = token.ok_or("the bank did not issue this card")?.token.clone();
    let mut hsm = Hsm::lab(LabBank::A);
    hsm.enter(&token, "6299990000000017", Some(BANK_PIN));
    Ok((hsm, token))
}

pub(super) fn a_bank_pin_leaves_as_a_block_that_its_bank_checks_once<T: Transport>(
    wallet: &dyn Fn() -> Wallet<T>,
) -> Outcome<()> {
    let wallet = &mut wallet();
    let (lab, card) = prepared(wallet)?;
    let provider = lab.provider_id();
    let (mut hsm, token) = module(&lab, card)?;
    let zone = Key128::new([0x3C; 16]);
    for format in PinBlockFormat::ALL {
        give_pin_key(&lab, &mut hsm, wallet, format)?;
        let block = wallet.bank_pin(provider, card, &mut Digits::of(&[BANK_PIN])).map_err(say)?;
        ensure((block.format, block.counter) == (format, 1), || format!("{block:?}"))?;
        hsm.check(&block, &token).map_err(say)?;
        ensure(hsm.check(&block, &token) == Err(Refusal::Replayed), || "checked twice".into())?;
        let wrong = wallet.bank_pin(provider, card, &mut Digits::of(&["280462"])).map_err(say)?;
        ensure(hsm.check(&wrong, &token) == Err(Refusal::WrongPin), || "a wrong PIN".into())?;
        let block = wallet.bank_pin(provider, card, &mut Digits::of(&[BANK_PIN])).map_err(say)?;
        ensure(block.counter == 3, || format!("{block:?}"))?;
        let translated = hsm.translate(&block, &token, (PinBlockFormat::Iso4, &zone)).map_err(say)?;
        let read =
            tapvault_network::hsm::block::read(PinBlockFormat::Iso4, &zone, "6299990000000017", &translated);
        ensure(read.as_deref() == Some(&vec![2, 8, 0, 4, 6, 1]), || "translated to something else".into())?;
    }
    // The wallet PIN has nothing to do with it.
    ensure(tries(wallet, &lab)? == (PinState::Set, 3), || "a try of the wallet PIN".into())
}

pub(super) fn a_bank_pin_is_for_the_card_that_was_prepared<T: Transport>(
    make: &dyn Fn() -> Wallet<T>,
) -> Outcome<()> {
    let wallet = &mut make();
    let (mut lab, card) = prepared(wallet)?;
    let provider = lab.provider_id();
    let (mut hsm, _) = module(&lab, card)?;
    give_pin_key(&lab, &mut hsm, wallet, PinBlockFormat::Iso4)?;
    let begin = BeginBankPinRequest { provider, card };
    wallet.open_pad(&mut LabPad::default()).map_err(say)?;
    refused(wallet.call(&begin), Error::BankPinNotPrepared)?;
    // Prepared is one card of one provider; a begin that fails does not use it up, one that succeeds does.
    wallet.call(&BankPinPrepareRequest { card }).map_err(say)?;
    for other in [
        BeginBankPinRequest { card: CardId([0xEE; 16]), ..begin.clone() },
        BeginBankPinRequest { provider: LabBank::B.id(), ..begin.clone() },
    ] {
        refused(wallet.call(&other), Error::BankPinNotPrepared)?;
    }
    let mut opened = pad::begin_bank_pin(wallet, &begin).map_err(say)?;
    let entry = opened.entry;
    refused(pad::begin_bank_pin(wallet, &begin), Error::BankPinNotPrepared)?;
    // It is an entry like others: its session's, and for what it was begun.
    let second = &mut make();
    let typed = opened.pin(BANK_PIN)?;
    refused(second.call(&typed), Error::NoEntry)?;
    refused(wallet.call(&FinishBankPinRequest { entry }), Error::NoEntry)?;
    wallet.call(&typed).map_err(say)?;
    refused(wallet.call(&typed), Error::NoEntry)?;
    refused(wallet.call(&FinishRequest { entry }), Error::NoEntry)?;
    refused(second.call(&FinishBankPinRequest { entry }), Error::NoEntry)?;
    wallet.call(&FinishBankPinRequest { entry }).map_err(say)?;
    refused(wallet.call(&FinishBankPinRequest { entry }), Error::NoEntry)?;
    // A card whose bank takes no PIN.
    lab.holder.online_pin = false;
    lab.issue(wallet, card)?;
    refused(wallet.call(&BankPinPrepareRequest { card }), Error::BankPinNotAllowed)?;
    refused(wallet.call(&BankPinPrepareRequest { card: CardId([0xEE; 16]) }), Error::UnknownCard)?;
    wallet.suspend(card).map_err(say)?;
    refused(wallet.call(&BankPinPrepareRequest { card }), Error::TokenNotActive)
}

pub(super) fn a_banks_pin_key_comes_sealed_once<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (lab, card) = prepared(wallet)?;
    let (mut hsm, token) = module(&lab, card)?;
    let challenge = wallet.pin_key_challenge().map_err(say)?;
    let key = hsm.phone_key(PinBlockFormat::Iso4).map_err(say)?;
    let good = lab.provider.seal_pin_key(&challenge, &key).map_err(say)?;
    // The bank seals nothing for a key that the device did not vouch for.
    let mut elsewhere = challenge;
    elsewhere.recipient = lab.provider.certificate().key;
    ensure(lab.provider.seal_pin_key(&elsewhere, &key).is_err(), || "sealed for somebody else".into())?;
    let mut altered = good.clone();
    altered.sealed[0] ^= 1;
    refused(wallet.install_pin_key(&altered), Error::SignatureInvalid)?;
    let mut unchained = good.clone();
    unchained.certificate.provider.0[0] ^= 1;
    refused(wallet.install_pin_key(&unchained), Error::CertificateInvalid)?;
    wallet.install_pin_key(&good).map_err(say)?;
    refused(wallet.install_pin_key(&good), Error::NoChallenge)?;
    let challenge = wallet.pin_key_challenge().map_err(say)?;
    refused(wallet.install_pin_key(&good), Error::WrongChallenge)?;
    // The counters of a key that is here do not begin again.
    let again = lab.provider.seal_pin_key(&challenge, &key).map_err(say)?;
    refused(wallet.install_pin_key(&again), Error::BankPinKeyNotNewer)?;
    let mut of_another_bank = Provider::lab("B").map_err(say)?.seal_pin_key(&challenge, &key).map_err(say)?;
    of_another_bank.certificate = good.certificate.clone();
    refused(wallet.install_pin_key(&of_another_bank), Error::SignatureInvalid)?;
    let block = wallet.bank_pin(lab.provider_id(), card, &mut Digits::of(&[BANK_PIN])).map_err(say)?;
    hsm.check(&block, &token).map_err(say)?;
    ensure(block.block.len() == block.format.block_len(), || format!("{block:?}"))
}
