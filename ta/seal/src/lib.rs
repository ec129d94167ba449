//! Opening what a provider sealed: HPKE (RFC 9180) in base mode with DHKEM(P-256, HKDF-SHA256),
//! HKDF-SHA256 and AES-128-GCM, for one challenge of one run of one trusted app; and sealing for others.
#![no_std]
#![forbid(unsafe_code)]

mod outward;

pub use outward::Sealing;

use hpke::{
    Deserializable, Kem, OpModeR, Serializable,
    aead::{AeadTag, AesGcm128},
    inout::InOutBuf,
    kdf::HkdfSha256,
    kem::DhP256HkdfSha256,
};
use subtle::ConstantTimeEq;
use tapvault_proto::Error;
use tapvault_tee::Tee;
use zeroize::Zeroizing;

/// Bytes that sealing adds.
pub const TAG_LEN: usize = 16;

type PrivateKey = <DhP256HkdfSha256 as Kem>::PrivateKey;

/// An outstanding challenge with the HPKE key made for it; both live in memory only, so nothing sealed
/// opens a second time, nor after a restart, whatever became of the store.
pub struct Challenge {
    nonce: [u8; 32],
    key: PrivateKey,
}

impl Challenge {
    /// Draws a challenge; returns it with nonce and public key (SEC 1 uncompressed), for the provider.
    ///
    /// # Errors
    /// [`Error::Internal`] never: the public key's length is fixed.
    pub fn draw<T: Tee>(tee: &mut T) -> Result<(Self, [u8; 32], [u8; 65]), Error> {
        let (mut nonce, mut seed) = ([0; 32], Zeroizing::new([0; 32]));
        tee.random(&mut nonce);
        tee.random(seed.as_mut_slice());
        let (key, public) = DhP256HkdfSha256::derive_keypair(seed.as_slice());
        let recipient = public.to_bytes().as_slice().try_into().map_err(|_| Error::Internal)?;
        Ok((Self { nonce, key }, nonce, recipient))
    }

    /// Checks that something was made for this challenge.
    ///
    /// # Errors
    /// [`Error::WrongChallenge`].
    pub fn check(&self, nonce: &[u8; 32]) -> Result<(), Error> {
        if bool::from(self.nonce.ct_eq(nonce)) { Ok(()) } else { Err(Error::WrongChallenge) }
    }

    /// Decrypts `sealed`, cipher text and tag, in place, and returns the plain bytes. `info` binds what the
    /// caller wants bound; the associated data is empty.
    ///
    /// # Errors
    /// [`Error::SealInvalid`]; `sealed` is then of no use.
    pub fn open<'a>(
        &self,
        info: &[u8],
        encapsulated: &[u8; 65],
        sealed: &'a mut [u8],
    ) -> Result<&'a mut [u8], Error> {
        let len = sealed.len().checked_sub(TAG_LEN).ok_or(Error::SealInvalid)?;
        let (body, tag) = sealed.split_at_mut(len);
        let tag = AeadTag::<AesGcm128>::from_bytes(tag).map_err(|_| Error::SealInvalid)?;
        let encapsulated = <DhP256HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated)
            .map_err(|_| Error::SealInvalid)?;
        hpke::single_shot_open_inout_detached::<AesGcm128, HkdfSha256, DhP256HkdfSha256>(
            &OpModeR::Base,
            &self.key,
            &encapsulated,
            info,
            InOutBuf::from(&mut *body),
            &[],
            &tag,
        )
        .map_err(|_| Error::SealInvalid)?;
        Ok(body)
    }
}
