//! The domestic way: an SM4 key under SM2 (GB/T 32918.4, C1 ‖ C3 ‖ C2), and what it seals under SM4-GCM.
//!
//! The nonce is zero: each key seals one message. What HPKE calls `info` is the associated data here, so that a seal is
//! bound to the same things in both ways.

use aes_gcm::{
    AesGcm,
    aead::{AeadInOut, array::Array, consts::U12},
};
use sm2::{
    SecretKey,
    pke::{Cipher, DecryptingKey, Mode},
};
use tapvault_cipher::Sm4;
use tapvault_proto::{Error, document::SM2_ENCAPSULATED};
use zeroize::Zeroizing;

/// Decrypts `sealed`, cipher text and tag, in place. `encapsulated` is the SM4 key of 16 bytes, encrypted.
///
/// # Errors
/// [`Error::SealInvalid`].
pub fn open<'a>(
    key: &SecretKey,
    info: &[u8],
    encapsulated: &[u8],
    sealed: &'a mut [u8],
) -> Result<&'a mut [u8], Error> {
    if encapsulated.len() != SM2_ENCAPSULATED {
        return Err(Error::SealInvalid);
    }
    let cipher: Cipher<'_> =
        Cipher::from_slice(encapsulated, Mode::C1C3C2).map_err(|_| Error::SealInvalid)?;
    let mut content_key = Zeroizing::new([0; 16]);
    DecryptingKey::new(key.clone())
        .decrypt_cipher_with_buf(&cipher, content_key.as_mut_slice())
        .map_err(|_| Error::SealInvalid)?;
    let (body, tag) = sealed.split_last_chunk_mut::<{ super::TAG_LEN }>().ok_or(Error::SealInvalid)?;
    AesGcm::<Sm4, U12>::from(Sm4::new(&content_key))
        .decrypt_inout_detached(&Array([0; 12]), info, (&mut *body).into(), &Array(*tag))
        .map_err(|_| Error::SealInvalid)?;
    Ok(body)
}

/// The key of a scalar; for programs that hold this way of sealing against others.
///
/// # Errors
/// [`Error::Internal`] for bytes that are no scalar of the curve.
pub fn key(scalar: &[u8; 32]) -> Result<SecretKey, Error> {
    SecretKey::from_slice(scalar).map_err(|_| Error::Internal)
}
