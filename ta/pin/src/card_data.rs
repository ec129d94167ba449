//! Sealing card data for their bank. The public-key work is done while the holder types; what is typed lies in clear in
//! one buffer of one call, which the ciphertext overwrites.

use tapvault_proto::{
    Error,
    binding::{BeginCardDataRequest, CardData, SEALED_LEN, SealedCardData},
    id::ProviderId,
    wire::{Bytes, Wire, encode_into},
};
use tapvault_seal::Sealing;
use tapvault_tee::Tee;
use tapvault_trust::TRUST_ROOT;
use zeroize::{Zeroize, Zeroizing};

/// A seal that waits for card data.
pub struct Awaited {
    nonce: [u8; 32],
    challenge: [u8; 32],
    sealing: Sealing,
}

impl Awaited {
    /// For the bank that asks.
    ///
    /// # Errors
    /// [`Error::RecipientCertificate`] unless the trust root certified it, and a key that is one.
    pub fn new<T: Tee>(tee: &mut T, request: &BeginCardDataRequest) -> Result<Self, Error> {
        let BeginCardDataRequest { certificate, nonce } = request;
        let certified = TRUST_ROOT.verifies(&certificate.signed_bytes()?, &certificate.signature);
        // The name goes to a screen.
        if !certified || !certificate.is_presentable() {
            return Err(Error::RecipientCertificate);
        }
        let mut challenge = [0; 32];
        tee.random(&mut challenge);
        let info = SealedCardData::info(certificate.provider, nonce, &challenge);
        let sealing =
            Sealing::to(tee, &certificate.recipient, &info).map_err(|_| Error::RecipientCertificate)?;
        Ok(Self { nonce: *nonce, challenge, sealing })
    }

    /// Drawn for this entry.
    pub fn challenge(&self) -> [u8; 32] {
        self.challenge
    }

    /// Seals what was typed, once.
    ///
    /// # Errors
    /// [`Error::Internal`] never: every length is fixed.
    pub fn seal(&mut self, provider: ProviderId, data: &CardData) -> Result<SealedCardData, Error> {
        let Self { nonce, challenge, sealing } = self;
        let (nonce, challenge) = (*nonce, *challenge);
        let mut plain = Zeroizing::new([0; CardData::MAX]);
        encode_into(data, plain.as_mut_slice())?;
        let mut buffer = Bytes::<SEALED_LEN>::from_slice(plain.as_slice()).map_err(|_| Error::Internal)?;
        let sealed = sealing.seal(&mut buffer).and_then(|encapsulated| {
            let sealed = buffer.as_slice().try_into().map_err(|_| Error::Internal)?;
            Ok(SealedCardData { provider, nonce, challenge, encapsulated, sealed })
        });
        // Clear text still, if it could not be encrypted.
        buffer.as_mut_slice().zeroize();
        sealed
    }
}
