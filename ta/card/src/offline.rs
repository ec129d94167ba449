//! Offline approval: which taps a card pays without asking its issuer, and what its provider says of the money for them.
//!
//! There is none without storage that is protected from a rollback: an older copy would hold money that was paid already.

use crate::{
    Call,
    engine::{Cryptogram, Verification},
    life::check_provider,
    store::{Card, Store},
};
use tapvault_proto::{
    Error,
    emv::gpo::PdolData,
    id::CardId,
    offline::{OfflineCommand, OfflineState},
    profile::CardProfile,
};
use tapvault_tee::{Tee, rollback};

/// Transaction type, tag 9C: goods and services.
const PURCHASE: u8 = 0x00;

/// Refuses a profile with rules for offline approval where the platform does not claim to protect storage from a rollback.
/// Nothing below [`rollback::BY_HARDWARE`] counts: a level of the normal world's is its own word, and it is the adversary.
///
/// # Errors
/// [`Error::RollbackUnprotected`].
pub fn check_platform<T: Tee>(tee: &mut T, profile: &CardProfile) -> Result<(), Error> {
    if profile.offline.is_none() || tee.anti_rollback() >= rollback::BY_HARDWARE {
        Ok(())
    } else {
        Err(Error::RollbackUnprotected)
    }
}

/// The room that a tap of this card is to have; `None` for a card or a platform that approves nothing offline.
pub fn room<T: Tee>(tee: &mut T, profile: &CardProfile) -> Option<u64> {
    check_platform(tee, profile).ok()?;
    profile.offline.map(|offline| offline.payment)
}

/// Whether the card approves a payment offline, once its holder is verified as said: a purchase in its currency, within what
/// was set aside, at a terminal that leaves the decision to the card and can tell by fDDA that it made it. The bank's PIN
/// only the bank verifies.
pub fn approves(card: &Card, terminal: &PdolData, amount: u64, verification: Verification) -> bool {
    let (Some(offline), Some(purse)) = (&card.profile.offline, &card.purse) else { return false };
    !terminal.ttq.online_required()
        && terminal.ttq.fdda()
        && terminal.kind == PURCHASE
        && u16::from_be_bytes(terminal.currency) == card.profile.currency
        && (1..=offline.payment).contains(&amount)
        && amount <= purse.room()
        && verification != Verification::OnlinePin
}

/// Whether an answer has a signature for offline data authentication. fDDA covers no decision: a signed request to the issuer
/// could be made into an approval on its way, by the client for one. So a card that may approve offline signs approvals
/// and nothing else.
pub fn signs(profile: &CardProfile, terminal: &PdolData, made: &Cryptogram) -> bool {
    made.approves() || profile.offline.is_none() && terminal.ttq.wants_oda()
}

impl<T: Tee> Call<'_, T> {
    /// What a card may pay offline.
    ///
    /// # Errors
    /// [`Error::UnknownCard`], [`Error::NotOffline`].
    pub fn offline_left(&mut self, card: CardId) -> Result<OfflineState, Error> {
        let card = self.store()?.card(card)?;
        let purse = card.purse.ok_or(Error::NotOffline)?;
        Ok(OfflineState { left: purse.left(), counter: card.used(), sequence: purse.stored().sequence })
    }

    /// Obeys a provider's word on what a card may pay offline.
    ///
    /// # Errors
    /// Those of [`check_provider`] and of [`Purse::obey`](crate::store::Purse::obey); [`Error::NotOffline`],
    /// [`Error::RollbackUnprotected`]; [`Error::CommandOutOfOrder`] for another version of the keys; storage's.
    pub fn obey_offline(&mut self, command: &OfflineCommand) -> Result<OfflineState, Error> {
        let card = Store::loaded(&mut self.app.store, self.tee)?.card(command.card)?;
        check_provider(card, &command.certificate, &command.signed_bytes(), &command.signature)?;
        let purse = card.purse.ok_or(Error::NotOffline)?;
        check_platform(self.tee, &card.profile)?;
        if command.key_version != card.profile.key_version {
            return Err(Error::CommandOutOfOrder);
        }
        if let Some(purse) = purse.obey(command, card.used(), card.reserved())? {
            self.app.store(self.tee)?.keep(self.tee, command.card, purse, command.closed)?;
        }
        self.offline_left(command.card)
    }
}
