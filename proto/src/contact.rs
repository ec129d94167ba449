//! The contact test profile: what a card needs, beside the profile of a phone's card, to run whole transactions at
//! terminals with contacts. A card that has it is no phone card: it has no key for any way of paying.

use crate::{
    Error,
    profile::{Key128, Suite},
    wire::{Reader, Wire, Writer},
};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Digits of a card PIN.
const PIN_DIGITS: core::ops::RangeInclusive<usize> = 4..=12;

/// The card PIN as the plaintext block of VERIFY (ISO 9564-1, format 2): `2`, its length, 4 to 12 digits, padded with
/// `F` to 8 bytes. Wiped when dropped, every copy of it; never shown by `Debug` since there is none.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct CardPin([u8; 8]);

impl CardPin {
    /// A PIN from its block; `None` when it is none.
    #[must_use]
    pub fn from_block(block: [u8; 8]) -> Option<Self> {
        let pin = Self(block);
        let [head, ..] = block;
        let len = usize::from(head & 0x0F);
        let nibbles = || pin.0.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]).skip(2);
        let holds = head >> 4 == 2
            && PIN_DIGITS.contains(&len)
            && nibbles().take(len).all(|digit| digit < 10)
            && nibbles().skip(len).all(|padding| padding == 0x0F);
        holds.then_some(pin)
    }

    /// A PIN from 4 to 12 digits in ASCII; `None` for anything else.
    #[must_use]
    pub fn from_ascii(digits: &[u8]) -> Option<Self> {
        if !PIN_DIGITS.contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let mut block = [0xFF; 8];
        let mut places = block.iter_mut();
        *places.next()? = 0x20 | u8::try_from(digits.len()).ok()?;
        for (place, pair) in places.zip(digits.chunks(2)) {
            *place = match pair {
                [high, low] => (high & 0x0F) << 4 | (low & 0x0F),
                [high] => (high & 0x0F) << 4 | 0x0F,
                _ => return None,
            };
        }
        let pin = Self::from_block(block);
        block.zeroize();
        pin
    }

    /// The block, to compare and to compute with.
    #[must_use]
    pub fn expose(&self) -> &[u8; 8] {
        &self.0
    }
}

impl Wire for CardPin {
    const MAX: usize = 8;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        out.put(&self.0)
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        input.array().and_then(|block| Self::from_block(block).ok_or(Error::BadParameters))
    }
}

crate::code! {
    /// How the issuer's answer to a cryptogram is made (EMV Book 2, 8.2).
    ArpcMethod {
        /// `E(SK)[ARQC ⊕ (ARC ‖ 00⁶)]`, 8 bytes, and the ARC behind it.
        One = 1,
        /// 4 bytes of a MAC over ARQC, card status update and up to 8 bytes more, and these behind it. For the EMV
        /// suites alone.
        Two = 2,
    }
}

crate::message! {
    /// What a test profile has in place of keys for ways to pay.
    Contact {
        /// Unique derived key for application cryptograms and the issuer's answers.
        udk: Key128,
        /// Unique derived key for MACs of issuer scripts.
        mac: Key128,
        /// Unique derived key for enciphered data in issuer scripts.
        encryption: Key128,
        /// The card PIN until the issuer changes it.
        pin: CardPin,
        /// Wrong card PINs until it is blocked, 1 to 15.
        pin_tries: u8,
        /// How the issuer answers.
        arpc: ArpcMethod,
    }
}

impl Contact {
    /// Whether it keeps the rules of its fields.
    #[must_use]
    pub fn check(&self, suite: Suite) -> bool {
        let emv = matches!(suite, Suite::Emv3Des | Suite::EmvAes);
        (1..=15).contains(&self.pin_tries) && (emv || self.arpc == ArpcMethod::One)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_the_block_of_verify() {
        let pin = CardPin::from_ascii(b"1234").unwrap();
        assert_eq!(pin.expose(), b"\x24\x12\x34\xFF\xFF\xFF\xFF\xFF");
        assert_eq!(CardPin::from_ascii(b"12345").unwrap().expose(), b"\x25\x12\x34\x5F\xFF\xFF\xFF\xFF");
        let longest = CardPin::from_ascii(b"123456789012").unwrap();
        assert_eq!(longest.expose(), b"\x2C\x12\x34\x56\x78\x90\x12\xFF");
        for bad in [&b""[..], b"123", b"1234567890123", b"12a4", b"12 4"] {
            assert!(CardPin::from_ascii(bad).is_none());
        }
    }

    #[test]
    fn a_block_that_is_no_pin_is_refused() {
        let good = *CardPin::from_ascii(b"12345").unwrap().expose();
        assert!(CardPin::from_block(good).is_some());
        for (at, byte) in
            [(0, 0x15), (0, 0x23), (0, 0x24), (0, 0x26), (0, 0x2D), (1, 0xA2), (3, 0x50), (7, 0xFE)]
        {
            let mut block = good;
            block[at] = byte;
            assert!(CardPin::from_block(block).is_none(), "byte {at}: {byte:02X}");
        }
    }
}
