//! Parts of a stored card that always have the same length, so that they can be overwritten in place.

use heapless::Vec;
use tapvault_proto::{
    Error,
    card::{LOG_LEN, LogEntry},
    wire::{Reader, Wire, Writer, decode_exact},
};

/// What a card has or has not: one without it has zeros.
pub struct Part<T>(pub Option<T>);

impl<T: Wire> Wire for Part<T> {
    const MAX: usize = 1 + T::MAX;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        encode_part(self.0.as_ref(), out)
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        if bool::decode(input)? {
            return T::decode(input).map(|part| Self(Some(part)));
        }
        match input.take(T::MAX)?.iter().all(|byte| *byte == 0) {
            true => Ok(Self(None)),
            false => Err(Error::StateCorrupt),
        }
    }
}

/// Writes a [`Part`]; what it holds is always of its longest length.
///
/// # Errors
/// [`Error::ShortBuffer`].
pub fn encode_part<T: Wire>(part: Option<&T>, out: &mut Writer<'_>) -> Result<(), Error> {
    part.is_some().encode(out)?;
    match part {
        Some(part) => part.encode(out),
        None => zeros(T::MAX, out),
    }
}

/// A card's last payments, oldest first: as many entries as there are, then zeros.
pub struct Log<E = LogEntry>(pub Vec<E, LOG_LEN>);

impl<E: Wire> Wire for Log<E> {
    const MAX: usize = LOG_LEN * E::MAX;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        encode_log(&self.0, out)
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        let mut entries = Vec::new();
        for _ in 0..LOG_LEN {
            // Versions and counters begin at 1: zeros are a place that was never used.
            let place = input.take(E::MAX)?;
            if place.iter().any(|byte| *byte != 0) {
                entries.push(decode_exact(place)?).map_err(|_| Error::StateCorrupt)?;
            }
        }
        Ok(Self(entries))
    }
}

/// Writes a [`Log`].
///
/// # Errors
/// [`Error::ShortBuffer`].
pub fn encode_log<E: Wire>(log: &[E], out: &mut Writer<'_>) -> Result<(), Error> {
    log.iter().try_for_each(|entry| entry.encode(out))?;
    (log.len()..LOG_LEN).try_for_each(|_| zeros(E::MAX, out))
}

fn zeros(len: usize, out: &mut Writer<'_>) -> Result<(), Error> {
    (0..len).try_for_each(|_| out.put(&[0]))
}
