//! What is stored in place of a PIN, and its comparison.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use tapvault_proto::{Error, id::ProviderId, pin::Pin};

/// A verifier without its digits, of which [`finished`] makes it: HMAC-SHA-256 under this device's and trusted app's
/// own key. The record alone, read by whoever, is no help in guessing the few digits behind it.
///
/// # Errors
/// [`Error::Internal`] never: the key's length is fixed.
pub fn keyed(key: &[u8; 32], provider: ProviderId, salt: &[u8; 16]) -> Result<Hmac<Sha256>, Error> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| Error::Internal)?;
    mac.update(&provider.0);
    mac.update(salt);
    Ok(mac)
}

/// The verifier of these digits. All places are hashed, whatever number of digits there is.
#[must_use]
pub fn finished(mut mac: Hmac<Sha256>, pin: &Pin) -> [u8; 32] {
    let (digits, len) = pin.expose();
    mac.update(&[len]);
    mac.update(digits);
    mac.finalize().into_bytes().into()
}

/// Whether two are the same.
#[must_use]
pub fn same(offered: &[u8; 32], stored: &[u8; 32]) -> Choice {
    offered.ct_eq(stored)
}

/// One comparison: all that it takes but the digits, so that neither storage nor the TEE's key is asked for anything
/// between the pad's frame and the verdict. Wiped when dropped.
pub struct Comparison {
    mac: Hmac<Sha256>,
    verifier: [u8; 32],
}

impl Comparison {
    /// With what is stored; `mac` is [`keyed`]'s.
    #[must_use]
    pub const fn new(mac: Hmac<Sha256>, verifier: [u8; 32]) -> Self {
        Self { mac, verifier }
    }

    /// Whether `pin` is the stored one, in a time that does not depend on either.
    #[must_use]
    pub fn fits(self, pin: &Pin) -> bool {
        same(&finished(self.mac, pin), &self.verifier).into()
    }
}
