//! What is stored in place of a PIN, and its comparison.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use tapvault_proto::{Error, id::ProviderId, pin::Pin};

/// HMAC-SHA-256 under this device's and trusted app's own key: the record alone, read by whoever, is
/// no help in guessing the few digits behind it. All places are hashed, whatever number of digits there is.
///
/// # Errors
/// [`Error::Internal`] never: the key's length is fixed.
pub fn verifier_under(
    key: &[u8; 32],
    provider: ProviderId,
    salt: &[u8; 16],
    pin: &Pin,
) -> Result<[u8; 32], Error> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| Error::Internal)?;
    let (digits, len) = pin.expose();
    for part in [&provider.0[..], salt, &[len], digits] {
        mac.update(part);
    }
    Ok(mac.finalize().into_bytes().into())
}

/// Whether two are the same.
#[must_use]
pub fn same(offered: &[u8; 32], stored: &[u8; 32]) -> Choice {
    offered.ct_eq(stored)
}
