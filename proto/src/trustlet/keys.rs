//! A trustlet's keys, in the card trusted app: used by handle, never seen. The methods are in the table
//! of [`crate::card`].
//!
//! A key is made from the device's own secret and what it is named by: provider (the TVM's UUID),
//! trustlet, generation, label, algorithm. It needs no storage, is the same at every opening, and is gone
//! for good when the trustlet is removed, since its generation never comes back.

use crate::wire::Bytes;

/// Longest label of a key in bytes.
pub const MAX_LABEL: usize = 16;
/// Longest message to sign, authenticate, encrypt or decrypt in bytes.
pub const MAX_DATA: usize = 256;
/// What encryption adds: a 12-byte nonce in front, a 16-byte tag behind.
pub const SEAL_OVERHEAD: usize = 28;

crate::code! {
    /// What a key is for; it does nothing else.
    KeyAlgorithm {
        /// ECDSA P-256 with SHA-256 (FIPS 186-5).
        EcdsaP256 = 1,
        /// SM2 signature with SM3, default user id (GB/T 32918.2).
        Sm2 = 2,
        /// HMAC-SHA-256 (RFC 2104).
        HmacSha256 = 3,
        /// AES-128-GCM (NIST SP 800-38D), nonces drawn by the TEE.
        Aes128Gcm = 4,
        /// Makes other keys and does nothing else.
        Derive = 5,
    }
}

crate::message! {
    /// Names an open key: where it is, and the opening it belongs to.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    KeyHandle {
        /// Place in the table.
        index: u8,
        /// Drawn for this opening; a handle that was closed never fits again.
        generation: u32,
    }
}
crate::message! {
    /// Opens a key.
    #[derive(Clone, Debug, PartialEq, Eq)]
    OpenKey {
        /// Its label, the trustlet's choice.
        label: Bytes<MAX_LABEL>,
        /// What it is for.
        algorithm: KeyAlgorithm,
    }
}
crate::message! {
    /// Opens the key that a [`KeyAlgorithm::Derive`] key gives for some context.
    #[derive(Clone, Debug, PartialEq, Eq)]
    DeriveKey {
        /// The key to derive from.
        handle: KeyHandle,
        /// What makes the derived key another one.
        context: Bytes<32>,
        /// What it is for.
        algorithm: KeyAlgorithm,
    }
}
crate::message! {
    /// An open key.
    #[derive(Clone, Debug, PartialEq, Eq)]
    OpenKeyReply {
        /// Its handle.
        handle: KeyHandle,
        /// The public key of a signature key, SEC 1 uncompressed, 65 bytes; else empty.
        public: Bytes<65>,
    }
}
crate::message! {
    /// Signs a message.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Sign {
        /// The key.
        handle: KeyHandle,
        /// The message itself, not a digest.
        message: Bytes<MAX_DATA>,
    }
}
crate::message! {
    /// A signature.
    #[derive(Clone, Debug, PartialEq, Eq)]
    SignReply {
        /// `r‖s`.
        signature: [u8; 64],
    }
}
crate::message! {
    /// Authenticates a message.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Mac {
        /// The key.
        handle: KeyHandle,
        /// The message.
        message: Bytes<MAX_DATA>,
    }
}
crate::message! {
    /// A message authentication code.
    #[derive(Clone, Debug, PartialEq, Eq)]
    MacReply {
        /// The code.
        mac: [u8; 32],
    }
}
crate::message! {
    /// Encrypts.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Encrypt {
        /// The key.
        handle: KeyHandle,
        /// The plain text.
        plain: Bytes<MAX_DATA>,
    }
}
crate::message! {
    /// What was encrypted.
    #[derive(Clone, Debug, PartialEq, Eq)]
    EncryptReply {
        /// Nonce, cipher text, tag.
        sealed: Bytes<{ MAX_DATA + SEAL_OVERHEAD }>,
    }
}
crate::message! {
    /// Decrypts.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Decrypt {
        /// The key.
        handle: KeyHandle,
        /// As [`EncryptReply`] gave it.
        sealed: Bytes<{ MAX_DATA + SEAL_OVERHEAD }>,
    }
}
crate::message! {
    /// What was decrypted.
    #[derive(Clone, Debug, PartialEq, Eq)]
    DecryptReply {
        /// The plain text.
        plain: Bytes<MAX_DATA>,
    }
}
crate::message! {
    /// Closes a key.
    #[derive(Clone, Debug, PartialEq, Eq)]
    CloseKey {
        /// The key.
        handle: KeyHandle,
    }
}
crate::message! {
    /// The handle names nothing any more.
    #[derive(Clone, Debug, PartialEq, Eq)]
    CloseKeyReply {}
}
crate::message! {
    /// Closes every key of the guest that asks; its TVM does so when the guest ends.
    #[derive(Clone, Debug, PartialEq, Eq)]
    CloseKeys {}
}
