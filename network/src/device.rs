//! Devices: the factory certifies their keys, and a provider checks them before it seals anything.

use crate::{
    kind::{read, write},
    lab::{self, sign},
};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey, signature::Verifier};
use serde::{Deserialize, Serialize};
use std::fmt;
use tapvault_proto::{
    bank_pin::PinKeyChallenge,
    device::{ChallengeReply, DeviceCertificate, DeviceKeyReply, Sealing},
    freshness::FreshnessQuestion,
    pad::{PadKeys, Pairing},
};

/// Default user id of SM2 signatures (GM/T 0009).
const SM2_ID: &str = "1234567812345678";

/// Why a challenge is not believed to come from a trusted app of a certified device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceError {
    /// The certificate is not signed by the factory root.
    Certificate,
    /// The device did not sign this challenge and recipient key.
    Signature,
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "the device is not certified by the factory root: nothing is sealed for it",
            Self::Signature => {
                "the challenge is not signed by the certified device: nothing is sealed for it; \
                 give what `tapvault card challenge --json` printed, as it is"
            }
        })
    }
}

impl std::error::Error for DeviceError {}

/// The factory of the device's maker. Its key is wiped when dropped; there is no `Debug`.
pub struct Factory(SigningKey);

impl Factory {
    /// The lab's, whose root the trusted apps believe unless they are built for another.
    #[must_use]
    pub fn lab() -> Self {
        Self(lab::factory_root())
    }

    /// A factory with a root of its own.
    #[must_use]
    pub const fn new(root: SigningKey) -> Self {
        Self(root)
    }

    /// Certifies the keys that a device showed on the factory's line, which must reach no one but the device.
    #[must_use]
    pub fn certify(&self, keys: &DeviceKeyReply) -> DeviceCertificate {
        let DeviceKeyReply { key, sm2_key, .. } = *keys;
        let mut certificate = DeviceCertificate { key, sm2_key, signature: [0; 64] };
        certificate.signature = sign(&self.0, &certificate.signed_bytes());
        certificate
    }

    /// Pairs a phone with a pad, whose keys both showed on the factory's line. Each end keeps the pairing of the
    /// highest `sequence` that it has seen.
    #[must_use]
    pub fn pair(&self, sequence: u32, tee: PadKeys, pad: PadKeys) -> Pairing {
        let mut pairing = Pairing { sequence, tee, pad, signature: [0; 64] };
        pairing.signature = sign(&self.0, &pairing.signed_bytes());
        pairing
    }
}

/// The public keys of a phone and a pad as JSON, as `tapvault pad keys --json` writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PadKeysDocument {
    /// The phone's.
    pub tee: EndDocument,
    /// The pad's.
    pub pad: EndDocument,
    /// Number of the pairing that the phone keeps, 0 without one.
    pub kept: u32,
}

/// The keys of an end in a [`PadKeysDocument`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndDocument {
    /// P-256, 65 bytes.
    #[serde(with = "hex::serde")]
    pub key: [u8; 65],
    /// SM2, 65 bytes.
    #[serde(with = "hex::serde")]
    pub sm2_key: [u8; 65],
}

impl From<EndDocument> for PadKeys {
    fn from(EndDocument { key, sm2_key }: EndDocument) -> Self {
        Self { key, sm2_key }
    }
}

/// Checks that a challenge was drawn by a trusted app of a device that this root certified.
///
/// # Errors
/// [`DeviceError`].
pub fn check(root: &VerifyingKey, challenge: &ChallengeReply) -> Result<(), DeviceError> {
    let certificate = &challenge.certificate;
    if !verifies(root, &certificate.signed_bytes(), &certificate.signature) {
        return Err(DeviceError::Certificate);
    }
    let message = challenge.signed_bytes();
    let signed = match challenge.sealing {
        Sealing::Hpke => VerifyingKey::from_sec1_bytes(&certificate.key)
            .is_ok_and(|key| verifies(&key, &message, &challenge.signature)),
        Sealing::Sm2 => sm2_verifies(&certificate.sm2_key, &message, &challenge.signature),
    };
    if signed { Ok(()) } else { Err(DeviceError::Signature) }
}

/// Checks that a device that this root certified asks the service platform.
///
/// # Errors
/// [`DeviceError`].
pub fn check_question(root: &VerifyingKey, question: &FreshnessQuestion) -> Result<(), DeviceError> {
    let message = question.state.signed_bytes().map_err(|_| DeviceError::Signature)?;
    check_p256(root, &question.certificate, &message, &question.signature)
}

/// Checks that a device that this root certified vouches for a challenge of its PIN trusted app.
///
/// # Errors
/// [`DeviceError`].
pub fn check_pin_key(root: &VerifyingKey, challenge: &PinKeyChallenge) -> Result<(), DeviceError> {
    let message = PinKeyChallenge::signed_bytes(&challenge.challenge, &challenge.recipient);
    check_p256(root, &challenge.certificate, &message, &challenge.signature)
}

fn check_p256(
    root: &VerifyingKey,
    certificate: &DeviceCertificate,
    message: &[u8],
    signature: &[u8; 64],
) -> Result<(), DeviceError> {
    if !verifies(root, &certificate.signed_bytes(), &certificate.signature) {
        return Err(DeviceError::Certificate);
    }
    let signed =
        VerifyingKey::from_sec1_bytes(&certificate.key).is_ok_and(|key| verifies(&key, message, signature));
    if signed { Ok(()) } else { Err(DeviceError::Signature) }
}

/// A device's certificate in a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateDocument {
    /// P-256, 65 bytes.
    #[serde(with = "hex::serde")]
    pub key: [u8; 65],
    /// SM2, 65 bytes.
    #[serde(with = "hex::serde")]
    pub sm2_key: [u8; 65],
    /// The factory root's signature, 64 bytes.
    #[serde(with = "hex::serde")]
    pub signature: [u8; 64],
}

/// A challenge as JSON, as `tapvault card challenge --json` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeDocument {
    /// How the package is to be sealed: `hpke` or `sm2`.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    pub sealing: Sealing,
    /// 32 bytes.
    #[serde(with = "hex::serde")]
    pub challenge: [u8; 32],
    /// The challenge's own key, 65 bytes.
    #[serde(with = "hex::serde")]
    pub recipient: [u8; 65],
    /// The device's certificate.
    pub certificate: CertificateDocument,
    /// The device's signature, 64 bytes.
    #[serde(with = "hex::serde")]
    pub signature: [u8; 64],
}

impl From<ChallengeDocument> for ChallengeReply {
    fn from(document: ChallengeDocument) -> Self {
        let ChallengeDocument { sealing, challenge, recipient, certificate, signature } = document;
        let CertificateDocument { key, sm2_key, signature: certified } = certificate;
        let certificate = DeviceCertificate { key, sm2_key, signature: certified };
        Self { sealing, challenge, recipient, certificate, signature }
    }
}

impl From<ChallengeReply> for ChallengeDocument {
    fn from(reply: ChallengeReply) -> Self {
        let ChallengeReply { sealing, challenge, recipient, certificate, signature } = reply;
        let DeviceCertificate { key, sm2_key, signature: certified } = certificate;
        let certificate = CertificateDocument { key, sm2_key, signature: certified };
        Self { sealing, challenge, recipient, certificate, signature }
    }
}

fn verifies(key: &VerifyingKey, message: &[u8], signature: &[u8; 64]) -> bool {
    Signature::from_slice(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
}

fn sm2_verifies(key: &[u8; 65], message: &[u8], signature: &[u8; 64]) -> bool {
    let key = sm2::dsa::VerifyingKey::from_sec1_bytes(SM2_ID, key);
    let signature = sm2::dsa::Signature::from_slice(signature);
    matches!((key, signature), (Ok(key), Ok(signature)) if key.verify(message, &signature).is_ok())
}
