//! Sealing for somebody outside: the same HPKE, in the other direction.

use crate::TAG_LEN;
use core::convert::Infallible;
use hpke::{
    Deserializable, Kem, OpModeS, Serializable,
    aead::{AeadCtxS, AesGcm128},
    inout::InOutBuf,
    kdf::HkdfSha256,
    kem::DhP256HkdfSha256,
    rand_core::{TryCryptoRng, TryRng},
    setup_sender_with_rng,
};
use tapvault_proto::{Error, wire::Bytes};
use tapvault_tee::Tee;

/// A seal that is ready: all public-key work is done, one message can be sealed.
pub struct Sealing {
    encapsulated: [u8; 65],
    context: AeadCtxS<AesGcm128, HkdfSha256, DhP256HkdfSha256>,
}

impl Sealing {
    /// Makes ready for `recipient`, a P-256 key (SEC 1 uncompressed). `info` binds what the caller wants bound; the
    /// associated data is empty.
    ///
    /// # Errors
    /// [`Error::RecipientInvalid`] for what is no point of the curve.
    pub fn to<T: Tee>(tee: &mut T, recipient: &[u8; 65], info: &[u8]) -> Result<Self, Error> {
        let recipient = <DhP256HkdfSha256 as Kem>::PublicKey::from_bytes(recipient)
            .map_err(|_| Error::RecipientInvalid)?;
        let (encapsulated, context) = setup_sender_with_rng::<_, _, DhP256HkdfSha256>(
            &OpModeS::Base,
            &recipient,
            info,
            &mut Random(tee),
        )
        .map_err(|_| Error::RecipientInvalid)?;
        let encapsulated = encapsulated.to_bytes().as_slice().try_into().map_err(|_| Error::Internal)?;
        Ok(Self { encapsulated, context })
    }

    /// Encrypts the one message, `plain`, in place and puts the tag of [`TAG_LEN`] bytes behind it; returns the
    /// encapsulated key.
    ///
    /// # Errors
    /// [`Error::Internal`] when there is no room for the tag; `plain` is then as it was.
    pub fn seal<const N: usize>(&mut self, plain: &mut Bytes<N>) -> Result<[u8; 65], Error> {
        let len = plain.len();
        plain.extend_from_slice(&[0; TAG_LEN]).map_err(|_| Error::Internal)?;
        let (body, place) = plain.split_at_mut_checked(len).ok_or(Error::Internal)?;
        let tag = self.context.seal_inout_detached(InOutBuf::from(body), &[]).map_err(|_| Error::Internal)?;
        place.copy_from_slice(&tag.to_bytes());
        Ok(self.encapsulated)
    }
}

/// The TEE's random numbers for the ephemeral key.
struct Random<'a, T>(&'a mut T);

impl<T: Tee> TryRng for Random<'_, T> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.random(&mut bytes);
        Ok(u32::from_ne_bytes(bytes))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.random(&mut bytes);
        Ok(u64::from_ne_bytes(bytes))
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.random(out);
        Ok(())
    }
}

impl<T: Tee> TryCryptoRng for Random<'_, T> {}
