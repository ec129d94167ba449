//! Blocks of ISO 9564-1: formats 0, 3 and 4, and the layout of format 4 under SM4, which is no format of ISO's.

use crate::dukpt::WorkingKey;
use aes::{
    Aes128,
    cipher::{Array, BlockCipherEncrypt, KeyInit},
};
use subtle::ConstantTimeLess;
use tapvault_cipher::{Sm4, Tdes};
use tapvault_proto::{
    bank_pin::{MAX_TOKEN, PinBlockFormat},
    pin::Pin,
    wire::Bytes,
};
use zeroize::Zeroize;

/// Random bytes that a block may need: two for each digit of filling of format 3.
pub const RANDOM_LEN: usize = 2 * FIELD_DIGITS;

/// Digits and filling of a field of 8 bytes, behind control field and length.
const FIELD_DIGITS: usize = 14;

/// The token that a block names: 13 to 19 digits.
#[derive(Clone)]
pub struct Token {
    digits: [u8; MAX_TOKEN],
    len: usize,
}

impl Token {
    /// Of ASCII digits; `None` unless there are 13 to 19 and nothing else.
    #[must_use]
    pub fn new(ascii: &[u8]) -> Option<Self> {
        if !(13..=MAX_TOKEN).contains(&ascii.len()) || !ascii.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let mut digits = [0; MAX_TOKEN];
        digits.iter_mut().zip(ascii).for_each(|(place, digit)| *place = digit & 0x0F);
        Some(Self { digits, len: ascii.len() })
    }

    /// The account number field of formats 0 and 3 (9.3.2.3): four zeros, and the twelve rightmost digits but the check
    /// digit.
    fn field_8(&self) -> [u8; 8] {
        let last = self.len.saturating_sub(1);
        let digits = self.digits.iter().take(last).skip(last.saturating_sub(12));
        packed([0; 4].iter().chain(digits))
    }

    /// The account number field of format 4 (9.4.2.3): how many digits there are beyond twelve, the digits, zeros.
    fn field_16(&self) -> [u8; 16] {
        let beyond = u8::try_from(self.len.saturating_sub(12)).unwrap_or(0);
        packed([beyond].iter().chain(self.digits.iter().take(self.len)))
    }
}

/// Two digits in a byte, zeros where there are none any more.
fn packed<'a, const N: usize>(mut digits: impl Iterator<Item = &'a u8>) -> [u8; N] {
    let mut next = || digits.next().copied().unwrap_or(0);
    [(); N].map(|()| next() << 4 | next())
}

/// Forms the block of `pin` for `token` under `key`, whose format is that of the block. `random` is used once, and
/// wiped.
///
/// The digits lie in one buffer, which the cipher text overwrites.
#[must_use]
pub fn form(pin: &Pin, token: &Token, key: &WorkingKey, random: &mut [u8; RANDOM_LEN]) -> Bytes<16> {
    let mut buffer = [0; 16];
    let format = key.format();
    match format {
        PinBlockFormat::Iso0 | PinBlockFormat::Iso3 => {
            let [clear, _] = buffer.as_chunks_mut::<8>().0 else { return Bytes::new() };
            fill(clear, format, pin, random);
            add(clear, &token.field_8());
            Tdes::new(key.expose()).encrypt(clear);
        }
        PinBlockFormat::Iso4 | PinBlockFormat::Sm4Layout4 => {
            fill(&mut buffer, format, pin, random);
            let number = token.field_16();
            if format == PinBlockFormat::Iso4 {
                let cipher = Aes128::new(&Array(*key.expose()));
                twice(&mut buffer, &number, |block| cipher.encrypt_block(block.into()));
            } else {
                let cipher = Sm4::new(key.expose());
                twice(&mut buffer, &number, |block| cipher.encrypt(block));
            }
        }
    }
    random.zeroize();
    // Cipher text by now.
    buffer.iter().take(format.block_len()).copied().collect()
}

/// Format 4 (9.4.2.4): the PIN field enciphered, the account number field added, enciphered again.
fn twice(block: &mut [u8; 16], number: &[u8; 16], encrypt: impl Fn(&mut [u8; 16])) {
    encrypt(block);
    add(block, number);
    encrypt(block);
}

/// The PIN field: control field, number of digits, digits, filling; in 16 bytes with eight random ones behind.
fn fill(field: &mut [u8], format: PinBlockFormat, pin: &Pin, random: &[u8; RANDOM_LEN]) {
    let control = match format {
        PinBlockFormat::Iso0 => 0x00,
        PinBlockFormat::Iso3 => 0x30,
        PinBlockFormat::Iso4 | PinBlockFormat::Sm4Layout4 => 0x40,
    };
    let (digits, len) = pin.expose();
    let places = (0_u8..).zip(random.as_chunks::<2>().0).zip(digits.iter().chain(&[0; 2]));
    let mut nibbles = places.map(|((place, random), digit)| {
        let filling = match format {
            PinBlockFormat::Iso0 => 0x0F,
            // A to F, each as likely as the others but for one part in 10,000.
            PinBlockFormat::Iso3 => 0x0A + ((u32::from(u16::from_be_bytes(*random)) * 6) >> 16) as u8,
            PinBlockFormat::Iso4 | PinBlockFormat::Sm4Layout4 => 0x0A,
        };
        // Not subtle's selection: it negates with a check for overflow, which is a branch in a build that has them.
        let typed = place.ct_lt(&len).unwrap_u8().wrapping_neg();
        filling & !typed | digit & 0x0F & typed
    });
    let (head, rest) = match field {
        [head, rest @ ..] => (head, rest),
        [] => return,
    };
    *head = control | len;
    let (typed, behind) = rest.split_at_mut_checked(FIELD_DIGITS / 2).unwrap_or_default();
    for byte in typed {
        *byte = nibbles.next().unwrap_or(0) << 4 | nibbles.next().unwrap_or(0);
    }
    behind.iter_mut().zip(random).for_each(|(byte, random)| *byte = *random);
}

fn add(block: &mut [u8], field: &[u8]) {
    block.iter_mut().zip(field).for_each(|(byte, other)| *byte ^= other);
}
