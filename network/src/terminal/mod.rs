//! A contactless terminal for UnionPay debit cards: qPBOC, decided online, or offline by a card that authenticates itself.
//!
//! It believes nothing the card says beyond what it checks here; whether the cryptogram is right only the
//! issuer can tell. What a man in the middle changes: amount, counter and results are under the
//! cryptogram; the qualifiers 9F6C are held against the results by the issuer, and against what this
//! payment needs by [`pay`]. What a card approves offline the terminal takes on the card's signature, and the issuer
//! checks it when it is delivered.

mod answer;
mod authenticate;
mod payment;
mod refusal;
mod transcript;
mod words;

pub use payment::{Payment, Reach, pdol_data};
pub use refusal::{Refusal, TerminalError};
pub use transcript::{DataObject, Exchange, Meaning, Speaker, Transcript};
pub use words::{status_meaning, tag_name};

use crate::{frame::CardLink, request::AuthorisationRequest};
use answer::{Application, Collected};
use serde::Serialize;
use tapvault_proto::emv::{PPSE, apdu::Command, apdu::MAX_RESPONSE};

/// How the holder was verified, by the card's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    /// Not at all; none was needed.
    None,
    /// On the phone (CDCVM).
    Phone,
    /// The terminal takes an online PIN next.
    OnlinePin,
    /// The terminal takes a signature next.
    Signature,
}

/// A card was taken; the issuer decides, or did not have to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What the issuer is asked, or is given later to clear.
    pub request: AuthorisationRequest,
    /// How the holder was verified.
    pub verification: Verification,
    /// Whether the card approved it offline: it is paid.
    pub approved_offline: bool,
    /// The exchanges.
    pub transcript: Transcript,
}

/// Takes a card through one payment, up to the request for the issuer.
///
/// # Errors
/// [`TerminalError`], with the exchanges until then.
pub fn pay(card: &mut impl CardLink, payment: &Payment) -> Result<Taken, TerminalError> {
    let mut session = Session { card, transcript: Transcript::default() };
    match session.run(payment) {
        Ok((request, verification, approved_offline)) => {
            Ok(Taken { request, verification, approved_offline, transcript: session.transcript })
        }
        Err(refusal) => Err(TerminalError { refusal, transcript: session.transcript }),
    }
}

struct Session<'a, C> {
    card: &'a mut C,
    transcript: Transcript,
}

impl<C: CardLink> Session<'_, C> {
    fn run(&mut self, payment: &Payment) -> Result<(AuthorisationRequest, Verification, bool), Refusal> {
        let terminal = payment.data()?;
        self.card.power_on().map_err(|error| Refusal::Link(error.to_string()))?;
        let application = self.find_application()?;
        let pdol = self.select(&application)?;
        let data = pdol_data(&pdol, &terminal)?;
        let mut collected = self.processing_options(&data, payment)?;
        let approved = collected.approves(payment.reach)?;
        if approved {
            let signed = self.read_located(&mut collected)?;
            authenticate::authenticate(&collected, &signed, &terminal)?;
        } else {
            self.read_record(&mut collected)?;
        }
        let answer = collected.card_answer()?;
        let verification = answer::verification(answer.ctq, payment)?;
        // Nobody can check the bank's PIN here.
        if approved && verification == Verification::OnlinePin {
            return Err(Refusal::NotVerified);
        }
        Ok((AuthorisationRequest::new(&terminal, answer), verification, approved))
    }

    fn find_application(&mut self) -> Result<Application, Refusal> {
        let asked = "SELECT 2PAY.SYS.DDF01: which cards are there?".to_owned();
        let (status, data) = self.exchange(&select(PPSE), asked)?;
        if status != 0x9000 {
            return Err(Refusal::Status { command: "SELECT 2PAY.SYS.DDF01", status });
        }
        let applications = Application::list(&data)?;
        let names: Vec<_> = applications.iter().map(Application::to_string).collect();
        let count = match applications.len() {
            0 => "no application".to_owned(),
            1 => "one application: ".to_owned(),
            many => format!("{many} applications: "),
        };
        self.transcript.explain(format!("{count}{}", names.join(", ")));
        Application::choose(applications).ok_or(Refusal::NoApplication)
    }

    /// Selects the application and returns its PDOL.
    fn select(&mut self, application: &Application) -> Result<Vec<u8>, Refusal> {
        let asked =
            format!("SELECT {}: what does this card need to know?", hex::encode_upper(&application.aid));
        let (status, data) = self.exchange(&select(&application.aid), asked)?;
        if status != 0x9000 {
            return Err(Refusal::Status { command: "SELECT application", status });
        }
        let pdol = answer::pdol(&data, &application.aid)?;
        self.transcript.explain(format!("selected; it asks for {}", answer::names(&pdol)));
        Ok(pdol)
    }

    fn processing_options(&mut self, data: &[u8], payment: &Payment) -> Result<Collected, Refusal> {
        let length = u8::try_from(data.len()).map_err(|_| Refusal::Malformed("PDOL"))?;
        let data = [&[0x83, length], data].concat();
        let command = Command { cla: 0x80, ins: 0xA8, p1: 0, p2: 0, data: &data };
        let (units, cents) = (payment.amount_minor / 100, payment.amount_minor % 100);
        let holder = if payment.verification_required { ", holder to be verified" } else { "" };
        let asked = format!(
            "GET PROCESSING OPTIONS: pay {units}.{cents:02} (currency {:04X}){holder}; give a cryptogram",
            payment.currency
        );
        let (status, data) = self.exchange(&command, asked)?;
        match status {
            0x9000 => {}
            0x6985 | 0x6986 => return Err(Refusal::VerificationNeeded { status }),
            _ => return Err(Refusal::Status { command: "GET PROCESSING OPTIONS", status }),
        }
        let mut collected = Collected::default();
        collected.add(&data, 0x77, "answer to GET PROCESSING OPTIONS")?;
        collected.check_mandatory()?;
        self.transcript.explain(collected.summary());
        Ok(collected)
    }

    /// Reads what the cards of this profile keep beside the cryptogram. A card without it pays as well.
    fn read_record(&mut self, collected: &mut Collected) -> Result<(), Refusal> {
        let command = Command { cla: 0x00, ins: 0xB2, p1: 0x01, p2: 0x0C, data: &[] };
        let asked = "READ RECORD 1 of file 1: what else is known of the card?".to_owned();
        let (status, data) = self.exchange(&command, asked)?;
        if status == 0x9000 {
            collected.add(&data, 0x70, "record")?;
            if let Some(expiry) = collected.find(0x5F24) {
                self.transcript.explain(format!("expires {} (YYMMDD)", hex::encode(expiry)));
            }
        }
        Ok(())
    }

    /// Reads every record that the locator names; returns the contents of those that the issuer signed.
    fn read_located(&mut self, collected: &mut Collected) -> Result<Vec<u8>, Refusal> {
        let mut signed = Vec::new();
        for record in authenticate::located(collected.value(0x94)?)? {
            let authenticate::Located { sfi, number, signed: by_issuer } = record;
            let command = Command { cla: 0x00, ins: 0xB2, p1: number, p2: sfi << 3 | 0x04, data: &[] };
            let asked = format!("READ RECORD {number} of file {sfi}: what shows that the card is genuine?");
            let (status, data) = self.exchange(&command, asked)?;
            if status != 0x9000 {
                return Err(Refusal::Status { command: "READ RECORD", status });
            }
            if by_issuer {
                // Files above 10 are signed with their template (EMV Book 3, 10.3).
                let contents = answer::contents(&data, 0x70, "record")?;
                signed.extend(if sfi > 10 { &data } else { contents });
            }
            collected.add(&data, 0x70, "record")?;
        }
        Ok(signed)
    }

    fn exchange(&mut self, command: &Command<'_>, asked: String) -> Result<(u16, Vec<u8>), Refusal> {
        let bytes = command.to_bytes();
        self.transcript.asked(&bytes, asked);
        let response = self.card.transmit(&bytes).map_err(|error| Refusal::Link(error.to_string()))?;
        self.transcript.answered(&response);
        match response.split_last_chunk::<2>() {
            Some((data, status)) if response.len() <= MAX_RESPONSE => {
                Ok((u16::from_be_bytes(*status), data.to_vec()))
            }
            _ => Err(Refusal::ResponseLength(response.len())),
        }
    }
}

const fn select(name: &[u8]) -> Command<'_> {
    Command { cla: 0x00, ins: 0xA4, p1: 0x04, p2: 0x00, data: name }
}
