//! The TEE's end of SCP03, the secure channel to a secure element (GlobalPlatform Card Specification 2.3,
//! Amendment D 1.1.2): AES-128, 8-byte challenges and MACs (S8), security level 33 and no lower, which is
//! C-MAC, C-DECRYPTION, R-MAC and R-ENCRYPTION on every command and answer.
//!
//! The frames are carried by the client, which the TEE does not trust, so nothing here sends or waits.
//! Each step makes a command frame or takes the element's answer to it:
//!
//! ```text
//! Opening::begin ──INITIALIZE UPDATE──▶ Opening::answered ──EXTERNAL AUTHENTICATE──▶
//!     Authenticating::authenticated ──▶ Channel::seal ──command──▶ Channel::open ──▶ Channel::seal …
//! ```
//!
//! Every answer that is not the next one the element gave ends the attempt or the channel, for good.

mod channel;
mod keys;
mod link;
#[cfg(test)]
mod tests;

pub use channel::{Channel, MAX_DATA};
pub use keys::StaticKeys;
pub use link::{Link, Start, Wish};

use core::fmt;
use keys::{Cryptogram, SessionKeys};
use subtle::ConstantTimeEq;
use tapvault_proto::{
    Error,
    emv::apdu::{Command, MAX_COMMAND},
    wire::Bytes,
};

/// A command frame for the element: header, Lc, up to 255 bytes, Le.
pub type Frame = Bytes<MAX_COMMAND>;

/// Length of a challenge in bytes, in S8 mode.
pub const CHALLENGE: usize = 8;
/// Length of a MAC or cryptogram on the wire in bytes, in S8 mode.
pub const MAC: usize = 8;
/// P1 of EXTERNAL AUTHENTICATE (table 7-5): all four protections.
const SECURITY_LEVEL: u8 = 0x33;
/// The class bit of GlobalPlatform's secure messaging (Card Specification, table 11-11).
const SECURE_MESSAGING: u8 = 0x04;
/// The status word of success.
const DONE: [u8; 2] = [0x90, 0x00];
/// The protocol in the key information of INITIALIZE UPDATE.
const SCP03: u8 = 0x03;
/// Options "i" (5.1): R-MAC and R-ENCRYPTION supported, challenge drawn at random, S8.
const RANDOM_CHALLENGE: u8 = 0x60;
/// As [`RANDOM_CHALLENGE`], but with a challenge computed from a sequence counter, which is then sent too.
const COUNTED_CHALLENGE: u8 = 0x70;

/// A channel for which INITIALIZE UPDATE was made.
pub struct Opening {
    keys: StaticKeys,
    key_version: u8,
    host_challenge: [u8; CHALLENGE],
}

impl Opening {
    /// Starts a channel: the opening and its INITIALIZE UPDATE (7.1.1), 14 bytes. Key version 0 lets the
    /// element choose.
    ///
    /// `host_challenge` must be drawn at random for this opening: for a repeated one, recorded answers
    /// of an element open a channel again, without the element.
    #[must_use]
    pub fn begin(keys: StaticKeys, key_version: u8, host_challenge: [u8; CHALLENGE]) -> (Self, Frame) {
        let command = Command { cla: 0x80, ins: 0x50, p1: key_version, p2: 0, data: &host_challenge };
        (Self { keys, key_version, host_challenge }, command.to_bytes())
    }

    /// Takes the answer to INITIALIZE UPDATE, 31 or 34 bytes, and makes EXTERNAL AUTHENTICATE (7.1.2),
    /// 21 bytes.
    ///
    /// The card cryptogram vouches for challenges and keys only. Nothing here depends on the
    /// diversification data; key version and options must be the ones asked for.
    ///
    /// # Errors
    /// [`Error::ElementRefused`] for a status word other than 9000; [`Error::ElementNotAuthentic`] when
    /// the answer is malformed, is another protocol's, or its cryptogram is not of these keys.
    pub fn answered(self, response: &[u8]) -> Result<(Authenticating, Frame), Error> {
        let (data, status) = response.split_last_chunk::<2>().ok_or(Error::ElementNotAuthentic)?;
        if *status != DONE {
            return Err(Error::ElementRefused);
        }
        let answer = InitializeUpdateAnswer::parse(data).ok_or(Error::ElementNotAuthentic)?;
        if self.key_version != 0 && answer.key_version != self.key_version {
            return Err(Error::ElementNotAuthentic);
        }
        let context = context(self.host_challenge, answer.card_challenge);
        let keys = SessionKeys::derive(&self.keys, &context);
        let expected = keys.cryptogram(Cryptogram::Card, &context);
        if !bool::from(expected.ct_eq(&answer.cryptogram)) {
            return Err(Error::ElementNotAuthentic);
        }
        let lc = 16;
        let header = [0x80 | SECURE_MESSAGING, 0x82, SECURITY_LEVEL, 0x00, lc];
        let cryptogram = keys.cryptogram(Cryptogram::Host, &context);
        // 6.2.3: the first MAC of a channel is chained to zeros.
        let chain = keys.command_mac(&[0; 16], &header, &cryptogram);
        let mut frame = Frame::new();
        for part in [&header[..], &cryptogram, &keys::on_the_wire(&chain)] {
            frame.extend_from_slice(part).map_err(|_| Error::Internal)?;
        }
        Ok((Authenticating { keys, chain }, frame))
    }
}

/// A channel for which EXTERNAL AUTHENTICATE was made; the element has shown that it holds the keys.
pub struct Authenticating {
    keys: SessionKeys,
    chain: [u8; 16],
}

impl Authenticating {
    /// Takes the answer to EXTERNAL AUTHENTICATE, 2 bytes. Amendment D puts no MAC on it, so a relay can
    /// forge it; the first answer that [`Channel::open`] takes shows that the element did accept.
    ///
    /// # Errors
    /// [`Error::ElementRefused`] for anything but 9000.
    pub fn authenticated(self, response: &[u8]) -> Result<Channel, Error> {
        if response != DONE {
            return Err(Error::ElementRefused);
        }
        Ok(Channel::new(self.keys, self.chain))
    }
}

/// What INITIALIZE UPDATE answers (table 7-3): 10 bytes of diversification data, key version, protocol,
/// options, card challenge, card cryptogram; and 3 bytes of sequence counter where the options say so.
struct InitializeUpdateAnswer {
    key_version: u8,
    card_challenge: [u8; CHALLENGE],
    cryptogram: [u8; MAC],
}

impl InitializeUpdateAnswer {
    fn parse(data: &[u8]) -> Option<Self> {
        let (_diversification, rest) = data.split_first_chunk::<10>()?;
        let ([key_version, protocol, options], rest) = rest.split_first_chunk::<3>()?;
        let (card_challenge, rest) = rest.split_first_chunk::<CHALLENGE>()?;
        let (cryptogram, rest) = rest.split_first_chunk::<MAC>()?;
        let counter = match *options {
            RANDOM_CHALLENGE => 0,
            COUNTED_CHALLENGE => 3,
            _ => return None,
        };
        (*protocol == SCP03 && rest.len() == counter).then_some(Self {
            key_version: *key_version,
            card_challenge: *card_challenge,
            cryptogram: *cryptogram,
        })
    }
}

/// The context of every derivation (6.2.1, 6.2.2): host challenge, card challenge.
fn context(host: [u8; CHALLENGE], card: [u8; CHALLENGE]) -> [u8; 16] {
    (u128::from(u64::from_be_bytes(host)) << 64 | u128::from(u64::from_be_bytes(card))).to_be_bytes()
}

// Neither shows more than its name: the fields are keys and what keys were derived from.
impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").finish_non_exhaustive()
    }
}

impl fmt::Debug for Authenticating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticating").finish_non_exhaustive()
    }
}
