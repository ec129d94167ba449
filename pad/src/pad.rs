//! The pad itself: which message and which key does what, and when.

use crate::{
    Clock, Event, Random, Refusal, Screen, Store,
    entry::{Entry, Progress},
    layout::Layout,
    random::drawing,
    screen::{Ended, Scene},
    text::Text,
};
use tapvault_pad_link::{
    Keys,
    pad::{Answered, Reply},
    pairing,
};
use tapvault_proto::{
    Error,
    pad::{End, Entered, Frame, PAD_TICK_MS, PadMessage, PadOffer, PadShow, Pairing, Showing},
    wire::decode_exact,
};

/// A key of the pad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The digit at this place of the shuffled keypad, 0 to 9.
    Place(usize),
    /// Takes back what was typed of the field.
    Clear,
    /// Ends the entry without anything.
    Cancel,
    /// Ends the field.
    Enter,
}

/// How long the holder has, in milliseconds: the seconds the trusted app gives, cut to whole ticks, so that what is
/// sent at the last one still comes in time. At least one tick.
#[must_use]
pub const fn window_ms(life_s: u8) -> u64 {
    let ticks = life_s as u64 * 1000 / PAD_TICK_MS;
    if ticks == 0 { PAD_TICK_MS } else { ticks * PAD_TICK_MS }
}

/// The first tick at or after `now`, and not the moment at which it began.
const fn tick_after(began: u64, now: u64) -> u64 {
    let ticks = now.saturating_sub(began).div_ceil(PAD_TICK_MS);
    began + if ticks == 0 { 1 } else { ticks } * PAD_TICK_MS
}

/// How far a session is.
enum Stage {
    Idle,
    /// An offer was answered: anybody can make one, nothing is shown yet.
    Answered(Box<Answered>),
    /// The holder is asked.
    Asking(Box<Asking>),
    /// The one frame up waits for its tick. No digit is left.
    Waiting {
        frame: Frame,
        at: u64,
        ended: Ended,
    },
}

struct Asking {
    reply: Reply,
    text: Text,
    entry: Entry,
    layout: Layout,
    began: u64,
    closes: u64,
}

/// A pad. One session at a time.
pub struct Pad<C, S, R> {
    // Fixed.
    clock: C,
    store: S,
    random: R,
    keys: Keys,
    factory_root: [u8; 65],
    lab: bool,
    // Set by the factory.
    pairing: Option<Pairing>,
    // Changing.
    stage: Stage,
    last: Option<Ended>,
    events: Vec<Event>,
}

impl<C: Clock, S: Store, R: Random> Pad<C, S, R> {
    /// Starts a pad with what its store has; a new one draws its keys. `factory_root` is P-256, SEC 1 uncompressed.
    ///
    /// # Errors
    /// What the store says; or that the pairing in it is of other keys or another factory.
    pub fn new(clock: C, mut store: S, mut random: R, factory_root: [u8; 65]) -> Result<Self, String> {
        let keys = store.keys(&mut random)?;
        let pairing = store.pairing()?;
        if let Some(kept) = &pairing {
            pairing::check(kept, &factory_root, End::Pad, keys.public(), 0).map_err(|_| {
                "the stored pairing is not of this pad's keys, or of another factory: start with that factory's \
                 --factory-root, or with another --state, and have the pad paired again"
            })?;
        }
        let lab = hex::encode(factory_root) == crate::LAB_FACTORY_ROOT;
        let (stage, last, events) = (Stage::Idle, None, Vec::new());
        Ok(Self { clock, store, random, keys, factory_root, lab, pairing, stage, last, events })
    }

    /// Takes a message of the relay; returns what is answered at once. Whatever comes during an entry ends it.
    pub fn receive(&mut self, message: &[u8]) -> Option<PadMessage> {
        match self.take(message) {
            Ok(answer) => answer,
            Err(refusal) => {
                self.events.push(Event::Refused(refusal));
                self.stop();
                Some(PadMessage::Refused)
            }
        }
    }

    fn take(&mut self, message: &[u8]) -> Result<Option<PadMessage>, Refusal> {
        if matches!(self.stage, Stage::Asking(_) | Stage::Waiting { .. }) {
            return Err(Refusal::Interrupted);
        }
        let message = decode_exact(message).map_err(|_| Refusal::Malformed)?;
        // A session goes on with what is shown, or not at all.
        let stage = std::mem::replace(&mut self.stage, Stage::Idle);
        match message {
            PadMessage::AskKeys => Ok(Some(PadMessage::Keys(*self.keys.public()))),
            PadMessage::Pair(pairing) => self.pair(&pairing),
            PadMessage::Offer(offer) => self.answer(&offer),
            PadMessage::Show(show) => match stage {
                Stage::Answered(answered) => self.show(*answered, &show),
                _ => Err(Refusal::NoSession),
            },
            PadMessage::Keys(_)
            | PadMessage::Paired
            | PadMessage::Answer(_)
            | PadMessage::Entered(_)
            | PadMessage::Refused => Err(Refusal::Unexpected),
        }
    }

    fn pair(&mut self, offered: &Pairing) -> Result<Option<PadMessage>, Refusal> {
        let kept = self.pairing.as_ref().map_or(0, |pairing| pairing.sequence);
        pairing::check(offered, &self.factory_root, End::Pad, self.keys.public(), kept).map_err(|error| {
            match error {
                Error::PairingNotNewer => Refusal::PairingNotNewer,
                _ => Refusal::PairingInvalid,
            }
        })?;
        self.store.keep(offered).map_err(|_| Refusal::Storage)?;
        self.pairing = Some(*offered);
        self.events.push(Event::Paired(offered.sequence));
        Ok(Some(PadMessage::Paired))
    }

    fn answer(&mut self, offer: &PadOffer) -> Result<Option<PadMessage>, Refusal> {
        let pairing = self.pairing.as_ref().ok_or(Refusal::NotPaired)?;
        let answered = drawing(&mut self.random, |draw| Answered::new(&self.keys, pairing, offer, draw))
            .map_err(|_| Refusal::NoRandom)?;
        let (answered, answer) = answered.map_err(|error| match error {
            Error::PadNotPaired => Refusal::NotPaired,
            _ => Refusal::ShareInvalid,
        })?;
        self.stage = Stage::Answered(Box::new(answered));
        Ok(Some(PadMessage::Answer(answer)))
    }

    fn show(&mut self, answered: Answered, show: &PadShow) -> Result<Option<PadMessage>, Refusal> {
        let (reply, showing) = answered.open(show).map_err(|error| match error {
            Error::PadUntrusted => Refusal::Untrusted,
            Error::PadContent => Refusal::NotShowable,
            _ => Refusal::FrameInvalid,
        })?;
        let text = Text::of(&showing).map_err(|_| Refusal::NotShowable)?;
        let layout = Layout::shuffle(&mut self.random).map_err(|_| Refusal::NoRandom)?;
        let Showing { purpose, life_s, .. } = showing;
        let (began, window) = (self.clock.now_ms(), window_ms(life_s));
        self.events.push(Event::Showing { purpose, lines: text.lines.clone(), seconds: window / 1000 });
        let entry = Entry::new(purpose);
        let closes = began + window;
        self.stage = Stage::Asking(Box::new(Asking { reply, text, entry, layout, began, closes }));
        Ok(None)
    }

    /// A key was pressed.
    pub fn press(&mut self, key: Key) {
        let now = self.clock.now_ms();
        let Stage::Asking(asking) = &mut self.stage else { return };
        if now >= asking.closes {
            // Who was asked for a tick and did not come.
            return;
        }
        let progress = match key {
            Key::Place(place) => match asking.layout.digit(place) {
                Some(digit) => asking.entry.digit(digit),
                None => return,
            },
            Key::Clear => asking.entry.clear(),
            Key::Enter => asking.entry.enter(),
            Key::Cancel => return self.seal(&Entered::Nothing, Ended::Cancelled),
        };
        match progress {
            Progress::Typing => (),
            Progress::Field => match Layout::shuffle(&mut self.random) {
                Ok(layout) => asking.layout = layout,
                Err(_) => self.seal(&Entered::Nothing, Ended::Broken),
            },
            Progress::Done(Entered::Nothing) => self.seal(&Entered::Nothing, Ended::Cancelled),
            Progress::Done(entered) => self.seal(&entered, Ended::Submitted),
        }
    }

    /// Seals what was entered; the digits are wiped when this returns, the frame waits for its tick.
    fn seal(&mut self, entered: &Entered, ended: Ended) {
        let Stage::Asking(asking) = std::mem::replace(&mut self.stage, Stage::Idle) else { return };
        let at = tick_after(asking.began, self.clock.now_ms());
        let Ok(frame) = asking.reply.seal(entered) else { return self.stop() };
        self.events.push(match ended {
            Ended::Submitted => Event::Submitted,
            Ended::TimedOut => Event::TimedOut,
            Ended::Cancelled | Ended::Broken => Event::Cancelled,
        });
        self.stage = Stage::Waiting { frame, at, ended };
    }

    /// Does what is due by now; returns the frame up at its tick. To be called at [`Self::wake_at`].
    pub fn tick(&mut self) -> Option<PadMessage> {
        let now = self.clock.now_ms();
        if let Stage::Asking(asking) = &self.stage
            && now >= asking.closes
        {
            self.seal(&Entered::Nothing, Ended::TimedOut);
        }
        match self.stage {
            Stage::Waiting { frame, at, ended } if now >= at => {
                self.stage = Stage::Idle;
                self.last = Some(ended);
                self.events.push(Event::Sent);
                Some(PadMessage::Entered(frame))
            }
            _ => None,
        }
    }

    /// When [`Self::tick`] has something to do, in the clock's milliseconds.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        match &self.stage {
            Stage::Asking(asking) => Some(asking.closes),
            Stage::Waiting { at, .. } => Some(*at),
            Stage::Idle | Stage::Answered(_) => None,
        }
    }

    /// The relay went away: what was begun is over, and what was typed is wiped.
    pub fn disconnect(&mut self) {
        if !matches!(self.stage, Stage::Idle) {
            self.events.push(Event::Lost);
        }
        self.stop();
    }

    fn stop(&mut self) {
        if matches!(self.stage, Stage::Asking(_) | Stage::Waiting { .. }) {
            self.last = Some(Ended::Broken);
        }
        self.stage = Stage::Idle;
    }

    /// What is to be seen now.
    #[must_use]
    pub fn screen(&self) -> Screen<'_> {
        let scene = match &self.stage {
            Stage::Idle | Stage::Answered(_) => Scene::Idle(self.last),
            Stage::Asking(asking) => Scene::Asking {
                text: &asking.text,
                field: asking.entry.field(),
                typed: asking.entry.typed(),
                notice: asking.entry.notice(),
                remaining_s: asking.closes.saturating_sub(self.clock.now_ms()).div_ceil(1000),
                layout: &asking.layout,
            },
            Stage::Waiting { ended, .. } => Scene::Waiting(*ended),
        };
        Screen { lab: self.lab, pairing: self.pairing.as_ref().map(|pairing| pairing.sequence), scene }
    }

    /// What happened since the last call.
    pub fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}
