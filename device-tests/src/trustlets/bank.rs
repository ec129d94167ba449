//! A lab bank with a TVM: signs, installs, opens.

use crate::{Outcome, lab::say};
use tapvault::{
    Channel, ClientError, Transport,
    maker::{
        document::{Trustlet as Draft, command},
        identity,
        key::ProviderKey,
    },
    trustlet::{Signed, Trustlet, Tvm},
};
use tapvault_network::lab;
use tapvault_proto::{
    Error,
    id::{Address, ProviderId, TrustletName, Uuid},
    service::Service,
    tvm::TrustletState,
};
use teei_hypervisor::{manifest::Signer, signature::PublicKey};

/// User id of the wallet, as in the lab's policy.
pub const WALLET_USER: u32 = 1000;

/// A lab bank.
pub struct Bank {
    /// Its id.
    pub id: ProviderId,
    /// Its key.
    pub key: ProviderKey,
}

impl Bank {
    /// The lab bank of a letter, as in the lab's policy: A to J.
    #[must_use]
    pub fn lab(letter: &str) -> Self {
        Self { id: lab::provider_id(letter), key: ProviderKey::new(lab::provider_key(letter)) }
    }

    /// What its TVM is stamped with.
    #[must_use]
    pub fn signer(&self) -> Signer {
        Signer { provider: self.id, key: PublicKey(self.key.public()) }
    }

    /// Its TVM's UUID.
    #[must_use]
    pub fn tvm(&self) -> Uuid {
        identity::tvm(self.id)
    }

    /// One of its trustlets on the virtual network.
    #[must_use]
    pub fn address(&self, name: &str) -> Address {
        Address { provider: self.id, name: named(name) }
    }

    /// A manifest.
    ///
    /// # Errors
    /// When it is too long.
    pub fn manifest(&self, draft: &Draft, module: &[u8]) -> Outcome<Signed> {
        draft.sign(self.id, &self.key, module).map_err(say)
    }

    /// A command.
    ///
    /// # Errors
    /// For an action that is none.
    pub fn command(&self, name: &str, sequence: u32, action: &str) -> Outcome<Signed> {
        command(self.id, &self.key, &named(name), sequence, action).map_err(say)
    }

    /// A session with its TVM.
    ///
    /// # Errors
    /// The admission's.
    pub fn connect<T: Transport>(&self, transport: &T) -> Outcome<Tvm<T::Channel>> {
        Tvm::connect(transport, self.tvm()).map_err(say)
    }

    /// Installs and activates a trustlet, in place of what has its name; returns version and sequence.
    ///
    /// # Errors
    /// Anybody's.
    pub fn install<T: Transport>(
        &self,
        transport: &T,
        mut draft: Draft,
        module: &[u8],
    ) -> Outcome<(u32, u32)> {
        let mut tvm = self.connect(transport)?;
        let known = tvm.trustlets().map_err(say)?.into_iter().find(|entry| entry.name == draft.name);
        let (version, mut sequence) = known.map_or((0, 0), |entry| (entry.version, entry.sequence));
        draft.version = version + 1;
        let (_, state) = tvm.install(&self.manifest(&draft, module)?).map_err(say)?;
        let action = match state {
            TrustletState::Installed => Some("activate"),
            TrustletState::Locked => Some("unlock"),
            TrustletState::Active | TrustletState::Removed => None,
        };
        if let Some(action) = action {
            sequence += 1;
            tvm.command(&self.command(&draft.name.to_string(), sequence, action)?).map_err(say)?;
        }
        Ok((draft.version, sequence))
    }

    /// Installs, activates and opens a trustlet.
    ///
    /// # Errors
    /// Anybody's.
    pub fn run<T: Transport>(
        &self,
        transport: &T,
        draft: Draft,
        module: &[u8],
    ) -> Outcome<Trustlet<T::Channel>> {
        let name = draft.name.clone();
        self.install(transport, draft, module)?;
        self.connect(transport)?.open(&name, module).map_err(say)
    }
}

/// A trustlet's name.
#[must_use]
pub fn named(name: &str) -> TrustletName {
    TrustletName::new(name.as_bytes()).unwrap_or_else(|_| panic!("{name} is no name"))
}

/// A draft for the wallet's user, with these services.
#[must_use]
pub fn draft(name: &str, services: &[Service]) -> Draft {
    let mut draft = Draft::new(named(name), 1);
    draft.pages = 1;
    draft.services = services.to_vec();
    draft.clients = vec![identity::user(WALLET_USER)];
    draft
}

/// Fails unless a call was refused with this error.
///
/// # Errors
/// What came instead.
pub fn refused<V>(result: Result<V, ClientError>, expected: Error) -> Outcome<()> {
    match result {
        Ok(_) => Err(format!("not refused with {expected:?}")),
        Err(error) if error.refusal() == Some(expected) => Ok(()),
        Err(error) => Err(format!("{error:?} ({:?}), not {expected:?}", error.refusal())),
    }
}

/// The result of a service call that a module of [`super::modules::caller`] made: the reply, or the error.
///
/// # Errors
/// When the trustlet did not answer so.
pub fn answer<C: Channel>(trustlet: &mut Trustlet<C>) -> Outcome<Result<Vec<u8>, Error>> {
    let reply = trustlet.call(b"").map_err(say)?;
    result(&reply)
}

/// Takes a service call's result out of a reply: 4 bytes, little-endian, then the service's reply.
///
/// # Errors
/// When it is neither a length nor an error's code.
pub fn result(reply: &[u8]) -> Outcome<Result<Vec<u8>, Error>> {
    let (result, body) = reply.split_first_chunk::<4>().ok_or("a short answer")?;
    let result = i32::from_le_bytes(*result);
    if result >= 0 {
        return Ok(Ok(body.to_vec()));
    }
    Error::from_code(result.cast_unsigned())
        .map(Err)
        .ok_or_else(|| format!("no error has the code {result:X}"))
}
