//! Opening what a provider sealed for one challenge of one run of one trusted app: HPKE (RFC 9180) in base mode with
//! DHKEM(P-256, HKDF-SHA256), HKDF-SHA256 and AES-128-GCM, or SM2 and SM4-GCM ([`sm2`]); and
//! sealing for others.
#![no_std]
#![forbid(unsafe_code)]

mod outward;
pub mod sm2;

pub use outward::Sealing;

use ::sm2::elliptic_curve::sec1::ToSec1Point;
use hpke::{
    Deserializable, Kem, OpModeR, Serializable,
    aead::{AeadCtxR, AeadTag, AesGcm128},
    inout::InOutBuf,
    kdf::HkdfSha256,
    kem::DhP256HkdfSha256,
};
use subtle::ConstantTimeEq;
use tapvault_proto::{Error, device};
use tapvault_tee::Tee;
use zeroize::Zeroizing;

/// Bytes that sealing adds.
pub const TAG_LEN: usize = 16;

/// Draws of an SM2 scalar: one in 2³² is none of the curve.
const DRAWS: usize = 4;

type PrivateKey = <DhP256HkdfSha256 as Kem>::PrivateKey;

enum Key {
    Hpke(PrivateKey),
    Sm2(::sm2::SecretKey),
}

/// An outstanding challenge with the key made for it; both live in memory only, so nothing sealed
/// opens a second time, nor after a restart, whatever became of the store.
pub struct Challenge {
    nonce: [u8; 32],
    key: Key,
}

/// Secrets that only the two ends of an HPKE seal can derive (RFC 9180, 5.3).
pub struct Exporter(AeadCtxR<AesGcm128, HkdfSha256, DhP256HkdfSha256>);

impl Exporter {
    /// Fills `secret` with what belongs to `context`.
    ///
    /// # Errors
    /// [`Error::Internal`] for more than 8,160 bytes.
    pub fn export(&self, context: &[u8], secret: &mut [u8]) -> Result<(), Error> {
        self.0.export(context, secret).map_err(|_| Error::Internal)
    }
}

impl Challenge {
    /// Draws a challenge; returns it with nonce and public key (SEC 1 uncompressed), for the provider.
    ///
    /// # Errors
    /// [`Error::Internal`] never: the public key's length is fixed, and four draws of a scalar do not all fail.
    pub fn draw<T: Tee>(tee: &mut T, sealing: device::Sealing) -> Result<(Self, [u8; 32], [u8; 65]), Error> {
        let mut nonce = [0; 32];
        tee.random(&mut nonce);
        let (key, recipient) = match sealing {
            device::Sealing::Hpke => {
                let mut seed = Zeroizing::new([0; 32]);
                tee.random(seed.as_mut_slice());
                let (key, public) = DhP256HkdfSha256::derive_keypair(seed.as_slice());
                (Key::Hpke(key), public.to_bytes().as_slice().try_into().map_err(|_| Error::Internal)?)
            }
            device::Sealing::Sm2 => {
                let key = draw_sm2(tee)?;
                let public = key.public_key().to_sec1_point(false);
                let recipient = public.as_bytes().try_into().map_err(|_| Error::Internal)?;
                (Key::Sm2(key), recipient)
            }
        };
        Ok((Self { nonce, key }, nonce, recipient))
    }

    /// Checks that something was made for this challenge.
    ///
    /// # Errors
    /// [`Error::WrongChallenge`].
    pub fn check(&self, nonce: &[u8; 32]) -> Result<(), Error> {
        if bool::from(self.nonce.ct_eq(nonce)) { Ok(()) } else { Err(Error::WrongChallenge) }
    }

    /// Decrypts `sealed`, cipher text and tag, in place, and returns the plain bytes; of an HPKE seal with what derives
    /// more secrets. `info` binds what the caller wants bound.
    ///
    /// # Errors
    /// [`Error::SealInvalid`]; `sealed` is then of no use.
    pub fn open<'a>(
        &self,
        info: &[u8],
        encapsulated: &[u8],
        sealed: &'a mut [u8],
    ) -> Result<(&'a mut [u8], Option<Exporter>), Error> {
        match &self.key {
            Key::Hpke(key) => {
                open_hpke(key, info, encapsulated, sealed).map(|(plain, exporter)| (plain, Some(exporter)))
            }
            Key::Sm2(key) => sm2::open(key, info, encapsulated, sealed).map(|plain| (plain, None)),
        }
    }
}

fn open_hpke<'a>(
    key: &PrivateKey,
    info: &[u8],
    encapsulated: &[u8],
    sealed: &'a mut [u8],
) -> Result<(&'a mut [u8], Exporter), Error> {
    let len = sealed.len().checked_sub(TAG_LEN).ok_or(Error::SealInvalid)?;
    let (body, tag) = sealed.split_at_mut(len);
    let tag = AeadTag::<AesGcm128>::from_bytes(tag).map_err(|_| Error::SealInvalid)?;
    let encapsulated =
        <DhP256HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| Error::SealInvalid)?;
    let mut context =
        hpke::setup_receiver(&OpModeR::Base, key, &encapsulated, info).map_err(|_| Error::SealInvalid)?;
    context.open_inout_detached(InOutBuf::from(&mut *body), &[], &tag).map_err(|_| Error::SealInvalid)?;
    Ok((body, Exporter(context)))
}

fn draw_sm2<T: Tee>(tee: &mut T) -> Result<::sm2::SecretKey, Error> {
    let mut scalar = Zeroizing::new([0; 32]);
    for _ in 0..DRAWS {
        tee.random(scalar.as_mut_slice());
        if let Ok(key) = sm2::key(&scalar) {
            return Ok(key);
        }
    }
    Err(Error::Internal)
}
