//! The first calls of a client's life, so that it can die between any two, and what must hold then.

use crate::{
    Outcome,
    lab::{self, Lab, PIN, say},
    pad::{self, LabPad, pin},
};
use tapvault::{Transport, Wallet};
use tapvault_network::registry::CNY;
use tapvault_proto::{
    id::CardId,
    pad::{Entered, PadMessage, PadOfferRequest, PadSuite},
    pin::{BeginChangeRequest, BeginVerifyRequest, EntryReply, FinishRequest, SubmitRequest},
};

/// Calls of [`go`].
pub const STEPS: u32 = 13;

/// Makes the first `steps` calls of a client's life: a re-issue, a PIN change, a verification, the
/// preparation of a tap.
///
/// # Errors
/// The first call that fails.
pub fn go<T: Transport>(lab: &mut Lab, wallet: &mut Wallet<T>, card: CardId, steps: u32) -> Outcome<()> {
    let provider = lab.provider_id();
    let mut entry = None;
    let mut link = LabPad::default();
    let mut opened = None;
    let mut challenge = None;
    for step in 0..steps {
        match step {
            0 => challenge = Some(wallet.card_challenge().map_err(say)?),
            1 => {
                let challenge = challenge.take().ok_or("no challenge")?;
                let package = lab.package(card, &challenge)?;
                wallet.add_card(package.as_bytes()).map(|_| ()).map_err(say)?;
            }
            2 | 7 => {
                // Each client is a process of its own, and so is its pad.
                pad::pair(wallet)?;
                let offer = wallet.call(&PadOfferRequest { suite: PadSuite::P256 }).map_err(say)?;
                opened = link.answer(&PadMessage::Offer(offer)).ok();
            }
            3 | 8 => match opened.take() {
                Some(PadMessage::Answer(answer)) => wallet.call(&answer).map(|_| ()).map_err(say)?,
                other => return Err(format!("the pad answers {other:?}")),
            },
            4 | 9 => {
                let reply = if step == 4 {
                    wallet.call(&BeginChangeRequest { provider })
                } else {
                    let (ceiling, currency, exact) = (100, CNY, false);
                    wallet.call(&BeginVerifyRequest { provider, card, ceiling, currency, exact })
                };
                let EntryReply { entry: begun, show, .. } = reply.map_err(say)?;
                let shown = link.answer(&PadMessage::Show(show));
                crate::ensure(shown.is_err(), || format!("the pad answers {shown:?}"))?;
                entry = Some(begun);
            }
            5 | 10 => {
                let entered = match step {
                    5 => Entered::Change(pin(PIN)?, pin(NEW_PIN)?),
                    _ => Entered::Pin(pin(NEW_PIN)?),
                };
                let PadMessage::Entered(frame) = link.enter(&entered) else {
                    return Err("the pad enters nothing".into());
                };
                let entry = entry.ok_or("no entry")?;
                wallet.call(&SubmitRequest { entry, frame }).map(|_| ()).map_err(say)?;
            }
            6 | 11 => {
                let entry = entry.take().ok_or("no entry")?;
                wallet.call(&FinishRequest { entry }).map(|_| ()).map_err(say)?;
            }
            12 => wallet.prepare_tap(card, true).map(|_| ()).map_err(say)?,
            step => return Err(format!("no step {step}")),
        }
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
    let expected = if matches!(steps, 5 | 10) { 2 } else { 3 };
    crate::ensure(tries == expected, || format!("{tries} tries left"))?;
    let pin = if steps >= 7 { NEW_PIN } else { PIN };
    if steps >= 13 {
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
