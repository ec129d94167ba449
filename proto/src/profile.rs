//! The card profile: what a provider seals and the card trusted app stores.

use crate::{
    Error,
    emv::{AID_UNIONPAY_DEBIT, gpo},
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
    /// The cryptographic suite: how session keys are made and with what cipher.
    Suite {
        /// International: PBOC process keys and retail MAC under 3DES.
        Pboc3Des = 1,
        /// International: EMV common session keys and retail MAC under 3DES (EMV Book 2, A1.3.1).
        Emv3Des = 2,
        /// International: EMV common session keys and CMAC under AES-128 (EMV Book 2, A1.3.2).
        EmvAes = 3,
        /// Domestic: PBOC process keys and CBC-MAC under SM4 (JR/T 0025.17).
        PbocSm4 = 4,
    }
}

/// Algorithm byte of the issuer application data for AES. No public text names one: **a placeholder of ours**.
pub const ALGORITHM_AES_UNVERIFIED: u8 = 0x02;

impl Suite {
    /// Every suite.
    pub const ALL: [Self; 4] = [Self::Pboc3Des, Self::Emv3Des, Self::EmvAes, Self::PbocSm4];

    /// The algorithm byte of the issuer application data, tag 9F10: 01 is 3DES, 04 SM4.
    #[must_use]
    pub const fn algorithm(self) -> u8 {
        match self {
            Self::Pboc3Des | Self::Emv3Des => 0x01,
            Self::EmvAes => ALGORITHM_AES_UNVERIFIED,
            Self::PbocSm4 => 0x04,
        }
    }
}

crate::code! {
    /// The cryptogram version: what of a transaction is under the cryptogram.
    Cvn {
        /// 37 bytes: all that the terminal sends for the long PDOL, AIP, ATC and CVR.
        V01 = 0x01,
        /// 13 bytes: amount, unpredictable number, ATC and the second byte of the CVR.
        V17 = 0x11,
    }
}

impl Cvn {
    /// The processing options data object list that asks for what is needed.
    #[must_use]
    pub const fn pdol(self) -> &'static [u8] {
        match self {
            Self::V01 => &gpo::PDOL,
            Self::V17 => &gpo::SHORT_PDOL,
        }
    }
}

crate::code! {
    /// The product, by its application identifier under UnionPay's RID A000000333.
    Product {
        /// A000000333010101.
        Debit = 1,
        /// A000000333010102.
        Credit = 2,
        /// A000000333010103.
        QuasiCredit = 3,
    }
}

impl Product {
    /// The application identifier, 8 bytes.
    #[must_use]
    pub const fn aid(self) -> [u8; 8] {
        let [a, b, c, d, e, f, g, _] = AID_UNIONPAY_DEBIT;
        [a, b, c, d, e, f, g, self as u8]
    }
}

crate::code! {
    /// What a card answers to GET PROCESSING OPTIONS when the holder is to be verified on the phone first.
    VerificationStatus {
        /// 6986, command not allowed: tap, PIN, tap.
        NotAllowed = 1,
        /// 6985, conditions of use not satisfied.
        ConditionsNotSatisfied = 2,
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
        /// What the cryptogram covers.
        cvn: Cvn,
        /// What kind of card it is.
        product: Product,
        /// Priority among the wallet's cards, tag 87: 1, the first, to 15.
        priority: u8,
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
        /// From which amount, in minor units of `currency`, the card wants the wallet PIN whatever the terminal
        /// asks: 0 is always; [`CardProfile::NEVER`] leaves it to the terminal.
        verification_from: u64,
        /// The answer to a terminal when it wants one and there is none.
        verification_status: VerificationStatus,
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
    pub const FORMAT: u8 = 2;
    /// As `verification_from`: the terminal alone decides.
    pub const NEVER: u64 = u64::MAX;

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
            && (1..=15).contains(&self.priority)
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
