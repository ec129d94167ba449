//! The kernel's record of entries into the secure world (tracepoints of Linux's OP-TEE driver).

use super::{Outcome, say};
use std::fs;

const TRACING: &str = "/sys/kernel/tracing";
/// `OPTEE_SMC_CALL_RETURN_FROM_RPC`: going on with a call, not a new one (optee_smc.h).
const GOES_ON: u32 = 0x3200_0003;
/// `OPTEE_SMC_RETURN_ETHREAD_LIMIT`: no secure thread was free.
const NO_THREAD: u32 = 1;
/// `OPTEE_SMC_RETURN_RPC_CMD`: the secure world asks the normal world for something. A call that touches no
/// storage asks only to sleep, because it waits for a lock.
const ASKS: u32 = 0xFFFF_0005;

/// What a thread of the normal world did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Says that a call begins ([`mark`]).
    Calls,
    /// Enters the secure world with a new call.
    Enters,
    /// Enters it to go on with a call.
    GoesOn,
    /// Comes back: done, or interrupted.
    Leaves,
    /// Comes back for want of a secure thread.
    FindsNoThread,
    /// Comes back with a question.
    Asks,
}

/// One line of the record.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Who.
    pub thread: u32,
    /// What.
    pub act: Act,
}

/// Everything that happens while `done` runs, by whomever.
pub fn record(done: impl FnOnce() -> Outcome<()>) -> Outcome<Vec<Event>> {
    for event in ["begin", "end"] {
        write(&format!("events/optee/optee_invoke_fn_{event}/enable"), "1")?;
    }
    write("trace", "")?;
    let done = done();
    for event in ["begin", "end"] {
        write(&format!("events/optee/optee_invoke_fn_{event}/enable"), "0")?;
    }
    done?;
    let trace = fs::read_to_string(format!("{TRACING}/trace")).map_err(say)?;
    Ok(trace.lines().filter_map(parse).collect())
}

/// Puts [`Act::Calls`] into the record.
pub fn mark() -> Outcome<()> {
    write("trace_marker", "call")
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
        Act::Calls
    } else if line.contains("optee_invoke_fn_begin:") {
        if code()? == GOES_ON { Act::GoesOn } else { Act::Enters }
    } else if line.contains("optee_invoke_fn_end:") {
        match code()? {
            NO_THREAD => Act::FindsNoThread,
            ASKS => Act::Asks,
            _ => Act::Leaves,
        }
    } else {
        return None;
    };
    Some(Event { thread, act })
}
