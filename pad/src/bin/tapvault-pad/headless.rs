//! A holder for tests: types what a file says, at the places where the shuffled keypad has it.

use serde::Deserialize;
use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read},
    path::Path,
};
use tapvault_pad::{Clock, Key, Pad, Random, Store, entry::Field, screen::Scene};
use zeroize::Zeroizing;

/// Longest script in bytes.
const MAX_SCRIPT: u64 = 64 * 1024;
/// Fields that an entry is given at most, repetitions included.
const MAX_FIELDS: usize = 8;

/// What is typed at one entry.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Answer {
    pin: Option<Zeroizing<String>>,
    new: Option<Zeroizing<String>>,
    number: Option<Zeroizing<String>>,
    expiry: Option<Zeroizing<String>>,
    cvn2: Option<Zeroizing<String>>,
    keys: Option<Zeroizing<String>>,
    cancel: bool,
    wait: bool,
}

impl Answer {
    fn digits(&self, field: Field) -> Option<&str> {
        let digits = match field {
            Field::Present => &self.pin,
            Field::New | Field::Again if self.new.is_some() => &self.new,
            Field::New | Field::Again => &self.pin,
            Field::Number => &self.number,
            Field::Expiry => &self.expiry,
            Field::Cvn2 => &self.cvn2,
        };
        digits.as_ref().map(|digits| digits.as_str())
    }
}

/// What is typed at one entry after the other. No `Debug`.
pub struct Script {
    answers: VecDeque<Answer>,
    /// Typed at every entry.
    always: Option<Answer>,
}

impl Script {
    /// Nobody is there: every entry is cancelled.
    pub fn nobody() -> Self {
        Self { answers: VecDeque::new(), always: None }
    }

    /// The same PIN at every entry.
    ///
    /// # Errors
    /// When the file cannot be read, or has no line of digits.
    pub fn one_pin(file: &Path) -> Result<Self, String> {
        let text = read(file)?;
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let digits = |line: &str| Zeroizing::new(line.to_owned());
        let pin = lines.next().ok_or_else(|| format!("{}: a line with a PIN is missing", file.display()))?;
        let always = Answer { pin: Some(digits(pin)), new: lines.next().map(digits), ..Answer::default() };
        Ok(Self { answers: VecDeque::new(), always: Some(always) })
    }

    /// One line of JSON for each entry.
    ///
    /// # Errors
    /// When the file cannot be read, or a line is none; the line itself is not told.
    pub fn lines(file: &Path) -> Result<Self, String> {
        let text = read(file)?;
        let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
        let answers = lines.map(|(number, line)| {
            serde_json::from_str(line).map_err(|error| {
                // The error's own text may quote what is in the line.
                format!("{}: line {number}, column {}: see --help for lines", file.display(), error.column())
            })
        });
        Ok(Self { answers: answers.collect::<Result<_, _>>()?, always: None })
    }

    /// Types at an entry that has begun. Returns why it was cancelled, if it had to be.
    pub fn act<C: Clock, S: Store, R: Random>(&mut self, pad: &mut Pad<C, S, R>) -> Option<&'static str> {
        let Some(answer) = self.answers.pop_front().or_else(|| self.always.clone()) else {
            pad.press(Key::Cancel);
            return Some("no line is left for this entry; it was cancelled");
        };
        if answer.wait {
            return None;
        }
        if answer.cancel {
            pad.press(Key::Cancel);
            return None;
        }
        if let Some(keys) = &answer.keys {
            keys.chars().for_each(|key| press(pad, key));
            return None;
        }
        for _ in 0..MAX_FIELDS {
            let Scene::Asking { field, .. } = pad.screen().scene else { return None };
            let Some(digits) = answer.digits(field) else {
                pad.press(Key::Cancel);
                return Some("the line has nothing for what was asked; the entry was cancelled");
            };
            digits.chars().for_each(|digit| press(pad, digit));
            press(pad, 'E');
            if matches!(pad.screen().scene, Scene::Asking { notice: Some(_), .. }) {
                break;
            }
        }
        pad.press(Key::Cancel);
        Some("what the line has was not taken; the entry was cancelled")
    }
}

fn press<C: Clock, S: Store, R: Random>(pad: &mut Pad<C, S, R>, key: char) {
    let key = match key {
        'E' => Some(Key::Enter),
        'C' => Some(Key::Cancel),
        '<' => Some(Key::Clear),
        digit => match pad.screen().scene {
            Scene::Asking { layout, .. } => digit
                .to_digit(10)
                .and_then(|digit| u8::try_from(digit).ok())
                .and_then(|digit| layout.place(digit))
                .map(Key::Place),
            _ => None,
        },
    };
    if let Some(key) = key {
        pad.press(key);
    }
}

fn read(file: &Path) -> Result<Zeroizing<String>, String> {
    let failed = |error: io::Error| format!("{}: {error}", file.display());
    let input: Box<dyn Read> = match file == Path::new("-") {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(file).map_err(failed)?),
    };
    // Never grows, so that no copy is left behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_SCRIPT as usize + 1));
    input.take(MAX_SCRIPT + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_SCRIPT {
        return Err(format!("{}: longer than {MAX_SCRIPT} bytes", file.display()));
    }
    Ok(text)
}
