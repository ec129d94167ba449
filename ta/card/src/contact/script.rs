//! An issuer's script commands: the MAC, and what they change.

use super::card::{Inserted, Parts};
use crate::issuer::{Answered, script_mac, script_pin};
use subtle::ConstantTimeEq;
use tapvault_proto::emv::{
    apdu::{Command, StatusWord},
    contact::{SCRIPT_MAC_LEN, Script, Transaction},
};
use tapvault_tee::Tee;

/// Carries out a command of the right length when its MAC is right. A wrong one is noted, and no other script is taken in
/// this transaction: 4 bytes may be guessed once for each counter.
///
/// # Errors
/// [`StatusWord::WrongMac`]; [`StatusWord::WrongData`] for a PIN that is none; [`StatusWord::NoDiagnosis`].
pub fn run<T: Tee>(
    inserted: &mut Inserted<'_, T>,
    transaction: &mut Transaction,
    script: Script,
    command: &Command<'_>,
) -> Result<(), StatusWord> {
    let Parts { card, contact, state } = inserted.parts()?;
    let (_, cryptogram) = transaction.first.ok_or(StatusWord::NoDiagnosis)?;
    let to = Answered { atc: transaction.atc, cryptogram };
    let (suite, tries) = (card.profile.suite, contact.pin_tries);
    let (data, mac) = command.data.split_last_chunk::<SCRIPT_MAC_LEN>().ok_or(StatusWord::WrongLength)?;
    let header = [command.cla, command.ins, command.p1, command.p2];
    let expected = script_mac(suite, &contact.mac, to, header, data);
    if !bool::from(expected.ct_eq(mac)) {
        transaction.scripts_over = true;
        inserted.remember(|state| state.script_failed = true)?;
        return Err(StatusWord::WrongMac);
    }
    let pin = match script {
        Script::PinChange { with_current } => {
            let enciphered = data.try_into().map_err(|_| StatusWord::WrongLength)?;
            let current = with_current.then_some(&state.pin);
            let Some(pin) = script_pin(suite, &contact.encryption, to, enciphered, current) else {
                inserted.remember(|state| state.script_failed = true)?;
                return Err(StatusWord::WrongData);
            };
            Some(pin)
        }
        _ => None,
    };
    inserted.remember(|state| {
        state.scripts = state.scripts.saturating_add(1).min(15);
        match script {
            Script::ApplicationBlock => state.application_blocked = true,
            Script::ApplicationUnblock => state.application_blocked = false,
            Script::CardBlock => state.card_blocked = true,
            Script::PinUnblock | Script::PinChange { .. } => state.tries = tries,
        }
        if let Some(pin) = pin {
            state.pin = pin;
        }
    })
}
