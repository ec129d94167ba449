//! GET PROCESSING OPTIONS: the holder's verification, the counter, the cryptogram, the answer.

use crate::{
    engine::{self, Cryptogram, Permit, Verification},
    oda, offline,
    store::Card,
    token,
};
use tapvault_proto::{
    Error,
    emv::{
        apdu::{Command, Response, StatusWord},
        application::{MAX_RECORD, Processed, Record},
        gpo::PdolData,
        tlv::push,
    },
    id::CardId,
    profile::{CardProfile, VerificationStatus},
    refused::RefusedTap,
    wire::Bytes,
};
use tapvault_tee::Millis;

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
    /// Whether `ceiling` itself has to be paid: the holder saw the amount.
    pub exact: bool,
    /// When it is over.
    pub deadline: Millis,
}

impl Armed {
    fn fits(&self, terminal: &PdolData, amount: u64, now: Millis) -> bool {
        now < self.deadline
            && if self.exact { amount == self.ceiling } else { amount <= self.ceiling }
            && u16::from_be_bytes(terminal.currency) == self.currency
    }
}

/// Why GET PROCESSING OPTIONS is refused.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// By this status word.
    Status(StatusWord),
    /// By this status word, for want of a verification of what the terminal wanted.
    Unverified(StatusWord, RefusedTap),
}

impl Refusal {
    /// What the terminal is told.
    pub const fn status(self) -> StatusWord {
        match self {
            Self::Status(status) | Self::Unverified(status, _) => status,
        }
    }

    /// What the holder can confirm, so that the next tap is answered.
    pub const fn unverified(self) -> Option<RefusedTap> {
        match self {
            Self::Status(_) => None,
            Self::Unverified(_, tap) => Some(tap),
        }
    }
}

impl From<StatusWord> for Refusal {
    fn from(status: StatusWord) -> Self {
        Self::Status(status)
    }
}

/// How the holder is verified, by the terminal's word and the profile.
fn verification(
    profile: &CardProfile,
    terminal: &PdolData,
    amount: u64,
    fact_fits: bool,
) -> Result<Verification, Refusal> {
    let ttq = terminal.ttq;
    let currency = u16::from_be_bytes(terminal.currency);
    let needed = || Refusal::Unverified(needed(profile), RefusedTap { amount, currency });
    // An amount in another currency cannot be held against the card's.
    let of_the_card = currency == profile.currency;
    let limited = profile.verification_from != CardProfile::NEVER;
    let card_wants_pin = limited && (!of_the_card || amount >= profile.verification_from);
    if fact_fits {
        Ok(Verification::WalletPin)
    } else if card_wants_pin {
        Err(needed())
    } else if !ttq.verification_required() {
        Ok(Verification::None)
    } else if ttq.online_pin() && profile.online_pin_allowed && !ttq.offline_only() {
        Ok(Verification::OnlinePin)
    } else if ttq.signature() && profile.signature_allowed {
        Ok(Verification::Signature)
    } else {
        Err(needed())
    }
}

const fn needed(profile: &CardProfile) -> StatusWord {
    match profile.verification_status {
        VerificationStatus::NotAllowed => StatusWord::VerificationNeeded,
        VerificationStatus::ConditionsNotSatisfied => StatusWord::ConditionsNotSatisfied,
    }
}

/// Answers GET PROCESSING OPTIONS. A refusal uses no counter. Time and random numbers are all that it wants of its
/// surroundings.
///
/// # Errors
/// What to answer with, and whether a verification was wanting.
pub fn process(
    card: &mut Card,
    permit: Permit,
    command: &Command<'_>,
    armed: Option<Armed>,
    (now, random): (Millis, impl FnOnce(&mut [u8])),
) -> Result<Processed, Refusal> {
    let terminal = &PdolData::from_command(command, card.profile.cvn)?;
    let amount = terminal.amount_minor().ok_or(StatusWord::WrongData)?;
    if terminal.ttq.offline_only() && card.profile.offline.is_none() {
        // Most phone cards are online only.
        return Err(StatusWord::ConditionsNotSatisfied.into());
    }
    if !token::permits_amount(&card.profile, amount, u16::from_be_bytes(terminal.currency)) {
        return Err(StatusWord::ConditionsNotSatisfied.into());
    }
    let fact_fits = armed.is_some_and(|armed| armed.fits(terminal, amount, now));
    let verification = verification(&card.profile, terminal, amount, fact_fits)?;
    let made = if offline::approves(card, terminal, amount, verification) {
        engine::approve(card, permit, terminal, amount, verification)
    } else if terminal.ttq.offline_only() {
        return Err(StatusWord::ConditionsNotSatisfied.into());
    } else {
        engine::make(card, permit, terminal, amount, verification)
    };
    let made = made.map_err(|_| StatusWord::ConditionsNotSatisfied)?;
    let processed =
        answer(random, &card.profile, terminal, verification, &made).map_err(|_| StatusWord::NoDiagnosis)?;
    engine::remember(card, made);
    Ok(processed)
}

fn answer(
    random: impl FnOnce(&mut [u8]),
    profile: &CardProfile,
    terminal: &PdolData,
    verification: Verification,
    made: &Cryptogram,
) -> Result<Processed, Error> {
    let mut body = Bytes::<MAX_BODY>::new();
    push(&mut body, 0x82, &profile.aip)?;
    push(&mut body, 0x9F36, &made.atc.to_be_bytes())?;
    push(&mut body, 0x57, &profile.track2)?;
    push(&mut body, 0x9F10, &made.issuer_data)?;
    push(&mut body, 0x9F26, &made.value)?;
    push(&mut body, 0x5F34, &[profile.psn])?;
    push(&mut body, 0x9F6C, &verification.ctq())?;
    let record = match &profile.oda {
        Some(oda) if offline::signs(profile, terminal, made) => {
            let mut unpredictable = [0; 4];
            random(&mut unpredictable);
            let authentication = oda::authentication_data(unpredictable, verification.ctq());
            let signature = oda::sign(&oda.key, made.atc, terminal, authentication)?;
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
