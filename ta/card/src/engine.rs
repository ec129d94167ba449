//! What every way to pay has in common: the token's leave, the counter, the cryptogram under the channel's own key, the
//! results that it covers, and what is remembered.
//!
//! A way to pay brings its channel, the data that the cryptogram covers, and how the holder was verified. It cannot
//! make a cryptogram without leave for its channel ([`permit`]), nor two under one counter.

use crate::{
    store::{Card, TransactionKey},
    suite::{self, CardData},
    token,
};
use tapvault_proto::{Error, card::LogEntry, emv::gpo::PdolData, token::Channel};

/// Card verification results: length 03, then ARQC requested (PBOC, tag 9F10).
const CVR_ARQC: [u8; 4] = [0x03, 0xA0, 0x00, 0x00];
/// The same with TC, approved offline.
const CVR_TC: [u8; 4] = [0x03, 0x90, 0x00, 0x00];
/// CVR byte 2 bit 3: the holder's PIN was verified by the card, here the wallet PIN.
const CVR_PIN_VERIFIED: u8 = 0x04;

/// The token's leave to pay through one channel now, and what time that is to its provider.
#[derive(Debug)]
pub struct Permit(Channel, Option<u64>);

/// Asks for leave; `time` is the provider's.
///
/// # Errors
/// [`Error::TokenNotActive`], [`Error::NotFresh`], [`Error::NoTime`], [`Error::TokenDomain`].
pub fn permit(card: &Card, channel: Channel, time: Option<u64>) -> Result<Permit, Error> {
    token::permits(card, channel, time).map(|()| Permit(channel, time))
}

/// How the holder was verified, as terminal and issuer see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// Nobody asked.
    None,
    /// The wallet PIN (CDCVM).
    WalletPin,
    /// The terminal asks for the bank's PIN.
    OnlinePin,
    /// The terminal asks for a signature.
    Signature,
}

impl Verification {
    /// Card transaction qualifiers, tag 9F6C.
    pub const fn ctq(self) -> [u8; 2] {
        match self {
            Self::None => [0x00, 0x00],
            Self::WalletPin => [0x00, 0x80],
            Self::OnlinePin => [0x80, 0x00],
            Self::Signature => [0x40, 0x00],
        }
    }

    const fn cvr(self, decision: [u8; 4]) -> [u8; 4] {
        let [len, result, risk, scripts] = decision;
        match self {
            Self::WalletPin => [len, result | CVR_PIN_VERIFIED, risk, scripts],
            _ => decision,
        }
    }
}

/// A cryptogram and what goes with it.
#[derive(Debug)]
pub struct Cryptogram {
    /// Tag 9F36.
    pub atc: u16,
    /// Tag 9F10: length, version of the keys, cryptogram version, results, algorithm.
    pub issuer_data: [u8; 8],
    /// Tag 9F26.
    pub value: [u8; 8],
    entry: LogEntry,
}

impl Cryptogram {
    /// Whether it approves offline, and does not ask the issuer.
    pub const fn approves(&self) -> bool {
        self.entry.offline
    }
}

/// Makes a cryptogram over `data` that asks the issuer for a payment of `amount` minor units. It uses up a counter,
/// whatever becomes of it; [`remember`] it when it leaves.
///
/// # Errors
/// [`Error::Busy`] when no counter is reserved, [`Error::AtcExhausted`], [`Error::NoTime`]; no counter is used then.
pub fn make(
    card: &mut Card,
    permit: Permit,
    data: &PdolData,
    amount: u64,
    verification: Verification,
) -> Result<Cryptogram, Error> {
    give(card, permit, data, amount, (verification, CVR_ARQC))
}

/// As [`make`], one that approves offline: it spends the amount out of the room that is set aside, which with the
/// counter is used up whatever becomes of the cryptogram.
///
/// # Errors
/// As [`make`]; [`Error::NotOffline`], [`Error::AmountNotAllowed`].
pub fn approve(
    card: &mut Card,
    permit: Permit,
    data: &PdolData,
    amount: u64,
    verification: Verification,
) -> Result<Cryptogram, Error> {
    let made = give(card, permit, data, amount, (verification, CVR_TC))?;
    card.purse.as_mut().ok_or(Error::NotOffline)?.spend(amount)?;
    Ok(made)
}

fn give(
    card: &mut Card,
    permit: Permit,
    data: &PdolData,
    amount: u64,
    (verification, decision): (Verification, [u8; 4]),
) -> Result<Cryptogram, Error> {
    let Permit(channel, time) = permit;
    let TransactionKey { atc, key } = card.next(channel, time)?;
    let profile = &card.profile;
    let cvr = verification.cvr(decision);
    let covered = CardData { aip: profile.aip, atc, cvr };
    let value = suite::cryptogram(profile.suite, profile.cvn, &key, data, &covered);
    drop(key);
    let issuer_data = suite::issuer_data(profile, cvr);
    let entry = LogEntry {
        key_version: profile.key_version,
        atc,
        amount,
        currency: u16::from_be_bytes(data.currency),
        date: data.date,
        kind: data.kind,
        ctq: verification.ctq(),
        channel,
        offline: decision == CVR_TC,
    };
    Ok(Cryptogram { atc, issuer_data, value, entry })
}

/// Notes a payment whose cryptogram leaves.
pub fn remember(card: &mut Card, cryptogram: Cryptogram) {
    card.note(cryptogram.entry);
}
