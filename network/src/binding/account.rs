//! The accounts behind the lab's cards: what a bank knows and a binding is held against.

use crate::{calendar, lab::LabBank};
use serde::Deserialize;
use std::{fmt, fs, io::Read, path::Path};
use subtle::ConstantTimeEq;
use tapvault_proto::binding::CardData;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Longest file of accounts in bytes.
pub const MAX_FILE: u64 = 1 << 20;

/// One account with its card. There is no `Debug`: it would print a CVN2.
pub struct Account {
    /// Names it in the bank's own files: never the number.
    pub id: String,
    /// Its bank.
    pub bank: LabBank,
    /// Its holder's name.
    pub name: String,
    /// The number of the document its holder identified with.
    pub document: String,
    /// Where codes are sent.
    pub phone: String,
    card: CardData,
}

impl Account {
    /// Whether expiry and CVN2 are this card's, in a time that does not depend on them.
    #[must_use]
    pub fn fits(&self, data: &CardData) -> bool {
        let ((ours, our_len), (theirs, their_len)) = (self.card.expose_cvn2(), data.expose_cvn2());
        let fits = ours.ct_eq(theirs)
            & our_len.ct_eq(&their_len)
            & self.card.expose_expiry().ct_eq(data.expose_expiry());
        fits.into()
    }

    /// Whether the card may be used at `now`, in seconds since 1970 UTC: to the end of the month printed on it.
    #[must_use]
    pub fn is_valid_at(&self, now: u64) -> bool {
        let [year, month, _] = calendar::date(now);
        hex::decode(self.expiry()).is_ok_and(|expiry| expiry.as_slice() >= &[year, month][..])
    }

    /// Its expiry, YYMM.
    #[must_use]
    pub fn expiry(&self) -> String {
        String::from_utf8_lossy(self.card.expose_expiry()).into_owned()
    }

    /// The last four digits of its number.
    #[must_use]
    pub fn last_four(&self) -> [u8; 4] {
        self.card.expose_number().last_chunk().copied().unwrap_or_default()
    }
}

/// Why a file of accounts was not read.
#[derive(Debug)]
pub struct AccountsError(String);

impl fmt::Display for AccountsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AccountsError {}

/// All accounts.
pub struct Accounts(Vec<Account>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    accounts: Vec<Entry>,
}

#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct Entry {
    account: String,
    #[zeroize(skip)]
    bank: LabBank,
    number: String,
    expiry: String,
    cvn2: String,
    name: String,
    document: String,
    phone: String,
}

impl Accounts {
    /// Reads a file.
    ///
    /// # Errors
    /// [`AccountsError`], which quotes nothing of the file.
    pub fn open(path: &Path) -> Result<Self, AccountsError> {
        let failed = |error: &dyn fmt::Display| AccountsError(format!("{}: {error}", path.display()));
        let mut bytes = Zeroizing::new(Vec::new());
        let file = fs::File::open(path).map_err(|error| failed(&error))?;
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(failed(&format!("longer than {MAX_FILE} bytes")));
        }
        Self::parse(&bytes).map_err(|error| failed(&error))
    }

    /// Reads the JSON of a file.
    ///
    /// # Errors
    /// [`AccountsError`] for another shape, card data that are none, or a number or name that comes twice.
    pub fn parse(json: &[u8]) -> Result<Self, AccountsError> {
        // The parser's own message would quote the value it stopped at.
        let file: File = serde_json::from_slice(json).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            AccountsError(format!("no accounts: line {line}, column {column}; docs/binding.md shows a file"))
        })?;
        let mut accounts: Vec<Account> = Vec::new();
        for entry in file.accounts {
            let broken = |what: &str| AccountsError(format!("account {}: {what}", entry.account));
            let card =
                CardData::from_ascii(entry.number.as_bytes(), entry.expiry.as_bytes(), entry.cvn2.as_bytes());
            let card = card.map_err(|error| broken(error.advice()))?;
            let number = card.expose_number();
            let twice = |other: &Account| other.id == entry.account || other.card.expose_number() == number;
            if entry.account.is_empty() || accounts.iter().any(twice) {
                return Err(broken("its name is empty, or name or number came before"));
            }
            accounts.push(Account {
                id: entry.account.clone(),
                bank: entry.bank,
                name: entry.name.clone(),
                document: entry.document.clone(),
                phone: entry.phone.clone(),
                card,
            });
        }
        Ok(Self(accounts))
    }

    /// The account of a bank with a card number.
    #[must_use]
    pub fn by_number(&self, bank: LabBank, number: &[u8]) -> Option<&Account> {
        let found = |account: &&Account| account.bank == bank && account.card.expose_number() == number;
        self.0.iter().find(found)
    }

    /// The account of a name.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&Account> {
        self.0.iter().find(|account| account.id == id)
    }
}
