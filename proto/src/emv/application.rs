//! The contactless application as a state machine over APDUs: the one place that decides status words.
//!
//! The client runs it with answers fetched ahead of the tap and lets GET PROCESSING OPTIONS enter the
//! TEE; the trusted app runs the same machine on that command again, since it trusts no client.

use super::{
    PPSE,
    apdu::{Command, Response, StatusWord},
};
use crate::wire::Bytes;
use heapless::Vec;

crate::message! {
    /// One record of a file.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Record {
        /// Short file identifier, 1 to 30.
        sfi: u8,
        /// Record number, from 1.
        number: u8,
        /// Template 70.
        data: Bytes<128>,
    }
}
crate::message! {
    /// What a card answers the same way at every tap.
    #[derive(Clone, Debug, PartialEq, Eq)]
    StaticAnswers {
        /// File control information of the PPSE.
        ppse: Bytes<128>,
        /// Name of the application, 5 to 16 bytes.
        aid: Bytes<16>,
        /// File control information of the application.
        fci: Bytes<192>,
        /// Records, readable after GET PROCESSING OPTIONS.
        records: Vec<Record, 4>,
    }
}

impl StaticAnswers {
    /// No answers: for the trusted app, which re-checks the one command that is not static.
    #[must_use]
    pub const fn none() -> Self {
        Self { ppse: Vec::new(), aid: Vec::new(), fci: Vec::new(), records: Vec::new() }
    }
}

/// Where the terminal is in the flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing or only the PPSE is selected.
    #[default]
    Idle,
    /// The application is selected; GET PROCESSING OPTIONS may come.
    Selected,
    /// A cryptogram was given; records may be read, another needs a new SELECT.
    Processed,
}

/// One contactless session of one card with one terminal.
#[derive(Debug, Default)]
pub struct CardApplication {
    state: State,
}

impl CardApplication {
    /// A card that just entered the field.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A card whose application is selected: how the trusted app re-checks a forwarded command.
    #[must_use]
    pub fn selected() -> Self {
        Self { state: State::Selected }
    }

    /// Answers one command. `gpo` is called for every GET PROCESSING OPTIONS that comes in its turn and
    /// gives its response. Well-formed or not, the trusted app alone answers it: any answer uses up the
    /// holder's verification.
    pub fn transmit(
        &mut self,
        answers: &StaticAnswers,
        command: &[u8],
        gpo: impl FnOnce(&Command<'_>) -> Response,
    ) -> Response {
        self.execute(answers, command, gpo).unwrap_or_else(Response::from)
    }

    fn execute(
        &mut self,
        answers: &StaticAnswers,
        command: &[u8],
        gpo: impl FnOnce(&Command<'_>) -> Response,
    ) -> Result<Response, StatusWord> {
        let command = Command::parse(command)?;
        match (command.cla, command.ins) {
            (0x01..=0x03 | 0x81..=0x83, _) => Err(StatusWord::ChannelNotSupported),
            (0x00, 0xA4) => self.select(answers, &command),
            (0x00, 0xB2) => self.read_record(answers, &command),
            (0x80, 0xA8) => {
                if self.state != State::Selected {
                    return Err(StatusWord::ConditionsNotSatisfied);
                }
                let response = gpo(&command);
                if response.status() == StatusWord::Ok as u16 {
                    self.state = State::Processed;
                }
                Ok(response)
            }
            (0x80, 0xCA) => Err(StatusWord::DataNotFound),
            (0x00 | 0x80, _) => Err(StatusWord::UnknownInstruction),
            _ => Err(StatusWord::UnknownClass),
        }
    }

    fn select(&mut self, answers: &StaticAnswers, command: &Command<'_>) -> Result<Response, StatusWord> {
        if command.p1 != 0x04 || !matches!(command.p2, 0x00 | 0x02) {
            return Err(StatusWord::WrongParameters);
        }
        let first = command.p2 == 0x00;
        if first && command.data == PPSE {
            self.state = State::Idle;
            return Ok(Response::ok(&answers.ppse));
        }
        // A partial name selects from 5 bytes, the RID, upwards; with one application there is no
        // next occurrence (EMV Book 1, 12.3.1). A failed SELECT leaves the selection as it was
        // (ISO/IEC 7816-4, 7.1.1).
        if first && command.data.len() >= 5 && answers.aid.starts_with(command.data) {
            self.state = State::Selected;
            return Ok(Response::ok(&answers.fci));
        }
        Err(StatusWord::NotFound)
    }

    fn read_record(&self, answers: &StaticAnswers, command: &Command<'_>) -> Result<Response, StatusWord> {
        let (number, sfi) = (command.p1, command.p2 >> 3);
        if number == 0 || command.p2 & 0x07 != 0x04 {
            return Err(StatusWord::WrongParameters);
        }
        if self.state != State::Processed {
            return Err(StatusWord::ConditionsNotSatisfied);
        }
        if !answers.records.iter().any(|record| record.sfi == sfi) {
            return Err(StatusWord::NotFound);
        }
        let record = answers.records.iter().find(|record| (record.sfi, record.number) == (sfi, number));
        record.map(|record| Response::ok(&record.data)).ok_or(StatusWord::RecordNotFound)
    }
}
