//! The contact test profile at the bank: makes one, and answers for it. It is kept apart from the phone's cards: no issuer's
//! state knows it, and none of its keys is a phone card's.

use crate::{
    lab::{ContactKey, first_16},
    oda::{self, ContactData},
    registry::{IssueError, Order, PSN, bytes, lab_profile},
    suite,
};
use sha2::{Digest, Sha256};
use tapvault_proto::{
    Error,
    contact::{ArpcMethod, CardPin, Contact},
    emv::contact::{CDOL1, CDOL2, DDOL},
    profile::{CardKeys, CardProfile, Key128},
};

/// Application interchange profile: dynamic data authentication, holder verification, terminal risk management, issuer
/// authentication (EMV Book 3, table 41).
pub const AIP: [u8; 2] = [0x3C, 0x00];
/// Cardholder verification, tag 8E: the card PIN where the terminal has a pad, else nothing; the next rule when one fails.
pub const CVM_LIST: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0x41, 0x03, 0x1F, 0x03];

/// What the holder of a test profile has, and how the issuer answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactRules {
    /// The card PIN, 4 to 12 digits: one that everybody knows.
    pub pin: String,
    /// Wrong ones until it is blocked, 1 to 15.
    pub pin_tries: u8,
    /// How the issuer answers.
    pub arpc: ArpcMethod,
    /// How many transactions in a row a terminal may take offline, tags 9F14 and 9F23: above the first it goes online where
    /// it can, above the second it declines where it cannot.
    pub offline_limits: [u8; 2],
}

impl Default for ContactRules {
    fn default() -> Self {
        Self { pin: "123456".into(), pin_tries: 3, arpc: ArpcMethod::One, offline_limits: [3, 5] }
    }
}

/// What the issuer has the card do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    /// Block the application.
    ApplicationBlock,
    /// Unblock it.
    ApplicationUnblock,
    /// Block the card for good.
    CardBlock,
    /// Give the card PIN its tries back.
    PinUnblock,
    /// Change the card PIN.
    PinChange {
        /// To this.
        new: String,
        /// And only from this.
        current: Option<String>,
    },
    /// Give a data object another value.
    PutData {
        /// Its tag.
        tag: u16,
        /// The value.
        value: Vec<u8>,
    },
    /// Replace a record.
    UpdateRecord {
        /// Short file identifier, 1 to 30.
        sfi: u8,
        /// Record number.
        number: u8,
        /// The record with its template.
        data: Vec<u8>,
    },
}

/// A test profile of a lab bank, as the bank knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestCard {
    /// Bank, expiry, suite, cryptogram version and key derivation.
    pub order: Order,
    /// Its number, 13 to 19 digits.
    pub token: String,
    /// Version of its keys.
    pub key_version: u8,
    /// What is of contact terminals alone.
    pub rules: ContactRules,
}

impl TestCard {
    /// What is sealed for the card.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn profile(&self) -> Result<CardProfile, IssueError> {
        let mut profile = lab_profile(&self.order, &self.token, self.key_version)?;
        let par = String::from_utf8_lossy(&profile.token.par);
        let [lower, upper] = self.rules.offline_limits;
        let card = oda::Card {
            token: &self.token,
            expiry: profile.expiry().ok_or(IssueError::Digits)?,
            aip: AIP,
            key_version: self.key_version,
            par: &par,
            contact: Some(ContactData {
                psn: PSN,
                track2: &profile.track2,
                objects: &[(0x8C, &CDOL1), (0x8D, &CDOL2), (0x8E, &CVM_LIST), (0x9F49, &DDOL)],
                unsigned: &[(0x9F14, &[lower]), (0x9F23, &[upper])],
            }),
        };
        let oda = oda::make(self.order.kind.oda, self.order.bank, &card);
        profile.oda = oda.map_err(|oda::NoKey| IssueError::NoRandomness)?;
        profile.aip = AIP;
        profile.keys = CardKeys::Udk([].into_iter().collect());
        profile.label = bytes(b"Contact Test")?;
        profile.contact = Some(Contact {
            udk: self.key(ContactKey::Cryptogram),
            mac: self.key(ContactKey::Mac),
            encryption: self.key(ContactKey::Encryption),
            pin: CardPin::from_ascii(self.rules.pin.as_bytes()).ok_or(IssueError::Digits)?,
            pin_tries: self.rules.pin_tries,
            arpc: self.rules.arpc,
        });
        profile.check().map_err(IssueError::Profile)?;
        Ok(profile)
    }

    /// One of its keys.
    #[must_use]
    pub fn key(&self, purpose: ContactKey) -> Key128 {
        let master = self.order.bank.contact_master_key(self.key_version, purpose);
        let kind = self.order.kind;
        // A number that is none makes no profile; whatever key this is, no card has it.
        suite::udk(kind.suite, kind.derivation, &master, &self.token, PSN)
            .unwrap_or_else(|_| Key128::new(first_16(&Sha256::digest(&self.token).into())))
    }

    /// The cryptogram over these data: [`crate::request::AuthorisationRequest::covered`].
    #[must_use]
    pub fn cryptogram(&self, atc: u16, covered: &[u8]) -> [u8; 8] {
        suite::cryptogram(self.order.kind.suite, &self.key(ContactKey::Cryptogram), atc, covered)
    }

    /// Issuer authentication data, tag 91, of method 1: the answer and the response code, 10 bytes.
    #[must_use]
    pub fn answer(&self, atc: u16, cryptogram: &[u8; 8], arc: [u8; 2]) -> Vec<u8> {
        let udk = self.key(ContactKey::Cryptogram);
        [&suite::arpc(self.order.kind.suite, &udk, atc, cryptogram, arc)[..], &arc].concat()
    }

    /// Issuer authentication data of method 2: the answer, and `status` behind it: card status update and up to 8 bytes
    /// more.
    #[must_use]
    pub fn answer_with_status(&self, atc: u16, cryptogram: &[u8; 8], status: &[u8]) -> Vec<u8> {
        let udk = self.key(ContactKey::Cryptogram);
        let suite = self.order.kind.suite;
        [&suite::arpc_with_status(suite, &udk, atc, cryptogram, status)[..], status].concat()
    }

    /// A script command for the transaction with this counter and first cryptogram, with its MAC.
    ///
    /// # Errors
    /// [`Error::PinFormat`]; [`Error::BadParameters`] for more than 251 bytes of data, or no short file identifier.
    pub fn script(&self, atc: u16, cryptogram: &[u8; 8], script: &Script) -> Result<Vec<u8>, Error> {
        let (suite, to) = (self.order.kind.suite, (atc, cryptogram));
        let (header, data) = match script {
            Script::ApplicationBlock => ([0x84, 0x1E, 0, 0], Vec::new()),
            Script::ApplicationUnblock => ([0x84, 0x18, 0, 0], Vec::new()),
            Script::CardBlock => ([0x84, 0x16, 0, 0], Vec::new()),
            Script::PinUnblock => ([0x84, 0x24, 0, 0], Vec::new()),
            Script::PinChange { new, current } => {
                let key = self.key(ContactKey::Encryption);
                let enciphered = suite::script_pin(suite, &key, to, new, current.as_deref());
                let p2 = if current.is_some() { 1 } else { 2 };
                ([0x84, 0x24, 0, p2], enciphered.ok_or(Error::PinFormat)?.to_vec())
            }
            Script::PutData { tag, value } => {
                let [high, low] = tag.to_be_bytes();
                ([0x04, 0xDA, high, low], value.clone())
            }
            Script::UpdateRecord { sfi: sfi @ 1..=30, number, data } => {
                ([0x04, 0xDC, *number, sfi << 3 | 4], data.clone())
            }
            Script::UpdateRecord { .. } => return Err(Error::BadParameters),
        };
        let mac = suite::script_mac(suite, &self.key(ContactKey::Mac), to, header, &data);
        let lc = u8::try_from(data.len() + mac.len()).map_err(|_| Error::BadParameters)?;
        Ok([&header[..], &[lc], &data, &mac].concat())
    }
}
