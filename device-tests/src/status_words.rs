//! The tables of status words in `docs/card.md`, row by row, against a card and a contact test profile.

use crate::{
    Outcome,
    contact::{self, Generated},
    ensure,
    lab::{self, say},
};
use tapvault::{Channel, ContactCard, Transport, Wallet};
use tapvault_network::contact::{Script, TestCard};
use tapvault_proto::{
    emv::{AID_UNIONPAY_DEBIT, apdu::Command, gpo::PDOL_DATA_LEN},
    id::CardId,
};

const DOCUMENT: &str = include_str!("../../docs/card.md");

/// A row: what came before, the command, the status word.
type Row<C> = (&'static str, C, u16);

/// GET PROCESSING OPTIONS of 1.00 CNY with these terminal transaction qualifiers.
fn gpo(ttq: &str) -> Outcome<Vec<u8>> {
    let mut data = lab::terminal_data(100, false);
    data[..4].copy_from_slice(&hex::decode(ttq).map_err(say)?);
    let body = [&[0x83, PDOL_DATA_LEN as u8], &data[..]].concat();
    Ok(Command { cla: 0x80, ins: 0xA8, p1: 0, p2: 0, data: &body }.to_bytes().to_vec())
}

fn command(text: &str) -> Outcome<Vec<u8>> {
    if text == "(nothing)" {
        return Ok(Vec::new());
    }
    let Some(rest) = text.strip_prefix("GPO(") else { return hex::decode(text).map_err(say) };
    let (ttq, ending) = rest.split_once(')').ok_or("no )")?;
    let mut command = gpo(ttq)?;
    match ending {
        "" => {}
        "-Le" => drop(command.pop()),
        other => return Err(format!("no ending {other}")),
    }
    Ok(command)
}

/// The rows of the table under this head, the commands by `parse`.
fn rows<C>(head: &str, parse: impl Fn(&'static str) -> Outcome<C>) -> Outcome<Vec<Row<C>>> {
    let (_, table) = DOCUMENT.split_once(head).ok_or("no table")?;
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    lines
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let mut cell = || cells.next().ok_or_else(|| format!("short: {line}"));
            let (before, text, answer) = (cell()?, cell()?, cell()?);
            let command = parse(text.trim_matches('`')).map_err(|error| format!("{line}: {error}"))?;
            Ok((before, command, u16::from_str_radix(answer, 16).map_err(say)?))
        })
        .collect()
}

/// Walks the table.
///
/// # Errors
/// The first row that is not so.
pub fn walk<T: Transport>(wallet: &mut Wallet<T>, card: CardId) -> Outcome<()> {
    let rows = rows("| before | command | answer | |", command)?;
    ensure(rows.len() > 50, || format!("only {} rows", rows.len()))?;
    for (before, command, expected) in rows {
        let mut tap = wallet.prepare_tap(card, false).map_err(say)?;
        let select =
            Command { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: &AID_UNIONPAY_DEBIT }.to_bytes().to_vec();
        let first: &[Vec<u8>] = match before {
            "idle" => &[],
            "selected" => &[select],
            "paid" => &[select, gpo("20800000")?],
            other => return Err(format!("nothing is called {other}")),
        };
        for command in first {
            let status = tap.transmit(command).status();
            ensure(status == 0x9000, || format!("before: {status:04X}"))?;
        }
        let response = tap.transmit(&command);
        let status = response.status();
        ensure(status == expected, || format!("{before}, {command:02X?}: {status:04X}, not {expected:04X}"))?;
        ensure(status == 0x9000 || response.data().is_empty(), || {
            format!("{command:02X?}: refused with data")
        })?;
    }
    Ok(())
}

/// A contact command of the table, for the test profile and what it gave in this transaction.
fn contact_command(text: &str, test: &TestCard, asked: Option<&Generated>) -> Outcome<Vec<u8>> {
    let called = text.strip_suffix(')').and_then(|text| text.split_once('('));
    let Some((name, argument)) = called.filter(|(name, _)| !name.is_empty()) else { return command(text) };
    let argument_byte = || u8::from_str_radix(argument, 16).map_err(say);
    let data = contact::terminal_data(100, [0; 5], [1, 2, 3, 4]);
    let online = || asked.ok_or("no cryptogram yet");
    match name {
        "VERIFY" => Ok(contact::verify(argument)),
        "GAC1" => Ok(contact::command(0x80, 0xAE, argument_byte()?, 0, &data)),
        "GAC2" => Ok(contact::command(0x80, 0xAE, argument_byte()?, 0, &[b"00", &data[..]].concat())),
        "ANSWER" => {
            let asked = online()?;
            let arc = argument.as_bytes().try_into().map_err(say)?;
            Ok(contact::command(0x00, 0x82, 0, 0, &test.answer(asked.atc, &asked.cryptogram, arc)))
        }
        "SCRIPT" => {
            let script = match argument {
                "application block" => Script::ApplicationBlock,
                "application unblock" => Script::ApplicationUnblock,
                "PIN unblock" => Script::PinUnblock,
                "PIN change" => Script::PinChange { new: test.rules.pin.clone(), current: None },
                other if other.starts_with("04DA") || other.starts_with("04DC") => named(other)?,
                other => return Err(format!("no script {other}")),
            };
            let asked = online()?;
            test.script(asked.atc, &asked.cryptogram, &script).map_err(say)
        }
        other => Err(format!("nothing is called {other}")),
    }
}

/// The script of a header of PUT DATA or UPDATE RECORD and its data, without Lc.
fn named(text: &str) -> Outcome<Script> {
    let bytes = hex::decode(text).map_err(say)?;
    match &bytes[..] {
        [0x04, 0xDA, high, low, value @ ..] => {
            Ok(Script::PutData { tag: u16::from_be_bytes([*high, *low]), value: value.to_vec() })
        }
        [0x04, 0xDC, number, place, data @ ..] => {
            Ok(Script::UpdateRecord { sfi: place >> 3, number: *number, data: data.to_vec() })
        }
        _ => Err(format!("no script {text}")),
    }
}

/// What a contact terminal did before: the commands of every stage up to this.
const STAGES: [(&str, &[&str]); 7] = [
    ("idle", &[]),
    ("environment", &["00A404000E315041592E5359532E444446303100"]),
    ("selected", &["00A4040008A00000033301010100"]),
    ("begun", &["00A4040008A00000033301010100", "80A8000002830000"]),
    ("asked", &["00A4040008A00000033301010100", "80A8000002830000", "GAC1(80)"]),
    ("answered", &["00A4040008A00000033301010100", "80A8000002830000", "GAC1(80)", "ANSWER(00)"]),
    ("ended", &["00A4040008A00000033301010100", "80A8000002830000", "GAC1(80)", "ANSWER(00)", "GAC2(40)"]),
];

fn send<C: Channel>(
    card: &mut ContactCard<'_, C>,
    test: &TestCard,
    text: &str,
    asked: &mut Option<Generated>,
) -> Outcome<u16> {
    let response = card.transmit(&contact_command(text, test, asked.as_ref())?);
    if text.starts_with("GAC1") && response.status() == 0x9000 {
        *asked = Some(Generated::of(&response)?);
    }
    ensure(matches!(response.status(), 0x9000 | 0x6283) || response.data().is_empty(), || {
        format!("{text}: refused with data")
    })?;
    Ok(response.status())
}

/// Walks the table of contact commands.
///
/// # Errors
/// The first row that is not so.
pub fn walk_contact<T: Transport>(wallet: &mut Wallet<T>, id: CardId, test: &TestCard) -> Outcome<()> {
    let rows = rows("| contact, before | command | answer | |", Ok)?;
    ensure(rows.len() > 60, || format!("only {} rows", rows.len()))?;
    let mut card = wallet.insert_card(id).map_err(say)?;
    for (before, text, expected) in rows {
        card.reset().map_err(say)?;
        let mut asked = None;
        let stage = STAGES.iter().find(|(name, _)| *name == before);
        let (_, commands) = stage.ok_or_else(|| format!("nothing is called {before}"))?;
        for command in *commands {
            let status = send(&mut card, test, command, &mut asked)?;
            ensure(matches!(status, 0x9000 | 0x6283), || {
                format!("before {before}: {command}: {status:04X}")
            })?;
        }
        let status = send(&mut card, test, text, &mut asked)?;
        ensure(status == expected, || format!("{before}, {text}: {status:04X}, not {expected:04X}"))?;
    }
    Ok(())
}
