//! The policy: JSON, signed by the platform key, versioned, never lower.
//!
//! ```json
//! {"format":1,"version":3,"rules":[
//!   {"service":"card","login":"group","id":"03f5…","rights":["wallet"],"sessions":4}]}
//! ```
//! `id` is the UUID the Linux kernel derives from user or group, 32 hexadecimal digits. What no rule
//! names is refused.

use crate::signature::PublicKey;
use heapless::Vec;
use serde::Deserialize;
use tapvault_proto::{
    Error,
    document::{from_json, unhex},
    id::{Caller, Uuid, login},
    service::{Rights, Service},
};

/// Most rules in one policy.
pub const MAX_RULES: usize = 16;

/// A policy that was parsed and checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Its version; 0 is the empty policy of a new device.
    pub version: u32,
    rules: Vec<Rule, MAX_RULES>,
}

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
// Each rule is turned into its short form at once: sixteen of the long one, copied from function to
// function, would fill a trusted app's stack.
#[serde(try_from = "RuleText<'_>")]
pub struct Rule {
    /// The service it opens.
    pub service: Service,
    /// The caller it is for.
    pub caller: Caller,
    /// What a session may do.
    pub rights: Rights,
    /// Sessions the caller may hold at once.
    pub sessions: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u8,
    version: u32,
    rules: Vec<Rule, MAX_RULES>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText<'a> {
    service: &'a str,
    login: &'a str,
    id: &'a str,
    // Two rights exist; a third name is a repetition.
    #[serde(borrow)]
    rights: Vec<&'a str, 2>,
    sessions: u16,
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

    /// The rule for a caller of a service, if there is one.
    #[must_use]
    pub fn rule(&self, service: Service, caller: &Caller) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.service == service && rule.caller == *caller)
    }

    fn parse(document: &[u8]) -> Result<Self, Error> {
        let document: Document = from_json(document).map_err(|_| Error::PolicyMalformed)?;
        if document.format != 1 || document.version == 0 {
            return Err(Error::PolicyMalformed);
        }
        let mut policy = Self { version: document.version, rules: Vec::new() };
        for rule in document.rules {
            // Two rules for one caller would leave open which one holds.
            if policy.rule(rule.service, &rule.caller).is_some() {
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
        let rights = self
            .rights
            .iter()
            .try_fold(Rights::NONE, |rights, name| Some(rights.with(Rights::by_name(name)?)))?;
        Some(Rule {
            service: Service::by_name(self.service)?,
            caller: Caller { login, uuid: Uuid(unhex(self.id).ok()?) },
            rights,
            sessions: self.sessions,
        })
    }
}
