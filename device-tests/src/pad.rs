//! The lab's PIN pad, in the process: the pad's end of the channel, with prepared entries in place of a holder. Its
//! keys are the lab's, which everybody has.

#[cfg(unix)]
mod process;

use crate::{Outcome, lab::say};
#[cfg(unix)]
pub use process::{at, serve};
use sha2::{Digest, Sha256};
use std::{
    io,
    sync::{Mutex, OnceLock},
};
use tapvault::{ClientError, PadLink, Transport, Wallet};
use tapvault_network::device::Factory;
use tapvault_pad_link::{
    Keys,
    pad::{Answered, Reply},
};
use tapvault_proto::{
    bank_pin::{BankPinEntryReply, BeginBankPinRequest},
    binding::{BeginCardDataRequest, CardData, CardDataEntryReply},
    pad::{Entered, PadKeys, PadMessage, PadPurpose, PadShow, Pairing, Showing},
    pin::{EntryReply, Pin, SubmitRequest},
    service::Request,
};

/// Keys that everybody can compute.
///
/// # Errors
/// [`tapvault_proto::Error`]'s, for a label whose hash is no scalar.
pub fn keys_of(label: &str) -> Outcome<Keys> {
    let secret = |suite| Sha256::digest(format!("{label} {suite}")).into();
    Keys::new(&secret("P-256"), &secret("SM2")).map_err(say)
}

/// The keys of the lab's pad.
///
/// # Panics
/// Never: the hashes are scalars.
pub fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| keys_of("tapvault lab pad").expect("two scalars"))
}

/// Every pairing of this process: the lab has many phones and one pad.
static PAIRINGS: Mutex<Vec<Pairing>> = Mutex::new(Vec::new());

fn remember(pairing: Pairing) {
    if let Ok(mut pairings) = PAIRINGS.lock() {
        pairings.retain(|known| known.sequence != pairing.sequence);
        pairings.push(pairing);
    }
}

/// A pairing of the lab's pad with a number that this process has not used, above `kept`.
///
/// # Errors
/// When another test broke off in the middle of it.
pub fn new_pairing(kept: u32, tee: PadKeys) -> Outcome<Pairing> {
    let mut pairings = PAIRINGS.lock().map_err(say)?;
    let last = pairings.iter().map(|pairing| pairing.sequence).max().unwrap_or(0).max(kept);
    let pairing = Factory::lab().pair(last + 1, tee, *keys().public());
    pairings.push(pairing);
    Ok(pairing)
}

/// What the factory does once for a phone and a pad: pairs the lab's with this phone, unless it is.
///
/// # Errors
/// The client's.
pub fn pair<T: Transport>(wallet: &mut Wallet<T>) -> Outcome<()> {
    let state = wallet.pad_state().map_err(say)?;
    match state.pairing {
        Some(pairing) if pairing.pad == *keys().public() => {
            remember(pairing);
            Ok(())
        }
        other => {
            let pairing = new_pairing(other.map_or(0, |pairing| pairing.sequence), state.keys)?;
            wallet.pair_pad(pairing, &mut LabPad::default()).map_err(say)
        }
    }
}

/// The pad without a holder.
#[derive(Default)]
pub struct LabPad {
    answered: Option<Answered>,
    reply: Option<Reply>,
}

impl LabPad {
    /// Answers a message as a pad does, as far as it takes no holder.
    ///
    /// # Errors
    /// What was shown, and waits for [`Self::enter`].
    pub fn answer(&mut self, message: &PadMessage) -> Result<PadMessage, Showing> {
        Ok(match message {
            PadMessage::AskKeys => PadMessage::Keys(*keys().public()),
            PadMessage::Pair(pairing) => {
                remember(*pairing);
                PadMessage::Paired
            }
            PadMessage::Offer(offer) => {
                (self.answered, self.reply) = (None, None);
                let pairings = PAIRINGS.lock().map(|pairings| pairings.clone()).unwrap_or_default();
                let pairing = pairings.into_iter().find(|pairing| pairing.sequence == offer.sequence);
                let answered =
                    pairing.map(|pairing| Answered::new(keys(), &pairing, offer, &mut |out| random(out)));
                match answered {
                    Some(Ok((answered, answer))) => {
                        self.answered = Some(answered);
                        PadMessage::Answer(answer)
                    }
                    _ => PadMessage::Refused,
                }
            }
            PadMessage::Show(show) => match self.answered.take().map(|answered| answered.open(show)) {
                Some(Ok((reply, showing))) => {
                    self.reply = Some(reply);
                    return Err(showing);
                }
                _ => PadMessage::Refused,
            },
            _ => PadMessage::Refused,
        })
    }

    /// What the holder did with what is shown.
    #[must_use]
    pub fn enter(&mut self, entered: &Entered) -> PadMessage {
        let frame = self.reply.take().and_then(|reply| reply.seal(entered).ok());
        frame.map_or(PadMessage::Refused, PadMessage::Entered)
    }
}

/// A pad that nobody types on.
impl PadLink for LabPad {
    fn exchange(&mut self, message: &PadMessage) -> io::Result<PadMessage> {
        self.answer(message).map_err(|_| io::ErrorKind::TimedOut.into())
    }
}

/// Random bytes of the operating system.
///
/// # Panics
/// When it has none.
pub fn random(out: &mut [u8]) {
    getrandom::fill(out).expect("random bytes");
}

/// The pad with a holder who enters prepared digits, and nothing when they are used up.
pub struct Digits {
    pad: LabPad,
    pins: std::vec::IntoIter<String>,
    card: Option<[String; 3]>,
    /// What was shown.
    pub shown: Vec<Showing>,
}

impl Digits {
    /// Enters these PINs, one after the other.
    #[must_use]
    pub fn of(pins: &[&str]) -> Self {
        let pins: Vec<_> = pins.iter().map(|pin| (*pin).to_string()).collect();
        Self { pad: LabPad::default(), pins: pins.into_iter(), card: None, shown: Vec::new() }
    }

    /// Enters what is printed on a card: number, expiry and CVN2.
    #[must_use]
    pub fn card(number: &str, expiry: &str, cvn2: &str) -> Self {
        Self { card: Some([number, expiry, cvn2].map(str::to_string)), ..Self::of(&[]) }
    }

    fn next(&mut self, purpose: PadPurpose) -> io::Result<Entered> {
        let mut pin = || self.pins.next().map(|pin| Pin::from_ascii(pin.as_bytes())).transpose();
        let entered = match (purpose, &self.card) {
            (PadPurpose::CardData, Some([number, expiry, cvn2])) => Ok(Some(Entered::CardData(
                CardData::from_ascii(number.as_bytes(), expiry.as_bytes(), cvn2.as_bytes())
                    .map_err(io::Error::other)?,
            ))),
            (PadPurpose::CardData, None) => Ok(None),
            (PadPurpose::ChangePin, _) => {
                pin().and_then(|present| Ok(present.zip(pin()?).map(|(old, new)| Entered::Change(old, new))))
            }
            _ => pin().map(|pin| pin.map(Entered::Pin)),
        };
        Ok(entered.map_err(io::Error::other)?.unwrap_or(Entered::Nothing))
    }
}

impl PadLink for Digits {
    fn exchange(&mut self, message: &PadMessage) -> io::Result<PadMessage> {
        match self.pad.answer(message) {
            Ok(answer) => Ok(answer),
            Err(showing) => {
                let entered = self.next(showing.purpose)?;
                self.shown.push(showing);
                Ok(self.pad.enter(&entered))
            }
        }
    }
}

/// An entry that is open, and shown by the lab's pad.
pub struct Opened {
    /// Names it.
    pub entry: u32,
    /// Comparisons left should it fail.
    pub tries_left: u8,
    /// What is shown.
    pub showing: Showing,
    /// What the pad was given.
    pub show: PadShow,
    pad: LabPad,
}

impl Opened {
    /// Shows what an entry is for, on the pad whose session it took.
    ///
    /// # Errors
    /// [`ClientError::PadRefused`] when the pad does not believe it.
    pub fn of(pad: LabPad, reply: &EntryReply) -> Result<Self, ClientError> {
        opened(pad, reply.entry, reply.tries_left, reply.show)
    }

    /// What brings the trusted app what the holder did.
    ///
    /// # Errors
    /// When something was entered before.
    pub fn submit(&mut self, entered: &Entered) -> Outcome<SubmitRequest> {
        match self.pad.enter(entered) {
            PadMessage::Entered(frame) => Ok(SubmitRequest { entry: self.entry, frame }),
            other => Err(format!("the pad answers {other:?}")),
        }
    }

    /// As [`Self::submit`], with a PIN.
    ///
    /// # Errors
    /// Besides, digits that are no PIN.
    pub fn pin(&mut self, digits: &str) -> Outcome<SubmitRequest> {
        self.submit(&Entered::Pin(pin(digits)?))
    }
}

/// A PIN.
///
/// # Errors
/// For digits that are none.
pub fn pin(digits: &str) -> Outcome<Pin> {
    Pin::from_ascii(digits.as_bytes()).map_err(say)
}

/// Brings up a session with the lab's pad and begins an entry.
///
/// # Errors
/// The PIN trusted app's refusal.
pub fn begin<T: Transport, R: Request<Reply = EntryReply>>(
    wallet: &mut Wallet<T>,
    request: &R,
) -> Result<Opened, ClientError> {
    let mut pad = LabPad::default();
    wallet.open_pad(&mut pad)?;
    let reply = wallet.call(request)?;
    Opened::of(pad, &reply)
}

/// As [`begin`], for card data; besides, the challenge.
///
/// # Errors
/// The PIN trusted app's refusal.
pub fn begin_card_data<T: Transport>(
    wallet: &mut Wallet<T>,
    request: &BeginCardDataRequest,
) -> Result<(Opened, [u8; 32]), ClientError> {
    let mut pad = LabPad::default();
    wallet.open_pad(&mut pad)?;
    let CardDataEntryReply { entry, challenge, show } = wallet.call(request)?;
    opened(pad, entry, 0, show).map(|opened| (opened, challenge))
}

/// As [`begin`], for the bank PIN.
///
/// # Errors
/// The PIN trusted app's refusal.
pub fn begin_bank_pin<T: Transport>(
    wallet: &mut Wallet<T>,
    request: &BeginBankPinRequest,
) -> Result<Opened, ClientError> {
    let mut pad = LabPad::default();
    wallet.open_pad(&mut pad)?;
    let BankPinEntryReply { entry, show } = wallet.call(request)?;
    opened(pad, entry, 0, show)
}

fn opened(mut pad: LabPad, entry: u32, tries_left: u8, show: PadShow) -> Result<Opened, ClientError> {
    match pad.answer(&PadMessage::Show(show)) {
        Err(showing) => Ok(Opened { entry, tries_left, showing, show, pad }),
        Ok(_) => Err(ClientError::PadRefused),
    }
}
