//! SM4 (GB/T 32907-2016), a block at a time.

use core::hint::black_box;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The S-box as the standard prints it: 16 rows of 16 bytes.
const S: [u128; 16] = [
    0xD690E9FECCE13DB716B614C228FB2C05,
    0x2B679A762ABE04C3AA44132649860699,
    0x9C4250F491EF987A33540B43EDCFAC62,
    0xE4B31CA9C908E89580DF94FA758F3FA6,
    0x4707A7FCF37317BA83593C19E6854FA8,
    0x686B81B27164DA8BF8EB0F4B70569D35,
    0x1E240E5E6358D1A225227C3B01217887,
    0xD40046579FD327524C3602E7A0C4C89E,
    0xEABF8AD240C738B5A3F7F2CEF96115A1,
    0xE0AE5DA49B341A55AD933230F58CB1E3,
    0x1DF6E22E8266CA60C02923AB0D534E6F,
    0xD5DB3745DEFD8E2F03FF6A726D6C5B51,
    0x8D1BAF92BBDDBC7F11D95C411F105AD8,
    0x0AC13188A5CD7BBD2D74D012B8E5B4B0,
    0x8969974A0C96777E65B9F109C56EC684,
    0x18F07DEC3ADC4D2079EE5F3ED7CB3948,
];
const FK: [u32; 4] = [0xA3B1_BAC6, 0x56AA_3350, 0x677D_9197, 0xB270_22DC];

/// Of each of the eight output bits, the least significant first: that bit of every entry, entry `n` at bit
/// `n % 64` of word `n / 64`.
const BITS: [[u64; 4]; 8] = bits();

#[allow(clippy::indexing_slicing, reason = "at compile time")]
const fn bits() -> [[u64; 4]; 8] {
    let mut bits = [[0; 4]; 8];
    let mut input = 0;
    while input < 256 {
        let entry = (S[input / 16] >> (8 * (15 - input % 16))) as u8;
        let mut bit = 0;
        while bit < 8 {
            bits[bit][input / 64] |= (entry as u64 >> bit & 1) << (input % 64);
            bit += 1;
        }
        input += 1;
    }
    bits
}

/// The S-box of each byte of a word.
fn substitute(word: u32) -> u32 {
    u32::from_be_bytes(word.to_be_bytes().map(|input| {
        // All ones or all zeros by one of the two upper bits, which say in what quarter the entry is. The compiler must
        // not see that there are two values only: it would make a table of them, or a branch.
        let mask = |bit: u32| black_box(u64::from(input >> bit & 1).wrapping_neg());
        let (low, high) = (mask(6), mask(7));
        let either = |zero: u64, one: u64, mask: u64| zero ^ (zero ^ one) & mask;
        let at = u32::from(input & 63);
        BITS.iter().zip(0..).fold(0, |out, (&[a, b, c, d], bit)| {
            let entries = either(either(a, b, low), either(c, d, low), high);
            out | ((entries.rotate_right(at) & 1) as u8) << bit
        })
    }))
}

/// SM4 under one key of 16 bytes.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Sm4 {
    rounds: [u32; 32],
}

impl Sm4 {
    /// The cipher of a key.
    #[must_use]
    pub fn new(key: &[u8; 16]) -> Self {
        let mut state = words(key);
        state.iter_mut().zip(FK).for_each(|(word, fixed)| *word ^= fixed);
        let mut rounds = [0; 32];
        for (round, first) in rounds.iter_mut().zip((0..128_u32).step_by(4)) {
            // The parameters CK: byte n is 7n.
            let fixed = [0, 1, 2, 3].map(|byte| ((first + byte) * 7 % 256) as u8);
            let [a, b, c, d] = state;
            let mixed = substitute(b ^ c ^ d ^ u32::from_be_bytes(fixed));
            *round = a ^ mixed ^ mixed.rotate_left(13) ^ mixed.rotate_left(23);
            state = [b, c, d, *round];
        }
        state.zeroize();
        Self { rounds }
    }

    /// Encrypts a block in place.
    pub fn encrypt(&self, block: &mut [u8; 16]) {
        *block = Self::run(self.rounds.iter(), block);
    }

    /// Decrypts a block in place.
    pub fn decrypt(&self, block: &mut [u8; 16]) {
        *block = Self::run(self.rounds.iter().rev(), block);
    }

    fn run<'k>(keys: impl Iterator<Item = &'k u32>, block: &[u8; 16]) -> [u8; 16] {
        let [a, b, c, d] = keys.fold(words(block), |[a, b, c, d], key| {
            let mixed = substitute(b ^ c ^ d ^ key);
            let spread = [2, 10, 18, 24].iter().fold(mixed, |spread, by| spread ^ mixed.rotate_left(*by));
            [b, c, d, a ^ spread]
        });
        let mut out = [0; 16];
        let bytes = [d, c, b, a].into_iter().flat_map(u32::to_be_bytes);
        out.iter_mut().zip(bytes).for_each(|(out, byte)| *out = byte);
        out
    }
}

fn words(bytes: &[u8; 16]) -> [u32; 4] {
    let whole = u128::from_be_bytes(*bytes);
    [96, 64, 32, 0].map(|shift| (whole >> shift) as u32)
}
