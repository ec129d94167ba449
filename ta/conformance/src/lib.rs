//! Runs [`tapvault_tee::conformance`] inside a TEE. Part of the tests, never of a product: it admits
//! everybody, and holds nothing.
#![no_std]
#![forbid(unsafe_code)]

#[path = "../../../trustlets/measured/src/work.rs"]
pub mod work;

use core::hint::black_box;
use tapvault_proto::{Error, id::Caller, service::Service};
use tapvault_tee::{StorageError, Tee, TrustedApp, conformance};

/// Runs the suite; the reply is one byte, how many claims hold, or the text of the claim that does not.
pub const RUN: u32 = 1;
/// Opens an object, reads 64 bytes, closes it: for measuring.
pub const READ: u32 = 2;
/// Opens an object, writes 64 bytes, closes it: for measuring.
pub const WRITE: u32 = 3;
/// What the TEE says of rollback, four bytes.
pub const ANTI_ROLLBACK: u32 = 6;

/// As many walks through BER-TLV as the request's two bytes say, natively: for comparing with Wasm.
pub const TLV: u32 = 4;
/// As many debits, natively.
pub const DEBIT: u32 = 5;

/// The test trusted app. It stands in the table of edges where the PIN trusted app stands.
#[derive(Default)]
pub struct Conformance;

impl<T: Tee> TrustedApp<T> for Conformance {
    const SERVICE: Service = Service::Pin;

    fn open(&mut self, _: &mut T, _: u32, _: Caller) -> Result<(), Error> {
        Ok(())
    }

    fn close(&mut self, _: &mut T, _: u32) {}

    fn invoke(
        &mut self,
        tee: &mut T,
        _: u32,
        method: u32,
        request: &[u8],
        reply: &mut [u8],
    ) -> Result<usize, Error> {
        let times = request.first_chunk().copied().map_or(0, u16::from_be_bytes);
        match method {
            RUN => {}
            ANTI_ROLLBACK => {
                *reply.first_chunk_mut().ok_or(Error::ShortBuffer)? = tee.anti_rollback().to_be_bytes();
                return Ok(4);
            }
            READ => {
                let mut object = object(tee)?;
                return Ok(tee.read(&mut object, reply)?);
            }
            WRITE => {
                let mut object = object(tee)?;
                let mut data = [0; 64];
                tee.random(&mut data);
                tee.write(&mut object, 0, &data)?;
                return Ok(0);
            }
            TLV => {
                (0..times).for_each(|_| _ = black_box(work::parse(black_box(&work::SAMPLE))));
                return Ok(0);
            }
            DEBIT => {
                let mut purse = work::Purse { balance: u64::MAX, ..work::Purse::default() };
                (0..times).for_each(|time| {
                    let [high, low] = time.to_be_bytes();
                    black_box(purse.debit(
                        u64::from(time) + 1,
                        [high, low, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
                    ));
                });
                return Ok(0);
            }
            _ => return Err(Error::UnknownMethod),
        }
        let held;
        let said = match conformance::run(tee, Service::Card) {
            Ok(count) => {
                held = [u8::try_from(count).map_err(|_| Error::Internal)?];
                &held[..]
            }
            Err(failed) => failed.0.as_bytes(),
        };
        reply.get_mut(..said.len()).ok_or(Error::ShortBuffer)?.copy_from_slice(said);
        Ok(said.len())
    }
}

fn object<T: Tee>(tee: &mut T) -> Result<T::Object, Error> {
    match tee.open(b"measured") {
        Err(StorageError::NotFound) => Ok(tee.create(b"measured", &[0; 64])?),
        opened => Ok(opened?),
    }
}
