//! Output for people or for programs, and the command's errors.

use serde_json::{Value, json};
use std::fmt;
#[cfg(feature = "optee")]
use std::io;
use tapvault::ClientError;

/// Where results go.
pub struct Output {
    json: bool,
}

impl Output {
    /// For people, or as JSON.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints a result.
    pub fn show(&self, value: &Value, text: &str) {
        if self.json { println!("{value}") } else { println!("{text}") }
    }

    /// Prints an error; it names no secret, since no secret is in any error.
    pub fn failure(&self, failure: &Failure) {
        if self.json {
            let code = match failure {
                Failure::Client(ClientError::Call { code, .. }) => Some(format!("0x{code:08X}")),
                _ => None,
            };
            eprintln!("{}", json!({ "error": failure.to_string(), "code": code }));
        } else {
            eprintln!("error: {failure}");
        }
    }
}

/// Whose keys the trusted apps were built with, for people.
#[cfg(feature = "optee")]
pub const fn keys(lab: bool) -> &'static str {
    if lab { "the LAB's, which everybody has: no security" } else { "the product's own" }
}

/// Why the command failed.
#[derive(Debug)]
pub enum Failure {
    /// The call's.
    Client(ClientError),
    /// A file or the reader.
    #[cfg(feature = "optee")]
    Io(String, io::Error),
    /// A file's contents.
    Content(String),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => error.fmt(f),
            #[cfg(feature = "optee")]
            Self::Io(what, error) => write!(f, "{what}: {error}"),
            Self::Content(what) => f.write_str(what),
        }
    }
}

#[cfg(feature = "optee")]
/// Reads a file of at most `limit` bytes; `-` is standard input.
///
/// # Errors
/// When it cannot be read, or is longer.
pub fn read(path: &str, limit: u64) -> Result<Vec<u8>, Failure> {
    use std::io::Read;
    let failed = |error| Failure::Io(path.into(), error);
    let mut input: Box<dyn Read> = match path {
        "-" => Box::new(io::stdin()),
        path => Box::new(std::fs::File::open(path).map_err(failed)?),
    };
    let mut bytes = Vec::new();
    input.by_ref().take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(Failure::Content(format!("{path}: longer than {limit} bytes")));
    }
    Ok(bytes)
}

/// A message that another command wrote: JSON with `field`, its bytes in hexadecimal; `-` is standard input.
///
/// # Errors
/// When it cannot be read, or is none.
#[cfg(feature = "optee")]
pub fn message<M: tapvault_proto::wire::Wire>(path: &str, field: &str) -> Result<M, Failure> {
    // The other messages are named after their command.
    let command = match field {
        "offer" => "tapvault-bank bind begin".into(),
        "pairing" => "tapvault-bank pair-pad".into(),
        "offline" => "tapvault-bank offline load".into(),
        "statement" => "tapvault-platform answer".into(),
        field => format!("tapvault-bank {field}"),
    };
    let malformed = || Failure::Content(format!("{path}: no {field} as `{command}` writes it"));
    message_of(&read(path, 8192)?, field).ok_or_else(malformed)
}

/// As [`message`], out of the JSON itself; `None` when it holds none.
#[cfg(feature = "optee")]
pub fn message_of<M: tapvault_proto::wire::Wire>(json: &[u8], field: &str) -> Option<M> {
    let document: serde_json::Value = serde_json::from_slice(json).ok()?;
    let text = document.get(field).and_then(serde_json::Value::as_str)?;
    if text.len() > 2 * M::MAX {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
    tapvault_proto::wire::decode_exact(&bytes?).ok()
}

/// Bytes as lower-case hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Sixteen bytes from 32 hexadecimal digits.
///
/// # Errors
/// A text for the command line.
pub fn id(text: &str) -> Result<[u8; 16], String> {
    tapvault_proto::document::unhex(text)
        .map_err(|_| "32 lower-case hexadecimal digits, as `card list` shows".into())
}
