//! What trustlets cost.

use super::{Outcome, Row, row, say, timed};
use crate::{
    raw::{As, Client, METHOD_SHAPE, OPEN_SHAPE, Session},
    trustlets::{
        bank::{Bank, draft, named},
        examples::{ask, module},
        modules,
    },
};
use measured::{Measure, Measured, Work};
use tapvault::{
    optee::{Login, Optee, OpteeChannel},
    trustlet::Trustlet,
};
use tapvault_proto::{service::Service, tvm::Progress};

const CONFORMANCE: [u8; 16] = super::CONFORMANCE;
/// Repetitions inside one call, so that the call itself does not count.
const TIMES: u16 = 50;

/// Opens a key at the first call, and MACs an empty text with it at every one.
fn native_call() -> Vec<u8> {
    modules::handler(
        "(if (i32.eqz (i32.load (i32.const 9000)))
            (then
                (drop (call $call (i32.const 3) (i32.const 0x0301) (i32.const 8192) (i32.const 4)
                    (i32.const 9004) (i32.const 100)))
                (i32.store (i32.const 9000) (i32.const 1))))
         (drop (call $call (i32.const 3) (i32.const 0x0304) (i32.const 9004) (i32.const 7)
            (i32.const 1024) (i32.const 100)))
         i32.const 32",
        // Label \"m\", HMAC; the handle comes to 9004, followed by a length of zero.
        "(data (i32.const 8192) \"\\00\\01m\\03\")",
    )
}

/// The rows of trustlets.
pub fn rows(rows: &mut Vec<Row>) -> Outcome<()> {
    let tee = Optee::connect(Login::User).map_err(say)?;
    let bank = Bank::lab("A");
    let empty = calls(rows, &tee, &bank)?;
    heavy(rows, &tee, &bank)?;
    slices(rows, &tee)?;
    ratios(rows, &tee, empty)
}

fn call_row(rows: &mut Vec<Row>, name: &'static str, trustlet: &mut Trustlet<OpteeChannel>) -> Outcome<u64> {
    let measured = row(name, 50, || {
        let (cost, reply) = timed(|| trustlet.call(b""));
        reply.map(|_| cost).map_err(|error| format!("{name}: {error}"))
    })?;
    let value = measured.1;
    rows.push(measured);
    Ok(value)
}

fn calls(rows: &mut Vec<Row>, tee: &Optee, bank: &Bank) -> Outcome<u64> {
    let mut empty = bank.run(tee, draft("empty", &[]), &modules::empty())?;
    let value = call_row(rows, "trustlet_empty", &mut empty)?;
    drop(empty);
    let mut native = bank.run(tee, draft("native", &[Service::Card]), &native_call())?;
    call_row(rows, "trustlet_service_call", &mut native)?;
    drop(native);
    let clock = modules::caller(Service::Clock as u32, 1, b"");
    let mut inside = bank.run(tee, draft("inside", &[Service::Clock]), &clock)?;
    call_row(rows, "trustlet_service_call_inside", &mut inside)?;
    Ok(value)
}

/// The steps that take longer than a slice, each of which has a rate quota.
fn heavy(rows: &mut Vec<Row>, tee: &Optee, bank: &Bank) -> Outcome<()> {
    for (name, service, module) in [
        ("trustlet_key_p256", Service::Card, modules::caller(3, 0x0301, b"\x00\x01p\x01")),
        ("trustlet_key_sm2", Service::Card, modules::caller(3, 0x0301, b"\x00\x01s\x02")),
        ("trustlet_store_write", Service::Store, modules::write()),
    ] {
        let mut wanted = draft("heavy", &[service]);
        wanted.store = 100;
        bank.install(tee, wanted, &module)?;
        rows.push(row(name, 20, || {
            // A new guest each time: keys are counted.
            let mut trustlet = bank.connect(tee)?.open(&named("heavy"), &module).map_err(say)?;
            let (cost, progress) = timed(|| trustlet.begin(b""));
            match progress.map_err(say)? {
                Progress::Yielded => Ok(cost),
                other => Err(format!("{name}: the slice went on: {other:?}")),
            }
        })?);
    }
    let transit = module("transit")?;
    bank.install(tee, draft("load", &[]), &transit)?;
    rows.push(row("trustlet_load", 20, || {
        let tvm = bank.connect(tee)?;
        let (cost, opened) = timed(|| tvm.open(&named("load"), &transit));
        opened.map(|_| cost).map_err(say)
    })?);
    Ok(())
}

/// The longest slice over modules that make the most of their fuel.
fn slices(rows: &mut Vec<Row>, tee: &Optee) -> Outcome<()> {
    let bank = Bank::lab("B");
    let grind = |body: &str, rest: &str| modules::handler(&format!("(loop {body} br 0) unreachable"), rest);
    let calls = "(func $f (param i32 i32 i32 i32) (result i32) (i32.add (local.get 0) (local.get 3)))";
    let mut worst = (0, "");
    for (name, module) in [
        ("a loop", modules::spin()),
        ("a storm of calls", modules::storm()),
        (
            "divisions",
            grind(
                "(drop (i64.rem_s (i64.const 0x7FFFFFFFFFFFFFF1) (i64.load (i32.const 0))))",
                "(data (i32.const 0) \"\\03\")",
            ),
        ),
        ("memory", grind("(i64.store (i32.const 4096) (i64.load (i32.const 60000)))", "")),
        (
            "functions",
            grind("(drop (call $f (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4)))", calls),
        ),
        (
            "indirect functions",
            grind("(call_indirect (i32.const 0))", "(table 1 1 funcref) (elem (i32.const 0) $g) (func $g)"),
        ),
        ("branches", grind("(block (block (block (br_table 0 1 2 (i32.load (i32.const 0))))))", "")),
    ] {
        let mut wanted = draft("slice", &[Service::Random]);
        wanted.fuel = 100_000_000;
        let mut trustlet = bank.run(tee, wanted, &module)?;
        trustlet.begin(b"").map_err(say)?;
        for _ in 0..50 {
            let (cost, progress) = timed(|| trustlet.resume(None));
            if progress.map_err(say)? != Progress::Yielded {
                return Err(format!("{name} ended"));
            }
            worst = worst.max((cost, name));
        }
    }
    rows.push(Row(
        "slice_max",
        worst.0,
        "instructions",
        format!("longest of 350 slices of 7 modules: {}", worst.1),
    ));
    Ok(())
}

/// Wasm against the same code native; hundredths.
fn ratios(rows: &mut Vec<Row>, tee: &Optee, empty: u64) -> Outcome<()> {
    let mut client = Client::new(As::User);
    let mut native = client.open(CONFORMANCE, OPEN_SHAPE).map_err(|code| format!("{code:X?}"))?;
    let bare = row("native", 50, || super::empty(&mut native))?.1;
    ratio(rows, "wasm_ratio_empty", empty, bare);
    let module = module("measured")?;
    let mut wanted = draft("measured", &[]);
    wanted.fuel = 100_000_000;
    let mut trustlet = Bank::lab("D").run(tee, wanted, &module)?;
    for (name, method, work) in [("wasm_ratio_tlv", 4, Work::Tlv), ("wasm_ratio_debit", 5, Work::Debit)] {
        let mut of = |times| -> Outcome<(u64, u64)> {
            let wasm = row("wasm", 50, || worked(&mut trustlet, work, times))?.1;
            Ok((wasm, row("native", 50, || natively(&mut native, method, times))?.1))
        };
        let (base, full) = (of(0)?, of(TIMES)?);
        ratio(rows, name, full.0 - base.0, full.1 - base.1);
    }
    Ok(())
}

fn worked(trustlet: &mut Trustlet<OpteeChannel>, work: Work, times: u16) -> Outcome<u64> {
    let (cost, answer) = timed(|| ask::<_, _, Measured>(trustlet, &Measure { work, times }));
    answer.map(|_| cost)
}

fn natively(session: &mut Session<'_>, method: u32, times: u16) -> Outcome<u64> {
    let (cost, answer) = timed(|| session.invoke(method, METHOD_SHAPE, &times.to_be_bytes(), 64));
    answer.map(|_| cost).map_err(|code| format!("{code:X?}"))
}

fn ratio(rows: &mut Vec<Row>, name: &'static str, wasm: u64, native: u64) {
    let hundredths = wasm * 100 / native.max(1);
    rows.push(Row(name, hundredths, "hundredths", format!("{wasm} instructions in Wasm, {native} native")));
}
