//! The device's own keys: made at their first use, kept in storage, never shown. The factory certifies the public
//! halves once; what they sign is a challenge, so that a provider seals only for a trusted app of a device it knows
//! the maker of.
//!
//! Where the object is missing or damaged there are new keys, which nobody certified: until the factory has, no
//! provider seals for them and the service platform does not answer them, so that the cards are there and do not pay.

use crate::keys::sm2_key;
use p256::{ecdsa::signature::Signer, elliptic_curve::sec1::ToSec1Point};
use tapvault_proto::{
    Error,
    bank_pin::{DrawPinKeyReply, PinKeyChallenge},
    device::{ChallengeReply, DeviceCertificate, DeviceKeyReply, Sealing},
    freshness::{DeviceState, FreshnessQuestion},
    wire::{Wire, decode_exact, encode_into},
};
use tapvault_tee::{StorageError, Tee};
use tapvault_trust::FACTORY_ROOT;
use zeroize::{Zeroize, Zeroizing};

/// Format of the stored object.
const FORMAT: u8 = 1;
const NAME: &[u8] = b"device";
/// Draws of a scalar: one in 2³² is none of the curve.
const DRAWS: usize = 4;

tapvault_proto::message! {
    /// The keys as stored.
    Stored {
        /// [`FORMAT`].
        format: u8,
        /// P-256 scalar.
        secret: [u8; 32],
        /// SM2 scalar.
        sm2_secret: [u8; 32],
        /// The factory's signature over the public keys, of a device it certified.
        certificate: Option<[u8; 64]>,
    }
}

/// The device's keys, wiped when dropped.
pub struct Device {
    stored: Stored,
    key: [u8; 65],
    sm2_key: [u8; 65],
}

impl Drop for Device {
    fn drop(&mut self) {
        self.stored.secret.zeroize();
        self.stored.sm2_secret.zeroize();
    }
}

impl Device {
    /// The keys, read when they were not yet, and made where there are none.
    ///
    /// # Errors
    /// Storage's.
    pub fn loaded<'a, T: Tee>(device: &'a mut Option<Self>, tee: &mut T) -> Result<&'a mut Self, Error> {
        if device.is_none() {
            *device = Some(match Self::read(tee)? {
                Some(known) => known,
                None => Self::make(tee)?,
            });
        }
        device.as_mut().ok_or(Error::Internal)
    }

    fn read<T: Tee>(tee: &mut T) -> Result<Option<Self>, Error> {
        let mut object = match tee.open(NAME) {
            Ok(object) => object,
            Err(StorageError::NotFound | StorageError::Corrupt) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Zeroizing::new([0; Stored::MAX + 1]);
        let len = match tee.read(&mut object, bytes.as_mut_slice()) {
            Ok(len) => len,
            Err(StorageError::Corrupt) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let stored = bytes.get(..len).and_then(|bytes| decode_exact::<Stored>(bytes).ok());
        Ok(stored.filter(|stored| stored.format == FORMAT).and_then(|stored| Self::of(stored).ok()))
    }

    fn make<T: Tee>(tee: &mut T) -> Result<Self, Error> {
        for _ in 0..DRAWS {
            let mut stored =
                Stored { format: FORMAT, secret: [0; 32], sm2_secret: [0; 32], certificate: None };
            tee.random(&mut stored.secret);
            tee.random(&mut stored.sm2_secret);
            if let Ok(device) = Self::of(stored) {
                device.store(tee, None)?;
                return Ok(device);
            }
        }
        Err(Error::Internal)
    }

    fn of(mut stored: Stored) -> Result<Self, Error> {
        let keys = public_keys(&stored);
        match keys {
            Ok((key, sm2_key)) => Ok(Self { stored, key, sm2_key }),
            Err(error) => {
                stored.secret.zeroize();
                stored.sm2_secret.zeroize();
                Err(error)
            }
        }
    }

    fn store<T: Tee>(&self, tee: &mut T, certificate: Option<[u8; 64]>) -> Result<(), Error> {
        let Stored { format, secret, sm2_secret, .. } = self.stored;
        let mut stored = Stored { format, secret, sm2_secret, certificate };
        let mut bytes = Zeroizing::new([0; Stored::MAX]);
        let len = encode_into(&stored, bytes.as_mut_slice());
        stored.secret.zeroize();
        stored.sm2_secret.zeroize();
        tee.create(NAME, bytes.get(..len?).ok_or(Error::Internal)?)?;
        Ok(())
    }

    /// The public keys.
    pub const fn keys(&self) -> DeviceKeyReply {
        let certified = self.stored.certificate.is_some();
        DeviceKeyReply { key: self.key, sm2_key: self.sm2_key, certified }
    }

    /// Stores the factory's certificate.
    ///
    /// # Errors
    /// [`Error::DeviceCertificateInvalid`]; storage's, and nothing is changed then.
    pub fn certify<T: Tee>(&mut self, tee: &mut T, certificate: &DeviceCertificate) -> Result<(), Error> {
        let ours = (certificate.key, certificate.sm2_key) == (self.key, self.sm2_key);
        if !ours || !FACTORY_ROOT.verifies(&certificate.signed_bytes(), &certificate.signature) {
            return Err(Error::DeviceCertificateInvalid);
        }
        self.store(tee, Some(certificate.signature))?;
        self.stored.certificate = Some(certificate.signature);
        Ok(())
    }

    /// Whether a challenge can be signed: asked before one is drawn.
    ///
    /// # Errors
    /// [`Error::DeviceNotCertified`].
    pub fn certificate(&self) -> Result<DeviceCertificate, Error> {
        let signature = self.stored.certificate.ok_or(Error::DeviceNotCertified)?;
        Ok(DeviceCertificate { key: self.key, sm2_key: self.sm2_key, signature })
    }

    /// Signs a challenge and the key that was made for it.
    ///
    /// # Errors
    /// [`Error::DeviceNotCertified`].
    pub fn sign(
        &self,
        sealing: Sealing,
        challenge: [u8; 32],
        recipient: [u8; 65],
    ) -> Result<ChallengeReply, Error> {
        let certificate = self.certificate()?;
        let mut reply = ChallengeReply { sealing, challenge, recipient, certificate, signature: [0; 64] };
        let message = reply.signed_bytes();
        reply.signature = match sealing {
            Sealing::Hpke => self.sign_p256(&message)?,
            Sealing::Sm2 => {
                let signature: sm2::dsa::Signature = sm2_key(&self.stored.sm2_secret)?.sign(&message);
                signature.to_bytes().into()
            }
        };
        Ok(reply)
    }

    /// Signs a challenge that the PIN trusted app drew, and the key that was made for it.
    ///
    /// # Errors
    /// [`Error::DeviceNotCertified`].
    pub fn vouch(&self, drawn: DrawPinKeyReply) -> Result<PinKeyChallenge, Error> {
        let certificate = self.certificate()?;
        let DrawPinKeyReply { challenge, recipient } = drawn;
        let signature = self.sign_p256(&PinKeyChallenge::signed_bytes(&challenge, &recipient))?;
        Ok(PinKeyChallenge { challenge, recipient, certificate, signature })
    }

    /// Signs what this device asks the service platform.
    ///
    /// # Errors
    /// [`Error::DeviceNotCertified`].
    pub fn ask(&self, state: DeviceState) -> Result<FreshnessQuestion, Error> {
        let certificate = self.certificate()?;
        let signature = self.sign_p256(&state.signed_bytes()?)?;
        Ok(FreshnessQuestion { certificate, state, signature })
    }

    fn sign_p256(&self, message: &[u8]) -> Result<[u8; 64], Error> {
        let signature: p256::ecdsa::Signature = p256_key(&self.stored)?.sign(message);
        Ok(signature.to_bytes().into())
    }
}

fn p256_key(stored: &Stored) -> Result<p256::ecdsa::SigningKey, Error> {
    p256::ecdsa::SigningKey::from_slice(&stored.secret).map_err(|_| Error::Internal)
}

fn public_keys(stored: &Stored) -> Result<([u8; 65], [u8; 65]), Error> {
    let key = p256_key(stored)?.verifying_key().to_sec1_point(false);
    let sm2_key = sm2_key(&stored.sm2_secret)?.verifying_key().as_affine().to_sec1_point(false);
    let fixed = |point: &[u8]| point.try_into().map_err(|_| Error::Internal);
    Ok((fixed(key.as_bytes())?, fixed(sm2_key.as_bytes())?))
}
