//! The pad as this trusted app knows it: keys for it, the pairing that is believed, and the one session there can be.
//!
//! Keys are made at their first use and kept in storage. Where the object is missing or damaged there are new keys,
//! which no pairing names: there is no entry until the factory has made one.

use tapvault_pad_link::{
    Keys, pairing,
    tee::{Awaiting, Offered, Session},
};
use tapvault_proto::{
    Error,
    pad::{
        End, PAD_SESSION_LIFE_MS, PadAnswer, PadOffer, PadShow, PadStateReply, PadSuite, Pairing, Showing,
    },
    wire::{Wire, decode_exact, encode_into},
};
use tapvault_tee::{Millis, StorageError, Tee, Wiped, drop_if};
use tapvault_trust::FACTORY_ROOT;
use zeroize::{Zeroize, Zeroizing};

/// Format of the stored object.
const FORMAT: u8 = 1;
const NAME: &[u8] = b"pad";

tapvault_proto::message! {
    /// What is stored.
    Stored {
        /// [`FORMAT`].
        format: u8,
        /// P-256 scalar.
        secret: [u8; 32],
        /// SM2 scalar.
        sm2_secret: [u8; 32],
        /// The pairing that is kept.
        pairing: Option<Pairing>,
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.secret.zeroize();
        self.sm2_secret.zeroize();
    }
}

/// The pad, as far as it is known.
#[derive(Default)]
pub struct Pad {
    known: Option<Known>,
    session: Option<Held>,
}

struct Known {
    keys: Keys,
    pairing: Option<Pairing>,
}

/// A session with the pad that no entry has taken up yet.
struct Held {
    /// The client's session that began it.
    client: u32,
    deadline: Millis,
    /// On the heap, where keys do not move.
    stage: Wiped<Stage>,
}

#[allow(clippy::large_enum_variant, reason = "there is one, in memory that is set aside for it")]
enum Stage {
    Offered(Offered),
    Up(Session),
    Taken,
}

impl Stage {
    fn take(&mut self) -> Self {
        core::mem::replace(self, Self::Taken)
    }
}

impl Pad {
    /// The keys and the pairing.
    ///
    /// # Errors
    /// Storage's.
    pub fn state<T: Tee>(&mut self, tee: &mut T) -> Result<PadStateReply, Error> {
        let Known { keys, pairing } = self.known(tee)?;
        Ok(PadStateReply { keys: *keys.public(), pairing: *pairing })
    }

    /// Keeps a pairing. A session under the one before is over.
    ///
    /// # Errors
    /// [`Error::PairingInvalid`], [`Error::PairingNotNewer`]; storage's. The pairing before stays then.
    pub fn pair<T: Tee>(&mut self, tee: &mut T, new: Pairing) -> Result<(), Error> {
        let known = self.known(tee)?;
        let kept = known.pairing.map_or(0, |pairing| pairing.sequence);
        pairing::check(&new, &FACTORY_ROOT.0, End::Tee, known.keys.public(), kept)?;
        store(tee, &known.keys, Some(new))?;
        known.pairing = Some(new);
        self.session = None;
        Ok(())
    }

    /// Offers the paired pad a session, in place of one that no entry has taken up: the pad has no more than one
    /// either.
    ///
    /// # Errors
    /// [`Error::PadNotPaired`]; storage's.
    pub fn offer<T: Tee>(&mut self, tee: &mut T, client: u32, suite: PadSuite) -> Result<PadOffer, Error> {
        let pairing = self.known(tee)?.pairing.ok_or(Error::PadNotPaired)?;
        let (offered, offer) = Offered::new(suite, &pairing, &mut |out| tee.random(out))?;
        let deadline = tee.now().plus(PAD_SESSION_LIFE_MS);
        let stage = Wiped::new(Stage::Offered(offered));
        self.session = Some(Held { client, deadline, stage });
        Ok(offer)
    }

    /// Takes the pad's answer.
    ///
    /// # Errors
    /// [`Error::NoPadSession`] without an offer of this client in time; [`Error::PadUntrusted`], and the offer is over.
    pub fn accept<T: Tee>(&mut self, tee: &mut T, client: u32, answer: &PadAnswer) -> Result<(), Error> {
        let now = tee.now();
        let waits = |held: &Held| held.is(client, now) && matches!(*held.stage, Stage::Offered(_));
        let mut held = self.session.take_if(|held| waits(held)).ok_or(Error::NoPadSession)?;
        let Stage::Offered(offered) = held.stage.take() else { return Err(Error::NoPadSession) };
        let Known { keys, pairing } = self.known(tee)?;
        let pairing = pairing.as_ref().ok_or(Error::PadNotPaired)?;
        let stage = Wiped::new(Stage::Up(offered.accept(keys, pairing, answer)?));
        self.session = Some(Held { stage, ..held });
        Ok(())
    }

    /// Checks that a session of this client is up: asked before an entry costs anything.
    ///
    /// # Errors
    /// [`Error::NoPadSession`].
    pub fn check(&self, client: u32, now: Millis) -> Result<(), Error> {
        let up = |held: &&Held| held.is(client, now) && matches!(*held.stage, Stage::Up(_));
        self.session.as_ref().filter(up).map(|_| ()).ok_or(Error::NoPadSession)
    }

    /// Gives the session, checked before, to an entry; returns what opens the pad's frame, and what the pad shall show.
    ///
    /// # Errors
    /// [`Error::NoPadSession`].
    pub fn show(&mut self, client: u32, showing: &Showing) -> Result<(Awaiting, PadShow), Error> {
        let held = self.session.take_if(|held| held.client == client);
        match held.map(|mut held| held.stage.take()) {
            Some(Stage::Up(session)) => session.show(showing),
            _ => Err(Error::NoPadSession),
        }
    }

    /// Ends the session of a client that is gone.
    pub fn close(&mut self, client: u32) {
        drop_if(&mut self.session, |held| held.client == client);
    }

    fn known<T: Tee>(&mut self, tee: &mut T) -> Result<&mut Known, Error> {
        if self.known.is_none() {
            self.known = Some(match read(tee)? {
                Some(known) => known,
                None => {
                    let keys = Keys::draw(&mut |out| tee.random(out))?;
                    store(tee, &keys, None)?;
                    Known { keys, pairing: None }
                }
            });
        }
        self.known.as_mut().ok_or(Error::Internal)
    }
}

impl Held {
    fn is(&self, client: u32, now: Millis) -> bool {
        self.client == client && now < self.deadline
    }
}

fn read<T: Tee>(tee: &mut T) -> Result<Option<Known>, Error> {
    let mut object = match tee.open(NAME) {
        Ok(object) => object,
        Err(StorageError::NotFound | StorageError::Corrupt) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Zeroizing::new([0; Stored::MAX + 1]);
    let len = match tee.read(&mut object, bytes.as_mut_slice()) {
        Ok(len) => len,
        Err(StorageError::Corrupt) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let stored = bytes.get(..len).and_then(|bytes| decode_exact::<Stored>(bytes).ok());
    let known = |stored: Stored| {
        let keys = Keys::new(&stored.secret, &stored.sm2_secret).ok()?;
        // Storage is not asked for its word: a pairing is the factory's, or none.
        let signed =
            |pairing: &Pairing| pairing::check(pairing, &FACTORY_ROOT.0, End::Tee, keys.public(), 0).is_ok();
        Some(Known { pairing: stored.pairing.filter(signed), keys })
    };
    Ok(stored.filter(|stored| stored.format == FORMAT).and_then(known))
}

fn store<T: Tee>(tee: &mut T, keys: &Keys, pairing: Option<Pairing>) -> Result<(), Error> {
    let (secret, sm2_secret) = keys.expose();
    let stored = Stored { format: FORMAT, secret: *secret, sm2_secret: *sm2_secret, pairing };
    let mut bytes = Zeroizing::new([0; Stored::MAX]);
    let len = encode_into(&stored, bytes.as_mut_slice())?;
    tee.create(NAME, bytes.get(..len).ok_or(Error::Internal)?)?;
    Ok(())
}
