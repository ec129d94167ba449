//! Approvals: the wallet PIN for one payment that is no tap, with all that is known of it.

use crate::{
    id::{CardId, ProviderId},
    pin::{MAX_PAYEE, VerificationMethod},
    token::Channel,
    wire::Bytes,
};

crate::message! {
    /// What a holder is shown and approves with the PIN.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Approval {
        /// The card that pays.
        card: CardId,
        /// The way it pays: any but a tap, for which the PIN is verified.
        channel: Channel,
        /// Amount in minor units of `currency`; 0 for a code, whose amount the merchant names later.
        amount: u64,
        /// ISO 4217 numeric code, as in tag 5F2A; 0 for a code.
        currency: u16,
        /// Who is paid, printable ASCII; empty for a code, which pays whoever reads it.
        payee: Bytes<MAX_PAYEE>,
        /// [`crate::online::PaymentRequest`]'s digest: SHA-256 of what was signed; zero for a code.
        digest: [u8; 32],
    }
}

impl Approval {
    /// Of a code.
    #[must_use]
    pub const fn code(card: CardId) -> Self {
        Self { card, channel: Channel::Qr, amount: 0, currency: 0, payee: Bytes::new(), digest: [0; 32] }
    }

    /// Whether it says what a payment of its channel has to say, and nothing that cannot be shown.
    #[must_use]
    pub fn check(&self) -> bool {
        match self.channel {
            Channel::Nfc => false,
            Channel::Qr => *self == Self::code(self.card),
            Channel::InApp | Channel::Wallet => {
                self.amount > 0
                    && !self.payee.is_empty()
                    && self.payee.iter().all(|byte| (0x20..0x7F).contains(byte))
            }
        }
    }
}

crate::message! {
    /// Begins to approve one payment of one card: *exact*.
    #[derive(Clone, Debug, PartialEq, Eq)]
    BeginApprovalRequest {
        /// Whose PIN.
        provider: ProviderId,
        /// What is approved.
        approval: Approval,
    }
}
crate::message! {
    /// The card trusted app takes an approval; it exists once.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TakeApprovalRequest {
        /// The card's provider.
        provider: ProviderId,
        /// What was approved, to the last byte.
        approval: Approval,
    }
}
crate::message! {
    /// The holder approved exactly this.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TakeApprovalReply {
        /// How.
        method: VerificationMethod,
        /// Milliseconds until it expires.
        remaining_ms: u64,
    }
}
