//! GET PROCESSING OPTIONS: the holder's verification, the counter, the cryptogram, the answer.

use crate::{
    oda,
    store::Card,
    suite::{self, CardData},
    token,
};
use tapvault_proto::{
    Error,
    card::LogEntry,
    emv::{
        apdu::{Command, Response, StatusWord},
        application::{MAX_RECORD, Processed, Record},
        gpo::PdolData,
        tlv::push,
    },
    id::CardId,
    profile::{CardProfile, VerificationStatus},
    token::Channel,
    wire::Bytes,
};
use tapvault_tee::{Millis, Tee};

/// Card verification results: length 03, then ARQC requested (PBOC, tag 9F10).
const CVR_ARQC: [u8; 4] = [0x03, 0xA0, 0x00, 0x00];
/// CVR byte 2 bit 3: the holder's PIN was verified by the card, here the wallet PIN.
const CVR_PIN_VERIFIED: u8 = 0x04;

/// Longest body of template 77 in an answer of 256 bytes.
const MAX_BODY: usize = 253;
/// Tag 9F4B and the longest length in front of a signature.
const SIGNATURE_HEAD: usize = 4;

/// A verification the card holds: one GPO of one card, whatever becomes of it.
#[derive(Clone, Copy, Debug)]
pub struct Armed {
    /// The card.
    pub card: CardId,
    /// Most that may be paid, minor units.
    pub ceiling: u64,
    /// ISO 4217 numeric code.
    pub currency: u16,
    /// When it is over.
    pub deadline: Millis,
}

impl Armed {
    fn fits(&self, terminal: &PdolData, amount: u64, now: Millis) -> bool {
        now < self.deadline
            && amount <= self.ceiling
            && u16::from_be_bytes(terminal.currency) == self.currency
    }
}

/// How the holder is verified, by the terminal's word and the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verification {
    None,
    WalletPin,
    OnlinePin,
    Signature,
}

impl Verification {
    fn decide(
        profile: &CardProfile,
        terminal: &PdolData,
        amount: u64,
        fact_fits: bool,
    ) -> Result<Self, StatusWord> {
        let ttq = terminal.ttq;
        // An amount in another currency cannot be held against the card's.
        let of_the_card = u16::from_be_bytes(terminal.currency) == profile.currency;
        let limited = profile.verification_from != CardProfile::NEVER;
        let card_wants_pin = limited && (!of_the_card || amount >= profile.verification_from);
        if fact_fits {
            Ok(Self::WalletPin)
        } else if card_wants_pin {
            Err(needed(profile))
        } else if !ttq.verification_required() {
            Ok(Self::None)
        } else if ttq.online_pin() && profile.online_pin_allowed {
            Ok(Self::OnlinePin)
        } else if ttq.signature() && profile.signature_allowed {
            Ok(Self::Signature)
        } else {
            Err(needed(profile))
        }
    }

    /// Card transaction qualifiers, tag 9F6C.
    const fn ctq(self) -> [u8; 2] {
        match self {
            Self::None => [0x00, 0x00],
            Self::WalletPin => [0x00, 0x80],
            Self::OnlinePin => [0x80, 0x00],
            Self::Signature => [0x40, 0x00],
        }
    }

    const fn cvr(self) -> [u8; 4] {
        let [len, result, risk, scripts] = CVR_ARQC;
        match self {
            Self::WalletPin => [len, result | CVR_PIN_VERIFIED, risk, scripts],
            _ => CVR_ARQC,
        }
    }
}

const fn needed(profile: &CardProfile) -> StatusWord {
    match profile.verification_status {
        VerificationStatus::NotAllowed => StatusWord::VerificationNeeded,
        VerificationStatus::ConditionsNotSatisfied => StatusWord::ConditionsNotSatisfied,
    }
}

/// Answers GET PROCESSING OPTIONS. A refusal uses no counter.
///
/// # Errors
/// The status word to answer with.
pub fn process<T: Tee>(
    tee: &mut T,
    card: &mut Card,
    command: &Command<'_>,
    armed: Option<Armed>,
) -> Result<Processed, StatusWord> {
    let terminal = &PdolData::from_command(command, card.profile.cvn)?;
    let amount = terminal.amount_minor().ok_or(StatusWord::WrongData)?;
    if terminal.ttq.offline_only() {
        // Phone cards are online only.
        return Err(StatusWord::ConditionsNotSatisfied);
    }
    if !token::permits_amount(&card.profile, amount, u16::from_be_bytes(terminal.currency)) {
        return Err(StatusWord::ConditionsNotSatisfied);
    }
    let now = tee.now();
    let fact_fits = armed.is_some_and(|armed| armed.fits(terminal, amount, now));
    let verification = Verification::decide(&card.profile, terminal, amount, fact_fits)?;
    let atc = card.next_atc().map_err(|_| StatusWord::ConditionsNotSatisfied)?;
    let processed = answer(tee, card, terminal, verification, atc).map_err(|_| StatusWord::NoDiagnosis)?;
    card.note(LogEntry {
        key_version: card.profile.key_version,
        atc,
        amount,
        currency: u16::from_be_bytes(terminal.currency),
        date: terminal.date,
        kind: terminal.kind,
        ctq: verification.ctq(),
    });
    Ok(processed)
}

fn answer<T: Tee>(
    tee: &mut T,
    card: &Card,
    terminal: &PdolData,
    verification: Verification,
    atc: u16,
) -> Result<Processed, Error> {
    let profile = &card.profile;
    let cvr = verification.cvr();
    let data = CardData { aip: profile.aip, atc, cvr };
    let udk = profile.udk(Channel::Nfc).ok_or(Error::TokenDomain)?;
    let ac = suite::cryptogram(profile.suite, profile.cvn, udk, terminal, &data);
    let [c0, c1, c2, c3] = cvr;
    let (cvn, algorithm) = (profile.cvn as u8, profile.suite.algorithm());
    let issuer_data = [0x07, profile.key_version, cvn, c0, c1, c2, c3, algorithm];

    let mut body = Bytes::<MAX_BODY>::new();
    push(&mut body, 0x82, &profile.aip)?;
    push(&mut body, 0x9F36, &atc.to_be_bytes())?;
    push(&mut body, 0x57, &profile.track2)?;
    push(&mut body, 0x9F10, &issuer_data)?;
    push(&mut body, 0x9F26, &ac)?;
    push(&mut body, 0x5F34, &[profile.psn])?;
    push(&mut body, 0x9F6C, &verification.ctq())?;
    let record = match &profile.oda {
        Some(oda) if terminal.ttq.wants_oda() => {
            let mut unpredictable = [0; 4];
            tee.random(&mut unpredictable);
            let authentication = oda::authentication_data(unpredictable, verification.ctq());
            let signature = oda::sign(&oda.key, atc, terminal, authentication)?;
            let mut last = Bytes::<MAX_RECORD>::new();
            push(&mut last, 0x9F69, &authentication)?;
            push(&mut body, 0x94, &oda.afl)?;
            // What does not fit beside the rest is read with the last record.
            let fits = body.len() + signature.len() + SIGNATURE_HEAD <= MAX_BODY;
            if fits { push(&mut body, 0x9F4B, &signature) } else { push(&mut last, 0x9F4B, &signature) }?;
            let (sfi, number) = oda.last_record().ok_or(Error::Internal)?;
            let mut data = Bytes::new();
            push(&mut data, 0x70, &last)?;
            Some(Record { sfi, number, data })
        }
        _ => None,
    };
    let mut template = Bytes::<256>::new();
    push(&mut template, 0x77, &body)?;
    Ok(Processed { response: Response::ok(&template), record })
}
