//! An issuer's script commands: the MAC, and what they change.

use super::{
    card::{Inserted, Parts},
    changeable::{self, Change},
};
use crate::issuer::{Answered, script_mac, script_pin};
use subtle::ConstantTimeEq;
use tapvault_proto::{
    contact::CardPin,
    emv::{
        apdu::{Command, StatusWord},
        contact::{SCRIPT_MAC_LEN, Script, Transaction},
    },
    profile::Oda,
};
use tapvault_tee::Tee;

/// What a script brings, where its name does not say all.
struct Brought {
    pin: Option<CardPin>,
    record: Option<Change>,
}

/// Carries out a command of the right length when its MAC is right. A wrong one is noted, and no other script is taken in
/// this transaction: 4 bytes may be guessed once for each counter. One that brings what the card does not take is noted
/// as failed too, and changes nothing.
///
/// # Errors
/// [`StatusWord::WrongMac`]; [`StatusWord::WrongData`] for what is no PIN, no value or no record of this kind;
/// [`StatusWord::DataNotFound`], [`StatusWord::NotFound`], [`StatusWord::RecordNotFound`],
/// [`StatusWord::SecurityNotSatisfied`]; [`StatusWord::NoDiagnosis`].
pub fn run<T: Tee>(
    inserted: &mut Inserted<'_, T>,
    transaction: &mut Transaction,
    script: Script,
    command: &Command<'_>,
) -> Result<(), StatusWord> {
    let Parts { card, contact, .. } = inserted.parts()?;
    let (_, cryptogram) = transaction.first.ok_or(StatusWord::NoDiagnosis)?;
    let to = Answered { atc: transaction.atc, cryptogram };
    let tries = contact.pin_tries;
    let (data, mac) = command.data.split_last_chunk::<SCRIPT_MAC_LEN>().ok_or(StatusWord::WrongLength)?;
    let header = [command.cla, command.ins, command.p1, command.p2];
    let expected = script_mac(card.profile.suite, &contact.mac, to, header, data);
    if !bool::from(expected.ct_eq(mac)) {
        transaction.scripts_over = true;
        inserted.remember(|state| state.script_failed = true)?;
        return Err(StatusWord::WrongMac);
    }
    let Brought { pin, record } = match brought(&inserted.parts()?, to, script, data) {
        Ok(brought) => brought,
        Err(refusal) => {
            inserted.remember(|state| state.script_failed = true)?;
            return Err(refusal);
        }
    };
    inserted.replace(record, |state| {
        state.scripts = state.scripts.saturating_add(1).min(15);
        match script {
            Script::ApplicationBlock => state.application_blocked = true,
            Script::ApplicationUnblock => state.application_blocked = false,
            Script::CardBlock => state.card_blocked = true,
            Script::PinUnblock | Script::PinChange { .. } => state.tries = tries,
            Script::PutData { .. } | Script::UpdateRecord { .. } => {}
        }
        if let Some(pin) = pin {
            state.pin = pin;
        }
    })
}

fn brought(parts: &Parts<'_>, to: Answered, script: Script, data: &[u8]) -> Result<Brought, StatusWord> {
    let Parts { card, contact, state } = parts;
    let oda = || -> Result<&Oda, StatusWord> { card.profile.oda.as_ref().ok_or(StatusWord::NoDiagnosis) };
    let (mut pin, mut record) = (None, None);
    match script {
        Script::PinChange { with_current } => {
            let enciphered = data.try_into().map_err(|_| StatusWord::WrongLength)?;
            let current = with_current.then_some(&state.pin);
            let new = script_pin(card.profile.suite, &contact.encryption, to, enciphered, current);
            pin = Some(new.ok_or(StatusWord::WrongData)?);
        }
        Script::PutData { tag } => record = Some(changeable::put(oda()?, tag, data)?),
        Script::UpdateRecord { sfi, number } => {
            record = Some(changeable::update(oda()?, sfi, number, data)?);
        }
        Script::ApplicationBlock | Script::ApplicationUnblock | Script::CardBlock | Script::PinUnblock => {}
    }
    Ok(Brought { pin, record })
}
