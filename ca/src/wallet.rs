//! The wallet: cards, PIN and taps over two sessions that stay open.

use crate::{
    ClientError, ContactCard, PadLink, PlatformLink, Tap, Transport, platform::wants_statement,
    transport::call,
};
use tapvault_proto::{
    Error, PROTOCOL_VERSION,
    card::{self, CardEntry, CardState, ContactResetRequest, LogEntry, NfcStateReply},
    device::{
        ChallengeReply, ChallengeRequest, DeviceCertificate, DeviceKeyReply, DeviceKeyRequest, Sealing,
    },
    document::{self, CardDisplay, MAX_PACKAGE},
    emv::application::MAX_IN_FIELD,
    id::{Address, CardId, ProviderId},
    limited::{KeysLeft, KeysLeftRequest, ReplenishRequest},
    offline::{OfflineCommand, OfflineState, OfflineStateRequest},
    pad::PadSuite,
    pin::{self, EnrolmentTicket, PinStateReply, Transfer},
    refused::{ConfirmPrepareRequest, RefusedTap},
    service::{Request, Service},
    token::{TimeStatement, TokenCommand},
    wire::Bytes,
};

/// What a PIN is verified for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purpose {
    /// The card that will pay.
    pub card: CardId,
    /// Most that may be paid, in minor units of `currency`.
    pub ceiling: u64,
    /// ISO 4217 numeric code, as in tag 5F2A: `0x0156` is CNY.
    pub currency: u16,
}

/// What the trusted apps say of themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Usable cards in the store.
    pub cards: u8,
    /// Whether a trusted app is a lab build, which protects nothing: a product's wallet refuses it.
    pub lab: bool,
}

/// A wallet app's door to cards and PIN.
pub struct Wallet<T: Transport> {
    transport: T,
    card: Option<T::Channel>,
    pin: Option<T::Channel>,
    pub(crate) pad_suite: PadSuite,
    pub(crate) platform: Option<Box<dyn PlatformLink>>,
}

impl<T: Transport> Wallet<T> {
    /// A wallet over `transport`; sessions open when they are first needed.
    pub fn new(transport: T) -> Self {
        Self { transport, card: None, pin: None, pad_suite: PadSuite::P256, platform: None }
    }

    /// Chooses the algorithms of the sessions between PIN trusted app and pad; P-256 unless it is called.
    pub const fn choose_pad_suite(&mut self, suite: PadSuite) {
        self.pad_suite = suite;
    }

    /// What the trusted apps say of themselves; checks that they speak the client's version.
    ///
    /// # Errors
    /// [`ClientError::Version`], or the call's.
    pub fn status(&mut self) -> Result<Status, ClientError> {
        let pin = self.call(&pin::StatusRequest {})?;
        let card = self.call(&card::StatusRequest {})?;
        match [pin.protocol, card.protocol].into_iter().find(|version| *version != PROTOCOL_VERSION) {
            Some(theirs) => Err(ClientError::Version { theirs }),
            None => Ok(Status { cards: card.cards, lab: pin.lab || card.lab }),
        }
    }

    /// The device's public keys, for the factory to certify.
    ///
    /// # Errors
    /// The call's.
    pub fn device_key(&mut self) -> Result<DeviceKeyReply, ClientError> {
        self.call(&DeviceKeyRequest {})
    }

    /// Brings the factory's certificate, once in the life of a device.
    ///
    /// # Errors
    /// [`Error::DeviceCertificateInvalid`], or the call's.
    pub fn certify_device(&mut self, certificate: &DeviceCertificate) -> Result<(), ClientError> {
        self.call(certificate).map(|_| ())
    }

    /// Draws the challenge a bank needs to seal a package with HPKE; it replaces an earlier one.
    ///
    /// # Errors
    /// [`Error::DeviceNotCertified`], or the call's.
    pub fn card_challenge(&mut self) -> Result<ChallengeReply, ClientError> {
        self.card_challenge_for(Sealing::Hpke)
    }

    /// Draws the challenge a bank needs to seal a package in the way that is named; it replaces an earlier one.
    ///
    /// # Errors
    /// [`Error::DeviceNotCertified`], or the call's.
    pub fn card_challenge_for(&mut self, sealing: Sealing) -> Result<ChallengeReply, ClientError> {
        self.call(&ChallengeRequest { sealing })
    }

    /// Installs a sealed package, JSON of at most [`MAX_PACKAGE`] bytes.
    ///
    /// # Errors
    /// The card trusted app's refusal; the store is then as it was.
    pub fn add_card(&mut self, package: &[u8]) -> Result<CardId, ClientError> {
        let package: Bytes<MAX_PACKAGE> =
            Bytes::from_slice(package).map_err(|_| ClientError::refused(Error::PackageMalformed))?;
        Ok(self.call(&card::InstallRequest { package })?.card)
    }

    /// Every occupied place of the card store.
    ///
    /// # Errors
    /// The call's.
    pub fn cards(&mut self) -> Result<Vec<CardEntry>, ClientError> {
        Ok(self.call(&card::ListRequest {})?.cards.into_iter().collect())
    }

    /// What may be displayed of a card.
    ///
    /// # Errors
    /// The call's.
    pub fn show(&mut self, card: CardId) -> Result<CardDisplay, ClientError> {
        let reply = self.call(&card::ShowRequest { card })?;
        document::from_json(&reply.display).map_err(|_| ClientError::Version { theirs: 0 })
    }

    /// A card's last payments, oldest first; a counter that is missing between two was lost to a power cut, or skipped.
    ///
    /// # Errors
    /// The call's.
    pub fn card_log(&mut self, card: CardId) -> Result<Vec<LogEntry>, ClientError> {
        Ok(self.call(&card::LogRequest { card })?.entries.into_iter().collect())
    }

    /// Draws the nonce for a provider's word on the time, which cards with a time limit need after each start of the
    /// card trusted app.
    ///
    /// # Errors
    /// The call's.
    pub fn time_nonce(&mut self) -> Result<[u8; 32], ClientError> {
        Ok(self.call(&card::TimeNonceRequest {})?.nonce)
    }

    /// Brings the provider's word.
    ///
    /// # Errors
    /// The call's.
    pub fn set_time(&mut self, statement: TimeStatement) -> Result<(), ClientError> {
        self.call(&statement).map(|_| ())
    }

    /// Brings a provider's command over a card's token; what can be done with the card now, `None` when it is gone.
    ///
    /// # Errors
    /// The card trusted app's refusal; nothing has changed then.
    pub fn token_command(&mut self, command: TokenCommand) -> Result<Option<CardState>, ClientError> {
        Ok(self.call(&command)?.state)
    }

    /// Suspends a card by its holder's will; [`Self::resume`] undoes it.
    ///
    /// # Errors
    /// The call's.
    pub fn suspend(&mut self, card: CardId) -> Result<(), ClientError> {
        self.call(&card::SuspendRequest { card }).map(|_| ())
    }

    /// Resumes what [`Self::suspend`] suspended; [`Self::verify_pin`] comes first.
    ///
    /// # Errors
    /// The call's; `NoVerification` when no PIN was verified for this card.
    pub fn resume(&mut self, card: CardId) -> Result<CardState, ClientError> {
        Ok(self.call(&card::ResumeRequest { card })?.state)
    }

    /// The NFC switch.
    ///
    /// # Errors
    /// The call's.
    pub fn nfc(&mut self) -> Result<NfcStateReply, ClientError> {
        self.call(&card::NfcStateRequest {})
    }

    /// Switches NFC on; [`Self::verify_pin`] for any card comes first. It goes off by itself, after
    /// [`card::NFC_LIFE_MS`] or [`card::NFC_TAPS`] cryptograms.
    ///
    /// # Errors
    /// The call's; `NoVerification` when no PIN was verified for this card.
    pub fn nfc_on(&mut self, card: CardId) -> Result<NfcStateReply, ClientError> {
        self.call(&card::NfcOnRequest { card })
    }

    /// Switches NFC off: no cryptograms, no static answers. A wallet does so when the phone is locked.
    ///
    /// # Errors
    /// The call's.
    pub fn nfc_off(&mut self) -> Result<NfcStateReply, ClientError> {
        self.call(&card::NfcOffRequest {})
    }

    /// Brings a card a batch of limited-use keys, made for a fresh [`Wallet::card_challenge`].
    ///
    /// # Errors
    /// The card trusted app's refusal; the card is then as it was.
    pub fn replenish(&mut self, batch: &ReplenishRequest) -> Result<KeysLeft, ClientError> {
        self.call(batch)
    }

    /// What a card may pay offline, and the counter to settle up to.
    ///
    /// # Errors
    /// [`Error::NotOffline`], or the call's.
    pub fn offline_state(&mut self, card: CardId) -> Result<OfflineState, ClientError> {
        self.call(&OfflineStateRequest { card })
    }

    /// Brings a card its provider's word on what it may pay offline.
    ///
    /// # Errors
    /// The card trusted app's refusal; the card is then as it was.
    pub fn offline_command(&mut self, command: &OfflineCommand) -> Result<OfflineState, ClientError> {
        self.call(command)
    }

    /// How many limited-use keys a card has left: look after each payment, and fetch a batch when
    /// [`KeysLeft::is_low`].
    ///
    /// # Errors
    /// The call's; [`Error::NotLimitedUse`] for a card that needs no batches.
    pub fn keys_left(&mut self, card: CardId) -> Result<KeysLeft, ClientError> {
        self.call(&KeysLeftRequest { card })
    }

    /// Takes a card out of the phone, keys and all; only its bank can put it back.
    ///
    /// # Errors
    /// The call's.
    pub fn remove_card(&mut self, card: CardId) -> Result<(), ClientError> {
        self.call(&card::RemoveRequest { card }).map(|_| ())
    }

    /// Draws the challenge for an enrolment ticket.
    ///
    /// # Errors
    /// The call's.
    pub fn pin_challenge(&mut self) -> Result<[u8; 32], ClientError> {
        Ok(self.call(&pin::ChallengeRequest {})?.challenge)
    }

    /// State of a provider's wallet PIN.
    ///
    /// # Errors
    /// The call's.
    pub fn pin_state(&mut self, provider: ProviderId) -> Result<PinStateReply, ClientError> {
        self.call(&pin::PinStateRequest { provider })
    }

    /// Sets the wallet PIN with the provider's ticket.
    ///
    /// # Errors
    /// The PIN trusted app's refusal, or the pad's.
    pub fn set_pin(&mut self, ticket: EnrolmentTicket, pad: &mut impl PadLink) -> Result<(), ClientError> {
        self.enter(&pin::BeginSetRequest { ticket }, pad)
    }

    /// Verifies the wallet PIN for one payment of one card within the next 60 seconds: *armed*.
    ///
    /// # Errors
    /// [`ClientError::WrongPin`], [`ClientError::NothingEntered`]; the PIN trusted app's refusal, or the pad's.
    pub fn verify_pin(
        &mut self,
        provider: ProviderId,
        purpose: Purpose,
        pad: &mut impl PadLink,
    ) -> Result<(), ClientError> {
        let Purpose { card, ceiling, currency } = purpose;
        self.enter(&pin::BeginVerifyRequest { provider, card, ceiling, currency, exact: false }, pad)
    }

    /// Verifies the wallet PIN for exactly what the last terminal wanted with this card, and was refused for want of a
    /// verification, within the next 60 seconds: *exact*. The TEE kept the amount, the pad shows it. Returns it.
    ///
    /// # Errors
    /// As [`Wallet::verify_pin`]; [`Error::NothingRefused`].
    pub fn confirm_tap(
        &mut self,
        provider: ProviderId,
        card: CardId,
        pad: &mut impl PadLink,
    ) -> Result<RefusedTap, ClientError> {
        let tap = self.call(&ConfirmPrepareRequest { card })?;
        let RefusedTap { amount: ceiling, currency } = tap;
        self.enter(&pin::BeginVerifyRequest { provider, card, ceiling, currency, exact: true }, pad)?;
        Ok(tap)
    }

    /// Confirms one transfer by one trustlet with the wallet PIN, within the next 60 seconds: *exact*.
    ///
    /// # Errors
    /// As [`Wallet::verify_pin`].
    pub fn confirm_transfer(
        &mut self,
        trustlet: &Address,
        transfer: Transfer,
        pad: &mut impl PadLink,
    ) -> Result<(), ClientError> {
        let Address { provider, name } = trustlet.clone();
        self.enter(&pin::BeginConfirmRequest { provider, trustlet: name, transfer }, pad)
    }

    /// Changes the wallet PIN.
    ///
    /// # Errors
    /// As [`Wallet::verify_pin`].
    pub fn change_pin(&mut self, provider: ProviderId, pad: &mut impl PadLink) -> Result<(), ClientError> {
        self.enter(&pin::BeginChangeRequest { provider }, pad)
    }

    /// Makes a card ready for one tap: [`Wallet::prepare_taps`] with one card, with its verification when
    /// `verified`.
    ///
    /// # Errors
    /// As [`Wallet::prepare_taps`].
    pub fn prepare_tap(&mut self, card: CardId, verified: bool) -> Result<Tap<'_, T::Channel>, ClientError> {
        self.prepare_taps(&[card], verified.then_some(card))
    }

    /// Makes cards ready for one tap, from which the terminal chooses: counters are reserved, the verification of the
    /// card `verified` is taken, the answers that are the same at every tap are fetched. The tap itself enters the TEE
    /// once. With a verification NFC is switched on, without one it has to be on. The terminal sees the cards in order
    /// of their priority, those of the same priority in the order given.
    ///
    /// # Errors
    /// [`ClientError::Field`] for none, more than [`MAX_IN_FIELD`], or a card twice; the card trusted app's refusal,
    /// among them [`Error::NoVerification`] and [`Error::NfcOff`].
    pub fn prepare_taps(
        &mut self,
        cards: &[CardId],
        verified: Option<CardId>,
    ) -> Result<Tap<'_, T::Channel>, ClientError> {
        let twice =
            cards.iter().enumerate().any(|(at, card)| cards.iter().take(at).any(|other| other == card));
        if twice
            || !(1..=MAX_IN_FIELD).contains(&cards.len())
            || verified.is_some_and(|card| !cards.contains(&card))
        {
            return Err(ClientError::Field);
        }
        // The verified one first: it switches NFC on, without which there is nothing to prepare.
        let others = cards.iter().copied().filter(|card| verified != Some(*card));
        for card in verified.into_iter().chain(others) {
            self.call(&card::TapPrepareRequest { card, verified: verified == Some(card) })?;
        }
        let mut field = Vec::new();
        for card in cards.iter().copied() {
            field.push((card, self.call(&card::StaticAnswersRequest { card })?));
        }
        Ok(Tap::new(self.channel(Service::Card)?, field))
    }

    /// Puts a contact test profile into a contact reader.
    ///
    /// # Errors
    /// The card trusted app's refusal: [`Error::TokenDomain`] for a phone's card.
    pub fn insert_card(&mut self, card: CardId) -> Result<ContactCard<'_, T::Channel>, ClientError> {
        self.call(&ContactResetRequest { card })?;
        Ok(ContactCard::inserted(self.channel(Service::Card)?, card))
    }

    /// A call over the session of the request's service; once more with the service platform's statement, where it is
    /// refused for want of one and there is a way to the platform ([`Wallet::with_platform`]).
    ///
    /// # Errors
    /// The service's refusal, or the way's failure; [`ClientError::Platform`].
    pub fn call<R: Request>(&mut self, request: &R) -> Result<R::Reply, ClientError> {
        match call(self.channel(R::SERVICE)?, request) {
            Err(refusal) if wants_statement(&refusal) => {
                self.refresh(refusal)?;
                call(self.channel(R::SERVICE)?, request)
            }
            done => done,
        }
    }

    fn channel(&mut self, service: Service) -> Result<&mut T::Channel, ClientError> {
        let slot = match service {
            Service::Card => &mut self.card,
            Service::Pin => &mut self.pin,
            // Not a wallet's business.
            _ => return Err(ClientError::refused(Error::AccessDenied)),
        };
        match slot {
            Some(channel) => Ok(channel),
            None => Ok(slot.insert(self.transport.connect(service)?)),
        }
    }
}
