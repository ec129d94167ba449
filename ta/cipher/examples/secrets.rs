//! Ciphers under valgrind, key and text marked as undefined: memcheck then reports every branch and every address
//! that depends on them (`tools/constant-time`). `table` runs the crates `des` and `sm4`, which look tables up.

#![allow(unsafe_code, reason = "valgrind's client requests are instructions that do nothing elsewhere")]

use des::cipher::{BlockCipherEncrypt, KeyInit};
use std::process::ExitCode;
use tapvault_cipher::{Des, Sm4, Tdes, retail_mac, sm4_mac};

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

/// Bytes that nobody may know.
fn secret<const N: usize>(from: u8) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.iter_mut().zip(from..).for_each(|(byte, value)| *byte = std::hint::black_box(value));
    mark(UNDEFINED, &bytes);
    bytes
}

/// From here on everybody may know it: what a cipher gives.
fn published(bytes: &[u8]) {
    mark(DEFINED, bytes);
    std::hint::black_box(bytes);
}

fn ours() {
    for backwards in [false, true] {
        let (des, tdes, sm4) = (Des::new(&secret(1)), Tdes::new(&secret(2)), Sm4::new(&secret(3)));
        let (mut single, mut triple, mut wide) = (secret(4), secret(5), secret(6));
        if backwards {
            des.decrypt(&mut single);
            tdes.decrypt(&mut triple);
            sm4.decrypt(&mut wide);
        } else {
            des.encrypt(&mut single);
            tdes.encrypt(&mut triple);
            sm4.encrypt(&mut wide);
        }
        [&single[..], &triple, &wide].into_iter().for_each(published);
    }
    published(&retail_mac(&secret(7), &secret::<37>(8)));
    published(&sm4_mac(&secret(9), &secret::<37>(10)));
}

fn table(name: &str) {
    if name == "des" {
        let mut block = secret::<8>(1).into();
        des::Des::new(&secret::<8>(2).into()).encrypt_block(&mut block);
        published(&block.0);
    } else {
        let mut block = secret::<16>(1).into();
        sm4::Sm4::new(&secret::<16>(2).into()).encrypt_block(&mut block);
        published(&block.0);
    }
}

fn main() -> ExitCode {
    if request(RUNNING, 0, 0) == 0 {
        eprintln!("error: run this with tools/constant-time");
        return ExitCode::FAILURE;
    }
    match std::env::args().nth(1).as_deref() {
        Some("ours") => ours(),
        Some("des") => table("des"),
        Some("sm4") => table("sm4"),
        other => {
            eprintln!("error: ours, des or sm4, not {other:?}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
