//! An open channel: commands out, answers in, one at a time.

use super::{
    Frame, MAC, SECURE_MESSAGING,
    keys::{SessionKeys, on_the_wire},
};
use core::{fmt, mem};
use subtle::ConstantTimeEq;
use tapvault_proto::{
    Error,
    emv::apdu::{Command, Response},
    wire::Bytes,
};

/// Most command data in bytes: padded to whole blocks of 16 and with a MAC of 8, it must fit 255.
pub const MAX_DATA: usize = MAX_SEALED - 1;
/// Most encrypted data in bytes, of a command or an answer.
const MAX_SEALED: usize = (255 - MAC) / 16 * 16;

/// An open channel. The first thing that is not in order ends it for good and wipes its keys: a frame
/// forged, dropped, repeated or out of order, an error status, a command before the last one's answer.
pub struct Channel {
    pub(super) live: Option<Live>,
}

impl Channel {
    pub(super) fn new(keys: SessionKeys, chain: [u8; 16]) -> Self {
        Self { live: Some(Live { keys, chain, counter: 0, awaiting: false }) }
    }

    /// Seals a command: class 00 or 80, with up to [`MAX_DATA`] bytes of data. The frame carries it
    /// encrypted (6.2.6) and under a MAC chained to all commands before it (6.2.4); its Le is 00.
    ///
    /// # Errors
    /// [`Error::BadParameters`] for another class or more data, and then nothing has changed.
    /// [`Error::ChannelBroken`] for a channel that is over, or ends now because the answer to the command
    /// before was never given to [`Channel::open`].
    pub fn seal(&mut self, command: &Command<'_>) -> Result<Frame, Error> {
        let sealed = match &mut self.live {
            Some(live) if !live.awaiting => {
                if command.cla & !0x80 != 0 || command.data.len() > MAX_DATA {
                    return Err(Error::BadParameters);
                }
                live.seal(command)
            }
            _ => None,
        };
        self.or_end(sealed)
    }

    /// Opens the answer to the command sealed last: its data in clear, up to 239 bytes, and status word
    /// 9000, 62xx or 63xx.
    ///
    /// An error status ends the channel: Amendment D (6.2.5) puts no MAC on it, so it may be a relay's,
    /// and a caller that acted on it would let the relay choose. What an element has to report to be
    /// believed it reports as a warning or as data.
    ///
    /// # Errors
    /// [`Error::ChannelBroken`], after which the channel gives nothing else.
    pub fn open(&mut self, response: &[u8]) -> Result<Response, Error> {
        let opened = self.live.as_mut().and_then(|live| live.open(response));
        self.or_end(opened)
    }

    /// Whether the channel still takes commands or an answer.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.live.is_some()
    }

    fn or_end<T>(&mut self, result: Option<T>) -> Result<T, Error> {
        if result.is_none() {
            self.live = None;
        }
        result.ok_or(Error::ChannelBroken)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("is_open", &self.is_open()).finish_non_exhaustive()
    }
}

/// What a channel has while nothing went wrong.
pub(super) struct Live {
    pub(super) keys: SessionKeys,
    /// MAC of the last command, all 16 bytes.
    pub(super) chain: [u8; 16],
    /// Number of the last command, from 1; it makes the initial vectors.
    counter: u32,
    /// A command was sealed and not answered.
    awaiting: bool,
}

impl Live {
    fn seal(&mut self, command: &Command<'_>) -> Option<Frame> {
        // 6.2.6: a command without data counts too, but is not padded and encrypted.
        self.counter = self.counter.checked_add(1)?;
        let mut body = Bytes::<MAX_SEALED>::new();
        if !command.data.is_empty() {
            body.extend_from_slice(command.data).ok()?;
            body.push(0x80).ok()?;
            body.resize(body.len().next_multiple_of(16), 0).ok()?;
            let (blocks, _) = body.as_chunks_mut();
            self.keys.encrypt_command(self.counter, blocks);
        }
        let lc = u8::try_from(body.len().checked_add(MAC)?).ok()?;
        let header = [command.cla | SECURE_MESSAGING, command.ins, command.p1, command.p2, lc];
        self.chain = self.keys.command_mac(&self.chain, &header, &body);
        self.awaiting = true;
        let mut frame = Frame::new();
        // There is always an answer to ask for, its MAC at least: hence Le.
        for part in [&header[..], &body, &on_the_wire(&self.chain), &[0x00]] {
            frame.extend_from_slice(part).ok()?;
        }
        Some(frame)
    }

    fn open(&mut self, response: &[u8]) -> Option<Response> {
        if !mem::take(&mut self.awaiting) {
            return None;
        }
        let (rest, status) = response.split_last_chunk::<2>()?;
        if !matches!(status, [0x90, 0x00] | [0x62 | 0x63, _]) {
            return None;
        }
        let (body, mac) = rest.split_last_chunk::<MAC>()?;
        if !bool::from(self.keys.response_mac(&self.chain, body, *status).ct_eq(mac)) {
            return None;
        }
        let mut plain = Bytes::<{ MAX_SEALED + 2 }>::from_slice(body).ok()?;
        let (blocks, rest) = plain.as_chunks_mut();
        if !rest.is_empty() {
            return None;
        }
        self.keys.decrypt_response(self.counter, blocks);
        if !plain.is_empty() {
            plain.truncate(unpadded(&plain)?);
        }
        plain.extend_from_slice(status).ok()?;
        Response::from_bytes(&plain)
    }
}

/// Length without the padding 80 00…, which fills the last block at most. The MAC was checked before, so
/// how padding fails tells a relay nothing.
pub(super) fn unpadded(padded: &[u8]) -> Option<usize> {
    let end = padded.iter().rposition(|byte| *byte != 0)?;
    (padded.get(end) == Some(&0x80) && padded.len() - end <= 16).then_some(end)
}
