//! What a profile may not be, whoever signed it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at what it did not expect")]

mod sample;

use sample::bytes;
use tapvault_proto::{
    Error,
    contact::{ArpcMethod, CardPin, Contact},
    emv::application::Record,
    limited::LimitedUse,
    offline::{MAX_AMOUNT, Offline},
    profile::{CardKeys, CardProfile, Cvn, Key128, Oda, OdaKey, Product, RsaKey, SecretBytes, Suite},
    token::{Channel, ChannelKey},
};

fn record(sfi: u8, number: u8) -> Record {
    Record { sfi, number, data: bytes(&[0x70, 0x00]) }
}

fn sm2(len: usize) -> OdaKey {
    OdaKey::Sm2(SecretBytes::new(&[7; 32][..len]).unwrap())
}

fn rsa(p: &[u8], q: &[u8]) -> OdaKey {
    let secret = |bytes: &[u8]| SecretBytes::new(bytes).unwrap();
    OdaKey::Rsa(RsaKey { p: secret(p), q: secret(q), dp: secret(&[3]), dq: secret(&[3]), qinv: secret(&[1]) })
}

/// Files 1 and 2 with a record each, and the transaction's own in file 3.
fn oda(afl: &[u8], records: &[(u8, u8)], key: OdaKey) -> Oda {
    Oda { afl: bytes(afl), records: records.iter().map(|(sfi, number)| record(*sfi, *number)).collect(), key }
}

const AFL: [u8; 12] = [0x08, 1, 1, 1, 0x10, 1, 1, 0, 0x18, 1, 1, 0];
const RECORDS: [(u8, u8); 2] = [(1, 1), (2, 1)];

fn profile(oda: Option<Oda>) -> CardProfile {
    let (suite, cvn, product, label) = (Suite::PbocSm4, Cvn::V17, Product::Credit, bytes(b"UnionPay Credit"));
    CardProfile { suite, cvn, product, label, oda, ..sample::profile() }
}

#[test]
fn a_profile_keeps_its_rules() {
    assert_eq!(profile(None).check(), Ok(()));
    type Change = (&'static str, fn(&mut CardProfile));
    let changes: [Change; 9] = [
        ("format", |profile| profile.format = 1),
        ("key version", |profile| profile.key_version = 0),
        ("priority 0", |profile| profile.priority = 0),
        ("priority 16", |profile| profile.priority = 16),
        ("no label", |profile| profile.label.clear()),
        ("a quotation mark", |profile| profile.issuer[0] = b'"'),
        ("last four", |profile| profile.last_four[0] = b'x'),
        ("sequence number", |profile| profile.psn = 0xA0),
        ("track 2", |profile| profile.track2[8] = 0xE3),
    ];
    for (what, change) in changes {
        let mut broken = profile(None);
        change(&mut broken);
        assert_eq!(broken.check(), Err(Error::ProfileInvalid), "{what}");
    }
}

#[test]
fn a_locator_names_every_record_once_and_the_last_is_the_transactions() {
    let check = |afl: &[u8], records: &[(u8, u8)]| profile(Some(oda(afl, records, sm2(32)))).check();
    assert_eq!(check(&AFL, &RECORDS), Ok(()));
    assert_eq!(check(&[0x08, 1, 3, 1], &[(1, 1), (1, 2)]), Ok(()));
    type Case<'a> = (&'static str, &'a [u8], &'a [(u8, u8)]);
    let refused: [Case<'_>; 11] = [
        ("none", &[], &RECORDS),
        ("half an entry", &AFL[..10], &RECORDS),
        ("file 0", &[0x00, 1, 1, 0], &[]),
        ("file 31", &[0xF8, 1, 1, 0], &[]),
        ("low bits", &[0x0C, 1, 1, 0], &[]),
        ("record 0", &[0x08, 0, 0, 0], &[]),
        ("last before first", &[0x08, 2, 1, 0], &[]),
        ("more signed than there are", &[0x08, 1, 1, 2], &[]),
        ("a record that is missing", &AFL, &RECORDS[..1]),
        ("one too many", &AFL, &[(1, 1), (2, 1), (3, 1)]),
        ("another one", &AFL, &[(1, 1), (2, 2)]),
    ];
    for (what, afl, records) in refused {
        assert_eq!(check(afl, records), Err(Error::ProfileInvalid), "{what}");
    }
    assert_eq!(check(&[0x08, 1, 255, 0], &RECORDS), Err(Error::ProfileInvalid), "more than fit");
}

#[test]
fn a_key_has_the_shape_of_one() {
    let check = |key| profile(Some(oda(&AFL, &RECORDS, key))).check();
    let prime = |len: usize| {
        let mut prime = vec![0xFF; len];
        prime[0] = 0x80;
        prime
    };
    for len in [32, 64, 124] {
        assert_eq!(check(rsa(&prime(len), &prime(len))), Ok(()), "{len}");
    }
    let (mut even, mut short) = (prime(64), prime(64));
    (even[63], short[0]) = (0xFE, 0x7F);
    for (what, p, q) in [
        ("nothing", vec![], vec![]),
        ("one byte", vec![0x81], vec![0x81]),
        ("31 bytes", prime(31), prime(31)),
        ("an even number", even, prime(64)),
        ("a short one", short, prime(64)),
        ("a small number, written long", [&[0; 63][..], &[1]].concat(), prime(64)),
        ("two lengths", prime(64), prime(65)),
    ] {
        assert_eq!(check(rsa(&q, &p)), Err(Error::ProfileInvalid), "{what}");
        assert_eq!(check(rsa(&p, &q)), Err(Error::ProfileInvalid), "{what}");
    }
    for len in [0, 31] {
        assert_eq!(check(sm2(len)), Err(Error::ProfileInvalid), "{len}");
    }
}

fn test_profile(afl: &[u8], records: &[(u8, u8)]) -> CardProfile {
    let mut profile = profile(Some(oda(afl, records, sm2(32))));
    profile.keys = CardKeys::Udk(heapless::Vec::new());
    profile.contact = Some(Contact {
        udk: Key128::new([1; 16]),
        mac: Key128::new([2; 16]),
        encryption: Key128::new([3; 16]),
        pin: CardPin::from_ascii(b"1234").unwrap(),
        pin_tries: 3,
        arpc: ArpcMethod::One,
    });
    profile
}

#[test]
fn a_test_profile_is_no_phone_card() {
    let good = || test_profile(&AFL[..8], &RECORDS);
    assert_eq!(good().check(), Ok(()));
    // A record of the transaction's own is a tap's.
    assert_eq!(test_profile(&AFL, &RECORDS).check(), Err(Error::ProfileInvalid));
    type Change = (&'static str, fn(&mut CardProfile));
    let changes: [Change; 6] = [
        ("a key for taps", |profile| {
            let udk = Key128::new([0x44; 16]);
            profile.keys = CardKeys::Udk([ChannelKey { channel: Channel::Nfc, udk }].into_iter().collect());
        }),
        ("no offline data authentication", |profile| profile.oda = None),
        ("no tries", |profile| profile.contact.as_mut().unwrap().pin_tries = 0),
        ("sixteen tries", |profile| profile.contact.as_mut().unwrap().pin_tries = 16),
        ("an EMV answer in a PBOC suite", |profile| {
            profile.contact.as_mut().unwrap().arpc = ArpcMethod::Two;
        }),
        ("neither phone nor contact", |profile| profile.contact = None),
    ];
    for (what, change) in changes {
        let mut broken = good();
        change(&mut broken);
        assert_eq!(broken.check(), Err(Error::ProfileInvalid), "{what}");
    }
    for suite in [Suite::Emv3Des, Suite::EmvAes] {
        let mut emv = good();
        emv.suite = suite;
        emv.contact.as_mut().unwrap().arpc = ArpcMethod::Two;
        assert_eq!(emv.check(), Ok(()));
    }
}

#[test]
fn offline_approval_needs_a_signature_a_derived_key_and_amounts() {
    let good = || {
        let mut profile = profile(Some(oda(&AFL, &RECORDS, sm2(32))));
        profile.offline = Some(Offline { balance: 0, payment: MAX_AMOUNT });
        profile
    };
    assert_eq!(good().check(), Ok(()));
    type Change = fn(&mut CardProfile);
    let changes: [Change; 6] = [
        |profile| profile.oda = None,
        |profile| profile.offline = Some(Offline { balance: MAX_AMOUNT + 1, payment: 1 }),
        |profile| profile.offline = Some(Offline { balance: 1, payment: MAX_AMOUNT + 1 }),
        |profile| profile.offline = Some(Offline { balance: 1, payment: 0 }),
        |profile| {
            let channels = heapless::Vec::from_iter([Channel::Nfc]);
            profile.keys = CardKeys::LimitedUse(LimitedUse { channels, threshold: 1 });
        },
        |profile| {
            let key = ChannelKey { channel: Channel::Qr, udk: Key128::new([1; 16]) };
            profile.keys = CardKeys::Udk(heapless::Vec::from_iter([key]));
        },
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut profile = good();
        change(&mut profile);
        assert_eq!(profile.check(), Err(Error::ProfileInvalid), "{at}");
        profile.offline = None;
        assert_eq!(profile.check(), Ok(()), "{at}: good without");
    }
}
