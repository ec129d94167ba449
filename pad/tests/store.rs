//! What a pad keeps, over starts, damage and wrong permissions.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{draw_keys, folder, lab_pairing, pairing_by};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};
use tapvault_pad::{LAB_FACTORY_ROOT, Pad, Store, clock::FakeClock, random::System, store::Folder};
use tapvault_proto::wire::Wire;

fn root() -> [u8; 65] {
    hex::decode(LAB_FACTORY_ROOT).unwrap().try_into().unwrap()
}

#[test]
fn keys_are_made_once_for_their_owner_alone() {
    let state = folder("keys-once").join("new");
    let mut store = Folder::open(&state).unwrap();
    let keys = store.keys(&mut System).unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(state.clone()), mode(state.join("keys"))), (0o700, 0o600));
    let again = Folder::open(&state).unwrap().keys(&mut System).unwrap();
    assert_eq!(again.public(), keys.public());
    assert_eq!(again.expose(), keys.expose());
    let other = Folder::open(&folder("keys-other")).unwrap().keys(&mut System).unwrap();
    assert_ne!(other.public(), keys.public());
}

#[test]
fn keys_that_others_may_read_are_not_used() {
    let state = folder("keys-open");
    let mut store = Folder::open(&state).unwrap();
    store.keys(&mut System).unwrap();
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(state.join("keys"), fs::Permissions::from_mode(mode)).unwrap();
        let error = store.keys(&mut System).err().unwrap();
        assert!(error.contains("chmod 600"), "{error}");
    }
    fs::set_permissions(state.join("keys"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(store.keys(&mut System).is_ok());
}

#[test]
fn damaged_keys_are_not_replaced_by_new_ones() {
    let state = folder("keys-damaged");
    let mut store = Folder::open(&state).unwrap();
    store.keys(&mut System).unwrap();
    let good = fs::read(state.join("keys")).unwrap();
    assert_eq!(good.len(), 20 + 64);
    let zeros = [&good[..20], &[0; 64]].concat();
    let other = [&b"tapvault pad keys 2\n"[..], &good[20..]].concat();
    for bad in [&good[..83], &[&good[..], &[0]].concat(), &[], &zeros, &other] {
        fs::write(state.join("keys"), bad).unwrap();
        let error = store.keys(&mut System).err().unwrap();
        assert!(error.contains("move it away"), "{error}");
        assert_eq!(fs::read(state.join("keys")).unwrap(), bad);
    }
}

#[test]
fn the_files_have_the_form_that_is_documented() {
    // Scalars 1 and 2: the curves' generators, and their doubles.
    let state = folder("golden");
    let mut store = Folder::open(&state).unwrap();
    let mut file = b"tapvault pad keys 1\n".to_vec();
    file.extend([[0; 31].as_slice(), &[1], &[0; 31], &[1]].concat());
    fs::write(state.join("keys"), file).unwrap();
    fs::set_permissions(state.join("keys"), fs::Permissions::from_mode(0o600)).unwrap();
    let keys = store.keys(&mut System).unwrap();
    let generator = |key: &[u8; 65]| hex::encode(&key[..9]);
    assert_eq!(generator(&keys.public().key), "046b17d1f2e12c4247");
    assert_eq!(generator(&keys.public().sm2_key), "0432c4ae2c1f198119");

    assert_eq!(store.pairing().unwrap(), None);
    let pairing = lab_pairing(9, draw_keys().public(), keys.public());
    store.keep(&pairing).unwrap();
    let stored = fs::read(state.join("pairing")).unwrap();
    assert_eq!((&stored[..23], &stored[23..27]), (&b"tapvault pad pairing 1\n"[..], &[0, 0, 0, 9][..]));
    assert_eq!(stored.len(), 23 + tapvault_proto::pad::Pairing::MAX);
    assert_eq!(store.pairing().unwrap(), Some(pairing));
}

#[test]
fn a_power_cut_while_storing_leaves_what_was_there() {
    let state = folder("power-cut");
    let mut store = Folder::open(&state).unwrap();
    let keys = store.keys(&mut System).unwrap();
    let tee = draw_keys();
    let first = lab_pairing(1, tee.public(), keys.public());
    store.keep(&first).unwrap();
    // Half of the next one.
    fs::write(state.join("pairing.new"), b"tapvault pad pair").unwrap();
    assert_eq!(store.pairing().unwrap(), Some(first));
    let second = lab_pairing(2, tee.public(), keys.public());
    store.keep(&second).unwrap();
    assert_eq!(store.pairing().unwrap(), Some(second));
    assert!(!state.join("pairing.new").exists());
}

#[test]
fn what_cannot_be_stored_does_not_count() {
    let state = folder("full");
    let mut store = Folder::open(&state).unwrap();
    let keys = store.keys(&mut System).unwrap();
    // A folder in its place cannot be removed as a file is, for root neither.
    fs::create_dir(state.join("pairing.new")).unwrap();
    let pairing = lab_pairing(1, draw_keys().public(), keys.public());
    assert!(store.keep(&pairing).is_err());
    let mut pad = Pad::new(FakeClock::default(), store, System, root()).unwrap();
    let answer = pad.receive(&common::encoded(&tapvault_proto::pad::PadMessage::Pair(pairing)));
    assert_eq!(answer, Some(tapvault_proto::pad::PadMessage::Refused));
    assert_eq!(pad.screen().pairing, None);
}

#[test]
fn a_pad_starts_with_its_own_pairing_only() {
    for (name, wrong) in [("own-keys", 0), ("own-factory", 1), ("own-good", 2)] {
        let state = folder(name);
        let mut store = Folder::open(&state).unwrap();
        let keys = store.keys(&mut System).unwrap();
        let tee = draw_keys();
        let pairing = match wrong {
            0 => lab_pairing(1, tee.public(), draw_keys().public()),
            1 => pairing_by(b"another factory", 1, tee.public(), keys.public()),
            _ => lab_pairing(1, tee.public(), keys.public()),
        };
        store.keep(&pairing).unwrap();
        let pad = Pad::new(FakeClock::default(), store, System, root());
        match wrong {
            2 => assert_eq!(pad.ok().unwrap().screen().pairing, Some(1)),
            _ => assert!(pad.err().unwrap().contains("--factory-root")),
        }
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_told() {
    let state = folder("no-folder");
    fs::write(state.join("file"), b"").unwrap();
    assert!(Folder::open(&state.join("file/below")).is_err());
    symlink(state.join("nowhere/at/all"), state.join("link")).unwrap();
    assert!(Folder::open(&state.join("link")).is_err());
}
