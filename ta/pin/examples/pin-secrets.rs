//! What is done with a PIN under valgrind, digits, their number and keys marked as undefined (`tools/constant-time`):
//! the check that it is one, the rules of new PINs, the verifier and its comparison, the key and the block of a bank
//! PIN. `leak-rules`, `leak-comparison` and `leak-filling` do as careless code would, so that the check is seen to
//! fail.

#[path = "../../cipher/examples/memcheck/mod.rs"]
mod memcheck;

use memcheck::{hide, is_watched, published, secret};
use std::process::ExitCode;
use tapvault_pad_link::rules::{is_same, is_simple};
use tapvault_pin::verifier::{finished, keyed, same};
use tapvault_pinblock::{
    block::{RANDOM_LEN, Token, form},
    dukpt::{Dukpt, STATE_LEN},
};
use tapvault_proto::{
    bank_pin::PinBlockFormat,
    id::ProviderId,
    pin::{Pin, faults},
};

/// A PIN, digits and number of them unknown.
fn typed(ascii: &[u8]) -> Option<Pin> {
    let mut pin = Pin::from_ascii(std::hint::black_box(ascii)).ok()?;
    hide(&mut pin);
    Some(pin)
}

fn ours(digits: &[u8]) -> Option<()> {
    let (pin, other) = (typed(digits)?, typed(b"280461")?);
    // Verdicts: what the client is told.
    let (places, len) = pin.expose();
    published(&[faults(len, places)]);
    published(&[is_simple(&pin).unwrap_u8()]);
    published(&[is_same(&pin, &other).unwrap_u8()]);
    let offered = finished(keyed(&secret(1), ProviderId([2; 16]), &[3; 16]).ok()?, &pin);
    published(&[same(&offered, &secret(4)).unwrap_u8()]);
    let token = Token::new(b"6292603512345678")?;
    for format in PinBlockFormat::ALL {
        let mut dukpt = Dukpt::load([5; 8], &secret(6));
        let mut random = secret::<RANDOM_LEN>(7);
        let (_, key) = dukpt.take(format)?;
        // Cipher text.
        published(&form(&pin, &token, &key, &mut random));
        let mut state = [0; STATE_LEN];
        dukpt.write(&mut state);
        published(&state);
    }
    Some(())
}

/// As code is written that does not think of time: a table of the digits seen, the first digit that differs, filling
/// that begins where the digits end.
fn careless(what: &str) -> Option<()> {
    let (pin, other) = (typed(b"135790")?, typed(b"280461")?);
    let ((digits, len), (others, _)) = (pin.expose(), other.expose());
    let found = match what {
        "leak-rules" => {
            let mut seen = [0_u8; 16];
            for digit in digits {
                *seen.get_mut(usize::from(digit & 0x0F))? += 1;
            }
            std::hint::black_box(&seen).iter().filter(|count| **count > 0).count()
        }
        "leak-comparison" => digits.iter().zip(others).position(|(digit, other)| digit != other).unwrap_or(0),
        _ => {
            let mut field = [0x0F; 12];
            field.get_mut(..usize::from(len))?.fill(0);
            usize::from(std::hint::black_box(field).iter().sum::<u8>())
        }
    };
    published(&found.to_ne_bytes());
    Some(())
}

fn main() -> ExitCode {
    if !is_watched() {
        eprintln!("error: run this with tools/constant-time");
        return ExitCode::FAILURE;
    }
    let done = match std::env::args().nth(1).as_deref() {
        Some("ours") => {
            [&b"1357"[..], b"0000", b"135790", b"123456789012"].into_iter().all(|pin| ours(pin).is_some())
        }
        Some(what @ ("leak-rules" | "leak-comparison" | "leak-filling")) => careless(what).is_some(),
        other => {
            eprintln!("error: ours, leak-rules, leak-comparison or leak-filling, not {other:?}");
            false
        }
    };
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
