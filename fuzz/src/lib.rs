//! What the targets share: a provider whose key everybody knows, and a limit on memory that a guest may take.
#![forbid(unsafe_code)]

pub mod phone;
pub mod transcript;

use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use tapvault_proto::id::ProviderId;
use teei_hypervisor::{manifest::Signer, signature::PublicKey};

/// The provider that every document here is for; `seeds/manifest` names it.
pub const PROVIDER: ProviderId = ProviderId([0x67; 16]);

/// A provider with a constant key: past the signature everything is the attacker's choice.
pub struct Provider {
    key: SigningKey,
    /// What a TVM of this provider is stamped with.
    pub signer: Signer,
}

impl Provider {
    /// The one there is.
    ///
    /// # Panics
    /// Never: the scalar is on the curve.
    #[must_use]
    pub fn new() -> Self {
        let key = SigningKey::from_slice(&[7; 32]).unwrap_or_else(|_| unreachable!("a scalar of the curve"));
        let point = key.verifying_key().to_sec1_point(false);
        let mut public = [0; 65];
        public.copy_from_slice(point.as_bytes());
        Self { key, signer: Signer { provider: PROVIDER, key: PublicKey(public) } }
    }

    /// The provider's signature over a document.
    #[must_use]
    pub fn sign(&self, document: &[u8]) -> [u8; 64] {
        let signature: Signature = self.key.sign(document);
        signature.to_bytes().into()
    }
}

impl Default for Provider {
    fn default() -> Self {
        Self::new()
    }
}
