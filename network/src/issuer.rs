//! The issuer: checks that a payment was made by a card it issued, once, and as the card says.

use crate::{
    binding::Bindings,
    registry::CNY,
    request::{AuthorisationRequest, IssuerData, token_of, track2_of},
    state::{CardRecord, CardStatus, StateError, StateFile},
    suite,
};
use serde::Serialize;
use std::{
    fmt,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};
use subtle::ConstantTimeEq;
use tapvault_proto::{emv::qr::LIFE, token::Channel};

/// CVR byte 2 of our cards: second cryptogram not requested, first one an ARQC.
const CVR_ARQC: u8 = 0xA0;
/// CVR byte 2 bit 3: the wallet PIN was verified.
const CVR_PIN_VERIFIED: u8 = 0x04;
/// Seconds that a card's clock may be ahead of the issuer's. It is set by a time statement, which counts from when its
/// nonce was drawn: one that is held back longer makes codes from the future, and those are declined.
const AHEAD: u64 = 10;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident, $arc:literal, $text:literal;)*) => {
        /// Why a payment was declined.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Reason { $($(#[doc = $doc])+ $name),* }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The response code, ISO 8583 field 39: two ASCII characters.
            #[must_use]
            pub const fn arc(self) -> &'static str {
                match self { $(Self::$name => $arc),* }
            }
        }

        impl fmt::Display for Reason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $text),* })
            }
        }
    };
}

reasons! {
    /// Tag 57 holds no token.
    MalformedTrack2, "30", "track 2 holds no token; the request was altered or is not from a card";
    /// No such token.
    UnknownCard, "14", "no card with this token; issue it with this state file";
    /// Track 2 or 5F34 differ from what was issued.
    WrongCardData, "14", "expiry, service code or sequence number are not as issued; the request was altered";
    /// The token is not active.
    CardBlocked, "62", "the token is inactive, suspended or deleted; its bank activates, resumes or issues it";
    /// Tag 9F10 is not what our cards send.
    MalformedIad, "30", "issuer application data are not those of our cards";
    /// The cryptogram's type does not ask the issuer.
    NotOnlineRequest, "05", "the card did not ask the issuer: its results do not say ARQC";
    /// The keys are older or newer than the last issue.
    WrongKeyVersion, "05", "the card's keys are not the ones issued last; install the last package";
    /// The cryptogram is not this card's over these data.
    WrongCryptogram, "05", "the cryptogram does not fit: altered data or a forged card";
    /// The card has limited-use keys, and none was given out for this counter.
    KeyNotGiven, "05", "no limited-use key was given out for this counter: a key that was taken elsewhere";
    /// The counter was approved before, or is of a tap and not above the highest one, or is too old to be known.
    ReplayedAtc, "94", "the transaction counter was used or passed before: a replay, or a copied card";
    /// A code is older than its life, or from the future.
    CodeExpired, "54", "the code is too old, or not yet good: the holder shows a new one";
    /// Without a terminal that decides otherwise, the card must have verified its holder.
    HolderNotVerified, "05", "the card did not verify its holder, which this way to pay always wants";
    /// More than a code may be charged with.
    OverCodeLimit, "61", "more than the token service lets one code pay";
    /// CTQ and CVR disagree on the wallet PIN.
    VerificationMismatch, "05", "the qualifiers and the card's results disagree on the holder's verification";
    /// The card has no rules for offline approval, and its keys never made one.
    NotOfflineCard, "05", "the card approves nothing offline";
    /// The cryptogram's type does not approve.
    NotOfflineApproval, "05", "the card did not approve offline: its results do not say TC";
    /// Cards approve offline in their own currency.
    ForeignCurrency, "05", "the card approves offline in its own currency only; the record was altered";
    /// More than was loaded for offline payments.
    OverLoaded, "61", "more than was ever loaded into the card for offline payments";
    /// The new counter could not be stored.
    StateNotStored, "96", "the counter could not be stored, so nothing is approved; check the state file";
}

/// What the issuer answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Paid; the counter is already stored.
    Approved {
        /// The issuer's cryptogram over ARQC and "00", method 1.
        arpc: [u8; 8],
        /// The counter.
        atc: u16,
        /// Whether the phone verified the holder.
        holder_verified: bool,
    },
    /// Not paid.
    Declined(Reason),
}

impl Decision {
    /// The response code, ISO 8583 field 39.
    #[must_use]
    pub const fn arc(&self) -> &'static str {
        match self {
            Self::Approved { .. } => "00",
            Self::Declined(reason) => reason.arc(),
        }
    }

    /// Whether it is paid.
    #[must_use]
    pub const fn is_approved(&self) -> bool {
        matches!(self, Self::Approved { .. })
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Approved { atc, holder_verified, .. } => {
                let holder =
                    if *holder_verified { "holder verified by wallet PIN" } else { "holder not verified" };
                write!(f, "approved (00): payment {atc} of this card, {holder}")
            }
            Self::Declined(reason) => write!(f, "declined ({}): {reason}", reason.arc()),
        }
    }
}

/// The issuer of the lab banks' cards.
#[derive(Debug, Default)]
pub struct Issuer {
    pub(crate) cards: Vec<CardRecord>,
    pub(crate) bindings: Bindings,
    // Without a file the state ends with the process: for tests.
    file: Option<StateFile>,
}

impl Issuer {
    /// An issuer that remembers nothing after this process; for tests.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// The issuer of an existing state file. Other commands wait until it is dropped.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let (file, cards, bindings) = StateFile::open(path, false)?;
        Ok(Self { cards, bindings, file: Some(file) })
    }

    /// As [`Self::open`]; a missing file is an issuer without cards.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn open_or_create(path: &Path) -> Result<Self, StateError> {
        let (file, cards, bindings) = StateFile::open(path, true)?;
        Ok(Self { cards, bindings, file: Some(file) })
    }

    /// The cards issued, in order of first issue.
    #[must_use]
    pub fn cards(&self) -> &[CardRecord] {
        &self.cards
    }

    /// Decides on a payment. The counter is on the disk before an approval is returned: a power cut may
    /// lose an approval, never allow a second one. A declined request changes nothing.
    #[must_use]
    pub fn authorise(&mut self, request: &AuthorisationRequest) -> Decision {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.authorise_at(request, now.as_secs())
    }

    /// As [`Self::authorise`], at `now`, in seconds since 1970 UTC.
    #[must_use]
    pub fn authorise_at(&mut self, request: &AuthorisationRequest, now: u64) -> Decision {
        match self.check(request, now) {
            Ok(accepted) => {
                let Accepted { position, arpc, atc, holder_verified } = accepted;
                let mut cards = self.cards.clone();
                if let Some(card) = cards.get_mut(position) {
                    card.spend(atc, request.channel);
                    if let Some(offline) = &mut card.offline {
                        offline.used.insert(atc, 0);
                    }
                }
                match self.store(cards) {
                    Ok(()) => Decision::Approved { arpc, atc, holder_verified },
                    Err(_) => Decision::Declined(Reason::StateNotStored),
                }
            }
            Err(reason) => Decision::Declined(reason),
        }
    }

    /// Puts new records in force once they are stored.
    pub(crate) fn store(&mut self, cards: Vec<CardRecord>) -> Result<(), StateError> {
        if let Some(file) = &self.file {
            file.store(&cards, &self.bindings)?;
        }
        self.cards = cards;
        Ok(())
    }

    /// Puts new bindings in force once they are stored.
    pub(crate) fn store_bindings(&mut self, bindings: Bindings) -> Result<(), StateError> {
        if let Some(file) = &self.file {
            file.store(&self.cards, &bindings)?;
        }
        self.bindings = bindings;
        Ok(())
    }

    /// The card that a request is of, and its results; nothing is verified yet.
    pub(crate) fn identify(
        &self,
        request: &AuthorisationRequest,
    ) -> Result<(usize, &CardRecord, IssuerData), Reason> {
        let token = token_of(&request.track2).ok_or(Reason::MalformedTrack2)?;
        let found = self.cards.iter().enumerate().find(|(_, card)| card.token == token);
        let (position, card) = found.ok_or(Reason::UnknownCard)?;
        let issued = track2_of(&card.token, &card.expiry);
        if issued.as_ref() != Some(&request.track2) || request.psn != [card.psn] {
            return Err(Reason::WrongCardData);
        }
        let iad = IssuerData::parse(&request.issuer_data).ok_or(Reason::MalformedIad)?;
        if iad.cvn != card.kind.cvn as u8 || iad.algorithm != card.kind.suite.algorithm() {
            return Err(Reason::MalformedIad);
        }
        if iad.key_version != card.key_version {
            return Err(Reason::WrongKeyVersion);
        }
        Ok((position, card, iad))
    }

    fn check(&self, request: &AuthorisationRequest, now: u64) -> Result<Accepted, Reason> {
        let (position, card, iad) = self.identify(request)?;
        if card.status != CardStatus::Active {
            return Err(Reason::CardBlocked);
        }
        let holder_verified = holder_of(iad.cvr, CVR_ARQC, Reason::NotOnlineRequest)?;
        let (arpc, atc) = verify(card, &iad, request)?;
        // Below here the request is the card's own; a replay is told from a forgery.
        if card.limited_use.as_ref().is_some_and(|limited| atc > limited.given) {
            return Err(Reason::KeyNotGiven);
        }
        let cleared = card.offline.as_ref().is_some_and(|offline| offline.is_used(atc));
        if cleared || !card.is_unused(atc, request.channel) {
            return Err(Reason::ReplayedAtc);
        }
        match request.channel {
            Channel::Nfc => {
                if request.ctq_claims_phone() != holder_verified {
                    return Err(Reason::VerificationMismatch);
                }
            }
            _ if !holder_verified => return Err(Reason::HolderNotVerified),
            Channel::Qr => check_code(card, request, now)?,
            Channel::InApp | Channel::Wallet => {}
        }
        Ok(Accepted { position, arpc, atc, holder_verified })
    }
}

/// What only the issuer's side can check of a code: how old it is, and what it is charged with.
fn check_code(card: &CardRecord, request: &AuthorisationRequest, now: u64) -> Result<(), Reason> {
    let made = u64::from(u32::from_be_bytes(request.unpredictable));
    if now > made.saturating_add(LIFE) || made > now.saturating_add(AHEAD) {
        return Err(Reason::CodeExpired);
    }
    let within = |limit: u64| {
        request.amount_minor().is_some_and(|amount| amount <= limit) && request.currency == CNY.to_be_bytes()
    };
    if card.code_limit.is_none_or(within) { Ok(()) } else { Err(Reason::OverCodeLimit) }
}

struct Accepted {
    position: usize,
    arpc: [u8; 8],
    atc: u16,
    holder_verified: bool,
}

/// Whether the card says that the wallet PIN was verified. Of a `wanted` type of cryptogram our cards send two values
/// only; another type is `other`.
pub(crate) fn holder_of(cvr: [u8; 4], wanted: u8, other: Reason) -> Result<bool, Reason> {
    match cvr {
        [_, result, 0, 0] if result == wanted => Ok(false),
        [_, result, 0, 0] if result == wanted | CVR_PIN_VERIFIED => Ok(true),
        [_, result, ..] if result & 0xF0 != wanted => Err(other),
        _ => Err(Reason::MalformedIad),
    }
}

/// Checks the cryptogram in constant time; returns the ARPC and the counter.
pub(crate) fn verify(
    card: &CardRecord,
    iad: &IssuerData,
    request: &AuthorisationRequest,
) -> Result<([u8; 8], u16), Reason> {
    let atc = u16::from_be_bytes(request.atc);
    let master = card.provider.issuer_master_key(card.key_version, request.channel);
    let kind = card.kind;
    let udk = suite::udk(kind.suite, kind.derivation, &master, &card.token, card.psn)
        .map_err(|_| Reason::WrongCardData)?;
    let expected = suite::cryptogram(kind.suite, &udk, atc, &request.covered(kind.cvn, iad.cvr));
    if !bool::from(expected.ct_eq(&request.cryptogram)) {
        return Err(Reason::WrongCryptogram);
    }
    Ok((suite::arpc(kind.suite, &udk, atc, &request.cryptogram, *b"00"), atc))
}
