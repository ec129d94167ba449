//! A trustlet's life: installed → active ⇄ locked → removed. Versions and sequence numbers only rise, and
//! are remembered after a removal: a recorded document does nothing twice.

use crate::manifest::{Action, Command, Manifest};
use tapvault_proto::{
    Error,
    tvm::{MAX_MANIFEST, TrustletState},
    wire::Bytes,
};

tapvault_proto::message! {
    /// What a TVM stores of a trustlet.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Record {
        /// Format of this record; [`Record::FORMAT`].
        format: u8,
        /// Where the trustlet is in its life.
        state: TrustletState,
        /// Version of its manifest; after a removal, of the last one.
        version: u32,
        /// Sequence number of the last command.
        sequence: u32,
        /// Drawn at installation, and anew after a removal.
        generation: [u8; 16],
        /// The manifest as it was signed; empty after a removal.
        manifest: Bytes<MAX_MANIFEST>,
        /// The provider's signature over it.
        signature: [u8; 64],
    }
}

impl Record {
    /// The format this crate writes.
    pub const FORMAT: u8 = 1;

    /// The record after an installation over `old`. A trustlet that is there keeps state, generation
    /// and data; one that was removed begins anew with `generation`.
    ///
    /// # Errors
    /// [`Error::ManifestRollback`] unless the version is higher; [`Error::ManifestMalformed`] for a
    /// document over [`MAX_MANIFEST`] bytes.
    pub fn installed(
        old: Option<&Self>,
        manifest: &Manifest,
        document: &[u8],
        signature: [u8; 64],
        generation: [u8; 16],
    ) -> Result<Self, Error> {
        if old.is_some_and(|old| manifest.version <= old.version) {
            return Err(Error::ManifestRollback);
        }
        let living = old.filter(|old| old.state != TrustletState::Removed);
        Ok(Self {
            format: Self::FORMAT,
            state: living.map_or(TrustletState::Installed, |old| old.state),
            version: manifest.version,
            sequence: old.map_or(0, |old| old.sequence),
            generation: living.map_or(generation, |old| old.generation),
            manifest: Bytes::from_slice(document).map_err(|_| Error::ManifestMalformed)?,
            signature,
        })
    }

    /// The record after a command.
    ///
    /// # Errors
    /// [`Error::ManifestRollback`] unless the sequence number is higher; [`Error::WrongState`].
    pub fn commanded(&self, command: &Command) -> Result<Self, Error> {
        if command.sequence <= self.sequence {
            return Err(Error::ManifestRollback);
        }
        let state = match (self.state, command.action) {
            (TrustletState::Installed, Action::Activate) => TrustletState::Active,
            (TrustletState::Active, Action::Lock) => TrustletState::Locked,
            (TrustletState::Locked, Action::Unlock) => TrustletState::Active,
            (TrustletState::Removed, _) => return Err(Error::WrongState),
            (_, Action::Remove) => TrustletState::Removed,
            _ => return Err(Error::WrongState),
        };
        let mut next = Self { state, sequence: command.sequence, ..self.clone() };
        if state == TrustletState::Removed {
            next.generation = [0; 16];
            next.manifest.clear();
            next.signature = [0; 64];
        }
        Ok(next)
    }
}
