//! What things cost, in instructions: under `-icount shift=0` a nanosecond of guest time is one.
//!
//! Method: a whole warm-up pass, then at least 50 repetitions (20 for what touches storage); the median,
//! with the minimum beside it. The store lies on tmpfs.

use crate::{
    Outcome,
    lab::{Digits, Lab, PIN, gpo_command},
    raw::{As, Client, METHOD_SHAPE, OPEN_SHAPE, Session},
};
use std::{fs, time::Instant};
use tapvault::{
    Transport, Wallet,
    optee::{Login, Optee},
    transport::call,
    wallet::Purpose,
};
use tapvault_proto::{
    card::{TapGpoRequest, TapPrepareRequest},
    emv::AID_UNIONPAY_DEBIT,
    id::CardId,
    service::Service,
    wire::Bytes,
};

/// `cb3e5ba0-adf1-11e0-998b-0002a5d5c51b`: OP-TEE's own crypto test, a trusted app in C.
const C_TA: [u8; 16] = *b"\xcb\x3e\x5b\xa0\xad\xf1\x11\xe0\x99\x8b\x00\x02\xa5\xd5\xc5\x1b";
const CONFORMANCE: [u8; 16] = *b"\x7a\x9d\x1c\x7e\x3f\x3a\x4d\x0b\x9a\x55\x1f\x0c\x5f\x5e\x00\xc0";
/// `PTA_STATS_UUID`, and its command for the allocation pools.
const STATS: [u8; 16] = *b"\xd9\x6a\x5b\x40\xe2\xc7\xb1\xaf\x87\x94\x10\x02\xa5\xd5\xc6\x1b";
const ALLOC_STATS: u32 = 1;
/// A command no trusted app knows: refused at once, which is as empty as a command gets.
const UNKNOWN: u32 = 0x00FF_FFFF;
const TRACING: &str = "/sys/kernel/tracing";

/// One row of the results.
struct Row(&'static str, u64, &'static str, String);

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

/// Prints every row as a line of JSON.
///
/// # Errors
/// What failed.
pub fn run() -> Outcome<()> {
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
            let (cost, session) = timed(|| client.open(uuid, OPEN_SHAPE).map(drop));
            session.map(|()| cost).map_err(|code| format!("{name}: {code:X?}"))
        })?);
    }
    {
        let mut session = client.open_service(Service::Card).map_err(|code| format!("{code:X?}"))?;
        rows.push(row("invoke_empty_teei", 50, || empty(&mut session))?);
    }
    card_rows(&mut rows)?;
    for Row(name, value, unit, note) in rows {
        println!("{{\"name\":\"{name}\",\"value\":{value},\"unit\":\"{unit}\",\"note\":\"{note}\"}}");
    }
    Ok(())
}

fn card_rows(rows: &mut Vec<Row>) -> Outcome<()> {
    let mut lab = Lab::new()?;
    let mut wallet = Wallet::new(Optee::connect(Login::User).map_err(say)?);
    let card = lab.provision(&mut wallet)?;
    lab.set_pin(&mut wallet, PIN)?;

    let purpose = Purpose { card, ceiling: 100_000, currency: 0x0156 };
    let provider = lab.provider_id();
    rows.push(row("pin_verify", 20, || {
        let (cost, done) = timed(|| wallet.verify_pin(provider, purpose, &mut Digits::of(&[PIN])));
        done.map(|()| cost).map_err(say)
    })?);

    let mut channel = Optee::connect(Login::User).and_then(|tee| tee.connect(Service::Card)).map_err(say)?;
    let prepare = TapPrepareRequest { card, verified: false };
    let gpo = |channel: &mut _| {
        let (cost, reply) = timed(|| call(channel, &gpo_request(card)));
        let response = reply.map_err(say)?.response;
        if response.ends_with(&[0x90, 0x00]) { Ok(cost) } else { Err(format!("{response:02X?}")) }
    };
    // A range lasts 16 taps: the row is the call that reserves one.
    rows.push(row("tap_prepare", 20, || {
        let taps = call(&mut channel, &prepare).map_err(say)?.taps;
        for _ in 0..taps {
            gpo(&mut channel)?;
        }
        let (cost, reply) = timed(|| call(&mut channel, &prepare));
        reply.map(|_| cost).map_err(say)
    })?);
    rows.push(row("tap_gpo_intl", 50, || {
        call(&mut channel, &prepare).map_err(say)?;
        gpo(&mut channel)
    })?);

    let mut fewest = u64::MAX;
    for _ in 0..20 {
        call(&mut channel, &prepare).map_err(say)?;
        fewest = fewest.min(switches(|| gpo(&mut channel).map(|_| ()))?);
    }
    rows.push(Row(
        "tap_world_switches",
        fewest,
        "count",
        "minimum of 20, tracepoint optee_invoke_fn_begin".into(),
    ));
    Ok(())
}

fn gpo_request(card: CardId) -> TapGpoRequest {
    TapGpoRequest {
        card,
        aid: Bytes::from_iter(AID_UNIONPAY_DEBIT),
        command: Bytes::from_iter(gpo_command(100, false)),
    }
}

/// Entries into the secure world while `act` runs, tee-supplicant's included.
fn switches(act: impl FnOnce() -> Outcome<()>) -> Outcome<u64> {
    let write = |file: &str, text: &str| {
        let path = format!("{TRACING}/{file}");
        fs::write(&path, text).map_err(|error| format!("{path}: {error}"))
    };
    write("events/optee/optee_invoke_fn_begin/enable", "1")?;
    write("trace", "")?;
    let done = act();
    write("events/optee/optee_invoke_fn_begin/enable", "0")?;
    done?;
    let trace = fs::read_to_string(format!("{TRACING}/trace")).map_err(say)?;
    Ok(trace.lines().filter(|line| line.contains("optee_invoke_fn_begin:")).count() as u64)
}

/// Prints what each trusted app adds to the secure RAM in use: loads them one after the other, callees
/// first, in a machine where none is loaded.
///
/// # Errors
/// What failed.
pub fn ram() -> Outcome<()> {
    let mut before = in_use()?;
    for service in [Service::Supervisor, Service::Pin, Service::Card] {
        // Refused here (this user is in no policy yet); a keep-alive trusted app stays all the same.
        let refused = Client::new(As::User).open_service(service).is_err();
        let after = in_use()?;
        let grown = after.checked_sub(before).filter(|bytes| *bytes > 0);
        let bytes = grown.ok_or_else(|| format!("{service:?} did not load (refused: {refused})"))?;
        println!(
            "{{\"name\":\"ta_ram_{}\",\"value\":{bytes},\"unit\":\"bytes\",\"note\":\"growth of the stats PTA's pool for trusted apps when it loads\"}}",
            service.name()
        );
        before = after;
    }
    Ok(())
}

/// Bytes of secure RAM that trusted apps hold.
fn in_use() -> Outcome<u64> {
    const VALUE_INPUT: u32 = 1;
    const RECORD: usize = 56;
    let mut client = Client::new(As::User);
    client.value = (0, 0);
    let mut session = client.open(STATS, OPEN_SHAPE).map_err(|code| format!("stats PTA: {code:X?}"))?;
    let types = [VALUE_INPUT, METHOD_SHAPE[1], OPEN_SHAPE[0], OPEN_SHAPE[0]];
    let len = session.invoke(ALLOC_STATS, types, &[], 4096).map_err(|code| format!("stats: {code:X?}"))?;
    let reply = session.reply(len);
    for record in reply.chunks_exact(RECORD) {
        let name: String =
            record[..32].iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
        if name.contains("TA memory") || name.contains("TA RAM") || name.contains("TA_RAM") {
            return Ok(u64::from(u32::from_le_bytes([record[32], record[33], record[34], record[35]])));
        }
    }
    Err(format!("no pool for trusted apps in {}", String::from_utf8_lossy(&reply)))
}
