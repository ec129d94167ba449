//! What a wallet and its holder live through, on any device: simulated in `cargo test`, real in QEMU.
//! Each scenario brings its own card and sets the PIN anew, so that their order does not matter.

pub mod binding;
mod card;
mod freshness;
mod pad;
mod payments;
pub mod pin;
mod relay;
mod route;
mod token;

use crate::{
    Outcome, ensure,
    lab::{self, Digits, Lab, PIN, say},
    pad::begin,
};
use binding::{
    a_chip_card_binds_by_its_own_cryptogram, a_seal_is_for_one_bank_and_one_binding,
    card_data_are_entered_once_by_their_session, card_data_bind_a_card, only_certified_banks_get_card_data,
};
use card::{
    a_banks_wrong_key_hurts_its_own_card_alone, a_card_that_wants_the_pin_gets_it, a_removed_card_is_gone,
    a_terminal_authenticates_cards_offline, a_terminal_chooses_among_cards, every_suite_pays,
    sixteen_cards_with_keys_fit_and_pay, the_last_payments_are_remembered,
    the_status_words_are_those_of_the_table,
};
use freshness::{a_statement_is_the_platforms_and_of_this_run, each_try_is_granted_and_a_success_settles_it};
use pad::{
    a_frame_holds_what_was_asked_for, a_pairing_is_the_factorys_and_the_newest,
    an_altered_answer_brings_no_session, an_altered_frame_costs_the_entry_and_opens_nothing,
    an_entry_takes_a_session_of_its_own_client, an_exact_verification_pays_exactly,
    nothing_entered_gives_one_try_back, the_pad_shows_what_an_entry_is_for,
};
use payments::{
    a_code_is_limited_by_the_token_service, a_code_may_be_presented_after_a_tap,
    a_code_needs_an_approval_of_its_own, a_code_pays_once_and_soon, a_cryptogram_is_for_one_channel,
    a_request_is_held_against_the_tokens_domain, a_signed_request_is_paid_once,
    an_altered_request_is_refused_and_changes_nothing, an_approval_is_of_one_request_to_the_last_byte,
    the_log_names_the_way,
};
use pin::{
    a_bank_pin_is_for_the_card_that_was_prepared, a_bank_pin_leaves_as_a_block_that_its_bank_checks_once,
    a_banks_pin_key_comes_sealed_once, a_simple_pin_is_refused, a_spent_try_makes_the_next_one_wait,
    only_the_banks_command_unlocks,
};
use relay::{
    a_relay_that_alters_messages_has_nothing_shown, a_relay_that_delays_messages_gains_nothing,
    a_relay_that_drops_messages_gains_nothing, a_relay_that_records_learns_no_digit_and_no_number_of_them,
    a_relay_that_reorders_messages_gains_nothing, a_relay_that_replays_messages_gains_nothing,
};
use route::{
    a_card_in_the_element_pays_by_leave_of_the_tee, a_relay_to_the_element_gains_nothing,
    the_element_authenticates_offline_too, the_element_gets_limited_use_keys_one_by_one,
    the_holder_chooses_the_first_card,
};
use tapvault::{ClientError, Transport, Wallet, wallet::Purpose};
use tapvault_network::{
    bank,
    issuer::{Decision, Reason},
    registry::CNY,
};
use tapvault_proto::{
    Error,
    emv::apdu::StatusWord,
    id::CardId,
    pad::{PadOfferRequest, PadSuite},
    pin::{BeginVerifyRequest, FinishRequest, PinState, TicketPurpose},
};
use token::{
    a_time_limit_is_by_the_banks_clock, a_token_keeps_to_its_domain, a_token_obeys_its_bank_in_order,
    nfc_is_off_until_the_pin_switches_it_on, offline_approval_needs_protection_from_a_rollback,
};

/// A scenario by name.
pub struct Scenario<T: Transport> {
    /// Its name.
    pub name: &'static str,
    /// Runs it with a fresh wallet; the function makes more wallets of the same user.
    pub run: fn(&dyn Fn() -> Wallet<T>) -> Outcome<()>,
}

/// Every scenario.
#[must_use]
pub fn all<T: Transport>() -> Vec<Scenario<T>> {
    macro_rules! scenarios {
        ($($name:ident),* $(,)?) => { vec![$(Scenario { name: stringify!($name), run: $name::<T> }),*] };
    }
    scenarios![
        a_verified_payment_is_approved_once,
        a_small_payment_needs_no_pin,
        a_verification_pays_once,
        a_verification_has_a_ceiling_and_a_currency,
        a_wrong_pin_costs_a_try_and_a_right_one_returns_it,
        three_wrong_pins_lock_until_a_reset,
        a_pin_is_changed,
        a_first_pin_needs_a_ticket,
        an_entry_belongs_to_its_session,
        a_package_opens_once,
        an_altered_package_is_refused,
        a_reissue_needs_newer_keys,
        an_unknown_card_is_named,
        a_counter_is_never_used_twice,
        what_is_shown_helps_nobody_to_pay,
        every_suite_pays,
        a_terminal_chooses_among_cards,
        a_card_that_wants_the_pin_gets_it,
        a_removed_card_is_gone,
        a_terminal_authenticates_cards_offline,
        the_status_words_are_those_of_the_table,
        sixteen_cards_with_keys_fit_and_pay,
        the_last_payments_are_remembered,
        a_banks_wrong_key_hurts_its_own_card_alone,
        nfc_is_off_until_the_pin_switches_it_on,
        a_token_obeys_its_bank_in_order,
        a_token_keeps_to_its_domain,
        a_time_limit_is_by_the_banks_clock,
        offline_approval_needs_protection_from_a_rollback,
        a_code_pays_once_and_soon,
        a_code_needs_an_approval_of_its_own,
        a_code_may_be_presented_after_a_tap,
        a_code_is_limited_by_the_token_service,
        a_cryptogram_is_for_one_channel,
        a_signed_request_is_paid_once,
        an_altered_request_is_refused_and_changes_nothing,
        an_approval_is_of_one_request_to_the_last_byte,
        a_request_is_held_against_the_tokens_domain,
        the_log_names_the_way,
        the_pad_shows_what_an_entry_is_for,
        an_exact_verification_pays_exactly,
        nothing_entered_gives_one_try_back,
        an_entry_takes_a_session_of_its_own_client,
        an_altered_answer_brings_no_session,
        an_altered_frame_costs_the_entry_and_opens_nothing,
        a_frame_holds_what_was_asked_for,
        a_pairing_is_the_factorys_and_the_newest,
        a_relay_that_records_learns_no_digit_and_no_number_of_them,
        a_relay_that_drops_messages_gains_nothing,
        a_relay_that_reorders_messages_gains_nothing,
        a_relay_that_replays_messages_gains_nothing,
        a_relay_that_delays_messages_gains_nothing,
        a_relay_that_alters_messages_has_nothing_shown,
        card_data_bind_a_card,
        a_chip_card_binds_by_its_own_cryptogram,
        only_certified_banks_get_card_data,
        card_data_are_entered_once_by_their_session,
        a_seal_is_for_one_bank_and_one_binding,
        a_card_in_the_element_pays_by_leave_of_the_tee,
        a_relay_to_the_element_gains_nothing,
        the_element_authenticates_offline_too,
        the_element_gets_limited_use_keys_one_by_one,
        the_holder_chooses_the_first_card,
        a_statement_is_the_platforms_and_of_this_run,
        each_try_is_granted_and_a_success_settles_it,
        a_simple_pin_is_refused,
        a_spent_try_makes_the_next_one_wait,
        only_the_banks_command_unlocks,
        a_bank_pin_leaves_as_a_block_that_its_bank_checks_once,
        a_bank_pin_is_for_the_card_that_was_prepared,
        a_banks_pin_key_comes_sealed_once,
    ]
}

fn refused<V>(result: Result<V, ClientError>, expected: Error) -> Outcome<()> {
    match result {
        Ok(_) => Err(format!("not refused with {expected:?}")),
        Err(error) => ensure(error.refusal() == Some(expected), || format!("{error:?}, not {expected:?}")),
    }
}

fn approved(decision: &Decision, verified: bool) -> Outcome<()> {
    let fits = matches!(decision, Decision::Approved { holder_verified, .. } if *holder_verified == verified);
    ensure(fits, || format!("{decision}"))
}

fn prepared<T: Transport>(wallet: &mut Wallet<T>) -> Outcome<(Lab, CardId)> {
    lab::empty(wallet)?;
    let mut lab = Lab::new()?;
    let card = lab.provision(wallet)?;
    lab.set_pin(wallet, PIN)?;
    Ok((lab, card))
}

fn status<T: Transport>(
    wallet: &mut Wallet<T>,
    card: CardId,
    verified: bool,
    command: &[u8],
) -> Outcome<u16> {
    lab::tap(wallet, card, verified, command).map(|response| response.status())
}

const NEEDS_PIN: u16 = StatusWord::VerificationNeeded as u16;

fn a_verified_payment_is_approved_once<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = prepared(wallet)?;
    lab.verify(wallet, card, PIN).map_err(say)?;
    let (request, decision) = lab::pay(&mut lab, wallet, card, (50_000, true, true))?;
    approved(&decision, true)?;
    let again = lab.issuer.authorise(&request);
    ensure(again == Decision::Declined(Reason::ReplayedAtc), || format!("a replay was {again}"))?;
    // What the wallet PIN did lies under the cryptogram: it cannot be claimed for another payment.
    let mut forged = request;
    forged.amount = [0, 0, 0, 9, 0, 0];
    forged.atc = [0xFF, 0x00];
    let forged = lab.issuer.authorise(&forged);
    ensure(forged == Decision::Declined(Reason::WrongCryptogram), || format!("a forgery was {forged}"))
}

fn a_small_payment_needs_no_pin<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = prepared(wallet)?;
    let (_, decision) = lab::pay(&mut lab, wallet, card, (100, false, false))?;
    approved(&decision, false)?;
    let asked = status(wallet, card, false, &lab::gpo_command(100, true))?;
    ensure(asked == NEEDS_PIN, || format!("without a PIN: {asked:04X}"))
}

fn a_verification_pays_once<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = prepared(wallet)?;
    refused(wallet.prepare_tap(card, true).map(|_| ()), Error::NoVerification)?;
    lab.verify(wallet, card, PIN).map_err(say)?;
    let (_, decision) = lab::pay(&mut lab, wallet, card, (100, true, true))?;
    approved(&decision, true)?;
    refused(wallet.prepare_tap(card, true).map(|_| ()), Error::NoVerification)?;
    let second = status(wallet, card, false, &lab::gpo_command(100, true))?;
    ensure(second == NEEDS_PIN, || format!("a second payment: {second:04X}"))?;
    // A GPO that ends in an error consumes it as well: the same tap goes on with a right one.
    let right = lab::gpo_command(100, true);
    let no_qualifiers = [&right[..7], &[0; 4], &right[11..]].concat();
    for (wrong, expected) in [
        (no_qualifiers, StatusWord::WrongLength),
        ([&right[..5], &[0x84], &right[6..]].concat(), StatusWord::WrongData),
        ([&[0x80, 0xA8, 0, 1], &right[4..]].concat(), StatusWord::WrongParameters),
        (vec![0x80, 0xA8, 0, 0, 0], StatusWord::WrongData),
    ] {
        lab.verify(wallet, card, PIN).map_err(say)?;
        let answers = lab::tap_with(wallet, card, true, &[&wrong, &right])?;
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status()).collect();
        ensure(statuses == [expected as u16, NEEDS_PIN], || format!("{wrong:02X?}: {statuses:04X?}"))?;
    }
    // It is for one card.
    let other = lab.provision(wallet)?;
    lab.verify(wallet, card, PIN).map_err(say)?;
    refused(wallet.prepare_tap(other, true).map(|_| ()), Error::NoVerification)
}

fn a_verification_has_a_ceiling_and_a_currency<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = prepared(wallet)?;
    let provider = lab.provider_id();
    for (ceiling, currency, fits) in [(100, CNY, true), (99, CNY, false), (100, 0x0840, false)] {
        let purpose = Purpose { card, ceiling, currency };
        wallet.verify_pin(provider, purpose, &mut Digits::of(&[PIN])).map_err(say)?;
        let answer = status(wallet, card, true, &lab::gpo_command(100, true))?;
        let expected = if fits { 0x9000 } else { NEEDS_PIN };
        ensure(answer == expected, || format!("ceiling {ceiling} in {currency:04X}: {answer:04X}"))?;
    }
    lab.verify(wallet, card, PIN).map_err(say)?;
    let (_, decision) = lab::pay(&mut lab, wallet, card, (100_000, true, true))?;
    approved(&decision, true)
}

/// Begins an entry for one payment of 0.01.
fn verify_one(lab: &Lab, card: CardId) -> BeginVerifyRequest {
    BeginVerifyRequest { provider: lab.provider_id(), card, ceiling: 1, currency: CNY, exact: false }
}

fn tries<T: Transport>(wallet: &mut Wallet<T>, lab: &Lab) -> Outcome<(PinState, u8)> {
    let reply = wallet.pin_state(lab.provider_id()).map_err(say)?;
    Ok((reply.state, reply.tries_left))
}

fn a_wrong_pin_costs_a_try_and_a_right_one_returns_it<T: Transport>(
    wallet: &dyn Fn() -> Wallet<T>,
) -> Outcome<()> {
    let wallet = &mut wallet();
    let (lab, card) = prepared(wallet)?;
    let wrong = lab.verify(wallet, card, "135791");
    ensure(matches!(wrong, Err(ClientError::WrongPin { tries_left: 2 })), || format!("{wrong:?}"))?;
    ensure(tries(wallet, &lab)? == (PinState::Set, 2), || "a wrong PIN costs one try".into())?;
    // A longer PIN that begins with the right digits is wrong.
    let longer = lab.verify(wallet, card, "1357900");
    ensure(matches!(longer, Err(ClientError::WrongPin { tries_left: 1 })), || format!("{longer:?}"))?;
    lab.verify(wallet, card, PIN).map_err(say)?;
    ensure(tries(wallet, &lab)? == (PinState::Set, 3), || "the right PIN returns the tries".into())?;
    // Beginning and not submitting costs a try, too.
    let verify = verify_one(&lab, card);
    begin(wallet, &verify).map_err(say)?;
    lab::wait_for_try(wallet, lab.provider_id()).map_err(say)?;
    begin(wallet, &verify).map_err(say)?;
    ensure(tries(wallet, &lab)? == (PinState::Set, 1), || "an entry left open costs a try".into())
}

fn three_wrong_pins_lock_until_a_reset<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = prepared(wallet)?;
    for left in [2, 1, 0] {
        let wrong = lab.verify(wallet, card, "0000");
        let fits = matches!(wrong, Err(ClientError::WrongPin { tries_left }) if tries_left == left);
        ensure(fits, || format!("{wrong:?}"))?;
    }
    refused(lab.verify(wallet, card, PIN), Error::PinLocked)?;
    ensure(tries(wallet, &lab)? == (PinState::Locked, 0), || "not locked".into())?;
    // An enrolment ticket sets a first PIN only; a reset is another permission.
    let challenge = wallet.pin_challenge().map_err(say)?;
    let enrol = lab.provider.ticket(TicketPurpose::Enrol, challenge);
    refused(wallet.set_pin(enrol, &mut Digits::of(&["2468"])), Error::PinAlreadySet)?;
    lab.set_pin(wallet, "2468")?;
    lab.verify(wallet, card, "2468").map_err(say)
}

fn a_pin_is_changed<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (lab, card) = prepared(wallet)?;
    let provider = lab.provider_id();
    let wrong = wallet.change_pin(provider, &mut Digits::of(&["9999", "8642"]));
    ensure(matches!(wrong, Err(ClientError::WrongPin { tries_left: 2 })), || format!("{wrong:?}"))?;
    lab::wait_for_try(wallet, provider).map_err(say)?;
    wallet.change_pin(provider, &mut Digits::of(&[PIN, "8642"])).map_err(say)?;
    ensure(tries(wallet, &lab)? == (PinState::Set, 3), || "a change returns the tries".into())?;
    let old = lab.verify(wallet, card, PIN);
    ensure(matches!(old, Err(ClientError::WrongPin { .. })), || format!("the old PIN: {old:?}"))?;
    lab.verify(wallet, card, "8642").map_err(say)
}

fn a_first_pin_needs_a_ticket<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (lab, _) = prepared(wallet)?;
    let reset = |challenge| lab.provider.ticket(TicketPurpose::Reset, challenge);
    let set = |wallet: &mut Wallet<T>, ticket| wallet.set_pin(ticket, &mut Digits::of(&["4826"]));

    let challenge = wallet.pin_challenge().map_err(say)?;
    let mut forged = reset(challenge);
    forged.signature[5] ^= 1;
    refused(set(wallet, forged), Error::TicketInvalid)?;
    let mut raised = lab.provider.ticket(TicketPurpose::Enrol, challenge);
    raised.purpose = TicketPurpose::Reset;
    refused(set(wallet, raised), Error::TicketInvalid)?;
    let mut unchained = reset(challenge);
    unchained.certificate.provider.0[0] ^= 1;
    refused(set(wallet, unchained), Error::CertificateInvalid)?;
    // Another bank's ticket sets that bank's PIN and no other.
    let other = bank::Provider::lab("B").map_err(say)?;
    let mut crossed = other.ticket(TicketPurpose::Reset, challenge);
    crossed.certificate = reset(challenge).certificate;
    refused(set(wallet, crossed), Error::TicketInvalid)?;
    refused(set(wallet, reset([7; 32])), Error::WrongChallenge)?;
    // None of this used the challenge up; the ticket itself does.
    set(wallet, reset(challenge)).map_err(say)?;
    refused(set(wallet, reset(challenge)), Error::NoChallenge)
}

fn an_entry_belongs_to_its_session<T: Transport>(make: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let (first, second) = (&mut make(), &mut make());
    let (lab, card) = prepared(first)?;
    let verify = verify_one(&lab, card);
    let mut opened = begin(first, &verify).map_err(say)?;
    let (entry, submit) = (opened.entry, opened.pin(PIN)?);
    refused(second.call(&submit), Error::NoEntry)?;
    refused(second.call(&PadOfferRequest { suite: PadSuite::P256 }), Error::Busy)?;
    refused(second.call(&verify), Error::Busy)?;
    refused(first.call(&FinishRequest { entry }), Error::NoEntry)?;
    first.call(&submit).map_err(say)?;
    refused(first.call(&submit), Error::NoEntry)?;
    refused(second.call(&FinishRequest { entry }), Error::NoEntry)?;
    first.call(&FinishRequest { entry }).map_err(say)?;
    refused(first.call(&FinishRequest { entry }), Error::NoEntry)
}

fn a_package_opens_once<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let mut lab = Lab::new()?;
    let challenge = lab::challenge(wallet)?;
    let package = lab.package(CardId([0x11; 16]), &challenge)?;
    // Another key version each time, so that a second run of this scenario finds it newer.
    let before = wallet.cards().map_err(say)?;
    match wallet.add_card(package.as_bytes()) {
        Err(error) if error.refusal() == Some(Error::KeyVersionNotNewer) => {}
        other => {
            other.map_err(say)?;
            refused(wallet.add_card(package.as_bytes()), Error::NoChallenge)?;
        }
    }
    wallet.card_challenge().map_err(say)?;
    refused(wallet.add_card(package.as_bytes()), Error::WrongChallenge)?;
    let after = wallet.cards().map_err(say)?;
    ensure(after.len() <= before.len() + 1, || "a refused package left a card".into())
}

fn an_altered_package_is_refused<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let mut lab = Lab::new()?;
    let challenge = lab::challenge(wallet)?;
    let card = CardId([0x22; 16]);
    let package = lab.package(card, &challenge)?;
    let before = wallet.cards().map_err(say)?;

    let tampered = bank::tamper(package.as_bytes()).map_err(say)?;
    refused(wallet.add_card(tampered.as_bytes()), Error::SignatureInvalid)?;
    let other_card = package.replace(&card.to_string(), &CardId([0x23; 16]).to_string());
    refused(wallet.add_card(other_card.as_bytes()), Error::SignatureInvalid)?;
    let other_provider = package.replace(&lab.provider_id().to_string(), &"ab".repeat(16));
    refused(wallet.add_card(other_provider.as_bytes()), Error::CertificateInvalid)?;
    for malformed in ["", "{}", "[", &package[..package.len() - 1], &format!("{package}x"), &"x".repeat(2048)]
    {
        refused(wallet.add_card(malformed.as_bytes()), Error::PackageMalformed)?;
    }
    // Signed by the right bank, and altered before that.
    let resigned = lab.provider.tamper_and_sign(package.as_bytes()).map_err(say)?;
    refused(wallet.add_card(resigned.as_bytes()), Error::SealInvalid)?;
    // The bank seals nothing for a key that the device did not sign.
    let mut elsewhere = challenge;
    elsewhere.recipient = lab.provider.certificate().key;
    ensure(lab.package(card, &elsewhere).is_err(), || "sealed for somebody else".into())?;
    ensure(wallet.cards().map_err(say)? == before, || "a refused package changed the store".into())
}

fn a_reissue_needs_newer_keys<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = prepared(wallet)?;
    lab::pay(&mut lab, wallet, card, (100, false, false))?;
    let challenge = wallet.card_challenge().map_err(say)?;
    // The bank lost its books and issues version 1 again.
    let stale = Lab::new()?.package(card, &challenge)?;
    refused(wallet.add_card(stale.as_bytes()), Error::KeyVersionNotNewer)?;
    let renewed = lab.package(card, &challenge)?;
    wallet.add_card(renewed.as_bytes()).map_err(say)?;
    let (request, decision) = lab::pay(&mut lab, wallet, card, (100, false, false))?;
    ensure(request.atc == [0, 1], || "a new key version begins at 1".into())?;
    approved(&decision, false)
}

fn an_unknown_card_is_named<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let nobody = CardId([0xEE; 16]);
    refused(wallet.show(nobody), Error::UnknownCard)?;
    refused(wallet.prepare_tap(nobody, false).map(|_| ()), Error::UnknownCard)
}

fn a_counter_is_never_used_twice<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = prepared(wallet)?;
    let mut last = 0;
    for _ in 0..35 {
        let (request, decision) = lab::pay(&mut lab, wallet, card, (100, false, false))?;
        approved(&decision, false)?;
        let atc = u16::from_be_bytes(request.atc);
        ensure(atc == last + 1, || format!("counter {atc} after {last}"))?;
        last = atc;
    }
    Ok(())
}

fn what_is_shown_helps_nobody_to_pay<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (lab, card) = prepared(wallet)?;
    let display = wallet.show(card).map_err(say)?;
    ensure(display.last_four == "4321" && display.issuer == "Lab Bank A", || format!("{display:?}"))?;
    ensure(display.card == card.to_string().as_str(), || format!("{display:?}"))?;
    let token = &lab.issuer.cards()[0].token;
    let text = format!("{display:?}");
    ensure(!text.contains(token.as_str()), || "the token is shown".into())
}
