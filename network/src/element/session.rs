//! One channel, the card's end: session keys, MAC chain, counter.

use super::{ElementKeys, cipher, status};
use subtle::ConstantTimeEq;
use tapvault_proto::{emv::apdu::Command, profile::Key128};

/// The class bit that says a command carries a MAC.
pub(super) const SECURED: u8 = 0x04;
/// Length of a MAC in bytes.
const MAC: usize = 8;

/// Keys and progress of one channel.
pub(super) struct Session {
    pub(super) enc: Key128,
    pub(super) mac: Key128,
    pub(super) rmac: Key128,
    chain: [u8; 16],
    /// Commands opened so far.
    counter: u128,
}

impl Session {
    /// The session keys (6.2.1) for `context`, host challenge and card challenge.
    pub(super) fn new(keys: &ElementKeys, context: &[u8]) -> Self {
        Self {
            enc: cipher::derive_key(&keys.enc, cipher::S_ENC, context),
            mac: cipher::derive_key(&keys.mac, cipher::S_MAC, context),
            rmac: cipher::derive_key(&keys.mac, cipher::S_RMAC, context),
            chain: [0; 16],
            counter: 0,
        }
    }

    /// A cryptogram (6.2.2.2, 6.2.2.3), 8 bytes.
    pub(super) fn cryptogram(&self, constant: u8, context: &[u8]) -> [u8; MAC] {
        cipher::derive_half(&self.mac, constant, context)
    }

    /// The data in front of a command's MAC, if the MAC is the next one of the chain (6.2.4).
    pub(super) fn check<'a>(&mut self, command: &Command<'a>) -> Option<&'a [u8]> {
        let (body, mac) = command.data.split_last_chunk::<MAC>()?;
        let lc = u8::try_from(command.data.len()).ok()?;
        let header = [command.cla, command.ins, command.p1, command.p2, lc];
        let chain = cipher::cmac(&self.mac, &[&self.chain, &header[..], body].concat());
        let right = chain.first_chunk::<MAC>()?.ct_eq(mac);
        if command.cla & SECURED == 0 || !bool::from(right) {
            return None;
        }
        self.chain = chain;
        Some(body)
    }

    /// The data of the channel's next command in clear (6.2.6); `None` for any other command.
    pub(super) fn open(&mut self, command: &Command<'_>) -> Option<Vec<u8>> {
        let body = self.check(command)?;
        self.counter += 1;
        if body.is_empty() {
            return Some(Vec::new());
        }
        cipher::decrypt(&self.enc, self.counter, body)
    }

    /// Response data of up to 239 bytes, encrypted (6.2.7) and with its R-MAC (6.2.5).
    pub(super) fn seal(&self, data: &[u8], status: u16) -> Vec<u8> {
        debug_assert!(matches!(status, status::OK | 0x6200..=0x63FF), "errors go out bare");
        let mut sealed = Vec::new();
        if !data.is_empty() {
            sealed = cipher::encrypt(&self.enc, 1 << 127 | self.counter, data);
        }
        let signed = [&self.chain[..], &sealed, &status.to_be_bytes()].concat();
        let mac = cipher::cmac(&self.rmac, &signed);
        sealed.extend(mac.iter().take(MAC));
        sealed
    }
}
