//! The pad's end.

use crate::{
    Keys, Random,
    frame::Direction,
    keys::verifies,
    schedule::{Ephemeral, SessionKeys},
};
use tapvault_proto::{
    Error,
    pad::{
        End, Entered, Frame, PadAnswer, PadKeys, PadOffer, PadShow, PadSuite, Pairing, Showing, transcript,
    },
};

/// An offer is answered. Anybody can make one: nothing is shown before the PIN trusted app's proof.
pub struct Answered {
    suite: PadSuite,
    tee: PadKeys,
    /// What the proof has to be signed over.
    proven: [u8; PROVEN],
    down: Direction,
    up: Direction,
}

/// Bytes of a transcript.
const PROVEN: usize = 24 + 1 + 288 + 65 + 65;

impl Answered {
    /// Answers an offer under the pairing that the pad keeps.
    ///
    /// # Errors
    /// [`Error::PadNotPaired`] for an offer under another pairing; [`Error::PadUntrusted`] for a key that is none.
    pub fn new(
        keys: &Keys,
        pairing: &Pairing,
        offer: &PadOffer,
        random: Random<'_>,
    ) -> Result<(Self, PadAnswer), Error> {
        if offer.sequence != pairing.sequence || pairing.pad != *keys.public() {
            return Err(Error::PadNotPaired);
        }
        let suite = offer.suite;
        let (secret, ephemeral) = Ephemeral::draw(suite, random)?;
        let signed = |end| transcript(end, pairing, offer, &ephemeral);
        let keys_of_session: SessionKeys = secret.agree(&offer.ephemeral, &signed(None))?;
        let signature = keys.sign(suite, &signed(Some(End::Pad)))?;
        let answered = Self {
            suite,
            tee: pairing.tee,
            proven: signed(Some(End::Tee)),
            down: Direction::new(suite, &keys_of_session.down),
            up: Direction::new(suite, &keys_of_session.up),
        };
        Ok((answered, PadAnswer { ephemeral, signature }))
    }

    /// Checks the PIN trusted app's proof, and opens what it shows.
    ///
    /// # Errors
    /// [`Error::PadUntrusted`] for a proof that is not the paired trusted app's for this session;
    /// [`Error::FrameInvalid`] or [`Error::PadContent`] for a frame that is not. Nothing is to be shown then.
    pub fn open(mut self, show: &PadShow) -> Result<(Reply, Showing), Error> {
        if !verifies(&self.tee, self.suite, &self.proven, &show.proof) {
            return Err(Error::PadUntrusted);
        }
        let showing = self.down.open(&show.frame)?;
        Ok((Reply(self.up), showing))
    }
}

/// What is left when something is shown: the one frame up.
pub struct Reply(Direction);

impl Reply {
    /// Seals what the holder did. A pad sends it at the next multiple of
    /// [`tapvault_proto::pad::PAD_TICK_MS`].
    ///
    /// # Errors
    /// [`Error::Internal`] never: what is entered fits a frame.
    pub fn seal(mut self, entered: &Entered) -> Result<Frame, Error> {
        self.0.seal(entered)
    }
}
