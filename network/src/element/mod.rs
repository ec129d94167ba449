//! A secure element in software: the card's end of SCP03 (GlobalPlatform Card Specification 2.3,
//! Amendment D 1.1.2), behind it a small store of objects, and payment cards that are put into it there and answer
//! terminals through its contactless interface. **For the lab: it protects nothing.**
//!
//! AES-128, S8 mode, security level 33 and no lower. Written apart from the TEE's end of the channel,
//! so that one checks the other; even the CMAC is this module's own. Outside a channel the element
//! selects its issuer security domain and opens channels, nothing else. Nothing of that is on the contactless
//! interface, and no card answers on the other one. [`ElementFile`] keeps it across processes.

mod applet;
mod cipher;
mod file;
mod payment;
mod session;
#[cfg(test)]
mod tests;

use crate::frame::CardLink;
use applet::Applet;
pub use file::{ElementFile, ElementFileError};
use payment::Cards;
pub use payment::{Contactless, ElementCard};
use session::Session;
use sha2::{Digest, Sha256};
use std::{fmt, io, mem};
use subtle::ConstantTimeEq;
use tapvault_proto::{emv::apdu::Command, profile::Key128};

/// Application identifier of the issuer security domain, 8 bytes.
pub const ISSUER_SECURITY_DOMAIN: [u8; 8] = [0xA0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00, 0x00];
/// Answer to reset: a contactless card without historical bytes (ISO/IEC 7816-3, 8; PC/SC part 3).
const ATR: [u8; 4] = [0x3B, 0x80, 0x80, 0x01];
/// Card manufacturer's data in the answer to INITIALIZE UPDATE; this element's keys are not diversified.
const DIVERSIFICATION: [u8; 10] = *b"LABELEMENT";
/// Key version of the lab's keys; SCP03 keys usually have versions 30 to 3F.
const LAB_KEY_VERSION: u8 = 0x30;
/// P1 of EXTERNAL AUTHENTICATE: C-MAC, C-DECRYPTION, R-MAC and R-ENCRYPTION.
const LEVEL: u8 = 0x33;

/// The status words of the element.
mod status {
    /// Done.
    pub const OK: u16 = 0x9000;
    /// No data to give; a warning, because only that is under a MAC.
    pub const NO_DATA: u16 = 0x6282;
    /// The host cryptogram is wrong.
    pub const AUTHENTICATION_FAILED: u16 = 0x6300;
    /// Wrong length.
    pub const WRONG_LENGTH: u16 = 0x6700;
    /// Security status not satisfied: no channel, or no valid MAC.
    pub const NOT_SECURED: u16 = 0x6982;
    /// Conditions of use not satisfied.
    pub const CONDITIONS: u16 = 0x6985;
    /// Wrong data.
    pub const WRONG_DATA: u16 = 0x6A80;
    /// No application of this identifier.
    pub const NOT_FOUND: u16 = 0x6A82;
    /// Not enough memory.
    pub const FULL: u16 = 0x6A84;
    /// Wrong P1 or P2.
    pub const WRONG_PARAMETERS: u16 = 0x6A86;
    /// No keys of this version.
    pub const KEY_NOT_FOUND: u16 = 0x6A88;
    /// Instruction not supported.
    pub const UNKNOWN_INSTRUCTION: u16 = 0x6D00;
    /// Class not supported.
    pub const UNKNOWN_CLASS: u16 = 0x6E00;
    /// The random number generator failed.
    pub const NO_DIAGNOSIS: u16 = 0x6F00;
}

/// The keys of the issuer security domain, 16 bytes each.
pub struct ElementKeys {
    /// Key version number, 1 to 7F.
    pub version: u8,
    /// Key-ENC.
    pub enc: Key128,
    /// Key-MAC.
    pub mac: Key128,
}

impl ElementKeys {
    /// The lab's, which everybody can compute: the first 16 bytes of
    /// SHA-256("tapvault lab secure element Key-ENC"), the same for Key-MAC, version 30.
    #[must_use]
    pub fn lab() -> Self {
        let key = |name| {
            let digest: [u8; 32] = Sha256::digest(format!("tapvault lab secure element {name}")).into();
            let mut bytes = [0; 16];
            bytes.iter_mut().zip(digest).for_each(|(slot, byte)| *slot = byte);
            Key128::new(bytes)
        };
        Self { version: LAB_KEY_VERSION, enc: key("Key-ENC"), mac: key("Key-MAC") }
    }
}

/// Where card challenges come from (Amendment D, 6.2.2.1).
#[derive(Clone, Copy, Debug)]
enum Challenges {
    Random,
    /// Computed from Key-ENC, a counter that holds the last number used, and the application identifier.
    Counted(u32),
}

enum State {
    /// No channel.
    Closed,
    /// INITIALIZE UPDATE was answered; this cryptogram is expected.
    Challenged {
        session: Session,
        host_cryptogram: [u8; 8],
    },
    Open(Session),
}

/// The element, its issuer security domain selected.
pub struct SoftElement {
    keys: ElementKeys,
    challenges: Challenges,
    state: State,
    applet: Applet,
    cards: Cards,
}

impl SoftElement {
    /// An empty element that draws its challenges at random.
    #[must_use]
    pub fn new(keys: ElementKeys) -> Self {
        Self {
            keys,
            challenges: Challenges::Random,
            state: State::Closed,
            applet: Applet::default(),
            cards: Cards::default(),
        }
    }

    /// An empty element that computes its challenges from a counter of 3 bytes, the last one used being
    /// `sequence`. Two elements with the same keys and counter give the same answers, and a session
    /// recorded with one can be replayed to the other: for reproducing a session.
    #[must_use]
    pub fn counting(keys: ElementKeys, sequence: u32) -> Self {
        Self { challenges: Challenges::Counted(sequence), ..Self::new(keys) }
    }

    /// Its contactless interface, in a terminal's field.
    pub fn contactless(&mut self) -> Contactless<'_> {
        Contactless::new(&mut self.cards)
    }

    /// Its payment cards, in order of priority.
    #[must_use]
    pub fn cards(&self) -> Vec<ElementCard> {
        self.cards.list()
    }

    /// Whether a channel is open.
    #[must_use]
    pub fn has_channel(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Answers a command with up to 256 bytes of data and a status word. Inside a channel, whatever is not
    /// the next command under its MAC ends the channel.
    pub fn transmit(&mut self, command: &[u8]) -> Vec<u8> {
        // Whoever does not put the state back has closed the channel.
        let state = mem::replace(&mut self.state, State::Closed);
        let answer = match Command::parse(command) {
            Err(status) => Err(status as u16),
            Ok(command) => match (command.cla, command.ins) {
                (0x00, 0xA4) => select(&command).map(done),
                (0x80, 0x50) => self.initialize_update(&command).map(done),
                (0x84, 0x82) => self.external_authenticate(state, &command).map(done),
                _ => self.secured(state, &command),
            },
        };
        let (data, status) = answer.unwrap_or_else(|status| (Vec::new(), status));
        [&data[..], &status.to_be_bytes()].concat()
    }

    fn initialize_update(&mut self, command: &Command<'_>) -> Result<Vec<u8>, u16> {
        let host_challenge: [u8; 8] = command.data.try_into().map_err(|_| status::WRONG_LENGTH)?;
        if command.p2 != 0 {
            return Err(status::WRONG_PARAMETERS);
        }
        if command.p1 != 0 && command.p1 != self.keys.version {
            return Err(status::KEY_NOT_FOUND);
        }
        let (option, challenge, counter) = self.challenge()?;
        let context = [host_challenge, challenge].concat();
        let session = Session::new(&self.keys, &context);
        let cryptogram = session.cryptogram(cipher::CARD_CRYPTOGRAM, &context);
        let host_cryptogram = session.cryptogram(cipher::HOST_CRYPTOGRAM, &context);
        self.state = State::Challenged { session, host_cryptogram };
        let information = [self.keys.version, 0x03, option];
        Ok([&DIVERSIFICATION[..], &information, &challenge, &cryptogram, &counter].concat())
    }

    /// Option "i", card challenge, and what is sent of the counter.
    fn challenge(&mut self) -> Result<(u8, [u8; 8], Vec<u8>), u16> {
        match &mut self.challenges {
            Challenges::Random => {
                let mut challenge = [0; 8];
                getrandom::fill(&mut challenge).map_err(|_| status::NO_DIAGNOSIS)?;
                Ok((0x60, challenge, Vec::new()))
            }
            Challenges::Counted(sequence) => {
                let [0, counter @ ..] = sequence.saturating_add(1).to_be_bytes() else {
                    return Err(status::CONDITIONS);
                };
                *sequence += 1;
                let context = [&counter[..], &ISSUER_SECURITY_DOMAIN].concat();
                let challenge = cipher::derive_half(&self.keys.enc, cipher::CARD_CHALLENGE, &context);
                Ok((0x70, challenge, counter.to_vec()))
            }
        }
    }

    fn external_authenticate(&mut self, state: State, command: &Command<'_>) -> Result<Vec<u8>, u16> {
        let State::Challenged { mut session, host_cryptogram } = state else {
            return Err(status::CONDITIONS);
        };
        let cryptogram = session.check(command).ok_or(status::NOT_SECURED)?;
        if !bool::from(host_cryptogram.as_slice().ct_eq(cryptogram)) {
            return Err(status::AUTHENTICATION_FAILED);
        }
        if (command.p1, command.p2) != (LEVEL, 0) {
            return Err(status::WRONG_PARAMETERS);
        }
        self.state = State::Open(session);
        // What an earlier channel began is over.
        self.cards.new_channel();
        Ok(Vec::new())
    }

    /// A command inside the channel. An error status of the applet goes out bare (6.2.5).
    fn secured(&mut self, state: State, command: &Command<'_>) -> Result<(Vec<u8>, u16), u16> {
        let State::Open(mut session) = state else { return Err(status::NOT_SECURED) };
        let data = session.open(command).ok_or(status::NOT_SECURED)?;
        let command = Command { cla: command.cla & !session::SECURED, data: &data, ..*command };
        let answer = match command.ins {
            0xE2 | 0xE6 => self.cards.personalise(&command),
            _ => self.applet.answer(&command),
        };
        let answer = answer.map(|(data, status)| (session.seal(&data, status), status));
        self.state = State::Open(session);
        answer
    }
}

impl CardLink for SoftElement {
    fn power_on(&mut self) -> io::Result<Vec<u8>> {
        self.state = State::Closed;
        self.cards.power_on();
        Ok(ATR.to_vec())
    }

    fn transmit(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        Ok(self.transmit(command))
    }
}

// Shows neither keys nor objects.
impl fmt::Debug for SoftElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftElement").field("has_channel", &self.has_channel()).finish_non_exhaustive()
    }
}

fn done(data: Vec<u8>) -> (Vec<u8>, u16) {
    (data, status::OK)
}

/// SELECT by name (Card Specification, 11.9): the identifier, and 255 as the most command data.
fn select(command: &Command<'_>) -> Result<Vec<u8>, u16> {
    if (command.p1, command.p2) != (0x04, 0x00) {
        return Err(status::WRONG_PARAMETERS);
    }
    if command.data != ISSUER_SECURITY_DOMAIN {
        return Err(status::NOT_FOUND);
    }
    let limits = [0xA5, 0x04, 0x9F, 0x65, 0x01, 0xFF];
    Ok([&[0x6F, 0x10, 0x84, 0x08], &ISSUER_SECURITY_DOMAIN[..], &limits].concat())
}
