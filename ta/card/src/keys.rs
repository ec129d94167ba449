//! Trustlets' keys: made from the device's secret, used by handle, never shown.

use aes_gcm::{
    Aes128Gcm,
    aead::{AeadInOut, KeyInit, array::Array},
};
use heapless::Vec;
use hmac::{Hmac, Mac};
use p256::{ecdsa::signature::Signer, elliptic_curve::sec1::ToSec1Point};
use sha2::Sha256;
use tapvault_proto::{
    Error,
    id::ProviderId,
    supervisor::MAX_PROVIDERS,
    trustlet::{
        Owner,
        keys::{KeyAlgorithm, KeyHandle, MAX_DATA, OpenKeyReply, SEAL_OVERHEAD},
    },
    wire::Bytes,
};
use tapvault_tee::{Tee, drop_if};
use zeroize::Zeroizing;

/// Most open keys of one provider.
pub const MAX_OF_PROVIDER: usize = 8;
/// Most open keys of all: room for every provider's, so that none can use up another's.
pub const MAX_KEYS: usize = MAX_PROVIDERS * MAX_OF_PROVIDER;
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;
/// Default user id of SM2 signatures (GM/T 0009).
const SM2_ID: &str = "1234567812345678";

type Secret = Zeroizing<[u8; 32]>;

/// An open key.
struct Open {
    /// This trusted app's session with the TVM: when it closes, so does the key.
    session: u32,
    guest: u32,
    generation: u32,
    algorithm: KeyAlgorithm,
    secret: Secret,
}

/// Who asks, as far as the OP-TEE core and the TVM know.
pub struct Asker<'a> {
    /// This trusted app's session with the TVM.
    pub session: u32,
    /// The TVM's provider.
    pub provider: ProviderId,
    /// The trustlet, by its TVM's word.
    pub owner: &'a Owner,
}

/// Every open key.
#[derive(Default)]
pub struct Keys {
    open: Vec<Option<Open>, MAX_KEYS>,
    last_generation: u32,
}

impl Keys {
    /// Opens a key by its label.
    ///
    /// # Errors
    /// [`Error::ProviderQuota`] beyond [`MAX_OF_PROVIDER`], [`Error::OutOfMemory`] beyond [`MAX_KEYS`].
    pub fn open<T: Tee>(
        &mut self,
        tee: &mut T,
        asker: &Asker<'_>,
        label: &[u8],
        algorithm: KeyAlgorithm,
    ) -> Result<OpenKeyReply, Error> {
        let mut root = Secret::default();
        tee.unique_key(b"trustlet keys", &mut root)?;
        let Owner { name, generation, .. } = asker.owner;
        let path = [&asker.provider.0[..], name.as_bytes(), &[0], generation, label];
        self.insert(asker, &root, &path, algorithm)
    }

    /// Opens a key derived from an open one.
    ///
    /// # Errors
    /// As [`Keys::open`]; [`Error::UnknownHandle`], [`Error::KeyPurpose`].
    pub fn derive(
        &mut self,
        asker: &Asker<'_>,
        handle: KeyHandle,
        context: &[u8],
        algorithm: KeyAlgorithm,
    ) -> Result<OpenKeyReply, Error> {
        let parent = self.find(asker, handle, &[KeyAlgorithm::Derive])?.secret.clone();
        self.insert(asker, &parent, &[b"derived", context], algorithm)
    }

    /// Signs a message: `r‖s`.
    ///
    /// # Errors
    /// [`Error::UnknownHandle`], [`Error::KeyPurpose`].
    pub fn sign(&self, asker: &Asker<'_>, handle: KeyHandle, message: &[u8]) -> Result<[u8; 64], Error> {
        let key = self.find(asker, handle, &[KeyAlgorithm::EcdsaP256, KeyAlgorithm::Sm2])?;
        if key.algorithm == KeyAlgorithm::Sm2 {
            let signature: sm2::dsa::Signature = sm2_key(key.secret.as_slice())?.sign(message);
            return Ok(signature.to_bytes().into());
        }
        let signature: p256::ecdsa::Signature = p256_key(&key.secret)?.sign(message);
        Ok(signature.to_bytes().into())
    }

    /// HMAC-SHA-256 of a message.
    ///
    /// # Errors
    /// [`Error::UnknownHandle`], [`Error::KeyPurpose`].
    pub fn mac(&self, asker: &Asker<'_>, handle: KeyHandle, message: &[u8]) -> Result<[u8; 32], Error> {
        let key = self.find(asker, handle, &[KeyAlgorithm::HmacSha256])?;
        hmac(&key.secret, &[message])
    }

    /// Encrypts under a nonce of the TEE: nonce, cipher text, tag.
    ///
    /// # Errors
    /// [`Error::UnknownHandle`], [`Error::KeyPurpose`].
    pub fn encrypt<T: Tee>(
        &self,
        tee: &mut T,
        asker: &Asker<'_>,
        handle: KeyHandle,
        plain: &[u8],
    ) -> Result<Bytes<{ MAX_DATA + SEAL_OVERHEAD }>, Error> {
        let key = self.find(asker, handle, &[KeyAlgorithm::Aes128Gcm])?;
        let mut nonce = [0; NONCE_LEN];
        tee.random(&mut nonce);
        let mut sealed = Bytes::new();
        let mut append = |bytes: &[u8]| sealed.extend_from_slice(bytes).map_err(|_| Error::Internal);
        append(&nonce)?;
        append(plain)?;
        let body = sealed.get_mut(NONCE_LEN..).ok_or(Error::Internal)?;
        let tag = cipher(&key.secret)?
            .encrypt_inout_detached(&Array(nonce), &[], body.into())
            .map_err(|_| Error::Internal)?;
        sealed.extend_from_slice(&tag).map_err(|_| Error::Internal)?;
        Ok(sealed)
    }

    /// Decrypts what [`Keys::encrypt`] gave.
    ///
    /// # Errors
    /// [`Error::UnknownHandle`], [`Error::KeyPurpose`], [`Error::CipherInvalid`].
    pub fn decrypt(
        &self,
        asker: &Asker<'_>,
        handle: KeyHandle,
        sealed: &[u8],
    ) -> Result<Bytes<MAX_DATA>, Error> {
        let key = self.find(asker, handle, &[KeyAlgorithm::Aes128Gcm])?;
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(Error::CipherInvalid)?;
        let (body, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(Error::CipherInvalid)?;
        let mut plain = Bytes::from_slice(body).map_err(|_| Error::CipherInvalid)?;
        cipher(&key.secret)?
            .decrypt_inout_detached(&Array(*nonce), &[], plain.as_mut_slice().into(), &Array(*tag))
            .map_err(|_| Error::CipherInvalid)?;
        Ok(plain)
    }

    /// Closes one key.
    ///
    /// # Errors
    /// [`Error::UnknownHandle`].
    pub fn close(&mut self, asker: &Asker<'_>, handle: KeyHandle) -> Result<(), Error> {
        let place = self.open.get_mut(usize::from(handle.index)).ok_or(Error::UnknownHandle)?;
        if !place.as_ref().is_some_and(|open| open.belongs(asker, handle)) {
            return Err(Error::UnknownHandle);
        }
        *place = None;
        Ok(())
    }

    /// Closes every key of one guest.
    pub fn close_guest(&mut self, session: u32, guest: u32) {
        self.retain(|open| (open.session, open.guest) != (session, guest));
    }

    /// Closes every key of a TVM whose session ended.
    pub fn close_session(&mut self, session: u32) {
        self.retain(|open| open.session != session);
    }

    fn retain(&mut self, keep: impl Fn(&Open) -> bool) {
        for place in &mut self.open {
            drop_if(place, |open| !keep(open));
        }
    }

    fn insert(
        &mut self,
        asker: &Asker<'_>,
        parent: &Secret,
        path: &[&[u8]],
        algorithm: KeyAlgorithm,
    ) -> Result<OpenKeyReply, Error> {
        let mine = self.open.iter().flatten().filter(|open| open.session == asker.session).count();
        if mine >= MAX_OF_PROVIDER {
            return Err(Error::ProviderQuota);
        }
        let index = match self.open.iter().position(Option::is_none) {
            Some(index) => index,
            None => {
                self.open.push(None).map_err(|_| Error::OutOfMemory)?;
                self.open.len() - 1
            }
        };
        let (secret, public) = make(parent, path, algorithm)?;
        let generation = self.last_generation.checked_add(1).ok_or(Error::OutOfMemory)?;
        let handle = KeyHandle { index: u8::try_from(index).map_err(|_| Error::Internal)?, generation };
        let place = self.open.get_mut(index).ok_or(Error::Internal)?;
        *place =
            Some(Open { session: asker.session, guest: asker.owner.guest, generation, algorithm, secret });
        self.last_generation = generation;
        Ok(OpenKeyReply { handle, public })
    }

    fn find(
        &self,
        asker: &Asker<'_>,
        handle: KeyHandle,
        algorithms: &[KeyAlgorithm],
    ) -> Result<&Open, Error> {
        let open = self.open.get(usize::from(handle.index)).and_then(Option::as_ref);
        let open = open.filter(|open| open.belongs(asker, handle)).ok_or(Error::UnknownHandle)?;
        if algorithms.contains(&open.algorithm) { Ok(open) } else { Err(Error::KeyPurpose) }
    }
}

impl Open {
    fn belongs(&self, asker: &Asker<'_>, handle: KeyHandle) -> bool {
        (self.session, self.guest, self.generation) == (asker.session, asker.owner.guest, handle.generation)
    }
}

/// A key's secret and, of a signature key, its public half. One secret in 2³² is no scalar of a curve; it
/// is hashed again.
fn make(parent: &Secret, path: &[&[u8]], algorithm: KeyAlgorithm) -> Result<(Secret, Bytes<65>), Error> {
    // Lengths in front, so that no two paths run together to the same bytes.
    let kind = [algorithm as u8];
    let lengths: Vec<[u8; 1], 6> =
        path.iter().map(|part| [u8::try_from(part.len()).unwrap_or(u8::MAX)]).collect();
    let mut parts = Vec::<&[u8], 12>::new();
    parts.extend(path.iter().zip(&lengths).flat_map(|(part, length)| [&length[..], part]));
    let _ = parts.push(&kind);
    let mut secret = Zeroizing::new(hmac(parent, &parts)?);
    for _ in 0..4 {
        match public(&secret, algorithm) {
            Ok(public) => return Ok((secret, public)),
            Err(_) => secret = Zeroizing::new(hmac(&secret, &[b"again"])?),
        }
    }
    Err(Error::Internal)
}

fn public(secret: &Secret, algorithm: KeyAlgorithm) -> Result<Bytes<65>, Error> {
    let point = match algorithm {
        KeyAlgorithm::EcdsaP256 => {
            Bytes::from_slice(p256_key(secret)?.verifying_key().to_sec1_point(false).as_bytes())
        }
        KeyAlgorithm::Sm2 => Bytes::from_slice(
            sm2_key(secret.as_slice())?.verifying_key().as_affine().to_sec1_point(false).as_bytes(),
        ),
        KeyAlgorithm::HmacSha256 | KeyAlgorithm::Aes128Gcm | KeyAlgorithm::Derive => Ok(Bytes::new()),
    };
    point.map_err(|_| Error::Internal)
}

fn p256_key(secret: &Secret) -> Result<p256::ecdsa::SigningKey, Error> {
    p256::ecdsa::SigningKey::from_slice(secret.as_slice()).map_err(|_| Error::Internal)
}

/// The key that signs under a scalar of 32 bytes.
///
/// # Errors
/// [`Error::Internal`] for bytes that are no scalar of the curve.
pub fn sm2_key(secret: &[u8]) -> Result<sm2::dsa::SigningKey, Error> {
    let secret = sm2::SecretKey::from_slice(secret).map_err(|_| Error::Internal)?;
    sm2::dsa::SigningKey::new(SM2_ID, &secret).map_err(|_| Error::Internal)
}

fn cipher(secret: &Secret) -> Result<Aes128Gcm, Error> {
    let (key, _) = secret.split_first_chunk::<16>().ok_or(Error::Internal)?;
    Ok(Aes128Gcm::new(&Array(*key)))
}

fn hmac(key: &Secret, parts: &[&[u8]]) -> Result<[u8; 32], Error> {
    let mut mac =
        <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key.as_slice()).map_err(|_| Error::Internal)?;
    parts.iter().for_each(|part| mac.update(part));
    Ok(mac.finalize().into_bytes().into())
}
