//! The bank's security module: the one place where a PIN is in the clear at a bank, where a token becomes the account
//! number behind it, and where a PIN is compared.
//!
//! It gives phones their keys for PIN blocks ([`Hsm::phone_key`]), turns a phone's block for a token into a block for
//! the account number under a key of the network's ([`Hsm::translate`]), or compares ([`Hsm::check`]). A block is good
//! once, whatever comes of it.

pub mod block;
pub mod dukpt;
mod refusal;

pub use refusal::Refusal;

use crate::lab::{LabBank, first_16};
use aes::{
    Aes128,
    cipher::{Array, KeyInit},
};
use cmac::{Cmac, Mac};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use subtle::ConstantTimeEq;
use tapvault_proto::{
    bank_pin::{BankPinBlock, IDENTIFIER_LEN, PinBlockFormat, PinKey},
    profile::Key128,
};

/// Comparisons before a bank PIN is blocked.
pub const TRIES: u8 = 3;

/// A phone's key.
struct Phone {
    format: PinBlockFormat,
    /// Counter of the last block seen.
    last: u32,
}

/// What is behind a token.
struct Account {
    number: String,
    bank: LabBank,
    /// What is kept in place of the PIN, where there is one.
    reference: Option<[u8; 16]>,
    tries_left: u8,
}

/// A bank's security module. Its keys are wiped when dropped; there is no `Debug`.
pub struct Hsm {
    bank: LabBank,
    base: Key128,
    verification: Key128,
    phones: BTreeMap<[u8; IDENTIFIER_LEN], Phone>,
    accounts: BTreeMap<String, Account>,
}

impl Hsm {
    /// The module of a lab bank, whose keys anybody can compute: the first 16 bytes of SHA-256("tapvault lab PIN base
    /// key A"), and of "… PIN verification key A".
    #[must_use]
    pub fn lab(bank: LabBank) -> Self {
        let key = |what: &str| {
            let label = format!("tapvault lab PIN {what} key {}", bank.name());
            Key128::new(first_16(&Sha256::digest(label).into()))
        };
        Self {
            bank,
            base: key("base"),
            verification: key("verification"),
            phones: BTreeMap::new(),
            accounts: BTreeMap::new(),
        }
    }

    /// A key for one phone, of an identifier that no other has: the bank's four bytes, and four drawn ones.
    ///
    /// # Errors
    /// [`Refusal::NoRandomness`].
    pub fn phone_key(&mut self, format: PinBlockFormat) -> Result<PinKey, Refusal> {
        let identifier = loop {
            let mut drawn = [0; 4];
            getrandom::fill(&mut drawn).map_err(|_| Refusal::NoRandomness)?;
            let [a, b, c, d, ..] = self.bank.id().0;
            let [e, f, g, h] = drawn;
            let identifier = [a, b, c, d, e, f, g, h];
            if !self.phones.contains_key(&identifier) {
                break identifier;
            }
        };
        self.phones.insert(identifier, Phone { format, last: 0 });
        Ok(PinKey { format, identifier, initial: dukpt::initial_key(&self.base, identifier) })
    }

    /// Says which account is behind a token; its PIN, ASCII digits, if it has one.
    pub fn enter(&mut self, token: &str, number: &str, pin: Option<&str>) {
        let digits = |pin: &str| block::Digits::new(pin.bytes().map(|digit| digit & 0x0F).collect());
        let reference = pin.map(|pin| self.reference(number, &digits(pin)));
        let account = Account { number: number.into(), bank: self.bank, reference, tries_left: TRIES };
        self.accounts.insert(token.into(), account);
    }

    /// Turns a phone's block for a token into a block for the account number, under a key of the network's zone.
    ///
    /// # Errors
    /// [`Refusal`]; the block is used up all the same.
    pub fn translate(
        &mut self,
        block: &BankPinBlock,
        token: &str,
        (format, zone): (PinBlockFormat, &Key128),
    ) -> Result<Vec<u8>, Refusal> {
        let pin = self.open(block, token)?;
        let account = self.accounts.get(token).ok_or(Refusal::UnknownToken)?;
        block::write(format, zone, &account.number, &pin).ok_or(Refusal::NoRandomness)
    }

    /// Compares the PIN in a phone's block with the account's.
    ///
    /// # Errors
    /// [`Refusal`]; the block is used up all the same.
    pub fn check(&mut self, block: &BankPinBlock, token: &str) -> Result<(), Refusal> {
        let pin = self.open(block, token)?;
        let account = self.accounts.get(token).ok_or(Refusal::UnknownToken)?;
        let reference = account.reference.ok_or(Refusal::NoReference)?;
        let left = account.tries_left.checked_sub(1).ok_or(Refusal::Blocked)?;
        let right = bool::from(self.reference(&account.number, &pin).ct_eq(&reference));
        let account = self.accounts.get_mut(token).ok_or(Refusal::UnknownToken)?;
        account.tries_left = if right { TRIES } else { left };
        if right { Ok(()) } else { Err(Refusal::WrongPin) }
    }

    /// The PIN in a block. Its counter is used up before anything is deciphered.
    fn open(&mut self, sent: &BankPinBlock, token: &str) -> Result<block::Digits, Refusal> {
        let BankPinBlock { format, identifier, counter, block } = sent;
        let phone = self.phones.get_mut(identifier).ok_or(Refusal::UnknownKey)?;
        if *format != phone.format || block.len() != format.block_len() {
            return Err(Refusal::OtherFormat);
        }
        if !dukpt::is_counter(*counter) {
            return Err(Refusal::Counter);
        }
        if *counter <= phone.last {
            return Err(Refusal::Replayed);
        }
        phone.last = *counter;
        let account = self.accounts.get(token).ok_or(Refusal::UnknownToken)?;
        if account.bank != self.bank {
            return Err(Refusal::OtherBank);
        }
        let key = dukpt::working_key(&self.base, *identifier, *counter, *format);
        block::read(*format, &key, token, block).ok_or(Refusal::Malformed)
    }

    /// What is kept in place of a PIN: AES-CMAC over number and digits. All digits count, unlike in a PVV, which knows
    /// four.
    fn reference(&self, number: &str, pin: &block::Digits) -> [u8; 16] {
        let mut mac = <Cmac<Aes128> as KeyInit>::new(&Array(*self.verification.expose()));
        mac.update(number.as_bytes());
        mac.update(b"/");
        mac.update(pin);
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests;
