//! What things cost, in instructions: under `-icount shift=0` a nanosecond of guest time is one.
//!
//! Method: a whole warm-up pass, then at least 50 repetitions (20 for what touches storage); the median,
//! with the minimum beside it. The store lies on tmpfs.

mod card;
mod interference;
mod payments;
mod pins;
mod ram;
mod trace;
mod trustlets;
mod waits;

pub use interference::{attack, busy, costs};
pub use ram::{cards, run as ram, tvms};
pub use waits::waits;

use crate::{
    Outcome,
    raw::{As, Client, METHOD_SHAPE, OPEN_SHAPE, Session},
};
use std::time::Instant;
use tapvault_proto::service::Service;

/// `cb3e5ba0-adf1-11e0-998b-0002a5d5c51b`: OP-TEE's own crypto test, a trusted app in C.
const C_TA: [u8; 16] = *b"\xcb\x3e\x5b\xa0\xad\xf1\x11\xe0\x99\x8b\x00\x02\xa5\xd5\xc5\x1b";
const CONFORMANCE: [u8; 16] = *b"\x7a\x9d\x1c\x7e\x3f\x3a\x4d\x0b\x9a\x55\x1f\x0c\x5f\x5e\x00\xc0";
/// A command no trusted app knows: refused at once, which is as empty as a command gets.
const UNKNOWN: u32 = 0x00FF_FFFF;

/// One row of the results.
struct Row(&'static str, u64, &'static str, String);

impl Row {
    fn print(&self) {
        let Row(name, value, unit, note) = self;
        println!("{{\"name\":\"{name}\",\"value\":{value},\"unit\":\"{unit}\",\"note\":\"{note}\"}}");
    }
}

/// Measures `once` and gives the row; `once` returns the instructions of the part that counts.
fn row(name: &'static str, repetitions: usize, mut once: impl FnMut() -> Outcome<u64>) -> Outcome<Row> {
    for _ in 0..repetitions {
        once()?;
    }
    let mut costs = (0..repetitions).map(|_| once()).collect::<Outcome<Vec<_>>>()?;
    costs.sort_unstable();
    let note = format!("median of {repetitions}, minimum {}", costs[0]);
    Ok(Row(name, costs[repetitions / 2], "instructions", note))
}

fn timed<R>(act: impl FnOnce() -> R) -> (u64, R) {
    let start = Instant::now();
    let result = act();
    (u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX), result)
}

fn empty(session: &mut Session<'_>) -> Outcome<u64> {
    let (cost, answer) = timed(|| session.invoke(UNKNOWN, METHOD_SHAPE, &[], 64));
    if answer.is_ok() { Err("an unknown command was answered".into()) } else { Ok(cost) }
}

fn say<E: std::fmt::Display>(error: E) -> String {
    error.to_string()
}

/// Entries into the secure world while `act` runs, tee-supplicant's included.
fn switches(act: impl FnOnce() -> Outcome<()>) -> Outcome<u64> {
    trace::record(&[trace::ENTRIES], act).map(|events| events.len() as u64)
}

/// Prints every row as a line of JSON; with `pins` only those of the PIN, and of what it is held against.
///
/// # Errors
/// What failed.
pub fn run(pins: bool) -> Outcome<()> {
    let mut rows = Vec::new();
    let mut client = Client::new(As::User);
    {
        let mut session =
            client.open(C_TA, OPEN_SHAPE).map_err(|code| format!("C trusted app: {code:X?}"))?;
        rows.push(row("invoke_empty_c", 50, || empty(&mut session))?);
    }
    {
        let mut session = client.open(CONFORMANCE, OPEN_SHAPE).map_err(|code| format!("{code:X?}"))?;
        rows.push(row("invoke_empty_rust", 50, || empty(&mut session))?);
        for (name, method) in [("storage_read", 2), ("storage_write", 3)] {
            rows.push(row(name, 20, || {
                let (cost, answer) = timed(|| session.invoke(method, METHOD_SHAPE, &[1], 64));
                answer.map(|_| cost).map_err(|code| format!("{name}: {code:X?}"))
            })?);
        }
    }
    for (name, uuid) in [("session_open_direct", CONFORMANCE), ("session_open_teei", Service::Pin.uuid().0)] {
        rows.push(row(name, 50, || {
            let (cost, session) = timed(|| client.open(uuid, OPEN_SHAPE));
            session.map(|_| cost).map_err(|code| format!("{name}: {code:X?}"))
        })?);
    }
    {
        let mut session = client.open_service(Service::Card).map_err(|code| format!("{code:X?}"))?;
        rows.push(row("invoke_empty_teei", 50, || empty(&mut session))?);
    }
    if pins {
        card::pins(&mut rows)?;
    } else {
        card::rows(&mut rows)?;
        payments::rows(&mut rows)?;
        trustlets::rows(&mut rows)?;
    }
    rows.iter().for_each(Row::print);
    Ok(())
}
