//! The issuer's memory: a JSON file, replaced as a whole, so that a power cut leaves the old or the new
//! state and nothing between.

use crate::{
    binding::Bindings,
    kind::{CardKind, read_all, write_all},
    lab::LabBank,
    offline::OfflineRecord,
};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tapvault_proto::token::{Channel, TokenAction, TokenState};

/// Format of the file.
const FORMAT: u8 = 1;
/// How long another command may hold the file.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a card's token is in its life, by the bank's commands. What its holder suspends, the bank does not learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CardStatus {
    /// It waits for its activation. A file of a bank that did not tell says active; such a card is to be issued again.
    Inactive,
    /// It can pay; in every other state requests are declined.
    Active,
    /// It can be resumed. A file of a bank that did not tell this from deleted says blocked.
    #[serde(alias = "blocked")]
    Suspended,
    /// It is gone until it is issued again.
    Deleted,
}

impl CardStatus {
    /// Where an action leads; `None` for one that the phone would refuse.
    #[must_use]
    pub fn after(self, action: TokenAction) -> Option<Self> {
        let state = match self {
            Self::Inactive => TokenState::Inactive,
            Self::Active => TokenState::Active,
            Self::Suspended => TokenState::Suspended,
            Self::Deleted => return None,
        };
        match action {
            TokenAction::Delete => Some(Self::Deleted),
            action => state.after(action).map(Self::from),
        }
    }

    /// Its name in the state file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }
}

impl From<TokenState> for CardStatus {
    fn from(state: TokenState) -> Self {
        match state {
            TokenState::Inactive => Self::Inactive,
            TokenState::Active => Self::Active,
            TokenState::Suspended => Self::Suspended,
        }
    }
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
    /// Which of the 64 counters below it are used up, the lowest bit for the next lower one. A file that does not say
    /// is of an issuer that took only counters above the highest: all are used up then.
    #[serde(default = "all_used")]
    pub used_below: u64,
    /// Highest counter of a tap; a file that does not say knew taps alone.
    #[serde(default)]
    pub highest_tap: Option<u16>,
    /// Most that one code may be charged with, in minor units; the card itself never sees the amount.
    #[serde(default)]
    pub code_limit: Option<u64>,
    /// Where its token is in its life.
    pub status: CardStatus,
    /// Commands over its token under this key version.
    #[serde(default)]
    pub commands: u32,
    /// What kind of card it is.
    #[serde(default)]
    pub kind: CardKind,
    /// What was given out of its limited-use keys; `None` for a card that derives its session keys itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_use: Option<Given>,
    /// What it may pay offline and did; `None` for a card that always asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline: Option<OfflineRecord>,
}

/// What was given out of a card's limited-use keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// The channels that the card may use, in order.
    #[serde(serialize_with = "write_all", deserialize_with = "read_all")]
    pub channels: Vec<Channel>,
    /// Highest counter whose keys were given out under this key version; 0 for none.
    pub given: u16,
}

const fn all_used() -> u64 {
    u64::MAX
}

impl CardRecord {
    /// Whether a counter was never used, and is not so old that nobody knows. A code or a sealed payment may be
    /// presented after a later tap; a tap is presented at once, so one that comes late was recorded by somebody.
    #[must_use]
    pub fn is_unused(&self, atc: u16, channel: Channel) -> bool {
        if channel == Channel::Nfc && atc <= self.highest_tap.unwrap_or(self.highest_atc) {
            return false;
        }
        match self.highest_atc.checked_sub(atc) {
            None => true,
            Some(0) => false,
            Some(below @ 1..=64) => atc > 0 && self.used_below >> (below - 1) & 1 == 0,
            Some(_) => false,
        }
    }

    /// Uses a counter up, which was unused.
    pub fn spend(&mut self, atc: u16, channel: Channel) {
        if channel == Channel::Nfc {
            self.highest_tap = Some(atc);
        } else {
            // What the file did not say has to be said before the highest counter changes.
            self.highest_tap.get_or_insert(self.highest_atc);
        }
        match atc.checked_sub(self.highest_atc) {
            None | Some(0) => {
                let below = self.highest_atc.saturating_sub(atc).saturating_sub(1);
                self.used_below |= 1_u64.checked_shl(below.into()).unwrap_or(0);
            }
            Some(above) => {
                // The former highest becomes one of those below.
                let moved = self.used_below.checked_shl(above.into()).unwrap_or(0);
                self.used_below = moved | 1_u64.checked_shl(u32::from(above) - 1).unwrap_or(0);
                self.highest_atc = atc;
            }
        }
    }
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
    /// Left out when there is nothing in it: such a file is read by earlier versions too.
    #[serde(default, skip_serializing_if = "Bindings::is_empty")]
    bindings: Bindings,
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
    pub fn open(path: &Path, create: bool) -> Result<(Self, Vec<CardRecord>, Bindings), StateError> {
        let failed = |error| StateError::Io(path.to_owned(), error);
        if !create && !path.exists() {
            return Err(StateError::Missing(path.to_owned()));
        }
        let lock = lock(path)?;
        let (cards, bindings) = match fs::read(path) {
            Ok(bytes) => parse(path, &bytes)?,
            Err(error) if create && error.kind() == io::ErrorKind::NotFound => Default::default(),
            Err(error) => return Err(failed(error)),
        };
        Ok((Self { path: path.to_owned(), _lock: lock }, cards, bindings))
    }

    /// The cards in the state at `path`, to look at: nothing is locked, since a state is replaced as a whole.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn peek(path: &Path) -> Result<Vec<CardRecord>, StateError> {
        let bytes = fs::read(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StateError::Missing(path.to_owned()),
            _ => StateError::Io(path.to_owned(), error),
        })?;
        parse(path, &bytes).map(|(cards, _)| cards)
    }

    /// Replaces the state; when this returns, it is on the disk.
    ///
    /// # Errors
    /// [`StateError::Io`]; the old state is then still there.
    pub fn store(&self, cards: &[CardRecord], bindings: &Bindings) -> Result<(), StateError> {
        let failed = |error| StateError::Io(self.path.clone(), error);
        let document = Document { format: FORMAT, cards: cards.to_vec(), bindings: bindings.clone() };
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
    replace_by(path, bytes, File::create(beside(path, ".new"))?)
}

/// As [`replace`], in a file that only its owner may read: for what holds keys.
///
/// # Errors
/// The file system's; `path` then holds what it held.
pub fn replace_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = beside(path, ".new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    replace_by(path, bytes, OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?)
}

fn replace_by(path: &Path, bytes: &[u8], mut file: File) -> io::Result<()> {
    let temporary = beside(path, ".new");
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

/// Takes the lock of a state, which lasts as long as the file that is returned.
///
/// # Errors
/// [`StateError::Busy`] after a while, [`StateError::Io`].
pub(crate) fn lock(path: &Path) -> Result<File, StateError> {
    // The state is replaced by renaming, so the lock is on a file that stays.
    let lock_path = beside(path, ".lock");
    let lock = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(|error| StateError::Io(lock_path, error))?;
    wait_for(&lock, path)?;
    Ok(lock)
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

fn parse(path: &Path, bytes: &[u8]) -> Result<(Vec<CardRecord>, Bindings), StateError> {
    let malformed = |what: String| StateError::Malformed(path.to_owned(), what);
    let document: Document = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
    if document.format == FORMAT {
        Ok((document.cards, document.bindings))
    } else {
        Err(malformed(format!("format {}, expected {FORMAT}", document.format)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn record() -> CardRecord {
        CardRecord {
            card: [1; 16],
            provider: LabBank::A,
            token: "6299991234567890".into(),
            psn: 1,
            expiry: "3112".into(),
            key_version: 1,
            highest_atc: 0,
            used_below: u64::MAX,
            highest_tap: None,
            code_limit: None,
            limited_use: None,
            offline: None,
            commands: 0,
            status: CardStatus::Active,
            kind: CardKind::default(),
        }
    }

    /// Against a set that remembers every counter: what is taken was never taken before, and what is not was, or is 65
    /// and more behind.
    #[test]
    fn each_counter_is_taken_once_in_any_order() {
        let (mut record, mut used) = (record(), BTreeSet::new());
        let mut random = 0x1234_5678_u32;
        for step in 0..20_000_u32 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let atc = (step / 4 + (random >> 24) % 90).saturating_sub(random >> 16 & 0x7F);
            let atc = u16::try_from(atc).unwrap();
            let taken = record.is_unused(atc, Channel::Qr);
            let known = used.contains(&atc) || atc == 0;
            let old = record.highest_atc.saturating_sub(atc) > 64;
            assert_eq!(taken, !known && !old, "{atc} under {}", record.highest_atc);
            if taken {
                record.spend(atc, Channel::Qr);
                used.insert(atc);
            }
        }
        assert!(used.len() > 1000);
    }

    #[test]
    fn the_last_counter_and_the_whole_range_in_one_step_are_no_overflow() {
        let mut record = record();
        record.spend(u16::MAX, Channel::Qr);
        assert!(!record.is_unused(u16::MAX, Channel::Qr) && record.is_unused(u16::MAX - 64, Channel::Qr));
        assert!(!record.is_unused(u16::MAX - 65, Channel::Qr), "too old to be known");
    }

    #[test]
    fn a_tap_never_comes_late_and_a_code_may() {
        let mut record = record();
        record.spend(5, Channel::Nfc);
        record.spend(8, Channel::Qr);
        assert!(record.is_unused(6, Channel::Nfc) && !record.is_unused(4, Channel::Nfc));
        assert!(record.is_unused(4, Channel::Qr) && !record.is_unused(5, Channel::Qr));
    }

    /// As the first version wrote it: every counter up to the highest is used up.
    #[test]
    fn a_file_without_the_counters_below_is_read_and_closed() {
        let old = r#"{"format":1,"cards":[{"card":"01010101010101010101010101010101","provider":"A",
            "token":"6299991234567890","psn":1,"expiry":"3112","key_version":1,"highest_atc":9,"status":"active"}]}"#;
        let (cards, bindings) = parse(Path::new("old"), old.as_bytes()).unwrap();
        let [mut record] = <[_; 1]>::try_from(cards).unwrap();
        for channel in [Channel::Nfc, Channel::Qr] {
            assert!((0..=9).all(|atc| !record.is_unused(atc, channel)));
            assert!(record.is_unused(10, channel));
        }
        assert_eq!(record.status, CardStatus::Active);
        // A gap that opens from now on stays open, for everything but taps.
        record.spend(12, Channel::Qr);
        assert!((0..=9).all(|atc| !record.is_unused(atc, Channel::Qr)));
        assert!(record.is_unused(10, Channel::Nfc) && record.is_unused(11, Channel::Qr));
        let again =
            serde_json::to_vec(&Document { format: FORMAT, cards: vec![record.clone()], bindings }).unwrap();
        assert_eq!(parse(Path::new("new"), &again).unwrap(), (vec![record], Bindings::default()));
    }

    #[test]
    fn a_card_that_a_file_says_is_blocked_can_be_resumed() {
        assert_eq!(serde_json::from_str::<CardStatus>("\"blocked\"").unwrap(), CardStatus::Suspended);
        for status in [CardStatus::Inactive, CardStatus::Active, CardStatus::Suspended, CardStatus::Deleted] {
            let name = serde_json::to_string(&status).unwrap();
            assert_eq!(name, format!("\"{}\"", status.name()));
            assert_eq!(serde_json::from_str::<CardStatus>(&name).unwrap(), status);
        }
    }
}
