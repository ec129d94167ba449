//! The card's outer language: BER-TLV, APDUs, the contactless application's flow and that of the contact test profile.

pub mod apdu;
pub mod application;
pub mod contact;
pub mod gpo;
pub mod qr;
pub mod results;
pub mod tlv;

/// UnionPay debit (RID A000000333).
pub const AID_UNIONPAY_DEBIT: [u8; 8] = [0xA0, 0x00, 0x00, 0x03, 0x33, 0x01, 0x01, 0x01];
/// Proximity payment system environment, `2PAY.SYS.DDF01`.
pub const PPSE: &[u8; 14] = b"2PAY.SYS.DDF01";

/// Tag 5F24, YYMMDD: the last day of an expiry YYMM in BCD.
#[must_use]
pub fn expiration_date([year, month]: [u8; 2]) -> [u8; 3] {
    let leap = (u16::from(year >> 4) * 10 + u16::from(year & 0x0F)) % 4 == 0;
    let day = match month {
        0x02 if leap => 0x29,
        0x02 => 0x28,
        0x04 | 0x06 | 0x09 | 0x11 => 0x30,
        _ => 0x31,
    };
    [year, month, day]
}
