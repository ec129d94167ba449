//! The domestic way to seal: a fresh SM4 key under SM2 (GB/T 32918.4, C1 ‖ C3 ‖ C2), the rest under SM4-GCM with a zero
//! nonce, since each key seals one message.

use aes_gcm::{
    AesGcm,
    aead::{AeadInOut, array::Array, consts::U12},
};
use sm2::{PublicKey, pke::EncryptingKey};
use sm4::{Sm4, cipher::KeyInit};
use tapvault_proto::{
    document::{MAX_CIPHERTEXT, SM2_ENCAPSULATED},
    wire::Bytes,
};
use zeroize::Zeroizing;

/// The encrypted SM4 key, and the cipher text with its 16-byte tag.
pub type Sealed = (Bytes<SM2_ENCAPSULATED>, Bytes<MAX_CIPHERTEXT>);

/// The key of a challenge; `None` for a point off the curve.
#[must_use]
pub fn recipient(key: &[u8; 65]) -> Option<PublicKey> {
    PublicKey::from_sec1_bytes(key).ok()
}

/// Seals `plain` for a key, with `info` as associated data; `None` for a point off the curve, or without random
/// numbers. The `sm4` crate looks up tables by secret bytes: not for a machine shared with strangers.
#[must_use]
pub fn seal(key: &[u8; 65], info: &[u8], plain: &[u8]) -> Option<Sealed> {
    let recipient = recipient(key)?;
    let mut content_key = Zeroizing::new([0; 16]);
    getrandom::fill(content_key.as_mut_slice()).ok()?;
    let encrypted =
        EncryptingKey::new(recipient).encrypt(&mut getrandom::SysRng, content_key.as_slice()).ok()?;
    // Overwritten in place by the cipher text: the plain text does not stay behind.
    let mut sealed = Bytes::from_slice(plain).ok()?;
    let tag = AesGcm::<Sm4, U12>::from(Sm4::new(&Array(*content_key)))
        .encrypt_inout_detached(&Array([0; 12]), info, sealed.as_mut_slice().into())
        .ok()?;
    sealed.extend_from_slice(&tag).ok()?;
    Some((Bytes::from_slice(&encrypted).ok()?, sealed))
}
