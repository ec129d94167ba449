//! A TVM, the trusted virtual machine of one provider: keeps its trustlets, runs them for clients, and
//! stands between them and every service.
//!
//! One image serves all providers; whose it is says the stamp in it, and OP-TEE keeps the providers' TVMs
//! apart by UUID: storage, unique keys, identity. Inside, trustlets are kept apart by the Wasm engine, by
//! memory of their own, and by what is put in front of their requests here.
//!
//! Nothing waits. A call returns when the trustlet is done, has used up its slice, or needs a frame carried
//! to the secure element; the client calls again.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod call;
mod element;
mod registry;
mod running;
mod services;

use call::Call;
use heapless::{Deque, Vec};
use registry::Registry;
use running::Running;
use tapvault_proto::{
    Error,
    id::{Caller, TrustletName},
    service::Service,
    trustlet::log::MAX_LINE,
    tvm::{LogLine, TvmService},
    wire::Bytes,
};
use tapvault_seal::Challenge;
use tapvault_tee::{PeerSupervisor, Tee, TrustedApp};
use teei_hypervisor::{gate::Gate, its::Rates};

/// Most guests at once, whatever the policy says: each takes page tables, of which OP-TEE has few.
const MAX_GUESTS: usize = 8;
/// Lines of the log.
const LOG_LINES: usize = 8;

/// The TVM.
pub struct Tvm<T: Tee> {
    gate: Gate,
    /// Read at the first call that needs it: a trusted app's creation must not fail, storage can.
    registry: Option<Registry>,
    running: Vec<Running<T>, MAX_GUESTS>,
    rates: Rates,
    log: Log,
    challenge: Option<Challenge>,
}

impl<T: Tee> Default for Tvm<T> {
    fn default() -> Self {
        Self {
            gate: Gate::default(),
            registry: None,
            running: Vec::new(),
            rates: Rates::default(),
            log: Log::default(),
            challenge: None,
        }
    }
}

impl<T: Tee> TrustedApp<T> for Tvm<T> {
    const SERVICE: Service = Service::Tvm;

    fn open(&mut self, tee: &mut T, session: u32, caller: Caller) -> Result<(), Error> {
        // An image without a stamp is nobody's.
        tee.stamp().ok_or(Error::AccessDenied)?;
        self.gate.open(&mut PeerSupervisor(tee), session, caller)
    }

    fn close(&mut self, tee: &mut T, session: u32) {
        self.end(tee, session);
        self.gate.close(&mut PeerSupervisor(tee), session);
    }

    fn invoke(
        &mut self,
        tee: &mut T,
        session: u32,
        method: u32,
        request: &[u8],
        reply: &mut [u8],
    ) -> Result<usize, Error> {
        let rights = self.gate.rights(session)?;
        Call { app: self, tee, session }.dispatch(rights, method, request, reply)
    }
}

impl<T: Tee> Tvm<T> {
    /// Ends the session's guest, if it has one: its memory, its handles.
    fn end(&mut self, tee: &mut T, session: u32) {
        if let Some(index) = self.running.iter().position(|running| running.session == session) {
            self.running.swap_remove(index).end(tee);
        }
    }

    fn registry(&mut self, tee: &mut T) -> Result<&mut Registry, Error> {
        if self.registry.is_none() {
            self.registry = Some(Registry::load(tee)?);
        }
        self.registry.as_mut().ok_or(Error::Internal)
    }
}

/// What trustlets wrote and no client has read; the oldest line gives way.
#[derive(Default)]
struct Log {
    lines: Deque<LogLine, LOG_LINES>,
    lost: u32,
}

impl Log {
    fn write(&mut self, name: &TrustletName, text: Bytes<MAX_LINE>) {
        if self.lines.is_full() {
            self.lines.pop_front();
            self.lost = self.lost.saturating_add(1);
        }
        // There is room now.
        let _ = self.lines.push_back(LogLine { name: name.clone(), text });
    }
}
