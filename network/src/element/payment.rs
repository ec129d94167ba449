//! The element's payment cards: put into it through its channel, selected and asked through its contactless interface.
//!
//! The element has no keypad and no clock. Whether the holder was verified, whether NFC is on and the token active it
//! learns from the TEE, as leave for one cryptogram. Its own counters are in its own store, and never go back.

use super::{ATR, status};
use crate::frame::CardLink;
use std::{collections::BTreeMap, fmt, io};
use tapvault_card::applet::Applet;
use tapvault_proto::{
    Error,
    dgi::{self, MAX_CARD, Personalisation},
    element::Leave,
    emv::{
        apdu::{Command, StatusWord},
        application::{CardApplication, StaticAnswers},
    },
    id::CardId,
    profile::{CardProfile, Key128, Product},
};
use zeroize::Zeroizing;

/// P1 of INSTALL: for personalization.
const FOR_PERSONALIZATION: u8 = 0x20;
/// P1 of STORE DATA: data groupings; and the last block.
const GROUPINGS: u8 = 0x08;
const LAST: u8 = 0x80;

type Answer = Result<(Vec<u8>, u16), u16>;

/// A card in the element.
struct Installed {
    applet: Applet,
    answers: StaticAnswers,
    /// Good for one cryptogram, and while the element has power; with its key where the card has limited-use keys.
    leave: Option<(Leave, Option<Key128>)>,
}

/// A card in the element, without anything secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElementCard {
    /// The card.
    pub card: CardId,
    /// What kind it is.
    pub product: Product,
    /// Tag 50, ASCII.
    pub label: String,
    /// Version of its keys.
    pub key_version: u8,
    /// The last counter under these keys that leave was given for; 0 for none.
    pub last_counter: u16,
    /// Whether its keys are limited-use keys, which come one by one.
    pub limited_use: bool,
}

/// What is kept without power: the cards as their groupings, and the last counter of each version of a card's keys.
pub(super) struct Kept {
    pub(super) cards: Vec<Zeroizing<Vec<u8>>>,
    pub(super) counters: BTreeMap<(CardId, u8), u16>,
}

/// What comes in for an application, block by block.
struct Incoming {
    product: Product,
    blocks: u8,
    groupings: Zeroizing<Vec<u8>>,
}

/// The cards, one of a kind, in order of priority.
#[derive(Default)]
pub(super) struct Cards {
    installed: Vec<Installed>,
    /// The last counter of each version of a card's keys, kept when the card is not.
    counters: BTreeMap<(CardId, u8), u16>,
    incoming: Option<Incoming>,
}

impl Cards {
    /// The cards, in order of priority.
    pub(super) fn list(&self) -> Vec<ElementCard> {
        let card = |installed: &Installed| {
            let applet = &installed.applet;
            let (card, key_version) = (applet.card(), applet.key_version());
            ElementCard {
                card,
                product: applet.product(),
                label: String::from_utf8_lossy(applet.label()).into_owned(),
                key_version,
                last_counter: self.counters.get(&(card, key_version)).copied().unwrap_or_default(),
                limited_use: applet.wants_key(),
            }
        };
        self.installed.iter().map(card).collect()
    }

    /// What has to be kept without power.
    ///
    /// # Errors
    /// [`Error::ShortBuffer`] never: there is room for any card.
    pub(super) fn kept(&self) -> Result<Kept, Error> {
        let groupings = |installed: &Installed| {
            let mut bytes = Zeroizing::new(vec![0; MAX_CARD]);
            let len = installed.applet.groupings(&mut bytes)?;
            bytes.truncate(len);
            Ok(bytes)
        };
        let cards = self.installed.iter().map(groupings).collect::<Result<_, Error>>()?;
        Ok(Kept { cards, counters: self.counters.clone() })
    }

    /// The cards that were kept.
    ///
    /// # Errors
    /// [`Error::BadParameters`] and [`Error::ProfileInvalid`] for what is no card; [`Error::StateCorrupt`] for two cards of
    /// a kind, and for a card without a counter.
    pub(super) fn restored(kept: Kept) -> Result<Self, Error> {
        let mut cards = Self { counters: kept.counters, ..Self::default() };
        for groupings in kept.cards {
            let Personalisation::Card(card, profile) = dgi::decode(&groupings)? else {
                return Err(Error::BadParameters);
            };
            let (product, known) =
                (profile.product, cards.counters.contains_key(&(card, profile.key_version)));
            if !known || cards.installed.iter().any(|installed| installed.applet.product() == product) {
                return Err(Error::StateCorrupt);
            }
            cards.put(product, card, profile).map_err(|_| Error::StateCorrupt)?;
        }
        Ok(cards)
    }

    /// Power was off: what is not stored is gone.
    pub(super) fn power_on(&mut self) {
        self.incoming = None;
        self.installed.iter_mut().for_each(|card| card.leave = None);
    }

    /// A new channel is open.
    pub(super) fn new_channel(&mut self) {
        self.incoming = None;
    }

    /// Answers INSTALL \[for personalization\] and STORE DATA, as they came through the channel.
    pub(super) fn personalise(&mut self, command: &Command<'_>) -> Answer {
        if command.cla != 0x80 {
            return Err(status::UNKNOWN_CLASS);
        }
        match command.ins {
            0xE6 => self.install(command),
            _ => self.store(command),
        }
    }

    fn install(&mut self, command: &Command<'_>) -> Answer {
        if (command.p1, command.p2) != (FOR_PERSONALIZATION, 0) {
            return Err(status::WRONG_PARAMETERS);
        }
        // Neither load file nor module; the application; neither privileges, parameters nor token.
        let [0, 0, 8, aid @ .., 0, 0, 0] = command.data else { return Err(status::WRONG_DATA) };
        let product = Product::ALL.into_iter().find(|product| product.aid() == *aid);
        let product = product.ok_or(status::NOT_FOUND)?;
        self.incoming = Some(Incoming { product, blocks: 0, groupings: Zeroizing::default() });
        Ok((Vec::new(), status::OK))
    }

    fn store(&mut self, command: &Command<'_>) -> Answer {
        let mut incoming = self.incoming.take().ok_or(status::CONDITIONS)?;
        if command.p1 & !LAST != GROUPINGS || command.p2 != incoming.blocks {
            return Err(status::WRONG_PARAMETERS);
        }
        if incoming.groupings.len() + command.data.len() > MAX_CARD {
            return Err(status::WRONG_LENGTH);
        }
        incoming.groupings.extend(command.data);
        incoming.blocks = incoming.blocks.checked_add(1).ok_or(status::WRONG_PARAMETERS)?;
        if command.p1 & LAST == 0 {
            self.incoming = Some(incoming);
            return Ok((Vec::new(), status::OK));
        }
        match dgi::decode(&incoming.groupings).map_err(|_| status::WRONG_DATA)? {
            Personalisation::Card(card, profile) => self.put(incoming.product, card, profile),
            Personalisation::Leave(leave, key) => self.allow(incoming.product, leave, key),
        }
    }

    /// Takes a card, in place of another of its kind.
    fn put(&mut self, product: Product, card: CardId, profile: CardProfile) -> Answer {
        if profile.product != product {
            return Err(status::WRONG_DATA);
        }
        let newest = self.counters.keys().filter(|(known, _)| *known == card).map(|(_, version)| *version);
        if newest.max().is_some_and(|newest| profile.key_version < newest) {
            return Err(status::CONDITIONS);
        }
        self.counters.entry((card, profile.key_version)).or_default();
        let applet = Applet::new(card, profile);
        let answers = applet.static_answers().map_err(|_| status::WRONG_DATA)?;
        self.installed.retain(|installed| installed.applet.product() != product);
        self.installed.push(Installed { applet, answers, leave: None });
        self.installed.sort_by_key(|installed| installed.answers.priority);
        Ok((Vec::new(), status::OK))
    }

    /// Takes leave for one cryptogram, in place of an earlier one. The counter is used up with that.
    fn allow(&mut self, product: Product, leave: Leave, key: Option<Key128>) -> Answer {
        let held = self.installed.iter_mut().find(|installed| {
            let applet = &installed.applet;
            (applet.product(), applet.card(), applet.key_version())
                == (product, leave.card, leave.key_version)
        });
        // A warning, because only that is under a MAC.
        let Some(held) = held else { return Ok((Vec::new(), status::NO_DATA)) };
        if held.applet.wants_key() != key.is_some() {
            return Err(status::WRONG_DATA);
        }
        let last = self.counters.entry((leave.card, leave.key_version)).or_default();
        if leave.counter <= *last {
            return Err(status::CONDITIONS);
        }
        *last = leave.counter;
        held.leave = Some((leave, key));
        Ok((Vec::new(), status::OK))
    }
}

/// The contactless interface of an element in a terminal's field.
pub struct Contactless<'a> {
    cards: &'a mut Cards,
    answers: Vec<StaticAnswers>,
    application: CardApplication,
}

impl<'a> Contactless<'a> {
    pub(super) fn new(cards: &'a mut Cards) -> Self {
        let answers = cards.installed.iter().map(|installed| installed.answers.clone()).collect();
        Self { cards, answers, application: CardApplication::new() }
    }
}

impl CardLink for Contactless<'_> {
    /// The field was off; the element has its power from the phone.
    fn power_on(&mut self) -> io::Result<Vec<u8>> {
        self.application = CardApplication::new();
        Ok(ATR.to_vec())
    }

    fn transmit(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        let Self { cards, answers, application } = self;
        let mut failed = None;
        let response = application.transmit(answers, command, |number, command| {
            let Some(card) = cards.installed.get_mut(number) else { return StatusWord::NoDiagnosis.into() };
            // Used up, whatever the answer is.
            let Some(leave) = card.leave.take() else { return StatusWord::ConditionsNotSatisfied.into() };
            card.applet.process(command, leave, |out| failed = getrandom::fill(out).err())
        });
        match failed {
            Some(error) => Err(io::Error::other(error)),
            None => Ok(response.as_bytes().to_vec()),
        }
    }
}

// Shows neither keys nor what the cards are.
impl fmt::Debug for Contactless<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contactless").field("cards", &self.answers.len()).finish_non_exhaustive()
    }
}
