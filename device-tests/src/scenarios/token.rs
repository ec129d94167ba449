//! A token's life and domain, the provider's time, the NFC switch.

use super::{approved, prepared, refused};
use crate::{
    Outcome, ensure,
    lab::{self, Field, Lab, PIN, payment, prepare, say},
};
use tapvault::{Transport, Wallet};
use tapvault_network::{
    bank::Provider,
    oda::OdaKind,
    offline::OfflineRecord,
    registry::{CNY, draw_card_id},
    terminal::{Payment, Reach, pay},
};
use tapvault_proto::{
    Error,
    card::{CardState, NFC_TAPS, StaticAnswersRequest, TapGpoRequest},
    emv::{AID_UNIONPAY_DEBIT, apdu::StatusWord},
    id::CardId,
    offline::Offline,
    token::{Channel, TokenAction, TokenCommand},
};

const REFUSED: [u8; 2] = (StatusWord::ConditionsNotSatisfied as u16).to_be_bytes();

/// The one command that enters the TEE, by a client that prepares nothing.
fn raw_gpo<T: Transport>(wallet: &mut Wallet<T>, card: CardId, amount: u32) -> Outcome<Vec<u8>> {
    let aid = AID_UNIONPAY_DEBIT.into_iter().collect();
    let command = lab::gpo_command(amount, false).into_iter().collect();
    Ok(wallet.call(&TapGpoRequest { card, aid, command }).map_err(say)?.response.to_vec())
}

fn state_of<T: Transport>(wallet: &mut Wallet<T>, card: CardId) -> Outcome<CardState> {
    let cards = wallet.cards().map_err(say)?;
    let found = cards.iter().find(|entry| entry.card == card);
    found.map(|entry| entry.state).ok_or_else(|| "no such card".into())
}

pub fn nfc_is_off_until_the_pin_switches_it_on<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = prepared(wallet)?;
    wallet.prepare_tap(card, false).map(|_| ()).map_err(say)?;
    ensure(wallet.nfc_off().map_err(say)?.taps == 0, || "still on".into())?;
    refused(wallet.call(&StaticAnswersRequest { card }), Error::NfcOff)?;
    refused(wallet.prepare_tap(card, false).map(|_| ()), Error::NfcOff)?;
    let answer = raw_gpo(wallet, card, 100)?;
    ensure(answer == REFUSED, || format!("{answer:02X?}"))?;
    refused(wallet.nfc_on(card), Error::NoVerification)?;
    lab.verify(wallet, card, PIN).map_err(say)?;
    let on = wallet.nfc_on(card).map_err(say)?;
    ensure(on.taps == NFC_TAPS && on.left_ms > 0, || format!("{on:?}"))?;
    refused(wallet.nfc_on(card), Error::NoVerification)?;
    // A refusal is not counted, a cryptogram is.
    for (amount, left) in [(100, NFC_TAPS - 1), (0xA_BCDE, NFC_TAPS - 2)] {
        let mut tap = wallet.prepare_tap(card, false).map_err(say)?;
        tap.transmit(b"\x00\xA4\x04\x00\x08\xA0\x00\x00\x03\x33\x01\x01\x01\x00");
        tap.transmit(b"\x80\xA8\x00\x00\x02\x83\x00\x00");
        tap.transmit(&lab::gpo_command(amount, false));
        drop(tap);
        let nfc = wallet.nfc().map_err(say)?;
        ensure(nfc.taps == left, || format!("{nfc:?}, not {left}"))?;
    }
    // Switching off forgets what was verified for a tap; the PIN for a tap switches on.
    lab.verify(wallet, card, PIN).map_err(say)?;
    wallet.prepare_tap(card, true).map(|_| ()).map_err(say)?;
    wallet.nfc_off().map_err(say)?;
    refused(wallet.prepare_tap(card, true).map(|_| ()), Error::NoVerification)?;
    lab.verify(wallet, card, PIN).map_err(say)?;
    let (_, decision) = lab::pay(&mut lab, wallet, card, (100, true, true))?;
    approved(&decision, true)
}

pub fn a_token_obeys_its_bank_in_order<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = prepared(wallet)?;
    lab.rules.active = false;
    lab.issue(wallet, card)?;
    let command = |lab: &Lab, sequence, action| lab.provider.command(card, 2, sequence, action);
    ensure(state_of(wallet, card)? == CardState::Inactive, || "not inactive".into())?;
    refused(wallet.prepare_tap(card, false).map(|_| ()), Error::TokenNotActive)?;

    let good = lab.issuer.command(card, TokenAction::Activate).map_err(say)?;
    let other = Provider::lab("B").map_err(say)?;
    let altered = |change: fn(&mut TokenCommand)| {
        let mut command = good.clone();
        change(&mut command);
        command
    };
    for (bad, error) in [
        (other.command(card, 2, 1, TokenAction::Activate), Error::WrongProvider),
        (altered(|command| command.certificate.signature[0] ^= 1), Error::CertificateInvalid),
        (altered(|command| command.action = TokenAction::Delete), Error::SignatureInvalid),
        (altered(|command| command.sequence = 2), Error::SignatureInvalid),
        (altered(|command| command.card.0[0] ^= 1), Error::UnknownCard),
        (lab.provider.command(card, 1, 1, TokenAction::Activate), Error::CommandOutOfOrder),
        (command(&lab, 0, TokenAction::Activate), Error::CommandOutOfOrder),
        (command(&lab, 2, TokenAction::Activate), Error::CommandOutOfOrder),
        (command(&lab, 1, TokenAction::Resume), Error::TokenState),
        (command(&lab, 1, TokenAction::Suspend), Error::TokenState),
    ] {
        refused(wallet.token_command(bad), error)?;
        ensure(state_of(wallet, card)? == CardState::Inactive, || format!("changed by {error:?}"))?;
    }
    for _ in 0..2 {
        let state = wallet.token_command(good.clone()).map_err(say)?;
        ensure(state == Some(CardState::Active), || format!("{state:?}"))?;
    }
    approved(&lab::pay(&mut lab, wallet, card, (100, false, false))?.1, false)?;

    wallet.token_command(lab.issuer.command(card, TokenAction::Suspend).map_err(say)?).map_err(say)?;
    refused(wallet.prepare_tap(card, false).map(|_| ()), Error::TokenNotActive)?;
    let answer = raw_gpo(wallet, card, 100)?;
    ensure(answer == REFUSED, || format!("{answer:02X?}"))?;
    refused(wallet.resume(card), Error::TokenState)?;
    refused(wallet.token_command(good), Error::CommandOutOfOrder)?;
    // The holder suspends as well, and can undo that alone.
    wallet.suspend(card).map_err(say)?;
    refused(wallet.resume(card), Error::NoVerification)?;
    lab.verify(wallet, card, PIN).map_err(say)?;
    let state = wallet.resume(card).map_err(say)?;
    ensure(state == CardState::Suspended, || format!("{state:?}"))?;
    wallet.token_command(lab.issuer.command(card, TokenAction::Resume).map_err(say)?).map_err(say)?;
    wallet.suspend(card).map_err(say)?;
    ensure(state_of(wallet, card)? == CardState::SuspendedByHolder, || "not suspended".into())?;
    refused(wallet.prepare_tap(card, false).map(|_| ()), Error::TokenNotActive)?;
    // New keys begin a new count, and the holder's will stays.
    lab.rules.active = true;
    lab.issue(wallet, card)?;
    ensure(state_of(wallet, card)? == CardState::SuspendedByHolder, || "resumed by new keys".into())?;
    refused(wallet.token_command(command(&lab, 4, TokenAction::Delete)), Error::CommandOutOfOrder)?;
    lab.verify(wallet, card, PIN).map_err(say)?;
    wallet.resume(card).map_err(say)?;
    approved(&lab::pay(&mut lab, wallet, card, (100, false, false))?.1, false)?;

    let delete = lab.provider.command(card, 3, 1, TokenAction::Delete);
    ensure(wallet.token_command(delete.clone()).map_err(say)?.is_none(), || "not gone".into())?;
    refused(wallet.token_command(delete), Error::UnknownCard)?;
    refused(wallet.show(card), Error::UnknownCard)
}

pub fn a_token_keeps_to_its_domain<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = prepared(wallet)?;
    lab.rules.domain.amount = 500;
    lab.rules.domain.payments = 2;
    lab.issue(wallet, card)?;
    for (amount, currency, pays) in [(500, CNY, true), (501, CNY, false), (500, 0x0840, false)] {
        lab::prepare(wallet, card, false).map(|_| ())?;
        let mut data = lab::gpo_command(amount, false);
        // 5F2A, behind header, length, template and 23 bytes of the terminal's data.
        data[30..32].copy_from_slice(&u16::to_be_bytes(currency));
        let aid = AID_UNIONPAY_DEBIT.into_iter().collect();
        let command = data.into_iter().collect();
        let answer = wallet.call(&TapGpoRequest { card, aid, command }).map_err(say)?.response;
        ensure((answer != REFUSED) == pays, || format!("{amount} {currency:04X}: {answer:02X?}"))?;
    }
    raw_gpo(wallet, card, 1)?;
    let answer = raw_gpo(wallet, card, 1)?;
    ensure(answer == REFUSED, || format!("a third payment: {answer:02X?}"))?;
    refused(wallet.prepare_tap(card, false).map(|_| ()), Error::TokenDomain)?;

    lab.rules = Default::default();
    lab.rules.channels = vec![Channel::Qr];
    lab.issue(wallet, card)?;
    refused(wallet.prepare_tap(card, false).map(|_| ()), Error::TokenDomain)?;
    let answer = raw_gpo(wallet, card, 1)?;
    ensure(answer == REFUSED, || format!("a tap: {answer:02X?}"))
}

pub fn a_time_limit_is_by_the_banks_clock<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    const NOON: u64 = 1_795_694_400;
    let wallet = &mut wallet();
    let (mut lab, card) = prepared(wallet)?;
    // Whatever was said before of bank A's time counts until the trusted app starts again: a bank says it anew.
    lab.rules.domain.valid_until = NOON;
    lab.issue(wallet, card)?;
    let says = |wallet: &mut Wallet<T>, time| -> Outcome<()> {
        let nonce = wallet.time_nonce().map_err(say)?;
        wallet.set_time(lab.provider.time(nonce, time)).map_err(say)
    };
    says(wallet, NOON - 3600)?;
    wallet.prepare_tap(card, false).map(|_| ()).map_err(say)?;
    says(wallet, NOON + 1)?;
    refused(wallet.prepare_tap(card, false).map(|_| ()), Error::TokenDomain)?;
    let answer = raw_gpo(wallet, card, 1)?;
    ensure(answer == REFUSED, || format!("late: {answer:02X?}"))?;

    // What is not the bank's word for this nonce changes nothing.
    let nonce = wallet.time_nonce().map_err(say)?;
    let good = lab.provider.time(nonce, NOON - 3600);
    let mut altered = good.clone();
    altered.time -= 1;
    refused(wallet.set_time(altered), Error::SignatureInvalid)?;
    let mut uncertified = good.clone();
    uncertified.certificate.signature[0] ^= 1;
    refused(wallet.set_time(uncertified), Error::CertificateInvalid)?;
    refused(wallet.set_time(lab.provider.time([0x55; 32], NOON - 3600)), Error::WrongChallenge)?;
    refused(wallet.prepare_tap(card, false).map(|_| ()), Error::TokenDomain)?;
    wallet.set_time(good.clone()).map_err(say)?;
    refused(wallet.set_time(good), Error::NoChallenge)?;
    wallet.prepare_tap(card, false).map(|_| ()).map_err(say)?;
    // Another bank's word is for its own cards.
    let nonce = wallet.time_nonce().map_err(say)?;
    wallet.set_time(Provider::lab("B").map_err(say)?.time(nonce, NOON + 1)).map_err(say)?;
    wallet.prepare_tap(card, false).map(|_| ()).map_err(say)
}

/// Storage without RPMB is the normal world's: what it says of rollback is below what offline approval needs.
pub fn offline_approval_needs_protection_from_a_rollback<T: Transport>(
    wallet: &dyn Fn() -> Wallet<T>,
) -> Outcome<()> {
    let wallet = &mut wallet();
    lab::empty(wallet)?;
    let (mut lab, card) = (Lab::new()?, draw_card_id().map_err(say)?);
    (lab.kind.oda, lab.rules.offline) = (OdaKind::Sm2, Some(Offline { balance: 50_000, payment: 10_000 }));
    let challenge = lab::challenge(wallet)?;
    let package = lab.package(card, &challenge)?;
    refused(wallet.add_card(package.as_bytes()), Error::RollbackUnprotected)?;
    ensure(wallet.cards().map_err(say)?.is_empty(), || "a card that was refused is there".into())?;
    // The same card without it is taken, and asks its issuer wherever it is.
    lab.rules.offline = None;
    lab.issue(wallet, card)?;
    refused(wallet.offline_state(card), Error::NotOffline)?;
    let command =
        lab.provider.offline_command(card, 2, &OfflineRecord { commands: 1, ..OfflineRecord::new(100) });
    refused(wallet.offline_command(&command), Error::NotOffline)?;
    let mut tap = prepare(wallet, card, false)?;
    let asks = Payment { reach: Reach::Both, ..payment(100, false) };
    let taken = pay(&mut Field(&mut tap), &asks).map_err(say)?;
    drop(tap);
    ensure(!taken.approved_offline, || "approved offline".into())?;
    approved(&lab.issuer.authorise(&taken.request), false)?;
    let mut tap = prepare(wallet, card, false)?;
    let alone = pay(&mut Field(&mut tap), &Payment { reach: Reach::Offline, ..asks });
    ensure(alone.is_err(), || "an offline terminal took it".into())
}
