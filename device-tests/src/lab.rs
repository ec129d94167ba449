//! A lab bank, a holder's fingers and a terminal's commands, for the scenarios.

pub use crate::pad::Digits;

use crate::{Outcome, pad, platform::LabPlatform};
use std::{cell::RefCell, io, thread, time::Duration};
use tapvault::{Channel, ClientError, Tap, Transport, Wallet, trustlet::Element, wallet::Purpose};
use tapvault_network::{
    bank::Provider,
    device::Factory,
    element::{self, SoftElement},
    frame::CardLink,
    issuer::{Decision, Issuer},
    keyblock::Version,
    kind::CardKind,
    lab::LabBank,
    registry::{CNY, HolderRules, Order, TokenRules, draw_card_id},
    request::{AuthorisationRequest, CardAnswer},
    terminal::{Payment, Reach},
};
use tapvault_proto::{
    card::{ATC_RANGE, CardState},
    device::ChallengeReply,
    emv::{
        AID_UNIONPAY_DEBIT, PPSE,
        apdu::{Command, Response},
        gpo::{PDOL_DATA_LEN, PdolData},
        tlv::find,
    },
    id::{CardId, ProviderId},
    limited::ReplenishRequest,
    pin::{PinState, TicketPurpose},
    profile::CardProfile,
    tvm::ElementKeys,
};

/// Provider A of the lab: the first 16 bytes of SHA-256("provider A").
pub const PROVIDER_A: [u8; 16] = *b"\x67\x38\x1d\x66\x7e\xf8\x81\xd1\xeb\xde\xa0\x4d\x94\x42\xb8\x44";
/// The holder's PIN in every scenario.
pub const PIN: &str = "135790";

/// What time it is in every scenario, in seconds since 1970 UTC, by the bank's word.
pub const TIME: u64 = 1_796_000_000;

/// Lets so many milliseconds pass.
type Pass = Box<dyn Fn(u64)>;

thread_local! {
    /// How the tests of this thread let time pass, where it is simulated.
    static PASS: RefCell<Option<Pass>> = const { RefCell::new(None) };
}

/// Has the tests of this thread let time pass so, in milliseconds, where they would sleep.
pub fn pass_time_with(pass: impl Fn(u64) + 'static) {
    PASS.replace(Some(Box::new(pass)));
}

/// Lets time pass.
pub fn pass(ms: u64) {
    PASS.with_borrow(|pass| match pass {
        Some(pass) => pass(ms),
        None => thread::sleep(Duration::from_millis(ms)),
    });
}

/// Waits until an entry may begin that compares a provider's PIN.
///
/// # Errors
/// The client's.
pub fn wait_for_try<T: Transport>(wallet: &mut Wallet<T>, provider: ProviderId) -> Result<(), ClientError> {
    let wait_ms = wallet.pin_delay(provider)?;
    if wait_ms > 0 {
        pass(wait_ms);
    }
    Ok(())
}

/// A wallet with a way to a service platform of the lab.
pub fn wallet<T: Transport>(transport: T) -> Wallet<T> {
    Wallet::new(transport).with_platform(LabPlatform::default())
}

/// Makes any error a message.
pub fn say<E: std::fmt::Display>(error: E) -> String {
    error.to_string()
}

/// Prepared cards in the field of the lab's terminal.
pub struct Field<'a, 'b, C>(pub &'a mut Tap<'b, C>);

impl<C: Channel> CardLink for Field<'_, '_, C> {
    fn power_on(&mut self) -> io::Result<Vec<u8>> {
        self.0.reset();
        Ok(vec![0x3B, 0x80, 0x80, 0x01, 0x01])
    }
    fn transmit(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        Ok(self.0.transmit(command).as_bytes().to_vec())
    }
}

/// An element in software, and the client that carries its frames.
pub struct Carrier<'a>(pub &'a mut SoftElement);

impl Element for Carrier<'_> {
    fn transmit(&mut self, frame: &[u8]) -> io::Result<Vec<u8>> {
        Ok(self.0.transmit(frame))
    }
}

/// Takes every card out of the phone: scenarios bring their own, and a phone holds 16.
///
/// # Errors
/// The client's.
pub fn empty<T: Transport>(wallet: &mut Wallet<T>) -> Outcome<()> {
    for entry in wallet.cards().map_err(say)? {
        if entry.state == CardState::Active {
            wallet.remove_card(entry.card).map_err(say)?;
        }
    }
    Ok(())
}

/// Switches NFC on, unless it is for two ranges of counters more, with the PIN of a card's holder; it is [`PIN`] where
/// there was none.
///
/// # Errors
/// Anybody's.
pub fn switch_on<T: Transport>(wallet: &mut Wallet<T>, card: CardId) -> Outcome<()> {
    if wallet.nfc().map_err(say)?.taps > 2 * ATC_RANGE {
        return Ok(());
    }
    let cards = wallet.cards().map_err(say)?;
    let id = cards.iter().find(|entry| entry.card == card).ok_or("no such card")?.provider;
    let bank = LabBank::ALL.into_iter().find(|bank| bank.id() == id).ok_or("no such bank")?;
    pad::pair(wallet)?;
    if wallet.pin_state(id).map_err(say)?.state == PinState::Missing {
        let challenge = wallet.pin_challenge().map_err(say)?;
        let ticket = Provider::new(bank).map_err(say)?.ticket(TicketPurpose::Enrol, challenge);
        wallet.set_pin(ticket, &mut Digits::of(&[PIN])).map_err(say)?;
    }
    let purpose = Purpose { card, ceiling: 0, currency: CNY };
    wait_for_try(wallet, id).map_err(say)?;
    wallet.verify_pin(id, purpose, &mut Digits::of(&[PIN])).map_err(say)?;
    wallet.nfc_on(card).map(|_| ()).map_err(say)
}

/// Prepares a tap; NFC is switched on first where no verification does it.
///
/// # Errors
/// Anybody's.
pub fn prepare<T: Transport>(
    wallet: &mut Wallet<T>,
    card: CardId,
    verified: bool,
) -> Outcome<Tap<'_, T::Channel>> {
    if !verified {
        switch_on(wallet, card)?;
    }
    wallet.prepare_tap(card, verified).map_err(say)
}

/// What the factory does to a device once: certifies its keys, and pairs it with the lab's pad.
///
/// # Errors
/// The client's.
pub fn certify<T: Transport>(wallet: &mut Wallet<T>) -> Outcome<()> {
    pad::pair(wallet)?;
    let keys = wallet.device_key().map_err(say)?;
    if keys.certified {
        return Ok(());
    }
    wallet.certify_device(&Factory::lab().certify(&keys)).map_err(say)
}

/// A challenge of a certified device.
///
/// # Errors
/// The client's.
pub fn challenge<T: Transport>(wallet: &mut Wallet<T>) -> Outcome<ChallengeReply> {
    certify(wallet)?;
    wallet.card_challenge().map_err(say)
}

/// The lab's bank A with its issuer.
pub struct Lab {
    /// Decides on payments.
    pub issuer: Issuer,
    /// Seals and permits.
    pub provider: Provider,
    /// What it issues.
    pub kind: CardKind,
    /// How its cards' holders may be verified.
    pub holder: HolderRules,
    /// Where their tokens may be used.
    pub rules: TokenRules,
    /// In what key blocks the keys of its cards come, if in any.
    pub key_blocks: Option<Version>,
    /// The token of the next new card; drawn without one.
    pub token: Option<String>,
}

impl Lab {
    /// A bank that has issued nothing.
    ///
    /// # Errors
    /// The bank's.
    pub fn new() -> Outcome<Self> {
        let provider = Provider::lab("A").map_err(say)?;
        Ok(Self {
            issuer: Issuer::in_memory(),
            provider,
            kind: CardKind::default(),
            holder: HolderRules::default(),
            rules: TokenRules::default(),
            key_blocks: None,
            token: None,
        })
    }

    /// The bank's id.
    #[must_use]
    pub fn provider_id(&self) -> ProviderId {
        self.provider.id()
    }

    /// A package for a challenge; the card's next key version.
    ///
    /// # Errors
    /// The bank's.
    pub fn package(&mut self, card: CardId, challenge: &ChallengeReply) -> Outcome<String> {
        self.package_and_profile(card, challenge).map(|(package, _)| package)
    }

    /// As [`Self::package`], with what is sealed in it.
    ///
    /// # Errors
    /// The bank's.
    pub fn package_and_profile(
        &mut self,
        card: CardId,
        challenge: &ChallengeReply,
    ) -> Outcome<(String, CardProfile)> {
        let order = Order {
            bank: self.provider.bank(),
            card,
            token: self.token.take(),
            last_four: *b"4321",
            expiry: "3012".into(),
            kind: self.kind,
            holder: self.holder,
            rules: self.rules.clone(),
        };
        let profile = self.issuer.issue(&order).map_err(say)?;
        let package = match self.key_blocks {
            None => self.provider.seal(card, challenge, &profile),
            Some(version) => self.provider.seal_key_blocks(card, challenge, &profile, version),
        };
        let package = package.map_err(say)?;
        Ok((package, profile))
    }

    /// Puts a new card into the wallet; NFC is on then.
    ///
    /// # Errors
    /// Anybody's.
    pub fn provision<T: Transport>(&mut self, wallet: &mut Wallet<T>) -> Outcome<CardId> {
        let card = draw_card_id().map_err(say)?;
        self.issue(wallet, card)?;
        switch_on(wallet, card).map(|()| card)
    }

    /// Puts a card into the wallet, or its next key version.
    ///
    /// # Errors
    /// Anybody's.
    pub fn issue<T: Transport>(&mut self, wallet: &mut Wallet<T>, card: CardId) -> Outcome<()> {
        let challenge = challenge(wallet)?;
        let package = self.package(card, &challenge)?;
        wallet.add_card(package.as_bytes()).map(|_| ()).map_err(say)
    }

    /// Gives the card trusted app the keys of the lab's secure element.
    ///
    /// # Errors
    /// Anybody's.
    pub fn give_element_keys<T: Transport>(&self, wallet: &mut Wallet<T>) -> Outcome<()> {
        let ChallengeReply { challenge, recipient, .. } = self::challenge(wallet)?;
        let element::ElementKeys { version, enc, mac } = element::ElementKeys::lab();
        let keys = ElementKeys { version, enc, mac };
        let request = self.provider.element_keys(&challenge, &recipient, &keys).map_err(say)?;
        wallet.install_element_keys(&request).map_err(say)
    }

    /// Tells the card trusted app what time it is.
    ///
    /// # Errors
    /// The client's.
    pub fn set_time<T: Transport>(&self, wallet: &mut Wallet<T>) -> Outcome<()> {
        let nonce = wallet.time_nonce().map_err(say)?;
        wallet.set_time(self.provider.time(nonce, TIME)).map_err(say)
    }

    /// The next batch of a card's limited-use keys, sealed for a fresh challenge of the wallet's phone.
    ///
    /// # Errors
    /// Anybody's.
    pub fn key_batch<T: Transport>(
        &mut self,
        wallet: &mut Wallet<T>,
        card: CardId,
        count: u16,
        valid_until: u64,
    ) -> Outcome<ReplenishRequest> {
        let challenge = challenge(wallet)?;
        let batch = self.issuer.key_batch(card, count, valid_until).map_err(say)?;
        self.provider.seal_batch(card, &challenge, &batch).map_err(say)
    }

    /// Sets the wallet PIN whatever was there.
    ///
    /// # Errors
    /// Anybody's.
    pub fn set_pin<T: Transport>(&mut self, wallet: &mut Wallet<T>, pin: &str) -> Outcome<()> {
        certify(wallet)?;
        let challenge = wallet.pin_challenge().map_err(say)?;
        let ticket = self.provider.ticket(TicketPurpose::Reset, challenge);
        wallet.set_pin(ticket, &mut Digits::of(&[pin])).map_err(say)
    }

    /// Verifies the PIN for up to 1,000.00 CNY on `card`, when that may begin.
    ///
    /// # Errors
    /// The client's.
    pub fn verify<T: Transport>(
        &self,
        wallet: &mut Wallet<T>,
        card: CardId,
        pin: &str,
    ) -> Result<(), ClientError> {
        wait_for_try(wallet, self.provider_id())?;
        let purpose = Purpose { card, ceiling: 100_000, currency: CNY };
        wallet.verify_pin(self.provider_id(), purpose, &mut Digits::of(&[pin]))
    }
}

/// What a terminal sends for the PDOL: TTQ of a qPBOC terminal, online only, that asks for a
/// verification when `verification` and knows no other than the phone's.
#[must_use]
pub fn terminal_data(amount_minor: u32, verification: bool) -> [u8; PDOL_DATA_LEN] {
    let mut data = [0; PDOL_DATA_LEN];
    data[..4].copy_from_slice(&[0x20, if verification { 0xC0 } else { 0x80 }, 0x00, 0x00]);
    let digits = format!("{amount_minor:012}");
    for (byte, pair) in data[4..10].iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = (pair[0] - b'0') << 4 | (pair[1] - b'0');
    }
    data[16..18].copy_from_slice(&CNY.to_be_bytes());
    data[23..25].copy_from_slice(&CNY.to_be_bytes());
    data[25..28].copy_from_slice(&[0x26, 0x11, 0x24]);
    data[29..].copy_from_slice(&amount_minor.wrapping_mul(0x9E37_79B9).to_be_bytes());
    data
}

/// The lab's terminal wants this much, in minor units.
#[must_use]
pub fn payment(amount_minor: u64, verification_required: bool) -> Payment {
    Payment {
        amount_minor,
        currency: CNY,
        country: 0x0156,
        date: [0x26, 0x11, 0x24],
        unpredictable: [0x2B, 0x29, 0xEB, 0xE4],
        verification_required,
        online_pin: false,
        signature: false,
        reach: Reach::Online,
    }
}

/// GET PROCESSING OPTIONS with [`terminal_data`].
#[must_use]
pub fn gpo_command(amount_minor: u32, verification: bool) -> Vec<u8> {
    let data = [&[0x83, PDOL_DATA_LEN as u8], &terminal_data(amount_minor, verification)[..]].concat();
    Command { cla: 0x80, ins: 0xA8, p1: 0, p2: 0, data: &data }.to_bytes().to_vec()
}

/// One tap: PPSE, SELECT, GET PROCESSING OPTIONS; the last response.
///
/// # Errors
/// When a SELECT is refused.
pub fn tap<T: Transport>(
    wallet: &mut Wallet<T>,
    card: CardId,
    verified: bool,
    command: &[u8],
) -> Outcome<Response> {
    tap_with(wallet, card, verified, &[command])?.pop().ok_or_else(|| "no answer".into())
}

/// One tap: PPSE, SELECT, then `commands`; their responses.
///
/// # Errors
/// When a SELECT is refused, or the TEE gives no answer.
pub fn tap_with<T: Transport>(
    wallet: &mut Wallet<T>,
    card: CardId,
    verified: bool,
    commands: &[&[u8]],
) -> Outcome<Vec<Response>> {
    let mut tap = prepare(wallet, card, verified)?;
    for name in [&PPSE[..], &AID_UNIONPAY_DEBIT] {
        let select = Command { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: name };
        let answer = tap.transmit(&select.to_bytes());
        crate::ensure(answer.status() == 0x9000, || format!("SELECT: {:04X}", answer.status()))?;
    }
    let responses = commands.iter().map(|command| tap.transmit(command)).collect();
    match tap.failure() {
        Some(failure) => Err(failure.to_string()),
        None => Ok(responses),
    }
}

/// The issuer's request out of what terminal and card said.
///
/// # Errors
/// When the answer lacks a data object.
pub fn request(amount_minor: u32, verification: bool, response: &Response) -> Outcome<AuthorisationRequest> {
    let body = find(response.data(), 0x77).ok_or_else(|| format!("refused: {:04X}", response.status()))?;
    let get = |tag: u16| find(body, tag).ok_or_else(|| format!("no {tag:04X} in the answer"));
    let fixed = |tag| get(tag).and_then(|value| value.try_into().map_err(|_| format!("length of {tag:04X}")));
    let card = CardAnswer {
        aip: fixed(0x82)?,
        atc: fixed(0x9F36)?,
        issuer_data: get(0x9F10)?.to_vec(),
        cryptogram: get(0x9F26)?.try_into().map_err(say)?,
        track2: get(0x57)?.to_vec(),
        psn: get(0x5F34)?.first().copied().unwrap_or_default(),
        ctq: fixed(0x9F6C)?,
    };
    Ok(AuthorisationRequest::new(&PdolData::from_bytes(&terminal_data(amount_minor, verification)), card))
}

/// A whole payment with the issuer's word; `Err` when the card refused.
///
/// # Errors
/// As [`tap`] and [`request`].
pub fn pay<T: Transport>(
    lab: &mut Lab,
    wallet: &mut Wallet<T>,
    card: CardId,
    (amount_minor, verification, verified): (u32, bool, bool),
) -> Outcome<(AuthorisationRequest, Decision)> {
    let response = tap(wallet, card, verified, &gpo_command(amount_minor, verification))?;
    let request = request(amount_minor, verification, &response)?;
    let decision = lab.issuer.authorise(&request);
    Ok((request, decision))
}
