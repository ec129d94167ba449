//! What makers and providers do off the device: keys, signed documents, stamped images.
//!
//! A device maker enrols a provider once ([`enrol`]): its TVM's image is stamped and signed under a subkey
//! that stays with the maker. From then on the provider signs manifests and commands with its own key
//! ([`document`]) and asks nobody.

pub mod audit;
pub mod document;
pub mod enrol;
pub mod identity;
pub mod image;
pub mod key;

use std::{fmt, io, path::PathBuf};

/// Why a maker's or provider's step was not done.
#[derive(Debug)]
pub enum MakerError {
    /// A file could not be read or written.
    File(PathBuf, io::Error),
    /// A file's contents are not what they should be.
    Content(PathBuf, &'static str),
    /// A value breaks a rule of the documents.
    Value(String),
    /// An image that must not be signed.
    Image(&'static str),
    /// OP-TEE's signing tool failed.
    Tool(String),
}

impl fmt::Display for MakerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Content(path, what) => write!(f, "{}: {what}", path.display()),
            Self::Value(what) => f.write_str(what),
            Self::Image(what) => write!(f, "this image is not signed: {what}"),
            Self::Tool(what) => write!(f, "the signing tool failed: {what}"),
        }
    }
}

impl std::error::Error for MakerError {}
