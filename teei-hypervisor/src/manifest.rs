//! What a provider signs: a trustlet's manifest, and commands that move it through its life.
//!
//! ```json
//! {"kind":"manifest","format":1,"provider":"6738…","name":"transit","version":3,
//!  "module":"<sha-256>","size":18231,"pages":2,"stack":8192,"depth":64,"fuel":2000000,
//!  "services":["store","card"],"store":1024,"peers":["9f01…/shield"],
//!  "clients":[{"login":"user","id":"fc34…"}],"recover":false}
//! {"kind":"command","format":1,"provider":"6738…","name":"transit","sequence":7,"action":"lock"}
//! ```
//! Hexadecimal is lower case. A document is signed byte for byte: ECDSA P-256 / SHA-256 by the
//! provider's key. Nothing else a provider signs begins with a brace.

use crate::{policy::service_bits, signature::PublicKey};
use heapless::Vec;
use serde::Deserialize;
use tapvault_proto::{
    Error,
    document::{from_json, unhex},
    id::{Address, Caller, ProviderId, TrustletName, Uuid, login},
    service::Service,
    supervisor::MAX_PEERS,
};

/// Longest module in bytes.
pub const MAX_MODULE: u32 = 64 * 1024;
/// Most pages of memory, of 64 KiB each.
pub const MAX_PAGES: u8 = 16;
/// Bounds of the value stack in bytes.
pub const STACK: core::ops::RangeInclusive<u32> = 1024..=64 * 1024;
/// Deepest nesting of calls.
pub const MAX_DEPTH: u16 = 256;
/// Most clients one manifest names.
pub const MAX_CLIENTS: usize = 4;

/// What a running trustlet may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pages of linear memory, 64 KiB each.
    pub pages: u8,
    /// Value stack in bytes.
    pub stack: u32,
    /// Nesting of calls.
    pub depth: u16,
    /// Fuel of one call, over all its slices.
    pub fuel: u64,
}

/// A manifest that was parsed and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The trustlet's name.
    pub name: TrustletName,
    /// Its version, from 1; never lower than before.
    pub version: u32,
    /// SHA-256 of the module.
    pub module: [u8; 32],
    /// Length of the module in bytes.
    pub size: u32,
    /// What it may use while it runs.
    pub limits: Limits,
    /// The services it wants: [`Service::bit`] of each.
    pub services: u32,
    /// Bytes of storage.
    pub store: u16,
    /// Trustlets of other providers it exchanges messages with.
    pub peers: Vec<Address, MAX_PEERS>,
    /// Who may open it.
    pub clients: Vec<Caller, MAX_CLIENTS>,
    /// Whether it may take the place of a damaged record, whose version nobody can tell: the provider
    /// signs this for its newest version, so that a recorded older one is not taken for it.
    pub recover: bool,
}

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// From installed to active.
    Activate,
    /// From active to locked.
    Lock,
    /// From locked to active.
    Unlock,
    /// From any state to removed: data and keys are gone for good.
    Remove,
}

/// A command that was parsed and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Which trustlet.
    pub name: TrustletName,
    /// Higher than that of any command before.
    pub sequence: u32,
    /// What to do.
    pub action: Action,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestText<'a> {
    kind: &'a str,
    format: u8,
    provider: &'a str,
    name: &'a str,
    version: u32,
    module: &'a str,
    size: u32,
    pages: u8,
    stack: u32,
    depth: u16,
    fuel: u64,
    #[serde(borrow)]
    services: Vec<&'a str, { Service::FOR_TRUSTLETS.len() }>,
    store: u16,
    peers: Vec<&'a str, MAX_PEERS>,
    clients: Vec<ClientText<'a>, MAX_CLIENTS>,
    #[serde(default)]
    recover: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientText<'a> {
    login: &'a str,
    id: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandText<'a> {
    kind: &'a str,
    format: u8,
    provider: &'a str,
    name: &'a str,
    sequence: u32,
    action: &'a str,
}

/// Whose documents a TVM believes: its provider, stamped into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The provider's id.
    pub provider: ProviderId,
    /// Its key.
    pub key: PublicKey,
}

impl Signer {
    /// Verifies and parses a manifest.
    ///
    /// # Errors
    /// [`Error::ManifestSignature`], then [`Error::ManifestMalformed`].
    pub fn manifest(&self, document: &[u8], signature: &[u8; 64]) -> Result<Manifest, Error> {
        self.check(document, signature)?;
        let text: ManifestText<'_> = from_json(document).map_err(|_| Error::ManifestMalformed)?;
        if (text.kind, text.format) != ("manifest", 1) {
            return Err(Error::ManifestMalformed);
        }
        self.ours(text.provider)?;
        text.parse().ok_or(Error::ManifestMalformed)
    }

    /// Verifies and parses a command.
    ///
    /// # Errors
    /// As [`Signer::manifest`].
    pub fn command(&self, document: &[u8], signature: &[u8; 64]) -> Result<Command, Error> {
        self.check(document, signature)?;
        let text: CommandText<'_> = from_json(document).map_err(|_| Error::ManifestMalformed)?;
        if (text.kind, text.format) != ("command", 1) {
            return Err(Error::ManifestMalformed);
        }
        self.ours(text.provider)?;
        let action = match text.action {
            "activate" => Action::Activate,
            "lock" => Action::Lock,
            "unlock" => Action::Unlock,
            "remove" => Action::Remove,
            _ => return Err(Error::ManifestMalformed),
        };
        let name = TrustletName::new(text.name.as_bytes()).map_err(|_| Error::ManifestMalformed)?;
        Ok(Command { name, sequence: text.sequence, action })
    }

    fn check(&self, document: &[u8], signature: &[u8; 64]) -> Result<(), Error> {
        if self.key.verifies(document, signature) { Ok(()) } else { Err(Error::ManifestSignature) }
    }

    /// One key could belong to two providers; the document says for which it was signed.
    fn ours(&self, provider: &str) -> Result<(), Error> {
        let provider = unhex(provider).map_err(|_| Error::ManifestMalformed)?;
        if ProviderId(provider) == self.provider { Ok(()) } else { Err(Error::ManifestSignature) }
    }
}

impl ManifestText<'_> {
    fn parse(&self) -> Option<Manifest> {
        let limits = Limits { pages: self.pages, stack: self.stack, depth: self.depth, fuel: self.fuel };
        let sound = self.version > 0
            && (1..=MAX_MODULE).contains(&self.size)
            && (1..=MAX_PAGES).contains(&limits.pages)
            && STACK.contains(&limits.stack)
            && (1..=MAX_DEPTH).contains(&limits.depth)
            && limits.fuel > 0;
        if !sound {
            return None;
        }
        Some(Manifest {
            name: TrustletName::new(self.name.as_bytes()).ok()?,
            version: self.version,
            module: unhex(self.module).ok()?,
            size: self.size,
            limits,
            services: service_bits(&self.services)?,
            store: self.store,
            peers: self.peers.iter().map(|peer| address(peer)).collect::<Option<_>>()?,
            clients: self.clients.iter().map(ClientText::parse).collect::<Option<_>>()?,
            recover: self.recover,
        })
    }
}

impl ClientText<'_> {
    fn parse(&self) -> Option<Caller> {
        let login = match self.login {
            "user" => login::USER,
            "group" => login::GROUP,
            _ => return None,
        };
        Some(Caller { login, uuid: Uuid(unhex(self.id).ok()?) })
    }
}

/// `PROVIDER/NAME`, the provider in 32 hexadecimal digits.
fn address(text: &str) -> Option<Address> {
    let (provider, name) = text.split_once('/')?;
    let provider = ProviderId(unhex(provider).ok()?);
    Some(Address { provider, name: TrustletName::new(name.as_bytes()).ok()? })
}
