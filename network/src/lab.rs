//! Keys of the lab. **Everybody can compute them from the texts in this file: they protect nothing.**
//!
//! A build of the trusted apps believes them unless it is told otherwise (`ta/trust`); a product must be.

use crate::kind::Named;
use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use sha2::{Digest, Sha256};
use tapvault_proto::{id::ProviderId, profile::Key128, token::Channel};
use zeroize::Zeroizing;

/// What a key of the contact test profile is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactKey {
    /// Application cryptograms.
    Cryptogram,
    /// MACs of scripts.
    Mac,
    /// Enciphered data in scripts.
    Encryption,
}

impl ContactKey {
    /// Every purpose.
    pub const ALL: [Self; 3] = [Self::Cryptogram, Self::Mac, Self::Encryption];

    const fn name(self) -> &'static str {
        match self {
            Self::Cryptogram => "cryptogram",
            Self::Mac => "MAC",
            Self::Encryption => "encryption",
        }
    }
}

/// A lab bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum LabBank {
    /// Lab Bank A.
    A,
    /// Lab Bank B, to show that one bank cannot touch another's cards.
    B,
    /// Lab Bank C.
    C,
    /// Lab Bank D.
    D,
    /// Lab Bank E.
    E,
}

impl LabBank {
    /// Every bank.
    pub const ALL: [Self; 5] = [Self::A, Self::B, Self::C, Self::D, Self::E];

    /// The bank of a name, `A` to `E`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bank| bank.name() == name)
    }

    /// Its letter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
            Self::E => "E",
        }
    }

    /// Its id: the first 16 bytes of SHA-256("provider A").
    #[must_use]
    pub fn id(self) -> ProviderId {
        provider_id(self.name())
    }

    /// Its signing key.
    #[must_use]
    pub fn signing_key(self) -> SigningKey {
        provider_key(self.name())
    }

    /// Its issuer master key of one key version for one channel: the first 16 bytes of
    /// SHA-256("tapvault lab issuer master key A" ‖ version), and for others than taps the channel's name behind the
    /// bank's. A master key per version means that a card issued again has new keys although its token is the same; the
    /// derivation key index (DKI) in the card's IAD names the version. A master key per channel means that a cryptogram
    /// of one is none of another.
    #[must_use]
    pub fn issuer_master_key(self, key_version: u8, channel: Channel) -> Key128 {
        let mut label = format!("tapvault lab issuer master key {}", self.name());
        if channel != Channel::Nfc {
            label = format!("{label} {}", channel.name());
        }
        master_key(&label, key_version)
    }

    /// Its master key of one key version for contact test profiles: as the others, with `contact` and the purpose behind
    /// the bank's name.
    #[must_use]
    pub fn contact_master_key(self, key_version: u8, purpose: ContactKey) -> Key128 {
        let label = format!("tapvault lab issuer master key {} contact {}", self.name(), purpose.name());
        master_key(&label, key_version)
    }
}

/// The id of a lab provider of any name: the first 16 bytes of SHA-256("provider A").
#[must_use]
pub fn provider_id(name: &str) -> ProviderId {
    ProviderId(first_16(&Sha256::digest(format!("provider {name}")).into()))
}

/// The signing key of a lab provider of any name.
#[must_use]
pub fn provider_key(name: &str) -> SigningKey {
    key(&format!("tapvault lab provider {name}"))
}

/// The key behind the trust root built into the trusted apps.
#[must_use]
pub fn trust_root() -> SigningKey {
    key("tapvault lab trust root")
}

/// The key behind the factory root built into the card trusted app.
#[must_use]
pub fn factory_root() -> SigningKey {
    key("tapvault lab factory root")
}

/// The key that signs policies.
#[must_use]
pub fn platform_key() -> SigningKey {
    key("tapvault lab platform key")
}

/// Signs a policy document, byte for byte as it will be installed: ECDSA P-256 / SHA-256, `r‖s`.
#[must_use]
pub fn sign_policy(document: &[u8]) -> [u8; 64] {
    sign(&platform_key(), document)
}

/// ECDSA P-256 / SHA-256 over `message`, `r‖s`; deterministic (RFC 6979).
#[must_use]
pub(crate) fn sign(key: &SigningKey, message: &[u8]) -> [u8; 64] {
    let signature: Signature = key.sign(message);
    signature.to_bytes().into()
}

/// The key whose scalar is SHA-256(label). One hash in 2³² is no scalar; it is hashed again.
pub(crate) fn key(label: &str) -> SigningKey {
    let mut scalar: [u8; 32] = Sha256::digest(label).into();
    loop {
        match SigningKey::from_slice(&scalar) {
            Ok(key) => return key,
            Err(_) => scalar = Sha256::digest(scalar).into(),
        }
    }
}

fn master_key(label: &str, key_version: u8) -> Key128 {
    let digest = Sha256::new().chain_update(label).chain_update([key_version]).finalize();
    let digest = Zeroizing::new(digest.into());
    Key128::new(first_16(&digest))
}

pub(crate) fn first_16(digest: &[u8; 32]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest).for_each(|(slot, byte)| *slot = *byte);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lab_keys_are_the_published_ones() {
        let public = |key: SigningKey| hex::encode(key.verifying_key().to_sec1_point(false));
        assert_eq!(
            public(trust_root()),
            "04894e0fa41a0ffe658caaedda93b1056ba44386402e884f663b3291e3ec751b116195a637d6a972509cf5c9d5e4033cf03dd50ec7bbe361d92a1daecd6f86b658"
        );
        assert_eq!(
            public(platform_key()),
            "049864082593e48d683241727f3eb080f5752f8b7401170e6014a407ad3308bcd79b15b78ec39b53695c907224a804866ac51bd77715885a6532b4d44f6bc7df6b"
        );
    }

    #[test]
    fn every_bank_and_version_has_its_own_master_key() {
        let of = |bank: LabBank, version| {
            let contact = ContactKey::ALL.map(|key| *bank.contact_master_key(version, key).expose());
            [&Channel::ALL.map(|channel| *bank.issuer_master_key(version, channel).expose())[..], &contact]
                .concat()
        };
        let keys = [of(LabBank::A, 1), of(LabBank::A, 2), of(LabBank::B, 1)].concat();
        let different: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
        assert_eq!(keys[0], Sha256::digest(b"tapvault lab issuer master key A\x01")[..16]);
    }

    #[test]
    fn a_policy_signature_verifies_and_another_document_does_not() {
        use p256::ecdsa::signature::Verifier;
        let signature = Signature::from_slice(&sign_policy(b"{}")).unwrap();
        let key = *platform_key().verifying_key();
        assert!(key.verify(b"{}", &signature).is_ok());
        assert!(key.verify(b"{ }", &signature).is_err());
    }
}
