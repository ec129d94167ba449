//! What passes with time, with a restart and with a power cut: a token's life, its bank's time, the NFC switch.

mod common;

use common::{Phone, refusal};
use tapvault::{Wallet, sim::Sim};
use tapvault_device_tests::lab::{self, Lab, PIN};
use tapvault_proto::{
    Error,
    card::{CardState, NFC_LIFE_MS, NFC_TAPS},
    id::CardId,
    token::TokenAction,
};

const NOON: u64 = 1_795_694_400;

#[test]
fn nfc_goes_off_by_time_by_count_and_by_a_restart() {
    let phone = Phone::new();
    let (mut wallet, mut lab) = (phone.wallet(), Lab::new().unwrap());
    let card = lab.provision(&mut wallet).unwrap();
    phone.advance(NFC_LIFE_MS - 1);
    assert_eq!(wallet.nfc().unwrap().left_ms, 1);
    drop(wallet.prepare_tap(card, false).unwrap());
    phone.advance(1);
    assert_eq!(refusal(wallet.prepare_tap(card, false)), Some(Error::NfcOff), "time");

    lab::switch_on(&mut wallet, card).unwrap();
    for left in (0..NFC_TAPS).rev() {
        let mut tap = wallet.prepare_tap(card, false).unwrap();
        tap.transmit(b"\x00\xA4\x04\x00\x08\xA0\x00\x00\x03\x33\x01\x01\x01\x00");
        assert_eq!(tap.transmit(&lab::gpo_command(100, false)).status(), 0x9000);
        drop(tap);
        assert_eq!(wallet.nfc().unwrap().taps, left);
    }
    assert_eq!(refusal(wallet.prepare_tap(card, false)), Some(Error::NfcOff), "count");

    lab::switch_on(&mut wallet, card).unwrap();
    phone.restart();
    let mut wallet = phone.wallet();
    assert_eq!(refusal(wallet.prepare_tap(card, false)), Some(Error::NfcOff), "restart");
}

#[test]
fn a_token_ends_when_its_banks_clock_says_so() {
    let phone = Phone::new();
    let (mut wallet, mut lab) = (phone.wallet(), Lab::new().unwrap());
    lab.rules.domain.valid_until = NOON;
    let card = lab.provision(&mut wallet).unwrap();
    assert_eq!(refusal(wallet.prepare_tap(card, false)), Some(Error::NoTime));
    // A statement that is held back for a minute is a minute old.
    let nonce = wallet.time_nonce().unwrap();
    let statement = lab.provider.time(nonce, NOON - 100);
    phone.advance(60_000);
    wallet.set_time(statement).unwrap();
    drop(wallet.prepare_tap(card, false).unwrap());
    phone.advance(40_000);
    let mut tap = wallet.prepare_tap(card, false).unwrap();
    phone.advance(1);
    tap.transmit(b"\x00\xA4\x04\x00\x08\xA0\x00\x00\x03\x33\x01\x01\x01\x00");
    assert_eq!(tap.transmit(&lab::gpo_command(100, false)).status(), 0x6985, "over during the tap");
    drop(tap);
    assert_eq!(refusal(wallet.prepare_tap(card, false)), Some(Error::TokenDomain));
    // What was said to an earlier run of the trusted app says nothing to this one.
    let nonce = wallet.time_nonce().unwrap();
    let statement = lab.provider.time(nonce, NOON - 100);
    phone.restart();
    let mut wallet = phone.wallet();
    lab::switch_on(&mut wallet, card).unwrap();
    assert_eq!(refusal(wallet.set_time(statement.clone())), Some(Error::NoChallenge));
    wallet.time_nonce().unwrap();
    assert_eq!(refusal(wallet.set_time(statement)), Some(Error::WrongChallenge));
    assert_eq!(refusal(wallet.prepare_tap(card, false)), Some(Error::NoTime));
}

fn command(lab: &Lab, wallet: &mut Wallet<Sim>, card: CardId, sequence: u32, action: TokenAction) -> bool {
    wallet.token_command(lab.provider.command(card, 1, sequence, action)).is_ok()
}

#[test]
fn a_command_is_obeyed_whole_or_not_at_all() {
    use CardState::{Active, Inactive, Suspended, SuspendedByHolder};
    type Act = fn(&Lab, &mut Wallet<Sim>, CardId) -> bool;
    // What to do, the state after it, and whether it may be done twice.
    let steps: [(Act, Option<CardState>, bool); 6] = [
        (|lab, wallet, card| command(lab, wallet, card, 1, TokenAction::Activate), Some(Active), true),
        (|lab, wallet, card| command(lab, wallet, card, 2, TokenAction::Suspend), Some(Suspended), true),
        (|lab, wallet, card| command(lab, wallet, card, 3, TokenAction::Resume), Some(Active), true),
        (|_, wallet, card| wallet.suspend(card).is_ok(), Some(SuspendedByHolder), true),
        (|_, wallet, card| wallet.resume(card).is_ok(), Some(Active), false),
        (|lab, wallet, card| command(lab, wallet, card, 4, TokenAction::Delete), None, false),
    ];
    for (step, (act, after, twice)) in steps.iter().enumerate() {
        let before = step.checked_sub(1).map_or(Some(Inactive), |earlier| steps[earlier].1);
        let mut cut = 0;
        // Until the power lasts for the whole step.
        loop {
            let phone = Phone::new();
            let (mut wallet, mut lab) = (phone.wallet(), Lab::new().unwrap());
            lab.rules.active = false;
            let card = lab.provision(&mut wallet).unwrap();
            assert!(steps.iter().take(step).all(|(act, ..)| {
                lab.verify(&mut wallet, card, PIN).unwrap();
                act(&lab, &mut wallet, card)
            }));
            lab.verify(&mut wallet, card, PIN).unwrap();
            phone.device.borrow_mut().changes_left = Some(cut);
            let done = act(&lab, &mut wallet, card);
            phone.restart();
            let mut wallet = phone.wallet();
            let found =
                wallet.cards().unwrap().iter().find(|entry| entry.card == card).map(|entry| entry.state);
            assert!(
                found == if done { *after } else { before } || !done && found == *after,
                "{step}: {found:?}"
            );
            if done {
                break;
            }
            // Sent once more, it is obeyed or was.
            lab.verify(&mut wallet, card, PIN).unwrap();
            assert_eq!(act(&lab, &mut wallet, card), *twice || found != *after, "{step}, cut {cut}");
            cut += 1;
        }
        assert!(cut > 0, "step {step} stores nothing");
    }
}

/// A number that the bank used up for a command which the phone refuses would be missing for ever: all later ones would
/// be out of order.
#[test]
fn the_bank_signs_what_the_phone_obeys_and_numbers_nothing_else() {
    use TokenAction::{Activate, Delete, Resume, Suspend};
    let phone = Phone::new();
    let (mut wallet, mut lab) = (phone.wallet(), Lab::new().unwrap());
    // By the state before: what is commanded, and whether it fits.
    let steps = [
        (Resume, false),
        (Suspend, false),
        (Activate, true),
        (Activate, false),
        (Resume, false),
        (Suspend, true),
        (Activate, false),
        (Suspend, false),
        (Resume, true),
        (Suspend, true),
        (Delete, true),
        (Resume, false),
        (Activate, false),
        (Suspend, false),
        (Delete, false),
    ];
    lab.rules.active = false;
    let card = CardId([0x17; 16]);
    for issue in 1..=2 {
        lab.issue(&mut wallet, card).unwrap();
        for (step, (action, fits)) in steps.into_iter().enumerate() {
            let before = lab.issuer.cards().to_vec();
            match lab.issuer.command(card, action) {
                Ok(command) => {
                    let obeyed = wallet.token_command(command);
                    assert!(fits && obeyed.is_ok(), "{issue}, {step}: {action:?}: {obeyed:?}");
                }
                Err(error) => {
                    assert!(!fits, "{issue}, {step}: {action:?}: {error}");
                    assert_eq!(lab.issuer.cards(), before, "{issue}, {step}");
                }
            }
        }
    }
    // What the holder suspends is not the bank's to know: its commands go on.
    lab.rules.active = true;
    lab.issue(&mut wallet, card).unwrap();
    wallet.suspend(card).unwrap();
    for action in [Suspend, Resume] {
        wallet.token_command(lab.issuer.command(card, action).unwrap()).unwrap();
    }
}
