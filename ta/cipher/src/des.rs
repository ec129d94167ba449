//! DES and two-key triple DES (FIPS 46-3), a block at a time.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// The S-boxes as the standard prints them: four rows of sixteen.
const S: [[u8; 64]; 8] = [
    [
        14, 4, 13, 1, 2, 15, 11, 8, 3, 10, 6, 12, 5, 9, 0, 7, 0, 15, 7, 4, 14, 2, 13, 1, 10, 6, 12, 11, 9, 5,
        3, 8, 4, 1, 14, 8, 13, 6, 2, 11, 15, 12, 9, 7, 3, 10, 5, 0, 15, 12, 8, 2, 4, 9, 1, 7, 5, 11, 3, 14,
        10, 0, 6, 13,
    ],
    [
        15, 1, 8, 14, 6, 11, 3, 4, 9, 7, 2, 13, 12, 0, 5, 10, 3, 13, 4, 7, 15, 2, 8, 14, 12, 0, 1, 10, 6, 9,
        11, 5, 0, 14, 7, 11, 10, 4, 13, 1, 5, 8, 12, 6, 9, 3, 2, 15, 13, 8, 10, 1, 3, 15, 4, 2, 11, 6, 7, 12,
        0, 5, 14, 9,
    ],
    [
        10, 0, 9, 14, 6, 3, 15, 5, 1, 13, 12, 7, 11, 4, 2, 8, 13, 7, 0, 9, 3, 4, 6, 10, 2, 8, 5, 14, 12, 11,
        15, 1, 13, 6, 4, 9, 8, 15, 3, 0, 11, 1, 2, 12, 5, 10, 14, 7, 1, 10, 13, 0, 6, 9, 8, 7, 4, 15, 14, 3,
        11, 5, 2, 12,
    ],
    [
        7, 13, 14, 3, 0, 6, 9, 10, 1, 2, 8, 5, 11, 12, 4, 15, 13, 8, 11, 5, 6, 15, 0, 3, 4, 7, 2, 12, 1, 10,
        14, 9, 10, 6, 9, 0, 12, 11, 7, 13, 15, 1, 3, 14, 5, 2, 8, 4, 3, 15, 0, 6, 10, 1, 13, 8, 9, 4, 5, 11,
        12, 7, 2, 14,
    ],
    [
        2, 12, 4, 1, 7, 10, 11, 6, 8, 5, 3, 15, 13, 0, 14, 9, 14, 11, 2, 12, 4, 7, 13, 1, 5, 0, 15, 10, 3, 9,
        8, 6, 4, 2, 1, 11, 10, 13, 7, 8, 15, 9, 12, 5, 6, 3, 0, 14, 11, 8, 12, 7, 1, 14, 2, 13, 6, 15, 0, 9,
        10, 4, 5, 3,
    ],
    [
        12, 1, 10, 15, 9, 2, 6, 8, 0, 13, 3, 4, 14, 7, 5, 11, 10, 15, 4, 2, 7, 12, 9, 5, 6, 1, 13, 14, 0, 11,
        3, 8, 9, 14, 15, 5, 2, 8, 12, 3, 7, 0, 4, 10, 1, 13, 11, 6, 4, 3, 2, 12, 9, 5, 15, 10, 11, 14, 1, 7,
        6, 0, 8, 13,
    ],
    [
        4, 11, 2, 14, 15, 0, 8, 13, 3, 12, 9, 7, 5, 10, 6, 1, 13, 0, 11, 7, 4, 9, 1, 10, 14, 3, 5, 12, 2, 15,
        8, 6, 1, 4, 11, 13, 12, 3, 7, 14, 10, 15, 6, 8, 0, 5, 9, 2, 6, 11, 13, 8, 1, 4, 10, 7, 9, 5, 0, 15,
        14, 2, 3, 12,
    ],
    [
        13, 2, 8, 4, 6, 15, 11, 1, 10, 9, 3, 14, 5, 0, 12, 7, 1, 15, 13, 8, 10, 3, 7, 4, 12, 5, 6, 11, 0, 14,
        9, 2, 7, 11, 4, 1, 9, 12, 14, 2, 0, 6, 10, 13, 15, 3, 5, 8, 2, 1, 14, 7, 4, 10, 8, 13, 15, 12, 9, 0,
        3, 5, 6, 11,
    ],
];
/// The permutation behind the S-boxes: bit `n` of the result is bit `P[n - 1]`, 1 the most significant.
const P: [u8; 32] = [
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6,
    22, 11, 4, 25,
];
const IP: [u8; 64] = [
    58, 50, 42, 34, 26, 18, 10, 2, 60, 52, 44, 36, 28, 20, 12, 4, 62, 54, 46, 38, 30, 22, 14, 6, 64, 56, 48,
    40, 32, 24, 16, 8, 57, 49, 41, 33, 25, 17, 9, 1, 59, 51, 43, 35, 27, 19, 11, 3, 61, 53, 45, 37, 29, 21,
    13, 5, 63, 55, 47, 39, 31, 23, 15, 7,
];
const PC1: [u8; 56] = [
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44,
    36, 63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20,
    12, 4,
];
const PC2: [u8; 48] = [
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2, 41, 52, 31, 37,
    47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
];
/// Positions by which the halves of the key have been rotated before each round.
const ROTATED: [u32; 16] = [1, 2, 4, 6, 8, 10, 12, 14, 15, 17, 19, 21, 23, 25, 27, 28];

/// Of each S-box and each of its four output bits: that bit of every entry, entry `n` at bit `n`, and where
/// [`P`] puts it.
const BITS: [[(u64, u32); 4]; 8] = bits();
/// The inverse of [`IP`].
const FP: [u8; 64] = inverse(&IP);

#[allow(clippy::indexing_slicing, reason = "at compile time")]
const fn bits() -> [[(u64, u32); 4]; 8] {
    let mut bits = [[(0, 0); 4]; 8];
    let mut place = 0;
    while place < 32 {
        let (of, bit) = (place / 4, place % 4);
        let mut mask = 0;
        let mut input = 0;
        while input < 64 {
            // The outer two bits choose the row.
            let row = (input >> 4 & 2) | (input & 1);
            let column = input >> 1 & 15;
            let entry = S[of][row * 16 + column];
            mask |= (entry as u64 >> (3 - bit) & 1) << input;
            input += 1;
        }
        let mut to = 0;
        while P[to as usize] as usize != place + 1 {
            to += 1;
        }
        bits[of][bit] = (mask, 31 - to);
        place += 1;
    }
    bits
}

#[allow(clippy::indexing_slicing, reason = "at compile time")]
const fn inverse(permutation: &[u8; 64]) -> [u8; 64] {
    let mut inverse = [0; 64];
    let mut to = 0;
    while to < 64 {
        inverse[permutation[to] as usize - 1] = to as u8 + 1;
        to += 1;
    }
    inverse
}

/// Picks bits of a word of `width` bits, numbered as the standard does, from 1, the most significant.
fn permute(word: u64, width: u32, order: &[u8]) -> u64 {
    order.iter().fold(0, |picked, from| picked << 1 | word >> (width - u32::from(*from)) & 1)
}

/// The round function: expansion, key, S-boxes, permutation.
fn round(half: u32, key: u64) -> u32 {
    let mut out = 0;
    let (mut turn, mut shift) = (5, 42_u32);
    for sbox in &BITS {
        // At most 63: the mask takes off what is not the group's.
        let input = ((u64::from(half.rotate_left(turn)) ^ key >> shift) & 63) as u32;
        for (mask, to) in sbox {
            out |= ((mask.rotate_right(input) & 1) as u32) << to;
        }
        turn += 4;
        shift = shift.saturating_sub(6);
    }
    out
}

/// DES under one key of 8 bytes; parity bits are not looked at.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Des {
    rounds: [u64; 16],
}

impl Des {
    /// The cipher of a key.
    #[must_use]
    pub fn new(key: &[u8; 8]) -> Self {
        let chosen = permute(u64::from_be_bytes(*key), 64, &PC1);
        let (left, right) = (chosen >> 28, chosen & 0x0FFF_FFFF);
        let turned = |half: u64, by: u32| (half << by | half >> (28 - by)) & 0x0FFF_FFFF;
        Self { rounds: ROTATED.map(|by| permute(turned(left, by) << 28 | turned(right, by), 56, &PC2)) }
    }

    /// Encrypts a block in place.
    pub fn encrypt(&self, block: &mut [u8; 8]) {
        *block = Self::run(self.rounds.iter(), *block);
    }

    /// Decrypts a block in place.
    pub fn decrypt(&self, block: &mut [u8; 8]) {
        *block = Self::run(self.rounds.iter().rev(), *block);
    }

    #[allow(clippy::cast_possible_truncation, reason = "halves of a word")]
    fn run<'k>(keys: impl Iterator<Item = &'k u64>, block: [u8; 8]) -> [u8; 8] {
        let text = permute(u64::from_be_bytes(block), 64, &IP);
        let halves = ((text >> 32) as u32, text as u32);
        let (left, right) = keys.fold(halves, |(left, right), key| (right, left ^ round(right, *key)));
        // The last round does not exchange the halves.
        permute(u64::from(right) << 32 | u64::from(left), 64, &FP).to_be_bytes()
    }
}

/// Triple DES under two keys (encrypt, decrypt, encrypt), 16 bytes.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Tdes {
    left: Des,
    right: Des,
}

impl Tdes {
    /// The cipher of a key.
    #[must_use]
    pub fn new(key: &[u8; 16]) -> Self {
        let [left, right] = halves(key);
        Self { left: Des::new(&left), right: Des::new(&right) }
    }

    /// Encrypts a block in place.
    pub fn encrypt(&self, block: &mut [u8; 8]) {
        self.left.encrypt(block);
        self.finish(block);
    }

    /// Decrypts a block in place.
    pub fn decrypt(&self, block: &mut [u8; 8]) {
        self.left.decrypt(block);
        self.right.encrypt(block);
        self.left.decrypt(block);
    }

    /// The cipher of the left half of the key.
    pub(crate) const fn single(&self) -> &Des {
        &self.left
    }

    /// What makes triple DES out of a block that went through [`Self::single`].
    pub(crate) fn finish(&self, block: &mut [u8; 8]) {
        self.right.decrypt(block);
        self.left.encrypt(block);
    }
}

fn halves(key: &[u8; 16]) -> [[u8; 8]; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *key;
    [[a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]]
}
