//! A terminal's session with a phone as text, and its mutations: one line a step, so that a real transcript is an
//! input as it stands, and an input that fails can be read.
//!
//! `field`: the phone enters the field. `verified`: the same after the holder entered the PIN. `> HEX`: a command of
//! the terminal. `! HEX`: a command that the client carries to the trusted app by itself. Any other line, such as the
//! card's answers (`< HEX`), is skipped.

use std::fmt::Write;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The phone enters the field.
    Field,
    /// The phone enters the field; its holder was verified for the first card.
    Verified,
    /// The terminal sends a command.
    Command(Vec<u8>),
    /// The client sends the trusted app a command that no terminal sent.
    Forwarded(Vec<u8>),
}

/// Most steps that are kept of a text.
pub const MAX_STEPS: usize = 64;

/// Commands that terminals and test suites send, well-formed and next to it; each is put in as it is and then altered.
const KNOWN: [&str; 18] = [
    "00A404000E325041592E5359532E444446303100",
    "00A4040008A00000033301010100",
    "00A4040009A0000003330101020200",
    "00A4040005A00000033300",
    "00A4040205A00000033300",
    "80A8000023832136800000000000010000000000000000015600000000000156170601002B29EBE400",
    "80A8000023832137000080000000010000000000000000015600000000000156170601002B29EBE400",
    "80A8000023832136C00000000000010000000000000000015600000000000156170601002B29EBE400",
    "80A800001283103680000000000001000000000001015600",
    "00B2010C00",
    "00B2011400",
    "00B2021400",
    "80CA9F3600",
    "80CA9F1300",
    "0020008008241234FFFFFFFFFF",
    "80AE80001D000000000100000000000000015600000000000156170601002B29EBE400",
    "0084000000",
    "01A4040008A00000033301010100",
];

/// The fields of the longer processing options, from the first byte of the command: where and how long.
const FIELDS: [(usize, usize); 9] =
    [(7, 4), (11, 6), (17, 6), (23, 2), (25, 5), (30, 2), (32, 3), (35, 1), (36, 4)];
/// What is worth putting into a field: qualifiers, amounts, currencies.
const VALUES: [&[u8]; 12] = [
    &[0x00; 6],
    &[0xFF; 6],
    &[0x20, 0x80, 0x00, 0x00],
    &[0x20, 0xC0, 0x00, 0x00],
    &[0x21, 0x80, 0x00, 0x80],
    &[0x26, 0xC0, 0x00, 0x00],
    &[0x28, 0x80, 0x00, 0x00],
    &[0x80, 0x00, 0x00, 0x00],
    &[0x99; 6],
    &[0x00, 0x00, 0x00, 0x10, 0x00, 0x00],
    &[0x01, 0x56],
    &[0x08, 0x40],
];

/// The steps of a text.
#[must_use]
pub fn parse(text: &[u8]) -> Vec<Step> {
    let step = |line: &[u8]| match line {
        b"field" => Some(Step::Field),
        b"verified" => Some(Step::Verified),
        [b'>', b' ', hex @ ..] => unhex(hex).map(Step::Command),
        [b'!', b' ', hex @ ..] => unhex(hex).map(Step::Forwarded),
        _ => None,
    };
    text.split(|byte| *byte == b'\n').filter_map(step).take(MAX_STEPS).collect()
}

/// The text of steps; [`parse`] reads it.
#[must_use]
pub fn print(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Field => text.push_str("field"),
            Step::Verified => text.push_str("verified"),
            Step::Command(bytes) => push(&mut text, '>', bytes),
            Step::Forwarded(bytes) => push(&mut text, '!', bytes),
        }
        text.push('\n');
    }
    text
}

fn push(text: &mut String, mark: char, bytes: &[u8]) {
    text.push(mark);
    text.push(' ');
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02X}");
    }
}

/// Bytes out of hexadecimal digits; blanks between them are skipped, as people write APDUs.
fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Vec<_> = text.iter().filter(|byte| **byte != b' ').map(digit).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Chooses, by a seed (SplitMix64).
struct Chooser(u64);

impl Chooser {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from(mixed >> 33).unwrap_or(0) % below.max(1)
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.next(256)).unwrap_or(0)
    }
}

/// Alters a session once or a few times: its order, or one command's header, lengths, fields or bytes. `bytes` alters
/// any bytes, as the fuzzer likes.
pub fn mutate(steps: &mut Vec<Step>, seed: u32, bytes: impl Fn(&mut Vec<u8>)) {
    let mut chooser = Chooser(u64::from(seed));
    for _ in 0..=chooser.next(3) {
        let at = chooser.next(steps.len());
        match chooser.next(12) {
            0 if !steps.is_empty() => drop(steps.remove(at)),
            1 if !steps.is_empty() => {
                let other = chooser.next(steps.len());
                steps.swap(at, other);
            }
            2 if steps.len() < MAX_STEPS => {
                let copy = steps.get(at).cloned();
                let to = chooser.next(steps.len() + 1);
                steps.splice(to..to, copy);
            }
            3 | 4 if steps.len() < MAX_STEPS => {
                let known = KNOWN.get(chooser.next(KNOWN.len())).and_then(|text| unhex(text.as_bytes()));
                steps.splice(at..at, known.map(Step::Command));
            }
            5 if steps.len() < MAX_STEPS => {
                steps.insert(at, if chooser.next(2) == 0 { Step::Field } else { Step::Verified });
            }
            6 => {
                if let Some(step) = steps.get_mut(at) {
                    *step = match std::mem::replace(step, Step::Field) {
                        Step::Command(bytes) => Step::Forwarded(bytes),
                        Step::Forwarded(bytes) => Step::Command(bytes),
                        other => other,
                    };
                }
            }
            _ => {
                if let Some(Step::Command(command) | Step::Forwarded(command)) = steps.get_mut(at) {
                    alter(command, &mut chooser, &bytes);
                }
            }
        }
    }
}

/// Alters one command.
fn alter(command: &mut Vec<u8>, chooser: &mut Chooser, bytes: &impl Fn(&mut Vec<u8>)) {
    let mut set = |at: usize, byte: u8| command.iter_mut().skip(at).take(1).for_each(|slot| *slot = byte);
    match chooser.next(6) {
        0 => set(chooser.next(4), chooser.byte()),
        // Lc, and the length of the template behind it.
        1 => set([4, 6][chooser.next(2)], chooser.byte()),
        2 => {
            let (from, len) = FIELDS[chooser.next(FIELDS.len())];
            let value = VALUES[chooser.next(VALUES.len())];
            let field = command.iter_mut().skip(from).take(len);
            field.zip(value.iter().cycle()).for_each(|(slot, byte)| *slot = *byte);
        }
        3 => command.truncate(chooser.next(command.len() + 1)),
        4 => {
            // Longer, with lengths that fit.
            let more = 1 + chooser.next(8);
            command.splice(5.min(command.len())..5.min(command.len()), (0..more).map(|_| chooser.byte()));
            if let Some(lc) = command.get_mut(4) {
                *lc = lc.wrapping_add(u8::try_from(more).unwrap_or(0));
            }
        }
        _ => bytes(command),
    }
    command.truncate(300);
}
