//! The element in a file, so that a card put into it is there for the next command. What a real element keeps in its own
//! memory, protected, is here for everybody who can read the file.

use super::{
    ElementCard, ElementKeys, SoftElement,
    applet::Applet,
    payment::{Cards, Contactless, Kept},
};
use crate::state::{StateError, lock, replace_private};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};
use tapvault_proto::{dgi::MAX_CARD, id::CardId};
use zeroize::{Zeroize, Zeroizing};

/// Format of the file.
const FORMAT: u8 = 1;
/// Said in front of everything.
const WARNING: &str = "LAB ONLY: a secure element in software; the cards' keys are readable here";
/// Longest file that is read: three cards in hexadecimal, and what goes with them.
const MAX_FILE: u64 = 64 * 1024;
const _: () = assert!(3 * 2 * MAX_CARD < 32 * 1024);

/// Why an element's file could not be read or written.
#[derive(Debug)]
pub enum ElementFileError {
    /// Another command holds it.
    Busy(PathBuf),
    /// It could not be read or written.
    Io(PathBuf, io::Error),
    /// It is no element's file of this format.
    Malformed(PathBuf, String),
}

impl fmt::Display for ElementFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(path) => {
                write!(f, "{}: held by another command; wait until it is done", path.display())
            }
            Self::Io(path, error) => {
                write!(f, "{}: {error}; check the folder, its rights and the disk", path.display())
            }
            Self::Malformed(path, what) => write!(
                f,
                "{}: not a lab element's file ({what}); take it away, and put the cards into a new one",
                path.display()
            ),
        }
    }
}

impl std::error::Error for ElementFileError {}

/// A card's last counter under a version of its keys.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Counter {
    #[serde(with = "hex::serde")]
    card: [u8; 16],
    key_version: u8,
    last: u16,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    warning: String,
    format: u8,
    /// Each as its data groupings, in hexadecimal.
    cards: Vec<String>,
    counters: Vec<Counter>,
    /// Trustlets' objects by their tags, both in hexadecimal.
    objects: BTreeMap<String, String>,
}

impl Drop for Document {
    fn drop(&mut self) {
        self.cards.zeroize();
    }
}

/// An element whose cards, counters and objects are in a file; channel and leave are not, as without power. One process at a
/// time: the file is locked as long as this value lives.
pub struct ElementFile {
    element: SoftElement,
    path: PathBuf,
    /// What the file holds.
    stored: Zeroizing<Vec<u8>>,
    // Held for its lock; closing it lets go.
    _lock: File,
}

impl ElementFile {
    /// Locks and reads the lab's element at `path`; a missing file is an empty element.
    ///
    /// # Errors
    /// [`ElementFileError`].
    pub fn open(path: &Path) -> Result<Self, ElementFileError> {
        let failed = |error| ElementFileError::Io(path.to_owned(), error);
        let lock = lock(path).map_err(|error| match error {
            StateError::Io(path, error) => ElementFileError::Io(path, error),
            _ => ElementFileError::Busy(path.to_owned()),
        })?;
        let stored = match fs::metadata(path) {
            Ok(file) if file.len() > MAX_FILE => {
                let what = format!("longer than {MAX_FILE} bytes");
                return Err(ElementFileError::Malformed(path.to_owned(), what));
            }
            Ok(_) => Zeroizing::new(fs::read(path).map_err(failed)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Zeroizing::default(),
            Err(error) => return Err(failed(error)),
        };
        let element = restored(&stored).map_err(|what| ElementFileError::Malformed(path.to_owned(), what))?;
        Ok(Self { element, path: path.to_owned(), stored, _lock: lock })
    }

    /// Its payment cards, in order of priority.
    #[must_use]
    pub fn cards(&self) -> Vec<ElementCard> {
        self.element.cards()
    }

    /// Its contactless interface, in a terminal's field. Nothing that happens there has to be stored: the counter of a
    /// leave was used up when that came.
    pub fn contactless(&mut self) -> Contactless<'_> {
        self.element.contactless()
    }

    /// As [`SoftElement::transmit`]. What it changes is on the disk before the answer is given.
    ///
    /// # Errors
    /// The file system's; the element is then as it is stored, and without power.
    pub fn transmit(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        let answer = self.element.transmit(command);
        if let Err(error) = self.store() {
            // What it read once it reads again.
            self.element = restored(&self.stored).map_err(io::Error::other)?;
            return Err(error);
        }
        Ok(answer)
    }

    fn store(&mut self) -> io::Result<()> {
        let now = document(&self.element)?;
        if *now != *self.stored {
            replace_private(&self.path, &now)?;
            self.stored = now;
        }
        Ok(())
    }
}

// Shows neither keys nor objects.
impl fmt::Debug for ElementFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ElementFile").field("path", &self.path).finish_non_exhaustive()
    }
}

fn document(element: &SoftElement) -> io::Result<Zeroizing<Vec<u8>>> {
    let kept = element.cards.kept().map_err(|error| io::Error::other(format!("{error:?}")))?;
    let counter = |((card, key_version), last): (&(CardId, u8), &u16)| Counter {
        card: card.0,
        key_version: *key_version,
        last: *last,
    };
    let document = Document {
        warning: WARNING.into(),
        format: FORMAT,
        cards: kept.cards.iter().map(|card| hex::encode(&**card)).collect(),
        counters: kept.counters.iter().map(counter).collect(),
        objects: element
            .applet
            .objects()
            .iter()
            .map(|(tag, object)| (hex::encode(tag), hex::encode(object)))
            .collect(),
    };
    // At its full capacity from the start: a buffer that grows leaves copies of keys behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE as usize));
    serde_json::to_writer_pretty(&mut *bytes, &document)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn restored(bytes: &[u8]) -> Result<SoftElement, String> {
    let mut element = SoftElement::new(ElementKeys::lab());
    if bytes.is_empty() {
        return Ok(element);
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if document.format != FORMAT {
        return Err(format!("format {}, not {FORMAT}", document.format));
    }
    let unhex = |digits: &str| hex::decode(digits).map_err(|error| error.to_string());
    let card = |digits: &String| unhex(digits).map(Zeroizing::new);
    let cards = document.cards.iter().map(card).collect::<Result<_, _>>()?;
    let counters =
        document.counters.iter().map(|counter| ((CardId(counter.card), counter.key_version), counter.last));
    let kept = Kept { cards, counters: counters.collect() };
    element.cards = Cards::restored(kept).map_err(|error| format!("a card: {error:?}"))?;
    let object = |(tag, object): (&String, &String)| {
        let tag = unhex(tag)?.try_into().map_err(|_| "an object's tag has two bytes".to_owned())?;
        Ok((tag, unhex(object)?))
    };
    let objects = document.objects.iter().map(object).collect::<Result<_, String>>()?;
    element.applet = Applet::restored(objects).ok_or("more objects, or longer ones, than fit")?;
    Ok(element)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::tests::{card, leave, put};

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("tapvault-element-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn what_is_stored_comes_back_and_leave_does_not() {
        let path = folder("back").join("element.json");
        let mut file = ElementFile::open(&path).unwrap();
        assert_eq!(put(&mut file.element.cards, &card(2).1), 0x9000);
        assert_eq!(put(&mut file.element.cards, &leave(2, 5)), 0x9000);
        file.store().unwrap();
        let (cards, stored) = (file.cards(), file.stored.clone());
        assert_eq!((cards[0].key_version, cards[0].last_counter, cards[0].limited_use), (2, 5, false));
        drop(file);
        let mut file = ElementFile::open(&path).unwrap();
        assert_eq!((file.cards(), &*file.stored), (cards, &*stored));
        assert_eq!(*document(&file.element).unwrap(), *stored);
        for (counter, expected) in [(5, 0x6985), (6, 0x9000)] {
            assert_eq!(put(&mut file.element.cards, &leave(2, counter)), expected);
        }
        assert_eq!(put(&mut file.element.cards, &card(1).1), 0x6985, "older keys");
    }

    #[test]
    fn only_its_owner_may_read_it_and_one_command_at_a_time() {
        use std::os::unix::fs::PermissionsExt;
        let path = folder("private").join("element.json");
        let mut file = ElementFile::open(&path).unwrap();
        assert!(!path.exists(), "nothing is in it yet");
        put(&mut file.element.cards, &card(1).1);
        file.store().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let beside = File::open(path.with_extension("json.lock")).unwrap();
        assert!(beside.try_lock().is_err());
        drop(file);
        beside.try_lock().unwrap();
    }

    #[test]
    fn what_cannot_be_stored_is_not_answered_and_not_done() {
        let folder = folder("full");
        let path = folder.join("element.json");
        let mut file = ElementFile::open(&path).unwrap();
        put(&mut file.element.cards, &card(1).1);
        file.store().unwrap();
        put(&mut file.element.cards, &leave(1, 1));
        // A folder in the place of what is renamed: also for root, whom no rights hold.
        fs::create_dir_all(folder.join("element.json.new")).unwrap();
        assert!(file.transmit(&[0x80, 0xCA, 0, 0, 0]).is_err());
        assert_eq!(file.cards()[0].last_counter, 0);
        fs::remove_dir(folder.join("element.json.new")).unwrap();
        assert_eq!(put(&mut file.element.cards, &leave(1, 1)), 0x9000);
        assert_eq!(file.transmit(&[0x80, 0xCA, 0, 0, 0]).unwrap(), [0x69, 0x82]);
        drop(file);
        assert_eq!(ElementFile::open(&path).unwrap().cards()[0].last_counter, 1);
    }

    #[test]
    fn what_is_no_element_is_named() {
        let path = folder("malformed").join("element.json");
        let mut file = ElementFile::open(&path).unwrap();
        put(&mut file.element.cards, &card(1).1);
        file.store().unwrap();
        let good = String::from_utf8(file.stored.to_vec()).unwrap();
        drop(file);
        let digits = hex::encode(card(1).1);
        for (from, to) in [
            ("\"format\": 1", "\"format\": 2"),
            ("\"warning\"", "\"more\""),
            (&digits[..8], "00"),
            (&digits[..4], "zz"),
            ("\"key_version\": 1", "\"key_version\": 2"),
            ("\"objects\": {}", "\"objects\": { \"DF01\": \"\" }"),
            ("\"objects\": {}", "\"objects\": { \"DF\": \"01\" }"),
        ] {
            assert!(good.contains(from), "{from}");
            fs::write(&path, good.replacen(from, to, 1)).unwrap();
            let error = ElementFile::open(&path).unwrap_err();
            assert!(matches!(error, ElementFileError::Malformed(..)), "{from}: {error}");
        }
        fs::write(&path, vec![b' '; 65 * 1024]).unwrap();
        assert!(matches!(ElementFile::open(&path), Err(ElementFileError::Malformed(..))));
    }
}
