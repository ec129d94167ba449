//! Cards as data groupings: they come back, and nothing else is taken for one.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panic")]

use tapvault_proto::{
    Error,
    dgi::{MAX_CARD, MAX_LEAVE, Personalisation, decode, encode_card, encode_leave},
    element::{Leave, Verified},
    emv::application::Record,
    id::CardId,
    limited::LimitedUse,
    profile::{
        CardKeys, CardProfile, Cvn, Key128, Oda, OdaKey, Product, RsaKey, SecretBytes, Suite,
        VerificationStatus,
    },
    token::{Channel, ChannelKey, Domain, Token},
    wire::{Bytes, Wire, encode_into},
};

const CARD: CardId = CardId([0xC1; 16]);

fn oda(key: OdaKey) -> Oda {
    let record = |number, len| Record { sfi: 2, number, data: vec![0x70; len].into_iter().collect() };
    let records = heapless::Vec::from_iter([record(1, 254), record(2, 3), record(3, 254), record(4, 254)]);
    Oda { afl: Bytes::from_iter([0x10, 1, 5, 1]), records, key }
}

fn rsa() -> OdaKey {
    let part = |byte| SecretBytes::new(&[byte; 124]).unwrap();
    OdaKey::Rsa(RsaKey { p: part(0xF1), q: part(0xF3), dp: part(5), dq: part(6), qinv: part(7) })
}

fn sm2() -> OdaKey {
    OdaKey::Sm2(SecretBytes::new(&[0x52; 32]).unwrap())
}

fn profile(channel: Channel, oda: Option<Oda>) -> CardProfile {
    CardProfile {
        format: CardProfile::FORMAT,
        key_version: 3,
        suite: Suite::PbocSm4,
        cvn: Cvn::V17,
        product: Product::Credit,
        priority: 4,
        label: Bytes::from_iter(*b"UnionPay Credit"),
        track2: hex(b"6210948000000011d30122200000000000").into_iter().collect(),
        psn: 1,
        aip: [0x7C, 0],
        currency: 0x0156,
        online_pin_allowed: true,
        signature_allowed: false,
        verification_from: 5_000,
        verification_status: VerificationStatus::ConditionsNotSatisfied,
        keys: CardKeys::Udk(heapless::Vec::from_iter([ChannelKey { channel, udk: Key128::new([0x4B; 16]) }])),
        token: Token {
            par: Bytes::from_iter([b'V'; 29]),
            requestor: *b"00000000000",
            active: true,
            domain: Domain { amount: 9_000, ..Domain::unlimited() },
        },
        oda,
        offline: None,
        contact: None,
        last_four: *b"0000",
        art: Bytes::new(),
        issuer: Bytes::new(),
    }
}

fn hex(text: &[u8]) -> Vec<u8> {
    text.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn groupings(profile: &CardProfile) -> Vec<u8> {
    let mut bytes = [0; MAX_CARD];
    let len = encode_card(CARD, profile, &mut bytes).unwrap();
    bytes[..len].to_vec()
}

fn wire(profile: &CardProfile) -> Vec<u8> {
    let mut bytes = vec![0; CardProfile::MAX];
    let len = encode_into(profile, &mut bytes).unwrap();
    bytes.truncate(len);
    bytes
}

#[test]
fn a_card_comes_back_with_what_a_tap_needs() {
    for key in [None, Some(rsa()), Some(sm2())] {
        let profile = profile(Channel::Nfc, key.map(oda));
        let Ok(Personalisation::Card(card, again)) = decode(&groupings(&profile)) else { panic!("no card") };
        // The sample has nothing that stays behind.
        assert_eq!((card, wire(&again)), (CARD, wire(&profile)));
    }
}

#[test]
fn keys_for_other_ways_to_pay_stay_behind() {
    let mut both = profile(Channel::Nfc, None);
    let CardKeys::Udk(keys) = &mut both.keys else { panic!("limited-use keys") };
    keys.push(ChannelKey { channel: Channel::Qr, udk: Key128::new([0xEE; 16]) }).ok().unwrap();
    both.last_four = *b"4321";
    both.token.active = false;
    let bytes = groupings(&both);
    assert!(!bytes.windows(16).any(|window| window == [0xEE; 16]) && !bytes.windows(4).any(|w| w == b"4321"));
    let Ok(Personalisation::Card(_, again)) = decode(&bytes) else { panic!("no card") };
    assert_eq!(wire(&again), wire(&profile(Channel::Nfc, None)));
    let none = encode_card(CARD, &profile(Channel::Qr, None), &mut [0; MAX_CARD]);
    assert_eq!(none, Err(Error::NotForElement));
}

#[test]
fn groupings_are_where_personalisation_has_them() {
    let bytes = groupings(&profile(Channel::Nfc, Some(oda(rsa()))));
    let mut rest = &bytes[..];
    let mut seen = Vec::new();
    while let [high, low, length, tail @ ..] = rest {
        seen.push((u16::from_be_bytes([*high, *low]), *length));
        rest = &tail[usize::from(*length)..];
    }
    let (application, others) = seen.split_first().unwrap();
    assert_eq!(application.0, 0xA001);
    let records = [(0x0201, 254), (0x0202, 3), (0x0203, 254), (0x0204, 254)];
    let parts = [0x8201, 0x8202, 0x8203, 0x8204, 0x8205].map(|dgi| (dgi, 124));
    assert_eq!(others, [&[(0x8000, 16)][..], &records, &parts].concat());
}

#[test]
fn what_is_cut_longer_or_in_another_order_is_refused() {
    for key in [None, Some(rsa()), Some(sm2())] {
        let good = groupings(&profile(Channel::Nfc, key.map(oda)));
        for len in 0..good.len() {
            assert!(decode(&good[..len]).is_err(), "cut at {len}");
        }
        assert!(decode(&[&good[..], &[0xA0, 0x02, 0]].concat()).is_err());
        assert!(decode(&[&good[..], &good].concat()).is_err());
        assert!(decode(&[&[0x80, 0x00, 16][..], &[1; 16], &good].concat()).is_err());
    }
    // A profile that no bank may seal is none here either.
    let mut bad = profile(Channel::Nfc, None);
    bad.priority = 0;
    assert_eq!(decode(&groupings(&bad)).err(), Some(Error::ProfileInvalid));
}

#[test]
fn leave_comes_back_and_stands_alone() {
    for verified in [None, Some(Verified { ceiling: 100, currency: 0x0156, exact: true })] {
        let leave = Leave { card: CARD, key_version: 3, counter: 17, verified };
        let mut bytes = [0; MAX_LEAVE];
        let len = encode_leave(&leave, None, &mut bytes).unwrap();
        let good = &bytes[..len];
        assert!(matches!(decode(good), Ok(Personalisation::Leave(again, None)) if again == leave));
        for cut in 0..len {
            assert!(decode(&good[..cut]).is_err(), "cut at {cut}");
        }
        assert!(decode(&[good, good].concat()).is_err());
        assert!(decode(&[good, &groupings(&profile(Channel::Nfc, None))].concat()).is_err());
    }
}

#[test]
fn a_limited_use_key_comes_with_the_leave_for_its_payment() {
    let leave = Leave { card: CARD, key_version: 3, counter: 17, verified: None };
    let mut bytes = [0; MAX_LEAVE];
    let alone = encode_leave(&leave, None, &mut bytes).unwrap();
    let len = encode_leave(&leave, Some(&Key128::new([0x4C; 16])), &mut bytes).unwrap();
    let good = &bytes[..len];
    let Ok(Personalisation::Leave(again, Some(key))) = decode(good) else { panic!("no leave with a key") };
    assert_eq!((again, key.expose()), (leave, &[0x4C; 16]));
    for cut in (0..len).filter(|cut| *cut != alone) {
        assert!(decode(&good[..cut]).is_err(), "cut at {cut}");
    }
    let (leave, key) = good.split_at(alone);
    let short = [&[0x80, 0x00, 15], &key[3..18]].concat();
    for wrong in [[key, leave].concat(), [good, key].concat(), [leave, &short].concat()] {
        assert!(decode(&wrong).is_err());
    }
}

#[test]
fn a_card_with_limited_use_keys_goes_without_them() {
    let limited = |channels: &[Channel]| {
        let mut profile = profile(Channel::Nfc, Some(oda(sm2())));
        let channels = channels.iter().copied().collect();
        profile.keys = CardKeys::LimitedUse(LimitedUse { channels, threshold: 5 });
        profile
    };
    let good = groupings(&limited(&[Channel::Nfc, Channel::Qr]));
    let Ok(Personalisation::Card(_, again)) = decode(&good) else { panic!("no card") };
    let rules = again.limited_use().unwrap();
    assert_eq!(rules.channels, [Channel::Nfc]);
    let none = encode_card(CARD, &limited(&[Channel::Qr]), &mut [0; MAX_CARD]);
    assert_eq!(none, Err(Error::NotForElement));
    // Either a key or none: not both, nor a key in the place that says so.
    let at = good.windows(3).position(|window| window == [0xA0, 0x03, 0]).unwrap();
    let (before, behind) = (&good[..at], &good[at + 3..]);
    let key = [&[0x80, 0x00, 16][..], &[1; 16]].concat();
    assert!(decode(&[before, &key, behind].concat()).is_ok());
    let named = [&[0xA0, 0x03, 16][..], &[1; 16]].concat();
    for wrong in [
        [before, behind].concat(),
        [before, &key, &good[at..]].concat(),
        [before, &good[at..at + 3], &key, behind].concat(),
        [before, &named, behind].concat(),
    ] {
        assert!(decode(&wrong).is_err());
    }
}
