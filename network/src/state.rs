//! The issuer's memory: a JSON file, replaced as a whole, so that a power cut leaves the old or the new
//! state and nothing between.

use crate::{kind::CardKind, lab::LabBank};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Format of the file.
const FORMAT: u8 = 1;
/// How long another command may hold the file.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether a card may pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CardStatus {
    /// Yes.
    Active,
    /// No: every request is declined.
    Blocked,
}

/// What the issuer remembers of a card. No keys: they follow from bank, version, token and number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardRecord {
    /// The card's id, 16 bytes.
    #[serde(with = "hex::serde")]
    pub card: [u8; 16],
    /// The bank that issued it.
    pub provider: LabBank,
    /// The token, 13 to 19 digits; no two cards share one.
    pub token: String,
    /// Sequence number, BCD.
    pub psn: u8,
    /// Expiry, YYMM.
    pub expiry: String,
    /// Version of the keys issued last; earlier ones are no longer accepted.
    pub key_version: u8,
    /// Highest transaction counter approved under this key version; 0 for none.
    pub highest_atc: u16,
    /// Whether it may pay.
    pub status: CardStatus,
    /// Commands over its token under this key version.
    #[serde(default)]
    pub commands: u32,
    /// What kind of card it is.
    #[serde(default)]
    pub kind: CardKind,
}

/// Why the state could not be read or stored.
#[derive(Debug)]
pub enum StateError {
    /// There is no such file.
    Missing(PathBuf),
    /// Another command holds the file.
    Busy(PathBuf),
    /// The file could not be read or written.
    Io(PathBuf, io::Error),
    /// The file is not a state of this format.
    Malformed(PathBuf, String),
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => {
                write!(f, "{}: no such issuer state; issue a card first: tapvault-bank issue", path.display())
            }
            Self::Busy(path) => {
                write!(f, "{}: held by another command; wait until it is done", path.display())
            }
            Self::Io(path, error) => {
                write!(f, "{}: {error}; check the folder, its rights and the disk", path.display())
            }
            Self::Malformed(path, what) => write!(
                f,
                "{}: not an issuer state ({what}); restore it from a backup: without it, replays cannot be told",
                path.display()
            ),
        }
    }
}

impl std::error::Error for StateError {}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u8,
    cards: Vec<CardRecord>,
}

/// Where the state lives. One process at a time: the file is locked as long as this value lives.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    // Held for its lock; closing it lets go.
    _lock: File,
}

impl StateFile {
    /// Locks and reads the state at `path`; with `create`, a missing file is an empty state.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn open(path: &Path, create: bool) -> Result<(Self, Vec<CardRecord>), StateError> {
        let failed = |error| StateError::Io(path.to_owned(), error);
        if !create && !path.exists() {
            return Err(StateError::Missing(path.to_owned()));
        }
        // The state is replaced by renaming, so the lock is on a file that stays.
        let lock_path = beside(path, ".lock");
        let lock = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(|error| StateError::Io(lock_path, error))?;
        wait_for(&lock, path)?;
        let cards = match fs::read(path) {
            Ok(bytes) => parse(path, &bytes)?,
            Err(error) if create && error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        Ok((Self { path: path.to_owned(), _lock: lock }, cards))
    }

    /// Replaces the state; when this returns, it is on the disk.
    ///
    /// # Errors
    /// [`StateError::Io`]; the old state is then still there.
    pub fn store(&self, cards: &[CardRecord]) -> Result<(), StateError> {
        let failed = |error| StateError::Io(self.path.clone(), error);
        let document = Document { format: FORMAT, cards: cards.to_vec() };
        let mut bytes = serde_json::to_vec_pretty(&document).map_err(|error| failed(error.into()))?;
        bytes.push(b'\n');
        replace(&self.path, &bytes).map_err(failed)
    }
}

/// Writes `bytes` beside `path`, syncs, and renames over `path`; then syncs the folder, without which
/// the rename itself could be lost.
///
/// # Errors
/// The file system's; `path` then holds what it held.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = beside(path, ".new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn wait_for(lock: &File, path: &Path) -> Result<(), StateError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(StateError::Io(path.to_owned(), error)),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => return Err(StateError::Busy(path.to_owned())),
        }
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<CardRecord>, StateError> {
    let malformed = |what: String| StateError::Malformed(path.to_owned(), what);
    let document: Document = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
    if document.format == FORMAT {
        Ok(document.cards)
    } else {
        Err(malformed(format!("format {}, expected {FORMAT}", document.format)))
    }
}
