//! A provider's key: P-256, PKCS#8 in PEM.

use super::MakerError;
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer},
    pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding},
};
use std::{fs, path::Path};

/// A key that signs; wiped when dropped, never shown.
pub struct ProviderKey(SigningKey);

impl ProviderKey {
    /// A key that is in memory already: the lab's.
    #[must_use]
    pub fn new(key: SigningKey) -> Self {
        Self(key)
    }

    /// Draws a key and writes it to a new file that only its owner may read.
    ///
    /// # Errors
    /// [`MakerError::File`], also when the file is there already.
    pub fn create(path: &Path) -> Result<Self, MakerError> {
        use std::{io::Write, os::unix::fs::OpenOptionsExt};
        let failed = |error| MakerError::File(path.to_owned(), error);
        let key = loop {
            let mut secret = zeroize::Zeroizing::new([0; 32]);
            getrandom::fill(secret.as_mut_slice()).map_err(|error| failed(std::io::Error::other(error)))?;
            // One secret in 2³² is no scalar.
            if let Ok(key) = p256::SecretKey::from_slice(secret.as_slice()) {
                break key;
            }
        };
        let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|_| MakerError::Value("no PEM".into()))?;
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
        file.write_all(pem.as_bytes()).map_err(failed)?;
        Ok(Self(key.into()))
    }

    /// Reads a key.
    ///
    /// # Errors
    /// [`MakerError::File`], [`MakerError::Content`].
    pub fn read(path: &Path) -> Result<Self, MakerError> {
        let text = fs::read_to_string(path).map_err(|error| MakerError::File(path.to_owned(), error))?;
        let text = zeroize::Zeroizing::new(text);
        let wrong = |_| {
            MakerError::Content(
                path.to_owned(),
                "not a P-256 key in PEM (PKCS#8); make one: `tapvault provider new-key`",
            )
        };
        SigningKey::from_pkcs8_pem(&text).map(Self).map_err(wrong)
    }

    /// The public key, SEC 1 uncompressed.
    #[must_use]
    pub fn public(&self) -> [u8; 65] {
        let point = self.0.verifying_key().to_sec1_point(false);
        point.as_bytes().try_into().unwrap_or([0; 65])
    }

    /// ECDSA P-256 / SHA-256, `r‖s`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature: Signature = self.0.sign(message);
        signature.to_bytes().into()
    }
}
