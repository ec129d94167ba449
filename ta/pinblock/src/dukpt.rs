//! AES DUKPT (ANSI X9.24-3-2017): a key for every block, each of which is forgotten when it has been given out.
//!
//! The initial key is forgotten as well: what is kept derives the keys to come, and none that was. All derivation keys
//! are AES-128; the working keys are for PIN encryption.

use aes::{
    Aes128,
    cipher::{Array, BlockCipherEncrypt, KeyInit},
};
use tapvault_proto::{
    bank_pin::{IDENTIFIER_LEN, PinBlockFormat},
    profile::Key128,
};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bits of the counter, and places for the keys to come.
const BITS: usize = 32;
/// Most ones in the counter of a key: deriving one takes as many steps (6.3.2).
const MOST_ONES: u32 = 16;

/// What a key is for: the standard's key usage indicator (table 1).
#[derive(Clone, Copy)]
enum Usage {
    PinEncryption = 0x1000,
    KeyDerivation = 0x8000,
    KeyDerivationInitial = 0x8001,
}

/// What a key is a key of: the standard's algorithm indicator (table 2).
#[derive(Clone, Copy)]
enum Algorithm {
    Tdea2 = 0x0000,
    Aes128 = 0x0002,
    /// **Not the standard's**: it has no number for SM4. Above all of its own.
    Sm4 = 0xFF04,
}

/// The key of one block, wiped when dropped.
pub struct WorkingKey {
    key: Key128,
    format: PinBlockFormat,
}

impl WorkingKey {
    /// A key that comes from elsewhere, as those of test vectors do.
    #[must_use]
    pub const fn new(key: Key128, format: PinBlockFormat) -> Self {
        Self { key, format }
    }

    /// The key.
    #[must_use]
    pub fn expose(&self) -> &[u8; 16] {
        self.key.expose()
    }

    /// What its block is like.
    #[must_use]
    pub const fn format(&self) -> PinBlockFormat {
        self.format
    }
}

/// Length of what [`Dukpt::write`] writes.
pub const STATE_LEN: usize = IDENTIFIER_LEN + 4 + 16 * BITS;

/// The keys to come of one initial key, wiped when dropped. Place `n` is the key of the next counter whose lowest one
/// is bit `n`, unless it has been used.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Dukpt {
    identifier: [u8; IDENTIFIER_LEN],
    /// Of the next key; 0 when there is none any more.
    counter: u32,
    places: [[u8; 16]; BITS],
}

impl Dukpt {
    /// Of an initial key; the caller wipes it (`Load_Initial_Key`).
    #[must_use]
    pub fn load(identifier: [u8; IDENTIFIER_LEN], initial: &[u8; 16]) -> Self {
        let mut made = Self { identifier, counter: 1, places: [[0; 16]; BITS] };
        made.derive_below(BITS, 0, initial);
        made
    }

    /// What was stored.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; STATE_LEN]) -> Self {
        let mut stored = Self { identifier: [0; IDENTIFIER_LEN], counter: 0, places: [[0; 16]; BITS] };
        let mut rest = bytes.iter();
        stored.identifier.iter_mut().zip(&mut rest).for_each(|(byte, stored)| *byte = *stored);
        stored.counter = rest.by_ref().take(4).fold(0, |counter, byte| counter << 8 | u32::from(*byte));
        stored.places.as_flattened_mut().iter_mut().zip(rest).for_each(|(byte, stored)| *byte = *stored);
        stored
    }

    /// Writes what is to be stored: identifier, counter, places.
    pub fn write(&self, out: &mut [u8; STATE_LEN]) {
        let counter = self.counter.to_be_bytes();
        let bytes = self.identifier.iter().chain(&counter).chain(self.places.as_flattened());
        out.iter_mut().zip(bytes).for_each(|(byte, stored)| *byte = *stored);
    }

    /// The initial key's identifier.
    #[must_use]
    pub const fn identifier(&self) -> [u8; IDENTIFIER_LEN] {
        self.identifier
    }

    /// Gives the next key out, with its counter, and forgets it: what is stored then has to be this state, and before
    /// the key is used. `None` when there are no more (`Generate_Working_Keys`, `Update_State_for_next_Transaction`).
    #[must_use]
    pub fn take(&mut self, format: PinBlockFormat) -> Option<(u32, WorkingKey)> {
        let counter = self.counter;
        let lowest = counter.trailing_zeros() as usize;
        let place = self.places.get_mut(lowest)?;
        let mut key = Key128::new(*place);
        place.zeroize();
        let algorithm = match format {
            PinBlockFormat::Iso0 | PinBlockFormat::Iso3 => Algorithm::Tdea2,
            PinBlockFormat::Iso4 => Algorithm::Aes128,
            PinBlockFormat::Sm4Layout4 => Algorithm::Sm4,
        };
        let data = data(Usage::PinEncryption, algorithm, self.tail(counter));
        let working = WorkingKey::new(Key128::new(derive(key.expose(), data)), format);
        let step = if counter.count_ones() < MOST_ONES {
            self.derive_below(lowest, counter, key.expose());
            1
        } else {
            // One more would have too many ones.
            1 << lowest
        };
        key.zeroize();
        self.counter = counter.checked_add(step).unwrap_or(0);
        Some((counter, working))
    }

    /// Derives the keys of all places below one: those of `counter` with one more one (`Update_Derivation_Keys`).
    fn derive_below(&mut self, place: usize, counter: u32, key: &[u8; 16]) {
        for bit in (0..place).rev() {
            let tail = self.tail(counter | 1 << bit);
            if let Some(place) = self.places.get_mut(bit) {
                *place = derive(key, data(Usage::KeyDerivation, Algorithm::Aes128, tail));
            }
        }
    }

    /// What the derivation data end with: the identifier's right half and a counter.
    fn tail(&self, counter: u32) -> [u8; 8] {
        let [.., a, b, c, d] = self.identifier;
        let [e, f, g, h] = counter.to_be_bytes();
        [a, b, c, d, e, f, g, h]
    }
}

/// The initial key of a base key and an identifier: what a bank's security module derives.
#[must_use]
pub fn initial_key(base: &[u8; 16], identifier: [u8; IDENTIFIER_LEN]) -> [u8; 16] {
    derive(base, data(Usage::KeyDerivationInitial, Algorithm::Aes128, identifier))
}

/// Derivation data of a key of 128 bits (6.3.3): version, first block, usage, algorithm, length, and what it is for.
fn data(usage: Usage, algorithm: Algorithm, [a, b, c, d, e, f, g, h]: [u8; 8]) -> [u8; 16] {
    let ([u, v], [x, y]) = ((usage as u16).to_be_bytes(), (algorithm as u16).to_be_bytes());
    [1, 1, u, v, x, y, 0, 128, a, b, c, d, e, f, g, h]
}

fn derive(key: &[u8; 16], data: [u8; 16]) -> [u8; 16] {
    let mut block = Array(data);
    Aes128::new(&Array(*key)).encrypt_block(&mut block);
    block.0
}
