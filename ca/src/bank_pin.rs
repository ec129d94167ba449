//! The bank PIN, what a bank sends to the PIN trusted app, and how long a try waits.

use crate::{ClientError, PadLink, Transport, Wallet};
use tapvault_proto::{
    bank_pin::{
        BankPinBlock, BankPinEntryReply, BankPinPrepareRequest, BeginBankPinRequest, FinishBankPinRequest,
        InstallPinKeyRequest, PinKeyChallenge, PinKeyChallengeRequest,
    },
    id::{CardId, ProviderId},
    tries::{PinDelayRequest, UnlockPinRequest},
};

impl<T: Transport> Wallet<T> {
    /// Draws the challenge a bank needs to seal its key for PIN blocks; it replaces an earlier one.
    ///
    /// # Errors
    /// [`tapvault_proto::Error::DeviceNotCertified`], or the call's.
    pub fn pin_key_challenge(&mut self) -> Result<PinKeyChallenge, ClientError> {
        self.call(&PinKeyChallengeRequest {})
    }

    /// Brings a bank's key for PIN blocks, made for a fresh [`Wallet::pin_key_challenge`].
    ///
    /// # Errors
    /// The PIN trusted app's refusal; what was there is then as it was.
    pub fn install_pin_key(&mut self, request: &InstallPinKeyRequest) -> Result<(), ClientError> {
        self.call(request).map(|_| ())
    }

    /// Enciphers the bank PIN of a card for its bank, which compares it. The block is good once.
    ///
    /// # Errors
    /// The trusted apps' refusals, or the pad's.
    pub fn bank_pin(
        &mut self,
        provider: ProviderId,
        card: CardId,
        pad: &mut impl PadLink,
    ) -> Result<BankPinBlock, ClientError> {
        self.call(&BankPinPrepareRequest { card })?;
        self.open_pad(pad)?;
        let BankPinEntryReply { entry, show } = self.call(&BeginBankPinRequest { provider, card })?;
        self.submit(entry, show, pad)?;
        self.call(&FinishBankPinRequest { entry })
    }

    /// Milliseconds until an entry that compares the wallet PIN may begin.
    ///
    /// # Errors
    /// The call's.
    pub fn pin_delay(&mut self, provider: ProviderId) -> Result<u64, ClientError> {
        Ok(self.call(&PinDelayRequest { provider })?.wait_ms)
    }

    /// Brings a bank's command to give all tries of the wallet PIN back, made for a fresh [`Wallet::pin_challenge`];
    /// returns how many there are now.
    ///
    /// # Errors
    /// The PIN trusted app's refusal; nothing has changed then.
    pub fn unlock_pin(&mut self, command: &UnlockPinRequest) -> Result<u8, ClientError> {
        Ok(self.call(command)?.tries_left)
    }
}
