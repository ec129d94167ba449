//! What an end holds for years: a key of each suite, which signs handshakes and nothing else.

use crate::{DRAWS, Random};
use p256::{
    ecdsa::signature::{Signer, Verifier},
    elliptic_curve::sec1::ToSec1Point,
};
use tapvault_proto::{
    Error,
    pad::{PadKeys, PadSuite},
};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The user id of SM2 signatures, GB/T 32918's default.
const SM2_ID: &str = "1234567812345678";

/// An end's secret keys with their public halves, wiped when dropped.
#[derive(ZeroizeOnDrop)]
pub struct Keys {
    secret: [u8; 32],
    sm2_secret: [u8; 32],
    #[zeroize(skip)]
    public: PadKeys,
}

impl Keys {
    /// From stored scalars: of P-256, and of SM2.
    ///
    /// # Errors
    /// [`Error::Internal`] for bytes that are no scalar of their curve.
    pub fn new(secret: &[u8; 32], sm2_secret: &[u8; 32]) -> Result<Self, Error> {
        let key = p256_key(secret)?.verifying_key().to_sec1_point(false);
        let sm2_key = sm2_key(sm2_secret)?.verifying_key().as_affine().to_sec1_point(false);
        let fixed = |point: &[u8]| point.try_into().map_err(|_| Error::Internal);
        let public = PadKeys { key: fixed(key.as_bytes())?, sm2_key: fixed(sm2_key.as_bytes())? };
        Ok(Self { secret: *secret, sm2_secret: *sm2_secret, public })
    }

    /// Draws new keys.
    ///
    /// # Errors
    /// [`Error::Internal`] never: four draws do not all fail.
    pub fn draw(random: Random<'_>) -> Result<Self, Error> {
        let (mut secret, mut sm2_secret) = ([0; 32], [0; 32]);
        let mut drawn = Err(Error::Internal);
        for _ in 0..DRAWS {
            random(&mut secret);
            random(&mut sm2_secret);
            drawn = Self::new(&secret, &sm2_secret);
            if drawn.is_ok() {
                break;
            }
        }
        secret.zeroize();
        sm2_secret.zeroize();
        drawn
    }

    /// The scalars, for whoever stores them: of P-256, and of SM2.
    #[must_use]
    pub const fn expose(&self) -> (&[u8; 32], &[u8; 32]) {
        (&self.secret, &self.sm2_secret)
    }

    /// The public halves.
    #[must_use]
    pub const fn public(&self) -> &PadKeys {
        &self.public
    }

    pub(crate) fn sign(&self, suite: PadSuite, message: &[u8]) -> Result<[u8; 64], Error> {
        Ok(match suite {
            PadSuite::P256 => {
                let signature: p256::ecdsa::Signature = p256_key(&self.secret)?.sign(message);
                signature.to_bytes().into()
            }
            PadSuite::Sm2 => {
                let signature: sm2::dsa::Signature = sm2_key(&self.sm2_secret)?.sign(message);
                signature.to_bytes().into()
            }
        })
    }
}

/// Whether an end signed `message`. A point off the curve verifies nothing.
pub(crate) fn verifies(keys: &PadKeys, suite: PadSuite, message: &[u8], signature: &[u8; 64]) -> bool {
    match suite {
        PadSuite::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(keys.of(suite))
            .and_then(|key| key.verify(message, &p256::ecdsa::Signature::from_slice(signature)?))
            .is_ok(),
        PadSuite::Sm2 => sm2::dsa::VerifyingKey::from_sec1_bytes(SM2_ID, keys.of(suite))
            .and_then(|key| key.verify(message, &sm2::dsa::Signature::from_slice(signature)?))
            .is_ok(),
    }
}

fn p256_key(secret: &[u8; 32]) -> Result<p256::ecdsa::SigningKey, Error> {
    p256::ecdsa::SigningKey::from_slice(secret).map_err(|_| Error::Internal)
}

fn sm2_key(secret: &[u8; 32]) -> Result<sm2::dsa::SigningKey, Error> {
    let secret = sm2::SecretKey::from_slice(secret).map_err(|_| Error::Internal)?;
    sm2::dsa::SigningKey::new(SM2_ID, &secret).map_err(|_| Error::Internal)
}
