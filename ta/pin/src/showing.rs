//! What the pad is to show for each purpose: everything that is known of it, and nothing that the client says besides.

use crate::entry::Purpose;
use tapvault_proto::{
    pad::{PAD_PATIENCE_S, PadPurpose, Showing},
    token::Channel,
    wire::Bytes,
};

impl Purpose {
    /// What the holder is to see.
    pub fn showing(&self) -> Showing {
        let of = |purpose| Showing {
            purpose,
            amount: 0,
            currency: 0,
            payee: Bytes::new(),
            digest: [0; 32],
            life_s: PAD_PATIENCE_S,
        };
        match self {
            Self::Set => of(PadPurpose::SetPin),
            Self::Change => of(PadPurpose::ChangePin),
            Self::Verify { ceiling, currency, exact, .. } => {
                let purpose = if *exact { PadPurpose::ConfirmTap } else { PadPurpose::ArmTap };
                Showing { amount: *ceiling, currency: *currency, ..of(purpose) }
            }
            Self::Confirm { transfer, .. } => Showing {
                amount: transfer.amount,
                currency: transfer.currency,
                payee: transfer.payee.clone(),
                ..of(PadPurpose::ConfirmTransfer)
            },
            Self::Approve { approval } if approval.channel == Channel::Qr => of(PadPurpose::ShowCode),
            Self::Approve { approval } => Showing {
                amount: approval.amount,
                currency: approval.currency,
                payee: approval.payee.clone(),
                digest: approval.digest,
                ..of(PadPurpose::ApprovePayment)
            },
            Self::BankPin => of(PadPurpose::BankPin),
            Self::CardData { bank } => Showing { payee: bank.clone(), ..of(PadPurpose::CardData) },
        }
    }
}
