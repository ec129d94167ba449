//! What a terminal puts into a payment, and the data a card's PDOL asks for.

use super::refusal::Refusal;
use tapvault_proto::emv::gpo::{PdolData, Ttq};

/// Largest amount of tag 9F02: 12 digits.
const MAX_AMOUNT: u64 = 999_999_999_999;
/// Longest PDOL data: template 83 with a one-byte length has to fit into 255 bytes.
const MAX_PDOL_DATA: usize = 253;

/// Where a payment may be decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// By the issuer.
    #[default]
    Online,
    /// By the card, or by the issuer where the card asks.
    Both,
    /// By the card: nobody can be asked.
    Offline,
}

/// A payment at the till.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Amount in minor units, up to 12 digits.
    pub amount_minor: u64,
    /// Currency, ISO 4217 numeric code as in tag 5F2A: 0x0156 is CNY.
    pub currency: u16,
    /// The terminal's country, ISO 3166 numeric code as in tag 9F1A: 0x0156 is China.
    pub country: u16,
    /// Date, YYMMDD in BCD.
    pub date: [u8; 3],
    /// Unpredictable number: fresh random bytes for every payment.
    pub unpredictable: [u8; 4],
    /// Whether the holder has to be verified.
    pub verification_required: bool,
    /// Whether the terminal can take an online PIN.
    pub online_pin: bool,
    /// Whether the terminal can take a signature.
    pub signature: bool,
    /// Where it may be decided.
    pub reach: Reach,
}

impl Payment {
    /// Terminal transaction qualifiers, tag 9F66: qPBOC; online cryptogram required, or fDDA version 01.
    #[must_use]
    pub const fn ttq(&self) -> Ttq {
        let (mut first, mut second, fourth) = match self.reach {
            Reach::Online => (0x20, 0x80, 0x00),
            Reach::Both => (0x20, 0x00, 0x80),
            Reach::Offline => (0x28, 0x00, 0x80),
        };
        if self.online_pin {
            first |= 0x04;
        }
        if self.signature {
            first |= 0x02;
        }
        if self.verification_required {
            second |= 0x40;
        }
        Ttq([first, second, 0, fourth])
    }

    /// The terminal's data objects.
    ///
    /// # Errors
    /// [`Refusal::AmountTooLarge`].
    pub fn data(&self) -> Result<PdolData, Refusal> {
        Ok(PdolData {
            ttq: self.ttq(),
            amount: bcd_amount(self.amount_minor).ok_or(Refusal::AmountTooLarge)?,
            amount_other: [0; 6],
            country: self.country.to_be_bytes(),
            tvr: [0; 5],
            currency: self.currency.to_be_bytes(),
            date: self.date,
            kind: 0x00,
            unpredictable: self.unpredictable,
        })
    }
}

/// The data for a card's PDOL, in its order (EMV Book 3, 5.4): objects the terminal does not know are
/// zeros; of a wrong length, numbers keep their right end and everything else its left.
///
/// # Errors
/// [`Refusal::Malformed`] for a list that is none or asks for more than a command holds,
/// [`Refusal::NotContactless`] when 9F66 is not asked for with its 4 bytes.
pub fn pdol_data(pdol: &[u8], terminal: &PdolData) -> Result<Vec<u8>, Refusal> {
    let mut data = Vec::new();
    let mut qualifiers = false;
    let mut rest = pdol;
    while let Some((tag, length, tail)) = entry(rest)? {
        rest = tail;
        qualifiers |= (tag, length) == (0x9F66, 4);
        let (value, number) = value_of(tag, terminal);
        let padding = length.saturating_sub(value.len());
        let surplus = value.len().saturating_sub(length);
        if number {
            data.resize(data.len() + padding, 0);
            data.extend(value.iter().skip(surplus));
        } else {
            data.extend(value.iter().take(length));
            data.resize(data.len() + padding, 0);
        }
        if data.len() > MAX_PDOL_DATA {
            return Err(Refusal::Malformed("PDOL"));
        }
    }
    if qualifiers { Ok(data) } else { Err(Refusal::NotContactless) }
}

type Entry<'a> = (u16, usize, &'a [u8]);

fn entry(list: &[u8]) -> Result<Option<Entry<'_>>, Refusal> {
    match list {
        [] => Ok(None),
        [first, second, length, rest @ ..] if first & 0x1F == 0x1F && second & 0x80 == 0 => {
            Ok(Some((u16::from_be_bytes([*first, *second]), usize::from(*length), rest)))
        }
        [first, length, rest @ ..] if first & 0x1F != 0x1F => {
            Ok(Some((u16::from(*first), usize::from(*length), rest)))
        }
        _ => Err(Refusal::Malformed("PDOL")),
    }
}

/// The terminal's value of a tag, and whether it is a number.
fn value_of(tag: u16, terminal: &PdolData) -> (&[u8], bool) {
    match tag {
        0x9F66 => (&terminal.ttq.0, false),
        0x9F02 => (&terminal.amount, true),
        0x9F03 => (&terminal.amount_other, true),
        0x9F1A => (&terminal.country, true),
        0x95 => (&terminal.tvr, false),
        0x5F2A => (&terminal.currency, true),
        0x9A => (&terminal.date, true),
        0x9C => (std::slice::from_ref(&terminal.kind), true),
        0x9F37 => (&terminal.unpredictable, false),
        _ => (&[], false),
    }
}

fn bcd_amount(minor: u64) -> Option<[u8; 6]> {
    if minor > MAX_AMOUNT {
        return None;
    }
    let mut bytes = [0; 6];
    let mut rest = minor;
    for byte in bytes.iter_mut().rev() {
        let pair = u8::try_from(rest % 100).ok()?;
        *byte = pair / 10 * 16 + pair % 10;
        rest /= 100;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapvault_proto::emv::gpo::PDOL;

    fn payment() -> Payment {
        Payment {
            amount_minor: 123_456_789_012,
            currency: 0x0156,
            country: 0x0156,
            date: [0x26, 0x11, 0x24],
            unpredictable: [1, 2, 3, 4],
            verification_required: true,
            online_pin: false,
            signature: false,
            reach: Reach::Online,
        }
    }

    #[test]
    fn the_cards_own_list_is_filled_in_its_order() {
        let data = pdol_data(&PDOL, &payment().data().unwrap()).unwrap();
        let expected = "20C00000\
            123456789012000000000000\
            01560000000000\
            0156\
            26112400\
            01020304";
        assert_eq!(hex::encode_upper(&data), expected);
        let parsed = PdolData::from_bytes(data.as_slice().try_into().unwrap());
        assert_eq!(parsed.amount_minor(), Some(123_456_789_012));
    }

    #[test]
    fn qualifiers_say_what_the_terminal_can_do() {
        let mut payment = payment();
        assert_eq!(payment.ttq().0, [0x20, 0xC0, 0, 0]);
        payment.verification_required = false;
        payment.online_pin = true;
        payment.signature = true;
        assert_eq!(payment.ttq().0, [0x26, 0x80, 0, 0]);
        payment.reach = Reach::Both;
        assert_eq!(payment.ttq().0, [0x26, 0x00, 0, 0x80]);
        payment.reach = Reach::Offline;
        assert_eq!(payment.ttq().0, [0x2E, 0x00, 0, 0x80]);
    }

    #[test]
    fn other_lengths_and_unknown_objects_follow_the_rule() {
        let data = payment().data().unwrap();
        let list = [0x9F, 0x66, 4, 0x9F, 0x02, 2, 0x5F, 0x2A, 3, 0x9F, 0x37, 6, 0xDF, 0x69, 1];
        assert_eq!(
            hex::encode(pdol_data(&list, &data).unwrap()),
            "20c000009012000156010203040000\
            00"
        );
    }

    #[test]
    fn a_list_that_is_none_or_asks_too_much_is_refused() {
        let data = payment().data().unwrap();
        for bad in [&[0x9F][..], &[0x9F, 0x66], &[0x9F, 0x81, 0x01, 1], &[0x9C]] {
            assert_eq!(pdol_data(bad, &data), Err(Refusal::Malformed("PDOL")), "{bad:02X?}");
        }
        let greedy = [0x9F, 0x66, 4, 0x9F, 0x7C, 250];
        assert_eq!(pdol_data(&greedy, &data), Err(Refusal::Malformed("PDOL")));
        assert_eq!(pdol_data(&[0x9F, 0x66, 4, 0x9F, 0x7C, 249], &data).unwrap().len(), 253);
        for without in [&[][..], &[0x9F, 0x02, 6], &[0x9F, 0x66, 3]] {
            assert_eq!(pdol_data(without, &data), Err(Refusal::NotContactless), "{without:02X?}");
        }
    }

    #[test]
    fn thirteen_digits_are_too_many() {
        let payment = Payment { amount_minor: 1_000_000_000_000, ..payment() };
        assert_eq!(payment.data().unwrap_err(), Refusal::AmountTooLarge);
    }
}
