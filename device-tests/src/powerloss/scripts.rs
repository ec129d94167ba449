//! Phases with an issuer's script to a contact test profile: PUT DATA, UPDATE RECORD, a change of the card PIN.

use super::{Device, Journal, arm};
use crate::{
    Outcome,
    contact::{
        Generated, begin, command, covered, options, provision, select, terminal_data, test_card, verify,
    },
    ensure,
    lab::{Lab, say},
};
use tapvault::{ContactCard, Transport, optee::Optee};
use tapvault_network::contact::{AIP, ContactRules, Script, TestCard};
use tapvault_proto::id::CardId;

type Inserted<'a> = ContactCard<'a, <Optee as Transport>::Channel>;

/// The file and record of the terminals' limits.
const LIMITS: (u8, u8) = (3, 1);
/// Lower limit, which no phase changes.
const LOWER: u8 = 3;

/// The journal's test profile.
fn test(journal: &Journal, lab: &Lab) -> Outcome<TestCard> {
    let mut test = test_card(lab, ContactRules::default());
    test.order.card = tapvault_proto::document::unhex(journal.get("contact")?).map(CardId).map_err(say)?;
    Ok(test)
}

/// Sends a command that is to be answered with 9000.
fn done(card: &mut Inserted<'_>, command: &[u8]) -> Outcome<Vec<u8>> {
    let answer = card.transmit(command);
    if let Some(failure) = card.failure() {
        return Err(failure.to_string());
    }
    ensure(answer.status() == 0x9000, || format!("{command:02X?}: {:04X}", answer.status()))?;
    Ok(answer.data().to_vec())
}

/// First cryptogram of a transaction, which asks the issuer; its results are checked under it.
fn first(card: &mut Inserted<'_>, test: &TestCard) -> Outcome<Generated> {
    let data = terminal_data(12_345, [0; 5], [0x2B, 0x29, 0xEB, 0xE4]);
    let asked = Generated::of(&card.transmit(&command(0x80, 0xAE, 0x80, 0, &data)))?;
    let right = test.cryptogram(asked.atc, &covered(&data, AIP, asked.atc, asked.cvr()));
    ensure(asked.cryptogram == right, || format!("{asked:02X?} has a wrong cryptogram"))?;
    Ok(asked)
}

/// A transaction that is completed online: the next one tells of no scripts.
fn complete(card: &mut Inserted<'_>, test: &TestCard) -> Outcome<()> {
    begin(card, test)?;
    let asked = first(card, test)?;
    let answer = test.answer(asked.atc, &asked.cryptogram, *b"00");
    done(card, &command(0x00, 0x82, 0, 0, &answer))?;
    let data = terminal_data(12_345, [0; 5], [0x2B, 0x29, 0xEB, 0xE4]);
    done(card, &command(0x80, 0xAE, 0x40, 0, &[&b"00"[..], &data].concat())).map(|_| ())
}

fn limits(upper: u8) -> Vec<u8> {
    vec![0x70, 8, 0x9F, 0x14, 1, LOWER, 0x9F, 0x23, 1, upper]
}

/// What a phase's script makes of what is there.
fn script(journal: &Journal, phase: &str) -> Outcome<Script> {
    let next = journal.get("script.new")?;
    let upper = || next.parse::<u8>().map_err(say);
    Ok(match phase {
        "put-data" => Script::PutData { tag: 0x9F23, value: vec![upper()?] },
        "update-record" => Script::UpdateRecord { sfi: LIMITS.0, number: LIMITS.1, data: limits(upper()?) },
        _ => Script::PinChange { new: next.into(), current: None },
    })
}

/// The fact that a phase changes, and the two values between which it goes.
fn fact(phase: &str) -> (&'static str, [&'static str; 2]) {
    match phase {
        "card-pin" => ("contact.pin", ["123456", "86420864"]),
        _ => ("contact.upper", ["5", "9"]),
    }
}

/// Brings about what a phase starts from, and notes it.
pub fn ready(journal: &mut Journal, lab: &Lab, wallet: &mut Device, phase: &str) -> Outcome<()> {
    if journal.get("contact").is_err() {
        let mut test = test_card(lab, ContactRules::default());
        let card = provision(lab, wallet, &mut test)?;
        let facts = ["card-pin", "put-data"].map(fact).map(|(name, [before, _])| (name, before.to_string()));
        journal.set(&facts)?;
        journal.set(&[("contact", card.to_string())])?;
    }
    let (name, values) = fact(phase);
    let now = journal.get(name)?;
    let next = values.into_iter().find(|value| *value != now).ok_or("nothing to change it to")?;
    journal.set(&[("script.new", next.into())])?;
    let test = test(journal, lab)?;
    let mut card = wallet.insert_card(test.order.card).map_err(say)?;
    complete(&mut card, &test)
}

/// Runs a phase with the cut armed: at the script, behind the cryptogram that it is for.
pub fn interrupted(
    journal: &mut Journal,
    lab: &Lab,
    wallet: &mut Device,
    phase: &str,
    line: &str,
) -> Outcome<()> {
    let test = test(journal, lab)?;
    let mut card = wallet.insert_card(test.order.card).map_err(say)?;
    begin(&mut card, &test)?;
    let asked = first(&mut card, &test)?;
    let script = test.script(asked.atc, &asked.cryptogram, &script(journal, phase)?);
    let script = script.map_err(|error| format!("{error:?}"))?;
    arm(line)?;
    done(&mut card, &script)?;
    journal.set(&[("begun", "finished".into())])
}

/// What must hold after a cut, or after a phase that came through: the script was obeyed, and the next cryptogram tells
/// the issuer so, or neither.
pub fn check(
    journal: &mut Journal,
    lab: &Lab,
    wallet: &mut Device,
    phase: &str,
    finished: bool,
) -> Outcome<()> {
    let (test, (name, _)) = (test(journal, lab)?, fact(phase));
    let (before, after) = (journal.get(name)?.to_string(), journal.get("script.new")?.to_string());
    let mut card = wallet.insert_card(test.order.card).map_err(say)?;
    begin(&mut card, &test)?;
    let record = done(&mut card, &command(0x00, 0xB2, LIMITS.1, LIMITS.0 << 3 | 4, &[]))?;
    let cvr = first(&mut card, &test)?.cvr();
    let obeyed = match cvr {
        // The transaction before was not completed in either case; one script or none.
        [0x03, 0xA0, 0x80, 0x10] => true,
        [0x03, 0xA0, 0x80, 0x00] => false,
        _ => return Err(format!("results {cvr:02X?}")),
    };
    ensure(obeyed || !finished, || "a script that was reported as obeyed is lost".into())?;
    let (now, other) = if obeyed { (after, before) } else { (before, after) };
    if phase == "card-pin" {
        // The other PIN is wrong, and costs one of all the tries; the right one gives it back.
        for (pin, status) in [(&other, 0x63C2), (&now, 0x9000)] {
            for command in [select(&test), options()] {
                done(&mut card, &command)?;
            }
            let answer = card.transmit(&verify(pin)).status();
            ensure(answer == status, || format!("{cvr:02X?}, and a PIN is answered with {answer:04X}"))?;
        }
    } else {
        let upper = now.parse().map_err(say)?;
        ensure(record == limits(upper), || format!("{cvr:02X?}, and the record is {record:02X?}"))?;
    }
    journal.set(&[(name, now)])
}
