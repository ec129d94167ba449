//! From two ephemeral keys to one key for each direction:
//!
//! ```text
//! shared = x coordinate of the ECDH point, 32 bytes
//! down   = HKDF(salt = transcript, secret = shared, info = "tapvault pad down", 16 bytes)
//! up     = HKDF(salt = transcript, secret = shared, info = "tapvault pad up", 16 bytes)
//! ```
//!
//! The transcript is [`tapvault_proto::pad::transcript`] without an end; HKDF is over SHA-256 in the suite P-256 and
//! over SM3 in the suite SM2. A key serves one session, one direction and one frame.

use crate::{DRAWS, Random};
use hkdf::Hkdf;
use p256::elliptic_curve::{
    AffinePoint, CurveArithmetic, FieldBytesSize, PublicKey, SecretKey,
    ecdh::SharedSecret,
    sec1::{FromSec1Point, ModulusSize, ToSec1Point},
};
use sha2::Sha256;
use sm2::Sm2;
use sm3::Sm3;
use tapvault_proto::{Error, pad::PadSuite};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// The keys of a session, wiped when dropped.
#[derive(ZeroizeOnDrop)]
pub struct SessionKeys {
    /// From the PIN trusted app to the pad.
    pub down: [u8; 16],
    /// From the pad to the PIN trusted app.
    pub up: [u8; 16],
}

/// A key made for one session, wiped when dropped.
pub enum Ephemeral {
    /// Of the suite P-256.
    P256(SecretKey<p256::NistP256>),
    /// Of the suite SM2.
    Sm2(SecretKey<Sm2>),
}

impl Ephemeral {
    /// Draws a key; returns it with its public half, SEC 1 uncompressed.
    ///
    /// # Errors
    /// [`Error::Internal`] never: four draws of a scalar do not all fail.
    pub fn draw(suite: PadSuite, random: Random<'_>) -> Result<(Self, [u8; 65]), Error> {
        match suite {
            PadSuite::P256 => draw(random).map(|(secret, public)| (Self::P256(secret), public)),
            PadSuite::Sm2 => draw(random).map(|(secret, public)| (Self::Sm2(secret), public)),
        }
    }

    /// The session's keys with the other end's public half, bound to a transcript.
    ///
    /// # Errors
    /// [`Error::PadUntrusted`] for what is no point of the curve.
    pub fn agree(self, other: &[u8; 65], transcript: &[u8]) -> Result<SessionKeys, Error> {
        let mut keys = SessionKeys { down: [0; 16], up: [0; 16] };
        let expanded = match self {
            Self::P256(secret) => {
                expand(&mut keys, &shared(&secret, other)?.extract::<Sha256>(Some(transcript)))
            }
            Self::Sm2(secret) => expand(&mut keys, &shared(&secret, other)?.extract::<Sm3>(Some(transcript))),
        };
        expanded.map(|()| keys)
    }
}

fn draw<C>(random: Random<'_>) -> Result<(SecretKey<C>, [u8; 65]), Error>
where
    C: CurveArithmetic,
    FieldBytesSize<C>: ModulusSize,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
{
    let mut scalar = Zeroizing::new([0; 32]);
    for _ in 0..DRAWS {
        random(scalar.as_mut_slice());
        if let Ok(secret) = SecretKey::<C>::from_slice(scalar.as_slice()) {
            let public = secret.public_key().to_sec1_point(false);
            let public = public.as_bytes().try_into().map_err(|_| Error::Internal)?;
            return Ok((secret, public));
        }
    }
    Err(Error::Internal)
}

fn shared<C>(secret: &SecretKey<C>, other: &[u8; 65]) -> Result<SharedSecret<C>, Error>
where
    C: CurveArithmetic,
    FieldBytesSize<C>: ModulusSize,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
{
    let other = PublicKey::<C>::from_sec1_bytes(other).map_err(|_| Error::PadUntrusted)?;
    Ok(secret.diffie_hellman(&other))
}

fn expand<D: hkdf::hmac::EagerHash>(keys: &mut SessionKeys, drawn: &Hkdf<D>) -> Result<(), Error> {
    drawn.expand(b"tapvault pad down", &mut keys.down).map_err(|_| Error::Internal)?;
    drawn.expand(b"tapvault pad up", &mut keys.up).map_err(|_| Error::Internal)
}
