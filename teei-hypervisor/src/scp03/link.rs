//! A channel that is opened when it is first needed, and again when it broke.

use super::{Authenticating, CHALLENGE, Channel, Frame, Opening, StaticKeys};
use tapvault_proto::{
    Error,
    emv::apdu::{Command, Response},
    trustlet::element::MAX_APDU,
    wire::Bytes,
};

/// What comes of an answer of the element.
pub enum Wish {
    /// Another frame has to be carried.
    Frame(Frame),
    /// The command is answered.
    Answer(Response),
}

/// What a channel is opened with.
pub struct Start {
    /// The static keys.
    pub keys: StaticKeys,
    /// Their version; 0 lets the element choose.
    pub version: u8,
    /// Drawn at random for this opening.
    pub challenge: [u8; CHALLENGE],
}

/// Where the channel is.
#[derive(Default)]
enum State {
    #[default]
    Closed,
    Opening(Opening, Bytes<MAX_APDU>),
    Authenticating(Authenticating, Bytes<MAX_APDU>),
    Open(Channel),
}

/// A link to the element.
#[derive(Default)]
pub struct Link {
    state: State,
}

impl Link {
    /// The first frame for a plain command; `start` is asked when no channel is open.
    ///
    /// # Errors
    /// [`Error::BadParameters`], [`Error::ChannelBroken`]; `start`'s.
    pub fn send(
        &mut self,
        plain: &Bytes<MAX_APDU>,
        start: impl FnOnce() -> Result<Start, Error>,
    ) -> Result<Frame, Error> {
        let command = Command::parse(plain).map_err(|_| Error::BadParameters)?;
        if let State::Open(channel) = &mut self.state
            && channel.is_open()
        {
            return channel.seal(&command);
        }
        let Start { keys, version, challenge } = start()?;
        let (opening, frame) = Opening::begin(keys, version, challenge);
        self.state = State::Opening(opening, plain.clone());
        Ok(frame)
    }

    /// Takes the element's answer to the last frame. After an error the channel is closed.
    ///
    /// # Errors
    /// [`Error::ElementNotAuthentic`], [`Error::ElementRefused`], [`Error::ChannelBroken`].
    pub fn answered(&mut self, frame: &[u8]) -> Result<Wish, Error> {
        match core::mem::take(&mut self.state) {
            State::Closed => Err(Error::ChannelBroken),
            State::Opening(opening, plain) => {
                let (next, frame) = opening.answered(frame)?;
                self.state = State::Authenticating(next, plain);
                Ok(Wish::Frame(frame))
            }
            State::Authenticating(authenticating, plain) => {
                let mut channel = authenticating.authenticated(frame)?;
                let command = Command::parse(&plain).map_err(|_| Error::BadParameters)?;
                let frame = channel.seal(&command)?;
                self.state = State::Open(channel);
                Ok(Wish::Frame(frame))
            }
            State::Open(mut channel) => {
                let response = channel.open(frame)?;
                self.state = State::Open(channel);
                Ok(Wish::Answer(response))
            }
        }
    }
}
