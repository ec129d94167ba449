//! Claims about a trustlet's life.

use super::name;
use crate::{
    lifecycle::Record,
    manifest::{Action, Command, Limits, Manifest},
};
use heapless::Vec;
use tapvault_proto::{
    Error,
    tvm::{MAX_MANIFEST, TrustletState},
    wire::Bytes,
};

const STATES: [TrustletState; 4] =
    [TrustletState::Installed, TrustletState::Active, TrustletState::Locked, TrustletState::Removed];
const ACTIONS: [Action; 4] = [Action::Activate, Action::Lock, Action::Unlock, Action::Remove];
const OLD: [u8; 16] = [1; 16];
const NEW: [u8; 16] = [2; 16];

fn record(state: TrustletState) -> Record {
    Record {
        format: Record::FORMAT,
        state,
        version: 5,
        sequence: 7,
        generation: OLD,
        manifest: Bytes::from_slice(b"old").unwrap(),
        signature: [3; 64],
    }
}

fn manifest(version: u32) -> Manifest {
    Manifest {
        name: name("transit"),
        version,
        module: [0; 32],
        size: 1,
        limits: Limits { pages: 1, stack: 1024, depth: 1, fuel: 1 },
        services: 0,
        store: 0,
        peers: Vec::new(),
        clients: Vec::new(),
        recover: false,
    }
}

fn install(old: Option<&Record>, version: u32) -> Result<Record, Error> {
    Record::installed(old, &manifest(version), b"new", [4; 64], NEW)
}

fn command(sequence: u32, action: Action) -> Command {
    Command { name: name("transit"), sequence, action }
}

#[test]
fn every_state_takes_the_actions_of_the_life_and_no_other() {
    use TrustletState::{Active, Installed, Locked, Removed};
    let next = |state, action| match (state, action) {
        (Installed, Action::Activate) | (Locked, Action::Unlock) => Some(Active),
        (Active, Action::Lock) => Some(Locked),
        (Installed | Active | Locked, Action::Remove) => Some(Removed),
        _ => None,
    };
    for state in STATES {
        for action in ACTIONS {
            let outcome = record(state).commanded(&command(8, action)).map(|record| record.state);
            assert_eq!(outcome, next(state, action).ok_or(Error::WrongState), "{action:?} of {state:?}");
        }
    }
}

#[test]
fn a_command_does_nothing_twice() {
    for state in STATES {
        for action in ACTIONS {
            for sequence in [0, 6, 7] {
                let outcome = record(state).commanded(&command(sequence, action));
                assert_eq!(outcome, Err(Error::ManifestRollback), "{action:?} {sequence} of {state:?}");
            }
        }
    }
    let locked = record(TrustletState::Active).commanded(&command(u32::MAX, Action::Lock)).unwrap();
    assert_eq!(locked.commanded(&command(u32::MAX, Action::Unlock)), Err(Error::ManifestRollback));
}

#[test]
fn a_command_changes_state_and_sequence_only() {
    let active = record(TrustletState::Active);
    let expected = Record { state: TrustletState::Locked, sequence: 9, ..active.clone() };
    assert_eq!(active.commanded(&command(9, Action::Lock)), Ok(expected));
}

#[test]
fn a_removal_keeps_version_and_sequence_and_nothing_else() {
    for state in [TrustletState::Installed, TrustletState::Active, TrustletState::Locked] {
        let removed = record(state).commanded(&command(8, Action::Remove)).unwrap();
        let expected = Record {
            format: Record::FORMAT,
            state: TrustletState::Removed,
            version: 5,
            sequence: 8,
            generation: [0; 16],
            manifest: Bytes::new(),
            signature: [0; 64],
        };
        assert_eq!(removed, expected);
    }
}

#[test]
fn a_first_installation_begins_a_life() {
    let new = install(None, 1).unwrap();
    let expected = Record {
        format: Record::FORMAT,
        state: TrustletState::Installed,
        version: 1,
        sequence: 0,
        generation: NEW,
        manifest: Bytes::from_slice(b"new").unwrap(),
        signature: [4; 64],
    };
    assert_eq!(new, expected);
}

#[test]
fn a_newer_version_keeps_state_data_and_sequence() {
    for state in [TrustletState::Installed, TrustletState::Active, TrustletState::Locked] {
        let updated = install(Some(&record(state)), 6).unwrap();
        assert_eq!((updated.state, updated.version, updated.sequence), (state, 6, 7));
        assert_eq!(updated.generation, OLD, "its data is still its own");
        assert_eq!((updated.manifest.as_slice(), updated.signature), (&b"new"[..], [4; 64]));
    }
}

#[test]
fn what_was_removed_begins_anew_under_a_higher_version() {
    let removed = record(TrustletState::Active).commanded(&command(8, Action::Remove)).unwrap();
    assert_eq!(install(Some(&removed), 5), Err(Error::ManifestRollback));
    let again = install(Some(&removed), 6).unwrap();
    assert_eq!((again.state, again.generation, again.sequence), (TrustletState::Installed, NEW, 8));
    assert_eq!(again.commanded(&command(8, Action::Activate)), Err(Error::ManifestRollback));
}

#[test]
fn no_version_comes_twice() {
    for state in STATES {
        for version in [0, 1, 4, 5] {
            assert_eq!(install(Some(&record(state)), version), Err(Error::ManifestRollback), "{state:?}");
        }
    }
}

#[test]
fn a_manifest_too_long_to_store_is_refused() {
    let long = [b' '; MAX_MANIFEST + 1];
    let install = |document: &[u8]| Record::installed(None, &manifest(1), document, [4; 64], NEW);
    assert_eq!(install(&long), Err(Error::ManifestMalformed));
    assert!(install(&long[1..]).is_ok());
}
