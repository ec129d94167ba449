//! The supervisor's side of the virtual network: which trustlets there are, and their mailboxes.
//!
//! All of it is memory of one start of the supervisor; TVMs tell of their trustlets again when these
//! are opened. A message is accepted when both manifests name the other side and both providers' shares
//! have room, and each refusal says whose side it was.

use crate::policy::{MAX_MESSAGES, Policy};
use heapless::Vec;
use tapvault_proto::{
    Error,
    id::{Address, ProviderId, TrustletName},
    supervisor::{MAX_PEERS, MAX_PROVIDERS, TrustletInfo},
    trustlet::network::{MAX_MAIL, Mail},
    tvm::{MAX_TRUSTLETS, TrustletState},
    wire::Bytes,
};

/// Most trustlets known at once: all that all providers can have, so that none keeps another out.
pub const MAX_KNOWN: usize = MAX_PROVIDERS * MAX_TRUSTLETS;
/// Most peers of one provider's trustlets together.
const MAX_LINKS_OF_PROVIDER: usize = 8;

/// A trustlet that a TVM told of.
#[derive(Clone, Debug)]
struct Known {
    address: Address,
    state: TrustletState,
    version: u32,
}

/// That a trustlet's manifest names another one.
#[derive(Clone, Debug)]
struct Link {
    from: Address,
    to: Address,
}

/// A message that waits.
#[derive(Clone, Debug)]
struct Waiting {
    to: Address,
    mail: Mail,
}

/// Trustlets and mailboxes of one start of the supervisor.
#[derive(Debug, Default)]
pub struct Directory {
    known: Vec<Known, MAX_KNOWN>,
    links: Vec<Link, { MAX_PROVIDERS * MAX_LINKS_OF_PROVIDER }>,
    /// In order of arrival.
    waiting: Vec<Waiting, MAX_MESSAGES>,
    last_number: u32,
}

impl Directory {
    /// Takes note of a trustlet by its TVM's word. One that is not active gets no messages: what waits
    /// for it is dropped.
    ///
    /// # Errors
    /// [`Error::ProviderQuota`] beyond [`MAX_TRUSTLETS`] trustlets, or eight peers, of one provider; what was
    /// known of the trustlet still is.
    pub fn register(
        &mut self,
        address: Address,
        state: TrustletState,
        version: u32,
        peers: Vec<Address, MAX_PEERS>,
    ) -> Result<(), Error> {
        let provider = address.provider;
        let others = |of: &&Address| of.provider == provider && **of != address;
        let known = self.known.iter().map(|known| &known.address).filter(others).count();
        let links = self.links.iter().map(|link| &link.from).filter(others).count();
        let removed = state == TrustletState::Removed;
        if !removed && (known >= MAX_TRUSTLETS || links + peers.len() > MAX_LINKS_OF_PROVIDER) {
            return Err(Error::ProviderQuota);
        }
        if state != TrustletState::Active {
            self.waiting.retain(|waiting| waiting.to != address);
        }
        self.known.retain(|known| known.address != address);
        self.links.retain(|link| link.from != address);
        if removed {
            return Ok(());
        }
        for to in peers {
            let from = address.clone();
            self.links.push(Link { from, to }).map_err(|_| Error::OutOfMemory)?;
        }
        self.known.push(Known { address, state, version }).map_err(|_| Error::OutOfMemory)
    }

    /// Whether a trustlet is known.
    #[must_use]
    pub fn knows(&self, address: &Address) -> bool {
        self.known.iter().any(|known| known.address == *address)
    }

    /// Puts a message into a mailbox; returns its number.
    ///
    /// # Errors
    /// The sender's side: [`Error::NotInManifest`], [`Error::ProviderQuota`]; [`Error::UnknownTrustlet`]
    /// when its TVM has to tell of it first. The receiver's side: [`Error::PeerUnknown`],
    /// [`Error::PeerRefuses`], [`Error::PeerFull`].
    pub fn post(
        &mut self,
        policy: &Policy,
        from: Address,
        to: Address,
        body: Bytes<MAX_MAIL>,
    ) -> Result<u32, Error> {
        // Between the start of a supervisor and its TVM's word, a sender is not known: no fault of its own.
        if !self.is_active(&from) {
            return Err(Error::UnknownTrustlet);
        }
        let named =
            |from: &Address, to: &Address| self.links.iter().any(|link| (&link.from, &link.to) == (from, to));
        if from.provider == to.provider || !named(&from, &to) {
            return Err(Error::NotInManifest);
        }
        if !self.is_active(&to) {
            return Err(Error::PeerUnknown);
        }
        if !named(&to, &from) {
            return Err(Error::PeerRefuses);
        }
        let share = |provider| policy.provider(provider).map(|provider| usize::from(provider.quota.messages));
        if self.sent_by(from.provider) >= share(from.provider).ok_or(Error::NotInManifest)? {
            return Err(Error::ProviderQuota);
        }
        let room = share(to.provider).ok_or(Error::PeerUnknown)?;
        let between = |waiting: &&Waiting| {
            (waiting.mail.from.provider, waiting.to.provider) == (from.provider, to.provider)
        };
        // Half of a receiver's share is the most that one provider may take of it.
        let full = self.waiting_for(to.provider) >= room
            || self.waiting.iter().filter(between).count() >= room.div_ceil(2);
        if full {
            return Err(Error::PeerFull);
        }
        let number = self.last_number.checked_add(1).ok_or(Error::OutOfMemory)?;
        let waiting = Waiting { to, mail: Mail { from, number, body } };
        self.waiting.push(waiting).map_err(|_| Error::PeerFull)?;
        self.last_number = number;
        Ok(number)
    }

    /// Takes the oldest message for a trustlet.
    pub fn take(&mut self, to: &Address) -> Option<Mail> {
        let index = self.waiting.iter().position(|waiting| waiting.to == *to)?;
        Some(self.waiting.remove(index).mail)
    }

    /// Forgets what belongs to providers that a new policy does not name.
    pub fn keep(&mut self, policy: &Policy) {
        let named = |address: &Address| policy.provider(address.provider).is_some();
        self.known.retain(|known| named(&known.address));
        self.links.retain(|link| named(&link.from));
        self.waiting.retain(|waiting| named(&waiting.to) && named(&waiting.mail.from));
    }

    /// Messages that wait for a provider's trustlets.
    #[must_use]
    pub fn waiting_for(&self, provider: ProviderId) -> usize {
        self.waiting.iter().filter(|waiting| waiting.to.provider == provider).count()
    }

    /// What is known of a provider's trustlets.
    #[must_use]
    pub fn trustlets(&self, provider: ProviderId) -> Vec<TrustletInfo, MAX_TRUSTLETS> {
        let known = self.known.iter().filter(|known| known.address.provider == provider);
        let info = |known: &Known| {
            let mine = |waiting: &&Waiting| waiting.to == known.address;
            let messages = self.waiting.iter().filter(mine).count();
            TrustletInfo {
                name: TrustletName::clone(&known.address.name),
                state: known.state,
                version: known.version,
                messages: u8::try_from(messages).unwrap_or(u8::MAX),
            }
        };
        known.map(info).take(MAX_TRUSTLETS).collect()
    }

    fn is_active(&self, address: &Address) -> bool {
        let active = |known: &Known| known.address == *address && known.state == TrustletState::Active;
        self.known.iter().any(active)
    }

    fn sent_by(&self, provider: ProviderId) -> usize {
        self.waiting.iter().filter(|waiting| waiting.mail.from.provider == provider).count()
    }
}
