//! Random numbers, as a trait. There is no pad with bad ones: whoever fails to get some stops.

use std::fmt;

/// There are no random numbers to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRandom;

impl fmt::Display for NoRandom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operating system gave no random numbers; start the pad again when it does")
    }
}

impl std::error::Error for NoRandom {}

/// A source of random bytes of cryptographic quality.
pub trait Random {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// [`NoRandom`]; the bytes are worth nothing then.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom>;
}

/// The operating system's.
pub struct System;

impl Random for System {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom> {
        getrandom::fill(bytes).map_err(|_| NoRandom)
    }
}

/// Calls something that draws as it likes, and says afterwards whether all draws were good.
pub(crate) fn drawing<T>(
    random: &mut dyn Random,
    call: impl FnOnce(tapvault_pad_link::Random<'_>) -> T,
) -> Result<T, NoRandom> {
    let mut drawn = Ok(());
    let value = call(&mut |bytes| {
        if let Err(error) = random.fill(bytes) {
            // No key of a curve, so that the caller does not go far with it.
            bytes.fill(0);
            drawn = Err(error);
        }
    });
    drawn.map(|()| value)
}
