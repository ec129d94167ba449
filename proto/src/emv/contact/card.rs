//! What the contact application asks of a card, and what it tells it: a transaction so far, the issuer's answer, scripts.

use super::{CDOL1_DATA_LEN, CDOL2_DATA_LEN};
use crate::{
    emv::{
        apdu::{Command, Response, StatusWord},
        results::Cryptogram,
    },
    wire::Bytes,
};
use core::ops::RangeInclusive;

/// Whether the issuer let a card go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// It is in use.
    None,
    /// Its application is blocked: it declines everything until it is unblocked.
    Application,
    /// It is blocked for good.
    Card,
}

/// What a card answers the same way all session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactAnswers {
    /// Name of the application.
    pub name: Bytes<16>,
    /// File control information of the environment.
    pub environment: Bytes<96>,
    /// The one record of its directory.
    pub directory: Bytes<96>,
    /// File control information of the application.
    pub fci: Bytes<192>,
    /// Tag 82.
    pub aip: [u8; 2],
    /// Tag 94.
    pub afl: Bytes<16>,
}

/// What the card holds of the issuer in this transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerAnswer {
    /// No answer came.
    None,
    /// A wrong one came.
    Wrong,
    /// The right one came.
    Right {
        /// Whether it approves.
        approves: bool,
        /// The authorisation response code it is bound to; method 2 binds none.
        arc: Option<[u8; 2]>,
    },
}

/// What became of transactions before this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// None was ever online.
    pub new_card: bool,
    /// The last online one was not completed.
    pub incomplete: bool,
    /// The issuer's answer was wrong.
    pub issuer_failed: bool,
    /// Offline data authentication failed.
    pub dda_failed: bool,
}

/// A transaction, from GET PROCESSING OPTIONS on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its counter, tag 9F36.
    pub atc: u16,
    /// What was before.
    pub history: History,
    /// The card PIN that was presented last was right, or wrong.
    pub pin: Option<bool>,
    /// Dynamic data were signed.
    pub dda: bool,
    /// The first cryptogram.
    pub first: Option<(Cryptogram, [u8; 8])>,
    /// The issuer's answer.
    pub issuer: IssuerAnswer,
    /// The second cryptogram.
    pub second: Option<Cryptogram>,
    /// A script had a wrong MAC; none is taken any more.
    pub scripts_over: bool,
}

impl Transaction {
    /// One that just began.
    #[must_use]
    pub const fn new(atc: u16, history: History) -> Self {
        let (pin, dda, first, issuer) = (None, false, None, IssuerAnswer::None);
        Self { atc, history, pin, dda, first, issuer, second: None, scripts_over: false }
    }

    /// Whether the issuer was asked, and the card waits for what becomes of it.
    pub(super) const fn is_online(&self) -> bool {
        matches!(self.first, Some((Cryptogram::Arqc, _))) && self.second.is_none()
    }
}

/// An issuer's script command: its header was looked at, its MAC was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// APPLICATION BLOCK.
    ApplicationBlock,
    /// APPLICATION UNBLOCK.
    ApplicationUnblock,
    /// CARD BLOCK.
    CardBlock,
    /// PIN CHANGE/UNBLOCK without data: the card PIN gets its tries back.
    PinUnblock,
    /// PIN CHANGE/UNBLOCK with an enciphered PIN.
    PinChange {
        /// Whether the present PIN is in it as well.
        with_current: bool,
    },
    /// PUT DATA: a data object gets another value.
    PutData {
        /// Its tag.
        tag: u16,
    },
    /// UPDATE RECORD: a record is replaced, template and all.
    UpdateRecord {
        /// Short file identifier.
        sfi: u8,
        /// Record number, from 1 on.
        number: u8,
    },
}

/// Length of a script's MAC.
pub const SCRIPT_MAC_LEN: usize = 4;
/// Length of an enciphered PIN in a script.
pub const SCRIPT_PIN_LEN: usize = 16;
/// Longest data of a script in front of its MAC: Lc is one byte.
pub const MAX_SCRIPT_DATA: usize = 255 - SCRIPT_MAC_LEN;

impl Script {
    /// The script of a command's header, and the lengths that its data in front of the MAC may have. PUT DATA and UPDATE
    /// RECORD come in class 04, as ISO/IEC 7816-4 has them, the others in EMV's 84.
    ///
    /// # Errors
    /// [`StatusWord::UnknownInstruction`], [`StatusWord::WrongParameters`].
    pub fn of(command: &Command<'_>) -> Result<(Self, RangeInclusive<usize>), StatusWord> {
        let (none, pin, any) = (0..=0, SCRIPT_PIN_LEN..=SCRIPT_PIN_LEN, 1..=MAX_SCRIPT_DATA);
        match (command.cla, command.ins, command.p1, command.p2) {
            (0x84, 0x1E, 0, 0) => Ok((Self::ApplicationBlock, none)),
            (0x84, 0x18, 0, 0) => Ok((Self::ApplicationUnblock, none)),
            (0x84, 0x16, 0, 0) => Ok((Self::CardBlock, none)),
            (0x84, 0x24, 0, 0) => Ok((Self::PinUnblock, none)),
            (0x84, 0x24, 0, 1) => Ok((Self::PinChange { with_current: true }, pin)),
            (0x84, 0x24, 0, 2) => Ok((Self::PinChange { with_current: false }, pin)),
            (0x04, 0xDA, p1, p2) => Ok((Self::PutData { tag: u16::from_be_bytes([p1, p2]) }, any)),
            (0x04, 0xDC, number @ 1.., p2) if p2 & 0x07 == 0x04 => {
                Ok((Self::UpdateRecord { sfi: p2 >> 3, number }, any))
            }
            (0x84, 0x1E | 0x18 | 0x16 | 0x24, ..) | (0x04, 0xDC, ..) => Err(StatusWord::WrongParameters),
            _ => Err(StatusWord::UnknownInstruction),
        }
    }
}

/// What a card does with its keys and its storage. A call that fails leaves transaction and card as they were, but for
/// what the failure itself is to leave.
pub trait ContactCard {
    /// Whether the issuer blocked it.
    ///
    /// # Errors
    /// [`StatusWord::NoDiagnosis`].
    fn block(&self) -> Result<Block, StatusWord>;

    /// Its static answers.
    ///
    /// # Errors
    /// [`StatusWord::NoDiagnosis`].
    fn answers(&self) -> Result<ContactAnswers, StatusWord>;

    /// A record of the application, with its template.
    ///
    /// # Errors
    /// [`StatusWord::NotFound`] for a file, [`StatusWord::RecordNotFound`] for a record that there is not.
    fn record(&self, sfi: u8, number: u8) -> Result<Response, StatusWord>;

    /// The value of a data object: 9F36, 9F13, 9F17, 9F4F, and those that a script may change.
    ///
    /// # Errors
    /// [`StatusWord::DataNotFound`] for any other.
    fn data(&self, tag: u16) -> Result<Bytes<16>, StatusWord>;

    /// Begins a transaction: takes a counter.
    ///
    /// # Errors
    /// [`StatusWord::ConditionsNotSatisfied`] when there is none, or the token may not be used.
    fn begin(&mut self) -> Result<Transaction, StatusWord>;

    /// Compares the card PIN; the tries that are left when it is wrong.
    ///
    /// # Errors
    /// [`StatusWord::PinBlocked`], and then nothing is compared.
    fn verify(&mut self, transaction: &mut Transaction, block: &[u8; 8]) -> Result<Option<u8>, StatusWord>;

    /// A random number.
    fn challenge(&mut self) -> [u8; 8];

    /// Signs dynamic data.
    ///
    /// # Errors
    /// [`StatusWord::NoDiagnosis`].
    fn sign(&mut self, transaction: &mut Transaction, unpredictable: [u8; 4])
    -> Result<Response, StatusWord>;

    /// The first GENERATE AC.
    ///
    /// # Errors
    /// [`StatusWord::WrongData`] for an amount that is none.
    fn first_cryptogram(
        &mut self,
        transaction: &mut Transaction,
        asked: Cryptogram,
        data: &[u8; CDOL1_DATA_LEN],
    ) -> Result<Response, StatusWord>;

    /// EXTERNAL AUTHENTICATE.
    ///
    /// # Errors
    /// [`StatusWord::WrongLength`]; [`StatusWord::AuthenticationFailed`].
    fn issuer_answer(&mut self, transaction: &mut Transaction, data: &[u8]) -> Result<(), StatusWord>;

    /// The second GENERATE AC.
    ///
    /// # Errors
    /// [`StatusWord::WrongData`] for an amount that is none.
    fn second_cryptogram(
        &mut self,
        transaction: &mut Transaction,
        asked: Cryptogram,
        data: &[u8; CDOL2_DATA_LEN],
    ) -> Result<Response, StatusWord>;

    /// Carries out a script command of the right length when its MAC is right.
    ///
    /// # Errors
    /// [`StatusWord::WrongMac`]; [`StatusWord::WrongData`] for what is no PIN, no value or no record of this kind. Of what is
    /// not there, or may not be changed: [`StatusWord::DataNotFound`], [`StatusWord::NotFound`],
    /// [`StatusWord::RecordNotFound`], [`StatusWord::SecurityNotSatisfied`].
    fn script(
        &mut self,
        transaction: &mut Transaction,
        script: Script,
        command: &Command<'_>,
    ) -> Result<(), StatusWord>;
}
