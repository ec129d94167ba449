//! One tap: the card application of the client's half.

use crate::{Channel, transport::call};
use tapvault_proto::{
    card::TapGpoRequest,
    emv::{
        apdu::{Response, StatusWord},
        application::{CardApplication, StaticAnswers},
    },
    id::CardId,
    wire::Bytes,
};

/// A card in the terminal's field. It answers from memory, except GET PROCESSING OPTIONS, which enters
/// the TEE: one call over a session that is open already.
pub struct Tap<'a, C> {
    channel: &'a mut C,
    card: CardId,
    answers: StaticAnswers,
    application: CardApplication,
    failure: Option<crate::ClientError>,
}

impl<'a, C: Channel> Tap<'a, C> {
    pub(crate) fn new(channel: &'a mut C, card: CardId, answers: StaticAnswers) -> Self {
        Self { channel, card, answers, application: CardApplication::new(), failure: None }
    }

    /// Answers one command APDU.
    pub fn transmit(&mut self, command: &[u8]) -> Response {
        let Self { channel, card, answers, application, failure } = self;
        application.transmit(answers, command, |_| match gpo(*channel, *card, answers.aid.clone(), command) {
            Ok(response) => response,
            Err(error) => {
                *failure = error;
                StatusWord::NoDiagnosis.into()
            }
        })
    }

    /// Takes the card out of the field and puts it back.
    pub fn reset(&mut self) {
        self.application = CardApplication::new();
    }

    /// Why the TEE gave no answer, when it gave none: the terminal saw 6F00.
    #[must_use]
    pub fn failure(&self) -> Option<&crate::ClientError> {
        self.failure.as_ref()
    }
}

fn gpo<C: Channel>(
    channel: &mut C,
    card: CardId,
    aid: Bytes<16>,
    command: &[u8],
) -> Result<Response, Option<crate::ClientError>> {
    let command = Bytes::from_slice(command).map_err(|_| None)?;
    let reply = call(channel, &TapGpoRequest { card, aid, command }).map_err(Some)?;
    Response::from_bytes(&reply.response).ok_or(None)
}
