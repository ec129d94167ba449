//! Which trusted app may call which: client → TVM → card → pin → supervisor, never upwards.
//!
//! OP-TEE's core panics, and with it the machine, when a call comes back to a trusted app that is
//! busy (`tee_ta_set_busy`), so a cycle here is a halt of every bank's card. No TVM calls a TVM: their
//! messages go through mailboxes in the supervisor.

use tapvault_proto::service::Service;

/// Every allowed edge, caller first.
pub const EDGES: [(Service, Service); 6] = [
    (Service::Card, Service::Pin),
    (Service::Card, Service::Supervisor),
    (Service::Pin, Service::Supervisor),
    (Service::Tvm, Service::Card),
    (Service::Tvm, Service::Pin),
    (Service::Tvm, Service::Supervisor),
];

/// Whether `caller` may call `callee`.
#[must_use]
pub fn allows(caller: Service, callee: Service) -> bool {
    EDGES.contains(&(caller, callee))
}
