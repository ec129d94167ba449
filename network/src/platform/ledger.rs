//! The tries that were granted, by phone and provider, and the file that remembers them.

use crate::state::{lock, replace};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};
use tapvault_proto::{
    freshness::{GrantedTries, MAX_BOOKED},
    id::ProviderId,
};

/// Format of the file.
const FORMAT: u8 = 1;

/// What was granted in one run of a phone's PIN trusted app, for one provider's PIN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Booking {
    /// SHA-256 of the device's certified P-256 key.
    #[serde(with = "hex::serde")]
    pub device: [u8; 32],
    /// Whose PIN.
    #[serde(with = "hex::serde")]
    pub provider: [u8; 16],
    /// The run.
    #[serde(with = "hex::serde")]
    pub nonce: [u8; 32],
    /// Tries granted in it.
    pub granted: u32,
    /// Of these, how many a success settled.
    pub settled: u32,
}

impl Booking {
    /// Tries that count as spent.
    #[must_use]
    pub const fn booked(&self) -> u32 {
        self.granted.saturating_sub(self.settled)
    }
}

/// All bookings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    bookings: Vec<Booking>,
}

fn hash(device: &[u8; 65]) -> [u8; 32] {
    Sha256::digest(device).into()
}

impl Ledger {
    /// All bookings, oldest first.
    #[must_use]
    pub fn bookings(&self) -> &[Booking] {
        &self.bookings
    }

    /// How many tries of a phone's PIN of one provider count as spent, over all its runs.
    #[must_use]
    pub fn booked(&self, device: &[u8; 65], provider: ProviderId) -> u32 {
        let device = hash(device);
        let of = self.bookings.iter().filter(|one| (one.device, one.provider) == (device, provider.0));
        of.map(Booking::booked).sum()
    }

    /// A success in a run settles all tries that the phone knew to be granted in it. Those of other runs stay booked.
    pub(super) fn settle(&mut self, device: &[u8; 65], nonce: [u8; 32], settled: GrantedTries) {
        self.change(device, nonce, settled, |one| one.settled = one.settled.max(settled.granted));
    }

    /// Grants one try more than the phone knows of, unless as many as may be are booked; returns all that were granted
    /// in the run. A question that comes again gets the same answer.
    pub(super) fn grant(&mut self, device: &[u8; 65], nonce: [u8; 32], asked: GrantedTries) -> u32 {
        let room = self.booked(device, asked.provider) < MAX_BOOKED;
        self.change(device, nonce, asked, |one| {
            if room && one.granted <= asked.granted {
                one.granted += 1;
            }
        })
    }

    /// Changes the booking of a run, in which the phone knows of so many tries: a ledger that knows of fewer has lost
    /// some. Returns what is granted in it. A run in which something was granted is never forgotten: a recorded
    /// question of it, asked again, would book anew.
    fn change(
        &mut self,
        device: &[u8; 65],
        nonce: [u8; 32],
        known: GrantedTries,
        act: impl FnOnce(&mut Booking),
    ) -> u32 {
        let (device, provider) = (hash(device), known.provider.0);
        let same = |one: &Booking| (one.device, one.provider, one.nonce) == (device, provider, nonce);
        // Last from now on: where it is taken from does not matter.
        let found = self.bookings.iter().position(same).map(|at| self.bookings.remove(at));
        let mut one = found.unwrap_or(Booking { device, provider, nonce, granted: 0, settled: 0 });
        one.granted = one.granted.max(known.granted);
        act(&mut one);
        let granted = one.granted;
        if granted > 0 {
            self.bookings.push(one);
        }
        granted
    }

    /// Forgets what is booked of a provider's PIN, on one phone or on all: the provider made sure who has the phone.
    /// Returns how many tries that were.
    pub fn forgive(&mut self, device: Option<[u8; 32]>, provider: ProviderId) -> u32 {
        let meant = |one: &&mut Booking| {
            one.provider == provider.0 && device.is_none_or(|device| device == one.device)
        };
        self.bookings.iter_mut().filter(meant).fold(0, |sum, one| {
            let booked = one.booked();
            one.settled = one.granted;
            sum + booked
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u8,
    bookings: Vec<Booking>,
}

/// The ledger's file. One process at a time: it is locked as long as this value lives.
#[derive(Debug)]
pub struct LedgerFile {
    path: PathBuf,
    // Held for its lock; closing it lets go.
    _lock: File,
}

impl LedgerFile {
    /// Makes an empty ledger, where there is none.
    ///
    /// # Errors
    /// A message: why it was not made.
    pub fn create(path: &Path) -> Result<(), String> {
        if path.exists() {
            return Err(format!("{}: there is a ledger already", path.display()));
        }
        let lock = lock(path).map_err(|error| error.to_string())?;
        Self { path: path.to_owned(), _lock: lock }.store(&Ledger::default())
    }

    /// Locks and reads the ledger at `path`. A missing one is none: it would grant everybody ten tries more.
    ///
    /// # Errors
    /// A message: why it cannot be read.
    pub fn open(path: &Path) -> Result<(Self, Ledger), String> {
        let failed = |what: String| format!("{}: {what}", path.display());
        let malformed = |what: String| {
            failed(format!(
                "not a ledger ({what}); restore it from a backup: without it, tries are granted anew"
            ))
        };
        if !path.exists() {
            return Err(failed("no such ledger; the first time, make one: tapvault-platform init".into()));
        }
        let lock = lock(path).map_err(|error| error.to_string())?;
        let bytes = fs::read(path).map_err(|error| failed(error.to_string()))?;
        let document: Document =
            serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        if document.format != FORMAT {
            return Err(malformed(format!("format {}", document.format)));
        }
        Ok((Self { path: path.to_owned(), _lock: lock }, Ledger { bookings: document.bookings }))
    }

    /// Replaces the ledger; when this returns, it is on the disk.
    ///
    /// # Errors
    /// A message: why it was not stored; the old ledger is then still there.
    pub fn store(&self, ledger: &Ledger) -> Result<(), String> {
        let failed = |error: io::Error| format!("{}: {error}", self.path.display());
        let document = Document { format: FORMAT, bookings: ledger.bookings.clone() };
        let mut bytes = serde_json::to_vec_pretty(&document).map_err(|error| failed(error.into()))?;
        bytes.push(b'\n');
        replace(&self.path, &bytes).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: [u8; 65] = [1; 65];
    const OTHER: [u8; 65] = [2; 65];
    const A: ProviderId = ProviderId([0xA; 16]);
    const B: ProviderId = ProviderId([0xB; 16]);

    fn asked(provider: ProviderId, granted: u32) -> GrantedTries {
        GrantedTries { provider, granted }
    }

    #[test]
    fn ten_are_booked_over_all_runs_and_no_more() {
        let mut ledger = Ledger::default();
        for run in 0..10 {
            assert_eq!(ledger.grant(&DEVICE, [run; 32], asked(A, 0)), 1);
        }
        assert_eq!(ledger.booked(&DEVICE, A), 10);
        assert_eq!(ledger.grant(&DEVICE, [10; 32], asked(A, 0)), 0, "an eleventh");
        assert_eq!(ledger.grant(&DEVICE, [9; 32], asked(A, 1)), 1, "one more in a run that has one");
        assert_eq!(ledger.grant(&DEVICE, [10; 32], asked(B, 0)), 1, "another provider's");
        assert_eq!(ledger.grant(&OTHER, [11; 32], asked(A, 0)), 1, "another phone's");
    }

    #[test]
    fn a_question_that_comes_again_books_nothing() {
        let mut ledger = Ledger::default();
        for _ in 0..3 {
            assert_eq!(ledger.grant(&DEVICE, [1; 32], asked(A, 0)), 1);
        }
        assert_eq!(ledger.grant(&DEVICE, [1; 32], asked(A, 1)), 2);
        assert_eq!(ledger.grant(&DEVICE, [1; 32], asked(A, 0)), 2, "an old one");
        assert_eq!(ledger.booked(&DEVICE, A), 2);
    }

    #[test]
    fn a_success_settles_its_own_run_up_to_what_was_granted() {
        let mut ledger = Ledger::default();
        ledger.grant(&DEVICE, [1; 32], asked(A, 0));
        ledger.grant(&DEVICE, [2; 32], asked(A, 0));
        ledger.grant(&DEVICE, [2; 32], asked(A, 1));
        ledger.settle(&DEVICE, [2; 32], asked(A, 1));
        assert_eq!(ledger.booked(&DEVICE, A), 2);
        ledger.settle(&DEVICE, [2; 32], asked(A, 2));
        assert_eq!(ledger.booked(&DEVICE, A), 1, "the other run's");
        ledger.settle(&DEVICE, [3; 32], asked(A, 5));
        ledger.settle(&OTHER, [1; 32], asked(A, 5));
        ledger.settle(&DEVICE, [1; 32], asked(B, 5));
        assert_eq!(ledger.booked(&DEVICE, A), 1, "another run, phone, provider");
        assert_eq!(ledger.grant(&DEVICE, [2; 32], asked(A, 2)), 3, "the run goes on counting");
        assert_eq!(ledger.forgive(None, B), 0);
        assert_eq!(ledger.forgive(Some(hash(&OTHER)), A), 0);
        assert_eq!(ledger.forgive(Some(hash(&DEVICE)), A), 2);
        assert_eq!(ledger.booked(&DEVICE, A), 0);
        assert_eq!(
            ledger.grant(&DEVICE, [2; 32], asked(A, 3)),
            4,
            "what was forgiven was granted all the same"
        );
    }

    #[test]
    fn a_recorded_question_books_nothing_whatever_came_in_between() {
        let mut ledger = Ledger::default();
        for run in 0..10 {
            ledger.grant(&DEVICE, [run; 32], asked(A, 0));
        }
        ledger.settle(&DEVICE, [3; 32], asked(A, 1));
        ledger.grant(&DEVICE, [10; 32], asked(A, 0));
        let recorded = |ledger: &mut Ledger| {
            for run in 0..11 {
                ledger.grant(&DEVICE, [run; 32], asked(A, 0));
            }
        };
        recorded(&mut ledger);
        assert_eq!(ledger.booked(&DEVICE, A), 10);
        assert_eq!(ledger.forgive(None, A), 10);
        recorded(&mut ledger);
        assert_eq!(ledger.booked(&DEVICE, A), 0);
    }

    #[test]
    fn what_the_ledger_lost_the_phone_still_knows() {
        let mut ledger = Ledger::default();
        ledger.settle(&DEVICE, [1; 32], asked(A, 2));
        assert_eq!(ledger.grant(&DEVICE, [1; 32], asked(A, 5)), 6);
        assert_eq!(ledger.booked(&DEVICE, A), 4);
    }

    #[test]
    fn the_file_keeps_it() {
        let path = std::env::temp_dir().join(format!("tapvault-ledger-{}", std::process::id()));
        assert!(LedgerFile::open(&path).unwrap_err().contains("tapvault-platform init"));
        LedgerFile::create(&path).unwrap();
        let (file, mut ledger) = LedgerFile::open(&path).unwrap();
        ledger.grant(&DEVICE, [1; 32], asked(A, 0));
        file.store(&ledger).unwrap();
        drop(file);
        let (file, read) = LedgerFile::open(&path).unwrap();
        assert_eq!(read, ledger);
        fs::write(&path, b"{\"format\":2,\"bookings\":[]}").unwrap();
        drop(file);
        assert!(LedgerFile::open(&path).unwrap_err().contains("format 2"));
        assert!(LedgerFile::create(&path).is_err(), "over one that is there");
        fs::remove_file(&path).unwrap();
    }
}
