//! The stack below a call: values that moved left copies of themselves there, and nobody owns those.

use crate::{Tee, TrustedApp};
use core::{hint::black_box, mem::MaybeUninit};
use tapvault_proto::{Error, service::MethodInfo};

/// Where the frames above a method lie: OP-TEE's entry, and that of [`crate::TrustedApp`].
const ABOVE: usize = 16 * 1024;
/// On the host, whose frames are longer where nothing is optimised.
const ON_HOST: usize = 512 * 1024;

/// How much stack a method may use that is wiped after it: all that the trusted app has but the frames above. `stack`
/// is the variable `TAPVAULT_STACK` that `tapvault-ta-build` sets, in decimal digits; there is none on the host.
#[must_use]
pub const fn depth(stack: Option<&str>) -> usize {
    match stack {
        Some(digits) => match usize::from_str_radix(digits, 10) {
            Ok(stack) => stack.saturating_sub(ABOVE),
            Err(_) => 0,
        },
        None => ON_HOST,
    }
}

/// What is written at a time.
type Chunk = [u64; 8];

/// The bytes, aligned for chunks.
#[repr(align(16))]
struct Below<const DEPTH: usize>(#[allow(dead_code, reason = "written, never read")] [u8; DEPTH]);

/// Overwrites `DEPTH` bytes of the stack below the caller, a multiple of 64.
///
/// In words: an array of zeros would be `memset`'s work, which OP-TEE's library does byte by byte, and a person waits
/// for the methods after which this is done.
#[inline(never)]
pub fn wipe<const DEPTH: usize>() {
    const { assert!(DEPTH.is_multiple_of(size_of::<Chunk>())) };
    let mut below = MaybeUninit::<Below<DEPTH>>::uninit();
    let start = below.as_mut_ptr().cast::<Chunk>();
    for at in 0..DEPTH / size_of::<Chunk>() {
        // SAFETY: `DEPTH` bytes belong to `below`, which is aligned for words; nobody reads them as anything else.
        unsafe { start.add(at).write_volatile([0; 8]) };
    }
    black_box(&mut below);
}

/// Whether the stack is to be wiped after `method`: one of `methods`, and none of `hurried`, which cannot wait.
#[must_use]
pub fn is_due(method: u32, methods: &[MethodInfo], hurried: &[u32]) -> bool {
    !hurried.contains(&method) && methods.iter().any(|known| known.id == method)
}

/// Invokes a method, and then has the trusted app wipe the stack that it used.
///
/// # Errors
/// The trusted app's refusal.
pub fn invoke<T: Tee, A: TrustedApp<T>>(
    app: &mut A,
    tee: &mut T,
    session: u32,
    method: u32,
    request: &[u8],
    reply: &mut [u8],
) -> Result<usize, Error> {
    // A call that could be inlined would have its frames in this one, which is not wiped.
    let answer = black_box(A::invoke)(app, tee, session, method, request, reply);
    A::wipe_stack(method);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_frames_above_is_wiped() {
        assert_eq!(depth(Some("131072")), 114_688);
        assert_eq!(depth(Some("1024")), 0);
        assert_eq!(depth(None), ON_HOST);
    }
}
