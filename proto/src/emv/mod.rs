//! The card's outer language: BER-TLV, APDUs and the contactless application flow.

pub mod apdu;
pub mod application;
pub mod gpo;
pub mod tlv;

/// UnionPay debit (RID A000000333).
pub const AID_UNIONPAY_DEBIT: [u8; 8] = [0xA0, 0x00, 0x00, 0x03, 0x33, 0x01, 0x01, 0x01];
/// Proximity payment system environment, `2PAY.SYS.DDF01`.
pub const PPSE: &[u8; 14] = b"2PAY.SYS.DDF01";
