//! What a bank sends to the PIN trusted app besides tickets: keys for PIN blocks, and the command to unlock.

use super::{BankError, Provider, hpke_seal};
use crate::{device, lab::sign};
use tapvault_proto::{
    bank_pin::{InstallPinKeyRequest, PinKey, PinKeyChallenge},
    tries::UnlockPinRequest,
    wire::{Wire, encode_into},
};
use zeroize::Zeroizing;

impl Provider {
    /// Seals a key for PIN blocks for a challenge, once it is known that a certified device vouches for it.
    ///
    /// # Errors
    /// [`BankError::Device`], [`BankError::Recipient`].
    pub fn seal_pin_key(
        &self,
        challenge: &PinKeyChallenge,
        key: &PinKey,
    ) -> Result<InstallPinKeyRequest, BankError> {
        device::check_pin_key(&self.factory_root, challenge).map_err(BankError::Device)?;
        let mut plain = Zeroizing::new([0; <PinKey as Wire>::MAX]);
        encode_into(key, plain.as_mut_slice()).map_err(|_| BankError::Internal)?;
        let info = InstallPinKeyRequest::info(&challenge.challenge, self.id());
        let (encapsulated, sealed) = hpke_seal(&challenge.recipient, &info, plain.as_slice())?;
        let mut request = InstallPinKeyRequest {
            certificate: self.certificate.clone(),
            challenge: challenge.challenge,
            encapsulated,
            sealed: sealed.as_slice().try_into().map_err(|_| BankError::Internal)?,
            signature: [0; 64],
        };
        request.signature = sign(&self.key, &request.signed_bytes());
        Ok(request)
    }

    /// Commands the PIN trusted app that drew `challenge` to give all tries back: the command's number is above that of
    /// the last one, or the same when nobody knows whether that one was obeyed.
    #[must_use]
    pub fn unlock(&self, challenge: [u8; 32], sequence: u32) -> UnlockPinRequest {
        let certificate = self.certificate.clone();
        let mut command = UnlockPinRequest { certificate, challenge, sequence, signature: [0; 64] };
        command.signature = sign(&self.key, &command.signed_bytes());
        command
    }
}
