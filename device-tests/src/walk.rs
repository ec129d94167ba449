//! The first calls of a client's life, so that it can die between any two, and what must hold then.

use crate::{
    Outcome,
    lab::{self, Lab, PIN, say},
};
use tapvault::{Transport, Wallet};
use tapvault_network::registry::CNY;
use tapvault_proto::{
    id::CardId,
    pin::{BeginChangeRequest, BeginVerifyRequest, FinishRequest, Pin, SubmitInsecureRequest},
};

/// Calls of [`go`].
pub const STEPS: u32 = 9;

/// Makes the first `steps` calls of a client's life: a re-issue, a PIN change, a verification, the
/// preparation of a tap.
///
/// # Errors
/// The first call that fails.
pub fn go<T: Transport>(lab: &mut Lab, wallet: &mut Wallet<T>, card: CardId, steps: u32) -> Outcome<()> {
    let provider = lab.provider_id();
    let mut left = steps;
    let mut entry = 0;
    let pin = |digits: &str| Pin::from_ascii(digits.as_bytes()).map_err(say);
    let mut challenge = None;
    while left > 0 {
        match steps - left {
            0 => challenge = Some(wallet.card_challenge().map_err(say)?),
            1 => {
                let challenge = challenge.take().ok_or("no challenge")?;
                let package = lab.package(card, &challenge)?;
                wallet.add_card(package.as_bytes()).map(|_| ()).map_err(say)?;
            }
            2 => entry = wallet.call(&BeginChangeRequest { provider }).map_err(say)?.entry,
            3 => {
                let change = SubmitInsecureRequest { entry, pin: pin(PIN)?, new_pin: Some(pin(NEW_PIN)?) };
                wallet.call(&change).map(|_| ()).map_err(say)?;
            }
            4 | 7 => wallet.call(&FinishRequest { entry }).map(|_| ()).map_err(say)?,
            5 => {
                let verify = BeginVerifyRequest { provider, card, ceiling: 100, currency: CNY };
                entry = wallet.call(&verify).map_err(say)?.entry;
            }
            6 => {
                let submit = SubmitInsecureRequest { entry, pin: pin(NEW_PIN)?, new_pin: None };
                wallet.call(&submit).map(|_| ()).map_err(say)?;
            }
            8 => wallet.prepare_tap(card, true).map(|_| ()).map_err(say)?,
            step => return Err(format!("no step {step}")),
        }
        left -= 1;
    }
    Ok(())
}

/// The PIN that [`go`] changes to.
const NEW_PIN: &str = "864209";

/// What must hold when a client died after `steps` calls of [`go`]: the PIN is the one last reported
/// as stored, a try is lost only by an entry that was not answered, and the card pays.
///
/// # Errors
/// What does not hold.
pub fn check<T: Transport>(lab: &mut Lab, wallet: &mut Wallet<T>, card: CardId, steps: u32) -> Outcome<()> {
    let tries = wallet.pin_state(lab.provider_id()).map_err(say)?.tries_left;
    // Begun and not submitted costs the try; submitted rightly returns it with the session's end.
    let expected = if matches!(steps, 3 | 6) { 2 } else { 3 };
    crate::ensure(tries == expected, || format!("{tries} tries left"))?;
    let pin = if steps >= 5 { NEW_PIN } else { PIN };
    if steps >= 9 {
        // The verification was taken for the tap and outlives the client that took it.
        wallet.prepare_tap(card, true).map(|_| ()).map_err(say)?;
    }
    lab.verify(wallet, card, pin).map_err(say)?;
    if steps == 1 {
        // The bank gave out no newer keys.
        crate::ensure(wallet.card_challenge().is_ok(), || "no challenge".into())?;
    }
    let (_, decision) = lab::pay(lab, wallet, card, (100, true, true))?;
    crate::ensure(decision.is_approved(), || decision.to_string())
}
