//! The bank PIN: enciphered as it is typed. The card trusted app says for which token, the provider in what format and
//! with what keys; each key makes one block and is used up in storage before the first digit is known.

use crate::{
    Pin,
    entry::{Purpose, Stage, Wanted},
};
use tapvault_pinblock::{
    block::{RANDOM_LEN, Token, form},
    dukpt::{Dukpt, STATE_LEN, WorkingKey},
};
use tapvault_proto::{
    Error,
    bank_pin::{
        BankPinBlock, BankPinEntryReply, BeginBankPinRequest, DrawPinKeyReply, FinishBankPinRequest,
        IDENTIFIER_LEN, InstallPinKeyRequest, OfferTokenRequest, PinBlockFormat, PinKey,
    },
    device::Sealing,
    id::{Caller, CardId, ProviderId},
    pin::{self, VERIFICATION_LIFE_MS},
    wire::{Reader, Wire, decode_exact},
};
use tapvault_seal::Challenge;
use tapvault_tee::{Millis, StorageError, Tee, Wiped, stack};
use tapvault_trust::check_signed;
use zeroize::{Zeroize, Zeroizing};

/// Format of a stored object: this byte, the block's format, and [`STATE_LEN`] bytes.
const FORMAT: u8 = 1;
const OBJECT_LEN: usize = 2 + STATE_LEN;
const NAME_LEN: usize = 4 + 16;
/// Stack that taking a key, or forming a block, uses at most.
const HANDLED: usize = 16 * 1024;

/// A card's token, for one entry.
pub struct Offered {
    provider: ProviderId,
    card: CardId,
    app: Caller,
    token: Token,
    deadline: Millis,
}

/// A bank PIN is awaited; all but the digits is there.
pub struct Enciphering {
    token: Token,
    key: WorkingKey,
    identifier: [u8; IDENTIFIER_LEN],
    counter: u32,
}

impl Enciphering {
    /// Takes the next key of a provider, in storage as well.
    #[inline(never)]
    fn next<T: Tee>(tee: &mut T, provider: ProviderId, token: Token) -> Result<Wiped<Self>, Error> {
        let mut keys = Keys::read(tee, provider)?.ok_or(Error::BankPinKeyMissing)?;
        let (counter, key) = keys.dukpt.take(keys.format).ok_or(Error::BankPinKeyUsedUp)?;
        keys.write(tee, provider)?;
        let identifier = keys.dukpt.identifier();
        Ok(Wiped::new(Self { token, key, identifier, counter }))
    }

    /// The block of what was typed.
    pub fn encipher<T: Tee>(&self, tee: &mut T, pin: &pin::Pin) -> BankPinBlock {
        cleared(|| self.form(tee, pin))
    }

    #[inline(never)]
    fn form<T: Tee>(&self, tee: &mut T, pin: &pin::Pin) -> BankPinBlock {
        let Self { token, key, identifier, counter } = self;
        let mut random = [0; RANDOM_LEN];
        tee.random(&mut random);
        let block = form(pin, token, key, &mut random);
        BankPinBlock { format: key.format(), identifier: *identifier, counter: *counter, block }
    }
}

/// A provider's keys for PIN blocks.
struct Keys {
    format: PinBlockFormat,
    dukpt: Dukpt,
}

impl Keys {
    /// The provider's; `None` when there are none, or none intact.
    fn read<T: Tee>(tee: &mut T, provider: ProviderId) -> Result<Option<Self>, Error> {
        let mut bytes = Zeroizing::new([0; OBJECT_LEN + 1]);
        let read = match tee.open(&name(provider)) {
            Ok(mut object) => tee.read(&mut object, bytes.as_mut_slice()),
            Err(error) => Err(error),
        };
        let len = match read {
            Ok(len) => len,
            Err(StorageError::NotFound | StorageError::Corrupt) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(bytes.get(..len).and_then(Self::of))
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        let (head, state) = bytes.split_at_checked(2)?;
        let [FORMAT, format] = head else { return None };
        let format = PinBlockFormat::decode(&mut Reader::new(&[*format])).ok()?;
        Some(Self { format, dukpt: Dukpt::from_bytes(state.try_into().ok()?) })
    }

    /// Stores them in place of what is there.
    fn write<T: Tee>(&self, tee: &mut T, provider: ProviderId) -> Result<(), Error> {
        let mut bytes = Zeroizing::new([0; OBJECT_LEN]);
        let [stored, format, state @ ..] = &mut *bytes;
        (*stored, *format) = (FORMAT, self.format as u8);
        self.dukpt.write(state);
        tee.create(&name(provider), bytes.as_slice())?;
        Ok(())
    }
}

/// Runs what handles keys in frames of its own, and clears the stack below: the entry that is made next takes along
/// what lies where it is made.
fn cleared<R>(act: impl FnOnce() -> R) -> R {
    let result = act();
    stack::wipe::<HANDLED>();
    result
}

fn name(provider: ProviderId) -> [u8; NAME_LEN] {
    let mut name = [0; NAME_LEN];
    name.iter_mut().zip(b"dkp.".iter().chain(&provider.0)).for_each(|(slot, byte)| *slot = *byte);
    name
}

impl<T: Tee> Pin<T> {
    /// Draws the challenge for a provider's key.
    ///
    /// # Errors
    /// [`Error::Internal`] never: a P-256 point has 65 bytes.
    pub(crate) fn pin_key_drawn(&mut self, tee: &mut T) -> Result<DrawPinKeyReply, Error> {
        let (drawn, challenge, recipient) = Challenge::draw(tee, Sealing::Hpke)?;
        self.pin_key = Some(drawn);
        Ok(DrawPinKeyReply { challenge, recipient })
    }

    /// Stores a provider's keys.
    ///
    /// # Errors
    /// [`Error::NoChallenge`], [`Error::CertificateInvalid`], [`Error::SignatureInvalid`], [`Error::WrongChallenge`],
    /// [`Error::SealInvalid`]; [`Error::BankPinKeyNotNewer`], since the counters of a key never begin again; storage's.
    /// None of them uses the challenge up.
    pub(crate) fn pin_key_installed(
        &mut self,
        tee: &mut T,
        mut request: InstallPinKeyRequest,
    ) -> Result<(), Error> {
        let challenge = self.pin_key.as_ref().ok_or(Error::NoChallenge)?;
        check_signed(&request.certificate, &request.signed_bytes(), &request.signature)?;
        challenge.check(&request.challenge)?;
        let provider = request.certificate.provider;
        let info = InstallPinKeyRequest::info(&request.challenge, provider);
        let opened = challenge.open(&info, &request.encapsulated, &mut request.sealed);
        let key = opened.and_then(|(plain, _)| decode_exact::<PinKey>(plain).map_err(|_| Error::SealInvalid));
        request.sealed.zeroize();
        let PinKey { format, identifier, initial } = key?;
        let before = Keys::read(tee, provider)?;
        if before.is_some_and(|keys| keys.dukpt.identifier() == identifier) {
            return Err(Error::BankPinKeyNotNewer);
        }
        let dukpt = Dukpt::load(identifier, initial.expose());
        Keys { format, dukpt }.write(tee, provider)?;
        self.pin_key = None;
        Ok(())
    }

    /// Keeps a card's token for an entry; an earlier one is forgotten.
    ///
    /// # Errors
    /// [`Error::BadParameters`] for what is no token.
    pub(crate) fn token_offered(&mut self, tee: &mut T, request: &OfferTokenRequest) -> Result<(), Error> {
        let OfferTokenRequest { provider, card, app, ref token } = *request;
        let token = Token::new(token).ok_or(Error::BadParameters)?;
        let deadline = tee.now().plus(VERIFICATION_LIFE_MS);
        self.offered = Some(Offered { provider, card, app, token, deadline });
        Ok(())
    }

    /// Uses a key up in storage and opens the entry. The token is used up by success only.
    ///
    /// # Errors
    /// [`Error::BankPinNotPrepared`], [`Error::BankPinKeyMissing`], [`Error::BankPinKeyUsedUp`], [`Error::Busy`];
    /// storage's.
    pub(crate) fn bank_pin_begun(
        &mut self,
        tee: &mut T,
        session: u32,
        request: &BeginBankPinRequest,
    ) -> Result<BankPinEntryReply, Error> {
        let (now, app) = (tee.now(), self.gate.caller(session)?);
        let wanted = (request.provider, request.card, app);
        let fits = |offered: &Offered| {
            (offered.provider, offered.card, offered.app) == wanted && now < offered.deadline
        };
        if !self.offered.as_ref().is_some_and(fits) {
            return Err(Error::BankPinNotPrepared);
        }
        self.clear_entry(tee, session)?;
        let token = self.offered.as_ref().ok_or(Error::Internal)?.token.clone();
        let wanted = Wanted::Bank(cleared(|| Enciphering::next(tee, request.provider, token))?);
        self.offered = None;
        let what = (request.provider, Purpose::BankPin);
        let (entry, show) = self.begin(tee, session, what, (None, wanted))?;
        Ok(BankPinEntryReply { entry, show })
    }

    /// Hands the block out and ends the entry.
    ///
    /// # Errors
    /// [`Error::NoEntry`].
    pub(crate) fn bank_pin_finished(
        &mut self,
        tee: &mut T,
        session: u32,
        request: &FinishBankPinRequest,
    ) -> Result<BankPinBlock, Error> {
        let this = (session, request.entry, tee.now());
        match self.take_entry(this, |stage| matches!(stage, Stage::Enciphered(_)))?.stage {
            Stage::Enciphered(block) => Ok(block),
            _ => Err(Error::Internal),
        }
    }
}
