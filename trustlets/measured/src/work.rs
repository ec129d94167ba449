//! The work itself. `ta/conformance` compiles this very file natively.

use tapvault_proto::emv::tlv;

/// File control information of a payment application, 91 bytes (a QuickPass card's trace).
pub const SAMPLE: [u8; 91] = [
    0x6F, 0x59, 0x84, 0x08, 0xA0, 0x00, 0x00, 0x03, 0x33, 0x01, 0x01, 0x01, 0xA5, 0x4D, 0x50, 0x0A, 0x50,
    0x42, 0x4F, 0x43, 0x20, 0x44, 0x45, 0x42, 0x49, 0x54, 0x87, 0x01, 0x01, 0x9F, 0x38, 0x18, 0x9F, 0x66,
    0x04, 0x9F, 0x02, 0x06, 0x9F, 0x03, 0x06, 0x9F, 0x1A, 0x02, 0x95, 0x05, 0x5F, 0x2A, 0x02, 0x9A, 0x03,
    0x9C, 0x01, 0x9F, 0x37, 0x04, 0x5F, 0x2D, 0x02, 0x7A, 0x68, 0x9F, 0x11, 0x01, 0x01, 0x9F, 0x12, 0x0A,
    0x50, 0x42, 0x4F, 0x43, 0x20, 0x44, 0x45, 0x42, 0x49, 0x54, 0xBF, 0x0C, 0x0A, 0x9F, 0x4D, 0x02, 0x0B,
    0x0A, 0xDF, 0x4D, 0x02, 0x0C, 0x0A,
];

/// Walks through three levels of data objects; returns how many there are and the sum of their lengths.
#[inline(never)]
#[must_use]
pub fn parse(bytes: &[u8]) -> u32 {
    let mut sum = 0;
    for outer in tlv::objects(bytes).flatten() {
        sum += 1 + outer.value.len() as u32;
        for inner in tlv::objects(outer.value).flatten() {
            sum += 1 + inner.value.len() as u32;
            if inner.tag == 0xA5 {
                sum +=
                    tlv::objects(inner.value).flatten().map(|object| object.value.len() as u32).sum::<u32>();
            }
        }
    }
    sum
}

/// A stored value.
#[derive(Clone, Copy, Debug, Default)]
pub struct Purse {
    /// What it holds.
    pub balance: u64,
    /// Debits so far.
    pub debits: u64,
    /// The last terminal's nonce.
    pub last: [u8; 16],
}

impl Purse {
    /// Takes an amount; `false` and no change when there is less, or when the nonce was the last one.
    #[inline(never)]
    pub fn debit(&mut self, amount: u64, nonce: [u8; 16]) -> bool {
        let (Some(balance), Some(debits)) = (self.balance.checked_sub(amount), self.debits.checked_add(1))
        else {
            return false;
        };
        if amount == 0 || nonce == self.last {
            return false;
        }
        *self = Self { balance, debits, last: nonce };
        true
    }
}
