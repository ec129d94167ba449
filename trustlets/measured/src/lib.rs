//! The same code in Wasm and native, to say what Wasm costs: nothing, a walk through BER-TLV, and the
//! arithmetic of a stored-value debit. A test, not an example: no bank would ship it.
#![no_std]
#![forbid(unsafe_code)]

pub mod work;

use tapvault_trustlet::{Refusal, Trustlet, World, code, message, proto::id::Party};
use work::{Purse, SAMPLE, parse};

code! {
    /// What is done.
    Work {
        /// Nothing.
        Empty = 1,
        /// [`parse`] of [`SAMPLE`].
        Tlv = 2,
        /// One [`Purse::debit`].
        Debit = 3,
    }
}
message! {
    /// Asks for work.
    Measure {
        /// What.
        work: Work,
        /// How often.
        times: u16,
    }
}
message! {
    /// What came of it, so that it cannot be left out.
    Measured {
        /// Any number.
        sum: u32,
    }
}

/// Does the work `times` over.
#[must_use]
pub fn run(work: Work, times: u16) -> u32 {
    let mut purse = Purse { balance: u64::MAX, ..Purse::default() };
    let mut sum = 0_u32;
    for time in 0..times {
        sum =
            sum.wrapping_add(match work {
                Work::Empty => u32::from(time),
                Work::Tlv => parse(core::hint::black_box(&SAMPLE)),
                Work::Debit => {
                    let [high, low] = time.to_be_bytes();
                    u32::from(purse.debit(
                        u64::from(time) + 1,
                        [high, low, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
                    ))
                }
            });
    }
    sum
}

/// The trustlet.
pub struct Worker;

impl Trustlet for Worker {
    type Message = Measure;
    type Reply = Measured;

    fn new() -> Self {
        Self
    }

    fn handle(&mut self, _: &Party, message: Measure, _: &mut impl World) -> Result<Measured, Refusal> {
        Ok(Measured { sum: run(message.work, message.times) })
    }
}

tapvault_trustlet::trustlet!(Worker);
