//! The card profile: what a provider seals and the card trusted app stores.

use crate::{
    Error,
    contact::Contact,
    emv::{AID_UNIONPAY_DEBIT, application::Record, gpo},
    limited::LimitedUse,
    offline::Offline,
    token::{self, Channel, ChannelKey, Token},
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

/// A secret of up to `N` bytes, wiped when dropped; never shown by `Debug` since there is none.
pub struct SecretBytes<const N: usize>(Bytes<N>);

impl<const N: usize> SecretBytes<N> {
    /// A secret; `None` when it is longer.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        Bytes::from_slice(bytes).ok().map(Self)
    }

    /// The bytes, for the cipher.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> Drop for SecretBytes<N> {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

impl<const N: usize> Wire for SecretBytes<N> {
    const MAX: usize = Bytes::<N>::MAX;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        self.0.encode(out)
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        Bytes::decode(input).map(Self)
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
    /// Every product.
    pub const ALL: [Self; 3] = [Self::Debit, Self::Credit, Self::QuasiCredit];

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

/// Longest RSA modulus in bytes (EMV Book 2, B2.1).
pub const MAX_MODULUS: usize = 248;

crate::message! {
    /// An RSA key in the form of the Chinese remainder theorem, public exponent 3 (RFC 8017, 3.2). Both primes are
    /// equally long, 32 to 124 bytes without zeros in front, so that the modulus is twice as long.
    RsaKey {
        /// First prime.
        p: SecretBytes<124>,
        /// Second prime.
        q: SecretBytes<124>,
        /// `3⁻¹ mod (p - 1)`.
        dp: SecretBytes<124>,
        /// `3⁻¹ mod (q - 1)`.
        dq: SecretBytes<124>,
        /// `q⁻¹ mod p`.
        qinv: SecretBytes<124>,
    }
}

/// The key of offline data authentication, certified by the issuer (EMV Book 2, 6; JR/T 0025.17).
#[allow(clippy::large_enum_variant, reason = "a box would want a heap, which this crate does without")]
pub enum OdaKey {
    /// International.
    Rsa(RsaKey),
    /// Domestic: the private scalar, 32 bytes.
    Sm2(SecretBytes<32>),
}

impl Wire for OdaKey {
    const MAX: usize = 1 + RsaKey::MAX;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            Self::Rsa(key) => 1_u8.encode(out).and_then(|()| key.encode(out)),
            Self::Sm2(key) => 2_u8.encode(out).and_then(|()| key.encode(out)),
        }
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        match u8::decode(input)? {
            1 => RsaKey::decode(input).map(Self::Rsa),
            2 => SecretBytes::decode(input).map(Self::Sm2),
            _ => Err(Error::BadParameters),
        }
    }
}

crate::message! {
    /// What a card needs for fDDA, fast dynamic data authentication, version 01.
    Oda {
        /// Application file locator, tag 94: four bytes an entry. Its last record is the transaction's own, but of a
        /// test profile's, which has none.
        afl: Bytes<16>,
        /// The other records: the static data that the issuer signed, and the certificates.
        records: heapless::Vec<Record, 4>,
        /// The card's key.
        key: OdaKey,
    }
}

impl Oda {
    /// Place of the transaction's own record: short file identifier and record number.
    #[must_use]
    pub fn last_record(&self) -> Option<(u8, u8)> {
        let [sfi, _, last, _] = self.afl.last_chunk::<4>()?;
        Some((sfi >> 3, *last))
    }

    /// The rules of EMV Book 3, 10.2 for the locator; every record it names is there, once, but the last where that is
    /// the transaction's `own`.
    fn check(&self, own: bool) -> bool {
        let entries = || {
            self.afl.chunks(4).map(|entry| match entry {
                [sfi, first, last, signed] => Some((*sfi, *first, *last, *signed)),
                _ => None,
            })
        };
        let entry_holds = |entry: Option<(u8, u8, u8, u8)>| {
            entry.is_some_and(|(sfi, first, last, signed)| {
                sfi & 7 == 0
                    && (1..=30).contains(&(sfi >> 3))
                    && first > 0
                    && first <= last
                    && usize::from(signed) <= usize::from(last - first) + 1
            })
        };
        let named = || {
            let entries = entries().flatten();
            entries.flat_map(|(sfi, first, last, _)| (first..=last).map(move |number| (sfi >> 3, number)))
        };
        let fixed = self.records.iter().map(|record| (record.sfi, record.number));
        let prime_holds = |prime: &SecretBytes<124>| match prime.expose() {
            [first, middle @ .., last] => *first >= 0x80 && middle.len() >= 30 && last % 2 == 1,
            _ => false,
        };
        let key_holds = match &self.key {
            OdaKey::Rsa(RsaKey { p, q, .. }) => {
                prime_holds(p) && prime_holds(q) && p.expose().len() == q.expose().len()
            }
            OdaKey::Sm2(key) => key.expose().len() == 32,
        };
        !self.afl.is_empty()
            && entries().all(entry_holds)
            && key_holds
            && named().last() == self.last_record()
            && named().count() == self.records.len() + usize::from(own)
            && named().take(self.records.len()).eq(fixed)
    }
}

/// What a card's application cryptograms are made with.
pub enum CardKeys {
    /// Unique derived keys, one for each channel that the card may use: session keys are derived in the phone.
    Udk(heapless::Vec<ChannelKey, 4>),
    /// Limited-use keys: the session keys come in batches, and nothing to derive them from is in the phone.
    LimitedUse(LimitedUse),
}

impl Wire for CardKeys {
    const MAX: usize = 1 + <heapless::Vec<ChannelKey, 4> as Wire>::MAX;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            Self::Udk(keys) => 1_u8.encode(out).and_then(|()| keys.encode(out)),
            Self::LimitedUse(rules) => 2_u8.encode(out).and_then(|()| rules.encode(out)),
        }
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        match u8::decode(input)? {
            1 => heapless::Vec::decode(input).map(Self::Udk),
            2 => LimitedUse::decode(input).map(Self::LimitedUse),
            _ => Err(Error::BadParameters),
        }
    }
}

const _: () = assert!(LimitedUse::MAX < CardKeys::MAX);

impl CardKeys {
    fn check(&self) -> bool {
        match self {
            Self::Udk(keys) => token::check_keys(keys),
            Self::LimitedUse(rules) => rules.check(),
        }
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
        /// What its cryptograms are made with, and by that the channels that it may use; a test profile has no keys
        /// here.
        keys: CardKeys,
        /// The token's domain and life.
        token: Token,
        /// Offline data authentication, for terminals that want it of an online payment; a card can go without.
        oda: Option<Oda>,
        /// What the card may pay offline; phone cards usually are online only. Needs offline data authentication, which
        /// is all that a terminal has to go by, and unique derived keys: limited-use keys are there so that the token
        /// service sees each payment before it is done.
        offline: Option<Offline>,
        /// What makes the card a test profile for contact terminals; phone cards have none.
        contact: Option<Contact>,
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
    pub const FORMAT: u8 = 4;
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
            && self.expiry().is_some()
            && self.token.check()
            && self.offline.is_none_or(|offline| {
                offline.check() && self.oda.is_some() && self.udk(Channel::Nfc).is_some()
            })
            && match &self.contact {
                None => self.keys.check() && self.oda.as_ref().is_none_or(|oda| oda.check(true)),
                // It pays no way that a phone does, and its records are all the issuer's.
                Some(contact) => {
                    matches!(&self.keys, CardKeys::Udk(keys) if keys.is_empty())
                        && contact.check(self.suite)
                        && self.oda.as_ref().is_some_and(|oda| oda.check(false))
                }
            };
        if holds { Ok(()) } else { Err(Error::ProfileInvalid) }
    }

    /// The unique derived key of a channel, if the card may use it and holds such keys.
    #[must_use]
    pub fn udk(&self, channel: Channel) -> Option<&Key128> {
        match &self.keys {
            CardKeys::Udk(keys) => keys.iter().find(|key| key.channel == channel).map(|key| &key.udk),
            CardKeys::LimitedUse(_) => None,
        }
    }

    /// Whether the card may use a channel.
    #[must_use]
    pub fn allows(&self, channel: Channel) -> bool {
        match &self.keys {
            CardKeys::Udk(_) => self.udk(channel).is_some(),
            CardKeys::LimitedUse(rules) => rules.channels.contains(&channel),
        }
    }

    /// Whether a secure element can make its cryptograms: of taps, and none for offline approval, of which an element
    /// would have to keep account.
    #[must_use]
    pub fn fits_element(&self) -> bool {
        self.allows(Channel::Nfc) && self.offline.is_none()
    }

    /// The rules of its limited-use keys, if those are what it has.
    #[must_use]
    pub const fn limited_use(&self) -> Option<&LimitedUse> {
        match &self.keys {
            CardKeys::Udk(_) => None,
            CardKeys::LimitedUse(rules) => Some(rules),
        }
    }

    /// The token: the digits of track 2 in front of the separator, ASCII; 13 to 19 in a profile that keeps its rules.
    #[must_use]
    pub fn token_digits(&self) -> Bytes<{ crate::bank_pin::MAX_TOKEN }> {
        let nibbles = self.track2.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
        let digits = nibbles.take_while(|nibble| *nibble < 10).map(|nibble| b'0' + nibble);
        digits.take(crate::bank_pin::MAX_TOKEN).collect()
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
