//! One trustlet that runs: load, call, and every point at which it gives the thread back.
//!
//! A guest runs in slices of fuel. It stops when a slice is used up, when it calls a service and when it is
//! done; each time [`Guest::run`] returns, and nothing of it is left on the native stack. The service is
//! then called by the TVM, with the guest's request copied out of its memory once.

use super::check;
use crate::manifest::Limits;
use core::fmt;
use tapvault_proto::{
    Error,
    id::Party,
    trustlet::{MAX_MESSAGE, abi},
    wire::encode_into,
};
use wasmi::{
    CompilationMode, Config, EnforcedLimits, Engine, Extern, Func, Instance, Memory, Module, Store,
    StoreLimits, StoreLimitsBuilder, TypedFunc, TypedResumableCall, TypedResumableCallHostTrap,
    TypedResumableCallOutOfFuel, Val, errors::HostError,
};

/// Fuel of one slice: what wasmi does with it stays below a million instructions (row `slice_max`).
pub const SLICE: u64 = 9_000;
/// Fuel to find the buffer, once.
const BUFFER_FUEL: u64 = 1_000;

/// What stopped a guest.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// It is done; the reply's length in the buffer.
    Done(usize),
    /// The slice is used up.
    Slice,
    /// It calls a service.
    Call(ServiceCall),
}

/// A guest's call of a service, in its own numbers: nothing in it is checked yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceCall {
    /// Which service.
    pub service: u32,
    /// Which method.
    pub method: u32,
    request: Span,
    reply: Span,
}

/// A part of the guest's memory, as the guest claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    at: u32,
    len: u32,
}

impl Span {
    fn of(self, memory: &mut [u8]) -> Result<&mut [u8], Error> {
        let end = self.at.checked_add(self.len).ok_or(Error::OutOfBounds)?;
        memory.get_mut(self.at as usize..end as usize).ok_or(Error::OutOfBounds)
    }
}

impl fmt::Display for ServiceCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call of service {} method {}", self.service, self.method)
    }
}

/// A call ends the host function by this "error", and goes on when the service has answered.
impl HostError for ServiceCall {}

enum State {
    /// No call is in progress.
    Idle,
    /// A message of this length lies in the buffer.
    Called(i32),
    /// In the middle, out of fuel.
    Paused(TypedResumableCallOutOfFuel<i32>),
    /// In a call of a service.
    Waiting(TypedResumableCallHostTrap<i32>),
    /// A call of a service was answered with this.
    Answered(TypedResumableCallHostTrap<i32>, i32),
    /// It trapped or broke a rule; it does not run again.
    Failed,
}

/// A running trustlet.
pub struct Guest {
    store: Store<StoreLimits>,
    memory: Memory,
    handle: TypedFunc<i32, i32>,
    buffer: Span,
    state: State,
    /// Fuel of a call, and what is left of it beyond the slice in progress.
    budget: u64,
    left: u64,
}

impl Guest {
    /// Makes a module ready; its hash was compared before. All it allocates comes out of what
    /// [`check::reserve`] set aside.
    ///
    /// # Errors
    /// [`Error::ModuleInvalid`].
    pub fn load(module: &[u8], limits: &Limits) -> Result<Self, Error> {
        check::module(module, limits)?;
        let engine = Engine::new(&config(limits));
        let module = Module::new(&engine, module).map_err(invalid)?;
        let mut store = Store::new(&engine, store_limits(limits));
        store.limiter(|limits| limits);
        let call = Func::wrap(
            &mut store,
            |service: u32, method: u32, at: u32, len: u32, reply_at: u32, reply_len: u32| {
                let request = Span { at, len };
                let reply = Span { at: reply_at, len: reply_len };
                Err::<i32, _>(wasmi::Error::host(ServiceCall { service, method, request, reply }))
            },
        );
        let wanted = module.imports().count();
        let imports = [Extern::Func(call)];
        let imports = imports.get(..wanted).ok_or(Error::ModuleInvalid)?;
        store.set_fuel(BUFFER_FUEL).map_err(invalid)?;
        let instance = Instance::new(&mut store, &module, imports).map_err(invalid)?;
        let memory = instance.get_memory(&store, abi::EXPORT_MEMORY).ok_or(Error::ModuleInvalid)?;
        let handle = instance.get_typed_func::<i32, i32>(&store, abi::EXPORT_HANDLE).map_err(invalid)?;
        let buffer = instance.get_typed_func::<(), i32>(&store, abi::EXPORT_BUFFER).map_err(invalid)?;
        let at = buffer.call(&mut store, ()).map_err(invalid)?.cast_unsigned();
        let len = u32::try_from(abi::BUFFER_LEN).map_err(|_| Error::Internal)?;
        let mut guest = Self {
            store,
            memory,
            handle,
            buffer: Span { at, len },
            state: State::Idle,
            budget: limits.fuel,
            left: 0,
        };
        guest.span(guest.buffer).map_err(|_| Error::ModuleInvalid)?;
        Ok(guest)
    }

    /// Whether it takes a message.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Whether it has failed, for good.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed)
    }

    /// Puts a message and its sender into the buffer; [`Guest::run`] does the rest.
    ///
    /// # Errors
    /// [`Error::NotReady`] while a call is in progress, or after a failure.
    pub fn call(&mut self, from: &Party, message: &[u8]) -> Result<(), Error> {
        if !self.is_idle() {
            return Err(Error::NotReady);
        }
        let buffer = self.span(self.buffer)?;
        let head = encode_into(from, buffer)?;
        let end = head.checked_add(message.len()).ok_or(Error::BadParameters)?;
        buffer.get_mut(head..end).ok_or(Error::BadParameters)?.copy_from_slice(message);
        self.state = State::Called(i32::try_from(end).map_err(|_| Error::BadParameters)?);
        self.left = self.budget;
        self.store.set_fuel(0).map_err(invalid)
    }

    /// Fills its slice up, as far as the budget goes: once for every call of the client's.
    ///
    /// # Errors
    /// [`Error::TrustletFailed`] never for an engine that counts fuel.
    pub fn refuel(&mut self) -> Result<(), Error> {
        let rest = self.store.get_fuel().map_err(failed)?;
        let more = SLICE.saturating_sub(rest).min(self.left);
        self.left -= more;
        self.store.set_fuel(rest + more).map_err(failed)
    }

    /// Lets it go on with the fuel it has.
    ///
    /// # Errors
    /// [`Error::TrustletFailed`] when it traps or has used up its fuel, and for ever after;
    /// [`Error::TrustletRefused`] when it answers with a refusal; [`Error::NotReady`] when there is no
    /// call, or a service has to answer first.
    pub fn run(&mut self) -> Result<Stop, Error> {
        let state = match core::mem::replace(&mut self.state, State::Failed) {
            waits @ (State::Idle | State::Waiting(_)) => {
                self.state = waits;
                return Err(Error::NotReady);
            }
            state => state,
        };
        let Self { store, handle, .. } = self;
        let outcome = match state {
            State::Called(len) => handle.call_resumable(&mut *store, len),
            State::Paused(call) => call.resume(&mut *store),
            State::Answered(call, value) => call.resume(&mut *store, &[Val::I32(value)]),
            State::Idle | State::Waiting(_) | State::Failed => return Err(Error::TrustletFailed),
        };
        match outcome.map_err(failed)? {
            TypedResumableCall::Finished(len) => {
                self.state = State::Idle;
                let len = usize::try_from(len).map_err(|_| Error::TrustletRefused)?;
                if len <= MAX_MESSAGE { Ok(Stop::Done(len)) } else { Err(Error::TrustletRefused) }
            }
            TypedResumableCall::OutOfFuel(call) => {
                if self.left == 0 || call.required_fuel() > SLICE {
                    return Err(Error::TrustletFailed);
                }
                self.state = State::Paused(call);
                Ok(Stop::Slice)
            }
            TypedResumableCall::HostTrap(call) => {
                let asked = *call.host_error().downcast_ref::<ServiceCall>().ok_or(Error::TrustletFailed)?;
                self.state = State::Waiting(call);
                Ok(Stop::Call(asked))
            }
        }
    }

    /// Copies a request out of the guest's memory; returns its length.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`]; [`Error::BadParameters`] for one longer than `out`.
    pub fn request(&mut self, call: &ServiceCall, out: &mut [u8]) -> Result<usize, Error> {
        let claimed = self.span(call.request)?;
        let copy = out.get_mut(..claimed.len()).ok_or(Error::BadParameters)?;
        copy.copy_from_slice(claimed);
        Ok(claimed.len())
    }

    /// Gives the guest a service's answer, or its refusal as a negative code, and charges `fuel`.
    ///
    /// # Errors
    /// [`Error::NotReady`] when it waits for none.
    pub fn answer(
        &mut self,
        call: &ServiceCall,
        answer: Result<&[u8], Error>,
        fuel: u64,
    ) -> Result<(), Error> {
        if !matches!(self.state, State::Waiting(_)) {
            return Err(Error::NotReady);
        }
        let written = answer.and_then(|reply| {
            let room = self.span(call.reply)?;
            room.get_mut(..reply.len()).ok_or(Error::ShortBuffer)?.copy_from_slice(reply);
            i32::try_from(reply.len()).map_err(|_| Error::Internal)
        });
        let value = written.unwrap_or_else(|error| error.code().cast_signed());
        let rest = self.store.get_fuel().unwrap_or(0);
        let from_slice = fuel.min(rest);
        self.store.set_fuel(rest - from_slice).map_err(failed)?;
        self.left = self.left.saturating_sub(fuel - from_slice);
        self.state = match core::mem::replace(&mut self.state, State::Failed) {
            State::Waiting(call) => State::Answered(call, value),
            other => other,
        };
        Ok(())
    }

    /// The reply of a call that is done, at most [`MAX_MESSAGE`] bytes.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] never for the length that [`Stop::Done`] gave.
    pub fn reply(&mut self, len: usize) -> Result<&[u8], Error> {
        self.span(self.buffer)?.get(..len).ok_or(Error::OutOfBounds)
    }

    fn span(&mut self, span: Span) -> Result<&mut [u8], Error> {
        span.of(self.memory.data_mut(&mut self.store))
    }
}

fn config(limits: &Limits) -> Config {
    let mut config = Config::default();
    config
        .consume_fuel(true)
        // Nothing is compiled while a slice runs.
        .compilation_mode(CompilationMode::Eager)
        .enforced_limits(EnforcedLimits::strict())
        .ignore_custom_sections(true)
        .floats(false)
        .wasm_mutable_global(true)
        // Rust's core library for wasm32 is compiled with it.
        .wasm_sign_extension(true)
        .wasm_saturating_float_to_int(false)
        .wasm_multi_value(false)
        .wasm_multi_memory(false)
        .wasm_bulk_memory(false)
        .wasm_reference_types(false)
        .wasm_tail_call(false)
        .wasm_extended_const(false)
        .wasm_custom_page_sizes(false)
        .wasm_memory64(false)
        .wasm_wide_arithmetic(false);
    // wasmi counts values, whatever its documentation says. The whole stack at once: growing would need the
    // old one and the new at once.
    let values = limits.stack as usize / size_of::<u64>();
    config
        .set_min_stack_height(values)
        .set_max_stack_height(values)
        .set_max_recursion_depth(usize::from(limits.depth))
        .set_max_cached_stacks(1);
    config
}

fn store_limits(limits: &Limits) -> StoreLimits {
    StoreLimitsBuilder::new()
        .memory_size(usize::from(limits.pages) << 16)
        .memories(1)
        .tables(1)
        .table_elements(256)
        .instances(1)
        .build()
}

fn invalid<E>(_: E) -> Error {
    Error::ModuleInvalid
}

fn failed<E>(_: E) -> Error {
    Error::TrustletFailed
}
