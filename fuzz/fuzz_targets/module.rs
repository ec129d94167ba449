//! Modules: refused, or within what is set aside for them, and stopped by the fuel they have.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};
use tapvault_proto::{
    Error,
    id::{Caller, Party, Uuid, login},
    trustlet::MAX_MESSAGE,
};
use teei_hypervisor::{
    manifest::{Limits, MAX_MODULE},
    tvm::{
        check::reserve,
        guest::{Guest, Stop},
    },
};

/// Little of everything, so that what a module takes by itself shows.
const LIMITS: Limits = Limits { pages: 1, stack: 2048, depth: 16, fuel: 30_000 };
/// Linear memory; it is beside the reserve.
const LINEAR: usize = (LIMITS.pages as usize) << 16;
/// In front of every block, as `ta/tee/src/optee/arena.rs` has it.
const HEADER: usize = 2 * size_of::<usize>();
/// Calls of services that are answered.
const ANSWERS: usize = 20;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
    static COUNTS: Cell<bool> = const { Cell::new(false) };
}

/// Counts as a TVM's heap does: headers included, the old block held until the new one is there.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count(layout: Layout, taken: bool) {
    if !COUNTS.get() || layout.size() == LINEAR {
        return;
    }
    let front = HEADER.max(layout.align());
    let bytes = (layout.size() + front).next_multiple_of(front);
    HELD.set(if taken { HELD.get() + bytes } else { HELD.get().saturating_sub(bytes) });
    PEAK.set(PEAK.get().max(HELD.get()));
}

// SAFETY: every block comes from `System` and goes back to it with the layout it came with; counting takes
// no memory. `realloc` is the trait's own, by `alloc` and `dealloc`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout, true);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(layout, false);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(block, layout) };
    }
}

/// Calls a guest once, answers what it asks of services, and lets it go on until it is done or fails.
fn run(guest: &mut Guest) -> Result<(), Error> {
    let from = Party::Client(Caller { login: login::USER, uuid: Uuid([1; 16]) });
    guest.call(&from, b"message")?;
    guest.refuel()?;
    let (mut slices, mut answers) = (0, 0);
    loop {
        match guest.run()? {
            Stop::Done(len) => {
                assert!(len <= MAX_MESSAGE && guest.reply(len)?.len() == len && guest.is_idle());
                return Ok(());
            }
            Stop::Slice => {
                slices += 1;
                assert!(slices < 10, "more slices than there is fuel for");
                guest.refuel()?;
            }
            Stop::Call(call) => {
                let mut body = [0; 384];
                let request = guest.request(&call, &mut body);
                if answers == ANSWERS {
                    return Ok(());
                }
                answers += 1;
                let reply = [0xA5; 64];
                let answer = request.map(|len| &reply[..len % reply.len()]);
                guest.answer(&call, answer, 500)?;
            }
        }
    }
}

fuzz_target!(|module: &[u8]| {
    if module.len() > MAX_MODULE as usize {
        return;
    }
    HELD.set(0);
    PEAK.set(0);
    COUNTS.set(true);
    let loaded = Guest::load(module, &LIMITS).map(Box::new);
    let accepted = loaded.is_ok();
    let outcome = loaded.and_then(|mut guest| {
        let first = run(&mut guest);
        // One that failed stays so.
        let again = guest.call(&Party::Client(Caller { login: 0, uuid: Uuid([0; 16]) }), b"");
        assert!(!guest.has_failed() || (first.is_err() && again == Err(Error::NotReady)));
        first
    });
    COUNTS.set(false);
    if let Err(error) = outcome {
        let load = [Error::ModuleInvalid];
        let call = [Error::TrustletFailed, Error::TrustletRefused, Error::NotReady];
        assert!(if accepted { call.contains(&error) } else { load.contains(&error) }, "{error:?}");
    }
    let most = reserve(module.len(), &LIMITS);
    // The module's own bytes lie in the reserve, too.
    let took = PEAK.get() + module.len();
    assert!(took <= most, "{took} bytes of {most} for a module of {}", module.len());
});
