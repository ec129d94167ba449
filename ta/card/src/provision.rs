//! Opening a sealed package: challenge, chain, signature, seal, profile, in this order.

use crate::keyblock::{Kbpk, KeyBlock, Version};
use sha2::{Digest, Sha256};
use tapvault_proto::{
    Error,
    document::{
        Contents, KEY_BLOCK_B, KEY_BLOCK_D, KeyBlock as Block, MAX_CIPHERTEXT, Package, PackageHeader,
        SealedPackage,
    },
    limited::{KeyBatch, ReplenishRequest},
    profile::{CardKeys, CardProfile},
    token::ChannelKey,
    wire::{Wire, decode_exact},
};
use tapvault_seal::{Challenge, Exporter, TAG_LEN};
use tapvault_trust::check_signed;
use zeroize::{Zeroize, Zeroizing};

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
    let (plain, exporter) = challenge.open(&header.info(), encapsulated, ciphertext)?;
    let contents = decode_exact::<Contents>(plain).map_err(|_| Error::ProfileInvalid)?;
    let Contents { mut profile, blocks } = contents;
    if !blocks.is_empty() {
        import(&mut profile, &blocks, exporter.as_ref())?;
    }
    profile.check()?;
    Ok(profile)
}

/// Takes the keys out of their key blocks into a profile that has none.
fn import(profile: &mut CardProfile, blocks: &[Block], exporter: Option<&Exporter>) -> Result<(), Error> {
    // Key blocks come in HPKE's packages only: the key that protects them is exported from the seal.
    let exporter = exporter.ok_or(Error::KeyBlockInvalid)?;
    let suite = profile.suite;
    let keys = keyless(profile)?;
    for Block { channel, block } in blocks {
        let block = KeyBlock::parse(block)?;
        let kbpk = match block.version() {
            Version::B => {
                let mut key = Zeroizing::new([0; 16]);
                exporter.export(KEY_BLOCK_B, key.as_mut_slice())?;
                Kbpk::B(key)
            }
            Version::D => {
                let mut key = Zeroizing::new([0; 32]);
                exporter.export(KEY_BLOCK_D, key.as_mut_slice())?;
                Kbpk::D(key)
            }
        };
        let udk = block.open(&kbpk, suite)?;
        keys.push(ChannelKey { channel: *channel, udk }).map_err(|_| Error::ProfileInvalid)?;
    }
    Ok(())
}

/// The place for the keys of a profile that has none.
fn keyless(profile: &mut CardProfile) -> Result<&mut heapless::Vec<ChannelKey, 4>, Error> {
    match &mut profile.keys {
        CardKeys::Udk(keys) if keys.is_empty() => Ok(keys),
        CardKeys::Udk(_) | CardKeys::LimitedUse(_) => Err(Error::ProfileInvalid),
    }
}

/// Opens a batch of limited-use keys made for `challenge`.
///
/// # Errors
/// [`Error::CertificateInvalid`], [`Error::SignatureInvalid`], [`Error::WrongChallenge`], [`Error::SealInvalid`],
/// [`Error::BatchInvalid`].
pub fn open_batch(challenge: &Challenge, request: &mut ReplenishRequest) -> Result<KeyBatch, Error> {
    let digest = Sha256::new().chain_update(request.encapsulated).chain_update(&request.sealed).finalize();
    check_signed(&request.certificate, &request.signed_bytes(&digest.into()), &request.signature)?;
    challenge.check(&request.challenge)?;
    let info = ReplenishRequest::info(&request.challenge, request.card, request.certificate.provider);
    let opened = challenge.open(&info, &request.encapsulated, &mut request.sealed);
    let batch = opened.and_then(|(plain, _)| decode_exact(plain).map_err(|_| Error::BatchInvalid));
    request.sealed.zeroize();
    batch
}

/// The provider's chain and signature.
fn authenticate(package: &Package) -> Result<(), Error> {
    let digest =
        Sha256::new().chain_update(&package.encapsulated).chain_update(&package.ciphertext).finalize();
    check_signed(&package.certificate, &package.header.signed_bytes(&digest.into()), &package.signature)
}

const _: () = assert!(KeyBatch::SEALED == <KeyBatch as Wire>::MAX + TAG_LEN);
const _: () = assert!(<Contents as Wire>::MAX + TAG_LEN <= MAX_CIPHERTEXT);

#[cfg(test)]
mod tests {
    use super::*;
    use tapvault_proto::{
        limited::LimitedUse,
        profile::{Cvn, Key128, Product, Suite, VerificationStatus},
        token::{Channel, Domain, Token},
        wire::Bytes,
    };

    fn profile(keys: CardKeys) -> CardProfile {
        CardProfile {
            format: CardProfile::FORMAT,
            key_version: 1,
            suite: Suite::Pboc3Des,
            cvn: Cvn::V01,
            product: Product::Debit,
            priority: 1,
            label: Bytes::new(),
            track2: Bytes::new(),
            psn: 1,
            aip: [0; 2],
            currency: 0x0156,
            online_pin_allowed: true,
            signature_allowed: false,
            verification_from: CardProfile::NEVER,
            verification_status: VerificationStatus::NotAllowed,
            keys,
            token: Token {
                par: Bytes::new(),
                requestor: [b'0'; 11],
                active: true,
                domain: Domain::unlimited(),
            },
            oda: None,
            offline: None,
            contact: None,
            last_four: *b"4321",
            art: Bytes::new(),
            issuer: Bytes::new(),
        }
    }

    /// Keys come in one way: in the profile or in key blocks, which are HPKE's alone.
    #[test]
    fn key_blocks_beside_keys_or_without_hpke_are_refused() {
        let blocks = [Block { channel: Channel::Nfc, block: Bytes::new() }];
        let mut without = profile(CardKeys::Udk(heapless::Vec::new()));
        assert_eq!(import(&mut without, &blocks, None), Err(Error::KeyBlockInvalid));
        let key = ChannelKey { channel: Channel::Nfc, udk: Key128::new([1; 16]) };
        let limited = LimitedUse { channels: heapless::Vec::from_iter([Channel::Nfc]), threshold: 1 };
        for keys in [CardKeys::Udk(heapless::Vec::from_iter([key])), CardKeys::LimitedUse(limited)] {
            assert_eq!(keyless(&mut profile(keys)).err(), Some(Error::ProfileInvalid));
        }
        assert!(keyless(&mut without).is_ok());
    }
}
