//! The PIN pad: what it and the PIN trusted app say to each other through a normal world that neither trusts.
//! `docs/pin-pad.md` has the flow, and what each message proves.
//!
//! Pairing: both make keys of their own; the factory certifies the two together. Each entry has a session of its own:
//! [`PadOffer`] → [`PadAnswer`] → [`PadShow`] (with the last proof of the handshake) → [`Frame`]. Two frames pass in a
//! session, one each way, both [`Frame::MAX`] bytes long whatever they hold.

use crate::{
    Error,
    binding::CardData,
    pin::{MAX_PAYEE, Pin, concat},
    wire::{Bytes, Reader, Wire, Writer},
};

/// Content of a frame in bytes, before encryption; what is not used is zero.
pub const FRAME_CONTENT: usize = 96;
/// Longest message between pad and relay in bytes, without the two bytes of its length.
pub const MAX_PAD_MESSAGE: usize = PadMessage::MAX;
/// Life of a session in milliseconds from the offer until an entry takes it up; it ends with the entry then.
pub const PAD_SESSION_LIFE_MS: u64 = 10_000;
/// Seconds that a pad gives the holder: what it sends at the last tick still has time to arrive before the entry is
/// over ([`crate::pin::VERIFICATION_LIFE_MS`]).
pub const PAD_PATIENCE_S: u8 = 50;
/// The pad sends what was typed at multiples of this many milliseconds after it began to show: the time of a frame
/// does not tell the number of digits.
pub const PAD_TICK_MS: u64 = 5_000;

crate::code! {
    /// The algorithms of a session.
    PadSuite {
        /// ECDH and ECDSA over P-256, HKDF-SHA-256, AES-128-GCM.
        P256 = 1,
        /// ECDH and signatures of SM2 (GB/T 32918), HKDF with SM3, SM4-GCM.
        Sm2 = 2,
    }
}

crate::message! {
    /// The public keys of an end: of the PIN trusted app, or of a pad.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    PadKeys {
        /// P-256, SEC 1 uncompressed.
        key: [u8; 65],
        /// SM2, in the same form.
        sm2_key: [u8; 65],
    }
}

impl PadKeys {
    /// The key that signs in a suite.
    #[must_use]
    pub const fn of(&self, suite: PadSuite) -> &[u8; 65] {
        match suite {
            PadSuite::P256 => &self.key,
            PadSuite::Sm2 => &self.sm2_key,
        }
    }
}

crate::message! {
    /// The factory's word that a PIN trusted app and a pad belong together. Each end keeps the pairing of the highest
    /// sequence number it has seen.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    Pairing {
        /// Counts the pairings that the factory made, from 1.
        sequence: u32,
        /// The PIN trusted app's keys.
        tee: PadKeys,
        /// The pad's keys.
        pad: PadKeys,
        /// ECDSA P-256 / SHA-256 by the factory root over [`Self::signed_bytes`], `r‖s`.
        signature: [u8; 64],
    }
}

impl Pairing {
    /// What the factory root signs: a domain label, the number, the trusted app's keys, the pad's keys.
    #[must_use]
    pub fn signed_bytes(&self) -> [u8; 288] {
        let Self { sequence, tee, pad, .. } = self;
        concat(
            b"tapvault pad pairing   1",
            &[&sequence.to_be_bytes(), &tee.key, &tee.sm2_key, &pad.key, &pad.sm2_key],
        )
    }
}

crate::message! {
    /// The PIN trusted app begins a session.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    PadOffer {
        /// The algorithms.
        suite: PadSuite,
        /// Of the pairing that is meant.
        sequence: u32,
        /// Made for this session, SEC 1 uncompressed.
        ephemeral: [u8; 65],
    }
}
crate::message! {
    /// The pad takes part.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    PadAnswer {
        /// Made for this session, SEC 1 uncompressed.
        ephemeral: [u8; 65],
        /// By the pad over [`transcript`] of [`End::Pad`], `r‖s`.
        signature: [u8; 64],
    }
}

crate::message! {
    /// Asks which keys the PIN trusted app has, and which pad it believes.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    PadStateRequest {}
}
crate::message! {
    /// The PIN trusted app's side of a pairing; all of it is public.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    PadStateReply {
        /// Its keys, made at their first use.
        keys: PadKeys,
        /// The pairing that it keeps.
        pairing: Option<Pairing>,
    }
}
crate::message! {
    /// The pairing is stored.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    PairReply {}
}
crate::message! {
    /// Asks for an offer to the paired pad.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    PadOfferRequest {
        /// The algorithms.
        suite: PadSuite,
    }
}
crate::message! {
    /// The session is up, for one entry of this client.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    PadAcceptReply {}
}

/// An end of the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The PIN trusted app.
    Tee,
    /// The pad.
    Pad,
}

/// What `end` signs in a handshake: a domain label that names the end, the suite, the pairing as the factory signed
/// it, and both keys made for the session. The same bytes without an end are hashed into the session's keys.
#[must_use]
pub fn transcript(
    end: Option<End>,
    pairing: &Pairing,
    offer: &PadOffer,
    pad_ephemeral: &[u8; 65],
) -> [u8; 24 + 1 + 288 + 65 + 65] {
    let label = match end {
        Some(End::Tee) => b"tapvault pad session tee",
        Some(End::Pad) => b"tapvault pad session pad",
        None => b"tapvault pad session key",
    };
    concat(label, &[&[offer.suite as u8], &pairing.signed_bytes(), &offer.ephemeral, pad_ephemeral])
}

crate::message! {
    /// A sealed [`Showing`] (down, to the pad) or [`Entered`] (up): AEAD with a key for each direction, the sequence
    /// number in its nonce and the session bound by its key.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    Frame {
        /// Counts the frames of a direction, from 0.
        sequence: u32,
        /// [`FRAME_CONTENT`] encrypted bytes, and the tag.
        sealed: [u8; FRAME_CONTENT + 16],
    }
}
crate::message! {
    /// What the pad is to show, and the proof without which it shows nothing.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    PadShow {
        /// By the PIN trusted app over [`transcript`] of [`End::Tee`], `r‖s`.
        proof: [u8; 64],
        /// A sealed [`Showing`].
        frame: Frame,
    }
}

crate::code! {
    /// What is asked of the holder.
    PadPurpose {
        /// A first PIN, or one in place of a lost one; typed twice.
        SetPin = 1,
        /// The PIN for one tap of up to this amount; the payee is not known. *Armed*.
        ArmTap = 2,
        /// The PIN for one tap of exactly this amount; the payee is not known. *Exact*.
        ConfirmTap = 3,
        /// The PIN for a payment to this payee. *Exact*.
        ApprovePayment = 4,
        /// The PIN for a code that pays whoever reads it; the amount is not known.
        ShowCode = 5,
        /// The PIN for a transfer to this payee. *Exact*.
        ConfirmTransfer = 6,
        /// The present PIN, and a new one typed twice.
        ChangePin = 7,
        /// The PIN that the card's bank knows, for a payment online; it is never compared or stored here.
        BankPin = 8,
        /// Number, expiry and CVN2 of a card, for the bank named as payee.
        CardData = 9,
    }
}

crate::message! {
    /// What the pad shows.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Showing {
        /// What is asked.
        purpose: PadPurpose,
        /// Amount in minor units of `currency`; 0 where none is known or none belongs to the purpose.
        amount: u64,
        /// ISO 4217 numeric code, as in tag 5F2A; 0 without an amount.
        currency: u16,
        /// Who is paid, or who gets the card data: printable ASCII; empty where nobody knows.
        payee: Bytes<MAX_PAYEE>,
        /// Of the order that is paid; its first bytes are shown. Zero without one.
        digest: [u8; 32],
        /// Seconds that the holder has: [`PAD_PATIENCE_S`].
        life_s: u8,
    }
}

/// What the holder did, wiped when dropped. On the wire always [`Entered::MAX`] bytes, so that a frame tells nothing
/// even to who could see through part of it.
pub enum Entered {
    /// Nothing was submitted: cancelled, or the pad's time ran out.
    Nothing,
    /// A PIN.
    Pin(Pin),
    /// The present PIN and a new one.
    Change(Pin, Pin),
    /// Card data.
    CardData(CardData),
}

impl Entered {
    const NOTHING: u8 = 1;
    const PIN: u8 = 2;
    const CHANGE: u8 = 3;
    const CARD_DATA: u8 = 4;
    const FIELDS: usize = 2 * Pin::MAX + CardData::MAX;
}

impl Wire for Entered {
    const MAX: usize = 1 + Self::FIELDS;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        let (kind, used) = match self {
            Self::Nothing => (Self::NOTHING, 0),
            Self::Pin(_) => (Self::PIN, Pin::MAX),
            Self::Change(..) => (Self::CHANGE, 2 * Pin::MAX),
            Self::CardData(_) => (Self::CARD_DATA, CardData::MAX),
        };
        kind.encode(out)?;
        match self {
            Self::Nothing => (),
            Self::Pin(pin) => pin.encode(out)?,
            Self::Change(present, new) => {
                present.encode(out)?;
                new.encode(out)?;
            }
            Self::CardData(data) => data.encode(out)?,
        }
        [0; Self::FIELDS].get(used..).map_or(Err(Error::Internal), |padding| out.put(padding))
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        let kind = u8::decode(input)?;
        let mut fields = Reader::new(input.take(Self::FIELDS)?);
        let entered = match kind {
            Self::NOTHING => Self::Nothing,
            Self::PIN => Self::Pin(Pin::decode(&mut fields)?),
            Self::CHANGE => Self::Change(Pin::decode(&mut fields)?, Pin::decode(&mut fields)?),
            Self::CARD_DATA => Self::CardData(CardData::decode(&mut fields)?),
            _ => return Err(Error::BadParameters),
        };
        if fields.rest().iter().all(|byte| *byte == 0) { Ok(entered) } else { Err(Error::BadParameters) }
    }
}

const _: () = assert!(Showing::MAX <= FRAME_CONTENT && Entered::MAX <= FRAME_CONTENT);

/// What passes between the relay and a pad: a length of two bytes, then this. The pad answers `Keys` with `Keys`,
/// `Pair` with `Paired`, `Offer` with `Answer`, `Show` with `Entered`, and anything else, or what it does not believe,
/// with `Refused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PadMessage {
    /// Asks for the pad's keys.
    AskKeys,
    /// The pad's keys.
    Keys(PadKeys),
    /// A pairing to be kept.
    Pair(Pairing),
    /// It is kept.
    Paired,
    /// A session begins.
    Offer(PadOffer),
    /// The pad takes part.
    Answer(PadAnswer),
    /// Show this.
    Show(PadShow),
    /// A sealed [`Entered`].
    Entered(Frame),
    /// The pad did nothing; the session, if there was one, is over.
    Refused,
}

impl Wire for PadMessage {
    const MAX: usize = 1 + Pairing::MAX;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        let kind: u8 = match self {
            Self::AskKeys => 1,
            Self::Keys(_) => 2,
            Self::Pair(_) => 3,
            Self::Paired => 4,
            Self::Offer(_) => 5,
            Self::Answer(_) => 6,
            Self::Show(_) => 7,
            Self::Entered(_) => 8,
            Self::Refused => 9,
        };
        kind.encode(out)?;
        match self {
            Self::AskKeys | Self::Paired | Self::Refused => Ok(()),
            Self::Keys(keys) => keys.encode(out),
            Self::Pair(pairing) => pairing.encode(out),
            Self::Offer(offer) => offer.encode(out),
            Self::Answer(answer) => answer.encode(out),
            Self::Show(show) => show.encode(out),
            Self::Entered(frame) => frame.encode(out),
        }
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(match u8::decode(input)? {
            1 => Self::AskKeys,
            2 => Self::Keys(Wire::decode(input)?),
            3 => Self::Pair(Wire::decode(input)?),
            4 => Self::Paired,
            5 => Self::Offer(Wire::decode(input)?),
            6 => Self::Answer(Wire::decode(input)?),
            7 => Self::Show(Wire::decode(input)?),
            8 => Self::Entered(Wire::decode(input)?),
            9 => Self::Refused,
            _ => return Err(Error::BadParameters),
        })
    }
}

const _: () = assert!(PadShow::MAX < MAX_PAD_MESSAGE && PadAnswer::MAX < MAX_PAD_MESSAGE);
