//! A contact test profile in a contact reader: every command enters the TEE.

use crate::{Channel, ClientError, transport::call};
use tapvault_proto::{
    card::{ContactCommandRequest, ContactResetRequest},
    emv::apdu::{Response, StatusWord},
    id::CardId,
    wire::Bytes,
};

/// A test profile in the reader of this client's session.
pub struct ContactCard<'a, C> {
    channel: &'a mut C,
    card: CardId,
    failure: Option<ClientError>,
}

impl<'a, C: Channel> ContactCard<'a, C> {
    /// A card that was reset.
    pub(crate) const fn inserted(channel: &'a mut C, card: CardId) -> Self {
        Self { channel, card, failure: None }
    }

    /// Resets the card: what was selected or begun is over.
    ///
    /// # Errors
    /// The card trusted app's refusal: [`tapvault_proto::Error::TokenDomain`] for a phone's card.
    pub fn reset(&mut self) -> Result<(), ClientError> {
        call(self.channel, &ContactResetRequest { card: self.card }).map(|_| ())
    }

    /// Answers one command APDU.
    pub fn transmit(&mut self, command: &[u8]) -> Response {
        let Ok(command) = Bytes::from_slice(command) else { return StatusWord::WrongLength.into() };
        let answered = call(self.channel, &ContactCommandRequest { command });
        let response = answered.map(|reply| Response::from_bytes(&reply.response));
        response.unwrap_or_else(|error| self.failed(error)).unwrap_or_else(|| StatusWord::NoDiagnosis.into())
    }

    /// Why the TEE gave no answer, when it gave none: the terminal saw 6F00.
    #[must_use]
    pub fn failure(&self) -> Option<&ClientError> {
        self.failure.as_ref()
    }

    /// Notes why there is no answer.
    pub(crate) fn failed(&mut self, error: ClientError) -> Option<Response> {
        self.failure = Some(error);
        None
    }
}
