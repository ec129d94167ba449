//! The relay between the PIN trusted app and a PIN pad. What passes here is encrypted for the two ends: whoever holds
//! the relay can stop an entry, and learns nothing of what is typed.

mod stream;

use crate::{ClientError, Transport, Wallet};
use std::io;
use tapvault_proto::{
    pad::{Frame, PadKeys, PadMessage, PadOfferRequest, PadShow, PadStateReply, PadStateRequest, Pairing},
    pin::{EntryReply, FinishRequest, SubmitReply, SubmitRequest, Verdict},
    service::Request,
};

pub use stream::{PATIENCE, PadStream, connect};

/// A way to a pad.
pub trait PadLink {
    /// Brings a message to the pad, and its answer back. What is shown is answered when the holder is done, after
    /// [`tapvault_proto::pad::PAD_PATIENCE_S`] seconds at the latest.
    ///
    /// # Errors
    /// When there is no answer.
    fn exchange(&mut self, message: &PadMessage) -> io::Result<PadMessage>;
}

impl<P: PadLink + ?Sized> PadLink for Box<P> {
    fn exchange(&mut self, message: &PadMessage) -> io::Result<PadMessage> {
        (**self).exchange(message)
    }
}

/// The keys of a pad, for the factory that pairs it.
///
/// # Errors
/// [`ClientError::Pad`], [`ClientError::PadRefused`].
pub fn pad_keys(pad: &mut impl PadLink) -> Result<PadKeys, ClientError> {
    match ask(pad, &PadMessage::AskKeys)? {
        PadMessage::Keys(keys) => Ok(keys),
        _ => Err(ClientError::PadRefused),
    }
}

fn ask(pad: &mut impl PadLink, message: &PadMessage) -> Result<PadMessage, ClientError> {
    pad.exchange(message).map_err(ClientError::Pad)
}

impl<T: Transport> Wallet<T> {
    /// The PIN trusted app's keys for the pad, and the pairing that it keeps.
    ///
    /// # Errors
    /// The call's.
    pub fn pad_state(&mut self) -> Result<PadStateReply, ClientError> {
        self.call(&PadStateRequest {})
    }

    /// Brings a pairing that the factory made to the PIN trusted app, and then to the pad.
    ///
    /// # Errors
    /// The PIN trusted app's refusal, and nothing has changed; [`ClientError::PadRefused`], and a newer pairing is
    /// needed.
    pub fn pair_pad(&mut self, pairing: Pairing, pad: &mut impl PadLink) -> Result<(), ClientError> {
        self.call(&pairing)?;
        match ask(pad, &PadMessage::Pair(pairing))? {
            PadMessage::Paired => Ok(()),
            _ => Err(ClientError::PadRefused),
        }
    }

    /// Brings up a session between PIN trusted app and pad, for the one entry that this wallet begins next.
    ///
    /// # Errors
    /// The PIN trusted app's refusal; [`ClientError::Pad`], [`ClientError::PadRefused`].
    pub fn open_pad(&mut self, pad: &mut impl PadLink) -> Result<(), ClientError> {
        let offer = self.call(&PadOfferRequest { suite: self.pad_suite })?;
        match ask(pad, &PadMessage::Offer(offer))? {
            PadMessage::Answer(answer) => self.call(&answer).map(|_| ()),
            _ => Err(ClientError::PadRefused),
        }
    }

    /// An entry of a PIN from its beginning to its end.
    ///
    /// # Errors
    /// [`ClientError::WrongPin`], [`ClientError::NothingEntered`]; the PIN trusted app's refusal, or the pad's.
    pub(crate) fn enter<R: Request<Reply = EntryReply>>(
        &mut self,
        begin: &R,
        pad: &mut impl PadLink,
    ) -> Result<(), ClientError> {
        self.open_pad(pad)?;
        let EntryReply { entry, show, .. } = self.call(begin)?;
        self.submit(entry, show, pad)?;
        self.call(&FinishRequest { entry })?;
        self.report_success();
        Ok(())
    }

    /// Has the pad show what an entry is for, and brings back what was entered.
    ///
    /// # Errors
    /// As [`Self::enter`]. A try is given back where nothing was entered.
    pub(crate) fn submit(
        &mut self,
        entry: u32,
        show: PadShow,
        pad: &mut impl PadLink,
    ) -> Result<(), ClientError> {
        let frame = shown(pad, show)?;
        let SubmitReply { verdict, tries_left } = self.call(&SubmitRequest { entry, frame })?;
        match verdict {
            Verdict::Accepted => Ok(()),
            Verdict::Wrong => Err(ClientError::WrongPin { tries_left }),
            Verdict::Nothing => {
                self.call(&FinishRequest { entry })?;
                Err(ClientError::NothingEntered)
            }
        }
    }
}

/// What the pad answers to what it is to show.
///
/// # Errors
/// [`ClientError::Pad`], [`ClientError::PadRefused`].
pub fn shown(pad: &mut impl PadLink, show: PadShow) -> Result<Frame, ClientError> {
    match ask(pad, &PadMessage::Show(show))? {
        PadMessage::Entered(frame) => Ok(frame),
        _ => Err(ClientError::PadRefused),
    }
}
