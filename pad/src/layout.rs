//! Which digit is where on the keypad: anew for every field, so that who sees fingers, or hears keys, learns nothing.

use crate::random::{NoRandom, Random};
use zeroize::ZeroizeOnDrop;

/// Places for a digit.
pub const PLACES: usize = 10;

/// A shuffled keypad, wiped when dropped: with the places that were pressed it is the PIN. No `Debug`.
#[derive(ZeroizeOnDrop)]
pub struct Layout([u8; PLACES]);

impl Layout {
    /// Shuffles (Fisher and Yates), each of the 3,628,800 layouts as likely as any other.
    ///
    /// # Errors
    /// [`NoRandom`].
    pub fn shuffle(random: &mut dyn Random) -> Result<Self, NoRandom> {
        let mut layout = Self([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        for last in (1..PLACES).rev() {
            let other = below(last + 1, random)?;
            layout.0.swap(last, other);
        }
        Ok(layout)
    }

    /// The digit at a place, 0 to 9.
    #[must_use]
    pub fn digit(&self, place: usize) -> Option<u8> {
        self.0.get(place).copied()
    }

    /// Where a digit is.
    #[must_use]
    pub fn place(&self, digit: u8) -> Option<usize> {
        self.0.iter().position(|at| *at == digit)
    }
}

/// A number below `bound`, which is at most 10. Bytes that would make some numbers likelier are drawn again.
fn below(bound: usize, random: &mut dyn Random) -> Result<usize, NoRandom> {
    let usable = 256 - 256 % bound;
    loop {
        let mut byte = [0];
        random.fill(&mut byte)?;
        let [byte] = byte.map(usize::from);
        if byte < usable {
            return Ok(byte % bound);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::System;
    use std::collections::HashMap;

    /// Bytes from a list, then none.
    struct Listed(Vec<u8>);

    impl Random for Listed {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom> {
            for byte in bytes {
                *byte = self.0.pop().ok_or(NoRandom)?;
            }
            Ok(())
        }
    }

    #[test]
    fn every_digit_has_one_place() {
        for _ in 0..100 {
            let layout = Layout::shuffle(&mut System).unwrap();
            for digit in 0..10 {
                assert_eq!(layout.digit(layout.place(digit).unwrap()), Some(digit));
            }
            assert_eq!(layout.digit(PLACES), None);
        }
    }

    #[test]
    fn every_digit_comes_to_every_place() {
        let mut seen = HashMap::new();
        for _ in 0..2_000 {
            let layout = Layout::shuffle(&mut System).unwrap();
            for place in 0..PLACES {
                *seen.entry((place, layout.digit(place).unwrap())).or_insert(0) += 1;
            }
        }
        // 200 expected of each; so far off is one run in 10^15.
        assert_eq!(seen.len(), 100);
        assert!(seen.values().all(|count| (80..320).contains(count)), "{seen:?}");
    }

    #[test]
    fn bytes_that_would_favour_a_digit_are_drawn_again() {
        // 250 to 255 are no part of ten equal ones.
        for bad in 250..=255 {
            assert_eq!(below(10, &mut Listed(vec![7, bad])), Ok(7));
        }
        assert_eq!(below(10, &mut Listed(vec![249])), Ok(9));
        assert_eq!(below(10, &mut Listed(vec![255])), Err(NoRandom));
    }
}
