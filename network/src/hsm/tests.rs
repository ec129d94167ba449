use super::{
    block::{Digits, read, write},
    *,
};

const VECTORS: &str = include_str!("../../tests/vectors/pin.json");
const TOKEN: &str = "6292603512345678";
const NUMBER: &str = "6299990000000017";

fn key(text: &str) -> Key128 {
    Key128::new(hex::decode(text).unwrap().try_into().unwrap())
}

fn digits(pin: &str) -> Digits {
    Digits::new(pin.bytes().map(|digit| digit - b'0').collect())
}

/// A block as a phone makes it.
fn phones(hsm: &Hsm, given: &PinKey, counter: u32, pin: &str, token: &str) -> BankPinBlock {
    let PinKey { format, identifier, .. } = *given;
    let key = dukpt::working_key(&hsm.base, identifier, counter, format);
    let block = write(format, &key, token, &digits(pin)).unwrap();
    BankPinBlock { format, identifier, counter, block: block.into_iter().collect() }
}

fn ready() -> Hsm {
    let mut hsm = Hsm::lab(LabBank::A);
    hsm.enter(TOKEN, NUMBER, Some("280461"));
    hsm
}

#[test]
fn blocks_of_others_are_read() {
    let vectors: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
    for (list, name, block, format) in [
        ("iso0", "key", "enc_tdes_ecb", PinBlockFormat::Iso0),
        ("iso4", "key_aes128", "enc", PinBlockFormat::Iso4),
        ("iso4", "key_aes128", "sm4_same_construction(practice, not ISO)", PinBlockFormat::Sm4Layout4),
    ] {
        for case in vectors[list].as_array().unwrap() {
            let of = |name: &str| case[name].as_str().unwrap();
            let block = hex::decode(of(block)).unwrap();
            let pin = read(format, &key(of(name)), of("pan"), &block).unwrap();
            assert_eq!(*pin, *digits(of("pin")));
        }
    }
}

#[test]
fn every_format_comes_back_and_for_no_other_number_or_key() {
    let (one, other) = (key(&"5a".repeat(16)), key(&"a5".repeat(16)));
    for format in PinBlockFormat::ALL {
        for pin in ["1357", "280461", "123456789012"] {
            let block = write(format, &one, TOKEN, &digits(pin)).unwrap();
            assert_eq!(read(format, &one, TOKEN, &block).as_deref(), Some(&*digits(pin)));
            let wrong =
                [(&other, TOKEN), (&one, NUMBER)].map(|(key, number)| read(format, key, number, &block));
            assert!(wrong.iter().all(|read| read.as_deref() != Some(&*digits(pin))), "{format:?}");
            assert!(read(format, &one, TOKEN, &block[1..]).is_none());
        }
        for bad in ["135", "1234567890123"] {
            assert!(write(format, &one, TOKEN, &digits(bad)).is_none());
        }
    }
}

#[test]
fn a_block_for_a_token_becomes_one_for_the_number_once() {
    let mut hsm = ready();
    let zone = key(&"3c".repeat(16));
    for format in PinBlockFormat::ALL {
        let given = hsm.phone_key(format).unwrap();
        let sent = phones(&hsm, &given, 1, "280461", TOKEN);
        for wanted in [PinBlockFormat::Iso0, PinBlockFormat::Iso3, PinBlockFormat::Iso4] {
            let sent = phones(&hsm, &given, 1 + wanted as u32, "280461", TOKEN);
            let block = hsm.translate(&sent, TOKEN, (wanted, &zone)).unwrap();
            assert_eq!(read(wanted, &zone, NUMBER, &block).as_deref(), Some(&*digits("280461")));
        }
        assert_eq!(hsm.translate(&sent, TOKEN, (format, &zone)).err(), Some(Refusal::Replayed));
        assert_eq!(hsm.check(&sent, TOKEN), Err(Refusal::Replayed));
    }
}

#[test]
fn what_is_no_block_of_this_phone_for_this_token_is_refused_and_used_up() {
    let mut hsm = ready();
    let given = hsm.phone_key(PinBlockFormat::Iso4).unwrap();
    let good = |hsm: &Hsm, counter| phones(hsm, &given, counter, "280461", TOKEN);
    let refused = |hsm: &mut Hsm, change: &dyn Fn(&mut BankPinBlock)| {
        let mut sent = good(hsm, 1);
        change(&mut sent);
        hsm.check(&sent, TOKEN).err()
    };
    assert_eq!(refused(&mut hsm, &|sent| sent.identifier[7] ^= 1), Some(Refusal::UnknownKey));
    assert_eq!(
        refused(&mut hsm, &|sent| sent.format = PinBlockFormat::Sm4Layout4),
        Some(Refusal::OtherFormat)
    );
    assert_eq!(refused(&mut hsm, &|sent| sent.block.truncate(8)), Some(Refusal::OtherFormat));
    assert_eq!(refused(&mut hsm, &|sent| sent.counter = 0), Some(Refusal::Counter));
    assert_eq!(refused(&mut hsm, &|sent| sent.counter = 0x0001_FFFF), Some(Refusal::Counter));
    // None of these used the counter up; a changed block does.
    assert_eq!(refused(&mut hsm, &|sent| sent.block[3] ^= 1), Some(Refusal::Malformed));
    assert_eq!(refused(&mut hsm, &|_| {}), Some(Refusal::Replayed));
    assert_eq!(hsm.check(&good(&hsm, 2), NUMBER), Err(Refusal::UnknownToken));
    assert_eq!(hsm.check(&good(&hsm, 2), TOKEN), Err(Refusal::Replayed));
    // A block for another token.
    hsm.enter("6292603512345686", NUMBER, Some("280461"));
    assert_eq!(hsm.check(&good(&hsm, 3), "6292603512345686"), Err(Refusal::Malformed));
    hsm.check(&good(&hsm, 4), TOKEN).unwrap();
    hsm.enter("6292603512345694", NUMBER, None);
    let without = phones(&hsm, &given, 5, "280461", "6292603512345694");
    assert_eq!(hsm.check(&without, "6292603512345694"), Err(Refusal::NoReference));
}

#[test]
fn three_wrong_pins_block() {
    let mut hsm = ready();
    let given = hsm.phone_key(PinBlockFormat::Iso0).unwrap();
    let mut counter = 0;
    let mut check = |hsm: &mut Hsm, pin: &str| {
        counter += 1;
        let sent = phones(hsm, &given, counter, pin, TOKEN);
        hsm.check(&sent, TOKEN)
    };
    // Every digit counts.
    for wrong in ["280462", "2804611"] {
        assert_eq!(check(&mut hsm, wrong), Err(Refusal::WrongPin));
    }
    check(&mut hsm, "280461").unwrap();
    for _ in 0..TRIES {
        assert_eq!(check(&mut hsm, "1357"), Err(Refusal::WrongPin));
    }
    assert_eq!(check(&mut hsm, "280461"), Err(Refusal::Blocked));
}

#[test]
fn no_two_phones_have_the_same_key() {
    let mut hsm = ready();
    let keys = [(); 2].map(|()| hsm.phone_key(PinBlockFormat::Iso4).unwrap());
    assert_ne!(keys[0].identifier, keys[1].identifier);
    assert_ne!(keys[0].initial.expose(), keys[1].initial.expose());
}
