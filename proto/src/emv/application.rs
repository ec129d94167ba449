//! The contactless application as a state machine over APDUs: the one place that decides status words.
//!
//! The client runs it with answers fetched ahead of the tap, of one card or several, and lets GET PROCESSING
//! OPTIONS enter the TEE; the trusted app runs the same machine on that command again, since it trusts no client.

use super::{
    PPSE,
    apdu::{Command, Response, StatusWord},
    tlv,
};
use crate::wire::Bytes;
use heapless::Vec;

/// Most cards in the field at once: their directory entries fit into one answer.
pub const MAX_IN_FIELD: usize = 6;
/// Longest record: the answer that carries it is a short one (EMV Book 1, 9.4.1).
pub const MAX_RECORD: usize = 254;
/// Shortest name that selects: the RID (EMV Book 1, 12.2.1).
const RID_LEN: usize = 5;
/// GET DATA: application transaction counter.
const ATC: [u8; 2] = [0x9F, 0x36];

crate::message! {
    /// One record of a file.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Record {
        /// Short file identifier, 1 to 30.
        sfi: u8,
        /// Record number, from 1.
        number: u8,
        /// Template 70.
        data: Bytes<MAX_RECORD>,
    }
}
crate::message! {
    /// What a card answers the same way at every tap.
    #[derive(Clone, Debug, PartialEq, Eq)]
    StaticAnswers {
        /// Name of the application in this phone, 5 to 16 bytes: the application identifier, and behind it one
        /// byte more where another card has the same.
        aid: Bytes<16>,
        /// Entry of the PPSE's directory: template 61.
        entry: Bytes<64>,
        /// Priority, tag 87: 1, the first, to 15.
        priority: u8,
        /// File control information of the application.
        fci: Bytes<192>,
        /// Records, readable after GET PROCESSING OPTIONS.
        records: Vec<Record, 4>,
    }
}

/// Where the terminal is in the flow. The number is the card's, in order of priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing or only the PPSE is selected.
    #[default]
    Idle,
    /// The application is selected; GET PROCESSING OPTIONS may come.
    Selected(usize),
    /// A cryptogram was given; records may be read, another needs a new SELECT.
    Processed(usize),
}

impl State {
    const fn card(self) -> Option<usize> {
        match self {
            Self::Idle => None,
            Self::Selected(card) | Self::Processed(card) => Some(card),
        }
    }
}

/// One contactless session of a phone's cards with one terminal.
#[derive(Debug, Default)]
pub struct CardApplication {
    state: State,
    /// Of each card, the counter of the last cryptogram in this session.
    counters: [Option<[u8; 2]>; MAX_IN_FIELD],
    /// The record that was made with the last cryptogram.
    dynamic: Option<Record>,
}

/// What the trusted app gives for GET PROCESSING OPTIONS.
#[derive(Debug)]
pub struct Processed {
    /// The response.
    pub response: Response,
    /// A record of this transaction alone, readable after it.
    pub record: Option<Record>,
}

impl From<Response> for Processed {
    fn from(response: Response) -> Self {
        Self { response, record: None }
    }
}

impl From<StatusWord> for Processed {
    fn from(status: StatusWord) -> Self {
        Response::from(status).into()
    }
}

impl CardApplication {
    /// A phone that just entered the field.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A card whose application is selected: how the trusted app re-checks a forwarded command.
    #[must_use]
    pub fn selected() -> Self {
        Self { state: State::Selected(0), ..Self::default() }
    }

    /// Answers one command; `cards` are in order of priority, and the same all session. `gpo` is called, with the
    /// number of the card, for every GET PROCESSING OPTIONS that comes in its turn.
    /// Well-formed or not, the trusted app alone answers it: any answer uses up the holder's verification.
    pub fn transmit(
        &mut self,
        cards: &[StaticAnswers],
        command: &[u8],
        gpo: impl FnOnce(usize, &Command<'_>) -> Processed,
    ) -> Response {
        self.execute(cards, command, gpo).unwrap_or_else(Response::from)
    }

    fn execute(
        &mut self,
        cards: &[StaticAnswers],
        command: &[u8],
        gpo: impl FnOnce(usize, &Command<'_>) -> Processed,
    ) -> Result<Response, StatusWord> {
        let command = Command::parse(command)?;
        match (command.cla, command.ins) {
            (0x01..=0x03 | 0x81..=0x83, _) => Err(StatusWord::ChannelNotSupported),
            (0x00, 0xA4) => self.select(cards, &command),
            (0x00, 0xB2) => self.read_record(cards, &command),
            (0x80, 0xA8) => {
                let State::Selected(card) = self.state else {
                    return Err(StatusWord::ConditionsNotSatisfied);
                };
                let Processed { response, record } = gpo(card, &command);
                if response.status() == StatusWord::Ok as u16 {
                    self.state = State::Processed(card);
                    self.note_counter(card, &response);
                    self.dynamic = record;
                }
                Ok(response)
            }
            (0x80, 0xCA) => self.get_data(&command),
            (0x00 | 0x80, _) => Err(StatusWord::UnknownInstruction),
            _ => Err(StatusWord::UnknownClass),
        }
    }

    fn select(&mut self, cards: &[StaticAnswers], command: &Command<'_>) -> Result<Response, StatusWord> {
        if command.p1 != 0x04 || !matches!(command.p2, 0x00 | 0x02) {
            return Err(StatusWord::WrongParameters);
        }
        let first = command.p2 == 0x00;
        if first && command.data == PPSE {
            self.state = State::Idle;
            return ppse(cards);
        }
        if command.data.len() < RID_LEN {
            return Err(StatusWord::NotFound);
        }
        // A name selects the card that has it, then those whose names begin so, in order of priority: the first
        // occurrence, or the next behind the one that is selected (EMV Book 1, 12.3.1). A failed SELECT leaves
        // the selection as it was (ISO/IEC 7816-4, 7.1.1).
        let named = |exactly: bool| {
            cards.iter().enumerate().filter(move |(_, card)| {
                card.aid.starts_with(command.data) && (card.aid.len() == command.data.len()) == exactly
            })
        };
        let mut fitting = named(true).chain(named(false));
        let found = if first {
            fitting.next()
        } else {
            fitting.find(|(card, _)| Some(*card) == self.state.card()).and_then(|_| fitting.next())
        };
        let (card, answers) = found.ok_or(StatusWord::NotFound)?;
        self.state = State::Selected(card);
        Ok(Response::ok(&answers.fci))
    }

    fn read_record(&self, cards: &[StaticAnswers], command: &Command<'_>) -> Result<Response, StatusWord> {
        let (number, sfi) = (command.p1, command.p2 >> 3);
        if number == 0 || command.p2 & 0x07 != 0x04 {
            return Err(StatusWord::WrongParameters);
        }
        let State::Processed(card) = self.state else {
            return Err(StatusWord::ConditionsNotSatisfied);
        };
        let fixed = || cards.get(card).into_iter().flat_map(|card| &card.records);
        let records = || fixed().chain(&self.dynamic);
        if !records().any(|record| record.sfi == sfi) {
            return Err(StatusWord::NotFound);
        }
        let record = records().find(|record| (record.sfi, record.number) == (sfi, number));
        record.map(|record| Response::ok(&record.data)).ok_or(StatusWord::RecordNotFound)
    }

    /// A phone's card has one data object to ask for, the counter of its last cryptogram: no electronic cash, no PIN
    /// of its own, no log for terminals.
    fn get_data(&self, command: &Command<'_>) -> Result<Response, StatusWord> {
        let card = self.state.card().ok_or(StatusWord::ConditionsNotSatisfied)?;
        if [command.p1, command.p2] != ATC {
            return Err(StatusWord::DataNotFound);
        }
        let counter = self.counters.get(card).copied().flatten().ok_or(StatusWord::DataNotFound)?;
        let [tag, more] = ATC;
        let [high, low] = counter;
        Ok(Response::ok(&[tag, more, 2, high, low]))
    }

    fn note_counter(&mut self, card: usize, response: &Response) {
        let answer = tlv::find(response.data(), 0x77).and_then(|body| tlv::find(body, 0x9F36));
        if let (Some(place), Some(counter)) = (self.counters.get_mut(card), answer) {
            *place = counter.try_into().ok();
        }
    }
}

/// File control information of the PPSE: every card's directory entry (EMV Book B, 3.3).
fn ppse(cards: &[StaticAnswers]) -> Result<Response, StatusWord> {
    let mut entries = Vec::<u8, 250>::new();
    for card in cards {
        entries.extend_from_slice(&card.entry).map_err(|_| StatusWord::NoDiagnosis)?;
    }
    let nested = |tag, value: &[u8]| {
        let mut out = Vec::<u8, 256>::new();
        tlv::push(&mut out, tag, value).map(|()| out).map_err(|_| StatusWord::NoDiagnosis)
    };
    let directory = nested(0xA5, &nested(0xBF0C, &entries)?)?;
    let mut template = nested(0x84, PPSE)?;
    template.extend_from_slice(&directory).map_err(|_| StatusWord::NoDiagnosis)?;
    Ok(Response::ok(&nested(0x6F, &template)?))
}
