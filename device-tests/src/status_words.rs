//! The table of status words in `docs/card.md`, row by row, against a card.

use crate::{
    Outcome, ensure,
    lab::{self, say},
};
use tapvault::{Transport, Wallet};
use tapvault_proto::{
    emv::{AID_UNIONPAY_DEBIT, apdu::Command, gpo::PDOL_DATA_LEN},
    id::CardId,
};

const DOCUMENT: &str = include_str!("../../docs/card.md");

/// A row: what came before, the command, the status word.
type Row = (&'static str, Vec<u8>, u16);

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

fn rows() -> Outcome<Vec<Row>> {
    let (_, table) = DOCUMENT.split_once("| before | command | answer | |").ok_or("no table")?;
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    lines
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let mut cell = || cells.next().ok_or_else(|| format!("short: {line}"));
            let (before, text, answer) = (cell()?, cell()?, cell()?);
            let command = command(text.trim_matches('`')).map_err(|error| format!("{line}: {error}"))?;
            Ok((before, command, u16::from_str_radix(answer, 16).map_err(say)?))
        })
        .collect()
}

/// Walks the table.
///
/// # Errors
/// The first row that is not so.
pub fn walk<T: Transport>(wallet: &mut Wallet<T>, card: CardId) -> Outcome<()> {
    let rows = rows()?;
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
