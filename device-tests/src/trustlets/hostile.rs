//! The hostile provider: modules for every attack, and what must come of each.

use super::{
    bank::{Bank, answer, draft, named, refused, result},
    modules::{self, BUFFER, compile, handler},
};
use crate::{Outcome, ensure, lab::say};
use tapvault::{Transport, maker::identity};
use tapvault_proto::{Error, id::Party, service::Service, wire::Wire};

/// Length of the sender in front of a client's message.
#[must_use]
pub fn head() -> u32 {
    let mut bytes = [0; Party::MAX];
    let sender = Party::Client(identity::user(0));
    u32::try_from(tapvault_proto::wire::encode_into(&sender, &mut bytes).unwrap_or(0)).unwrap_or(0)
}

/// Traps, recursion, lies about the reply: the call fails, the next session does not.
pub fn a_guest_that_traps_fails_alone<T: Transport>(make: &dyn Fn() -> T) -> Outcome<()> {
    let (transport, bank, neighbour) = (make(), Bank::lab("C"), Bank::lab("F"));
    let victim = modules::empty();
    let mut beside = neighbour.run(&transport, draft("beside", &[]), &victim)?;
    for (body, rest, error) in [
        ("unreachable", "", Error::TrustletFailed),
        ("(i32.div_u (i32.const 1) (i32.const 0))", "", Error::TrustletFailed),
        ("(i32.load (i32.const -4))", "", Error::TrustletFailed),
        (
            "(call $again (local.get $len))",
            "(func $again (param i32) (result i32) (call $again (local.get 0)))",
            Error::TrustletFailed,
        ),
        ("(call_indirect (result i32) (i32.const 7))", "(table 1 1 funcref)", Error::TrustletFailed),
        ("i32.const -1", "", Error::TrustletRefused),
        ("i32.const 1025", "", Error::TrustletRefused),
        ("i32.const 2147483647", "", Error::TrustletRefused),
    ] {
        let module = handler(body, rest);
        let mut trustlet = bank.run(&transport, draft("trap", &[]), &module)?;
        refused(trustlet.call(b"x"), error).map_err(|message| format!("{body}: {message}"))?;
        if error == Error::TrustletFailed {
            refused(trustlet.call(b"x"), Error::NotReady)?;
        }
        ensure(beside.call(b"").map_err(say)? == [7], || format!("{body} hurt a neighbour"))?;
    }
    // Growing is refused to the guest, not fatal to it.
    let grow = handler("(i32.store (i32.const 1024) (memory.grow (i32.const 1))) i32.const 4", "");
    let reply = bank.run(&transport, draft("trap", &[]), &grow)?.call(b"").map_err(say)?;
    ensure(reply == [0xFF; 4], || format!("memory grew: {reply:02X?}"))
}

/// Addresses and lengths a guest gives are held against its memory.
pub fn a_pointer_outside_memory_is_refused<T: Transport>(make: &dyn Fn() -> T) -> Outcome<()> {
    let (transport, bank) = (make(), Bank::lab("C"));
    let module = modules::relay(head());
    let mut trustlet = bank.run(&transport, draft("pointer", &[Service::Random]), &module)?;
    let mut call = |words: [i64; 6]| -> Outcome<_> {
        let message: Vec<u8> = words.iter().flat_map(|word| (*word as u32).to_le_bytes()).collect();
        result(&trustlet.call(&message).map_err(say)?)
    };
    let end = 65_536;
    // One byte, the count of a draw, lies zero in memory: draws nothing.
    ensure(call([0x10, 1, 9000, 1, 9000, 100])?.is_ok(), || "a good call".into())?;
    for (at, len, error) in [
        (end, 1, Error::OutOfBounds),
        (end - 1, 2, Error::OutOfBounds),
        (0, end + 1, Error::OutOfBounds),
        (-1, 1, Error::OutOfBounds),
        (-1, -1, Error::OutOfBounds),
        (16, -16, Error::OutOfBounds),
        (0, 385, Error::BadParameters),
        (0, end, Error::BadParameters),
        (0, 0, Error::BadParameters),
    ] {
        let answer = call([0x10, 1, at, len, 9000, 100])?;
        ensure(answer == Err(error), || format!("request {at} {len}: {answer:?}"))?;
    }
    for (at, len) in [(end, 1), (end - 1, 2), (-1, -1), (-4, 8), (16, -16)] {
        let answer = call([0x10, 1, 9000, 1, at, len])?;
        ensure(answer == Err(Error::OutOfBounds), || format!("reply {at} {len}: {answer:?}"))?;
    }
    let short = call([0x10, 1, 9000, 1, 9000, 1])?;
    ensure(short == Err(Error::ShortBuffer), || format!("a short reply: {short:?}"))?;
    // Reply over the buffer and over the request: nothing but the guest's own bytes.
    ensure(call([0x10, 1, 9000, 1, 9000, 2])?.is_ok(), || "overlapping".into())?;
    ensure(call([0x10, 1, i64::from(BUFFER), 1, 0, 100])?.is_ok(), || "the buffer itself".into())
}

/// Services that were not asked for, methods of clients and of trusted apps, numbers that are none.
pub fn a_service_outside_the_manifest_is_refused<T: Transport>(make: &dyn Fn() -> T) -> Outcome<()> {
    let (transport, bank) = (make(), Bank::lab("C"));
    let module = modules::relay(head());
    let mut trustlet = bank.run(&transport, draft("service", &[Service::Random, Service::Card]), &module)?;
    let mut call = |service: u32, method: u32| -> Outcome<_> {
        let words = [service, method, 9000, 1, 9000, 400];
        let message: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        result(&trustlet.call(&message).map_err(say)?)
    };
    for service in [0, 1, 4, 5, 0x0F, 0x16, 0x7F, 0xFF, 0x100, 0x110, u32::MAX] {
        for method in [0, 1, 0x0101, 0x0301, u32::MAX] {
            let answer = call(service, method)?;
            ensure(answer == Err(Error::UnknownMethod), || format!("{service:X} {method:X}: {answer:?}"))?;
        }
    }
    for service in [Service::Store, Service::Log, Service::Clock, Service::Network, Service::Element] {
        let answer = call(service as u32, 1)?;
        ensure(answer == Err(Error::NotInManifest), || format!("{service:?}: {answer:?}"))?;
    }
    let pin = call(Service::Pin as u32, 0x0301)?;
    ensure(pin == Err(Error::NotInManifest), || format!("pin: {pin:?}"))?;
    // What a wallet, a client or a trusted app may is none of a trustlet's.
    for info in Service::Card.methods().iter().filter(|info| info.id < 0x0300) {
        let answer = call(Service::Card as u32, info.id)?;
        ensure(answer == Err(Error::UnknownMethod), || format!("{}: {answer:?}", info.name))?;
    }
    Ok(())
}

/// A handle is good for the guest it was given to, until it is closed.
pub fn a_foreign_handle_names_nothing<T: Transport>(make: &dyn Fn() -> T) -> Outcome<()> {
    let (transport, bank, victim) = (make(), Bank::lab("C"), Bank::lab("F"));
    let module = modules::caller(3, 0x0301, b"\x00\x01m\x03");
    let mut owner = victim.run(&transport, draft("owner", &[Service::Card]), &module)?;
    let handle = answer(&mut owner)?.map_err(say)?[..5].to_vec();
    let theft = modules::relay(head());
    let mut thief = bank.run(&transport, draft("thief", &[Service::Card]), &theft)?;
    // The message is the request as well: a handle and an empty text, behind the six numbers.
    let mut steal = |handle: &[u8]| -> Outcome<_> {
        let request = [handle, &[0, 0]].concat();
        let at = BUFFER + head() + 24;
        let words = [3, 0x0304, at, request.len() as u32, 9000, 400];
        let mut message: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
        message.extend(&request);
        result(&thief.call(&message).map_err(say)?)
    };
    ensure(steal(&handle)? == Err(Error::UnknownHandle), || "a foreign handle was good".into())?;
    for index in 0..=255_u8 {
        let mut guess = handle.clone();
        guess[0] = index;
        ensure(steal(&guess)? == Err(Error::UnknownHandle), || format!("handle {index}"))?;
    }
    Ok(())
}

/// Storage, handles, signatures: a flood meets its own provider's quota and nobody else's.
pub fn a_flood_ends_at_the_quota<T: Transport>(make: &dyn Fn() -> T) -> Outcome<()> {
    let (transport, bank, victim) = (make(), Bank::lab("C"), Bank::lab("F"));
    let keys = modules::caller(3, 0x0301, b"\x00\x01m\x03");
    let mut flood = bank.run(&transport, draft("keys", &[Service::Card]), &keys)?;
    let opened = count(|| answer(&mut flood))?;
    ensure(opened == 8, || format!("{opened} keys"))?;
    drop(flood);
    // All of them closed with the session.
    let mut again = bank.connect(&transport)?.open(&named("keys"), &keys).map_err(say)?;
    ensure(count(|| answer(&mut again))? == 8, || "handles were left behind".into())?;
    let mut beside = victim.run(&transport, draft("keys", &[Service::Card]), &keys)?;
    ensure(answer(&mut beside)?.is_ok(), || "a neighbour got no key".into())?;

    let value = [&b"\x00\x01k\x01\x00\xFF"[..], &[7; 255]].concat();
    let mut small = draft("store", &[Service::Store]);
    small.store = 100;
    let mut store = bank.run(&transport, small, &modules::caller(0x13, 2, &value))?;
    let full = answer(&mut store)?;
    ensure(full == Err(Error::ProviderQuota), || format!("a value over the quota: {full:?}"))
}

/// Counts calls until the quota is used up.
fn count(mut call: impl FnMut() -> Outcome<Result<Vec<u8>, Error>>) -> Outcome<u32> {
    for done in 0..1000 {
        match call()? {
            Ok(_) => {}
            Err(Error::ProviderQuota) => return Ok(done),
            Err(error) => return Err(format!("{error:?}")),
        }
    }
    Err("it does not end".into())
}

/// Shapes that the checks exist for, each the smallest that is too much.
pub fn modules_beyond_the_rules_are_refused<T: Transport>(make: &dyn Fn() -> T) -> Outcome<()> {
    let (transport, bank) = (make(), Bank::lab("G"));
    let exports = "(func (export \"trustlet_buffer\") (result i32) i32.const 1024)
        (func (export \"trustlet_handle\") (param i32) (result i32) i32.const 0)";
    let memory = "(memory (export \"memory\") 1 1)";
    let with = |rest: &str| compile(&format!("(module {memory} {exports} {rest})"));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("no module", b"\0asm".to_vec()),
        ("garbage", vec![0xFF; 64]),
        ("no memory", compile(&format!("(module {exports})"))),
        ("a memory that grows", compile(&format!("(module (memory (export \"memory\") 1 2) {exports})"))),
        ("a memory without end", compile(&format!("(module (memory (export \"memory\") 1) {exports})"))),
        (
            "more memory than its limit",
            compile(&format!("(module (memory (export \"memory\") 2 2) {exports})")),
        ),
        ("no exports", compile(&format!("(module {memory})"))),
        (
            "an export of another type",
            compile(&format!(
                "(module {memory}
            (func (export \"trustlet_buffer\") (result i32) i32.const 0)
            (func (export \"trustlet_handle\") (result i32) i32.const 0))"
            )),
        ),
        (
            "a buffer outside memory",
            compile(&format!(
                "(module {memory}
            (func (export \"trustlet_buffer\") (result i32) i32.const 65000)
            (func (export \"trustlet_handle\") (param i32) (result i32) i32.const 0))"
            )),
        ),
        (
            "a buffer that is never found",
            compile(&format!(
                "(module {memory}
            (func (export \"trustlet_buffer\") (result i32) (loop br 0) unreachable)
            (func (export \"trustlet_handle\") (param i32) (result i32) i32.const 0))"
            )),
        ),
        ("a start function", with("(func $f) (start $f)")),
        ("floats", with("(func (param f32))")),
        ("bulk memory", with("(func (memory.fill (i32.const 0) (i32.const 0) (i32.const 9)))")),
        ("several results", with("(func (result i32 i32) i32.const 0 i32.const 0)")),
        ("SIMD", with("(func (drop (v128.const i32x4 0 0 0 0)))")),
        ("tail calls", with("(func $f (return_call $f))")),
        (
            "another import",
            compile(&format!("(module (import \"env\" \"abort\" (func)) {memory} {exports})")),
        ),
        (
            "an import of another type",
            compile(&format!("(module (import \"teei\" \"call\" (func)) {memory} {exports})")),
        ),
        (
            "two imports",
            compile(&format!(
                "(module (import \"teei\" \"call\" (func)) (import \"teei\" \"call\" (func)) {memory} {exports})"
            )),
        ),
        ("data outside memory", with("(data (i32.const 65536) \"x\")")),
        (
            "129 types",
            with(
                &(0..129)
                    .map(|i| format!("(type (func (param {})))", "i32 ".repeat(i % 32)))
                    .collect::<String>(),
            ),
        ),
        ("257 locals", with(&format!("(func {})", "(local i32)".repeat(257)))),
        ("65 blocks deep", with(&format!("(func {} {})", "block ".repeat(65), "end ".repeat(65)))),
        ("33 parameters", with(&format!("(func {})", "(param i32)".repeat(33)))),
        ("33 globals", with(&"(global i32 (i32.const 0))".repeat(33))),
        ("17 exports", with(&(0..17).map(|i| format!("(export \"e{i}\" (memory 0))")).collect::<String>())),
        ("65 segments", with(&"(data (i32.const 0) \"\")".repeat(65))),
        ("a table of 257", with("(table 257 257 funcref)")),
        ("1025 functions", with(&"(func)".repeat(1025))),
    ];
    for (what, module) in cases {
        bank.install(&transport, draft("shape", &[]), &module).map_err(|error| format!("{what}: {error}"))?;
        let opened = bank.connect(&transport)?.open(&named("shape"), &module).map(|_| ());
        refused(opened, Error::ModuleInvalid).map_err(|message| format!("{what}: {message}"))?;
    }
    // Over the longest module there is; such a manifest is none.
    let huge = vec![0; 65_537];
    let mut draft = draft("shape", &[]);
    draft.version = 1_000_000;
    let signed = bank.manifest(&draft, &huge)?;
    refused(bank.connect(&transport)?.install(&signed), Error::ManifestMalformed)
}

/// Sessions that end in every way give their memory back.
pub fn guests_leave_no_memory_behind<T: Transport>(make: &dyn Fn() -> T) -> Outcome<()> {
    let (transport, bank) = (make(), Bank::lab("C"));
    let module = modules::storm();
    bank.install(&transport, draft("memory", &[Service::Random]), &module)?;
    for round in 0..2 {
        let mut open = Vec::new();
        let refusal = loop {
            match bank.connect(&transport)?.open(&named("memory"), &module) {
                Ok(mut trustlet) => {
                    // In the middle of a call; a second one of the same trustlet has to wait.
                    match trustlet.begin(b"") {
                        Err(error) if !open.is_empty() => refused::<()>(Err(error), Error::Busy)?,
                        begun => drop(begun.map_err(say)?),
                    }
                    open.push(trustlet);
                }
                Err(error) => break error,
            }
            ensure(open.len() <= 8, || "guests without end".into())?;
        };
        refused::<()>(Err(refusal), Error::ProviderQuota)?;
        ensure(open.len() == 2, || format!("{} guests in round {round}", open.len()))?;
        drop(open);
        let status = bank.connect(&transport)?.status().map_err(say)?;
        ensure((status.guests, status.memory) == (0, 0), || format!("{status:?}"))?;
    }
    Ok(())
}
