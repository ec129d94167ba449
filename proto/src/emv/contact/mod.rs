//! The contact application as a state machine over APDUs: which command may come when, and the status words. What needs
//! keys or storage the card decides behind [`ContactCard`].

mod card;

use super::{
    apdu::{Command, Response, StatusWord},
    results::Cryptogram,
    tlv,
};
use crate::wire::Bytes;

pub use card::{
    Block, ContactAnswers, ContactCard, History, IssuerAnswer, MAX_SCRIPT_DATA, SCRIPT_MAC_LEN,
    SCRIPT_PIN_LEN, Script, Transaction,
};

/// Payment system environment of contact terminals, `1PAY.SYS.DDF01`.
pub const PSE: &[u8; 14] = b"1PAY.SYS.DDF01";
/// Short file identifier of its directory.
pub const DIRECTORY: u8 = 1;
/// Short file identifier of the log of payments.
pub const LOG: u8 = 0x0B;
/// Shortest name that selects: the RID (EMV Book 1, 12.2.1).
const RID_LEN: usize = 5;

/// Card risk management data object list 1, tag 8C: 9F02 9F03 9F1A 95 5F2A 9A 9C 9F37.
pub const CDOL1: [u8; 21] =
    [0x9F, 0x02, 6, 0x9F, 0x03, 6, 0x9F, 0x1A, 2, 0x95, 5, 0x5F, 0x2A, 2, 0x9A, 3, 0x9C, 1, 0x9F, 0x37, 4];
/// Length of the data that it asks for.
pub const CDOL1_DATA_LEN: usize = 29;
/// Card risk management data object list 2, tag 8D: 8A in front of the first list's.
pub const CDOL2: [u8; 23] = [
    0x8A, 2, 0x9F, 0x02, 6, 0x9F, 0x03, 6, 0x9F, 0x1A, 2, 0x95, 5, 0x5F, 0x2A, 2, 0x9A, 3, 0x9C, 1, 0x9F,
    0x37, 4,
];
/// Length of the data that it asks for.
pub const CDOL2_DATA_LEN: usize = 31;
/// Dynamic data authentication data object list, tag 9F49: 9F37.
pub const DDOL: [u8; 3] = [0x9F, 0x37, 4];
/// Format of a record of the log, tag 9F4F: 9A 9F02 5F2A 9C 9F36.
pub const LOG_FORMAT: [u8; 13] = [0x9A, 3, 0x9F, 0x02, 6, 0x5F, 0x2A, 2, 0x9C, 1, 0x9F, 0x36, 2];

/// Where the terminal is in the flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing is selected.
    #[default]
    Idle,
    /// The environment is.
    Environment,
    /// The application is; GET PROCESSING OPTIONS may come.
    Selected,
    /// A transaction began.
    Begun(Transaction),
}

/// One session of a card with one terminal, from reset on.
#[derive(Clone, Copy, Debug, Default)]
pub struct ContactApplication {
    state: State,
}

impl ContactApplication {
    /// A card that was just reset.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers one command.
    pub fn transmit(&mut self, card: &mut impl ContactCard, command: &[u8]) -> Response {
        self.execute(card, command).unwrap_or_else(Response::from)
    }

    fn execute(&mut self, card: &mut impl ContactCard, command: &[u8]) -> Result<Response, StatusWord> {
        let command = Command::parse(command)?;
        match (command.cla, command.ins) {
            (0x01..=0x03 | 0x81..=0x83 | 0x85..=0x87, _) => Err(StatusWord::ChannelNotSupported),
            (0x00, 0xA4) => self.select(card, &command),
            (0x00, 0xB2) => self.read_record(card, &command),
            (0x00, 0x20) => self.verify(card, &command),
            (0x00, 0x82) => self.external_authenticate(card, &command),
            (0x00, 0x84) => self.challenge(card, &command),
            (0x00, 0x88) => self.internal_authenticate(card, &command),
            (0x80, 0xA8) => self.processing_options(card, &command),
            (0x80, 0xAE) => self.generate(card, &command),
            (0x80, 0xCA) => self.get_data(card, &command),
            (0x84, _) | (0x04, 0xDA | 0xDC) => self.script(card, &command),
            (0x00 | 0x80, _) => Err(StatusWord::UnknownInstruction),
            _ => Err(StatusWord::UnknownClass),
        }
    }

    fn select(&mut self, card: &impl ContactCard, command: &Command<'_>) -> Result<Response, StatusWord> {
        if command.p1 != 0x04 || !matches!(command.p2, 0x00 | 0x02) {
            return Err(StatusWord::WrongParameters);
        }
        let block = card.block()?;
        if block == Block::Card {
            return Err(StatusWord::NotSupported);
        }
        let answers = card.answers()?;
        let first = command.p2 == 0x00;
        if first && command.data == PSE {
            self.state = State::Environment;
            return Ok(Response::ok(&answers.environment));
        }
        // There is one application, so that there is no next one. A failed SELECT leaves the selection as it was.
        if !first || command.data.len() < RID_LEN || !answers.name.starts_with(command.data) {
            return Err(StatusWord::NotFound);
        }
        self.state = State::Selected;
        let status = if block == Block::Application { StatusWord::Deactivated } else { StatusWord::Ok };
        Ok(Response::with(&answers.fci, status))
    }

    fn read_record(&self, card: &impl ContactCard, command: &Command<'_>) -> Result<Response, StatusWord> {
        let (number, sfi) = (command.p1, command.p2 >> 3);
        if number == 0 || command.p2 & 0x07 != 0x04 {
            return Err(StatusWord::WrongParameters);
        }
        match (self.state, sfi) {
            (State::Environment, DIRECTORY) if number == 1 => Ok(Response::ok(&card.answers()?.directory)),
            (State::Environment, DIRECTORY) => Err(StatusWord::RecordNotFound),
            (State::Environment, _) => Err(StatusWord::NotFound),
            (State::Selected, LOG) | (State::Begun(_), _) => card.record(sfi, number),
            _ => Err(StatusWord::ConditionsNotSatisfied),
        }
    }

    fn get_data(&self, card: &impl ContactCard, command: &Command<'_>) -> Result<Response, StatusWord> {
        if !matches!(self.state, State::Selected | State::Begun(_)) {
            return Err(StatusWord::ConditionsNotSatisfied);
        }
        let tag = u16::from_be_bytes([command.p1, command.p2]);
        let mut object = Bytes::<32>::new();
        tlv::push(&mut object, tag, &card.data(tag)?).map_err(|_| StatusWord::NoDiagnosis)?;
        Ok(Response::ok(&object))
    }

    /// There is no list of processing options: the template is empty.
    fn processing_options(
        &mut self,
        card: &mut impl ContactCard,
        command: &Command<'_>,
    ) -> Result<Response, StatusWord> {
        if self.state != State::Selected {
            return Err(StatusWord::ConditionsNotSatisfied);
        }
        parameters_are(command, 0)?;
        match command.data {
            [0x83, 0x00] => {}
            [0x83, ..] => return Err(StatusWord::WrongLength),
            _ => return Err(StatusWord::WrongData),
        }
        let answers = card.answers()?;
        let body: Bytes<18> = answers.aip.iter().chain(&answers.afl).copied().collect();
        let mut template = Bytes::<24>::new();
        tlv::push(&mut template, 0x80, &body).map_err(|_| StatusWord::NoDiagnosis)?;
        self.state = State::Begun(card.begin()?);
        Ok(Response::ok(&template))
    }

    fn verify(&mut self, card: &mut impl ContactCard, command: &Command<'_>) -> Result<Response, StatusWord> {
        let transaction = self.before_cryptogram()?;
        parameters_are(command, 0x80)?;
        let block = command.data.try_into().map_err(|_| StatusWord::WrongLength)?;
        let left = card.verify(transaction, block)?;
        Ok(left.map_or_else(|| StatusWord::Ok.into(), Response::tries_left))
    }

    fn challenge(&self, card: &mut impl ContactCard, command: &Command<'_>) -> Result<Response, StatusWord> {
        if !matches!(self.state, State::Selected | State::Begun(_)) {
            return Err(StatusWord::ConditionsNotSatisfied);
        }
        parameters_are(command, 0)?;
        if command.data.is_empty() {
            Ok(Response::ok(&card.challenge()))
        } else {
            Err(StatusWord::WrongLength)
        }
    }

    /// Once in a transaction.
    fn internal_authenticate(
        &mut self,
        card: &mut impl ContactCard,
        command: &Command<'_>,
    ) -> Result<Response, StatusWord> {
        let transaction = self.before_cryptogram()?;
        if transaction.dda {
            return Err(StatusWord::ConditionsNotSatisfied);
        }
        parameters_are(command, 0)?;
        let unpredictable = command.data.try_into().map_err(|_| StatusWord::WrongLength)?;
        card.sign(transaction, unpredictable)
    }

    /// Once in a transaction, for a cryptogram that asked the issuer.
    fn external_authenticate(
        &mut self,
        card: &mut impl ContactCard,
        command: &Command<'_>,
    ) -> Result<Response, StatusWord> {
        let transaction = self.transaction()?;
        if !transaction.is_online() || transaction.issuer != IssuerAnswer::None {
            return Err(StatusWord::ConditionsNotSatisfied);
        }
        parameters_are(command, 0)?;
        card.issuer_answer(transaction, command.data).map(|()| StatusWord::Ok.into())
    }

    fn generate(
        &mut self,
        card: &mut impl ContactCard,
        command: &Command<'_>,
    ) -> Result<Response, StatusWord> {
        let transaction = self.transaction()?;
        let first = transaction.first.is_none();
        if !first && !transaction.is_online() {
            return Err(StatusWord::ConditionsNotSatisfied);
        }
        let asked = Cryptogram::from_p1(command.p1).filter(|_| command.p2 == 0);
        let asked = asked.ok_or(StatusWord::WrongParameters)?;
        let wrong_length = |_| StatusWord::WrongLength;
        if first {
            return card.first_cryptogram(transaction, asked, command.data.try_into().map_err(wrong_length)?);
        }
        // The issuer was asked, and is not asked again.
        if asked == Cryptogram::Arqc {
            return Err(StatusWord::ConditionsNotSatisfied);
        }
        card.second_cryptogram(transaction, asked, command.data.try_into().map_err(wrong_length)?)
    }

    /// After the first cryptogram, which the MAC covers; a transaction with a wrong MAC takes no more of them.
    fn script(&mut self, card: &mut impl ContactCard, command: &Command<'_>) -> Result<Response, StatusWord> {
        let (script, lengths) = Script::of(command)?;
        let transaction = self.transaction()?;
        if transaction.first.is_none() || transaction.scripts_over {
            return Err(StatusWord::ConditionsNotSatisfied);
        }
        let len = command.data.len().checked_sub(SCRIPT_MAC_LEN);
        if !len.is_some_and(|len| lengths.contains(&len)) {
            return Err(StatusWord::WrongLength);
        }
        card.script(transaction, script, command).map(|()| StatusWord::Ok.into())
    }

    fn transaction(&mut self) -> Result<&mut Transaction, StatusWord> {
        match &mut self.state {
            State::Begun(transaction) => Ok(transaction),
            _ => Err(StatusWord::ConditionsNotSatisfied),
        }
    }

    fn before_cryptogram(&mut self) -> Result<&mut Transaction, StatusWord> {
        let transaction = self.transaction()?;
        if transaction.first.is_none() { Ok(transaction) } else { Err(StatusWord::ConditionsNotSatisfied) }
    }
}

fn parameters_are(command: &Command<'_>, p2: u8) -> Result<(), StatusWord> {
    if (command.p1, command.p2) == (0, p2) { Ok(()) } else { Err(StatusWord::WrongParameters) }
}
