//! HPKE without secrets: all that is derived for a seal, and a package whose ephemeral key is known.

use super::bytes;
use crate::{
    Outcome,
    lab::{Lab, say},
};
use core::convert::Infallible;
use hmac::{Hmac, KeyInit, Mac};
use hpke::{
    Deserializable, Kem, OpModeS, Serializable,
    aead::AesGcm128,
    inout::InOutBuf,
    kdf::HkdfSha256,
    kem::DhP256HkdfSha256,
    rand_core::{TryCryptoRng, TryRng},
    setup_sender_with_rng,
};
use p256::{
    ecdh::diffie_hellman,
    ecdsa::{Signature, signature::Signer},
};
use sha2::{Digest, Sha256};
use tapvault_proto::{
    device::{ChallengeReply, Sealing},
    document::{Contents, KEY_BLOCK_B, KEY_BLOCK_D, Package, PackageHeader},
    id::CardId,
    profile::CardProfile,
    wire::{Bytes, Wire, encode_into},
};

/// Secrets with their names.
pub type Secrets = Vec<(&'static str, Vec<u8>)>;

/// The point that both ends of a seal share: one's private key, SEC 1, times the other's public key.
///
/// # Errors
/// For what is no such key.
pub fn shared_point(private: &[u8], public: &[u8]) -> Outcome<Vec<u8>> {
    let private = p256::SecretKey::from_slice(private).map_err(say)?;
    let public = p256::PublicKey::from_sec1_bytes(public).map_err(say)?;
    Ok(diffie_hellman(private.to_nonzero_scalar(), public.as_affine()).raw_secret_bytes().to_vec())
}

/// Every secret step of a seal in base mode (RFC 9180, 4.1 and 5.1), out of the shared point.
#[must_use]
pub fn derived(point: &[u8], encapsulated: &[u8], recipient: &[u8], info: &[u8]) -> Secrets {
    const KEM: &[u8] = b"KEM\x00\x10";
    const SUITE: &[u8] = b"HPKE\x00\x10\x00\x01\x00\x01";
    let extracted = extract(&[], KEM, "eae_prk", point);
    let shared = expand(&extracted, KEM, "shared_secret", &[encapsulated, recipient].concat(), 32);
    let (psk_id, info) = (extract(&[], SUITE, "psk_id_hash", &[]), extract(&[], SUITE, "info_hash", info));
    let context = [&[0], &psk_id[..], &info].concat();
    let secret = extract(&shared, SUITE, "secret", &[]);
    let exporter = expand(&secret, SUITE, "exp", &context, 32);
    let export = |name: &[u8], len| expand(&exporter, SUITE, "sec", name, len);
    vec![
        ("HPKE key block protection key B", export(KEY_BLOCK_B, 16)),
        ("HPKE key block protection key D", export(KEY_BLOCK_D, 32)),
        ("HPKE AEAD key", expand(&secret, SUITE, "key", &context, 16)),
        ("HPKE base nonce", expand(&secret, SUITE, "base_nonce", &context, 12)),
        ("HPKE shared point", point.to_vec()),
        ("HPKE extracted point", extracted.to_vec()),
        ("HPKE shared secret", shared),
        ("HPKE secret", secret.to_vec()),
        ("HPKE exporter secret", exporter),
    ]
}

fn extract(salt: &[u8], suite: &[u8], label: &str, secret: &[u8]) -> [u8; 32] {
    hmac(salt, &[b"HPKE-v1", suite, label.as_bytes(), secret])
}

/// Of one block at most.
fn expand(secret: &[u8], suite: &[u8], label: &str, info: &[u8], len: u8) -> Vec<u8> {
    let parts = [&[0, len], &b"HPKE-v1"[..], suite, label.as_bytes(), info, &[1]];
    hmac(secret, &parts).into_iter().take(usize::from(len)).collect()
}

/// HMAC-SHA-256.
#[must_use]
pub fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { unreachable!("a key of any length") };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// Draws the same bytes every time.
struct Known([u8; 32]);

impl TryRng for Known {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.iter_mut().zip(self.0).for_each(|(byte, known)| *byte = known);
        Ok(())
    }
}

impl TryCryptoRng for Known {}

/// Seals a profile as its bank does, but with an ephemeral key that everybody knows; the package, and every secret of
/// its seal.
///
/// # Errors
/// For what does not fit.
pub fn known_seal(
    lab: &Lab,
    card: CardId,
    challenge: &ChallengeReply,
    profile: CardProfile,
) -> Outcome<(String, Secrets)> {
    let mut known = Known(bytes("ephemeral key"));
    let (ephemeral, _) = DhP256HkdfSha256::derive_keypair(&known.0);
    let ChallengeReply { challenge, recipient, .. } = challenge;
    let header =
        PackageHeader { sealing: Sealing::Hpke, challenge: *challenge, card, provider: lab.provider_id() };
    let point = shared_point(&ephemeral.to_bytes(), recipient)?;

    let key = <DhP256HkdfSha256 as Kem>::PublicKey::from_bytes(recipient).map_err(say)?;
    let (encapsulated, mut context) = setup_sender_with_rng::<AesGcm128, HkdfSha256, DhP256HkdfSha256>(
        &OpModeS::Base,
        &key,
        &header.info(),
        &mut known,
    )
    .map_err(say)?;
    let encapsulated = encapsulated.to_bytes();
    let contents = Contents { profile, blocks: [].into_iter().collect() };
    let mut ciphertext = vec![0; Contents::MAX];
    let len = encode_into(&contents, &mut ciphertext).map_err(|error| format!("{error:?}"))?;
    ciphertext.truncate(len);
    let tag = context.seal_inout_detached(InOutBuf::from(&mut ciphertext[..]), &[]).map_err(say)?;
    ciphertext.extend_from_slice(&tag.to_bytes());

    let digest = Sha256::new().chain_update(encapsulated).chain_update(&ciphertext).finalize();
    let signature: Signature = lab.provider.bank().signing_key().sign(&header.signed_bytes(&digest.into()));
    let package = Package {
        certificate: lab.provider.certificate().clone(),
        header,
        encapsulated: Bytes::from_iter(encapsulated),
        ciphertext: ciphertext.into_iter().collect(),
        signature: signature.to_bytes().into(),
    };
    let json = package.to_json().map_err(|error| format!("{error:?}"))?;
    let secrets = derived(&point, &encapsulated, recipient, &package.header.info());
    Ok((String::from_utf8(json.to_vec()).map_err(say)?, secrets))
}
