//! Binding a card: its holder types number, expiry and CVN2, which leave the PIN trusted app sealed for the card's bank
//! and for nobody else.

use crate::{
    Error,
    id::ProviderId,
    pad::PadShow,
    pin::MAX_PAYEE,
    wire::{Bytes, Reader, Wire, Writer},
};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Fewest digits of a card number (ISO/IEC 7812-1: eight of the issuer and more).
pub const MIN_NUMBER: usize = 13;
/// Most digits of a card number (ISO/IEC 7812-1).
pub const MAX_NUMBER: usize = 19;
/// Fewest digits of a CVN2.
pub const MIN_CVN2: usize = 3;
/// Most digits of a CVN2.
pub const MAX_CVN2: usize = 4;
/// Longest name of a bank in bytes.
pub const MAX_BANK: usize = MAX_PAYEE;
/// Card data, encrypted, in bytes: 16 more than in clear.
pub const SEALED_LEN: usize = CardData::MAX + 16;

const CERTIFICATE_LABEL: &[u8; 24] = b"tapvault recipient cert1";
const DATA_LABEL: &[u8; 24] = b"tapvault card data     1";

/// What is printed on a card: number, expiry and CVN2, wiped when dropped. On the wire always [`CardData::MAX`] bytes,
/// so that a length tells nothing of it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct CardData {
    number: [u8; MAX_NUMBER],
    number_len: u8,
    expiry: [u8; 4],
    cvn2: [u8; MAX_CVN2],
    cvn2_len: u8,
}

impl CardData {
    /// Card data from ASCII digits; `expiry` is YYMM. Whether the month is over the bank says: a trusted app has no
    /// calendar of its own.
    ///
    /// # Errors
    /// [`Error::CardNumber`] unless there are 13 to 19 digits, the last of which is the check digit of ISO/IEC 7812-1,
    /// annex B; [`Error::CardExpiry`] unless there are four, the last two a month; [`Error::SecurityCode`] unless there
    /// are three or four.
    pub fn from_ascii(number: &[u8], expiry: &[u8], cvn2: &[u8]) -> Result<Self, Error> {
        let mut data =
            Self { number: [0; MAX_NUMBER], number_len: 0, expiry: [0; 4], cvn2: [0; MAX_CVN2], cvn2_len: 0 };
        if !(MIN_NUMBER..=MAX_NUMBER).contains(&number.len()) || !digits(number) || !has_check_digit(number) {
            return Err(Error::CardNumber);
        }
        data.number_len = fill(&mut data.number, number).ok_or(Error::CardNumber)?;
        if !matches!(expiry, [_, _, b'0', b'1'..=b'9'] | [_, _, b'1', b'0'..=b'2']) || !digits(expiry) {
            return Err(Error::CardExpiry);
        }
        fill(&mut data.expiry, expiry).ok_or(Error::CardExpiry)?;
        if cvn2.len() < MIN_CVN2 || !digits(cvn2) {
            return Err(Error::SecurityCode);
        }
        data.cvn2_len = fill(&mut data.cvn2, cvn2).ok_or(Error::SecurityCode)?;
        Ok(data)
    }

    /// The number, 13 to 19 ASCII digits.
    #[must_use]
    pub fn expose_number(&self) -> &[u8] {
        self.number.get(..usize::from(self.number_len)).unwrap_or_default()
    }

    /// The expiry, YYMM in ASCII.
    #[must_use]
    pub fn expose_expiry(&self) -> &[u8; 4] {
        &self.expiry
    }

    /// The CVN2, zeros behind it, and the count of its digits: five bytes for every CVN2.
    #[must_use]
    pub fn expose_cvn2(&self) -> (&[u8; MAX_CVN2], u8) {
        (&self.cvn2, self.cvn2_len)
    }
}

impl Wire for CardData {
    const MAX: usize = 1 + MAX_NUMBER + 4 + 1 + MAX_CVN2;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        self.number_len.encode(out)?;
        self.number.encode(out)?;
        self.expiry.encode(out)?;
        self.cvn2_len.encode(out)?;
        self.cvn2.encode(out)
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        let number = padded(input, MAX_NUMBER, Error::CardNumber)?;
        let expiry = input.take(4)?;
        let cvn2 = padded(input, MAX_CVN2, Error::SecurityCode)?;
        Self::from_ascii(number, expiry, cvn2)
    }
}

/// A length byte and a field of `len` bytes: what is behind the length has to be zero.
fn padded<'a>(input: &mut Reader<'a>, len: usize, error: Error) -> Result<&'a [u8], Error> {
    let used = usize::from(u8::decode(input)?);
    let (used, padding) = input.take(len)?.split_at_checked(used).ok_or(error)?;
    if padding.iter().all(|byte| *byte == 0) { Ok(used) } else { Err(error) }
}

fn fill(field: &mut [u8], value: &[u8]) -> Option<u8> {
    field.get_mut(..value.len())?.copy_from_slice(value);
    u8::try_from(value.len()).ok()
}

fn digits(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_digit)
}

/// ISO/IEC 7812-1, annex B: every second digit from the right, the check digit being the first, counts twice.
fn has_check_digit(number: &[u8]) -> bool {
    let weighted = number.iter().rev().enumerate().map(|(at, digit)| {
        let digit = u32::from(digit & 0x0F);
        let weighted = if at % 2 == 1 { 2 * digit } else { digit };
        weighted / 10 + weighted % 10
    });
    weighted.sum::<u32>() % 10 == 0
}

crate::message! {
    /// A bank that takes card data, certified under the trust root.
    #[derive(Clone, Debug, PartialEq, Eq)]
    RecipientCertificate {
        /// The bank.
        provider: ProviderId,
        /// Its name, printable ASCII: what the holder is shown.
        name: Bytes<MAX_BANK>,
        /// Its P-256 key for card data, SEC 1 uncompressed.
        recipient: [u8; 65],
        /// ECDSA P-256 / SHA-256 by the trust root over [`Self::signed_bytes`], `r‖s`.
        signature: [u8; 64],
    }
}

/// Length of the certified fields, at most.
const MAX_CERTIFIED: usize = 24 + RecipientCertificate::MAX - 64;

impl RecipientCertificate {
    /// What the trust root signs: a domain label, then every other field as on the wire.
    ///
    /// # Errors
    /// [`Error::Internal`] never: the lengths are bounded by type.
    pub fn signed_bytes(&self) -> Result<Bytes<MAX_CERTIFIED>, Error> {
        let mut bytes = [0; MAX_CERTIFIED];
        let mut out = Writer::new(&mut bytes);
        CERTIFICATE_LABEL.encode(&mut out)?;
        self.provider.encode(&mut out)?;
        self.name.encode(&mut out)?;
        self.recipient.encode(&mut out)?;
        let len = out.len();
        bytes.get(..len).and_then(|bytes| Bytes::from_slice(bytes).ok()).ok_or(Error::Internal)
    }

    /// Whether the name can be shown: printable ASCII, and some.
    #[must_use]
    pub fn is_presentable(&self) -> bool {
        !self.name.is_empty() && self.name.iter().all(|byte| (0x20..0x7F).contains(byte))
    }
}

crate::message! {
    /// Begins an entry of card data for a bank.
    #[derive(Clone, Debug, PartialEq, Eq)]
    BeginCardDataRequest {
        /// Who alone can read them.
        certificate: RecipientCertificate,
        /// Drawn by the bank for this binding; good there once.
        nonce: [u8; 32],
    }
}
crate::message! {
    /// An entry of card data is open.
    #[derive(Clone, Debug, PartialEq, Eq)]
    CardDataEntryReply {
        /// Names the entry; never used twice in one run.
        entry: u32,
        /// Drawn for this entry, and sealed with what is typed.
        challenge: [u8; 32],
        /// For the pad.
        show: PadShow,
    }
}
crate::message! {
    /// Fetches what was sealed, once, and ends the entry.
    #[derive(Clone, Debug, PartialEq, Eq)]
    FinishCardDataRequest {
        /// From [`CardDataEntryReply`].
        entry: u32,
    }
}
crate::message! {
    /// Card data as only their bank can read them: HPKE (RFC 9180) in base mode with DHKEM(P-256, HKDF-SHA256),
    /// HKDF-SHA256 and AES-128-GCM, no associated data.
    #[derive(Clone, Debug, PartialEq, Eq)]
    SealedCardData {
        /// The bank.
        provider: ProviderId,
        /// From [`BeginCardDataRequest`].
        nonce: [u8; 32],
        /// From [`CardDataEntryReply`].
        challenge: [u8; 32],
        /// The encapsulated key, SEC 1 uncompressed.
        encapsulated: [u8; 65],
        /// Encrypted [`CardData`], and the tag.
        sealed: [u8; SEALED_LEN],
    }
}

impl SealedCardData {
    /// What the seal binds, the HPKE `info`: a domain label, the bank, its nonce and the device's challenge.
    #[must_use]
    pub fn info(provider: ProviderId, nonce: &[u8; 32], challenge: &[u8; 32]) -> [u8; 104] {
        crate::pin::concat(DATA_LABEL, &[&provider.0, nonce, challenge])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{decode_exact, encode_into};

    const NUMBER: &[u8] = b"6299990000000017";

    fn refusal(number: &[u8], expiry: &[u8], cvn2: &[u8]) -> Option<Error> {
        CardData::from_ascii(number, expiry, cvn2).err()
    }

    #[test]
    fn a_number_has_13_to_19_digits_and_the_right_last_one() {
        // The example of ISO/IEC 7812-1 as everybody prints it, and numbers of test systems.
        for good in [&b"4111111111111111"[..], b"378282246310005", b"6200000000000000000", b"4222222222222"] {
            assert_eq!(refusal(good, b"3112", b"123"), None, "{good:?}");
        }
        for last in b'0'..=b'9' {
            let number = [&b"411111111111111"[..], &[last]].concat();
            let expected = (last != b'1').then_some(Error::CardNumber);
            assert_eq!(refusal(&number, b"3112", b"123"), expected, "{last}");
        }
        for bad in [&b""[..], b"00000000", b"000000000000", b"00000000000000000000", b"411111111111111x"] {
            assert_eq!(refusal(bad, b"3112", b"123"), Some(Error::CardNumber));
        }
        // Two neighbours change places.
        assert_eq!(refusal(b"6299990000000071", b"3112", b"123"), Some(Error::CardNumber));
    }

    #[test]
    fn an_expiry_is_a_month_and_a_cvn2_three_or_four_digits() {
        for bad in [&b""[..], b"311", b"3100", b"3113", b"3120", b"31123", b"x112", b"3a12", b"310:"] {
            assert_eq!(refusal(NUMBER, bad, b"123"), Some(Error::CardExpiry), "{bad:?}");
        }
        for bad in [&b""[..], b"12", b"12345", b"12x", b"1 3"] {
            assert_eq!(refusal(NUMBER, b"3112", bad), Some(Error::SecurityCode), "{bad:?}");
        }
        assert_eq!(refusal(NUMBER, b"0001", b"0000"), None);
    }

    #[test]
    fn a_frame_has_one_length_and_one_form() {
        let mut frame = [0; CardData::MAX];
        for (number, cvn2) in [(NUMBER, &b"123"[..]), (b"4222222222222", b"1234")] {
            let data = CardData::from_ascii(number, b"3112", cvn2).unwrap();
            assert_eq!(encode_into(&data, &mut frame), Ok(CardData::MAX));
            let back = decode_exact::<CardData>(&frame).unwrap();
            assert_eq!(back.expose_number(), number);
            assert_eq!(back.expose_expiry(), b"3112");
            let (digits, len) = back.expose_cvn2();
            assert_eq!(&digits[..usize::from(len)], cvn2);
        }
        let refused = |frame: &[u8; CardData::MAX]| decode_exact::<CardData>(frame).err();
        let data = CardData::from_ascii(NUMBER, b"3112", b"123").unwrap();
        encode_into(&data, &mut frame).unwrap();
        for (at, value, error) in [
            (19, b'0', Error::CardNumber),
            (0, 17, Error::CardNumber),
            (0, 0xFF, Error::CardNumber),
            (28, b'0', Error::SecurityCode),
            (24, 5, Error::SecurityCode),
            (24, 2, Error::SecurityCode),
            (22, b'9', Error::CardExpiry),
        ] {
            let mut bad = frame;
            bad[at] = value;
            assert_eq!(refused(&bad), Some(error), "byte {at}");
        }
    }

    #[test]
    fn card_data_are_wiped_when_dropped() {
        fn wiped<T: ZeroizeOnDrop>() {}
        wiped::<CardData>();
        let mut data = CardData::from_ascii(NUMBER, b"3112", b"123").unwrap();
        data.zeroize();
        assert_eq!((data.number, data.expiry, data.cvn2), ([0; MAX_NUMBER], [0; 4], [0; MAX_CVN2]));
    }

    #[test]
    fn every_bank_nonce_and_challenge_has_its_own_info() {
        let info = |bank, nonce, challenge| {
            SealedCardData::info(ProviderId([bank; 16]), &[nonce; 32], &[challenge; 32])
        };
        let whole = info(1, 2, 3);
        assert_eq!(&whole[..24], DATA_LABEL);
        assert_eq!((whole[24], whole[39], whole[40], whole[71], whole[72], whole[103]), (1, 1, 2, 2, 3, 3));
        assert!([info(9, 2, 3), info(1, 9, 3), info(1, 2, 9)].iter().all(|other| *other != whole));
    }
}
