//! What the command prints: events and errors, as text or JSON, never with digits.

use serde_json::{Value, json};
use std::io::{self, IsTerminal, Write};
use tapvault_pad::Event;

/// Where events go.
pub enum Output {
    /// Standard output: there is no screen.
    Out {
        /// As JSON.
        json: bool,
    },
    /// Standard error: the screen is on standard output.
    Error {
        /// As JSON.
        json: bool,
    },
    /// Nowhere: standard error is the screen as well.
    Nowhere,
}

impl Output {
    /// For a pad with a screen, or without.
    pub fn new(screen: bool, json: bool) -> Self {
        match screen {
            false => Self::Out { json },
            true if io::stderr().is_terminal() => Self::Nowhere,
            true => Self::Error { json },
        }
    }

    /// Tells an event.
    pub fn event(&self, event: &Event) {
        self.line(&event.json(), &event.to_string());
    }

    /// Tells something else.
    pub fn line(&self, value: &Value, text: &str) {
        // Whoever does not listen does not stop the pad.
        let _ = match self {
            Self::Out { json: true } => writeln!(io::stdout().lock(), "{value}"),
            Self::Out { json: false } => writeln!(io::stdout().lock(), "{text}"),
            Self::Error { json: true } => writeln!(io::stderr().lock(), "{value}"),
            Self::Error { json: false } => writeln!(io::stderr().lock(), "{text}"),
            Self::Nowhere => Ok(()),
        };
    }
}

/// Tells why the command ends.
pub fn failed(json: bool, error: &str) {
    let _ = match json {
        true => writeln!(io::stderr().lock(), "{}", json!({ "error": error })),
        false => writeln!(io::stderr().lock(), "error: {error}"),
    };
}
