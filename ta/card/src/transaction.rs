//! GET PROCESSING OPTIONS: the holder's verification, the counter, the cryptogram, the answer.

use crate::{
    pboc::{self, CardData},
    store::Card,
};
use tapvault_proto::{
    Error,
    emv::{
        apdu::{Command, Response, StatusWord},
        gpo::PdolData,
        tlv::push,
    },
    id::CardId,
    profile::Suite,
    wire::Bytes,
};
use tapvault_tee::Millis;

/// Card verification results: length 03, then ARQC requested (PBOC, tag 9F10).
const CVR_ARQC: [u8; 4] = [0x03, 0xA0, 0x00, 0x00];
/// CVR byte 2 bit 3: the holder's PIN was verified by the card, here the wallet PIN.
const CVR_PIN_VERIFIED: u8 = 0x04;
/// Cryptogram version number.
const CVN: u8 = 0x01;
/// Algorithm in the issuer application data: 3DES.
const ALGORITHM_3DES: u8 = 0x01;

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
    fn decide(card: &Card, terminal: &PdolData, fact_fits: bool) -> Result<Self, StatusWord> {
        let (ttq, profile) = (terminal.ttq, &card.profile);
        if fact_fits {
            Ok(Self::WalletPin)
        } else if !ttq.verification_required() {
            Ok(Self::None)
        } else if ttq.online_pin() && profile.online_pin_allowed {
            Ok(Self::OnlinePin)
        } else if ttq.signature() && profile.signature_allowed {
            Ok(Self::Signature)
        } else {
            Err(StatusWord::VerificationNeeded)
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

/// Answers GET PROCESSING OPTIONS. A refusal uses no counter.
///
/// # Errors
/// The status word to answer with.
pub fn process(
    card: &mut Card,
    command: &Command<'_>,
    armed: Option<Armed>,
    now: Millis,
) -> Result<Response, StatusWord> {
    let terminal = &PdolData::from_command(command)?;
    let amount = terminal.amount_minor().ok_or(StatusWord::WrongData)?;
    if terminal.ttq.offline_only() {
        // Phone cards are online only.
        return Err(StatusWord::ConditionsNotSatisfied);
    }
    let fact_fits = armed.is_some_and(|armed| armed.fits(terminal, amount, now));
    let verification = Verification::decide(card, terminal, fact_fits)?;
    let atc = card.next_atc().map_err(|_| StatusWord::ConditionsNotSatisfied)?;
    answer(card, terminal, verification, atc).map_err(|_| StatusWord::NoDiagnosis)
}

fn answer(card: &Card, terminal: &PdolData, verification: Verification, atc: u16) -> Result<Response, Error> {
    let profile = &card.profile;
    let cvr = verification.cvr();
    let ac = match profile.suite {
        Suite::Pboc3DesCvn01 => {
            pboc::cryptogram(&profile.udk, terminal, &CardData { aip: profile.aip, atc, cvr })
        }
    };
    let [c0, c1, c2, c3] = cvr;
    let issuer_data = [0x07, profile.key_version, CVN, c0, c1, c2, c3, ALGORITHM_3DES];

    let mut body = Bytes::<128>::new();
    push(&mut body, 0x82, &profile.aip)?;
    push(&mut body, 0x9F36, &atc.to_be_bytes())?;
    push(&mut body, 0x57, &profile.track2)?;
    push(&mut body, 0x9F10, &issuer_data)?;
    push(&mut body, 0x9F26, &ac)?;
    push(&mut body, 0x5F34, &[profile.psn])?;
    push(&mut body, 0x9F6C, &verification.ctq())?;
    let mut template = Bytes::<160>::new();
    push(&mut template, 0x77, &body)?;
    Ok(Response::ok(&template))
}
