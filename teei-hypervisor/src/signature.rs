//! ECDSA P-256 with SHA-256 (FIPS 186-5), signatures as `r‖s`, keys as SEC 1 uncompressed points.

use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier};

/// A public key: 04, x, y.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 65]);

impl PublicKey {
    /// Whether `signature` is this key's over `message`. A point off the curve verifies nothing.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let Ok(key) = VerifyingKey::from_sec1_bytes(&self.0) else { return false };
        let Ok(signature) = Signature::from_slice(signature) else { return false };
        key.verify(message, &signature).is_ok()
    }
}
