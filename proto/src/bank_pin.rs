//! The *bank PIN*: typed for one payment, enciphered as it is typed, never stored and never compared on the phone. Its
//! block names the token of the card, which the card trusted app hands over; its key is used for one block.

use crate::{
    device::DeviceCertificate,
    id::{Caller, CardId, ProviderId},
    pad::PadShow,
    pin::{ProviderCertificate, concat},
    profile::Key128,
    wire::Bytes,
};

/// Most digits of a token.
pub const MAX_TOKEN: usize = 19;
/// Length of the identifier of an initial key (X9.24-3): its base key's, then its own, four bytes each.
pub const IDENTIFIER_LEN: usize = 8;

crate::code! {
    /// How a PIN becomes a block.
    PinBlockFormat {
        /// ISO 9564-1, 9.3.2: 8 bytes under two-key triple DES.
        Iso0 = 1,
        /// ISO 9564-1, 9.3.5: 8 bytes under two-key triple DES, filled at random.
        Iso3 = 2,
        /// ISO 9564-1, 9.4.2: 16 bytes under AES-128.
        Iso4 = 3,
        /// **No ISO format**: the layout of format 4 under SM4. Unverified: no public text says what a network does
        /// with SM4.
        Sm4Layout4 = 4,
    }
}

impl PinBlockFormat {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Iso0, Self::Iso3, Self::Iso4, Self::Sm4Layout4];

    /// Length of a block in bytes.
    #[must_use]
    pub const fn block_len(self) -> usize {
        match self {
            Self::Iso0 | Self::Iso3 => 8,
            Self::Iso4 | Self::Sm4Layout4 => 16,
        }
    }
}

crate::message! {
    /// The card trusted app asks the PIN trusted app for a challenge for [`InstallPinKeyRequest`].
    #[derive(Clone, Debug, PartialEq, Eq)]
    DrawPinKeyRequest {}
}
crate::message! {
    /// A challenge of the PIN trusted app, and the key made for it; they replace earlier ones.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    DrawPinKeyReply {
        /// 32 random bytes, good for one delivery.
        challenge: [u8; 32],
        /// P-256, SEC 1 uncompressed.
        recipient: [u8; 65],
    }
}
crate::message! {
    /// Asks for what a provider needs to seal a key for this device's PIN trusted app.
    #[derive(Clone, Debug, PartialEq, Eq)]
    PinKeyChallengeRequest {}
}
crate::message! {
    /// A challenge of the PIN trusted app, vouched for by the device's key, which the card trusted app holds.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    PinKeyChallenge {
        /// From [`DrawPinKeyReply`].
        challenge: [u8; 32],
        /// From [`DrawPinKeyReply`].
        recipient: [u8; 65],
        /// The device's certificate.
        certificate: DeviceCertificate,
        /// ECDSA P-256 / SHA-256 by the device over [`Self::signed_bytes`], `r‖s`.
        signature: [u8; 64],
    }
}

impl PinKeyChallenge {
    /// What the device signs: a domain label, challenge and recipient key.
    #[must_use]
    pub fn signed_bytes(challenge: &[u8; 32], recipient: &[u8; 65]) -> [u8; 121] {
        concat(b"tapvault PIN key chall 1", &[challenge, recipient])
    }
}

crate::message! {
    /// What a provider seals for the PIN trusted app, 25 bytes: what its PIN blocks are enciphered with.
    PinKey {
        /// How its blocks are formed; the phone does not choose.
        format: PinBlockFormat,
        /// The initial key's identifier; no two deliveries have the same.
        identifier: [u8; IDENTIFIER_LEN],
        /// The initial key (X9.24-3, AES-128).
        initial: Key128,
    }
}

impl PinKey {
    /// Length of an encrypted [`PinKey`] in bytes, authentication tag included.
    pub const SEALED: usize = 1 + IDENTIFIER_LEN + 16 + 16;
}

crate::message! {
    /// Brings a provider's key for PIN blocks, sealed for a challenge of this run of the PIN trusted app.
    #[derive(Clone, Debug, PartialEq, Eq)]
    InstallPinKeyRequest {
        /// The provider's certificate.
        certificate: ProviderCertificate,
        /// The challenge.
        challenge: [u8; 32],
        /// The encapsulated HPKE key.
        encapsulated: [u8; 65],
        /// [`PinKey`], encrypted, with the tag behind.
        sealed: [u8; PinKey::SEALED],
        /// ECDSA P-256 / SHA-256 by the provider over [`Self::signed_bytes`], `r‖s`.
        signature: [u8; 64],
    }
}
crate::message! {
    /// The keys that come from it are stored; the initial key is not.
    #[derive(Clone, Debug, PartialEq, Eq)]
    InstallPinKeyReply {}
}

impl InstallPinKeyRequest {
    /// The HPKE `info`: a domain label, challenge and provider; 72 bytes.
    #[must_use]
    pub fn info(challenge: &[u8; 32], provider: ProviderId) -> [u8; 72] {
        concat(b"tapvault bank PIN key  1", &[challenge, &provider.0])
    }

    /// What the provider signs: the `info`, encapsulated key and cipher text.
    #[must_use]
    pub fn signed_bytes(&self) -> [u8; 72 + 65 + PinKey::SEALED] {
        let info = Self::info(&self.challenge, self.certificate.provider);
        concat(&info, &[&self.encapsulated, &self.sealed])
    }
}

crate::message! {
    /// The card trusted app hands over the token of a card, for one entry of one app.
    #[derive(Clone, Debug, PartialEq, Eq)]
    OfferTokenRequest {
        /// The card's provider.
        provider: ProviderId,
        /// The card.
        card: CardId,
        /// The app that asked the card trusted app; the PIN is entered in a session of its own.
        app: Caller,
        /// The token, ASCII digits.
        token: Bytes<MAX_TOKEN>,
    }
}
crate::message! {
    /// The token waits for its entry; an earlier one does not any more.
    #[derive(Clone, Debug, PartialEq, Eq)]
    OfferTokenReply {}
}
crate::message! {
    /// Has the card trusted app hand over a card's token, ahead of [`BeginBankPinRequest`].
    #[derive(Clone, Debug, PartialEq, Eq)]
    BankPinPrepareRequest {
        /// The card.
        card: CardId,
    }
}
crate::message! {
    /// The bank PIN of the card can be entered within the next 60 seconds.
    #[derive(Clone, Debug, PartialEq, Eq)]
    BankPinPrepareReply {}
}
crate::message! {
    /// Begins an entry of the bank PIN; the key of its block is used up in storage before this returns.
    #[derive(Clone, Debug, PartialEq, Eq)]
    BeginBankPinRequest {
        /// Whose PIN.
        provider: ProviderId,
        /// The card that was prepared.
        card: CardId,
    }
}
crate::message! {
    /// An entry is open. The phone counts no tries: the bank does.
    #[derive(Clone, Debug, PartialEq, Eq)]
    BankPinEntryReply {
        /// Names the entry; never used twice in one run.
        entry: u32,
        /// For the pad.
        show: PadShow,
    }
}
crate::message! {
    /// Fetches the block, once, and ends the entry.
    #[derive(Clone, Debug, PartialEq, Eq)]
    FinishBankPinRequest {
        /// From [`BankPinEntryReply`].
        entry: u32,
    }
}
crate::message! {
    /// A PIN block, and which key it is under: the serial number of X9.24-3 is `identifier ‖ counter`, 12 bytes.
    #[derive(Clone, Debug, PartialEq, Eq)]
    BankPinBlock {
        /// How it is formed.
        format: PinBlockFormat,
        /// The initial key's identifier.
        identifier: [u8; IDENTIFIER_LEN],
        /// The key's counter; no two blocks of an initial key have the same.
        counter: u32,
        /// [`PinBlockFormat::block_len`] bytes.
        block: Bytes<16>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Wire;

    #[test]
    fn labels_and_lengths_fill_what_is_signed() {
        assert_eq!(PinKey::MAX + 16, PinKey::SEALED);
        let signed = PinKeyChallenge::signed_bytes(&[2; 32], &[3; 65]);
        assert_eq!((&signed[..24], signed[55], signed[120]), (&b"tapvault PIN key chall 1"[..], 2, 3));
        let certificate =
            ProviderCertificate { provider: ProviderId([4; 16]), key: [0; 65], signature: [0; 64] };
        let request = InstallPinKeyRequest {
            certificate,
            challenge: [2; 32],
            encapsulated: [5; 65],
            sealed: [6; PinKey::SEALED],
            signature: [0; 64],
        };
        let signed = request.signed_bytes();
        assert_eq!(&signed[..24], b"tapvault bank PIN key  1");
        assert_eq!((signed[55], signed[71], signed[136], signed[177]), (2, 4, 5, 6));
    }
}
