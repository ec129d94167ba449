//! Opening a sealed package: challenge, chain, signature, seal, profile, in this order.

use sha2::{Digest, Sha256};
use tapvault_proto::{
    Error,
    document::{MAX_CIPHERTEXT, Package, PackageHeader, SealedPackage},
    profile::CardProfile,
    wire::{Wire, decode_exact},
};
use tapvault_seal::{Challenge, TAG_LEN};
use tapvault_trust::TRUST_ROOT;
use teei_hypervisor::signature::PublicKey;
use zeroize::Zeroize;

/// Opens a package made for `challenge`.
///
/// # Errors
/// [`Error::PackageMalformed`], [`Error::CertificateInvalid`], [`Error::SignatureInvalid`],
/// [`Error::WrongChallenge`], [`Error::SealInvalid`], [`Error::ProfileInvalid`].
pub fn open(challenge: &Challenge, json: &[u8]) -> Result<(PackageHeader, CardProfile), Error> {
    let mut package = SealedPackage::parse(json)?;
    authenticate(&package)?;
    challenge.check(&package.header.challenge)?;
    let profile = unseal(challenge, &mut package);
    package.ciphertext.zeroize();
    Ok((package.header, profile?))
}

fn unseal(challenge: &Challenge, package: &mut Package) -> Result<CardProfile, Error> {
    let Package { header, encapsulated, ciphertext, .. } = package;
    let plain = challenge.open(&header.info(), encapsulated, ciphertext)?;
    let profile = decode_exact::<CardProfile>(plain).map_err(|_| Error::ProfileInvalid)?;
    profile.check()?;
    Ok(profile)
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

const _: () = assert!(<CardProfile as Wire>::MAX + TAG_LEN <= MAX_CIPHERTEXT);
