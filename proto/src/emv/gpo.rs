//! GET PROCESSING OPTIONS: the terminal's data and its qualifiers.

use super::apdu::{Command, StatusWord};
use crate::profile::Cvn;

/// The processing options data object list of a card with cryptogram version 01:
/// 9F66 9F02 9F03 9F1A 95 5F2A 9A 9C 9F37, 33 bytes in all, as real cards send it.
pub const PDOL: [u8; 24] = [
    0x9F, 0x66, 4, 0x9F, 0x02, 6, 0x9F, 0x03, 6, 0x9F, 0x1A, 2, 0x95, 5, 0x5F, 0x2A, 2, 0x9A, 3, 0x9C, 1,
    0x9F, 0x37, 4,
];
/// That of a card with cryptogram version 17: 9F66 9F02 9F37 5F2A, 16 bytes.
pub const SHORT_PDOL: [u8; 12] = [0x9F, 0x66, 4, 0x9F, 0x02, 6, 0x9F, 0x37, 4, 0x5F, 0x2A, 2];
/// Length of the data that [`PDOL`] asks for.
pub const PDOL_DATA_LEN: usize = 33;
/// Length of the data that [`SHORT_PDOL`] asks for.
pub const SHORT_PDOL_DATA_LEN: usize = 16;

/// Terminal transaction qualifiers, tag 9F66.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttq(pub [u8; 4]);

impl Ttq {
    /// Byte 1 bit 6: the terminal speaks qPBOC.
    #[must_use]
    pub const fn qpboc(self) -> bool {
        self.0[0] & 0x20 != 0
    }
    /// Byte 1 bit 4: the terminal is offline only.
    #[must_use]
    pub const fn offline_only(self) -> bool {
        self.0[0] & 0x08 != 0
    }
    /// Byte 1 bit 3: online PIN supported.
    #[must_use]
    pub const fn online_pin(self) -> bool {
        self.0[0] & 0x04 != 0
    }
    /// Byte 1 bit 2: signature supported.
    #[must_use]
    pub const fn signature(self) -> bool {
        self.0[0] & 0x02 != 0
    }
    /// Byte 1 bit 1: offline data authentication of online payments, with [`Self::fdda`]: whoever wants one without
    /// the other gets none.
    #[must_use]
    pub const fn wants_oda(self) -> bool {
        self.0[0] & 0x01 != 0 && self.fdda()
    }
    /// Byte 4 bit 8: fDDA version 01.
    #[must_use]
    pub const fn fdda(self) -> bool {
        self.0[3] & 0x80 != 0
    }
    /// Byte 2 bit 8: the terminal wants the issuer to decide.
    #[must_use]
    pub const fn online_required(self) -> bool {
        self.0[1] & 0x80 != 0
    }
    /// Byte 2 bit 7: the terminal requires a cardholder verification.
    #[must_use]
    pub const fn verification_required(self) -> bool {
        self.0[1] & 0x40 != 0
    }
}

/// What the terminal sent for the PDOL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PdolData {
    /// 9F66.
    pub ttq: Ttq,
    /// 9F02, amount authorised, 12 BCD digits.
    pub amount: [u8; 6],
    /// 9F03, other amount.
    pub amount_other: [u8; 6],
    /// 9F1A, terminal country.
    pub country: [u8; 2],
    /// 95, terminal verification results.
    pub tvr: [u8; 5],
    /// 5F2A, transaction currency.
    pub currency: [u8; 2],
    /// 9A, transaction date.
    pub date: [u8; 3],
    /// 9C, transaction type.
    pub kind: u8,
    /// 9F37, unpredictable number.
    pub unpredictable: [u8; 4],
}

/// An amount in minor units as 12 BCD digits, as in tag 9F02; `None` when it needs more.
#[must_use]
pub fn amount_bcd(minor: u64) -> Option<[u8; 6]> {
    let mut rest = minor;
    let mut digits = [0; 6];
    for byte in digits.iter_mut().rev() {
        let two = u8::try_from(rest % 100).ok()?;
        *byte = ((two / 10) << 4) | (two % 10);
        rest /= 100;
    }
    (rest == 0).then_some(digits)
}

impl PdolData {
    /// What a card puts in place of a terminal's data where there is no terminal: zero, but for the number.
    #[must_use]
    pub fn without_terminal(unpredictable: [u8; 4]) -> Self {
        Self { unpredictable, ..Self::from_bytes(&[0; PDOL_DATA_LEN]) }
    }

    /// Takes the terminal's data out of the command: template 83 with exactly the bytes that the PDOL of this
    /// cryptogram version asks for.
    ///
    /// # Errors
    /// [`StatusWord::WrongParameters`] for P1 P2 other than 0000, [`StatusWord::WrongData`] without
    /// template 83, [`StatusWord::WrongLength`] for any other length, and for TTQ 00000000;
    /// [`StatusWord::ConditionsNotSatisfied`] for a terminal that does not speak qPBOC.
    pub fn from_command(command: &Command<'_>, cvn: Cvn) -> Result<Self, StatusWord> {
        if (command.p1, command.p2) != (0, 0) {
            return Err(StatusWord::WrongParameters);
        }
        let (length, data) = match command.data {
            [0x83, length, data @ ..] => (usize::from(*length), data),
            [0x83] => return Err(StatusWord::WrongLength),
            _ => return Err(StatusWord::WrongData),
        };
        if length != data.len() {
            return Err(StatusWord::WrongLength);
        }
        let wrong_length = |_| StatusWord::WrongLength;
        let parsed = match cvn {
            Cvn::V01 => Self::from_bytes(data.try_into().map_err(wrong_length)?),
            Cvn::V17 => Self::from_short_bytes(data.try_into().map_err(wrong_length)?),
        };
        if parsed.ttq.0 == [0; 4] {
            return Err(StatusWord::WrongLength);
        }
        if !parsed.ttq.qpboc() {
            return Err(StatusWord::ConditionsNotSatisfied);
        }
        Ok(parsed)
    }

    /// The 16 bytes in the order of [`SHORT_PDOL`]; what it does not ask for is zero.
    #[must_use]
    pub fn from_short_bytes(bytes: &[u8; SHORT_PDOL_DATA_LEN]) -> Self {
        let [t0, t1, t2, t3, a0, a1, a2, a3, a4, a5, u0, u1, u2, u3, m0, m1] = *bytes;
        Self {
            ttq: Ttq([t0, t1, t2, t3]),
            amount: [a0, a1, a2, a3, a4, a5],
            currency: [m0, m1],
            unpredictable: [u0, u1, u2, u3],
            ..Self::from_bytes(&[0; PDOL_DATA_LEN])
        }
    }

    /// The 33 bytes in the order of [`PDOL`].
    #[must_use]
    pub fn from_bytes(bytes: &[u8; PDOL_DATA_LEN]) -> Self {
        let [
            t0,
            t1,
            t2,
            t3,
            a0,
            a1,
            a2,
            a3,
            a4,
            a5,
            o0,
            o1,
            o2,
            o3,
            o4,
            o5,
            c0,
            c1,
            v0,
            v1,
            v2,
            v3,
            v4,
            m0,
            m1,
            d0,
            d1,
            d2,
            kind,
            u0,
            u1,
            u2,
            u3,
        ] = *bytes;
        Self {
            ttq: Ttq([t0, t1, t2, t3]),
            amount: [a0, a1, a2, a3, a4, a5],
            amount_other: [o0, o1, o2, o3, o4, o5],
            country: [c0, c1],
            tvr: [v0, v1, v2, v3, v4],
            currency: [m0, m1],
            date: [d0, d1, d2],
            kind,
            unpredictable: [u0, u1, u2, u3],
        }
    }

    /// The amount in minor units; `None` when it is not BCD.
    #[must_use]
    pub fn amount_minor(&self) -> Option<u64> {
        self.amount.iter().try_fold(0u64, |sum, byte| {
            let (high, low) = (byte >> 4, byte & 0x0F);
            (high < 10 && low < 10).then(|| sum * 100 + u64::from(high) * 10 + u64::from(low))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_twelve_digits_and_comes_back() {
        for minor in [0, 1, 99, 100, 12_345, 999_999_999_999] {
            let amount = amount_bcd(minor).unwrap();
            assert_eq!(PdolData { amount, ..PdolData::without_terminal([0; 4]) }.amount_minor(), Some(minor));
        }
        assert_eq!(amount_bcd(12_345), Some([0, 0, 0, 0x01, 0x23, 0x45]));
        assert_eq!(amount_bcd(1_000_000_000_000), None);
    }
}
