//! What a test profile decides with its keys and what it remembers. What a decision rests on is stored before the answer
//! leaves: after a power cut the card knows of everything that it said.

use super::{
    answers::{answers, log_record},
    changeable::{self, Change},
    script,
};
use crate::{
    issuer::{self, Answered},
    oda,
    store::{Card, ContactState, Store},
    suite::{self, CardData},
    token,
};
use subtle::ConstantTimeEq;
use tapvault_proto::{
    Error,
    card::LogEntry,
    contact::{ArpcMethod, Contact},
    emv::{
        apdu::{Command, Response, StatusWord},
        contact::{
            Block, CDOL1_DATA_LEN, CDOL2_DATA_LEN, ContactAnswers, ContactCard, History, IssuerAnswer, LOG,
            LOG_FORMAT, Script, Transaction,
        },
        gpo::{PDOL_DATA_LEN, PdolData},
        results::{CardResults, Cryptogram},
        tlv::push,
    },
    id::CardId,
    token::Channel,
    wire::Bytes,
};
use tapvault_tee::Tee;

/// Authorisation response codes that approve (ISO 8583, field 39): approved, in part, for a VIP.
const APPROVALS: [[u8; 2]; 3] = [*b"00", *b"10", *b"11"];
/// Those by which a terminal says that it got no answer (EMV Book 4, annex A6).
const NO_ANSWER: [[u8; 2]; 2] = [*b"Y3", *b"Z3"];
/// Terminal verification results, byte 1 bit 4: dynamic data authentication failed.
const TVR_DDA_FAILED: u8 = 0x08;

/// A card in the reader.
pub struct Inserted<'a, T> {
    /// The TEE.
    pub tee: &'a mut T,
    /// Every card.
    pub store: &'a mut Store,
    /// This one.
    pub card: CardId,
    /// What time it is for its provider.
    pub time: Option<u64>,
}

/// A card with what makes it a test profile.
pub struct Parts<'a> {
    /// The card.
    pub card: &'a Card,
    /// Its contact keys.
    pub contact: &'a Contact,
    /// What it remembers.
    pub state: &'a ContactState,
}

impl<T: Tee> Inserted<'_, T> {
    /// The card; it was there when it was reset.
    ///
    /// # Errors
    /// [`StatusWord::NoDiagnosis`].
    pub fn parts(&self) -> Result<Parts<'_>, StatusWord> {
        let card = self.store.card(self.card).map_err(unforeseen)?;
        match (&card.profile.contact, &card.contact) {
            (Some(contact), Some(state)) => Ok(Parts { card, contact, state }),
            _ => Err(StatusWord::NoDiagnosis),
        }
    }

    /// Stores a change of what the card remembers.
    ///
    /// # Errors
    /// [`StatusWord::NoDiagnosis`], and nothing is changed.
    pub fn remember(&mut self, change: impl FnOnce(&mut ContactState)) -> Result<(), StatusWord> {
        self.store.remember(self.tee, self.card, change).map_err(unforeseen)
    }

    /// As [`Self::remember`], with a record of the profile in the same change of storage where there is one.
    ///
    /// # Errors
    /// [`StatusWord::NoDiagnosis`], and nothing is changed.
    pub fn replace(
        &mut self,
        record: Option<Change>,
        change: impl FnOnce(&mut ContactState),
    ) -> Result<(), StatusWord> {
        let Some(Change { place, data }) = record else { return self.remember(change) };
        self.store.replace_record(self.tee, self.card, (place, data), change).map_err(unforeseen)
    }

    /// A cryptogram and the answer that carries it.
    fn cryptogram(
        &self,
        transaction: &Transaction,
        kind: Cryptogram,
        results: &CardResults,
        terminal: &PdolData,
    ) -> Result<([u8; 8], Response), Error> {
        let Parts { card, contact, .. } = self.parts().map_err(|_| Error::Internal)?;
        let profile = &card.profile;
        let (atc, cvr) = (transaction.atc, results.to_bytes());
        let data = CardData { aip: profile.aip, atc, cvr };
        let key = suite::session_key(profile.suite, &contact.udk, atc);
        let cryptogram = suite::cryptogram(profile.suite, profile.cvn, &key, terminal, &data);
        let mut body = Bytes::<48>::new();
        push(&mut body, 0x9F27, &[kind.information()])?;
        push(&mut body, 0x9F36, &atc.to_be_bytes())?;
        push(&mut body, 0x9F26, &cryptogram)?;
        push(&mut body, 0x9F10, &suite::issuer_data(profile, cvr))?;
        let mut template = Bytes::<64>::new();
        push(&mut template, 0x77, &body)?;
        Ok((cryptogram, Response::ok(&template)))
    }

    fn results(&self, transaction: &Transaction, first: Cryptogram) -> Result<CardResults, StatusWord> {
        let Parts { state, .. } = self.parts()?;
        Ok(CardResults {
            first,
            second: None,
            pin: transaction.pin,
            issuer_failed: transaction.issuer == IssuerAnswer::Wrong,
            no_answer: false,
            last_incomplete: transaction.history.incomplete,
            pin_blocked: state.tries == 0,
            new_card: transaction.history.new_card,
            last_issuer_failed: transaction.history.issuer_failed,
            issuer_not_performed: false,
            scripts: state.scripts,
            script_failed: state.script_failed,
            last_dda_failed: transaction.history.dda_failed,
            dda: transaction.dda,
        })
    }
}

impl<T: Tee> ContactCard for Inserted<'_, T> {
    fn block(&self) -> Result<Block, StatusWord> {
        let Parts { state, .. } = self.parts()?;
        Ok(match (state.card_blocked, state.application_blocked) {
            (true, _) => Block::Card,
            (false, true) => Block::Application,
            (false, false) => Block::None,
        })
    }

    fn answers(&self) -> Result<ContactAnswers, StatusWord> {
        answers(&self.parts()?.card.profile).map_err(unforeseen)
    }

    fn record(&self, sfi: u8, number: u8) -> Result<Response, StatusWord> {
        let Parts { card, .. } = self.parts()?;
        let at = usize::from(number).checked_sub(1).ok_or(StatusWord::RecordNotFound)?;
        if sfi == LOG {
            // The newest is the first.
            let entry = card.log.iter().rev().nth(at).ok_or(StatusWord::RecordNotFound)?;
            return Ok(Response::ok(&log_record(entry)));
        }
        let records =
            || card.profile.oda.iter().flat_map(|oda| &oda.records).filter(|record| record.sfi == sfi);
        if records().next().is_none() {
            return Err(StatusWord::NotFound);
        }
        let record = records().find(|record| record.number == number);
        record.map(|record| Response::ok(&record.data)).ok_or(StatusWord::RecordNotFound)
    }

    fn data(&self, tag: u16) -> Result<Bytes<16>, StatusWord> {
        let Parts { card, state, .. } = self.parts()?;
        match tag {
            0x9F36 => Ok(Bytes::from_iter(card.used().to_be_bytes())),
            0x9F13 => Ok(Bytes::from_iter(state.last_online.to_be_bytes())),
            0x9F17 => Ok(Bytes::from_iter([state.tries])),
            0x9F4F => Ok(Bytes::from_iter(LOG_FORMAT)),
            _ => {
                let value = card.profile.oda.as_ref().and_then(|oda| changeable::object(oda, tag));
                value.and_then(|value| Bytes::from_slice(value).ok()).ok_or(StatusWord::DataNotFound)
            }
        }
    }

    fn begin(&mut self) -> Result<Transaction, StatusWord> {
        let Parts { card, state, .. } = self.parts()?;
        let history = History {
            new_card: state.last_online == 0,
            incomplete: state.incomplete,
            issuer_failed: state.issuer_failed,
            dda_failed: state.dda_failed,
        };
        let refused = |_| StatusWord::ConditionsNotSatisfied;
        token::permits_use(card, self.time).map_err(refused)?;
        self.store.reserve(self.tee, self.card, self.time).map_err(|error| match error {
            Error::AtcExhausted => refused(error),
            other => unforeseen(other),
        })?;
        let card = self.store.card_mut(self.card).map_err(unforeseen)?;
        Ok(Transaction::new(card.next_atc().map_err(refused)?, history))
    }

    fn verify(&mut self, transaction: &mut Transaction, block: &[u8; 8]) -> Result<Option<u8>, StatusWord> {
        let left = self.parts()?.state.tries.checked_sub(1).ok_or(StatusWord::PinBlocked)?;
        // The try is gone before anything is compared, and comes back only when the PIN was right.
        self.remember(|state| state.tries = left)?;
        let Parts { contact, state, .. } = self.parts()?;
        let (limit, right) = (contact.pin_tries, bool::from(state.pin.expose().ct_eq(block)));
        if right {
            self.remember(|state| state.tries = limit)?;
        }
        transaction.pin = Some(right);
        Ok(if right { None } else { Some(left) })
    }

    fn challenge(&mut self) -> [u8; 8] {
        let mut challenge = [0; 8];
        self.tee.random(&mut challenge);
        challenge
    }

    fn sign(
        &mut self,
        transaction: &mut Transaction,
        unpredictable: [u8; 4],
    ) -> Result<Response, StatusWord> {
        let Parts { card, .. } = self.parts()?;
        let key = card.profile.oda.as_ref().map(|oda| &oda.key).ok_or(StatusWord::NoDiagnosis)?;
        let signature = oda::sign_data(key, transaction.atc, &unpredictable).map_err(unforeseen)?;
        let (mut body, mut template) = (Bytes::<256>::new(), Bytes::<256>::new());
        let pushed = push(&mut body, 0x9F4B, &signature).and_then(|()| push(&mut template, 0x77, &body));
        pushed.map_err(unforeseen)?;
        transaction.dda = true;
        Ok(Response::ok(&template))
    }

    fn first_cryptogram(
        &mut self,
        transaction: &mut Transaction,
        asked: Cryptogram,
        data: &[u8; CDOL1_DATA_LEN],
    ) -> Result<Response, StatusWord> {
        let terminal = terminal_data(data);
        let amount = terminal.amount_minor().ok_or(StatusWord::WrongData)?;
        let currency = u16::from_be_bytes(terminal.currency);
        let block = self.block()?;
        let permitted = token::permits_amount(&self.parts()?.card.profile, amount, currency);
        // Nothing is approved offline: whoever wants that asks the issuer.
        let kind = match asked {
            Cryptogram::Arqc | Cryptogram::Tc if block == Block::None && permitted => Cryptogram::Arqc,
            _ => Cryptogram::Aac,
        };
        let results = self.results(transaction, kind)?;
        let (cryptogram, response) =
            self.cryptogram(transaction, kind, &results, &terminal).map_err(unforeseen)?;
        let [tvr, ..] = terminal.tvr;
        self.remember(|state| match kind {
            Cryptogram::Aac => state.dda_failed |= tvr & TVR_DDA_FAILED != 0,
            _ => state.incomplete = true,
        })?;
        transaction.first = Some((kind, cryptogram));
        let card = self.store.card_mut(self.card).map_err(unforeseen)?;
        card.note(LogEntry {
            key_version: card.profile.key_version,
            atc: transaction.atc,
            amount,
            currency,
            date: terminal.date,
            kind: terminal.kind,
            ctq: [0; 2],
            // The nearest there is: a test profile pays no way that a phone does.
            channel: Channel::Nfc,
            offline: false,
        });
        Ok(response)
    }

    fn issuer_answer(&mut self, transaction: &mut Transaction, data: &[u8]) -> Result<(), StatusWord> {
        let Parts { card, contact, .. } = self.parts()?;
        let (_, cryptogram) = transaction.first.ok_or(StatusWord::NoDiagnosis)?;
        let to = Answered { atc: transaction.atc, cryptogram };
        let (suite, tries) = (card.profile.suite, contact.pin_tries);
        let answer = match contact.arpc {
            ArpcMethod::One => Answer::of_code(data, |arc| issuer::answer(suite, &contact.udk, to, arc)),
            ArpcMethod::Two => {
                Answer::of_status(data, |status| issuer::answer_with_status(suite, &contact.udk, to, status))
            }
        };
        let Some(answer) = answer? else {
            // Whatever becomes of storing it: another answer to this cryptogram is not heard.
            transaction.issuer = IssuerAnswer::Wrong;
            self.remember(|state| state.issuer_failed = true)?;
            return Err(StatusWord::AuthenticationFailed);
        };
        let atc = transaction.atc;
        self.remember(|state| {
            (state.issuer_failed, state.dda_failed) = (false, false);
            (state.scripts, state.script_failed) = (0, false);
            state.last_online = atc;
            state.card_blocked |= answer.blocks_card;
            state.application_blocked |= answer.blocks_application;
            if let Some(of_issuer) = answer.tries {
                state.tries = of_issuer.min(tries);
            }
        })?;
        transaction.issuer = IssuerAnswer::Right { approves: answer.approves, arc: answer.arc };
        Ok(())
    }

    fn second_cryptogram(
        &mut self,
        transaction: &mut Transaction,
        asked: Cryptogram,
        data: &[u8; CDOL2_DATA_LEN],
    ) -> Result<Response, StatusWord> {
        let [a, b, terminal @ ..] = data;
        let (arc, terminal) = ([*a, *b], terminal_data(terminal));
        terminal.amount_minor().ok_or(StatusWord::WrongData)?;
        // The issuer's word decides. A terminal may name no code: what it does not know it fills with zeros (EMV Book 3,
        // 5.4). It may not name another one.
        let approved = match transaction.issuer {
            IssuerAnswer::Right { approves, arc: bound } => {
                let fits = bound.map_or_else(|| APPROVALS.contains(&arc), |bound| bound == arc);
                approves && (fits || arc == [0; 2])
            }
            IssuerAnswer::None | IssuerAnswer::Wrong => false,
        };
        let kind = match asked {
            Cryptogram::Tc if approved && self.block()? == Block::None => Cryptogram::Tc,
            _ => Cryptogram::Aac,
        };
        let no_answer = NO_ANSWER.contains(&arc);
        let results = CardResults {
            second: Some(kind),
            no_answer,
            issuer_not_performed: transaction.issuer == IssuerAnswer::None && !no_answer,
            ..self.results(transaction, Cryptogram::Arqc)?
        };
        let (_, response) = self.cryptogram(transaction, kind, &results, &terminal).map_err(unforeseen)?;
        let answered = matches!(transaction.issuer, IssuerAnswer::Right { .. });
        self.remember(|state| state.incomplete = !answered)?;
        transaction.second = Some(kind);
        Ok(response)
    }

    fn script(
        &mut self,
        transaction: &mut Transaction,
        script: Script,
        command: &Command<'_>,
    ) -> Result<(), StatusWord> {
        script::run(self, transaction, script, command)
    }
}

/// An issuer's right answer.
struct Answer {
    approves: bool,
    arc: Option<[u8; 2]>,
    blocks_card: bool,
    blocks_application: bool,
    tries: Option<u8>,
}

impl Answer {
    /// Method 1: 8 bytes and the response code; `None` when it is wrong.
    fn of_code(data: &[u8], right: impl Fn([u8; 2]) -> [u8; 8]) -> Result<Option<Self>, StatusWord> {
        let data: &[u8; 10] = data.try_into().map_err(|_| StatusWord::WrongLength)?;
        let [answer @ .., a, b] = data;
        let arc = [*a, *b];
        let approves = APPROVALS.contains(&arc);
        let answer_of =
            Self { approves, arc: Some(arc), blocks_card: false, blocks_application: false, tries: None };
        Ok(bool::from(right(arc).ct_eq(answer)).then_some(answer_of))
    }

    /// Method 2: 4 bytes, card status update (EMV Book 3, annex C10), up to 8 bytes more; `None` when it is wrong.
    fn of_status(data: &[u8], right: impl Fn(&[u8]) -> [u8; 4]) -> Result<Option<Self>, StatusWord> {
        let (answer, status) = data.split_first_chunk::<4>().ok_or(StatusWord::WrongLength)?;
        let [tries, actions, _, _, more @ ..] = status else { return Err(StatusWord::WrongLength) };
        if more.len() > 8 {
            return Err(StatusWord::WrongLength);
        }
        let answer_of = Self {
            approves: actions & 0x80 != 0,
            arc: None,
            blocks_card: actions & 0x40 != 0,
            blocks_application: actions & 0x20 != 0,
            tries: (actions & 0x10 != 0).then_some(tries & 0x0F),
        };
        Ok(bool::from(right(status).ct_eq(answer)).then_some(answer_of))
    }
}

/// What the terminal sends for the lists, in the order of the contactless one, which begins with 9F66.
fn terminal_data(data: &[u8; CDOL1_DATA_LEN]) -> PdolData {
    let mut bytes = [0; PDOL_DATA_LEN];
    bytes.iter_mut().skip(PDOL_DATA_LEN - CDOL1_DATA_LEN).zip(data).for_each(|(place, byte)| *place = *byte);
    PdolData::from_bytes(&bytes)
}

fn unforeseen(_: Error) -> StatusWord {
    StatusWord::NoDiagnosis
}
