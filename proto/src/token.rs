//! Tokens: where one may be used, and the words that its service sends about it (EMVCo Payment Tokenisation).

use crate::{
    id::CardId,
    pin::{ProviderCertificate, concat},
    profile::Key128,
    wire::Bytes,
};

/// Length of a payment account reference, tag 9F24.
pub const PAR_LEN: usize = 29;
/// Digits of a token requestor's id, tag 9F19.
pub const REQUESTOR_LEN: usize = 11;
/// Longest name of a merchant: a card acceptor's identification (ISO 8583, field 42).
pub const MAX_MERCHANT: usize = 15;
/// Most merchants that a token may be bound to.
pub const MAX_MERCHANTS: usize = 4;

crate::code! {
    /// The ways to pay. Each has a key of its own: a cryptogram that was made for one is none for another.
    #[derive(PartialOrd, Ord)]
    Channel {
        /// A tap on a terminal.
        Nfc = 1,
        /// A code that the holder shows.
        Qr = 2,
        /// A payment in an app or an online shop.
        InApp = 3,
        /// A payment through a wallet that is a token requestor of its own.
        Wallet = 4,
    }
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 4] = [Self::Nfc, Self::Qr, Self::InApp, Self::Wallet];
}

crate::message! {
    /// The key of a channel.
    ChannelKey {
        /// Which.
        channel: Channel,
        /// The unique derived key for its application cryptograms.
        udk: Key128,
    }
}

crate::message! {
    /// What the trusted app enforces of a token's domain. Merchant and category of taps, and amounts of codes, only the
    /// token service sees; channels are those that there is a key for.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Domain {
        /// Last moment, in seconds since 1970 UTC by the token service's clock; [`Domain::UNLIMITED`] for none.
        valid_until: u64,
        /// Most payments under this version of the keys; 65,535, what counters can count, is no limit.
        payments: u16,
        /// Most that a payment may come to, in minor units of the card's currency; [`Domain::UNLIMITED`] for no limit.
        /// With a limit, other currencies are refused.
        amount: u64,
        /// The only merchants that may be paid where a merchant signs its request; none is no limit.
        merchants: heapless::Vec<Bytes<MAX_MERCHANT>, MAX_MERCHANTS>,
    }
}

impl Domain {
    /// As an amount or a moment: no limit.
    pub const UNLIMITED: u64 = u64::MAX;

    /// A token that only its channels limit.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self {
            valid_until: Self::UNLIMITED,
            payments: u16::MAX,
            amount: Self::UNLIMITED,
            merchants: heapless::Vec::new(),
        }
    }
}

crate::message! {
    /// What a token is, beside its number.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Token {
        /// Payment account reference, tag 9F24: 29 letters and digits, the same for every token of an account; empty
        /// where the token service gives none. It pays nothing.
        par: Bytes<PAR_LEN>,
        /// The token requestor's id, tag 9F19: 11 digits.
        requestor: [u8; REQUESTOR_LEN],
        /// Whether it can pay from its installation on, or waits for [`TokenAction::Activate`].
        active: bool,
        /// Where it may be used.
        domain: Domain,
    }
}

impl Token {
    /// Whether it keeps the rules of its fields.
    #[must_use]
    pub fn check(&self) -> bool {
        let par = &self.par;
        (par.is_empty() || par.len() == PAR_LEN && par.iter().all(u8::is_ascii_alphanumeric))
            && self.requestor.iter().all(u8::is_ascii_digit)
            && self.domain.payments > 0
            && self
                .domain
                .merchants
                .iter()
                .all(|name| !name.is_empty() && name.iter().all(u8::is_ascii_graphic))
    }
}

crate::code! {
    /// Where a token is in its life.
    TokenState {
        /// Installed, and not activated yet.
        Inactive = 1,
        /// It can pay.
        Active = 2,
        /// Suspended by its provider, who alone can resume it.
        Suspended = 3,
    }
}

crate::code! {
    /// What a token service commands.
    TokenAction {
        /// An inactive token becomes active.
        Activate = 1,
        /// An active token is suspended.
        Suspend = 2,
        /// A suspended token becomes active.
        Resume = 3,
        /// The token is deleted, keys and all.
        Delete = 4,
    }
}

impl TokenState {
    /// Where an action leads; `None` for one that does not fit. A token service that commands what does not fit has
    /// used up a number which the phone will wait for. Deletion fits always, and leads nowhere: `None` as well.
    #[must_use]
    pub const fn after(self, action: TokenAction) -> Option<Self> {
        match (self, action) {
            (Self::Inactive, TokenAction::Activate) | (Self::Suspended, TokenAction::Resume) => {
                Some(Self::Active)
            }
            (Self::Active, TokenAction::Suspend) => Some(Self::Suspended),
            _ => None,
        }
    }
}

crate::message! {
    /// A token service's command. Commands are numbered from 1 under each version of a card's keys; each is good
    /// behind the one before it, and the last one may be repeated: it changes nothing.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TokenCommand {
        /// The provider's certificate.
        certificate: ProviderCertificate,
        /// The card whose token it is.
        card: CardId,
        /// The version of its keys.
        key_version: u8,
        /// The command's number.
        sequence: u32,
        /// What to do.
        action: TokenAction,
        /// ECDSA P-256 / SHA-256 by the provider over [`Self::signed_bytes`], `r‖s`.
        signature: [u8; 64],
    }
}

impl TokenCommand {
    /// What the provider signs: a domain label, its id, the card, the version of its keys, number and action.
    #[must_use]
    pub fn signed_bytes(&self) -> [u8; 62] {
        concat(
            b"tapvault token command 1",
            &[
                &self.certificate.provider.0,
                &self.card.0,
                &[self.key_version],
                &self.sequence.to_be_bytes(),
                &[self.action as u8],
            ],
        )
    }
}

crate::message! {
    /// A provider's word on what time it is, for a nonce that the card trusted app drew after it started.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TimeStatement {
        /// The provider's certificate.
        certificate: ProviderCertificate,
        /// The nonce.
        nonce: [u8; 32],
        /// Seconds since 1970 UTC when it was signed.
        time: u64,
        /// ECDSA P-256 / SHA-256 by the provider over [`Self::signed_bytes`], `r‖s`.
        signature: [u8; 64],
    }
}

impl TimeStatement {
    /// What the provider signs: a domain label, its id, the nonce and the time.
    #[must_use]
    pub fn signed_bytes(&self) -> [u8; 80] {
        concat(
            b"tapvault provider time 1",
            &[&self.certificate.provider.0, &self.nonce, &self.time.to_be_bytes()],
        )
    }
}

/// Whether there are keys, of each channel one at most, in order.
pub(crate) fn check_keys(keys: &[ChannelKey]) -> bool {
    !keys.is_empty() && keys.is_sorted_by(|one, next| one.channel < next.channel)
}
