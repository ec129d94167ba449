//! Which new PINs are refused (docs/pin.md): in a time that depends on no digit and not on their number. One verdict
//! comes out, and not which rule it was.

use subtle::{Choice, ConstantTimeEq, ConstantTimeGreater, ConstantTimeLess};
use tapvault_proto::pin::{MAX_PIN, Pin};

/// Fewest different digits of a new PIN.
const DIFFERENT: u8 = 3;
/// Longest group that may not make up a PIN by being repeated.
const LONGEST_GROUP: usize = MAX_PIN / 2;

/// Whether a new PIN is too simple: fewer than three different digits, a run up or down (9 and 0 are neighbours), or a
/// group of digits over and over.
#[must_use]
pub fn is_simple(pin: &Pin) -> Choice {
    let (ascii, len) = pin.expose();
    let digits = ascii.map(|byte| byte & 0x0F);
    few(&digits, len) | run(&digits, len, 1) | run(&digits, len, 9) | repeats(&digits, len)
}

/// Whether a new PIN is the present one, as typed.
#[must_use]
pub fn is_same(present: &Pin, new: &Pin) -> Choice {
    let ((present, len), (new, new_len)) = (present.expose(), new.expose());
    len.ct_eq(&new_len) & present.ct_eq(new)
}

/// Whether place `at` holds a digit.
fn used(at: usize, len: u8) -> Choice {
    u8::try_from(at).unwrap_or(u8::MAX).ct_lt(&len)
}

fn few(digits: &[u8; MAX_PIN], len: u8) -> Choice {
    let different = (0..10_u8).fold(0_u8, |different, value| {
        let there = digits
            .iter()
            .enumerate()
            .fold(Choice::from(0), |there, (at, digit)| there | used(at, len) & digit.ct_eq(&value));
        // No addition that checks for overflow: the check would be a branch.
        different.wrapping_add(there.unwrap_u8())
    });
    different.ct_lt(&DIFFERENT)
}

/// Whether every digit is `step` above the one before, 0 following 9.
fn run(digits: &[u8; MAX_PIN], len: u8, step: u8) -> Choice {
    let pairs = digits.iter().zip(digits.iter().skip(1)).enumerate();
    pairs.fold(Choice::from(1), |so_far, (at, (digit, next))| {
        let sum = digit.wrapping_add(step);
        let wanted = sum.wrapping_sub(sum.ct_gt(&9).unwrap_u8().wrapping_neg() & 10);
        so_far & (!used(at + 1, len) | next.ct_eq(&wanted))
    })
}

/// Whether a group of up to six digits follows itself to the end.
fn repeats(digits: &[u8; MAX_PIN], len: u8) -> Choice {
    (1..=LONGEST_GROUP).fold(Choice::from(0), |found, group| {
        let pairs = digits.iter().zip(digits.iter().skip(group)).enumerate();
        let same = pairs.fold(Choice::from(1), |so_far, (at, (digit, later))| {
            so_far & (!used(at + group, len) | digit.ct_eq(later))
        });
        // The whole group, twice at least.
        found | used(2 * group - 1, len) & same
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(digits: &str) -> Pin {
        Pin::from_ascii(digits.as_bytes()).unwrap()
    }

    #[test]
    fn simple_pins_are_refused() {
        for simple in [
            "0000",
            "999999999999", // one digit
            "1112",
            "1122",
            "1221",
            "121212",
            "000000000001", // two
            "0123",
            "1234",
            "7890",
            "8901",
            "123456789012", // a run up
            "9876",
            "3210",
            "2109",
            "0987654321",
            "210987654321", // down
            "123123",
            "12341234",
            "1231231",
            "159159159159",
            "135790135790",
            "2580258025", // over and over
        ] {
            assert!(bool::from(is_simple(&pin(simple))), "{simple}");
        }
    }

    #[test]
    fn others_are_not() {
        for good in [
            "1357",
            "2468",
            "0124",
            "1243",
            "9870",
            "1332",
            "2580",
            "135790",
            "864209",
            "123457",
            "023456789012",
            "123412",
            "12312",
            "1231",
            "1234512346",
            "112233445566",
        ] {
            assert!(!bool::from(is_simple(&pin(good))), "{good}");
        }
    }

    /// The same rules over again, said of text.
    fn by_text(digits: &str) -> bool {
        let digits: std::vec::Vec<u8> = digits.bytes().map(|digit| digit - b'0').collect();
        let different: std::collections::BTreeSet<_> = digits.iter().collect();
        let run = |step| digits.windows(2).all(|pair| pair[1] == (pair[0] + step) % 10);
        let group = |len: usize| digits.len() >= 2 * len && digits[len..] == digits[..digits.len() - len];
        different.len() < 3 || run(1) || run(9) || (1..=6).any(group)
    }

    #[test]
    fn the_verdict_is_that_of_the_rules_for_every_short_pin_and_many_long_ones() {
        let mut refused = 0;
        for number in 0..10_000 {
            let digits = std::format!("{number:04}");
            let verdict = bool::from(is_simple(&pin(&digits)));
            assert_eq!(verdict, by_text(&digits), "{digits}");
            refused += u32::from(verdict);
        }
        assert_eq!(refused, 660, "of 10,000");
        let mut state = 1_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = (state >> 24) % 1_000_000_000_000;
            // Few different digits, so that groups come about.
            let digits = std::format!("{:012}", number).replace(['7', '8', '9'], "1");
            let digits = &digits[..4 + (state >> 60) as usize % 9];
            assert_eq!(bool::from(is_simple(&pin(digits))), by_text(digits), "{digits}");
        }
    }

    #[test]
    fn the_same_pin_is_the_same_digits_and_no_more() {
        assert!(bool::from(is_same(&pin("1357"), &pin("1357"))));
        for other in ["1358", "13570", "0357"] {
            assert!(!bool::from(is_same(&pin("1357"), &pin(other))), "{other}");
        }
    }
}
