//! Memory that memcheck takes for undefined, or for defined again.

#![allow(unsafe_code, reason = "valgrind's client requests are instructions that do nothing elsewhere")]

/// `VALGRIND_MAKE_MEM_UNDEFINED` of `memcheck.h`.
const UNDEFINED: u64 = 0x4D43_0001;
/// `VALGRIND_MAKE_MEM_DEFINED`.
const DEFINED: u64 = 0x4D43_0002;
/// `RUNNING_ON_VALGRIND` of `valgrind.h`.
const RUNNING: u64 = 0x1001;

#[cfg(target_arch = "x86_64")]
fn request(number: u64, at: u64, len: u64) -> u64 {
    let arguments = [number, at, len, 0, 0, 0];
    let mut result = 0_u64;
    // SAFETY: the rotations come back to where they were and the exchange is with itself; under valgrind the request
    // is answered in rdx, and it only marks memory.
    unsafe {
        std::arch::asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
            in("rax") arguments.as_ptr(),
            inout("rdx") result,
            options(nostack),
        );
    }
    result
}

fn mark(number: u64, bytes: &[u8]) {
    request(number, bytes.as_ptr() as u64, bytes.len() as u64);
}

/// From here on nobody may know any of it.
#[allow(dead_code, reason = "each program uses its part")]
pub fn hide<T>(value: &mut T) {
    // The compiler must not go on with what it knew of the value before.
    let value = std::hint::black_box(value);
    request(UNDEFINED, std::ptr::from_mut(value) as u64, size_of::<T>() as u64);
    std::hint::black_box(value);
}

/// Bytes that nobody may know.
pub fn secret<const N: usize>(from: u8) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.iter_mut().zip(from..).for_each(|(byte, value)| *byte = std::hint::black_box(value));
    mark(UNDEFINED, &bytes);
    bytes
}

/// From here on everybody may know it: what a cipher gives.
pub fn published(bytes: &[u8]) {
    mark(DEFINED, bytes);
    std::hint::black_box(bytes);
}

/// Whether valgrind looks.
pub fn is_watched() -> bool {
    request(RUNNING, 0, 0) != 0
}
