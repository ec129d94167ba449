//! Opening a sealed package: challenge, chain, signature, seal, profile, in this order.

use hpke::{
    Deserializable, Kem, OpModeR, Serializable,
    aead::{AeadTag, AesGcm128},
    inout::InOutBuf,
    kdf::HkdfSha256,
    kem::DhP256HkdfSha256,
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tapvault_proto::{
    Error,
    card::ChallengeReply,
    document::{MAX_CIPHERTEXT, Package, PackageHeader, SealedPackage},
    profile::CardProfile,
    wire::decode_exact,
};
use tapvault_tee::Tee;
use tapvault_trust::TRUST_ROOT;
use teei_hypervisor::signature::PublicKey;
use zeroize::{Zeroize, Zeroizing};

const TAG_LEN: usize = 16;

type PrivateKey = <DhP256HkdfSha256 as Kem>::PrivateKey;

/// An outstanding challenge with the HPKE key made for it; both live in memory only, so a package
/// never opens a second time, nor after a restart, whatever became of the store.
pub struct Challenge {
    nonce: [u8; 32],
    key: PrivateKey,
}

impl Challenge {
    /// Draws a challenge.
    ///
    /// # Errors
    /// [`Error::Internal`] never: the public key's length is fixed.
    pub fn draw<T: Tee>(tee: &mut T) -> Result<(Self, ChallengeReply), Error> {
        let (mut nonce, mut seed) = ([0; 32], Zeroizing::new([0; 32]));
        tee.random(&mut nonce);
        tee.random(seed.as_mut_slice());
        let (key, public) = DhP256HkdfSha256::derive_keypair(seed.as_slice());
        let recipient = public.to_bytes().as_slice().try_into().map_err(|_| Error::Internal)?;
        Ok((Self { nonce, key }, ChallengeReply { challenge: nonce, recipient }))
    }

    /// Opens a package made for this challenge.
    ///
    /// # Errors
    /// [`Error::PackageMalformed`], [`Error::CertificateInvalid`], [`Error::SignatureInvalid`],
    /// [`Error::WrongChallenge`], [`Error::SealInvalid`], [`Error::ProfileInvalid`].
    pub fn open(&self, json: &[u8]) -> Result<(PackageHeader, CardProfile), Error> {
        let mut package = SealedPackage::parse(json)?;
        authenticate(&package)?;
        if !bool::from(self.nonce.ct_eq(&package.header.challenge)) {
            return Err(Error::WrongChallenge);
        }
        let opened = self.unseal(&mut package);
        package.ciphertext.zeroize();
        Ok((package.header, opened?))
    }

    fn unseal(&self, package: &mut Package) -> Result<CardProfile, Error> {
        let len = package.ciphertext.len().checked_sub(TAG_LEN).ok_or(Error::SealInvalid)?;
        let (sealed, tag) = package.ciphertext.split_at_mut(len);
        let tag = AeadTag::<AesGcm128>::from_bytes(tag).map_err(|_| Error::SealInvalid)?;
        let encapsulated = <DhP256HkdfSha256 as Kem>::EncappedKey::from_bytes(&package.encapsulated)
            .map_err(|_| Error::SealInvalid)?;
        hpke::single_shot_open_inout_detached::<AesGcm128, HkdfSha256, DhP256HkdfSha256>(
            &OpModeR::Base,
            &self.key,
            &encapsulated,
            &package.header.info(),
            InOutBuf::from(&mut *sealed),
            &[],
            &tag,
        )
        .map_err(|_| Error::SealInvalid)?;
        let profile = decode_exact::<CardProfile>(sealed).map_err(|_| Error::ProfileInvalid)?;
        profile.check()?;
        Ok(profile)
    }
}

/// The provider's chain and signature.
fn authenticate(package: &Package) -> Result<(), Error> {
    let certificate = &package.certificate;
    if !TRUST_ROOT.verifies(&certificate.signed_bytes(), &certificate.signature) {
        return Err(Error::CertificateInvalid);
    }
    let digest =
        Sha256::new().chain_update(package.encapsulated).chain_update(&package.ciphertext).finalize();
    let signed = package.header.signed_bytes(&digest.into());
    if PublicKey(certificate.key).verifies(&signed, &package.signature) {
        Ok(())
    } else {
        Err(Error::SignatureInvalid)
    }
}

const _: () = assert!(<CardProfile as tapvault_proto::wire::Wire>::MAX + TAG_LEN <= MAX_CIPHERTEXT);
