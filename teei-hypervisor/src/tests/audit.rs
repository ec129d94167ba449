//! Claims about the audit log.

use crate::audit::{Audit, KEPT, Medium, PAGES, Page, RING, START, head_bytes, verify};
use std::{collections::BTreeMap, vec::Vec};
use tapvault_proto::{
    Error,
    id::Uuid,
    supervisor::{AuditEntry, AuditEvent, MAX_AUDIT_PAGE},
    wire::Wire,
};

const PAGE: u32 = MAX_AUDIT_PAGE as u32;

/// Storage that can fail at the access that is counted down to.
#[derive(Default)]
struct Disk {
    pages: BTreeMap<u32, Vec<u8>>,
    writes: u32,
    fails_in: Option<u32>,
}

impl Disk {
    fn access(&mut self) -> Result<(), Error> {
        match &mut self.fails_in {
            Some(0) => Err(Error::StorageFailed),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Medium for Disk {
    fn read(&mut self, slot: u32, out: &mut [u8; Page::MAX]) -> Result<Option<usize>, Error> {
        assert!(slot < PAGES);
        self.access()?;
        let Some(page) = self.pages.get(&slot) else { return Ok(None) };
        out[..page.len()].copy_from_slice(page);
        Ok(Some(page.len()))
    }

    fn write(&mut self, slot: u32, page: &[u8]) -> Result<(), Error> {
        assert!(slot < PAGES);
        self.access()?;
        self.writes += 1;
        self.pages.insert(slot, Vec::from(page));
        Ok(())
    }
}

/// An entry that says which one it is.
fn entry(which: u32) -> AuditEntry {
    AuditEntry {
        number: 0,
        time: u64::from(which) * 10,
        epoch: 3,
        event: AuditEvent::Admitted,
        target: Uuid([1; 16]),
        subject: Uuid([2; 16]),
        detail: which,
    }
}

fn note(audit: &mut Audit, which: impl Iterator<Item = u32>) {
    which.for_each(|which| audit.note(entry(which)));
}

/// A log with these entries durable.
fn filled(count: u32) -> (Audit, Disk) {
    let (mut audit, mut disk) = (Audit::default(), Disk::default());
    for which in 1..=count {
        audit.note(entry(which));
        audit.flush(&mut disk).unwrap();
    }
    (audit, disk)
}

/// Everything from a number on, verified from page to page against the head.
fn exported(audit: &mut Audit, disk: &mut Disk, from: u32) -> Vec<AuditEntry> {
    let mut entries: Vec<AuditEntry> = Vec::new();
    let (last, head) = audit.head(disk).unwrap();
    let (mut next, mut value) = (from, None);
    loop {
        let reply = audit.export(disk, next).unwrap();
        let first = reply.entries.first().map_or(last + 1, |entry| entry.number);
        assert_eq!(first, next.max(reply.oldest).min(last + 1));
        assert!(value.is_none_or(|value| value == reply.before), "a page does not follow the one before");
        let end = verify(reply.before, first, &reply.entries).unwrap();
        value = Some(end);
        if reply.entries.is_empty() {
            assert_eq!(end, head, "the end is not the head");
            return entries;
        }
        next = first + reply.entries.len() as u32;
        entries.extend(reply.entries);
    }
}

fn details(entries: &[AuditEntry]) -> Vec<u32> {
    entries.iter().map(|entry| entry.detail).collect()
}

#[test]
fn an_empty_log_has_a_head() {
    let (mut audit, mut disk) = filled(0);
    assert_eq!(audit.flush(&mut disk), Ok(0));
    assert_eq!(audit.head(&mut disk), Ok((0, START)));
    assert_eq!(exported(&mut audit, &mut disk, 1), []);
    assert_eq!(disk.writes, 0);
}

#[test]
fn entries_are_numbered_when_they_become_durable() {
    let (mut audit, mut disk) = filled(0);
    note(&mut audit, 1..=20);
    assert_eq!(exported(&mut audit, &mut disk, 1), [], "in memory only");
    assert_eq!(audit.flush(&mut disk), Ok(20));
    let entries = exported(&mut audit, &mut disk, 1);
    assert_eq!(details(&entries), Vec::from_iter(1..=20));
    assert!(entries.iter().all(|entry| entry.number == entry.detail && entry.epoch == 3));
    assert_eq!(disk.writes, 3, "a write for each page");
}

#[test]
fn the_chain_does_not_depend_on_when_it_was_written() {
    let (mut at_once, mut disk) = filled(0);
    note(&mut at_once, 1..=30);
    at_once.flush(&mut disk).unwrap();
    let (mut singly, mut other) = filled(30);
    assert_eq!(at_once.head(&mut disk), singly.head(&mut other));
    assert_eq!(disk.pages, other.pages);
}

#[test]
fn an_export_begins_at_any_number() {
    for count in [1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE, 30] {
        let (mut audit, mut disk) = filled(count);
        for from in 0..=count + 2 {
            let expected = Vec::from_iter(from.max(1)..=count);
            assert_eq!(details(&exported(&mut audit, &mut disk, from)), expected, "{from} of {count}");
        }
        assert!(exported(&mut audit, &mut disk, u32::MAX).is_empty());
    }
}

#[test]
fn sixteen_pages_are_kept_and_go_round() {
    for count in [KEPT - 1, KEPT, KEPT + 1, KEPT + PAGE, 3 * KEPT + 5] {
        let (mut audit, mut disk) = filled(count);
        assert!(disk.pages.len() <= PAGES as usize);
        let oldest = audit.export(&mut disk, 0).unwrap().oldest;
        assert_eq!(oldest, ((count - 1) / PAGE).saturating_sub(PAGES - 1) * PAGE + 1);
        let entries = exported(&mut audit, &mut disk, 1);
        assert_eq!(details(&entries), Vec::from_iter(oldest..=count));
        assert!(count - oldest + 1 > KEPT - PAGE || oldest == 1, "no more than a page was given up");
    }
}

#[test]
fn a_restart_finds_the_end_again() {
    for count in [0, 1, PAGE - 1, PAGE, PAGE + 1, 50, KEPT, KEPT + 1, 2 * KEPT + 3] {
        let (mut before, mut disk) = filled(count);
        let mut after = Audit::default();
        assert_eq!(after.head(&mut disk), before.head(&mut disk), "{count}");
        note(&mut after, count + 1..=count + 9);
        assert_eq!(after.flush(&mut disk), Ok(count + 9));
        let oldest = after.export(&mut disk, 0).unwrap().oldest;
        assert_eq!(details(&exported(&mut after, &mut disk, 1)), Vec::from_iter(oldest..=count + 9));
    }
}

#[test]
fn a_restart_does_not_guess_when_storage_fails() {
    let (_, mut disk) = filled(20);
    for access in 0..PAGES {
        disk.fails_in = Some(access);
        let mut audit = Audit::default();
        audit.note(entry(21));
        assert_eq!(audit.flush(&mut disk), Err(Error::StorageFailed));
        disk.fails_in = None;
        assert_eq!(audit.head(&mut disk).unwrap().0, 20, "nothing was written over");
    }
}

#[test]
fn what_was_not_written_still_waits() {
    for durable in [0, 3, PAGE, 13] {
        for fails_in in 0..5 {
            let (mut audit, mut disk) = filled(durable);
            note(&mut audit, durable + 1..=durable + RING as u32);
            // The first use of a log that is empty reads every page.
            let _ = audit.head(&mut disk);
            disk.fails_in = Some(fails_in);
            let outcome = audit.flush(&mut disk);
            disk.fails_in = None;
            let (end, _) = audit.head(&mut disk).unwrap();
            assert_eq!(Audit::default().head(&mut disk).unwrap().0, end, "memory is not ahead of storage");
            if outcome.is_err() {
                assert!(end < durable + RING as u32);
            }
            assert_eq!(audit.flush(&mut disk), Ok(durable + RING as u32));
            let expected = Vec::from_iter(1..=durable + RING as u32);
            assert_eq!(details(&exported(&mut audit, &mut disk, 1)), expected, "{durable}, {fails_in}");
        }
    }
}

#[test]
fn a_flood_leaves_an_entry_that_counts_the_lost() {
    let (mut audit, mut disk) = filled(5);
    let noted = RING as u32 + 7;
    note(&mut audit, 6..=5 + noted);
    for fails_in in [0, 1, 2] {
        disk.fails_in = Some(fails_in);
        assert_eq!(audit.flush(&mut disk), Err(Error::StorageFailed));
    }
    disk.fails_in = None;
    assert_eq!(audit.flush(&mut disk), Ok(5 + 1 + RING as u32));
    let entries = exported(&mut audit, &mut disk, 1);
    let lost = &entries[5];
    let nobody = Uuid([0; 16]);
    assert_eq!((lost.event, lost.detail, lost.target, lost.subject), (AuditEvent::Lost, 7, nobody, nobody));
    assert_eq!(lost.time, entries[6].time, "when the first that was kept came");
    assert_eq!(details(&entries[6..]), Vec::from_iter(13..=5 + noted));
    assert_eq!(entries.iter().filter(|entry| entry.event == AuditEvent::Lost).count(), 1);
    note(&mut audit, 1..=2);
    assert_eq!(audit.flush(&mut disk), Ok(8 + RING as u32), "counted once");
}

#[test]
fn every_alteration_is_found() {
    let (mut audit, mut disk) = filled(8);
    let reply = audit.export(&mut disk, 1).unwrap();
    let (_, head) = audit.head(&mut disk).unwrap();
    let entries = Vec::from_iter(reply.entries);
    let found = |entries: &[AuditEntry]| verify(reply.before, 1, entries) != Ok(head);
    assert!(!found(&entries));
    for at in 0..entries.len() {
        let alterations: [fn(&mut AuditEntry); 8] = [
            |entry| entry.number += 1,
            |entry| entry.time ^= 1,
            |entry| entry.epoch ^= 1 << 63,
            |entry| entry.event = AuditEvent::Refused,
            |entry| entry.target.0[15] ^= 0x80,
            |entry| entry.subject.0[0] ^= 1,
            |entry| entry.detail ^= 1,
            |entry| core::mem::swap(&mut entry.target, &mut entry.subject),
        ];
        for (which, alter) in alterations.into_iter().enumerate() {
            let mut altered = entries.clone();
            alter(&mut altered[at]);
            assert!(found(&altered), "field {which} of entry {at}");
        }
        let mut gap = entries.clone();
        gap.remove(at);
        assert!(found(&gap), "without entry {at}");
        let mut closed = gap.clone();
        closed.iter_mut().zip(1..).for_each(|(entry, number)| entry.number = number);
        assert!(found(&closed), "without entry {at}, numbered anew");
        let mut twice = entries.clone();
        twice.insert(at, entries[at].clone());
        assert!(found(&twice), "entry {at} twice");
        for other in at + 1..entries.len() {
            let mut swapped = entries.clone();
            swapped.swap(at, other);
            assert!(found(&swapped), "entries {at} and {other} swapped");
            swapped.iter_mut().zip(1..).for_each(|(entry, number)| entry.number = number);
            assert!(found(&swapped), "entries {at} and {other} swapped and numbered anew");
        }
    }
    assert_eq!(verify(reply.before, 2, &entries), Err(Error::StateCorrupt), "from another number");
    assert_ne!(verify([1; 32], 1, &entries), Ok(head), "behind another value");
}

#[test]
fn a_page_that_is_gone_or_damaged_is_no_page() {
    let (_, mut disk) = filled(3 * PAGE);
    disk.pages.remove(&1);
    let mut audit = Audit::default();
    assert_eq!(audit.head(&mut disk).unwrap().0, 3 * PAGE);
    assert_eq!(audit.export(&mut disk, PAGE + 1), Err(Error::StateCorrupt));
    disk.pages.insert(1, Vec::from([0xFF; 40]));
    assert_eq!(audit.export(&mut disk, PAGE + 1), Err(Error::StateCorrupt));
    // An older page in its place, as a copy of the storage gives it.
    let older = disk.pages[&0].clone();
    disk.pages.insert(1, older);
    assert_eq!(audit.export(&mut disk, PAGE + 1), Err(Error::StateCorrupt));
}

#[test]
fn what_is_signed_tells_nonce_number_and_value_apart() {
    let bytes = head_bytes(&[1; 32], 0x0203_0405, &[6; 32]);
    assert_eq!(&bytes[..24], b"tapvault audit head    1");
    assert_eq!(bytes[24..56], [1; 32]);
    assert_eq!(bytes[56..60], [2, 3, 4, 5]);
    assert_eq!(bytes[60..], [6; 32]);
}
