//! PIN blocks as a security module reads and writes them (ISO 9564-1). Written apart from the phone's code, over other
//! implementations of the ciphers.

use aes::{
    Aes128,
    cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};
use des::TdesEde2;
use sm4::Sm4;
use tapvault_proto::{bank_pin::PinBlockFormat, profile::Key128};
use zeroize::Zeroizing;

/// Digits of a PIN, 0 to 9 each; wiped when dropped.
pub type Digits = Zeroizing<Vec<u8>>;

/// Reads the PIN out of a block for a number; `None` when it is none for that number under that key.
#[must_use]
pub fn read(format: PinBlockFormat, key: &Key128, number: &str, block: &[u8]) -> Option<Digits> {
    match format {
        PinBlockFormat::Iso0 | PinBlockFormat::Iso3 => {
            let mut text = Array(block.try_into().ok()?);
            TdesEde2::new(&Array(*key.expose())).decrypt_block(&mut text);
            let clear = Zeroizing::new(u64::from_be_bytes(text.0) ^ number_8(number));
            let control = if format == PinBlockFormat::Iso0 { 0 } else { 3 };
            let fits = |filling: u8| if control == 0 { filling == 0xF } else { filling >= 0xA };
            digits(&clear.to_be_bytes(), control, fits)
        }
        PinBlockFormat::Iso4 => {
            let cipher = Aes128::new(&Array(*key.expose()));
            digits(back(block, number, &cipher)?.as_slice(), 4, |filling| filling == 0xA)
        }
        PinBlockFormat::Sm4Layout4 => {
            let cipher = Sm4::new(&Array(*key.expose()));
            digits(back(block, number, &cipher)?.as_slice(), 4, |filling| filling == 0xA)
        }
    }
}

/// Writes the block of a PIN for a number; `None` without random numbers, or for what is no PIN.
#[must_use]
pub fn write(format: PinBlockFormat, key: &Key128, number: &str, pin: &Digits) -> Option<Vec<u8>> {
    let len = u8::try_from(pin.len()).ok().filter(|len| (4..=12).contains(len))?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).ok()?;
    let (control, filling): (u8, fn(u8) -> u8) = match format {
        PinBlockFormat::Iso0 => (0, |_| 0xF),
        PinBlockFormat::Iso3 => (3, |random| 0xA + random % 6),
        PinBlockFormat::Iso4 | PinBlockFormat::Sm4Layout4 => (4, |_| 0xA),
    };
    let filled = pin.iter().copied().chain(random.iter().map(|random| filling(*random))).take(14);
    let field = Zeroizing::new(
        filled.fold(u64::from(control << 4 | len), |field, digit| field << 4 | u64::from(digit)),
    );
    let twice = |cipher: &dyn Fn(&mut [u8; 16])| {
        let [.., a, b, c, d, e, f, g, h] = random;
        let behind = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let mut block = (u128::from(*field) << 64 | u128::from(behind)).to_be_bytes();
        cipher(&mut block);
        block = (u128::from_be_bytes(block) ^ number_16(number)).to_be_bytes();
        cipher(&mut block);
        block.to_vec()
    };
    Some(match format {
        PinBlockFormat::Iso0 | PinBlockFormat::Iso3 => {
            let mut text = Array((*field ^ number_8(number)).to_be_bytes());
            TdesEde2::new(&Array(*key.expose())).encrypt_block(&mut text);
            text.to_vec()
        }
        PinBlockFormat::Iso4 => {
            let cipher = Aes128::new(&Array(*key.expose()));
            twice(&|block| cipher.encrypt_block(block.into()))
        }
        PinBlockFormat::Sm4Layout4 => {
            let cipher = Sm4::new(&Array(*key.expose()));
            twice(&|block| cipher.encrypt_block(block.into()))
        }
    })
}

/// The twelve rightmost digits but the check digit.
fn number_8(number: &str) -> u64 {
    let digits = number.bytes().rev().skip(1).take(12);
    digits.zip(0..).fold(0, |field, (digit, at)| field | u64::from(digit & 0x0F) << (4 * at))
}

/// How many digits there are beyond twelve, the digits, zeros.
fn number_16(number: &str) -> u128 {
    let beyond = number.len().saturating_sub(12) as u128;
    let places = (0..124).step_by(4).rev();
    number
        .bytes()
        .zip(places)
        .fold(beyond << 124, |field, (digit, at)| field | u128::from(digit & 0x0F) << at)
}

fn back<C: BlockCipherDecrypt>(block: &[u8], number: &str, cipher: &C) -> Option<Zeroizing<[u8; 16]>> {
    let decrypt = |block: &[u8]| -> Option<[u8; 16]> {
        let mut text: Array<u8, C::BlockSize> = block.iter().copied().collect();
        cipher.decrypt_block(&mut text);
        text.as_slice().try_into().ok()
    };
    let whole: [u8; 16] = block.try_into().ok()?;
    let mixed = u128::from_be_bytes(decrypt(&whole)?) ^ number_16(number);
    decrypt(&mixed.to_be_bytes()).map(Zeroizing::new)
}

/// The digits of a PIN field of 8 bytes, what is behind it not looked at.
fn digits(field: &[u8], control: u8, fits: impl Fn(u8) -> bool) -> Option<Digits> {
    let nibbles: Digits =
        Zeroizing::new(field.iter().take(8).flat_map(|byte| [byte >> 4, byte & 0x0F]).collect());
    let (head, rest) = nibbles.split_at_checked(2)?;
    let [kind, len] = head else { return None };
    let (pin, filling) = rest.split_at_checked(usize::from(*len))?;
    let sound = *kind == control
        && (4..=12).contains(len)
        && pin.iter().all(|digit| *digit < 10)
        && filling.iter().all(|digit| fits(*digit));
    sound.then(|| Zeroizing::new(pin.to_vec()))
}
