//! Choices that look random and are the same for the same seed, on every machine.

/// SplitMix64.
pub struct Random(u64);

impl Random {
    /// Everything that follows from a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Everything that follows from `TAPVAULT_SEED`, 1 where it is not set; printed, so that a failure can be
    /// repeated.
    #[must_use]
    pub fn of_environment() -> Self {
        let seed = std::env::var("TAPVAULT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
        println!("TAPVAULT_SEED={seed}");
        Self(seed)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// An index into something of that length, which is not 0.
    #[allow(clippy::cast_possible_truncation, reason = "below a usize")]
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// True once in `bound` times.
    pub fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    /// One of these.
    pub fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())].clone()
    }

    /// A byte.
    #[allow(clippy::cast_possible_truncation, reason = "below 256")]
    pub fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }

    /// A 32-bit number below `bound`, which is not 0.
    #[allow(clippy::cast_possible_truncation, reason = "below a u32")]
    pub fn word(&mut self, bound: u32) -> u32 {
        self.below(bound.into()) as u32
    }

    /// Up to `most` bytes.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        let len = self.index(most + 1);
        (0..len).map(|_| self.byte()).collect()
    }
}
