//! From the buffer's bytes to the trustlet and back; the same in a TVM and in a test.

use crate::{
    Answer, Refusal, Trustlet, World,
    proto::{
        Error,
        id::Party,
        trustlet::MAX_MESSAGE,
        wire::{Reader, Wire, encode_into},
    },
};

/// Lets `trustlet` answer the first `len` bytes of `buffer`; returns what `trustlet_handle` returns.
pub(crate) fn dispatch<T: Trustlet>(
    trustlet: &mut T,
    buffer: &mut [u8],
    len: i32,
    world: &mut impl World,
) -> i32 {
    const { assert!(T::Message::MAX <= MAX_MESSAGE, "a client cannot send a message that long") };
    const { assert!(Answer::<T::Reply>::MAX <= MAX_MESSAGE, "a client cannot get a reply that long") };
    match answer(trustlet, buffer, len, world) {
        Ok(written) => written,
        // Every code has its highest bit set, so it is negative as the interface wants it.
        Err(error) => error.code() as i32,
    }
}

fn answer<T: Trustlet>(
    trustlet: &mut T,
    buffer: &mut [u8],
    len: i32,
    world: &mut impl World,
) -> Result<i32, Error> {
    let len = usize::try_from(len).map_err(|_| Error::BadParameters)?;
    let mut input = Reader::new(buffer.get(..len).ok_or(Error::BadParameters)?);
    let from = Party::decode(&mut input)?;
    let message = T::Message::decode(&mut input)?;
    input.finish()?;
    let answer = match trustlet.handle(&from, message, world) {
        Ok(reply) => Answer::Reply(reply),
        Err(Refusal::Own(number)) => Answer::Refused(number),
        Err(Refusal::Failed(error)) => return Err(error),
    };
    let written = encode_into(&answer, buffer)?;
    i32::try_from(written).map_err(|_| Error::Internal)
}
