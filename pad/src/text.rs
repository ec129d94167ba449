//! What the holder is shown: plain lines, made here from what the trusted app sent, and from nothing else.

use crate::amount;
use tapvault_proto::{
    Error,
    pad::{PadPurpose, Showing},
};

/// Bytes of an order's digest that are shown: enough that nobody finds another order with the same ones while the
/// holder waits.
const DIGEST_SHOWN: usize = 8;

/// Longest value of a line in characters; a screen has room for it.
pub const LONGEST: usize = 52;

/// Lines for the holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What it is about.
    pub title: &'static str,
    /// Name and value, in the order in which they are read.
    pub lines: Vec<(&'static str, String)>,
}

impl Text {
    /// What a showing says.
    ///
    /// # Errors
    /// [`Error::PadContent`] for a payee that is not printable ASCII, and for one that is missing where the purpose has
    /// one: nothing is shown then.
    pub fn of(showing: &Showing) -> Result<Self, Error> {
        use PadPurpose::{
            ApprovePayment, ArmTap, BankPin, CardData, ChangePin, ConfirmTap, ConfirmTransfer, SetPin,
            ShowCode,
        };
        let payee = payee(showing)?;
        let value = |before| {
            let (amount, currency) = amount::text(showing.amount, showing.currency);
            vec![("Amount", format!("{before}{amount}")), ("Currency", currency)]
        };
        let named = |name| payee.clone().map(|payee| (name, payee)).ok_or(Error::PadContent);
        let mut lines = match showing.purpose {
            SetPin | ChangePin => Vec::new(),
            ArmTap => [value("up to "), vec![unknown_payee()]].concat(),
            ConfirmTap => [value(""), vec![unknown_payee()]].concat(),
            ApprovePayment | ConfirmTransfer => [value(""), vec![named("Payee")?]].concat(),
            ShowCode => vec![("Amount", "not known".into()), ("Payee", "whoever reads the code".into())],
            BankPin => vec![("For", "the bank of your card, enciphered".into())],
            CardData => vec![named("For the bank")?],
        };
        if showing.digest != [0; 32] {
            lines.push(("Order", digest(&showing.digest)));
        }
        Ok(Self { title: title(showing.purpose), lines })
    }
}

/// What a purpose is called.
#[must_use]
pub const fn title(purpose: PadPurpose) -> &'static str {
    match purpose {
        PadPurpose::SetPin => "Choose your wallet PIN",
        PadPurpose::ArmTap => "Allow one tap with your phone",
        PadPurpose::ConfirmTap => "Pay at the terminal: tap again after the PIN",
        PadPurpose::ApprovePayment => "Pay",
        PadPurpose::ShowCode => "Show a code that pays",
        PadPurpose::ConfirmTransfer => "Transfer",
        PadPurpose::ChangePin => "Change your wallet PIN",
        PadPurpose::BankPin => "Pay with the PIN that your bank gave you for this card",
        PadPurpose::CardData => "Give your card's data to its bank",
    }
}

/// What a purpose is called in events.
#[must_use]
pub const fn name(purpose: PadPurpose) -> &'static str {
    match purpose {
        PadPurpose::SetPin => "set-pin",
        PadPurpose::ArmTap => "arm-tap",
        PadPurpose::ConfirmTap => "confirm-tap",
        PadPurpose::ApprovePayment => "approve-payment",
        PadPurpose::ShowCode => "show-code",
        PadPurpose::ConfirmTransfer => "confirm-transfer",
        PadPurpose::ChangePin => "change-pin",
        PadPurpose::BankPin => "bank-pin",
        PadPurpose::CardData => "card-data",
    }
}

/// A terminal says what it is paid, and not who it is.
fn unknown_payee() -> (&'static str, String) {
    ("Payee", "not known".into())
}

/// The payee, where there is one. A control character could move the cursor and write over an amount.
fn payee(showing: &Showing) -> Result<Option<String>, Error> {
    if !showing.payee.iter().all(|byte| (0x20..0x7F).contains(byte)) {
        return Err(Error::PadContent);
    }
    let text: String = showing.payee.iter().map(|byte| char::from(*byte)).collect();
    Ok((!text.trim().is_empty()).then_some(text))
}

/// The first bytes in groups of two.
fn digest(digest: &[u8; 32]) -> String {
    let groups: Vec<String> = digest.chunks(2).take(DIGEST_SHOWN / 2).map(hex::encode).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapvault_proto::wire::Bytes;

    const PURPOSES: [PadPurpose; 9] = [
        PadPurpose::SetPin,
        PadPurpose::ArmTap,
        PadPurpose::ConfirmTap,
        PadPurpose::ApprovePayment,
        PadPurpose::ShowCode,
        PadPurpose::ConfirmTransfer,
        PadPurpose::ChangePin,
        PadPurpose::BankPin,
        PadPurpose::CardData,
    ];

    fn showing(purpose: PadPurpose, payee: &[u8]) -> Showing {
        let payee = Bytes::from_slice(payee).unwrap();
        Showing { purpose, amount: 1200, currency: 0x0156, payee, digest: [0xAB; 32], life_s: 50 }
    }

    fn lines(purpose: PadPurpose) -> Vec<String> {
        let text = Text::of(&showing(purpose, b"Bookshop")).unwrap();
        text.lines.into_iter().map(|(name, value)| format!("{name}: {value}")).collect()
    }

    #[test]
    fn each_purpose_shows_what_is_known() {
        const CNY: &str = "Currency: Renminbi (Chinese) yuan";
        const UNKNOWN: &str = "Payee: not known";
        const SHOP: &str = "Payee: Bookshop";
        for (purpose, expected) in [
            (PadPurpose::SetPin, &[][..]),
            (PadPurpose::ChangePin, &[]),
            (PadPurpose::ArmTap, &["Amount: up to 12.00 CNY", CNY, UNKNOWN]),
            (PadPurpose::ConfirmTap, &["Amount: 12.00 CNY", CNY, UNKNOWN]),
            (PadPurpose::ApprovePayment, &["Amount: 12.00 CNY", CNY, SHOP]),
            (PadPurpose::ConfirmTransfer, &["Amount: 12.00 CNY", CNY, SHOP]),
            (PadPurpose::BankPin, &["For: the bank of your card, enciphered"]),
            (PadPurpose::ShowCode, &["Amount: not known", "Payee: whoever reads the code"]),
            (PadPurpose::CardData, &["For the bank: Bookshop"]),
        ] {
            assert_eq!(lines(purpose), [expected, &["Order: abab abab abab abab"]].concat(), "{purpose:?}");
        }
    }

    #[test]
    fn without_a_digest_there_is_no_order() {
        let text = Text::of(&Showing { digest: [0; 32], ..showing(PadPurpose::ConfirmTap, b"") }).unwrap();
        assert!(text.lines.iter().all(|(name, _)| *name != "Order"));
    }

    #[test]
    fn nothing_shown_can_move_a_cursor() {
        for purpose in PURPOSES {
            for byte in 0..=u8::MAX {
                let text = Text::of(&showing(purpose, &[b'A', byte, b'B']));
                assert_eq!(text.is_ok(), (0x20..0x7F).contains(&byte), "{purpose:?} {byte:02x}");
                let lines = text.map(|text| text.lines).unwrap_or_default();
                assert!(!lines.iter().any(|(_, value)| value.chars().any(char::is_control)));
            }
        }
    }

    #[test]
    fn a_payee_is_not_left_out() {
        for purpose in PURPOSES {
            use PadPurpose::{ApprovePayment, CardData, ConfirmTransfer};
            let wants = matches!(purpose, ApprovePayment | CardData | ConfirmTransfer);
            for payee in [&b""[..], b"   "] {
                assert_eq!(Text::of(&showing(purpose, payee)).is_err(), wants, "{purpose:?}");
            }
        }
    }
}
