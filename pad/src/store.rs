//! What a pad keeps: its keys, and its newest pairing. Both in files of one folder, the keys for their owner alone.

use crate::random::{Random, drawing};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tapvault_pad_link::Keys;
use tapvault_proto::{
    pad::Pairing,
    wire::{Wire, decode_exact, encode_into},
};
use zeroize::Zeroizing;

/// First line of the file `keys`; both secret scalars follow, 32 bytes each.
const KEYS: &[u8; 20] = b"tapvault pad keys 1\n";
/// First line of the file `pairing`; a [`Pairing`] as on the wire follows.
const PAIRING: &[u8; 23] = b"tapvault pad pairing 1\n";

/// Where keys and pairing are kept.
pub trait Store {
    /// The keys; drawn and stored at the first call.
    ///
    /// # Errors
    /// What went wrong, and what to do.
    fn keys(&mut self, random: &mut dyn Random) -> Result<Keys, String>;

    /// The pairing that was stored last.
    ///
    /// # Errors
    /// What went wrong, and what to do.
    fn pairing(&mut self) -> Result<Option<Pairing>, String>;

    /// Stores a pairing in place of the one before: all of it, or nothing.
    ///
    /// # Errors
    /// What went wrong; the one before is still there.
    fn keep(&mut self, pairing: &Pairing) -> Result<(), String>;
}

/// A folder.
pub struct Folder(PathBuf);

impl Folder {
    /// Opens a folder, or makes it, for its owner alone.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: &Path) -> Result<Self, String> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| {
            format!("{}: {error}; name a folder that can be made and written", path.display())
        })?;
        Ok(Self(path.to_owned()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// What is behind a file's first line; nothing when there is no file.
    fn read(&self, name: &str, first: &[u8], len: usize) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
        let path = self.path(name);
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed)?,
        };
        let mode = file.metadata().map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(format!(
                "{0}: others may read or write it; if nobody did, `chmod 600 {0}`; otherwise make a new pad in another \
                 folder and have it paired",
                path.display()
            ));
        }
        // Never grows, so that no copy of a key is left behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(first.len() + len + 1));
        file.take((first.len() + len + 1) as u64).read_to_end(&mut bytes).map_err(failed)?;
        match bytes.strip_prefix(first) {
            Some(content) if content.len() == len => Ok(Some(Zeroizing::new(content.to_vec()))),
            _ => Err(format!(
                "{}: damaged, or of another version; move it away to begin anew. A pad with new keys has to be paired \
                 again",
                path.display()
            )),
        }
    }

    /// Writes beside the file, then takes its place: a power cut leaves the old one or the new one.
    fn replace(&self, name: &str, first: &[u8], content: &[u8]) -> Result<(), String> {
        let (path, beside) = (self.path(name), self.path(&format!("{name}.new")));
        let write = || {
            // Left behind by a power cut.
            let _ = fs::remove_file(&beside);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(first)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            File::open(&self.0)?.sync_all()
        };
        write().map_err(|error| format!("{}: {error}; the pad has to write there", path.display()))
    }
}

impl Store for Folder {
    fn keys(&mut self, random: &mut dyn Random) -> Result<Keys, String> {
        if let Some(bytes) = self.read("keys", KEYS, 64)? {
            let scalars = bytes.split_first_chunk::<32>().and_then(|(key, rest)| {
                let sm2_key = rest.first_chunk::<32>()?;
                Keys::new(key, sm2_key).ok()
            });
            return scalars.ok_or_else(|| {
                format!("{}: no keys are in it; move it away to begin anew", self.path("keys").display())
            });
        }
        let keys = drawing(random, |draw| Keys::draw(draw))
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())?;
        let (key, sm2_key) = keys.expose();
        let mut content = Zeroizing::new(Vec::with_capacity(64));
        content.extend_from_slice(key);
        content.extend_from_slice(sm2_key);
        self.replace("keys", KEYS, &content)?;
        Ok(keys)
    }

    fn pairing(&mut self) -> Result<Option<Pairing>, String> {
        let Some(bytes) = self.read("pairing", PAIRING, Pairing::MAX)? else { return Ok(None) };
        decode_exact(&bytes).map(Some).map_err(|error| format!("{}: {error}", self.path("pairing").display()))
    }

    fn keep(&mut self, pairing: &Pairing) -> Result<(), String> {
        let mut bytes = [0; Pairing::MAX];
        encode_into(pairing, &mut bytes).map_err(|error| error.to_string())?;
        self.replace("pairing", PAIRING, &bytes)
    }
}
