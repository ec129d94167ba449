//! The `hpke` crate against RFC 9180, appendix A.3: the suite that seals card packages.

use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable,
    aead::{AeadTag, AesGcm128},
    inout::InOutBuf,
    kdf::HkdfSha256,
    kem::DhP256HkdfSha256,
    single_shot_open_inout_detached, single_shot_seal_inout_detached_with_rng,
};
use rand_core::{TryCryptoRng, TryRng};
use std::convert::Infallible;

type PrivateKey = <DhP256HkdfSha256 as Kem>::PrivateKey;
type EncappedKey = <DhP256HkdfSha256 as Kem>::EncappedKey;

/// Gives the vector's ephemeral key material once. NO SECURITY.
struct FixedRng(Vec<u8>);

impl TryRng for FixedRng {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("HPKE draws bytes")
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("HPKE draws bytes")
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.copy_from_slice(&std::mem::take(&mut self.0));
        Ok(())
    }
}
impl TryCryptoRng for FixedRng {}

fn vector(name: &str) -> Vec<u8> {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("vectors/rfc9180_a3_base.json")).unwrap_or_default();
    hex::decode(file.get(name).and_then(|value| value.as_str()).unwrap_or_default()).unwrap_or_default()
}

fn open(ct: &[u8], enc: &[u8], info: &[u8]) -> Option<Vec<u8>> {
    let key = PrivateKey::from_bytes(&vector("skRm")).ok()?;
    let (sealed, tag) = ct.split_at(ct.len() - 16);
    let mut plain = sealed.to_vec();
    single_shot_open_inout_detached::<AesGcm128, HkdfSha256, DhP256HkdfSha256>(
        &OpModeR::Base,
        &key,
        &EncappedKey::from_bytes(enc).ok()?,
        info,
        InOutBuf::from(plain.as_mut_slice()),
        &vector("aad"),
        &AeadTag::from_bytes(tag).ok()?,
    )
    .ok()?;
    Some(plain)
}

#[test]
fn opens_the_vector_and_nothing_changed() {
    let (ct, enc, info) = (vector("ct"), vector("enc"), vector("info"));
    assert_eq!(open(&ct, &enc, &info), Some(b"Beauty is truth, truth beauty".to_vec()));
    for at in 0..ct.len() {
        let mut changed = ct.clone();
        changed[at] ^= 1;
        assert_eq!(open(&changed, &enc, &info), None, "byte {at}");
    }
    assert_eq!(open(&ct, &enc, b"another info"), None);
    assert_eq!(open(&ct, &vector("pkRm"), &info), None);
}

#[test]
fn seals_the_vector_from_its_key_material() {
    let (key, public) = DhP256HkdfSha256::derive_keypair(&vector("ikmR"));
    assert_eq!(key.to_bytes().as_slice(), vector("skRm"));
    assert_eq!(public.to_bytes().as_slice(), vector("pkRm"));
    let mut sealed = vector("pt");
    let (enc, tag) = single_shot_seal_inout_detached_with_rng::<AesGcm128, HkdfSha256, DhP256HkdfSha256>(
        &OpModeS::Base,
        &public,
        &vector("info"),
        InOutBuf::from(sealed.as_mut_slice()),
        &vector("aad"),
        &mut FixedRng(vector("ikmE")),
    )
    .unwrap();
    assert_eq!(enc.to_bytes().as_slice(), vector("enc"));
    assert_eq!([&sealed[..], &tag.to_bytes()[..]].concat(), vector("ct"));
}
