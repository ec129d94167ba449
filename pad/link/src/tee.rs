//! The PIN trusted app's end.

use crate::{
    Keys, Random,
    frame::Direction,
    keys::verifies,
    schedule::{Ephemeral, SessionKeys},
};
use tapvault_proto::{
    Error,
    pad::{End, Entered, Frame, PadAnswer, PadOffer, PadShow, PadSuite, Pairing, Showing, transcript},
};

/// A session is offered.
pub struct Offered {
    offer: PadOffer,
    secret: Ephemeral,
}

impl Offered {
    /// Begins a session with the pad of a pairing.
    ///
    /// # Errors
    /// [`Error::Internal`] never.
    pub fn new(suite: PadSuite, pairing: &Pairing, random: Random<'_>) -> Result<(Self, PadOffer), Error> {
        let (secret, ephemeral) = Ephemeral::draw(suite, random)?;
        let offer = PadOffer { suite, sequence: pairing.sequence, ephemeral };
        Ok((Self { offer, secret }, offer))
    }

    /// Takes the pad's answer, under the pairing of the offer, and proves this end in turn.
    ///
    /// # Errors
    /// [`Error::PadUntrusted`] for what the paired pad did not sign for this offer.
    pub fn accept(self, keys: &Keys, pairing: &Pairing, answer: &PadAnswer) -> Result<Session, Error> {
        let Self { offer, secret } = self;
        let suite = offer.suite;
        let signed = |end| transcript(end, pairing, &offer, &answer.ephemeral);
        if !verifies(&pairing.pad, suite, &signed(Some(End::Pad)), &answer.signature) {
            return Err(Error::PadUntrusted);
        }
        let keys_of_session: SessionKeys = secret.agree(&answer.ephemeral, &signed(None))?;
        let proof = keys.sign(suite, &signed(Some(End::Tee)))?;
        let down = Direction::new(suite, &keys_of_session.down);
        let up = Direction::new(suite, &keys_of_session.up);
        Ok(Session { proof, down, up })
    }
}

/// A session that is up and shows nothing yet.
pub struct Session {
    proof: [u8; 64],
    down: Direction,
    up: Direction,
}

impl Session {
    /// Seals what the pad is to show, the one frame down.
    ///
    /// # Errors
    /// [`Error::Internal`] never: what is shown fits a frame.
    pub fn show(mut self, showing: &Showing) -> Result<(Awaiting, PadShow), Error> {
        let frame = self.down.seal(showing)?;
        Ok((Awaiting(self.up), PadShow { proof: self.proof, frame }))
    }
}

/// A session that waits for what the holder enters.
pub struct Awaiting(Direction);

impl Awaiting {
    /// Opens the one frame up.
    ///
    /// # Errors
    /// [`Error::FrameInvalid`] for what the pad did not seal in this session; [`Error::PadContent`] for an authentic
    /// frame that holds no [`Entered`].
    pub fn open(mut self, frame: &Frame) -> Result<Entered, Error> {
        self.0.open(frame)
    }
}
