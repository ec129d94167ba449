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
    supervisor::{MAX_PEERS, TrustletInfo},
    trustlet::network::{MAX_MAIL, Mail},
    tvm::{MAX_TRUSTLETS, TrustletState},
    wire::Bytes,
};

/// Most trustlets known at once, of all providers.
pub const MAX_KNOWN: usize = 48;

/// A trustlet that a TVM told of.
#[derive(Clone, Debug)]
struct Known {
    address: Address,
    state: TrustletState,
    version: u32,
    peers: Vec<Address, MAX_PEERS>,
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
    /// In order of arrival.
    waiting: Vec<Waiting, MAX_MESSAGES>,
    last_number: u32,
}

impl Directory {
    /// Takes note of a trustlet by its TVM's word. One that is not active gets no messages: what waits
    /// for it is dropped.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] beyond [`MAX_KNOWN`], or [`MAX_TRUSTLETS`] of one provider.
    pub fn register(
        &mut self,
        address: Address,
        state: TrustletState,
        version: u32,
        peers: Vec<Address, MAX_PEERS>,
    ) -> Result<(), Error> {
        if state != TrustletState::Active {
            self.waiting.retain(|waiting| waiting.to != address);
        }
        self.known.retain(|known| known.address != address);
        if state == TrustletState::Removed {
            return Ok(());
        }
        if self.trustlets(address.provider).len() >= MAX_TRUSTLETS {
            return Err(Error::OutOfMemory);
        }
        self.known.push(Known { address, state, version, peers }).map_err(|_| Error::OutOfMemory)
    }

    /// Puts a message into a mailbox; returns its number.
    ///
    /// # Errors
    /// The sender's side: [`Error::NotInManifest`], [`Error::ProviderQuota`]. The receiver's side:
    /// [`Error::PeerUnknown`], [`Error::PeerRefuses`], [`Error::PeerFull`].
    pub fn post(
        &mut self,
        policy: &Policy,
        from: Address,
        to: Address,
        body: Bytes<MAX_MAIL>,
    ) -> Result<u32, Error> {
        let sender = self.active(&from).ok_or(Error::NotInManifest)?;
        if from.provider == to.provider || !sender.peers.contains(&to) {
            return Err(Error::NotInManifest);
        }
        let receiver = self.active(&to).ok_or(Error::PeerUnknown)?;
        if !receiver.peers.contains(&from) {
            return Err(Error::PeerRefuses);
        }
        let share = |provider| policy.provider(provider).map(|provider| usize::from(provider.quota.messages));
        if self.sent_by(from.provider) >= share(from.provider).ok_or(Error::NotInManifest)? {
            return Err(Error::ProviderQuota);
        }
        if self.waiting_for(to.provider) >= share(to.provider).ok_or(Error::PeerUnknown)? {
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

    fn active(&self, address: &Address) -> Option<&Known> {
        self.known.iter().find(|known| known.address == *address && known.state == TrustletState::Active)
    }

    fn sent_by(&self, provider: ProviderId) -> usize {
        self.waiting.iter().filter(|waiting| waiting.mail.from.provider == provider).count()
    }
}
