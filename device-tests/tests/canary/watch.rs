//! What a trusted app leaves behind is looked into: every heap block that it frees, the stack below it, and all that
//! passes between it and a client.

use crate::common::{Phone, WALLET};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    backtrace::Backtrace,
    cell::{Cell, RefCell},
    ptr,
    rc::Rc,
};
use tapvault::{
    Channel, ClientError, Transport, Wallet,
    sim::{Sim, SimChannel},
};
use tapvault_device_tests::canary::Canaries;
use tapvault_proto::{
    id::{Caller, Uuid},
    service::Service,
};

/// Stack that is looked through: more than a trusted app uses, less than a test's thread has.
const DEPTH: usize = 512 << 10;

thread_local! {
    /// What is looked for; it grows as seals are made.
    static PLANTED: RefCell<Canaries> = RefCell::default();
    /// Whether a trusted app runs: what the bank, in the same process, does with its keys is not looked at.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static FREED: Cell<usize> = const { Cell::new(0) };
    static LEAKS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// Whether the stack is looked through after every call, and what was found there.
    static BELOW: Cell<bool> = const { Cell::new(false) };
    static LEFT: RefCell<Vec<(Service, u32, String)>> = const { RefCell::new(Vec::new()) };
}

/// Adds to what is looked for.
pub fn plant(add: impl FnOnce(&mut Canaries)) {
    PLANTED.with_borrow_mut(add);
}

/// Looks at all that is planted.
pub fn planted<R>(look: impl FnOnce(&Canaries) -> R) -> R {
    PLANTED.with_borrow(look)
}

/// Takes what was found in freed blocks.
pub fn leaks() -> Vec<String> {
    LEAKS.take()
}

/// How many blocks were freed.
pub fn freed() -> usize {
    FREED.get()
}

/// Looks through the stack after every call that `act` makes: method by method, what was found.
pub fn below(act: impl FnOnce()) -> Vec<(Service, u32, String)> {
    BELOW.set(true);
    act();
    BELOW.set(false);
    LEFT.take()
}

/// Looks into every block that is freed while a trusted app runs.
struct Scanning;

#[global_allocator]
static SCANNING: Scanning = Scanning;

// SAFETY: every block comes from `System` and goes back to it with its own layout. `realloc` is the default: a new
// block, a copy, and `dealloc` of the old one, so that blocks that grow are looked into as well.
unsafe impl GlobalAlloc for Scanning {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises for this layout.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if INSIDE.try_with(Cell::get).unwrap_or(false) {
            // SAFETY: the block is still the caller's, `layout.size()` bytes long, and zeroed when it was allocated.
            look(unsafe { std::slice::from_raw_parts(block, layout.size()) });
        }
        // SAFETY: `alloc` had the block from there.
        unsafe { System.dealloc(block, layout) }
    }
}

fn look(block: &[u8]) {
    FREED.set(FREED.get() + 1);
    let found = |canaries: &Canaries| {
        let (secret, at) = canaries.find(block)?;
        let trace = Backtrace::force_capture();
        Some(format!("{secret} at {at} of {} bytes, freed by\n{trace}", block.len()))
    };
    outside(|| {
        if let Some(leak) = planted(found) {
            LEAKS.with_borrow_mut(|leaks| leaks.push(leak));
        }
    });
}

/// Clears the stack below the caller: there the bank, which is another process in the real world, left its keys, and
/// values that a trusted app moves to the heap take along what lies beside them.
#[inline(never)]
fn clear_stack() {
    std::hint::black_box(&mut [0_u8; DEPTH]);
}

/// Copies the stack below the caller.
#[inline(never)]
fn copy_stack(copy: &mut [u8]) {
    let here = 0_u8;
    let end = ptr::from_ref(std::hint::black_box(&here));
    // SAFETY: `clear_stack` has written these bytes, so they are this thread's; nobody owns what lies there. One call
    // of `memcpy` leaves them as they are but for its own frame.
    unsafe { ptr::copy_nonoverlapping(end.wrapping_sub(copy.len()), copy.as_mut_ptr(), copy.len()) }
}

/// Acts as a trusted app.
pub fn inside<R>(act: impl FnOnce() -> R) -> R {
    clear_stack();
    let before = INSIDE.replace(true);
    let result = act();
    INSIDE.set(before);
    result
}

fn outside<R>(act: impl FnOnce() -> R) -> R {
    let before = INSIDE.replace(false);
    let result = act();
    INSIDE.set(before);
    result
}

/// What passed between the client and a trusted app.
pub enum Passed {
    Request(Service, u32, Vec<u8>),
    Reply(u32, Vec<u8>),
    Error(u32, String),
}

/// All that passed.
type Record = Rc<RefCell<Vec<Passed>>>;

/// Writes down what passes.
#[derive(Clone)]
pub struct Recorded(Sim, pub Record);

pub struct RecordedChannel {
    service: Service,
    channel: Option<SimChannel>,
    record: Record,
}

impl Recorded {
    /// The same device and record as another caller sees them.
    pub fn as_caller(&self, caller: Caller) -> Self {
        Self(self.0.as_caller(caller), self.1.clone())
    }
}

impl Transport for Recorded {
    type Channel = RecordedChannel;

    fn open(&self, app: Uuid) -> Result<RecordedChannel, ClientError> {
        let service = Service::by_uuid(app).unwrap();
        let channel = inside(|| self.0.open(app))?;
        Ok(RecordedChannel { service, channel: Some(channel), record: self.1.clone() })
    }
}

impl Channel for RecordedChannel {
    fn invoke(&mut self, method: u32, request: &[u8]) -> Result<&[u8], ClientError> {
        let mut record = self.record.borrow_mut();
        record.push(Passed::Request(self.service, method, request.to_vec()));
        let mut stack = if BELOW.get() { vec![0; DEPTH] } else { Vec::new() };
        let answer = inside(|| self.channel.as_mut().unwrap().invoke(method, request));
        copy_stack(&mut stack);
        let used = stack.iter().position(|byte| *byte != 0).unwrap_or(stack.len());
        if let Some((secret, at)) = planted(|canaries| {
            canaries.find(&stack[used..]).map(|(secret, at)| (secret.to_owned(), stack.len() - used - at))
        }) {
            let found = (self.service, method, format!("{secret}, {at} bytes down"));
            LEFT.with_borrow_mut(|left| left.push(found));
        }
        record.push(match &answer {
            Ok(reply) => Passed::Reply(method, reply.to_vec()),
            Err(error) => Passed::Error(method, format!("{error} {error:?}")),
        });
        answer
    }
}

impl Drop for RecordedChannel {
    fn drop(&mut self) {
        inside(|| self.channel.take());
    }
}

/// A phone whose client writes down what passes.
pub struct Watched {
    pub phone: Phone,
    pub transport: Recorded,
}

impl Watched {
    pub fn new() -> Self {
        let phone = inside(Phone::new);
        let transport = Recorded(phone.sim.as_caller(WALLET), Record::default());
        Self { phone, transport }
    }

    pub fn wallet(&self) -> Wallet<Recorded> {
        self.phone.wallet_of(self.transport.clone())
    }
}
