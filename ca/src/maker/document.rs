//! Manifests and commands, written and signed.

use super::{MakerError, key::ProviderKey};
use crate::trustlet::Signed;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tapvault_proto::{
    document::unhex,
    id::{Address, Caller, ProviderId, TrustletName, login},
    service::Service,
    tvm::{MAX_COMMAND, MAX_MANIFEST},
};

/// What a provider decides about a trustlet.
#[derive(Clone, Debug)]
pub struct Trustlet {
    /// Its name.
    pub name: TrustletName,
    /// Its version; higher than any before.
    pub version: u32,
    /// Pages of memory, 64 KiB each.
    pub pages: u8,
    /// Value stack in bytes.
    pub stack: u32,
    /// Nesting of calls.
    pub depth: u16,
    /// Fuel of one call.
    pub fuel: u64,
    /// The services it wants.
    pub services: Vec<Service>,
    /// Bytes it stores.
    pub store: u16,
    /// Whom it exchanges messages with.
    pub peers: Vec<Address>,
    /// Who may open it.
    pub clients: Vec<Caller>,
    /// Whether it may take the place of a damaged record on a device; only for the newest version.
    pub recover: bool,
}

impl Trustlet {
    /// A trustlet with ordinary limits, without services, peers and clients.
    #[must_use]
    pub fn new(name: TrustletName, version: u32) -> Self {
        Self {
            name,
            version,
            pages: 2,
            stack: 8192,
            depth: 64,
            fuel: 2_000_000,
            services: Vec::new(),
            store: 0,
            peers: Vec::new(),
            clients: Vec::new(),
            recover: false,
        }
    }

    /// The manifest for a module, signed.
    ///
    /// # Errors
    /// [`MakerError::Value`] when it is too long for a device.
    pub fn sign(&self, provider: ProviderId, key: &ProviderKey, module: &[u8]) -> Result<Signed, MakerError> {
        let digest: [u8; 32] = Sha256::digest(module).into();
        let client = |caller: &Caller| {
            let login = if caller.login == login::GROUP { "group" } else { "user" };
            json!({ "login": login, "id": caller.uuid.to_string() })
        };
        let document = json!({
            "kind": "manifest",
            "format": 1,
            "provider": provider.to_string(),
            "name": self.name.to_string(),
            "version": self.version,
            "module": hex(&digest),
            "size": module.len(),
            "pages": self.pages,
            "stack": self.stack,
            "depth": self.depth,
            "fuel": self.fuel,
            "services": self.services.iter().map(|service| service.name()).collect::<Vec<_>>(),
            "store": self.store,
            "peers": self.peers.iter().map(|peer| format!("{}/{}", peer.provider, peer.name)).collect::<Vec<_>>(),
            "clients": self.clients.iter().map(client).collect::<Vec<_>>(),
            "recover": self.recover,
        });
        sign(&document, key, MAX_MANIFEST)
    }
}

/// A command for one trustlet, signed: `activate`, `lock`, `unlock` or `remove`.
///
/// # Errors
/// [`MakerError::Value`] for another action.
pub fn command(
    provider: ProviderId,
    key: &ProviderKey,
    name: &TrustletName,
    sequence: u32,
    action: &str,
) -> Result<Signed, MakerError> {
    if !["activate", "lock", "unlock", "remove"].contains(&action) {
        return Err(MakerError::Value(format!("{action} is no action: activate, lock, unlock, remove")));
    }
    let document = json!({
        "kind": "command",
        "format": 1,
        "provider": provider.to_string(),
        "name": name.to_string(),
        "sequence": sequence,
        "action": action,
    });
    sign(&document, key, MAX_COMMAND)
}

fn sign(document: &Value, key: &ProviderKey, most: usize) -> Result<Signed, MakerError> {
    let document = document.to_string().into_bytes();
    if document.len() > most {
        let text = format!(
            "the document has {} bytes, a device takes {most}: name fewer peers or clients",
            document.len()
        );
        return Err(MakerError::Value(text));
    }
    let signature = key.sign(&document);
    Ok(Signed { document, signature })
}

/// A signed document as a file: JSON with the document as text, and its signature.
#[must_use]
pub fn to_file(signed: &Signed) -> String {
    let document = String::from_utf8_lossy(&signed.document);
    format!("{}\n", json!({ "document": document, "signature": hex(&signed.signature) }))
}

/// Reads what [`to_file`] wrote.
///
/// # Errors
/// [`MakerError::Value`].
pub fn from_file(text: &[u8]) -> Result<Signed, MakerError> {
    let wrong = || MakerError::Value("not a signed document as `tapvault provider` writes".into());
    let file: Value = serde_json::from_slice(text).map_err(|_| wrong())?;
    let field = |name: &str| file.get(name).and_then(Value::as_str).ok_or_else(wrong);
    let signature = unhex(field("signature")?).map_err(|_| wrong())?;
    Ok(Signed { document: field("document")?.as_bytes().to_vec(), signature })
}

/// Bytes as lower-case hexadecimal text.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
