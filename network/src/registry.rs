//! Issuing: makes a card's profile and records it, so that the issuer knows the card before the phone does.

use crate::{
    bank::{BankError, Provider},
    issuer::Issuer,
    kind::CardKind,
    lab::LabBank,
    oda,
    offline::OfflineRecord,
    request::track2_of,
    state::{CardRecord, CardStatus, Given, StateError},
    suite,
};
use sha2::{Digest, Sha256};
use std::fmt;
use tapvault_proto::{
    Error,
    id::CardId,
    limited::LimitedUse,
    offline::Offline,
    profile::{CardKeys, CardProfile, Product, VerificationStatus},
    token::{Channel, ChannelKey, Domain, PAR_LEN, REQUESTOR_LEN, Token, TokenAction, TokenCommand},
    wire::Bytes,
};

/// Renminbi, ISO 4217 numeric code as in tag 5F2A.
pub const CNY: u16 = 0x0156;
/// First digits of the lab's tokens. The range is not known to be assigned to anybody.
const TOKEN_RANGE: &str = "629999";
/// Sequence number of every token.
pub(crate) const PSN: u8 = 0x01;
/// The lab's token requestor: everybody's wallet.
pub const REQUESTOR: [u8; REQUESTOR_LEN] = *b"62999900001";
/// Application interchange profile of a real UnionPay debit card's contactless trace; no offline data
/// authentication takes place, since these cards are online only.
const AIP: [u8; 2] = [0x7C, 0x00];

/// What to issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The bank.
    pub bank: LabBank,
    /// The card; a known id is issued again with the next key version.
    pub card: CardId,
    /// Its token, 13 to 19 digits; `None` keeps a known card's and draws one for a new card.
    pub token: Option<String>,
    /// Last four digits of the account number behind the token.
    pub last_four: [u8; 4],
    /// Expiry, YYMM.
    pub expiry: String,
    /// Suite, cryptogram version, key derivation and product.
    pub kind: CardKind,
    /// How its holder may be verified.
    pub holder: HolderRules,
    /// Where its token may be used.
    pub rules: TokenRules,
}

/// Where a card's token may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRules {
    /// The ways it may pay.
    pub channels: Vec<Channel>,
    /// What else limits it.
    pub domain: Domain,
    /// Whether it can pay at once, or waits for the token service's command.
    pub active: bool,
    /// With how many limited-use keys left the wallet fetches more; `None` puts unique derived keys into the phone.
    pub limited_use: Option<u8>,
    /// What it may pay offline. A phone takes such a card only where it is protected from a rollback.
    pub offline: Option<Offline>,
}

impl Default for TokenRules {
    fn default() -> Self {
        Self {
            channels: Channel::ALL.to_vec(),
            domain: Domain::unlimited(),
            active: true,
            limited_use: None,
            offline: None,
        }
    }
}

/// How a card's holder may be verified, beside the wallet PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HolderRules {
    /// Whether the terminal's online PIN may stand in for the wallet PIN.
    pub online_pin: bool,
    /// Whether a signature may.
    pub signature: bool,
    /// From which amount, in minor units, the card wants the wallet PIN whatever the terminal asks;
    /// [`CardProfile::NEVER`] leaves it to the terminal.
    pub pin_from: u64,
}

impl Default for HolderRules {
    fn default() -> Self {
        Self { online_pin: true, signature: false, pin_from: CardProfile::NEVER }
    }
}

/// Why a card was not issued.
#[derive(Debug)]
pub enum IssueError {
    /// The token belongs to another card.
    TokenTaken,
    /// The card is another bank's.
    OtherBank,
    /// All 255 key versions were used.
    KeyVersionsUsedUp,
    /// Token or expiry are not digits of the right number.
    Digits,
    /// The profile breaks the rules of the card trusted app.
    Profile(Error),
    /// The operating system gave no random numbers.
    NoRandomness,
    /// The state could not be stored; nothing was issued.
    State(StateError),
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TokenTaken => {
                f.write_str("the token belongs to another card; leave it out to draw a new one")
            }
            Self::OtherBank => f.write_str("the card was issued by another bank; use a new card id"),
            Self::KeyVersionsUsedUp => {
                f.write_str("all 255 key versions are used; issue under a new card id")
            }
            Self::Digits => {
                f.write_str("a token has 13 to 19 digits, an expiry four: YYMM with a month 01 to 12")
            }
            Self::Profile(error) => write!(f, "the card trusted app would refuse the profile: {error:?}"),
            Self::NoRandomness => f.write_str("the operating system gave no random numbers; try again"),
            Self::State(error) => write!(f, "nothing was issued: {error}"),
        }
    }
}

impl std::error::Error for IssueError {}

impl From<StateError> for IssueError {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

impl Issuer {
    /// Issues a card: the next key version, counter at 0, recorded before the profile is returned. From
    /// then on payments with an earlier key version are declined.
    ///
    /// # Errors
    /// [`IssueError`]; nothing is issued then.
    pub fn issue(&mut self, order: &Order) -> Result<CardProfile, IssueError> {
        let known = self.cards.iter().position(|record| record.card == order.card.0);
        let previous = known.and_then(|at| self.cards.get(at));
        if previous.is_some_and(|record| record.provider != order.bank) {
            return Err(IssueError::OtherBank);
        }
        let key_version = previous
            .map_or(0, |record| record.key_version)
            .checked_add(1)
            .ok_or(IssueError::KeyVersionsUsedUp)?;
        let token = match (&order.token, previous) {
            (Some(token), _) => token.clone(),
            (None, Some(record)) => record.token.clone(),
            (None, None) => draw_token()?,
        };
        if self.cards.iter().any(|record| record.token == token && record.card != order.card.0) {
            return Err(IssueError::TokenTaken);
        }
        let profile = lab_profile(order, &token, key_version)?;
        let channels = match &profile.keys {
            CardKeys::Udk(_) => None,
            CardKeys::LimitedUse(rules) => Some(rules.channels.to_vec()),
        };
        let record = CardRecord {
            card: order.card.0,
            provider: order.bank,
            token,
            psn: PSN,
            expiry: order.expiry.clone(),
            key_version,
            highest_atc: 0,
            // There are none below.
            used_below: u64::MAX,
            highest_tap: Some(0),
            code_limit: Some(order.rules.domain.amount).filter(|limit| *limit != Domain::UNLIMITED),
            status: if order.rules.active { CardStatus::Active } else { CardStatus::Inactive },
            commands: 0,
            kind: order.kind,
            limited_use: channels.map(|channels| Given { channels, given: 0 }),
            offline: order.rules.offline.map(|offline| OfflineRecord::new(offline.balance)),
        };
        let mut cards = self.cards.clone();
        match known.and_then(|at| cards.get_mut(at)) {
            Some(place) => *place = record,
            None => cards.push(record),
        }
        self.store(cards)?;
        Ok(profile)
    }
}

/// Why a token was not commanded.
#[derive(Debug)]
pub enum CommandError {
    /// No such card.
    UnknownCard,
    /// The command does not fit where the token is in its life.
    TokenState(CardStatus),
    /// It approves nothing offline.
    NotOffline,
    /// More than an amount can be would be loaded.
    TooMuch,
    /// Its bank could not sign.
    Bank(BankError),
    /// The number could not be stored; nothing was signed.
    State(StateError),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCard => f.write_str("no such card; `tapvault-bank cards` lists them"),
            Self::TokenState(status) => write!(
                f,
                "the token is {}, which the command does not fit; it took no number. An inactive one can be activated, an \
                 active one suspended, a suspended one resumed, each of them deleted, and a deleted one issued again",
                status.name()
            ),
            Self::NotOffline => f.write_str("the card approves nothing offline; issue it with a balance"),
            Self::TooMuch => f.write_str("a card can be loaded with 12 digits in all"),
            Self::Bank(error) => error.fmt(f),
            Self::State(error) => write!(f, "nothing was signed: {error}"),
        }
    }
}

impl std::error::Error for CommandError {}

impl Issuer {
    /// The next command over a card's token; its number is stored before it is returned. What the phone may do
    /// meanwhile the issuer does not allow: from a suspension or deletion on, payments are declined. One that the phone
    /// would refuse takes no number, since the phone then obeys none of the next ones either.
    ///
    /// # Errors
    /// [`CommandError`]; nothing is commanded then.
    pub fn command(&mut self, card: CardId, action: TokenAction) -> Result<TokenCommand, CommandError> {
        let mut cards = self.cards.clone();
        let found = cards.iter_mut().find(|record| record.card == card.0);
        let record = found.ok_or(CommandError::UnknownCard)?;
        record.status = record.status.after(action).ok_or(CommandError::TokenState(record.status))?;
        record.commands = record.commands.saturating_add(1);
        let bank = Provider::new(record.provider).map_err(CommandError::Bank)?;
        let command = bank.command(card, record.key_version, record.commands, action);
        self.store(cards).map_err(CommandError::State)?;
        Ok(command)
    }
}

/// A card of a lab bank as ordered, under a token of 13 to 19 digits, with its keys of one version.
///
/// # Errors
/// [`IssueError::Digits`], [`IssueError::Profile`].
pub fn lab_profile(order: &Order, token: &str, key_version: u8) -> Result<CardProfile, IssueError> {
    let Order { bank, last_four, kind, holder, .. } = *order;
    let expiry = order.expiry.as_str();
    let month = expiry.get(2..).and_then(|month| month.parse::<u8>().ok());
    if !month.is_some_and(|month| (1..=12).contains(&month)) {
        return Err(IssueError::Digits);
    }
    let track2 = track2_of(token, expiry).ok_or(IssueError::Digits)?;
    let channels = Channel::ALL.into_iter().filter(|channel| order.rules.channels.contains(channel));
    let udk = |channel| {
        let master = bank.issuer_master_key(key_version, channel);
        suite::udk(kind.suite, kind.derivation, &master, token, PSN)
            .map(|udk| ChannelKey { channel, udk })
            .map_err(|_| IssueError::Digits)
    };
    let keys = match order.rules.limited_use {
        None => CardKeys::Udk(channels.map(udk).collect::<Result<_, _>>()?),
        Some(threshold) => CardKeys::LimitedUse(LimitedUse { channels: channels.collect(), threshold }),
    };
    let par = par(bank, order.card);
    let card = oda::Card {
        token,
        expiry: hex::decode(expiry)
            .ok()
            .and_then(|expiry| expiry.try_into().ok())
            .ok_or(IssueError::Digits)?,
        aip: AIP,
        key_version,
        par: &par,
        contact: None,
    };
    let oda = oda::make(kind.oda, bank, &card).map_err(|oda::NoKey| IssueError::NoRandomness)?;
    let label: &[u8] = match kind.product {
        Product::Debit => b"UnionPay Debit",
        Product::Credit => b"UnionPay Credit",
        Product::QuasiCredit => b"UnionPay Quasi",
    };
    let profile = CardProfile {
        format: CardProfile::FORMAT,
        key_version,
        suite: kind.suite,
        cvn: kind.cvn,
        product: kind.product,
        priority: 1,
        label: bytes(label)?,
        track2: bytes(&track2)?,
        psn: PSN,
        aip: AIP,
        currency: CNY,
        online_pin_allowed: holder.online_pin,
        signature_allowed: holder.signature,
        verification_from: holder.pin_from,
        verification_status: VerificationStatus::NotAllowed,
        keys,
        token: Token {
            par: bytes(par.as_bytes())?,
            requestor: REQUESTOR,
            active: order.rules.active,
            domain: order.rules.domain.clone(),
        },
        oda,
        offline: order.rules.offline,
        contact: None,
        last_four,
        art: bytes(b"lab-blue")?,
        issuer: bytes(format!("Lab Bank {}", bank.name()).as_bytes())?,
    };
    profile.check().map_err(IssueError::Profile)?;
    Ok(profile)
}

/// The payment account reference of the account behind a lab card: the controller's four characters, then 25 that tell
/// nothing of it.
fn par(bank: LabBank, card: CardId) -> String {
    let digest = Sha256::digest([b"tapvault lab account", &bank.id().0[..], &card.0].concat());
    let mut par = format!("TV0{}{}", bank.name(), hex::encode_upper(digest));
    par.truncate(PAR_LEN);
    par
}

/// A random card id.
///
/// # Errors
/// [`IssueError::NoRandomness`].
pub fn draw_card_id() -> Result<CardId, IssueError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|_| IssueError::NoRandomness)?;
    Ok(CardId(id))
}

/// Sixteen digits: the lab's range, nine random ones, the check digit of ISO/IEC 7812-1.
fn draw_token() -> Result<String, IssueError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|_| IssueError::NoRandomness)?;
    let digits = format!("{TOKEN_RANGE}{:09}", u64::from_be_bytes(random) % 1_000_000_000);
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let digit = u32::from(digit - b'0');
            let weighted = if at % 2 == 0 { 2 * digit } else { digit };
            weighted / 10 + weighted % 10
        })
        .sum();
    Ok(format!("{digits}{}", (10 - sum % 10) % 10))
}

pub(crate) fn bytes<const N: usize>(text: &[u8]) -> Result<Bytes<N>, IssueError> {
    Bytes::from_slice(text).map_err(|_| IssueError::Profile(Error::ProfileInvalid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_token_has_a_right_check_digit() {
        for _ in 0..50 {
            let token = draw_token().unwrap();
            let sum: u32 = token
                .bytes()
                .rev()
                .enumerate()
                .map(|(at, digit)| u32::from(digit - b'0') * if at % 2 == 1 { 2 } else { 1 })
                .map(|weighted| weighted / 10 + weighted % 10)
                .sum();
            assert_eq!((token.len(), sum % 10), (16, 0), "{token}");
        }
    }

    #[test]
    fn an_expiry_is_a_year_and_a_month() {
        for bad in ["", "31", "3100", "3113", "311", "31123", "3a12", "31+1"] {
            let order = Order {
                bank: LabBank::A,
                card: CardId([1; 16]),
                token: None,
                last_four: *b"4321",
                expiry: bad.into(),
                kind: CardKind::default(),
                holder: HolderRules::default(),
                rules: TokenRules::default(),
            };
            let profile = lab_profile(&order, "6299991234567890", 1);
            assert!(matches!(profile, Err(IssueError::Digits)), "{bad}");
        }
    }
}
