//! A bank's key for card data: certified for phones, and the only thing that opens what they seal.

use crate::{
    bank::BankError,
    lab::{self, LabBank, sign},
};
use hpke::{
    Deserializable, Kem, OpModeR, Serializable,
    aead::{AeadTag, AesGcm128},
    inout::InOutBuf,
    kdf::HkdfSha256,
    kem::DhP256HkdfSha256,
    single_shot_open_inout_detached,
};
use sha2::{Digest, Sha256};
use tapvault_proto::{
    binding::{CardData, RecipientCertificate, SealedCardData},
    wire::{Bytes, Wire, decode_exact},
};
use zeroize::Zeroizing;

type PrivateKey = <DhP256HkdfSha256 as Kem>::PrivateKey;

/// A lab bank's key for card data. It is wiped when dropped; there is no `Debug`.
pub struct Recipient {
    certificate: RecipientCertificate,
    key: PrivateKey,
}

impl Recipient {
    /// The bank's key, certified by the lab's trust root. **Everybody can compute it.**
    ///
    /// # Errors
    /// [`BankError::Internal`] never: a P-256 point has 65 bytes, and the name is short.
    pub fn lab(bank: LabBank) -> Result<Self, BankError> {
        let label = format!("tapvault lab card data {}", bank.name());
        let seed: Zeroizing<[u8; 32]> = Zeroizing::new(Sha256::digest(label).into());
        let (key, public) = DhP256HkdfSha256::derive_keypair(seed.as_slice());
        let name = format!("Lab Bank {}", bank.name());
        let mut certificate = RecipientCertificate {
            provider: bank.id(),
            name: Bytes::from_slice(name.as_bytes()).map_err(|_| BankError::Internal)?,
            recipient: public.to_bytes().as_slice().try_into().map_err(|_| BankError::Internal)?,
            signature: [0; 64],
        };
        let signed = certificate.signed_bytes().map_err(|_| BankError::Internal)?;
        certificate.signature = sign(&lab::trust_root(), &signed);
        Ok(Self { certificate, key })
    }

    /// Its certificate under the trust root.
    #[must_use]
    pub const fn certificate(&self) -> &RecipientCertificate {
        &self.certificate
    }

    /// Its private key, 32 bytes, for programs of others: everybody can compute it, as all of the lab's.
    #[must_use]
    pub fn lab_key(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.key.to_bytes().to_vec())
    }

    /// Opens card data; `None` when they are another bank's, or were altered.
    #[must_use]
    pub fn open(&self, sealed: &SealedCardData) -> Option<CardData> {
        let SealedCardData { provider, nonce, challenge, encapsulated, sealed } = sealed;
        if *provider != self.certificate.provider {
            return None;
        }
        let (body, tag) = sealed.split_at_checked(CardData::MAX)?;
        let mut plain = Zeroizing::new([0; CardData::MAX]);
        plain.copy_from_slice(body);
        single_shot_open_inout_detached::<AesGcm128, HkdfSha256, DhP256HkdfSha256>(
            &OpModeR::Base,
            &self.key,
            &<DhP256HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).ok()?,
            &SealedCardData::info(*provider, nonce, challenge),
            InOutBuf::from(plain.as_mut_slice()),
            &[],
            &AeadTag::<AesGcm128>::from_bytes(tag).ok()?,
        )
        .ok()?;
        decode_exact(plain.as_slice()).ok()
    }
}
