//! One tap: the card application of the client's half.

use crate::{Channel, ClientError, transport::call};
use tapvault_proto::{
    card::TapGpoRequest,
    emv::{
        apdu::{Response, StatusWord},
        application::{CardApplication, Processed, StaticAnswers},
    },
    id::CardId,
    wire::Bytes,
};

/// Cards in the terminal's field. They answer from memory, except GET PROCESSING OPTIONS, which enters the
/// TEE: one call over a session that is open already.
pub struct Tap<'a, C> {
    channel: &'a mut C,
    // In order of priority, as their answers are.
    cards: Vec<CardId>,
    answers: Vec<StaticAnswers>,
    application: CardApplication,
    failure: Option<ClientError>,
}

impl<'a, C: Channel> Tap<'a, C> {
    pub(crate) fn new(channel: &'a mut C, mut cards: Vec<(CardId, StaticAnswers)>) -> Self {
        cards.sort_by_key(|(_, answers)| answers.priority);
        let (cards, answers) = cards.into_iter().unzip();
        Self { channel, cards, answers, application: CardApplication::new(), failure: None }
    }

    /// Answers one command APDU.
    pub fn transmit(&mut self, command: &[u8]) -> Response {
        let Self { channel, cards, answers, application, failure } = self;
        application.transmit(answers, command, |number, _| {
            let (Some(card), Some(answers)) = (cards.get(number), answers.get(number)) else {
                return StatusWord::NoDiagnosis.into();
            };
            gpo(*channel, *card, answers.aid.clone(), command).unwrap_or_else(|error| {
                *failure = error;
                StatusWord::NoDiagnosis.into()
            })
        })
    }

    /// Takes the cards out of the field and puts them back.
    pub fn reset(&mut self) {
        self.application = CardApplication::new();
    }

    /// Why the TEE gave no answer, when it gave none: the terminal saw 6F00.
    #[must_use]
    pub fn failure(&self) -> Option<&ClientError> {
        self.failure.as_ref()
    }
}

fn gpo<C: Channel>(
    channel: &mut C,
    card: CardId,
    aid: Bytes<16>,
    command: &[u8],
) -> Result<Processed, Option<ClientError>> {
    let command = Bytes::from_slice(command).map_err(|_| None)?;
    let reply = call(channel, &TapGpoRequest { card, aid, command }).map_err(Some)?;
    let response = Response::from_bytes(&reply.response).ok_or(None)?;
    Ok(Processed { response, record: reply.record })
}
