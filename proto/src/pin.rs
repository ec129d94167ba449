//! The PIN service: enrolment, entry, verification. The PIN here is the *wallet PIN* (CDCVM); one
//! record per provider, so that no provider can set the PIN that guards another's cards.

use crate::{
    Error,
    approval::{BeginApprovalRequest, TakeApprovalReply, TakeApprovalRequest},
    bank_pin::{
        BankPinBlock, BankPinEntryReply, BeginBankPinRequest, DrawPinKeyReply, DrawPinKeyRequest,
        FinishBankPinRequest, InstallPinKeyReply, InstallPinKeyRequest, OfferTokenReply, OfferTokenRequest,
    },
    binding::{BeginCardDataRequest, CardDataEntryReply, FinishCardDataRequest, SealedCardData},
    freshness::{PinRun, PinRunRequest, TakeGrantReply, TakeGrantRequest},
    id::{Caller, CardId, ProviderId, TrustletName},
    pad::{
        Frame, PadAcceptReply, PadAnswer, PadOffer, PadOfferRequest, PadShow, PadStateReply, PadStateRequest,
        PairReply, Pairing,
    },
    refused::{OfferRefusedReply, OfferRefusedRequest},
    tries::{PinDelayReply, PinDelayRequest, UnlockPinReply, UnlockPinRequest},
    trustlet::Forwarded,
    wire::{Bytes, Reader, Wire, Writer},
};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Fewest digits of a PIN (ISO 9564-1, 8.1).
pub const MIN_PIN: usize = 4;
/// Most digits of a PIN (ISO 9564-1, 8.1).
pub const MAX_PIN: usize = 12;
/// Comparisons allowed before the PIN locks.
pub const TRY_LIMIT: u8 = 3;
/// By the number of tries spent: how long the next entry waits after the last of them, and after each start of the
/// PIN trusted app, in milliseconds of TEE time.
pub const RETRY_DELAYS_MS: [u64; TRY_LIMIT as usize] = [0, 5_000, 30_000];
/// Life of an entry, and of a verification after it, in milliseconds.
pub const VERIFICATION_LIFE_MS: u64 = 60_000;

/// 4 to 12 decimal digits, wiped when dropped. On the wire: a length byte and `MAX_PIN` bytes, so
/// that the frame's length does not tell the number of digits.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Pin {
    digits: [u8; MAX_PIN],
    len: u8,
}

impl Pin {
    /// A PIN from ASCII digits.
    ///
    /// # Errors
    /// [`Error::PinFormat`] unless there are 4 to 12 ASCII digits and nothing else.
    pub fn from_ascii(ascii: &[u8]) -> Result<Self, Error> {
        let mut pin = Self { digits: [0; MAX_PIN], len: 0 };
        if ascii.len() < MIN_PIN || !ascii.iter().all(u8::is_ascii_digit) {
            return Err(Error::PinFormat);
        }
        pin.digits.get_mut(..ascii.len()).ok_or(Error::PinFormat)?.copy_from_slice(ascii);
        pin.len = u8::try_from(ascii.len()).map_err(|_| Error::PinFormat)?;
        Ok(pin)
    }

    /// The padded digits and their count: 13 bytes, the same number for every PIN.
    #[must_use]
    pub fn expose(&self) -> (&[u8; MAX_PIN], u8) {
        (&self.digits, self.len)
    }
}

impl Wire for Pin {
    const MAX: usize = 1 + MAX_PIN;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        self.len.encode(out)?;
        self.digits.encode(out)
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        let len = u8::decode(input)?;
        let pin = Self { digits: input.array()?, len };
        if faults(pin.len, &pin.digits) == 0 { Ok(pin) } else { Err(Error::PinFormat) }
    }
}

/// What is wrong with a number of digits and the places they lie in: 0 where it is a PIN. Every place is looked at
/// whatever it holds, so that nothing but a comparison of the result shows in the time it takes.
#[must_use]
pub fn faults(len: u8, digits: &[u8; MAX_PIN]) -> u8 {
    let places = digits.iter().zip(0..).fold(0, |wrong, (byte, place)| {
        let (used, digit) = (below(place, len), below(byte.wrapping_sub(b'0'), 10));
        wrong | used & !digit | !used & below(0, *byte)
    });
    // The compiler must not see what decides it and branch earlier.
    core::hint::black_box(places | below(len, MIN_PIN as u8) | below(MAX_PIN as u8, len))
}

/// All ones where `a` is below `b`, else zero.
const fn below(a: u8, b: u8) -> u8 {
    ((a as u16).wrapping_sub(b as u16) >> 8) as u8
}

crate::code! {
    /// What a ticket allows.
    TicketPurpose {
        /// Set a PIN where no intact record exists.
        Enrol = 1,
        /// Set a PIN in place of whatever is there.
        Reset = 2,
    }
}
crate::code! {
    /// State of a PIN record.
    PinState {
        /// Ready to be verified.
        Set = 1,
        /// No tries left.
        Locked = 2,
        /// No intact record: never enrolled, wiped or damaged. Counts as locked.
        Missing = 3,
    }
}
crate::code! {
    /// Outcome of a comparison.
    Verdict {
        /// The PIN is right; [`FinishRequest`] makes the result durable.
        Accepted = 1,
        /// The PIN is wrong; the try is spent.
        Wrong = 2,
        /// The holder submitted nothing; [`FinishRequest`] ends the entry and gives its try back.
        Nothing = 3,
    }
}
crate::code! {
    /// How the holder was verified.
    VerificationMethod {
        /// Wallet PIN, compared in the PIN trusted app.
        WalletPin = 1,
    }
}

crate::message! {
    /// A provider's key, certified under the trust root.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ProviderCertificate {
        /// The provider.
        provider: ProviderId,
        /// Its P-256 key, SEC 1 uncompressed.
        key: [u8; 65],
        /// ECDSA P-256 / SHA-256 by the trust root over [`Self::signed_bytes`], `r‖s`.
        signature: [u8; 64],
    }
}

impl ProviderCertificate {
    /// What the trust root signs: a domain label, the provider's id and key.
    #[must_use]
    pub fn signed_bytes(&self) -> [u8; 105] {
        concat(b"tapvault provider cert 1", &[&self.provider.0, &self.key])
    }
}

crate::message! {
    /// A provider's permission to set a first PIN, or a new one in place of a lost one.
    #[derive(Clone, Debug, PartialEq, Eq)]
    EnrolmentTicket {
        /// The provider's certificate.
        certificate: ProviderCertificate,
        /// What it allows.
        purpose: TicketPurpose,
        /// The challenge drawn by the PIN trusted app; good once, in this run of it.
        challenge: [u8; 32],
        /// ECDSA P-256 / SHA-256 by the provider over [`Self::signed_bytes`], `r‖s`.
        signature: [u8; 64],
    }
}

impl EnrolmentTicket {
    /// What the provider signs: a domain label, its id, the purpose and the challenge.
    #[must_use]
    pub fn signed_bytes(&self) -> [u8; 73] {
        concat(
            b"tapvault enrol ticket  1",
            &[&self.certificate.provider.0, &[self.purpose as u8], &self.challenge],
        )
    }
}

/// Label and parts one after the other; what is longer than `N` bytes is cut, what is shorter is
/// zero-filled: the callers' lengths are constants, and a test walks them.
pub(crate) fn concat<const N: usize>(label: &[u8], parts: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    let bytes = label.iter().chain(parts.iter().flat_map(|part| part.iter()));
    for (slot, byte) in out.iter_mut().zip(bytes) {
        *slot = *byte;
    }
    out
}

crate::message! {
    /// Asks for the version.
    #[derive(Clone, Debug, PartialEq, Eq)]
    StatusRequest {}
}
crate::message! {
    /// The service's version.
    #[derive(Clone, Debug, PartialEq, Eq)]
    StatusReply {
        /// [`crate::PROTOCOL_VERSION`] of the trusted app.
        protocol: u16,
        /// Whether it believes any of the lab's keys, which everybody has: such a build protects nothing.
        lab: bool,
    }
}
crate::message! {
    /// Asks for a record's state.
    #[derive(Clone, Debug, PartialEq, Eq)]
    PinStateRequest {
        /// Whose PIN.
        provider: ProviderId,
    }
}
crate::message! {
    /// A record's state.
    #[derive(Clone, Debug, PartialEq, Eq)]
    PinStateReply {
        /// State.
        state: PinState,
        /// Comparisons left.
        tries_left: u8,
    }
}
crate::message! {
    /// Draws the challenge for a ticket; replaces an earlier one.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ChallengeRequest {}
}
crate::message! {
    /// The challenge.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ChallengeReply {
        /// 32 random bytes, good for one ticket.
        challenge: [u8; 32],
    }
}
crate::message! {
    /// Begins to set a PIN.
    #[derive(Clone, Debug, PartialEq, Eq)]
    BeginSetRequest {
        /// The provider's permission.
        ticket: EnrolmentTicket,
    }
}
crate::message! {
    /// Begins to verify the PIN for one payment: *armed*, or *exact*.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    BeginVerifyRequest {
        /// Whose PIN.
        provider: ProviderId,
        /// The one card that may use it.
        card: CardId,
        /// Most that may be paid, in minor units of `currency`.
        ceiling: u64,
        /// ISO 4217 numeric code, as in tag 5F2A: `0x0156` is CNY.
        currency: u16,
        /// *Exact*: `ceiling` is what is paid, no more and no less, and what a terminal wanted before
        /// ([`crate::refused`]); the result is good for nothing else.
        exact: bool,
    }
}
/// Longest name of a payee in bytes.
pub const MAX_PAYEE: usize = 32;

crate::message! {
    /// What a holder is shown and confirms with the PIN: a transfer by a trustlet.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Transfer {
        /// Amount in minor units of `currency`.
        amount: u64,
        /// ISO 4217 numeric code.
        currency: u16,
        /// Who receives it: printable ASCII.
        payee: Bytes<MAX_PAYEE>,
    }
}
crate::message! {
    /// Begins to confirm one transfer by one trustlet: *exact*.
    #[derive(Clone, Debug, PartialEq, Eq)]
    BeginConfirmRequest {
        /// Whose PIN, and whose trustlet.
        provider: ProviderId,
        /// The trustlet that may use the result.
        trustlet: TrustletName,
        /// What is confirmed.
        transfer: Transfer,
    }
}
crate::message! {
    /// A trustlet takes a confirmation; it exists once.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TakeConfirmation {
        /// What was confirmed, to the last byte.
        transfer: Transfer,
    }
}
crate::message! {
    /// The holder confirmed exactly this.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TakeConfirmationReply {
        /// How.
        method: VerificationMethod,
    }
}
crate::message! {
    /// Begins to change the PIN.
    #[derive(Clone, Debug, PartialEq, Eq)]
    BeginChangeRequest {
        /// Whose PIN.
        provider: ProviderId,
    }
}
crate::message! {
    /// An entry is open.
    #[derive(Clone, Debug, PartialEq, Eq)]
    EntryReply {
        /// Names the entry; never used twice in one run.
        entry: u32,
        /// Comparisons left should this one fail.
        tries_left: u8,
        /// For the pad.
        show: PadShow,
    }
}
crate::message! {
    /// What the pad answered to [`EntryReply`]'s or [`CardDataEntryReply`]'s frame.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    SubmitRequest {
        /// Of the entry.
        entry: u32,
        /// A sealed [`crate::pad::Entered`].
        frame: Frame,
    }
}
crate::message! {
    /// The outcome.
    #[derive(Clone, Debug, PartialEq, Eq)]
    SubmitReply {
        /// What came of it.
        verdict: Verdict,
        /// Comparisons left once it is finished; 0 where no PIN takes part.
        tries_left: u8,
    }
}
crate::message! {
    /// Makes the outcome durable: the new PIN stored, the tries restored, or the one try given back.
    #[derive(Clone, Debug, PartialEq, Eq)]
    FinishRequest {
        /// From [`EntryReply`].
        entry: u32,
    }
}
crate::message! {
    /// The outcome is stored.
    #[derive(Clone, Debug, PartialEq, Eq)]
    FinishReply {
        /// Comparisons left.
        tries_left: u8,
    }
}
crate::message! {
    /// The card trusted app takes a verification; it exists once.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TakeVerificationRequest {
        /// The card's provider.
        provider: ProviderId,
        /// The card.
        card: CardId,
        /// The app that asks the card trusted app; the PIN was entered in a session of its own.
        app: Caller,
        /// For a tap; a verification that is *exact* is good for nothing else.
        tap: bool,
    }
}
crate::message! {
    /// The holder was verified for one payment by one card.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    TakeVerificationReply {
        /// How.
        method: VerificationMethod,
        /// Most that may be paid, in minor units.
        ceiling: u64,
        /// ISO 4217 numeric code.
        currency: u16,
        /// Whether exactly `ceiling` is to be paid.
        exact: bool,
        /// Milliseconds until it expires.
        remaining_ms: u64,
    }
}

crate::service! {
    Pin,
    /// What the PIN trusted app does.
    trait PinService {
        /// Version.
        0x0001 status(StatusRequest) -> StatusReply, needs NONE;
        /// State of a provider's PIN.
        0x0101 pin_state(PinStateRequest) -> PinStateReply, needs WALLET;
        /// Draws the challenge for an enrolment ticket.
        0x0102 challenge(ChallengeRequest) -> ChallengeReply, needs WALLET;
        /// Begins to set a PIN with a ticket. This and the other beginnings take the pad's session.
        0x0110 begin_set(BeginSetRequest) -> EntryReply, needs WALLET;
        /// Begins to verify; the try counter is lowered in storage before this returns.
        0x0111 begin_verify(BeginVerifyRequest) -> EntryReply, needs WALLET;
        /// Begins to change; the try counter is lowered in storage before this returns.
        0x0112 begin_change(BeginChangeRequest) -> EntryReply, needs WALLET;
        /// Begins to confirm a transfer; the try counter is lowered in storage before this returns.
        0x0113 begin_confirm(BeginConfirmRequest) -> EntryReply, needs WALLET;
        /// Begins to approve a payment; the try counter is lowered in storage before this returns.
        0x0114 begin_approval(BeginApprovalRequest) -> EntryReply, needs WALLET;
        /// Begins an entry of card data for a bank.
        0x0118 begin_card_data(BeginCardDataRequest) -> CardDataEntryReply, needs WALLET;
        // 0x0120 took digits in clear.
        /// Stores the outcome.
        0x0121 finish(FinishRequest) -> FinishReply, needs WALLET;
        /// Opens what the pad sealed, and compares or seals it, in memory only. Whatever does not open, or is not what
        /// was asked for, ends the entry; a try that it took stays taken.
        0x0122 submit(SubmitRequest) -> SubmitReply, needs WALLET;
        // 0x0128 took card data in clear.
        /// Hands out sealed card data.
        0x0129 finish_card_data(FinishCardDataRequest) -> SealedCardData, needs WALLET;
        /// The keys for the pad, and the pairing that is kept.
        0x0130 pad_state(PadStateRequest) -> PadStateReply, needs WALLET;
        /// Keeps a pairing that the factory made; a newer one takes its place.
        0x0131 pair(Pairing) -> PairReply, needs WALLET;
        /// Offers the paired pad a session, in place of one of this client.
        0x0132 pad_offer(PadOfferRequest) -> PadOffer, needs WALLET;
        /// Takes the pad's answer: the session is up. One that is not the pad's ends the offer.
        0x0133 pad_accept(PadAnswer) -> PadAcceptReply, needs WALLET;
        /// Takes a provider's key for PIN blocks.
        0x0140 install_pin_key(InstallPinKeyRequest) -> InstallPinKeyReply, needs WALLET;
        /// Begins an entry of the bank PIN.
        0x0141 begin_bank_pin(BeginBankPinRequest) -> BankPinEntryReply, needs WALLET;
        /// Hands out the block of a bank PIN.
        0x0142 finish_bank_pin(FinishBankPinRequest) -> BankPinBlock, needs WALLET;
        /// Gives all tries back at a provider's command.
        0x0150 unlock(UnlockPinRequest) -> UnlockPinReply, needs WALLET;
        /// How long the next entry waits.
        0x0151 delay(PinDelayRequest) -> PinDelayReply, needs WALLET;
        /// Takes the tries that the service platform grants.
        0x0160 take_grant(TakeGrantRequest) -> TakeGrantReply, needs WALLET;
        /// Hands a verification to the card trusted app.
        0x0201 take_verification(TakeVerificationRequest) -> TakeVerificationReply, needs PEER;
        /// Hands an approval to the card trusted app.
        0x0202 take_approval(TakeApprovalRequest) -> TakeApprovalReply, needs PEER;
        /// Takes a card's token from the card trusted app.
        0x0203 offer_token(OfferTokenRequest) -> OfferTokenReply, needs PEER;
        /// Draws the challenge for a provider's key, for the card trusted app to vouch for.
        0x0204 draw_pin_key(DrawPinKeyRequest) -> DrawPinKeyReply, needs PEER;
        /// Takes from the card trusted app what a terminal wanted verified.
        0x0205 offer_refused(OfferRefusedRequest) -> OfferRefusedReply, needs PEER;
        /// What the card trusted app is to ask the service platform for it.
        0x0206 pin_run(PinRunRequest) -> PinRun, needs PEER;
        /// Hands a confirmation to a trustlet.
        0x0301 take_confirmation(Forwarded<TakeConfirmation>) -> TakeConfirmationReply, needs TRUSTLET;
    }
}
