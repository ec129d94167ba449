//! The audit log: every admission, refusal, policy and change of a trustlet, in a chain of hashes.
//!
//! Entries wait in memory, at most [`RING`], until [`Audit::flush`] makes them durable: by a call, and
//! before any change of policy or lifecycle. A supervisor that dies in between loses them; so does a
//! flood of more than [`RING`] entries, which leaves an entry that counts the lost ones. Storage holds the
//! last [`KEPT`] entries in pages, each written whole, with the chain's value in front of it; so an
//! export begins anywhere and is verified offline against a signed head ([`verify`], [`head_bytes`]).

use heapless::Vec;
use sha2::{Digest, Sha256};
use tapvault_proto::{
    Error,
    id::Uuid,
    supervisor::{AuditEntry, AuditEvent, AuditExportReply, MAX_AUDIT_PAGE},
    wire::{Wire, decode_exact, encode_into},
};

/// Entries that wait in memory.
pub const RING: usize = 32;
/// Pages in storage.
pub const PAGES: u32 = 16;
/// Entries in storage.
pub const KEPT: u32 = PAGES * MAX_AUDIT_PAGE as u32;
/// The chain's value before the first entry of all.
pub const START: [u8; 32] = [0; 32];

tapvault_proto::message! {
    /// A page as stored.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Page {
        /// The chain's value before its first entry.
        before: [u8; 32],
        /// In order, without a gap.
        entries: Vec<AuditEntry, MAX_AUDIT_PAGE>,
    }
}

/// Where pages are stored.
pub trait Medium {
    /// Reads the page in a slot, 0 to [`PAGES`] - 1; `None` where there is none, or none intact.
    ///
    /// # Errors
    /// When storage cannot say.
    fn read(&mut self, slot: u32, out: &mut [u8; Page::MAX]) -> Result<Option<usize>, Error>;

    /// Replaces the page in a slot; after a power cut there is the old one or the new one.
    ///
    /// # Errors
    /// Storage's.
    fn write(&mut self, slot: u32, page: &[u8]) -> Result<(), Error>;
}

/// The log of one start of the supervisor.
#[derive(Debug, Default)]
pub struct Audit {
    /// Numbered when they become durable.
    waiting: Vec<AuditEntry, RING>,
    lost: u32,
    /// The last page; read at the first use, since storage can fail.
    last: Option<Page>,
}

impl Audit {
    /// Notes an entry in memory; its number is given later.
    pub fn note(&mut self, entry: AuditEntry) {
        if self.waiting.is_full() {
            self.waiting.remove(0);
            self.lost = self.lost.saturating_add(1);
        }
        // There is room now.
        let _ = self.waiting.push(entry);
    }

    /// Makes everything noted durable, and returns the number of the last entry.
    ///
    /// # Errors
    /// Storage's; what is not durable then still waits.
    pub fn flush(&mut self, medium: &mut impl Medium) -> Result<u32, Error> {
        let mut page = self.last_page(medium)?;
        while !self.waiting.is_empty() {
            let mut number = page.next_number();
            let mut next = if page.entries.is_full() {
                Page { before: page.value()?, entries: Vec::new() }
            } else {
                page.clone()
            };
            let (lost, mut taken) = (self.lost_entry(), 0);
            for entry in lost.iter().chain(&self.waiting) {
                if next.entries.push(AuditEntry { number, ..entry.clone() }).is_err() {
                    break;
                }
                number = number.saturating_add(1);
                taken += 1;
            }
            self.store(medium, &next)?;
            // Only what is durable no longer waits.
            if lost.is_some() {
                self.lost = 0;
                taken -= 1;
            }
            for _ in 0..taken {
                self.waiting.remove(0);
            }
            page = next;
        }
        Ok(page.next_number().saturating_sub(1))
    }

    /// Durable entries from a number on.
    ///
    /// # Errors
    /// Storage's; [`Error::StateCorrupt`] when a page in the middle is missing.
    pub fn export(&mut self, medium: &mut impl Medium, from: u32) -> Result<AuditExportReply, Error> {
        let last = self.last_page(medium)?;
        let end = last.next_number();
        // The first of the last page, and so many pages before it.
        let oldest = (end.saturating_sub(2) / page_len()).saturating_sub(PAGES - 1) * page_len() + 1;
        let from = from.max(oldest);
        if from >= end {
            return Ok(AuditExportReply { oldest, before: last.value()?, entries: Vec::new() });
        }
        let page = if last.entries.first().is_some_and(|first| from >= first.number) {
            last
        } else {
            read(medium, slot(from))?.filter(|page| page.holds(from)).ok_or(Error::StateCorrupt)?
        };
        let skipped = page.entries.iter().take_while(|entry| entry.number < from).count();
        let before = chain(page.before, page.entries.iter().take(skipped))?;
        Ok(AuditExportReply { oldest, before, entries: page.entries.into_iter().skip(skipped).collect() })
    }

    /// Number of the last durable entry, and the chain's value behind it.
    ///
    /// # Errors
    /// Storage's.
    pub fn head(&mut self, medium: &mut impl Medium) -> Result<(u32, [u8; 32]), Error> {
        let page = self.last_page(medium)?;
        Ok((page.next_number().saturating_sub(1), page.value()?))
    }

    fn last_page(&mut self, medium: &mut impl Medium) -> Result<Page, Error> {
        if let Some(page) = &self.last {
            return Ok(page.clone());
        }
        let mut last = Page { before: START, entries: Vec::new() };
        for slot in 0..PAGES {
            if let Some(page) = read(medium, slot)?.filter(|page| page.next_number() > last.next_number()) {
                last = page;
            }
        }
        self.last = Some(last.clone());
        Ok(last)
    }

    /// The entry that stands for those that gave way, at the time of the first that did not.
    fn lost_entry(&self) -> Option<AuditEntry> {
        let first = self.waiting.first().filter(|_| self.lost > 0)?;
        let nobody = Uuid([0; 16]);
        let (event, detail) = (AuditEvent::Lost, self.lost);
        Some(AuditEntry { event, target: nobody, subject: nobody, detail, ..first.clone() })
    }

    fn store(&mut self, medium: &mut impl Medium, page: &Page) -> Result<(), Error> {
        let mut bytes = [0; Page::MAX];
        let len = encode_into(page, &mut bytes)?;
        let first = page.entries.first().map_or(1, |entry| entry.number);
        medium.write(slot(first), bytes.get(..len).ok_or(Error::Internal)?)?;
        self.last = Some(page.clone());
        Ok(())
    }
}

impl Page {
    fn next_number(&self) -> u32 {
        self.entries.last().map_or(1, |entry| entry.number.saturating_add(1))
    }

    fn holds(&self, number: u32) -> bool {
        self.entries.iter().any(|entry| entry.number == number)
    }

    fn value(&self) -> Result<[u8; 32], Error> {
        chain(self.before, self.entries.iter())
    }
}

/// Follows the chain through entries that were exported; returns its value behind them. `next` is the
/// number of the first.
///
/// # Errors
/// [`Error::StateCorrupt`] when the numbers have a gap.
pub fn verify(before: [u8; 32], mut next: u32, entries: &[AuditEntry]) -> Result<[u8; 32], Error> {
    for entry in entries {
        if entry.number != next {
            return Err(Error::StateCorrupt);
        }
        next = next.saturating_add(1);
    }
    chain(before, entries.iter())
}

/// What the audit key signs: a label, the verifier's nonce, number and value of the chain's end.
#[must_use]
pub fn head_bytes(nonce: &[u8; 32], last: u32, value: &[u8; 32]) -> [u8; 92] {
    let mut out = [0; 92];
    let last = last.to_be_bytes();
    let bytes = b"tapvault audit head    1".iter().chain(nonce).chain(&last).chain(value);
    out.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = *byte);
    out
}

/// SHA-256 of the value so far and the entry's encoding, for each entry.
fn chain<'a>(before: [u8; 32], entries: impl Iterator<Item = &'a AuditEntry>) -> Result<[u8; 32], Error> {
    let mut value = before;
    for entry in entries {
        let mut bytes = [0; AuditEntry::MAX];
        let len = encode_into(entry, &mut bytes)?;
        let encoded = bytes.get(..len).ok_or(Error::Internal)?;
        value = Sha256::new().chain_update(value).chain_update(encoded).finalize().into();
    }
    Ok(value)
}

const fn page_len() -> u32 {
    MAX_AUDIT_PAGE as u32
}

const fn slot(number: u32) -> u32 {
    number.saturating_sub(1) / page_len() % PAGES
}

fn read(medium: &mut impl Medium, slot: u32) -> Result<Option<Page>, Error> {
    let mut bytes = [0; Page::MAX];
    let len = medium.read(slot, &mut bytes)?;
    Ok(len.and_then(|len| bytes.get(..len)).and_then(|bytes| decode_exact(bytes).ok()))
}
