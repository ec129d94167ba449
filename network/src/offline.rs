//! The issuer's side of offline approval: what is loaded into a card, what terminals deliver of it later, and what is
//! given back that was set aside and never spent.
//!
//! The issuer takes each counter once and never more than was loaded, whatever cards and terminals say. How long a
//! terminal may take to deliver a payment is a rule of its scheme: [`Issuer::settle`] closes what is older, and what comes
//! later still is declined.

use crate::{
    bank::Provider,
    issuer::{Issuer, Reason, holder_of, verify},
    registry::{CNY, CommandError},
    request::AuthorisationRequest,
    state::CardRecord,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tapvault_proto::{
    id::CardId,
    offline::{MAX_AMOUNT, OfflineCommand},
    token::Channel,
};

/// CVR byte 2 of our cards: second cryptogram not requested, first one a TC.
const CVR_TC: u8 = 0x90;

/// What the issuer remembers of a card that may approve offline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfflineRecord {
    /// All that was ever loaded under this key version, minor units.
    pub loaded: u64,
    /// Commands under this key version.
    pub commands: u32,
    /// Counter up to which nothing is taken any more.
    pub closed: u16,
    /// Sum of the offline payments up to there.
    pub cleared: u64,
    /// Every counter above it that was used, with what it paid offline; 0 for one that asked the issuer.
    pub used: BTreeMap<u16, u64>,
}

impl OfflineRecord {
    /// That of a card that is issued with so much.
    #[must_use]
    pub const fn new(balance: u64) -> Self {
        Self { loaded: balance, commands: 0, closed: 0, cleared: 0, used: BTreeMap::new() }
    }

    /// Whether a counter was used or closed.
    #[must_use]
    pub fn is_used(&self, atc: u16) -> bool {
        atc <= self.closed || self.used.contains_key(&atc)
    }

    /// All that reached the issuer.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.used.values().fold(self.cleared, |sum, amount| sum.saturating_add(*amount))
    }

    /// Closes counters; what they paid becomes part of the sum.
    fn close(&mut self, counter: u16) {
        if counter <= self.closed {
            return;
        }
        let open = counter.checked_add(1).map(|next| self.used.split_off(&next)).unwrap_or_default();
        self.cleared = self.spent();
        (self.closed, self.used) = (counter, open);
    }
}

/// A payment that a card approved offline, taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleared {
    /// The counter.
    pub atc: u16,
    /// Minor units.
    pub amount: u64,
    /// Whether the phone verified the holder.
    pub holder_verified: bool,
}

impl Issuer {
    /// Takes a payment that a card approved offline, in whatever order terminals deliver. It is on the disk before this
    /// returns. A card that is blocked by now approved while it was not: what it was loaded with is owed.
    ///
    /// # Errors
    /// Why not; nothing is changed then.
    pub fn clear(&mut self, request: &AuthorisationRequest) -> Result<Cleared, Reason> {
        let (position, cleared) = self.check_offline(request)?;
        let mut cards = self.cards.clone();
        let record = cards.get_mut(position).and_then(|card| card.offline.as_mut());
        record.ok_or(Reason::NotOfflineCard)?.used.insert(cleared.atc, cleared.amount);
        self.store(cards).map_err(|_| Reason::StateNotStored)?;
        Ok(cleared)
    }

    fn check_offline(&self, request: &AuthorisationRequest) -> Result<(usize, Cleared), Reason> {
        let (position, card, iad) = self.identify(request)?;
        let offline = card.offline.as_ref().ok_or(Reason::NotOfflineCard)?;
        let holder_verified = holder_of(iad.cvr, CVR_TC, Reason::NotOfflineApproval)?;
        // A terminal's tap alone ends in an approval.
        if request.channel != Channel::Nfc {
            return Err(Reason::NotOfflineApproval);
        }
        let (_, atc) = verify(card, &iad, request)?;
        if offline.is_used(atc) {
            return Err(Reason::ReplayedAtc);
        }
        if request.ctq_claims_phone() != holder_verified {
            return Err(Reason::VerificationMismatch);
        }
        // The card approves in its own currency only; version 17 covers none, and this one is meant.
        if request.currency != CNY.to_be_bytes() {
            return Err(Reason::ForeignCurrency);
        }
        let amount = request.amount_minor().ok_or(Reason::WrongCryptogram)?;
        if offline.spent().saturating_add(amount) > offline.loaded {
            return Err(Reason::OverLoaded);
        }
        Ok((position, Cleared { atc, amount, holder_verified }))
    }

    /// Loads a card with so much more, minor units, and commands it to know. It may pay that from then on.
    ///
    /// # Errors
    /// [`CommandError`]; nothing is loaded then.
    pub fn load(&mut self, card: CardId, amount: u64) -> Result<OfflineCommand, CommandError> {
        self.fund(card, |record| {
            record.loaded = record.loaded.saturating_add(amount);
            if record.loaded > MAX_AMOUNT { Err(CommandError::TooMuch) } else { Ok(()) }
        })
    }

    /// Closes a card's counters up to one that may have left it, and commands it to count what was cleared as all that it
    /// spent: what it lost to power cuts is there again. A payment up to there that is delivered later is declined.
    ///
    /// # Errors
    /// [`CommandError`]; nothing is closed then.
    pub fn settle(&mut self, card: CardId, counter: u16) -> Result<OfflineCommand, CommandError> {
        self.fund(card, |record| {
            record.close(counter);
            Ok(())
        })
    }

    fn fund(
        &mut self,
        card: CardId,
        change: impl FnOnce(&mut OfflineRecord) -> Result<(), CommandError>,
    ) -> Result<OfflineCommand, CommandError> {
        let mut cards = self.cards.clone();
        let found = cards.iter_mut().find(|record| record.card == card.0);
        let CardRecord { provider, key_version, offline, .. } = found.ok_or(CommandError::UnknownCard)?;
        let record = offline.as_mut().ok_or(CommandError::NotOffline)?;
        change(record)?;
        record.commands = record.commands.saturating_add(1);
        let bank = Provider::new(*provider).map_err(CommandError::Bank)?;
        let command = bank.offline_command(card, *key_version, record);
        self.store(cards).map_err(CommandError::State)?;
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_keeps_the_sum_and_forgets_the_counters() {
        let mut record = OfflineRecord::new(1000);
        record.used = BTreeMap::from([(1, 100), (2, 0), (3, 50), (9, 25)]);
        assert_eq!(record.spent(), 175);
        record.close(3);
        assert_eq!((record.closed, record.cleared, record.spent()), (3, 150, 175));
        assert_eq!(record.used, BTreeMap::from([(9, 25)]));
        assert!(record.is_used(2) && record.is_used(9) && !record.is_used(4));
        record.close(2);
        assert_eq!((record.closed, record.cleared), (3, 150), "never opened again");
        record.close(u16::MAX);
        assert_eq!((record.closed, record.spent(), record.used.len()), (u16::MAX, 175, 0));
    }
}
