//! The policy: JSON, signed by the platform key, versioned, never lower.
//!
//! ```json
//! {"format":1,"version":3,
//!  "rules":[
//!   {"service":"card","login":"group","id":"03f5…","rights":["wallet"],"sessions":4},
//!   {"service":"tvm","provider":"6738…","login":"user","id":"fc34…","rights":["client"],"sessions":4}],
//!  "providers":[
//!   {"id":"6738…","tvm":"9e4c…","services":["store","card"],"guests":4,"memory_kib":2048,"store":4096,
//!    "messages":4,"signatures":60,"accesses":240,"loads":60}]}
//! ```
//! A rule's `id` is the UUID the Linux kernel derives from user or group, 32 hexadecimal digits. What no
//! rule names is refused; a provider that is not listed has no TVM.

use crate::signature::PublicKey;
use heapless::Vec;
use serde::Deserialize;
use tapvault_proto::{
    Error,
    document::{from_json, unhex},
    id::{Caller, ProviderId, Uuid, login},
    service::{Rights, Service},
    supervisor::{MAX_PROVIDERS, Quota},
};

/// Most rules in one policy.
pub const MAX_RULES: usize = 24;
/// Most messages in all mailboxes: the providers' shares together may not be more, so that none can use
/// up another's.
pub const MAX_MESSAGES: usize = 48;
/// Most steps of one kind that a policy gives a provider in a minute: beyond it, it is no limit.
pub const MAX_RATE: u16 = 6000;

/// A policy that was parsed and checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Its version; 0 is the empty policy of a new device.
    pub version: u32,
    rules: Vec<Rule, MAX_RULES>,
    providers: Vec<Provider, MAX_PROVIDERS>,
}

/// What a rule opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A native trusted app.
    Native(Service),
    /// A provider's TVM.
    Tvm(ProviderId),
}

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
// Each rule is turned into its short form at once: two dozen of the long one, copied from function to
// function, would fill a trusted app's stack.
#[serde(try_from = "RuleText<'_>")]
pub struct Rule {
    /// What it opens.
    pub target: Target,
    /// The caller it is for.
    pub caller: Caller,
    /// What a session may do.
    pub rights: Rights,
    /// Sessions the caller may hold at once.
    pub sessions: u16,
}

/// A provider with a TVM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "ProviderText<'_>")]
pub struct Provider {
    /// Its id.
    pub id: ProviderId,
    /// Its TVM's UUID, which OP-TEE's core vouches for.
    pub tvm: Uuid,
    /// What all its trustlets together may.
    pub quota: Quota,
    /// The services they may ask for: [`Service::bit`] of each.
    pub services: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u8,
    version: u32,
    rules: Vec<Rule, MAX_RULES>,
    #[serde(default)]
    providers: Vec<Provider, MAX_PROVIDERS>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText<'a> {
    service: &'a str,
    provider: Option<&'a str>,
    login: &'a str,
    id: &'a str,
    // Three rights exist; a fourth name is a repetition.
    #[serde(borrow)]
    rights: Vec<&'a str, 3>,
    sessions: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderText<'a> {
    id: &'a str,
    tvm: &'a str,
    #[serde(borrow)]
    services: Vec<&'a str, { Service::FOR_TRUSTLETS.len() }>,
    guests: u8,
    memory_kib: u16,
    store: u16,
    messages: u8,
    signatures: u16,
    accesses: u16,
    loads: u16,
}

impl Policy {
    /// Verifies and parses a document.
    ///
    /// # Errors
    /// [`Error::PolicySignature`], then [`Error::PolicyMalformed`].
    pub fn verify(document: &[u8], signature: &[u8; 64], platform: &PublicKey) -> Result<Self, Error> {
        if !platform.verifies(document, signature) {
            return Err(Error::PolicySignature);
        }
        Self::parse(document)
    }

    /// The rule for a caller of a trusted app, if there is one.
    #[must_use]
    pub fn rule(&self, target: Uuid, caller: &Caller) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.caller == *caller && self.uuid(rule.target) == Some(target))
    }

    /// Every provider with a TVM.
    #[must_use]
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// The provider of that id.
    #[must_use]
    pub fn provider(&self, id: ProviderId) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.id == id)
    }

    /// The provider whose TVM has this UUID.
    #[must_use]
    pub fn provider_of(&self, tvm: Uuid) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.tvm == tvm)
    }

    fn uuid(&self, target: Target) -> Option<Uuid> {
        match target {
            Target::Native(service) => Some(service.uuid()),
            Target::Tvm(id) => self.provider(id).map(|provider| provider.tvm),
        }
    }

    fn parse(document: &[u8]) -> Result<Self, Error> {
        let document: Document = from_json(document).map_err(|_| Error::PolicyMalformed)?;
        if document.format != 1 || document.version == 0 {
            return Err(Error::PolicyMalformed);
        }
        let mut policy = Self { version: document.version, rules: Vec::new(), providers: Vec::new() };
        for provider in document.providers {
            // A UUID that two share, or that is a native trusted app's, would make one speak for another.
            let taken = policy.provider(provider.id).is_some()
                || policy.provider_of(provider.tvm).is_some()
                || provider.tvm == Uuid([0; 16])
                || Service::by_uuid(provider.tvm).is_some();
            if taken {
                return Err(Error::PolicyMalformed);
            }
            policy.providers.push(provider).map_err(|_| Error::PolicyMalformed)?;
        }
        let messages: usize =
            policy.providers.iter().map(|provider| usize::from(provider.quota.messages)).sum();
        if messages > MAX_MESSAGES {
            return Err(Error::PolicyMalformed);
        }
        for rule in document.rules {
            let target = policy.uuid(rule.target).ok_or(Error::PolicyMalformed)?;
            // Two rules for one caller would leave open which one holds.
            if policy.rule(target, &rule.caller).is_some() {
                return Err(Error::PolicyMalformed);
            }
            policy.rules.push(rule).map_err(|_| Error::PolicyMalformed)?;
        }
        Ok(policy)
    }
}

impl TryFrom<RuleText<'_>> for Rule {
    type Error = &'static str;

    fn try_from(text: RuleText<'_>) -> Result<Self, Self::Error> {
        text.rule().ok_or("a rule names a service, a login, an id and rights that exist")
    }
}

impl RuleText<'_> {
    fn rule(&self) -> Option<Rule> {
        let login = match self.login {
            "user" => login::USER,
            "group" => login::GROUP,
            _ => return None,
        };
        let target = match (Service::by_name(self.service)?, self.provider) {
            (Service::Tvm, Some(provider)) => Target::Tvm(ProviderId(unhex(provider).ok()?)),
            (service, None) if Service::NATIVE.contains(&service) => Target::Native(service),
            _ => return None,
        };
        let rights = self
            .rights
            .iter()
            .try_fold(Rights::NONE, |rights, name| Some(rights.with(Rights::by_name(name)?)))?;
        Some(Rule {
            target,
            caller: Caller { login, uuid: Uuid(unhex(self.id).ok()?) },
            rights,
            sessions: self.sessions,
        })
    }
}

impl TryFrom<ProviderText<'_>> for Provider {
    type Error = &'static str;

    fn try_from(text: ProviderText<'_>) -> Result<Self, Self::Error> {
        text.provider().ok_or("a provider has an id, a TVM's UUID and services that exist")
    }
}

impl ProviderText<'_> {
    fn provider(&self) -> Option<Provider> {
        let rates = [self.signatures, self.accesses, self.loads];
        if rates.iter().any(|rate| *rate > MAX_RATE) {
            return None;
        }
        let Self { guests, memory_kib, store, messages, signatures, accesses, loads, .. } = *self;
        Some(Provider {
            id: ProviderId(unhex(self.id).ok()?),
            tvm: Uuid(unhex(self.tvm).ok()?),
            quota: Quota { guests, memory_kib, store, messages, signatures, accesses, loads },
            services: service_bits(&self.services)?,
        })
    }
}

/// The bits of services a trustlet may ask for, by name; `None` when one is no such service.
pub(crate) fn service_bits(names: &[&str]) -> Option<u32> {
    names.iter().try_fold(0, |bits, name| {
        let service = Service::by_name(name).filter(|service| Service::FOR_TRUSTLETS.contains(service))?;
        Some(bits | service.bit())
    })
}
