//! Entries of the wallet PIN: each begins with two tries, so that one too many is noticed, and afterwards one PIN
//! works.

use super::{Device, Journal, arm};
use crate::{
    Outcome, ensure,
    lab::{self, Lab, say},
    pad::{self, Opened, pin},
};
use tapvault::ClientError;
use tapvault_network::registry::CNY;
use tapvault_proto::{
    id::CardId,
    pad::Entered,
    pin::{BeginChangeRequest, BeginSetRequest, BeginVerifyRequest, FinishRequest, TRY_LIMIT, TicketPurpose},
    tries::UnlockPinRequest,
};

/// What can be interrupted.
pub const PHASES: [&str; 5] = ["verify", "cancel", "change", "set", "unlock"];
/// One is set, and is changed to the other.
pub const PINS: [&str; 2] = ["1379", "2846"];
/// Before an entry.
const BEFORE: u8 = TRY_LIMIT - 1;

fn other(pin: &str) -> &'static str {
    if pin == PINS[0] { PINS[1] } else { PINS[0] }
}

fn begin(lab: &Lab, wallet: &mut Device, card: CardId) -> Outcome<Opened> {
    let provider = lab.provider_id();
    let verify = BeginVerifyRequest { provider, card, ceiling: 100_000, currency: CNY, exact: false };
    pad::begin(wallet, &verify).map_err(say)
}

/// Spends a try, and waits until the next entry may begin.
pub fn ready(lab: &Lab, wallet: &mut Device, card: CardId) -> Outcome<()> {
    lab::wait_for_try(wallet, lab.provider_id()).map_err(say)?;
    begin(lab, wallet, card)?;
    lab::wait_for_try(wallet, lab.provider_id()).map_err(say)?;
    let left = wallet.pin_state(lab.provider_id()).map_err(say)?.tries_left;
    ensure(left == BEFORE, || format!("{left} tries left before the entry"))
}

/// Runs a phase with the cut armed. The journal knows how far it came.
pub fn interrupted(
    journal: &mut Journal,
    lab: &Lab,
    wallet: &mut Device,
    phase: &str,
    line: &str,
) -> Outcome<()> {
    let (card, present) = (journal.card()?, journal.get("pin")?.to_string());
    let typed = |digits: &str| pin(digits);
    let (mut opened, entered) = match phase {
        "unlock" => {
            let command = command(journal, lab, wallet)?;
            arm(line)?;
            wallet.unlock_pin(&command).map_err(say)?;
            return journal.set(&[("begun", "finished".into())]);
        }
        "set" => {
            let challenge = wallet.pin_challenge().map_err(say)?;
            let ticket = lab.provider.ticket(TicketPurpose::Reset, challenge);
            arm(line)?;
            let opened = pad::begin(wallet, &BeginSetRequest { ticket }).map_err(say)?;
            (opened, Entered::Pin(typed(other(&present))?))
        }
        "change" => {
            arm(line)?;
            let provider = lab.provider_id();
            let opened = pad::begin(wallet, &BeginChangeRequest { provider }).map_err(say)?;
            (opened, Entered::Change(typed(&present)?, typed(other(&present))?))
        }
        _ => {
            arm(line)?;
            let opened = begin(lab, wallet, card)?;
            (opened, if phase == "cancel" { Entered::Nothing } else { Entered::Pin(typed(&present)?) })
        }
    };
    journal.set(&[("begun", "begun".into())])?;
    wallet.call(&opened.submit(&entered)?).map_err(say)?;
    journal.set(&[("begun", "answered".into())])?;
    wallet.call(&FinishRequest { entry: opened.entry }).map_err(say)?;
    journal.set(&[("begun", "finished".into())])
}

/// After a cut, or after a phase that came through: the counter is not above its value before the entry unless that
/// succeeded, or was cancelled by the pad's word; the old or the new PIN works, and not both.
pub fn check(
    journal: &mut Journal,
    lab: &Lab,
    wallet: &mut Device,
    (phase, left): (&str, u8),
) -> Outcome<()> {
    let begun = journal.get("begun")?.to_string();
    let spent = if matches!(phase, "set" | "unlock") { BEFORE } else { BEFORE - 1 };
    let through = if phase == "cancel" { BEFORE } else { TRY_LIMIT };
    let possible = match (begun.as_str(), phase) {
        ("no", "unlock") | ("answered", _) => [spent, through],
        ("no", _) => [spent, BEFORE],
        ("begun", _) => [spent, spent],
        _ => [through, through],
    };
    ensure(possible.contains(&left), || format!("{left} tries left, {begun}: not of {possible:?}"))?;

    let (card, present) = (journal.card()?, journal.get("pin")?.to_string());
    let mut working = Vec::new();
    for pin in PINS {
        all_tries(journal, lab, wallet)?;
        match lab.verify(wallet, card, pin) {
            Ok(()) => working.push(pin),
            Err(ClientError::WrongPin { .. }) => {}
            Err(error) => return Err(format!("the PIN: {error}")),
        }
    }
    let replaces = matches!(phase, "set" | "change");
    let [works] = working[..] else { return Err(format!("PINs that work: {working:?}")) };
    let expected = match begun.as_str() {
        "finished" if replaces => works == other(&present),
        "answered" if replaces => true,
        _ => works == present,
    };
    ensure(expected, || format!("{begun}, and the PIN is {works}; it was {present}"))?;
    journal.set(&[("pin", works.into())])?;
    // What is paid next is verified.
    all_tries(journal, lab, wallet)?;
    lab.verify(wallet, card, works).map_err(say)
}

/// The bank's command gives all tries back, so that nothing waits.
fn all_tries(journal: &mut Journal, lab: &Lab, wallet: &mut Device) -> Outcome<()> {
    let command = command(journal, lab, wallet)?;
    let tries = wallet.unlock_pin(&command).map_err(say)?;
    ensure(tries == TRY_LIMIT, || format!("{tries} tries after the bank's command"))
}

/// The bank's next command to unlock.
fn command(journal: &mut Journal, lab: &Lab, wallet: &mut Device) -> Outcome<UnlockPinRequest> {
    journal.count("unlocks")?;
    let challenge = wallet.pin_challenge().map_err(say)?;
    Ok(lab.provider.unlock(challenge, journal.number("unlocks")?))
}
