//! Power loss at every point: the machine stops before the N-th change of the store, for every N of
//! every phase. Each boot checks what the last cut left, then walks into the next one. What it knows
//! about the past lies in /work, on the host, which does not lose power.

pub mod endurance;
mod pins;
mod scripts;
mod trustlets;

use crate::{
    Outcome, ensure,
    lab::{self, Lab, say},
    pad,
};
use std::{collections::BTreeMap, fs, path::Path};
use tapvault::{
    Wallet,
    optee::{Login, Optee},
};
use tapvault_network::issuer::Issuer;
use tapvault_proto::{card::ATC_RANGE, id::CardId, pin::PinState};

const JOURNAL: &str = "/work/journal";
const BANK: &str = "/work/bank.json";
const SWITCH: &str = "/run/tapvault/powercut";
/// More changes of the store than any phase makes; beyond it something does not end.
const MOST_POINTS: u32 = 200;

type Device = Wallet<Optee>;

/// What can be interrupted.
pub const PHASES: [&str; 13] = [
    "issue",
    "reissue",
    "verify",
    "cancel",
    "change",
    "set",
    "unlock",
    "prepare",
    "put-data",
    "update-record",
    "card-pin",
    "debit",
    "life",
];

/// Facts that survive the machine, by name.
struct Journal(BTreeMap<String, String>);

impl Journal {
    fn load() -> Outcome<Self> {
        if !Path::new(JOURNAL).exists() {
            return Ok(Self(BTreeMap::new()));
        }
        let text = fs::read_to_string(JOURNAL).map_err(say)?;
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        Ok(Self(lines.map(|(key, value)| (key.into(), value.into())).collect()))
    }

    fn set(&mut self, facts: &[(&str, String)]) -> Outcome<()> {
        self.0.extend(facts.iter().map(|(key, value)| ((*key).into(), value.clone())));
        let text: String = self.0.iter().map(|(key, value)| format!("{key} {value}\n")).collect();
        let new = format!("{JOURNAL}.new");
        fs::write(&new, text).and_then(|()| fs::rename(&new, JOURNAL)).map_err(say)
    }

    fn get(&self, key: &str) -> Outcome<&str> {
        self.0.get(key).map(String::as_str).ok_or_else(|| format!("the journal has no {key}"))
    }

    fn number(&self, key: &str) -> Outcome<u32> {
        self.get(key)?.parse().map_err(say)
    }

    /// Counts one more, from nothing on.
    fn count(&mut self, key: &str) -> Outcome<()> {
        let one_more = self.number(key).unwrap_or(0) + 1;
        self.set(&[(key, one_more.to_string())])
    }

    fn card(&self) -> Outcome<CardId> {
        tapvault_proto::document::unhex(self.get("card")?).map(CardId).map_err(say)
    }
}

/// Arms the preload under tee-supplicant; an empty line disarms it.
fn arm(line: &str) -> Outcome<()> {
    fs::write(SWITCH, line).map_err(|error| format!("{SWITCH}: {error}"))
}

/// One boot's work on `phases`, in this order. Ends with the machine, or with a summary when every phase
/// is through.
///
/// # Errors
/// The first invariant that does not hold.
pub fn run(phases: &[String]) -> Outcome<()> {
    if let Some(unknown) = phases.iter().find(|phase| !PHASES.contains(&phase.as_str())) {
        return Err(format!("no phase {unknown}; there are {PHASES:?}"));
    }
    let mut journal = Journal::load()?;
    let mut wallet = lab::wallet(Optee::connect(Login::User).map_err(say)?);
    let mut lab = Lab::new()?;
    lab.issuer = Issuer::open_or_create(Path::new(BANK)).map_err(say)?;
    // Each boot is a process of its own, and so is its pad.
    pad::pair(&mut wallet)?;
    if journal.0.is_empty() {
        let card = lab.provision(&mut wallet)?;
        lab.set_pin(&mut wallet, pins::PINS[0])?;
        let facts = [
            ("card", card.to_string()),
            ("pin", pins::PINS[0].into()),
            ("phase", "0".into()),
            ("point", "0".into()),
        ];
        journal.set(&facts)?;
    } else {
        check(&mut journal, &mut lab, &mut wallet).map_err(|error| {
            let (phase, point) = (journal.get("name"), journal.get("point"));
            format!("after a cut in phase {phase:?} at point {point:?}: {error}")
        })?;
    }
    loop {
        let phase = journal.number("phase")?;
        let Some(name) = phases.get(phase as usize) else { break };
        journal.set(&[("name", name.clone())])?;
        let point = journal.number("point")? + 1;
        ensure(point <= MOST_POINTS, || format!("{name} changes the store more than {MOST_POINTS} times"))?;
        ready(&mut journal, &mut lab, &mut wallet, name)?;
        journal.set(&[("point", point.to_string()), ("begun", "no".into())])?;
        interrupted(&mut journal, &mut lab, &mut wallet, name, &format!("cut {point}"))?;
        arm("")?;
        // The phase ended before its point: all its points are done.
        check(&mut journal, &mut lab, &mut wallet)?;
        let points = (format!("points.{name}"), (point - 1).to_string());
        journal.set(&[(&points.0, points.1), ("phase", (phase + 1).to_string()), ("point", "0".into())])?;
    }
    let mut total = 0;
    for name in phases {
        let points = journal.number(&format!("points.{name}"))?;
        ensure(points > 0, || format!("{name} never changed the store: the preload is not in place"))?;
        println!("power loss: {name}, cut at each of {points} points");
        total += points;
    }
    println!("power loss: {total} points passed");
    Ok(())
}

/// Brings about what a phase starts from.
fn ready(journal: &mut Journal, lab: &mut Lab, wallet: &mut Device, phase: &str) -> Outcome<()> {
    let card = journal.card()?;
    match phase {
        "issue" => {
            let fresh = tapvault_network::registry::draw_card_id().map_err(say)?;
            let before = wallet.cards().map_err(say)?.len();
            journal.set(&[("fresh", fresh.to_string()), ("cards", before.to_string())])
        }
        "prepare" => {
            // Use the range up, so that the next call has to reserve one.
            let mut last = 0;
            for _ in 0..=ATC_RANGE {
                let (request, _) = lab::pay(lab, wallet, card, (100, false, false))?;
                last = u16::from_be_bytes(request.atc);
                if last % ATC_RANGE == 0 {
                    break;
                }
            }
            journal.set(&[("atc", last.to_string())])
        }
        "put-data" | "update-record" | "card-pin" => scripts::ready(journal, lab, wallet, phase),
        "debit" | "life" => trustlets::ready(journal, phase),
        phase if pins::PHASES.contains(&phase) => pins::ready(lab, wallet, card),
        _ => Ok(()),
    }
}

/// Runs a phase with the cut armed.
fn interrupted(
    journal: &mut Journal,
    lab: &mut Lab,
    wallet: &mut Device,
    phase: &str,
    line: &str,
) -> Outcome<()> {
    let card = journal.card()?;
    match phase {
        "issue" | "reissue" => {
            let card = if phase == "issue" {
                CardId(tapvault_proto::document::unhex(journal.get("fresh")?).map_err(say)?)
            } else {
                card
            };
            let challenge = wallet.card_challenge().map_err(say)?;
            let package = lab.package(card, &challenge)?;
            arm(line)?;
            wallet.add_card(package.as_bytes()).map(|_| ()).map_err(say)
        }
        "prepare" => {
            arm(line)?;
            wallet.prepare_tap(card, false).map(|_| ()).map_err(say)
        }
        phase if pins::PHASES.contains(&phase) => pins::interrupted(journal, lab, wallet, phase, line),
        "put-data" | "update-record" | "card-pin" => scripts::interrupted(journal, lab, wallet, phase, line),
        _ => trustlets::interrupted(journal, phase, line),
    }
}

/// What must hold after a cut, or after a phase that came through: everything is as before or as after.
fn check(journal: &mut Journal, lab: &mut Lab, wallet: &mut Device) -> Outcome<()> {
    let phase = journal.get("name").unwrap_or_default().to_string();
    let finished = journal.get("begun").is_ok_and(|begun| begun == "finished");
    let state = wallet.pin_state(lab.provider_id()).map_err(say)?;
    ensure(state.state == PinState::Set, || format!("the PIN is {:?}", state.state))?;
    if matches!(phase.as_str(), "issue" | "prepare") {
        // These pay without a PIN, which NFC has to be on for; the PIN is the journal's.
        lab.verify(wallet, journal.card()?, journal.get("pin")?).map_err(say)?;
        wallet.nfc_on(journal.card()?).map_err(say)?;
    }
    match phase.as_str() {
        "issue" => {
            let now = wallet.cards().map_err(say)?.len() as u32;
            let before = journal.number("cards").unwrap_or(now);
            ensure(now == before || now == before + 1, || format!("{now} cards after {before}"))?;
            if now > before {
                // The new card is whole: it pays.
                let fresh = CardId(tapvault_proto::document::unhex(journal.get("fresh")?).map_err(say)?);
                let (_, decision) = lab::pay(lab, wallet, fresh, (100, false, false))?;
                ensure(decision.is_approved(), || format!("the new card: {decision}"))?;
                journal.set(&[("cards", now.to_string())])?;
            }
        }
        "prepare" => {
            let last = journal.number("atc").unwrap_or(0);
            let (request, _) = lab::pay(lab, wallet, journal.card()?, (100, false, false))?;
            let next = u32::from(u16::from_be_bytes(request.atc));
            let range = u32::from(ATC_RANGE);
            ensure(last == 0 || (last + 1..=last + 1 + range).contains(&next), || {
                format!("counter {next} after {last}")
            })?;
        }
        "put-data" | "update-record" | "card-pin" => {
            scripts::check(journal, lab, wallet, &phase, finished)?;
        }
        "debit" | "life" => trustlets::check(journal, &phase, finished)?,
        _ => {}
    }
    if pins::PHASES.contains(&phase.as_str()) {
        pins::check(journal, lab, wallet, (&phase, state.tries_left))?;
    } else {
        lab.verify(wallet, journal.card()?, journal.get("pin")?).map_err(say)?;
    }
    // The card is whole, whatever its key version is.
    let (_, decision) = match lab::pay(lab, wallet, journal.card()?, (100, true, true))? {
        paid if paid.1.is_approved() => paid,
        // A re-issue that the card did not see: the bank issues once more.
        paid if phase == "reissue" => {
            let reason = paid.1.to_string();
            let challenge = wallet.card_challenge().map_err(say)?;
            let package = lab.package(journal.card()?, &challenge)?;
            wallet.add_card(package.as_bytes()).map_err(|error| format!("{reason}, then {error}"))?;
            lab::pay(lab, wallet, journal.card()?, (100, false, false))?
        }
        paid => paid,
    };
    ensure(decision.is_approved(), || format!("the card: {decision}"))
}
