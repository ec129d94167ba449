//! Reads a card's answers: directory, file control information, cryptogram, record.

use super::{Payment, Reach, Refusal, Verification, words::tag_name};
use crate::request::CardAnswer;
use std::fmt;
use tapvault_proto::emv::{AID_UNIONPAY_DEBIT, tlv};

/// What a card has to answer to GET PROCESSING OPTIONS (facts A2, terminals in the field).
const MANDATORY: [u16; 7] = [0x82, 0x9F36, 0x57, 0x9F10, 0x9F26, 0x9F6C, 0x5F34];
/// Bits of CVR byte 2 that tell the cryptogram's type.
const CVR_TYPE: u8 = 0x30;
const CVR_TYPE_ARQC: u8 = 0x20;
const CVR_TYPE_TC: u8 = 0x10;
const CVR_TYPE_AAC: u8 = 0x00;

/// An application in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// 4F, 5 to 16 bytes.
    pub aid: Vec<u8>,
    label: String,
    priority: u8,
}

impl fmt::Display for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", hex::encode_upper(&self.aid), self.label)
    }
}

impl Application {
    /// The directory's entries in the order of their priority; those without priority come last.
    pub fn list(fci: &[u8]) -> Result<Vec<Self>, Refusal> {
        const WHAT: &str = "answer to SELECT 2PAY.SYS.DDF01";
        let template = contents(fci, 0x6F, WHAT)?;
        let proprietary = inner(template, 0xA5, WHAT)?;
        let directory = inner(proprietary, 0xBF0C, WHAT)?;
        let mut applications = Vec::new();
        for object in tlv::objects(directory) {
            let object = object.map_err(|_| Refusal::Malformed(WHAT))?;
            if object.tag == 0x61 {
                applications.push(Self::parse(object.value).ok_or(Refusal::Malformed(WHAT))?);
            }
        }
        applications.sort_by_key(|application| application.priority);
        Ok(applications)
    }

    /// The first that this terminal takes: UnionPay debit, or an AID that begins so.
    pub fn choose(applications: Vec<Self>) -> Option<Self> {
        applications.into_iter().find(|application| application.aid.starts_with(&AID_UNIONPAY_DEBIT))
    }

    fn parse(entry: &[u8]) -> Option<Self> {
        tlv::objects(entry).all(|object| object.is_ok()).then_some(())?;
        let aid = tlv::find(entry, 0x4F).filter(|aid| (5..=16).contains(&aid.len()))?;
        // The label goes to a screen: what is not printable could move its cursor.
        let label = tlv::find(entry, 0x50).unwrap_or_default();
        let label = label.iter().map(|byte| if matches!(byte, 0x20..0x7F) { char::from(*byte) } else { '?' });
        let priority = tlv::find(entry, 0x87).and_then(<[u8]>::first).map_or(0, |byte| byte & 0x0F);
        let priority = if priority == 0 { u8::MAX } else { priority };
        Some(Self { aid: aid.to_vec(), label: label.collect(), priority })
    }
}

/// The PDOL in an application's file control information.
pub fn pdol(fci: &[u8], aid: &[u8]) -> Result<Vec<u8>, Refusal> {
    const WHAT: &str = "answer to SELECT application";
    let template = contents(fci, 0x6F, WHAT)?;
    if inner(template, 0x84, WHAT)? != aid {
        return Err(Refusal::OtherApplication);
    }
    let proprietary = inner(template, 0xA5, WHAT)?;
    if tlv::objects(proprietary).any(|object| object.is_err()) {
        return Err(Refusal::Malformed(WHAT));
    }
    tlv::find(proprietary, 0x9F38).map(<[u8]>::to_vec).ok_or(Refusal::NotContactless)
}

/// The names of what a PDOL asks for.
pub fn names(pdol: &[u8]) -> String {
    let mut names = Vec::new();
    let mut rest = pdol;
    loop {
        let (tag, tail) = match rest {
            [first, second, _, tail @ ..] if first & 0x1F == 0x1F => {
                (u16::from_be_bytes([*first, *second]), tail)
            }
            [first, _, tail @ ..] => (u16::from(*first), tail),
            _ => return names.join(", "),
        };
        names.push(tag_name(tag));
        rest = tail;
    }
}

/// The data objects of one payment, over all answers.
#[derive(Debug, Default)]
pub struct Collected {
    objects: Vec<(u16, Vec<u8>)>,
}

impl Collected {
    /// Adds the objects in an answer's one template. None may come twice, in whatever answer: a terminal
    /// and an issuer could each take another one (EMV Book 3, 10.2).
    pub fn add(&mut self, answer: &[u8], template: u16, what: &'static str) -> Result<(), Refusal> {
        for object in tlv::objects(contents(answer, template, what)?) {
            let object = object.map_err(|_| Refusal::Malformed(what))?;
            if self.find(object.tag).is_some() {
                return Err(Refusal::Duplicate(object.tag));
            }
            self.objects.push((object.tag, object.value.to_vec()));
        }
        Ok(())
    }

    /// The value of a tag.
    pub fn find(&self, tag: u16) -> Option<&[u8]> {
        self.objects.iter().find(|(known, _)| *known == tag).map(|(_, value)| value.as_slice())
    }

    /// Checks that everything came that a payment needs.
    pub fn check_mandatory(&self) -> Result<(), Refusal> {
        match MANDATORY.iter().find(|tag| self.find(**tag).is_none()) {
            Some(tag) => Err(Refusal::Missing(*tag)),
            None => Ok(()),
        }
    }

    /// Whether the card approves, where this terminal may let it, or asks the issuer, where it can. 9F27 is absent in
    /// qPBOC: the results in 9F10 tell.
    pub fn approves(&self, reach: Reach) -> Result<bool, Refusal> {
        match self.cvr_result()? & CVR_TYPE {
            CVR_TYPE_ARQC if reach != Reach::Offline => Ok(false),
            CVR_TYPE_ARQC => Err(Refusal::NotOffline),
            CVR_TYPE_TC if reach != Reach::Online => Ok(true),
            CVR_TYPE_AAC => Err(Refusal::CardDeclined),
            _ => Err(Refusal::NotOnline),
        }
    }

    /// The answer to GET PROCESSING OPTIONS in words.
    pub fn summary(&self) -> String {
        let cryptogram = self.find(0x9F26).map(hex::encode_upper).unwrap_or_default();
        let counter = self.array(0x9F36).map_or(0, u16::from_be_bytes);
        let kind = match self.cvr_result().map(|result| result & CVR_TYPE) {
            Ok(CVR_TYPE_ARQC) => "asks the issuer (ARQC)",
            Ok(CVR_TYPE_TC) => "approves offline (TC)",
            Ok(CVR_TYPE_AAC) => "declines (AAC)",
            Ok(_) => "does not ask the issuer",
            Err(_) => "gives unreadable results",
        };
        format!("{kind}: payment {counter} of this card, cryptogram {cryptogram}")
    }

    /// What the issuer needs of the card.
    pub fn card_answer(&self) -> Result<CardAnswer, Refusal> {
        let [psn] = self.array(0x5F34)?;
        Ok(CardAnswer {
            aip: self.array(0x82)?,
            atc: self.array(0x9F36)?,
            issuer_data: self.bytes(0x9F10, 32)?,
            cryptogram: self.array(0x9F26)?,
            track2: self.bytes(0x57, 19)?,
            psn,
            ctq: self.array(0x9F6C)?,
        })
    }

    /// CVR byte 2: 9F10 is length, key index, version, then `03 b2 b3 b4`.
    fn cvr_result(&self) -> Result<u8, Refusal> {
        match self.find(0x9F10) {
            Some([_, _, _, 0x03, result, _, _, ..]) => Ok(*result),
            _ => Err(Refusal::Length(0x9F10)),
        }
    }

    /// The value of a tag that has to be there.
    pub fn value(&self, tag: u16) -> Result<&[u8], Refusal> {
        self.find(tag).ok_or(Refusal::Missing(tag))
    }

    /// As [`Self::value`], of a fixed length.
    pub fn array<const N: usize>(&self, tag: u16) -> Result<[u8; N], Refusal> {
        self.value(tag)?.try_into().map_err(|_| Refusal::Length(tag))
    }

    fn bytes(&self, tag: u16, most: usize) -> Result<Vec<u8>, Refusal> {
        let value = self.value(tag)?;
        if (1..=most).contains(&value.len()) { Ok(value.to_vec()) } else { Err(Refusal::Length(tag)) }
    }
}

/// What the card transaction qualifiers say, held against what this payment needs: a card (or somebody
/// between) that asks for nothing where a verification is required is not taken.
pub fn verification(ctq: [u8; 2], payment: &Payment) -> Result<Verification, Refusal> {
    let [first, second] = ctq;
    let (online_pin, signature, phone) = (first & 0x80 != 0, first & 0x40 != 0, second & 0x80 != 0);
    if online_pin {
        return if payment.online_pin { Ok(Verification::OnlinePin) } else { Err(Refusal::NotVerified) };
    }
    if phone {
        return Ok(Verification::Phone);
    }
    if signature {
        return if payment.signature { Ok(Verification::Signature) } else { Err(Refusal::NotVerified) };
    }
    if payment.verification_required { Err(Refusal::NotVerified) } else { Ok(Verification::None) }
}

/// The value of the one data object that an answer consists of.
pub fn contents<'a>(answer: &'a [u8], tag: u16, what: &'static str) -> Result<&'a [u8], Refusal> {
    let mut objects = tlv::objects(answer);
    match (objects.next(), objects.next()) {
        (Some(Ok(object)), None) if object.tag == tag => Ok(object.value),
        _ => Err(Refusal::Malformed(what)),
    }
}

fn inner<'a>(template: &'a [u8], tag: u16, what: &'static str) -> Result<&'a [u8], Refusal> {
    if tlv::objects(template).any(|object| object.is_err()) {
        return Err(Refusal::Malformed(what));
    }
    tlv::find(template, tag).ok_or(Refusal::Malformed(what))
}
