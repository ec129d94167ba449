use super::*;

/// What came of an entry, as text.
fn shown(entered: &Entered) -> String {
    let pin = |pin: &Pin| {
        let (digits, len) = pin.expose();
        String::from_utf8(digits[..usize::from(len)].to_vec()).unwrap()
    };
    match entered {
        Entered::Nothing => "nothing".into(),
        Entered::Pin(typed) => pin(typed),
        Entered::Change(present, new) => format!("{} to {}", pin(present), pin(new)),
        Entered::CardData(data) => {
            let (cvn2, len) = data.expose_cvn2();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let (number, expiry) = (text(data.expose_number()), text(data.expose_expiry()));
            format!("{number} {expiry} {}", text(&cvn2[..usize::from(len)]))
        }
    }
}

/// Presses digits, `<` (Clear) and `E` (Enter); returns what was entered, or where the entry is.
fn typed(purpose: PadPurpose, keys: &str) -> String {
    let mut entry = Entry::new(purpose);
    for (at, key) in keys.chars().enumerate() {
        let progress = match key {
            '<' => entry.clear(),
            'E' => entry.enter(),
            digit => entry.digit(u8::try_from(digit.to_digit(10).unwrap()).unwrap()),
        };
        if let Progress::Done(entered) = progress {
            assert_eq!(at + 1, keys.len(), "{keys}: done before the last key");
            return shown(&entered);
        }
    }
    let notice = entry.notice().map(|notice| format!(" {notice:?}")).unwrap_or_default();
    format!("{:?} {}{notice}", entry.field(), entry.typed())
}

#[test]
fn an_entry_does_what_the_table_says() {
    use PadPurpose::{ApprovePayment, ArmTap, BankPin, CardData, ChangePin, ConfirmTap, SetPin};
    for (purpose, keys, expected) in [
        // One PIN, 4 to 12 digits.
        (ArmTap, "", "Present 0"),
        (ArmTap, "123", "Present 3"),
        (ArmTap, "E", "Present 0 TooShort"),
        (ArmTap, "123E", "Present 3 TooShort"),
        // What was too short is gone on with.
        (ArmTap, "123E4", "Present 4"),
        (ArmTap, "123E4E", "1234"),
        (ArmTap, "1234E", "1234"),
        (ConfirmTap, "0000E", "0000"),
        (ApprovePayment, "123456789012E", "123456789012"),
        // A thirteenth digit does not change the twelve.
        (BankPin, "1234567890123E", "123456789012"),
        (BankPin, "1234567890129999E", "123456789012"),
        // Clear takes all of the field.
        (ArmTap, "1234<", "Present 0"),
        (ArmTap, "1234<E", "Present 0 TooShort"),
        (ArmTap, "9999<1234E", "1234"),
        (ArmTap, "123E<", "Present 0"),
        // A new PIN, typed twice.
        (SetPin, "2468E", "Again 0"),
        (SetPin, "2468E2468E", "2468"),
        (SetPin, "2468E246E", "Again 3 TooShort"),
        (SetPin, "2468E9<2468E", "2468"),
        (SetPin, "2468E2469E", "New 0 Differ"),
        (SetPin, "2468E24680E", "New 0 Differ"),
        (SetPin, "2468E2469E1", "New 1"),
        (SetPin, "2468E2469E5791E5791E", "5791"),
        // The first of a pair that differed is forgotten.
        (SetPin, "2468E2469E5791E2468E", "New 0 Differ"),
        // What everybody guesses first is not repeated.
        (SetPin, "1234E", "New 0 TooSimple"),
        (SetPin, "1111E2468E2468E", "2468"),
        // The present PIN, and a new one twice.
        (ChangePin, "1234E", "New 0"),
        (ChangePin, "1234E5791E", "Again 0"),
        (ChangePin, "1234E5791E5791E", "1234 to 5791"),
        (ChangePin, "1234E5791E1234E", "New 0 Differ"),
        (ChangePin, "1234E5791E5792E9753E9753E", "1234 to 9753"),
        (ChangePin, "1234E9999E", "New 0 TooSimple"),
        (ChangePin, "2468E2468E", "New 0 TooSimple"),
        // Card data: check digit, month first, three or four digits.
        (CardData, "629999000000E", "Number 12 TooShort"),
        (CardData, "6299990000000018E", "Number 0 Number"),
        (CardData, "6299990000000018E6299990000000017E", "Expiry 0"),
        (CardData, "6299990000000017E", "Expiry 0"),
        (CardData, "6299990000000017E311E", "Expiry 3 TooShort"),
        (CardData, "6299990000000017E3112E", "Expiry 0 Expiry"),
        (CardData, "6299990000000017E0031E", "Expiry 0 Expiry"),
        (CardData, "6299990000000017E1231E", "Cvn2 0"),
        (CardData, "6299990000000017E1231E12E", "Cvn2 2 TooShort"),
        (CardData, "6299990000000017E1231E123E", "6299990000000017 3112 123"),
        (CardData, "6299990000000017E3112E1231E1234E", "6299990000000017 3112 1234"),
        (CardData, "4222222222222E0127E0009E", "4222222222222 2701 0009"),
        (CardData, "62000000000000000009E", "Expiry 0"),
    ] {
        assert_eq!(typed(purpose, keys), expected, "{purpose:?} {keys}");
    }
}

#[test]
fn what_is_no_digit_is_not_typed() {
    let mut entry = Entry::new(PadPurpose::ArmTap);
    for bad in [10, 0x30, 0xFF] {
        entry.digit(bad);
    }
    assert_eq!(entry.typed(), 0);
}

#[test]
fn digits_are_wiped() {
    let mut digits = Digits::default();
    for digit in [1, 2, 3, 4] {
        digits.push(digit, MAX_PIN);
    }
    assert_eq!(digits.ascii(), b"1234");
    digits.wipe();
    assert_eq!((digits.ascii, digits.len), ([0; MAX_NUMBER], 0));

    let mut entry = Entry::new(PadPurpose::SetPin);
    for digit in [2, 4, 6, 8] {
        entry.digit(digit);
    }
    assert!(matches!(entry.enter(), Progress::Field));
    assert_eq!(entry.typed.ascii, [0; MAX_NUMBER], "moved to what is kept, and not copied");
    entry.digit(5);
    entry.clear();
    assert_eq!(entry.typed.ascii, [0; MAX_NUMBER]);
    for digit in [2, 4, 6, 9] {
        entry.digit(digit);
    }
    assert!(matches!(entry.enter(), Progress::Field));
    assert_eq!(entry.notice(), Some(Notice::Differ));
    assert!(entry.kept.iter().all(|kept| kept.ascii == [0; MAX_NUMBER]), "the first one is gone as well");
}
