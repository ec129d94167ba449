//! The places of the network's own steps: the code by SMS and the real name. A product puts the network's systems here.

use super::Account;
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

/// The network could not do its step; the binding waits where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepFailed(pub String);

impl fmt::Display for StepFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StepFailed {}

/// Who a holder says to be.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name.
    pub name: String,
    /// Number of the document.
    pub document: String,
}

/// What the network does in a binding.
pub trait NetworkSteps {
    /// Sends a fresh code to the account's phone; returns the network's name for it.
    ///
    /// # Errors
    /// [`StepFailed`].
    fn send_code(&mut self, account: &Account) -> Result<String, StepFailed>;

    /// Whether a code is the one that was sent under that name.
    ///
    /// # Errors
    /// [`StepFailed`].
    fn check_code(&mut self, reference: &str, code: &str) -> Result<bool, StepFailed>;

    /// Whether the account is that person's.
    ///
    /// # Errors
    /// [`StepFailed`].
    fn check_name(&mut self, account: &Account, identity: &Identity) -> Result<bool, StepFailed>;
}

/// The lab's network. It sends nothing: **everybody can compute its codes** from the name that it gives them.
#[derive(Clone, Copy, Debug, Default)]
pub struct LabNetwork;

impl LabNetwork {
    /// What the holder's phone would show: six digits.
    #[must_use]
    pub fn code_of(reference: &str) -> String {
        let digest: [u8; 32] =
            Sha256::new().chain_update("tapvault lab SMS code ").chain_update(reference).finalize().into();
        let [a, b, c, d, ..] = digest;
        format!("{:06}", u32::from_be_bytes([a, b, c, d]) % 1_000_000)
    }
}

impl NetworkSteps for LabNetwork {
    fn send_code(&mut self, _: &Account) -> Result<String, StepFailed> {
        let mut reference = [0; 16];
        getrandom::fill(&mut reference)
            .map_err(|error| StepFailed(format!("the operating system gave no random numbers: {error}")))?;
        Ok(hex::encode(reference))
    }

    fn check_code(&mut self, reference: &str, code: &str) -> Result<bool, StepFailed> {
        Ok(Self::code_of(reference).as_bytes().ct_eq(code.as_bytes()).into())
    }

    fn check_name(&mut self, account: &Account, identity: &Identity) -> Result<bool, StepFailed> {
        Ok(account.name == identity.name && account.document == identity.document)
    }
}
