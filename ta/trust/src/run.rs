//! What the service platform says to one run of a trusted app.

use crate::PLATFORM_KEY;
use subtle::ConstantTimeEq;
use tapvault_proto::{Error, freshness::FreshnessStatement};

/// The nonce of this run: the same for all of it, since a statement is good for all of it.
#[derive(Default)]
pub struct RunNonce(Option<[u8; 32]>);

impl RunNonce {
    /// The nonce, drawn when it is asked for first.
    pub fn get(&mut self, random: impl FnOnce(&mut [u8])) -> [u8; 32] {
        *self.0.get_or_insert_with(|| {
            let mut nonce = [0; 32];
            random(&mut nonce);
            nonce
        })
    }

    /// Checks that a statement is the platform's; `nonce` is the one in it that is to be this run's.
    ///
    /// # Errors
    /// [`Error::NoChallenge`] before the nonce was asked for, [`Error::SignatureInvalid`], [`Error::WrongChallenge`].
    pub fn check(&self, statement: &FreshnessStatement, nonce: &[u8; 32]) -> Result<(), Error> {
        let ours = self.0.as_ref().ok_or(Error::NoChallenge)?;
        if !PLATFORM_KEY.verifies(&statement.said.signed_bytes()?, &statement.signature) {
            return Err(Error::SignatureInvalid);
        }
        if bool::from(ours.ct_eq(nonce)) { Ok(()) } else { Err(Error::WrongChallenge) }
    }
}
