//! Tests for a device: the scenarios run on the simulated TEE in `cargo test` and on real OP-TEE in the
//! guest; the rest asks what only real OP-TEE can answer.

#[cfg(feature = "optee")]
pub mod admission;
#[cfg(feature = "optee")]
pub mod bench;
pub mod canary;
pub mod cases;
pub mod contact;
#[cfg(feature = "optee")]
pub mod hostile;
pub mod lab;
pub mod oda;
pub mod pad;
pub mod platform;
#[cfg(feature = "optee")]
pub mod powerloss;
pub mod random;
#[cfg(feature = "optee")]
#[allow(unsafe_code, reason = "calls libteec in ways that the client library never would")]
pub mod raw;
pub mod scenarios;
pub mod status_words;
pub mod trustlets;
pub mod walk;

/// What a test says: a value, or what did not hold.
pub type Outcome<T> = Result<T, String>;

/// Provider A of the lab: the first 16 bytes of SHA-256("provider A").
pub const PROVIDER_A: [u8; 16] = lab::PROVIDER_A;

/// Fails with `message` unless `holds`.
///
/// # Errors
/// The message.
pub fn ensure(holds: bool, message: impl FnOnce() -> String) -> Outcome<()> {
    if holds { Ok(()) } else { Err(message()) }
}
