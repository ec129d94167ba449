//! What the issuer remembers of bindings, in its state file. No number and no CVN2: an account by its name alone.

use crate::lab::LabBank;
use serde::{Deserialize, Serialize};

/// What a binding waits for; each step leads to the next one only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Card data, or a chip card's cryptogram.
    Card,
    /// The code that the network sent to the holder's phone.
    Code,
    /// The holder's name and document.
    Name,
    /// Nothing more: a token may be ordered.
    Order,
    /// Nothing more: the token was ordered.
    Ordered,
    /// Nothing more: too many wrong answers.
    Closed,
}

/// One binding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BindingRecord {
    /// The bank's nonce, 32 bytes: names the binding.
    #[serde(with = "hex::serde")]
    pub nonce: [u8; 32],
    /// The bank.
    pub provider: LabBank,
    /// The id that the phone's card will have, 16 bytes: the same however often it is ordered.
    #[serde(with = "hex::serde")]
    pub card: [u8; 16],
    /// When it is over, in seconds since 1970 UTC.
    pub expires: u64,
    /// What it waits for.
    pub step: Step,
    /// Wrong answers in this step.
    #[serde(default)]
    pub wrong: u8,
    /// SHA-256 of the sealed data or request that was refused last: sent once more, it costs no other try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The account, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The network's name for the code it sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// Wrong expiries and CVN2s of one account, over all bindings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrongData {
    /// The account.
    pub account: String,
    /// How often, since the last time they were right.
    pub times: u8,
}

/// All that is remembered of bindings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bindings {
    /// Those that are not over, at most [`super::MAX_OPEN`].
    pub open: Vec<BindingRecord>,
    /// Accounts with wrong data.
    pub wrong: Vec<WrongData>,
}

impl Bindings {
    /// Whether there is nothing to remember: a file without bindings stays as it was before there were any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.wrong.is_empty()
    }

    /// How often an account's data were wrong.
    #[must_use]
    pub fn wrong_times(&self, account: &str) -> u8 {
        self.wrong.iter().find(|wrong| wrong.account == account).map_or(0, |wrong| wrong.times)
    }

    /// Sets how often an account's data were wrong.
    pub fn set_wrong_times(&mut self, account: &str, times: u8) {
        self.wrong.retain(|wrong| wrong.account != account);
        if times > 0 {
            self.wrong.push(WrongData { account: account.to_owned(), times });
        }
    }
}
