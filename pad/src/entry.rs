//! What the holder does with digits: one or more fields, each of which Enter ends when it is in order. Nothing of it
//! leaves before the last one is.

use tapvault_pad_link::rules::{is_same, is_simple};
use tapvault_proto::{
    binding::{CardData, MAX_CVN2, MAX_NUMBER, MIN_CVN2, MIN_NUMBER},
    pad::{Entered, PadPurpose},
    pin::{MAX_PIN, MIN_PIN, Pin},
};
use zeroize::Zeroize;

/// A field of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The PIN as it is.
    Present,
    /// A new PIN.
    New,
    /// The new PIN once more.
    Again,
    /// Number of a card.
    Number,
    /// Expiry, month and year as on the card.
    Expiry,
    /// CVN2.
    Cvn2,
}

impl Field {
    /// What the holder is asked for.
    #[must_use]
    pub const fn prompt(self) -> &'static str {
        match self {
            Self::Present => "Your PIN",
            Self::New => "New PIN, 4 to 12 digits",
            Self::Again => "The new PIN once more",
            Self::Number => "Card number, 13 to 19 digits",
            Self::Expiry => "Good until: month and year, 4 digits",
            Self::Cvn2 => "The 3 or 4 digits on the back",
        }
    }

    /// Fewest and most digits.
    const fn length(self) -> (usize, usize) {
        match self {
            Self::Present | Self::New | Self::Again => (MIN_PIN, MAX_PIN),
            Self::Number => (MIN_NUMBER, MAX_NUMBER),
            Self::Expiry => (4, 4),
            Self::Cvn2 => (MIN_CVN2, MAX_CVN2),
        }
    }
}

/// Why the holder is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Fewer digits than the field has.
    TooShort,
    /// The new PIN and its repetition differ.
    Differ,
    /// The new PIN is one that is guessed first, or the present one.
    TooSimple,
    /// The check digit does not fit.
    Number,
    /// The month is none.
    Expiry,
}

impl Notice {
    /// What the holder is told.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::TooShort => "That is too short",
            Self::TooSimple => "Too easy to guess, or the PIN you have: choose another",
            Self::Differ => "The two were not the same: choose the PIN again",
            Self::Number => "No card has this number: compare it with the card",
            Self::Expiry => "Month first, then year: 0931 is September 2031",
        }
    }
}

/// What a press led to.
pub enum Progress {
    /// The field goes on.
    Typing,
    /// A field begins: the keypad is to be shuffled.
    Field,
    /// That was the last.
    Done(Entered),
}

/// Digits of one field, wiped when they go.
#[derive(Default)]
struct Digits {
    ascii: [u8; MAX_NUMBER],
    len: usize,
}

impl Digits {
    fn ascii(&self) -> &[u8] {
        self.ascii.get(..self.len).unwrap_or_default()
    }

    fn push(&mut self, digit: u8, most: usize) {
        if self.len < most
            && let Some(place) = self.ascii.get_mut(self.len)
        {
            *place = b'0' + digit;
            self.len += 1;
        }
    }

    fn wipe(&mut self) {
        self.ascii.zeroize();
        self.len.zeroize();
    }
}

impl Drop for Digits {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// An entry under way. Everything typed is wiped when it is dropped; there is no `Debug`.
pub struct Entry {
    fields: &'static [Field],
    at: usize,
    typed: Digits,
    /// What earlier fields got, in their order: at most two are ever needed later.
    kept: [Digits; 2],
    notice: Option<Notice>,
}

impl Entry {
    /// Begins.
    #[must_use]
    pub fn new(purpose: PadPurpose) -> Self {
        let fields: &[Field] = match purpose {
            PadPurpose::SetPin => &[Field::New, Field::Again],
            PadPurpose::ChangePin => &[Field::Present, Field::New, Field::Again],
            PadPurpose::CardData => &[Field::Number, Field::Expiry, Field::Cvn2],
            PadPurpose::ArmTap
            | PadPurpose::ConfirmTap
            | PadPurpose::ApprovePayment
            | PadPurpose::ShowCode
            | PadPurpose::ConfirmTransfer
            | PadPurpose::BankPin => &[Field::Present],
        };
        Self { fields, at: 0, typed: Digits::default(), kept: Default::default(), notice: None }
    }

    /// The field that is typed now.
    #[must_use]
    pub fn field(&self) -> Field {
        self.fields.get(self.at).copied().unwrap_or(Field::Present)
    }

    /// How many digits of it are typed.
    #[must_use]
    pub fn typed(&self) -> usize {
        self.typed.len
    }

    /// Why the holder is asked again, until the next digit.
    #[must_use]
    pub fn notice(&self) -> Option<Notice> {
        self.notice
    }

    /// A digit, 0 to 9; what a field has no room for is left out.
    pub fn digit(&mut self, digit: u8) -> Progress {
        self.notice = None;
        if digit <= 9 {
            self.typed.push(digit, self.field().length().1);
        }
        Progress::Typing
    }

    /// Takes back what was typed of this field.
    pub fn clear(&mut self) -> Progress {
        self.notice = None;
        self.typed.wipe();
        Progress::Typing
    }

    /// Ends the field, and with the last one the entry.
    pub fn enter(&mut self) -> Progress {
        let field = self.field();
        if self.typed.len < field.length().0 {
            // What is there stays: the holder types on.
            self.notice = Some(Notice::TooShort);
            return Progress::Typing;
        }
        let [first, second] = &self.kept;
        let result = match field {
            Field::Present if self.fields.len() == 1 => self.pin().map(Entered::Pin),
            Field::New if self.is_too_simple() => return self.refuse(Notice::TooSimple),
            Field::Present | Field::New => return self.keep(),
            Field::Again => {
                let new = if self.fields.len() == 2 { first } else { second };
                if new.ascii() != self.typed.ascii() {
                    return self.begin_new();
                }
                match self.fields.len() {
                    2 => self.pin().map(Entered::Pin),
                    _ => Pin::from_ascii(first.ascii())
                        .ok()
                        .and_then(|present| self.pin().map(|new| Entered::Change(present, new))),
                }
            }
            // The other two are good ones: it is this number or nothing.
            Field::Number => match CardData::from_ascii(self.typed.ascii(), b"0001", b"000") {
                Ok(_) => return self.keep(),
                Err(_) => return self.refuse(Notice::Number),
            },
            Field::Expiry => {
                // On the card month and year; on the wire year and month.
                self.typed.ascii.get_mut(..4).unwrap_or_default().rotate_left(2);
                return match CardData::from_ascii(first.ascii(), self.typed.ascii(), b"000") {
                    Ok(_) => self.keep(),
                    Err(_) => self.refuse(Notice::Expiry),
                };
            }
            Field::Cvn2 => CardData::from_ascii(first.ascii(), second.ascii(), self.typed.ascii())
                .ok()
                .map(Entered::CardData),
        };
        // Every field was looked at when it ended.
        Progress::Done(result.unwrap_or(Entered::Nothing))
    }

    fn pin(&self) -> Option<Pin> {
        Pin::from_ascii(self.typed.ascii()).ok()
    }

    /// Whether the trusted app would refuse the new PIN: the holder is asked before it is sent.
    fn is_too_simple(&self) -> bool {
        let [present, _] = &self.kept;
        // Where the PIN is changed; otherwise nothing is kept yet.
        let present = Pin::from_ascii(present.ascii()).ok();
        self.pin().is_none_or(|new| {
            let same = present.is_some_and(|present| is_same(&present, &new).into());
            same || is_simple(&new).into()
        })
    }

    /// Keeps this field, and goes on to the next.
    fn keep(&mut self) -> Progress {
        let typed = std::mem::take(&mut self.typed);
        if let Some(place) = self.kept.get_mut(self.at) {
            *place = typed;
        }
        self.at += 1;
        Progress::Field
    }

    /// Asks for this field once more.
    fn refuse(&mut self, notice: Notice) -> Progress {
        self.typed.wipe();
        self.notice = Some(notice);
        Progress::Field
    }

    /// Asks for the new PIN once more.
    fn begin_new(&mut self) -> Progress {
        self.at = self.fields.iter().position(|field| *field == Field::New).unwrap_or_default();
        if let Some(new) = self.kept.get_mut(self.at) {
            new.wipe();
        }
        self.refuse(Notice::Differ)
    }
}

#[cfg(test)]
mod tests;
