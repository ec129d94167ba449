//! The card profile: what a provider seals and the card trusted app stores.

use crate::{
    Error,
    emv::AID_UNIONPAY_DEBIT,
    wire::{Bytes, Reader, Wire, Writer},
};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A 16-byte key, wiped when dropped; never shown by `Debug` since there is none.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Key128([u8; 16]);

impl Key128 {
    /// A key from its bytes.
    #[must_use]
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the cipher.
    #[must_use]
    pub fn expose(&self) -> &[u8; 16] {
        &self.0
    }
}

impl Wire for Key128 {
    const MAX: usize = 16;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        out.put(&self.0)
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        input.array().map(Self)
    }
}

crate::code! {
    /// The cryptographic suite.
    Suite {
        /// PBOC process keys and retail MAC under 3DES, cryptogram version 01 (facts B1).
        Pboc3DesCvn01 = 1,
    }
}

crate::message! {
    /// One card.
    CardProfile {
        /// Format of this profile; [`CardProfile::FORMAT`].
        format: u8,
        /// Version of the card's keys: raised at every issue, shown to the issuer as the DKI.
        key_version: u8,
        /// The suite the keys are for.
        suite: Suite,
        /// Application identifier, 5 to 16 bytes.
        aid: Bytes<16>,
        /// Application label, tag 50, ASCII.
        label: Bytes<16>,
        /// Track 2 equivalent data, tag 57, as it goes to the terminal: token, `D`, expiry, service
        /// code, discretionary data, padded with `F`.
        track2: Bytes<19>,
        /// Sequence number of the token, tag 5F34.
        psn: u8,
        /// Application interchange profile, tag 82.
        aip: [u8; 2],
        /// ISO 4217 numeric code of the card's currency.
        currency: u16,
        /// Whether the terminal's online PIN may stand in for the wallet PIN.
        online_pin_allowed: bool,
        /// Whether a signature may.
        signature_allowed: bool,
        /// The unique derived key for application cryptograms.
        udk: Key128,
        /// Last four digits of the account number behind the token; for display.
        last_four: [u8; 4],
        /// Reference of the card art; ASCII, for display.
        art: Bytes<32>,
        /// The issuer's name; ASCII, for display.
        issuer: Bytes<32>,
    }
}

impl CardProfile {
    /// The format this crate writes.
    pub const FORMAT: u8 = 1;

    /// Checks the rules a profile must keep.
    ///
    /// # Errors
    /// [`Error::ProfileInvalid`].
    pub fn check(&self) -> Result<(), Error> {
        let printable = |text: &[u8]| {
            text.iter().all(|byte| (0x20..0x7F).contains(byte) && *byte != b'"' && *byte != b'\\')
        };
        let holds = self.format == Self::FORMAT
            && self.key_version > 0
            && self.aid.as_slice() == AID_UNIONPAY_DEBIT
            && !self.label.is_empty()
            && printable(&self.label)
            && printable(&self.art)
            && printable(&self.issuer)
            && self.last_four.iter().all(u8::is_ascii_digit)
            && self.psn < 0xA0
            && self.expiry().is_some();
        if holds { Ok(()) } else { Err(Error::ProfileInvalid) }
    }

    /// Expiry YYMM in BCD out of track 2: the four digits behind the separator `D`, which follows a
    /// token of 13 to 19 digits.
    #[must_use]
    pub fn expiry(&self) -> Option<[u8; 2]> {
        let mut nibbles = self.track2.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
        let token = nibbles.by_ref().take_while(|nibble| *nibble < 10).count();
        let separated =
            self.track2.get(token / 2).map(|byte| if token % 2 == 0 { byte >> 4 } else { byte & 0x0F });
        let mut digit = || nibbles.next().filter(|nibble| *nibble < 10);
        let expiry = [digit()? << 4 | digit()?, digit()? << 4 | digit()?];
        ((13..=19).contains(&token) && separated == Some(0x0D)).then_some(expiry)
    }
}
