//! The kernel's record of entries into the secure world (tracepoints of Linux's OP-TEE driver).

use super::{Outcome, say};
use std::fs;

const TRACING: &str = "/sys/kernel/tracing";
/// Entries into the secure world.
pub const ENTRIES: &str = "optee/optee_invoke_fn_begin";
/// Ways out of it.
pub const EXITS: &str = "optee/optee_invoke_fn_end";
/// The secure world has the caller sleep because it waits for a lock: a probe of `optee_notif_wait`, which
/// root sets up (`qemu-optee/bench`).
pub const SLEEPS: &str = "kprobes/lock";
/// `OPTEE_SMC_CALL_RETURN_FROM_RPC`: going on with a call, not a new one (optee_smc.h).
const GOES_ON: u32 = 0x3200_0003;
/// `OPTEE_SMC_RETURN_ETHREAD_LIMIT`: no secure thread was free.
const NO_THREAD: u32 = 1;

/// What a thread of the normal world did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Says that a call begins or has ended ([`mark`]).
    Marks,
    /// Enters the secure world with a new call.
    Enters,
    /// Enters it to go on with a call.
    GoesOn,
    /// Comes back: done, interrupted, with a question.
    Leaves,
    /// Comes back for want of a secure thread.
    FindsNoThread,
    /// Sleeps until a lock of the secure world is free.
    Sleeps,
}

/// One line of the record.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Who.
    pub thread: u32,
    /// What.
    pub act: Act,
}

/// Everything of these kinds that happens while `done` runs, by whomever, beside [`mark`]s.
pub fn record(kinds: &[&str], done: impl FnOnce() -> Outcome<()>) -> Outcome<Vec<Event>> {
    let enable = |value| kinds.iter().try_for_each(|kind| write(&format!("events/{kind}/enable"), value));
    enable("1")?;
    write("trace", "")?;
    let done = done();
    enable("0")?;
    done?;
    let trace = fs::read_to_string(format!("{TRACING}/trace")).map_err(say)?;
    // "# entries-in-buffer/entries-written: 12/12"
    let lost =
        trace.lines().find_map(|line| line.split_once("entries-written: ")).is_some_and(|(_, counts)| {
            let counts = counts.split_whitespace().next().and_then(|counts| counts.split_once('/'));
            counts.is_none_or(|(kept, written)| kept != written)
        });
    if lost {
        Err("the kernel's record overflowed".into())
    } else {
        Ok(trace.lines().filter_map(parse).collect())
    }
}

/// Puts [`Act::Marks`] into the record.
pub fn mark() -> Outcome<()> {
    write("trace_marker", "mark")
}

fn write(file: &str, text: &str) -> Outcome<()> {
    let path = format!("{TRACING}/{file}");
    fs::write(&path, text).map_err(|error| format!("{path}: {error}"))
}

/// `guest-tests-123 [000] ..... 1.5: optee_invoke_fn_begin: param=... (32000004, ...)`
fn parse(line: &str) -> Option<Event> {
    let thread = line.split_whitespace().next()?.rsplit('-').next()?.parse().ok()?;
    let code = || {
        let hex = line.rsplit('(').next()?.split([',', ')']).next()?;
        u32::from_str_radix(hex.trim(), 16).ok()
    };
    let act = if line.contains("tracing_mark_write:") {
        Act::Marks
    } else if line.contains("optee_invoke_fn_begin:") {
        if code()? == GOES_ON { Act::GoesOn } else { Act::Enters }
    } else if line.contains("optee_invoke_fn_end:") {
        if code()? == NO_THREAD { Act::FindsNoThread } else { Act::Leaves }
    } else if line.contains("lock: (optee_notif_wait") {
        Act::Sleeps
    } else {
        return None;
    };
    Some(Event { thread, act })
}
