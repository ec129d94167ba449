//! SM2 of the lab: certificates under its authority, keys for cards, and how a terminal checks both
//! (JR/T 0025.17, as in card test scripts; `tests/vectors/pboc_sm2_fdda.json`).

use crate::lab::LabBank;
use p256::elliptic_curve::sec1::ToSec1Point;
use sha2::{Digest, Sha256};
use sm2::{
    SecretKey,
    dsa::{
        Signature, SigningKey, VerifyingKey,
        signature::{Signer as _, Verifier},
    },
};
use tapvault_proto::profile::SecretBytes;

/// Index of the lab's authority under UnionPay's RID, tag 8F.
pub const AUTHORITY_INDEX: u8 = 0x57;
/// Algorithms of signature and encryption, and curve parameters, in a certificate. No public text fixes them:
/// **placeholders of ours**.
pub const ALGORITHM_UNVERIFIED: [u8; 3] = [0x04, 0x00, 0x11];
/// Length of a public key.
const KEY_LEN: u8 = 64;
/// Default user id (GM/T 0009).
const ID: &str = "1234567812345678";

/// A key that signs.
pub struct Signer(SecretKey);

impl Signer {
    /// The lab's authority.
    #[must_use]
    pub fn authority() -> Option<Self> {
        Self::of("tapvault lab SM2 authority")
    }

    /// A lab bank's key for certifying cards.
    #[must_use]
    pub fn bank(bank: LabBank) -> Option<Self> {
        Self::of(&format!("tapvault lab SM2 issuer {}", bank.name()))
    }

    /// The key whose scalar is SHA-256 of a text that everybody has.
    fn of(label: &str) -> Option<Self> {
        SecretKey::from_slice(&Sha256::digest(label)).ok().map(Self)
    }

    /// A new key of a card; `None` without random numbers.
    #[must_use]
    pub fn draw() -> Option<Self> {
        let mut scalar = [0; 32];
        getrandom::fill(&mut scalar).ok()?;
        SecretKey::from_slice(&scalar).ok().map(Self)
    }

    /// What a card is given of its key.
    #[must_use]
    pub fn secret(&self) -> Option<SecretBytes<32>> {
        SecretBytes::new(&self.0.to_bytes())
    }

    /// The public key, `x‖y`, 64 bytes.
    #[must_use]
    pub fn public(&self) -> Vec<u8> {
        let point = self.0.public_key().to_sec1_point(false);
        point.as_bytes().get(1..).unwrap_or_default().to_vec()
    }

    /// Certifies a key: `header algorithms 40 x‖y r‖s`, the signature over all before it and `data`.
    #[must_use]
    pub fn certify(&self, header: &[u8], key: &Self, data: &[u8]) -> Option<Vec<u8>> {
        let body = [header, &ALGORITHM_UNVERIFIED, &[KEY_LEN], &key.public()].concat();
        let signer = SigningKey::new(ID, &self.0).ok()?;
        let signature: Signature = signer.sign(&[&body[..], data].concat());
        Some([&body[..], &signature.to_bytes()].concat())
    }
}

/// Whether `r‖s` is a signature under a key `x‖y` over `message`.
#[must_use]
pub fn verifies(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = VerifyingKey::from_sec1_bytes(ID, &[&[0x04], key].concat());
    let signature = Signature::from_slice(signature);
    key.is_ok_and(|key| signature.is_ok_and(|signature| key.verify(message, &signature).is_ok()))
}

/// The key in a certificate, of an issuer (tag 90) or a card (tag 9F46), when it is signed under `by`, together
/// with the static `data`.
#[must_use]
pub fn recover<'a>(by: &[u8], certificate: &'a [u8], data: &[u8]) -> Option<&'a [u8]> {
    let (body, signature) = certificate.split_last_chunk::<64>()?;
    let key = body.last_chunk::<64>()?;
    verifies(by, &[body, data].concat(), signature).then_some(key)
}

/// Whether signed dynamic application data, tag 9F4B, are a card's over what the terminal sent and read.
#[must_use]
pub fn verifies_dynamic(card: &[u8], signed: &[u8], terminal: &[u8]) -> bool {
    let Some((body, signature)) = signed.split_last_chunk::<64>() else { return false };
    body.first() == Some(&0x15) && verifies(card, &[body, terminal].concat(), signature)
}
