//! What a module costs: memory for parsing and running it stays within what is set aside for it, a fifth of
//! that left over, whatever is in it.
//!
//! A trusted app ends when one of wasmi's allocations fails, so the heap of a guest must never be too small.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panic"
)]

mod families;
mod heap;

use families::{FAMILIES, PAGES, compile, module};
use heap::{measure, within};
use tapvault_proto::{
    Error,
    id::{Caller, Party, Uuid, login},
};
use teei_hypervisor::{
    manifest::Limits,
    tvm::{
        check::{MAX_BODY, reserve},
        guest::{Guest, Stop},
    },
};

const LINEAR: usize = (PAGES as usize) << 16;
/// The least that a manifest can say, so that the stack leaves nothing over.
const LEAST: Limits = Limits { pages: PAGES, stack: 1024, depth: 1, fuel: 1_000_000 };
/// Sizes of modules. Lists double as they grow, so the odd ones cost most: each is the worst of a family.
const SIZES: [usize; 7] = [700, 1024, 4096, 4600, 11_300, 16_384, 65_536];
/// Lengths of functions.
const BODIES: [usize; 2] = [MAX_BODY - 200, 1000];

/// Bytes of the whole heap, as `ta/tvm` takes them.
fn whole(module: &[u8], limits: &Limits) -> usize {
    ((usize::from(limits.pages) << 16) + reserve(module.len(), limits)).next_multiple_of(4096)
}

/// Calls a guest until it is done, has failed or asks for a service.
fn run(guest: &mut Guest) -> Result<Stop, Error> {
    let from = Party::Client(Caller { login: login::USER, uuid: Uuid([1; 16]) });
    guest.call(&from, b"message")?;
    loop {
        guest.refuel()?;
        match guest.run()? {
            Stop::Slice => {}
            stop => return Ok(stop),
        }
    }
}

#[test]
fn every_module_that_keeps_the_rules_fits_and_leaves_a_fifth() {
    let mut too_much = Vec::new();
    for family in FAMILIES {
        let (mut least, mut at) = (f64::INFINITY, 0);
        for (size, body) in BODIES.into_iter().flat_map(|body| SIZES.map(|size| (size, body))) {
            // In short modules nothing comes of many functions; some families begin only above.
            let short = body < MAX_BODY - 200 && size < 65_536;
            let Some(module) = (!short).then(|| family.module(size, body)).flatten() else { continue };
            let (guest, cost) = measure(LINEAR, || Guest::load(&module, &LEAST).map(Box::new));
            assert!(guest.is_ok(), "{} of {size} bytes breaks a rule", family.name);
            drop(guest);
            let left = 1.0 - (cost.peak + module.len()) as f64 / reserve(module.len(), &LEAST) as f64;
            if left < least {
                (least, at) = (left, module.len());
            }
        }
        println!("{:40} {:5.1} % left of {at} bytes", family.name, 100.0 * least);
        if least < 0.2 {
            too_much.push(family.name);
        }
    }
    assert!(too_much.is_empty(), "{too_much:?}");
}

#[test]
fn every_module_loads_and_runs_in_a_heap_of_its_size() {
    for family in FAMILIES {
        for size in [1024, 4600, 16_400, 65_536] {
            let Some(module) = family.module(size, MAX_BODY - 200) else { continue };
            let outcome = within(whole(&module, &LEAST), || {
                let bytes = module.clone();
                let mut guest = Box::new(Guest::load(&bytes, &LEAST)?);
                drop(bytes);
                (0..3).try_for_each(|_| run(&mut guest).map(|stop| assert_eq!(stop, Stop::Done(0))))
            });
            assert_eq!(outcome, Ok(Ok(())), "{} of {size} bytes", family.name);
        }
    }
}

/// Modules that use up stack and frames, and how their call ends.
fn runners() -> Vec<(&'static str, Vec<u8>, Result<(), Error>)> {
    let handler = |body: &str, rest: &str| {
        let handle = r#"(param $len i32) (result i32) i32.const 0"#;
        compile(&module(rest).replace(handle, &format!("(param $len i32) (result i32) {body}")))
    };
    let locals = "i64 ".repeat(256);
    let recursive =
        "(func $again (param i32) (result i32) (call $again (i32.add (local.get 0) (i32.const 1))))";
    let wide = format!("(func $again (param i32) (result i32) (local {locals}) (call $again (local.get 0)))");
    let indirect = "(elem (i32.const 0) $again)
        (func $again (param i32) (result i32) (call_indirect (param i32) (result i32) (local.get 0) (i32.const 0)))";
    let asks = "(drop (call $call (i32.const 16) (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 99)))";
    let asking = format!("(func $again (param i32) (result i32) {asks} (call $again (local.get 0)))");
    let again = "(call $again (local.get $len))";
    let failed = Err(Error::TrustletFailed);
    vec![
        ("recursion", handler(again, recursive), failed),
        ("recursion with 256 locals", handler(again, &wide), failed),
        ("recursion through the table", handler(again, indirect), failed),
        ("recursion with a call of a service in each", handler(again, &asking), failed),
        ("slices without end", handler("(loop br 0) unreachable", ""), failed),
        (
            "slices in a deep frame",
            handler(again, &wide.replace("(call $again (local.get 0))", "(loop br 0) unreachable")),
            failed,
        ),
    ]
}

#[test]
fn stack_and_frames_stay_within_their_share() {
    for (name, module, expected) in runners() {
        for stack in [1024, 8192, 64 * 1024] {
            for depth in [1, 64, 65, 129, 256] {
                let limits = Limits { stack, depth, ..LEAST };
                let outcome = within(whole(&module, &limits), || {
                    let mut guest = Box::new(Guest::load(&module, &limits)?);
                    answered(&mut guest)
                });
                assert_eq!(outcome, Ok(expected), "{name}, stack {stack}, depth {depth}");
                let (_, loaded) = measure(LINEAR, || Guest::load(&module, &limits).map(Box::new));
                let (_, cost) = measure(LINEAR, || {
                    Guest::load(&module, &limits).map(Box::new).map(|mut guest| answered(&mut guest))
                });
                let share = reserve(module.len(), &limits) - reserve(module.len(), &LEAST)
                    + reserve(module.len(), &Limits { stack: 0, ..LEAST }) / 8;
                assert!(cost.peak - loaded.held <= share, "{name}, stack {stack}, depth {depth}: {cost:?}");
            }
        }
    }
}

/// Runs to the end, every call of a service answered.
fn answered(guest: &mut Guest) -> Result<(), Error> {
    let mut stop = run(guest)?;
    while let Stop::Call(call) = stop {
        guest.answer(&call, Ok(&[0; 64]), 500)?;
        guest.refuel()?;
        stop = loop {
            match guest.run()? {
                Stop::Slice => guest.refuel()?,
                stop => break stop,
            }
        };
    }
    Ok(())
}

#[test]
fn the_stack_is_counted_in_bytes() {
    let values = |count: usize| {
        let function = format!("(func $f256 (local {}))", "i64 ".repeat(count));
        compile(
            &module(&function).replace("(result i32) i32.const 0)", "(result i32) call $f256 i32.const 0)"),
        )
    };
    let limits = Limits { depth: 4, ..LEAST };
    let outcome = |module: &[u8]| run(&mut Guest::load(module, &limits).unwrap());
    assert_eq!(outcome(&values(100)), Ok(Stop::Done(0)));
    assert_eq!(outcome(&values(130)), Err(Error::TrustletFailed), "1024 bytes are 128 values");
}

#[test]
fn what_costs_out_of_proportion_is_refused() {
    let refused = |rest: &str| {
        let outcome = Guest::load(&compile(&module(rest)), &LEAST).map(|_| ());
        assert_eq!(outcome, Err(Error::ModuleInvalid), "{}", &rest[..rest.len().min(80)]);
    };
    let taken = |rest: &str| {
        let outcome = Guest::load(&compile(&module(rest)), &LEAST).map(|_| ());
        assert_eq!(outcome, Ok(()), "{}", &rest[..rest.len().min(80)]);
    };
    let operand = |count: usize| format!("(func {} {})", "i32.const 0 ".repeat(count), "drop ".repeat(count));
    taken(&operand(128));
    refused(&operand(129));
    let targets = |count: usize| format!("(func (param i32) local.get 0 br_table {} 0)", "0 ".repeat(count));
    taken(&targets(512));
    refused(&targets(513));
    let two = format!("(func (param i32) block {0} end {0})", "local.get 0 br_table 0 0 ".repeat(257));
    refused(&two);
    taken(&format!("(func {})", "nop ".repeat(MAX_BODY - 10)));
    refused(&format!("(func {})", "nop ".repeat(MAX_BODY)));
    // A block counts from what lies below it, and leaves what it says.
    taken(&format!("(func {} {})", "block (result i32) i32.const 0 ".repeat(60), "end drop ".repeat(60)));
    refused(&format!(
        "(func {} block {} end {})",
        "i32.const 0 ".repeat(100),
        "i32.const 0 ".repeat(29) + &"drop ".repeat(29),
        "drop ".repeat(100)
    ));
}

#[test]
fn what_a_count_promises_is_not_taken_before_it_is_there() {
    // Each section's first bytes: so many of something, and nothing behind it.
    let most: &[u8] = &[0x80, 0x80, 0x04];
    for (section, head) in [
        // Types: a group of types, parameters, results.
        (1, &[1, 0x4E][..]),
        (1, &[1, 0x60]),
        (1, &[1, 0x60, 0]),
        (1, &[]),
        (2, &[]),
        (3, &[]),
        (4, &[]),
        (5, &[]),
        (6, &[]),
        (7, &[]),
        // Elements: items of a segment.
        (9, &[1, 0, 0x41, 0, 0x0B]),
        (9, &[]),
        (10, &[]),
        (11, &[1, 0, 0x41, 0, 0x0B]),
        (11, &[]),
        (12, &[]),
        (13, &[]),
    ] {
        let content = [head, most, &[0; 8]].concat();
        let len = u8::try_from(content.len()).unwrap();
        let module = [&b"\0asm\x01\0\0\0"[..], &[section, len], &content].concat();
        let (outcome, cost) = measure(LINEAR, || Guest::load(&module, &LEAST).map(|_| ()));
        assert_eq!(outcome, Err(Error::ModuleInvalid), "section {section}, {head:02X?}");
        assert!(cost.peak < 16 * 1024, "section {section}, {head:02X?}: {cost:?}");
    }
}
