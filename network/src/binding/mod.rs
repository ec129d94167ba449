//! Binding a card to a phone, the bank's side: the holder's card data or a chip card's cryptogram, the network's code, the
//! holder's name, and then a token may be ordered. Each step comes in its order; a message to a step that is done changes
//! nothing; what is refused is remembered before the answer leaves, so that nobody gets more guesses than there are.

mod account;
pub mod chip;
mod recipient;
mod record;
mod refusal;
mod steps;

pub use account::{Account, Accounts, AccountsError, MAX_FILE};
pub use recipient::Recipient;
pub use record::{BindingRecord, Bindings, Step, WrongData};
pub use refusal::BindingError;
pub use steps::{Identity, LabNetwork, NetworkSteps, StepFailed};

use crate::{
    issuer::{Decision, Issuer},
    kind::CardKind,
    lab::LabBank,
    registry::{HolderRules, Order, TokenRules, draw_card_id},
    request::{AuthorisationRequest, token_of},
};
use sha2::{Digest, Sha256};
use tapvault_proto::{
    binding::{BeginCardDataRequest, SealedCardData},
    id::CardId,
    wire::{Wire, encode_into},
};

/// Most bindings that are open at a time.
pub const MAX_OPEN: usize = 256;
/// Life of a binding in seconds.
pub const LIFE: u64 = 600;
/// Wrong answers that end a binding, in each of its steps.
pub const TRIES: u8 = 3;
/// Wrong expiries and CVN2s after which an account takes no more, until its bank unlocks it.
pub const ACCOUNT_TRIES: u8 = 5;

/// A bank's desk for bindings, at one moment.
pub struct Desk<'a, N> {
    /// Remembers the bindings.
    pub issuer: &'a mut Issuer,
    /// What bindings are held against.
    pub accounts: &'a Accounts,
    /// Does the network's steps.
    pub network: &'a mut N,
    /// Now, in seconds since 1970 UTC.
    pub now: u64,
}

impl<N: NetworkSteps> Desk<'_, N> {
    /// Begins a binding; what the phone's PIN trusted app needs for it. Its nonce names it from then on.
    ///
    /// # Errors
    /// [`BindingError::TooMany`], [`BindingError::NoRandomness`], [`BindingError::State`].
    pub fn begin(&mut self, bank: LabBank) -> Result<BeginCardDataRequest, BindingError> {
        let certificate = Recipient::lab(bank).map_err(BindingError::Bank)?.certificate().clone();
        let mut bindings = self.issuer.bindings.clone();
        bindings.open.retain(|record| self.now < record.expires);
        if bindings.open.len() >= MAX_OPEN {
            return Err(BindingError::TooMany);
        }
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(|_| BindingError::NoRandomness)?;
        bindings.open.push(BindingRecord {
            nonce,
            provider: bank,
            card: draw_card_id().map_err(|_| BindingError::NoRandomness)?.0,
            expires: self.now.saturating_add(LIFE),
            step: Step::Card,
            wrong: 0,
            refused: None,
            account: None,
            reference: None,
        });
        self.issuer.store_bindings(bindings)?;
        Ok(BeginCardDataRequest { certificate, nonce })
    }

    /// The binding of a nonce.
    ///
    /// # Errors
    /// [`BindingError::Unknown`] for one that there is not, or that is over.
    pub fn binding(&self, nonce: &[u8; 32]) -> Result<&BindingRecord, BindingError> {
        let found = |record: &&BindingRecord| record.nonce == *nonce && self.now < record.expires;
        self.issuer.bindings.open.iter().find(found).ok_or(BindingError::Unknown)
    }

    /// Takes sealed card data; the step after it. The network has sent its code when this returns.
    ///
    /// # Errors
    /// [`BindingError::Sealed`], which costs nothing; [`BindingError::Mismatch`], the same for a number that there is
    /// not, wrong data and an account with too many of them; [`BindingError::Network`].
    pub fn card_data(&mut self, sealed: &SealedCardData) -> Result<Step, BindingError> {
        let mut bytes = [0; SealedCardData::MAX];
        encode_into(sealed, &mut bytes).map_err(|_| BindingError::Sealed)?;
        let digest = hex::encode(Sha256::digest(bytes));
        let record = match self.at_step(&sealed.nonce, Step::Card, Some(&digest))? {
            At::Here(record) => record,
            At::Done(step) => return Ok(step),
        };
        let recipient = Recipient::lab(record.provider).map_err(BindingError::Bank)?;
        let data = recipient.open(sealed).ok_or(BindingError::Sealed)?;
        let account = self.accounts.by_number(record.provider, data.expose_number());
        let Some(account) = account else { return self.wrong(record, Some(digest), None) };
        let locked = self.issuer.bindings.wrong_times(&account.id) >= ACCOUNT_TRIES;
        // Compared first, so that a locked account answers in the time of any other.
        if !account.fits(&data) || locked {
            return self.wrong(record, Some(digest), Some(account));
        }
        self.known(record, account, true)
    }

    /// Takes what a chip card answered in [`chip::read`]; the step after it. Its counter is used up when this returns.
    ///
    /// # Errors
    /// [`BindingError::NotPresence`], [`BindingError::Mismatch`] and [`BindingError::Chip`] for a request that is not
    /// this binding's, of no account, or not the card's own and new; [`BindingError::Network`].
    pub fn chip(&mut self, nonce: &[u8; 32], request: &AuthorisationRequest) -> Result<Step, BindingError> {
        let json = serde_json::to_vec(request).map_err(|_| BindingError::NotPresence)?;
        let digest = hex::encode(Sha256::digest(json));
        let record = match self.at_step(nonce, Step::Card, Some(&digest))? {
            At::Here(record) => record,
            At::Done(step) => return Ok(step),
        };
        if !chip::is_for(request, nonce) {
            return Err(BindingError::NotPresence);
        }
        let number = token_of(&request.track2).unwrap_or_default();
        let account = self.accounts.by_number(record.provider, number.as_bytes());
        let issued = self.issuer.cards().iter().find(|card| card.token == number);
        let ours = issued.is_some_and(|card| card.provider == record.provider);
        let Some(account) = account.filter(|_| ours) else { return self.wrong(record, Some(digest), None) };
        match self.issuer.authorise_at(request, self.now) {
            Decision::Approved { .. } => self.known(record, account, false),
            Decision::Declined(reason) => Err(BindingError::Chip(reason)),
        }
    }

    /// Takes the code that the holder's phone got; the step after it.
    ///
    /// # Errors
    /// [`BindingError::OutOfOrder`], [`BindingError::Mismatch`], [`BindingError::Network`].
    pub fn code(&mut self, nonce: &[u8; 32], code: &str) -> Result<Step, BindingError> {
        let record = match self.at_step(nonce, Step::Code, None)? {
            At::Here(record) => record,
            At::Done(step) => return Ok(step),
        };
        let reference = record.reference.as_deref().ok_or(BindingError::Unknown)?;
        if !self.network.check_code(reference, code).map_err(BindingError::Network)? {
            return self.wrong(record, None, None);
        }
        self.advance(BindingRecord { step: Step::Name, wrong: 0, reference: None, ..record })
    }

    /// Takes who the holder says to be; the step after it.
    ///
    /// # Errors
    /// As [`Self::code`].
    pub fn name(&mut self, nonce: &[u8; 32], identity: &Identity) -> Result<Step, BindingError> {
        let record = match self.at_step(nonce, Step::Name, None)? {
            At::Here(record) => record,
            At::Done(step) => return Ok(step),
        };
        let account = account_of(self.accounts, &record)?;
        if !self.network.check_name(account, identity).map_err(BindingError::Network)? {
            return self.wrong(record, None, None);
        }
        self.advance(BindingRecord { step: Step::Order, wrong: 0, ..record })
    }

    /// Orders the token: what [`Issuer::issue`] takes. Ordered again, it is the same card with newer keys, so that a
    /// lost package loses nothing and two phones never hold one token.
    ///
    /// # Errors
    /// [`BindingError::OutOfOrder`] before everything is proved.
    pub fn order(&mut self, nonce: &[u8; 32]) -> Result<Order, BindingError> {
        let record = match self.at_step(nonce, Step::Order, None)? {
            At::Here(record) => record,
            At::Done(_) => self.binding(nonce)?.clone(),
        };
        let account = account_of(self.accounts, &record)?;
        let order = Order {
            bank: record.provider,
            card: CardId(record.card),
            token: None,
            last_four: account.last_four(),
            expiry: account.expiry(),
            kind: CardKind::default(),
            holder: HolderRules::default(),
            rules: TokenRules::default(),
        };
        self.advance(BindingRecord { step: Step::Ordered, ..record })?;
        Ok(order)
    }

    /// Lets an account's data be tried again; `false` when nothing was wrong with it.
    ///
    /// # Errors
    /// [`BindingError::State`].
    pub fn unlock(&mut self, account: &str) -> Result<bool, BindingError> {
        let mut bindings = self.issuer.bindings.clone();
        let had = bindings.wrong_times(account) > 0;
        bindings.set_wrong_times(account, 0);
        self.issuer.store_bindings(bindings)?;
        Ok(had)
    }

    /// The binding, where a message for `step` finds it; `digest` names the message if it may have been refused before.
    fn at_step(&self, nonce: &[u8; 32], step: Step, digest: Option<&str>) -> Result<At, BindingError> {
        let record = self.binding(nonce)?;
        match record.step {
            Step::Closed => Err(BindingError::Closed),
            present if present > step => Ok(At::Done(present)),
            present if present < step => Err(BindingError::OutOfOrder(present)),
            _ if digest.is_some() && record.refused.as_deref() == digest => {
                Err(BindingError::Mismatch { tries_left: TRIES.saturating_sub(record.wrong) })
            }
            _ => Ok(At::Here(record.clone())),
        }
    }

    /// The account is proved by data or chip: the network sends its code.
    fn known(
        &mut self,
        record: BindingRecord,
        account: &Account,
        by_data: bool,
    ) -> Result<Step, BindingError> {
        if !account.is_valid_at(self.now) {
            return Err(BindingError::CardExpired);
        }
        let reference = self.network.send_code(account).map_err(BindingError::Network)?;
        let mut bindings = self.issuer.bindings.clone();
        if by_data {
            bindings.set_wrong_times(&account.id, 0);
        }
        let record = BindingRecord {
            step: Step::Code,
            wrong: 0,
            refused: None,
            account: Some(account.id.clone()),
            reference: Some(reference),
            ..record
        };
        self.put(bindings, record)
    }

    fn advance(&mut self, record: BindingRecord) -> Result<Step, BindingError> {
        let bindings = self.issuer.bindings.clone();
        self.put(bindings, record)
    }

    /// Remembers a wrong answer, and then says so.
    fn wrong(
        &mut self,
        record: BindingRecord,
        refused: Option<String>,
        account: Option<&Account>,
    ) -> Result<Step, BindingError> {
        let mut bindings = self.issuer.bindings.clone();
        if let Some(Account { id, .. }) = account {
            let times = bindings.wrong_times(id).saturating_add(1).min(ACCOUNT_TRIES);
            bindings.set_wrong_times(id, times);
        }
        let wrong = record.wrong.saturating_add(1);
        let step = if wrong >= TRIES { Step::Closed } else { record.step };
        self.put(bindings, BindingRecord { wrong, step, refused, ..record })?;
        Err(BindingError::Mismatch { tries_left: TRIES.saturating_sub(wrong) })
    }

    fn put(&mut self, mut bindings: Bindings, record: BindingRecord) -> Result<Step, BindingError> {
        let step = record.step;
        let place = bindings.open.iter_mut().find(|open| open.nonce == record.nonce);
        *place.ok_or(BindingError::Unknown)? = record;
        self.issuer.store_bindings(bindings)?;
        Ok(step)
    }
}

fn account_of<'a>(accounts: &'a Accounts, record: &BindingRecord) -> Result<&'a Account, BindingError> {
    record.account.as_deref().and_then(|id| accounts.by_id(id)).ok_or(BindingError::NoAccount)
}

/// Where a message finds its binding.
enum At {
    /// At its step.
    Here(BindingRecord),
    /// Beyond it, at this one.
    Done(Step),
}
