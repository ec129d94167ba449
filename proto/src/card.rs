//! The card service: provisioning, what a wallet may see, taps.

use crate::{
    bank_pin::{BankPinPrepareReply, BankPinPrepareRequest, PinKeyChallenge, PinKeyChallengeRequest},
    device::{
        CertifyReply, ChallengeReply, ChallengeRequest, DeviceCertificate, DeviceKeyReply, DeviceKeyRequest,
    },
    document::MAX_PACKAGE,
    element::{
        ElementAnswerRequest, ElementBeginRequest, ElementFrame, ElementProgress, InstallElementKeysReply,
        InstallElementKeysRequest,
    },
    emv::{
        apdu,
        application::{Record, StaticAnswers},
        qr,
    },
    freshness::{AskFreshnessRequest, FreshnessQuestion, FreshnessStatement, TakeFreshnessReply},
    id::{CardId, ProviderId},
    limited::{KeysLeft, KeysLeftRequest, ReplenishRequest},
    offline::{OfflineCommand, OfflineState, OfflineStateRequest},
    online::{OnlinePayReply, OnlinePayRequest, OnlinePrepareRequest},
    refused::{ConfirmPrepareRequest, RefusedTap},
    route::{ChooseAppRequest, ChooseCardRequest, RouteRequest, RoutesReply, RoutesRequest},
    token::{Channel, TimeStatement, TokenCommand},
    trustlet::{Forwarded, keys},
    wire::Bytes,
};

/// Most cards in one trusted app.
pub const MAX_CARDS: usize = 16;
/// Application transaction counters reserved in storage at a time; a power cut skips at most these.
pub const ATC_RANGE: u16 = 16;

/// How long the NFC switch stays on, in milliseconds: twelve hours.
pub const NFC_LIFE_MS: u64 = 12 * 60 * 60 * 1000;
/// Cryptograms for which it stays on.
pub const NFC_TAPS: u16 = 100;

/// Payments that a card remembers.
pub const LOG_LEN: usize = 16;

crate::code! {
    /// What can be done with a place of the card store.
    CardState {
        /// The card can pay.
        Active = 1,
        /// Its record is damaged; the place is named, the card is not usable.
        Damaged = 2,
        /// It waits for its provider to activate its token.
        Inactive = 3,
        /// Its holder suspended it, and can resume it with the PIN.
        SuspendedByHolder = 4,
        /// Its provider suspended it.
        Suspended = 5,
    }
}

impl CardState {
    /// Its name, in what a wallet displays.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Damaged => "damaged",
            Self::Inactive => "inactive",
            Self::SuspendedByHolder => "suspended by holder",
            Self::Suspended => "suspended",
        }
    }
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
        /// Cards held.
        cards: u8,
        /// Whether it believes any of the lab's keys, which everybody has: such a build protects nothing.
        lab: bool,
    }
}
crate::message! {
    /// Installs a card.
    #[derive(Clone, Debug, PartialEq, Eq)]
    InstallRequest {
        /// A [`crate::document::SealedPackage`] in JSON.
        package: Bytes<MAX_PACKAGE>,
    }
}
crate::message! {
    /// The card is stored.
    #[derive(Clone, Debug, PartialEq, Eq)]
    InstallReply {
        /// The card.
        card: CardId,
    }
}
crate::message! {
    /// Lists the cards.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ListRequest {}
}
crate::message! {
    /// One place in the store.
    #[derive(Clone, Debug, PartialEq, Eq)]
    CardEntry {
        /// The place, 0 to [`MAX_CARDS`] - 1.
        slot: u8,
        /// What can be done with it.
        state: CardState,
        /// The card; all zero where the record cannot be read.
        card: CardId,
        /// Its provider; all zero where the record cannot be read.
        provider: ProviderId,
    }
}
crate::message! {
    /// Every occupied place.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ListReply {
        /// In order of `slot`.
        cards: heapless::Vec<CardEntry, MAX_CARDS>,
    }
}
crate::message! {
    /// Asks what a wallet may display.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ShowRequest {
        /// The card.
        card: CardId,
    }
}
crate::message! {
    /// What a wallet may display.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ShowReply {
        /// A [`crate::document::CardDisplay`] in JSON.
        display: Bytes<{ crate::document::MAX_DISPLAY }>,
    }
}
crate::message! {
    /// Asks for the answers that are the same at every tap.
    #[derive(Clone, Debug, PartialEq, Eq)]
    StaticAnswersRequest {
        /// The card.
        card: CardId,
    }
}
crate::message! {
    /// A cryptogram that a card gave, and what for; whether it was paid only the issuer knows.
    #[derive(Clone, Debug, PartialEq, Eq)]
    LogEntry {
        /// Version of the card's keys.
        key_version: u8,
        /// The counter under these keys. One that is missing between two entries was lost to a power cut, or skipped.
        atc: u16,
        /// Amount in minor units, tag 9F02.
        amount: u64,
        /// Currency, tag 5F2A.
        currency: u16,
        /// The terminal's date, tag 9A: YYMMDD in BCD, by the terminal's word.
        date: [u8; 3],
        /// Transaction type, tag 9C.
        kind: u8,
        /// Card transaction qualifiers: how the holder was verified.
        ctq: [u8; 2],
        /// The way it was to be paid. Of others than taps the card knows neither date nor type: both are zero; of a
        /// code not even amount and currency.
        channel: Channel,
        /// Whether the card approved it offline, and did not ask its issuer.
        offline: bool,
    }
}
crate::message! {
    /// Asks for a card's payments.
    #[derive(Clone, Debug, PartialEq, Eq)]
    LogRequest {
        /// The card.
        card: CardId,
    }
}
crate::message! {
    /// The last payments.
    #[derive(Clone, Debug, PartialEq, Eq)]
    LogReply {
        /// Oldest first.
        entries: heapless::Vec<LogEntry, LOG_LEN>,
    }
}
crate::message! {
    /// Takes a card out of the phone.
    #[derive(Clone, Debug, PartialEq, Eq)]
    RemoveRequest {
        /// The card.
        card: CardId,
    }
}
crate::message! {
    /// The card and its keys are gone.
    #[derive(Clone, Debug, PartialEq, Eq)]
    RemoveReply {}
}
crate::message! {
    /// Draws the nonce for a time statement; replaces an earlier one.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TimeNonceRequest {}
}
crate::message! {
    /// What a provider needs to say what time it is.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TimeNonceReply {
        /// 32 random bytes, good for one statement in this run of the trusted app.
        nonce: [u8; 32],
    }
}
crate::message! {
    /// The time is known for this provider's cards, until the trusted app starts again.
    #[derive(Clone, Debug, PartialEq, Eq)]
    SetTimeReply {}
}
crate::message! {
    /// A token command was obeyed, or had been before.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TokenCommandReply {
        /// What can be done with the card now; `None` when it is gone.
        state: Option<CardState>,
    }
}
crate::message! {
    /// The holder suspends a card.
    #[derive(Clone, Debug, PartialEq, Eq)]
    SuspendRequest {
        /// The card.
        card: CardId,
    }
}
crate::message! {
    /// The card is suspended.
    #[derive(Clone, Debug, PartialEq, Eq)]
    SuspendReply {}
}
crate::message! {
    /// The holder resumes a card: takes the PIN verification for it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ResumeRequest {
        /// The card.
        card: CardId,
    }
}
crate::message! {
    /// What the holder suspended is resumed.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ResumeReply {
        /// What can be done with the card: its provider may have suspended it as well.
        state: CardState,
    }
}
crate::message! {
    /// Asks for the NFC switch.
    #[derive(Clone, Debug, PartialEq, Eq)]
    NfcStateRequest {}
}
crate::message! {
    /// Switches NFC on: takes the PIN verification for a card.
    #[derive(Clone, Debug, PartialEq, Eq)]
    NfcOnRequest {
        /// The card, any of the phone's.
        card: CardId,
    }
}
crate::message! {
    /// Switches NFC off, and forgets any PIN verification.
    #[derive(Clone, Debug, PartialEq, Eq)]
    NfcOffRequest {}
}
crate::message! {
    /// The NFC switch. While it is off no cryptogram is made and no static answer given.
    #[derive(Clone, Debug, PartialEq, Eq)]
    NfcStateReply {
        /// Milliseconds until it is off; 0 when it is.
        left_ms: u64,
        /// Cryptograms until it is off; 0 when it is.
        taps: u16,
    }
}
crate::message! {
    /// Reserves counters and takes the PIN verification, ahead of a tap.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TapPrepareRequest {
        /// The card.
        card: CardId,
        /// Whether to take a PIN verification; without one the card pays only where none is asked.
        verified: bool,
    }
}
crate::message! {
    /// The card is ready.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TapPrepareReply {
        /// Taps that need no further storage access.
        taps: u16,
        /// Milliseconds the verification lasts; 0 without one.
        verified_ms: u64,
    }
}
crate::message! {
    /// GET PROCESSING OPTIONS: the one command of a tap that enters the TEE.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TapGpoRequest {
        /// The card whose application is selected.
        card: CardId,
        /// The application that was selected, 5 to 16 bytes.
        aid: Bytes<16>,
        /// The command as received.
        command: Bytes<{ apdu::MAX_COMMAND }>,
    }
}
crate::message! {
    /// The response, data and status word.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TapGpoReply {
        /// As it goes to the terminal.
        response: Bytes<{ apdu::MAX_RESPONSE }>,
        /// The last record of a transaction with offline data authentication: the card's own data for it.
        record: Option<Record>,
    }
}

crate::message! {
    /// Reserves a counter and takes the holder's approval, ahead of one code.
    #[derive(Clone, Debug, PartialEq, Eq)]
    QrPrepareRequest {
        /// The card.
        card: CardId,
    }
}
crate::message! {
    /// One code, or one signed request, can be paid.
    #[derive(Clone, Debug, PartialEq, Eq)]
    PreparedReply {
        /// Milliseconds until the approval is over.
        approved_ms: u64,
    }
}
crate::message! {
    /// Makes the code that was prepared; there is one.
    #[derive(Clone, Debug, PartialEq, Eq)]
    QrPayloadRequest {
        /// The card.
        card: CardId,
    }
}
crate::message! {
    /// A code for one payment.
    #[derive(Clone, Debug, PartialEq, Eq)]
    QrPayloadReply {
        /// The data objects of a consumer-presented code; what is shown is their base64 text.
        payload: Bytes<{ qr::MAX_PAYLOAD }>,
        /// Last second at which the issuer takes it, since 1970 UTC.
        expires: u64,
    }
}

crate::message! {
    /// Resets a test profile in a contact reader of this session, in place of any other there.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ContactResetRequest {
        /// The card.
        card: CardId,
    }
}
crate::message! {
    /// The card waits for commands.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ContactResetReply {}
}
crate::message! {
    /// A command of a contact terminal.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ContactCommandRequest {
        /// As received.
        command: Bytes<{ apdu::MAX_COMMAND }>,
    }
}
crate::message! {
    /// The response, data and status word.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ContactCommandReply {
        /// As it goes to the terminal.
        response: Bytes<{ apdu::MAX_RESPONSE }>,
    }
}

crate::service! {
    Card,
    /// What the card trusted app does.
    trait CardService {
        /// Version.
        0x0001 status(StatusRequest) -> StatusReply, needs NONE;
        /// Draws the challenge for a sealed package.
        0x0101 challenge(ChallengeRequest) -> ChallengeReply, needs WALLET;
        /// Opens a sealed package and stores the card.
        0x0102 install(InstallRequest) -> InstallReply, needs WALLET;
        /// The cards in the store.
        0x0103 list(ListRequest) -> ListReply, needs WALLET;
        /// What a wallet may display of a card.
        0x0104 show(ShowRequest) -> ShowReply, needs WALLET;
        /// The answers that are the same at every tap.
        0x0105 static_answers(StaticAnswersRequest) -> StaticAnswers, needs WALLET;
        /// Takes a card out of the phone, keys and all; only its bank can put it back.
        0x0106 remove(RemoveRequest) -> RemoveReply, needs WALLET;
        /// A card's last payments.
        0x0107 log(LogRequest) -> LogReply, needs WALLET;
        /// Draws the nonce for a time statement.
        0x0108 time_nonce(TimeNonceRequest) -> TimeNonceReply, needs WALLET;
        /// Takes a provider's word on what time it is.
        0x0109 set_time(TimeStatement) -> SetTimeReply, needs WALLET;
        /// Obeys a provider's command over a token's life.
        0x010A token_command(TokenCommand) -> TokenCommandReply, needs WALLET;
        /// Suspends a card by its holder's will.
        0x010B suspend(SuspendRequest) -> SuspendReply, needs WALLET;
        /// Resumes what the holder suspended.
        0x010C resume(ResumeRequest) -> ResumeReply, needs WALLET;
        /// Asks the service platform, for the PIN trusted app as well, under the device's key.
        0x010D ask_freshness(AskFreshnessRequest) -> FreshnessQuestion, needs WALLET;
        /// Takes the platform's statement on how far each card's counter has come.
        0x010E take_freshness(FreshnessStatement) -> TakeFreshnessReply, needs WALLET;
        /// Takes a batch of limited-use keys.
        0x0110 replenish(ReplenishRequest) -> KeysLeft, needs WALLET;
        /// How many limited-use keys a card has left.
        0x0111 keys_left(KeysLeftRequest) -> KeysLeft, needs WALLET;
        /// The device's public keys; made where there are none.
        0x0112 device_key(DeviceKeyRequest) -> DeviceKeyReply, needs WALLET;
        /// Stores the factory's certificate of them.
        0x0113 certify(DeviceCertificate) -> CertifyReply, needs WALLET;
        /// What a card may pay offline.
        0x0114 offline_state(OfflineStateRequest) -> OfflineState, needs WALLET;
        /// Obeys a provider's word on what a card may pay offline.
        0x0115 offline_command(OfflineCommand) -> OfflineState, needs WALLET;
        /// Draws a challenge of the PIN trusted app and vouches for it.
        0x0116 pin_key_challenge(PinKeyChallengeRequest) -> PinKeyChallenge, needs WALLET;
        /// Makes the card ready for taps: all storage access happens here. With a PIN verification it also switches NFC
        /// on.
        0x0201 tap_prepare(TapPrepareRequest) -> TapPrepareReply, needs WALLET;
        /// Answers GET PROCESSING OPTIONS.
        0x0202 tap_gpo(TapGpoRequest) -> TapGpoReply, needs WALLET;
        /// The NFC switch.
        0x0203 nfc_state(NfcStateRequest) -> NfcStateReply, needs WALLET;
        /// Switches NFC on.
        0x0204 nfc_on(NfcOnRequest) -> NfcStateReply, needs WALLET;
        /// Switches NFC off.
        0x0205 nfc_off(NfcOffRequest) -> NfcStateReply, needs WALLET;
        /// Hands what the last terminal wanted verified to the PIN trusted app, for one *exact* entry.
        0x0206 confirm_prepare(ConfirmPrepareRequest) -> RefusedTap, needs WALLET;
        /// Makes the card ready for one code: all storage access happens here.
        0x0210 qr_prepare(QrPrepareRequest) -> PreparedReply, needs WALLET;
        /// Makes a code for one payment.
        0x0211 qr_payload(QrPayloadRequest) -> QrPayloadReply, needs WALLET;
        /// Checks a merchant's or wallet's request and makes ready to pay it: storage access and public-key work.
        0x0220 online_prepare(OnlinePrepareRequest) -> PreparedReply, needs WALLET;
        /// Pays the request that was prepared.
        0x0221 online_pay(OnlinePayRequest) -> OnlinePayReply, needs WALLET;
        /// Resets a test profile in a contact reader.
        0x0231 contact_reset(ContactResetRequest) -> ContactResetReply, needs WALLET;
        /// Answers a contact terminal's command to the card that was reset.
        0x0232 contact_command(ContactCommandRequest) -> ContactCommandReply, needs WALLET;
        /// Hands a card's token to the PIN trusted app, for one entry of the bank PIN.
        0x0240 bank_pin_prepare(BankPinPrepareRequest) -> BankPinPrepareReply, needs WALLET;
        /// The routes.
        0x0250 routes(RoutesRequest) -> RoutesReply, needs WALLET;
        /// Routes the cards of a kind to the TEE or to the secure element.
        0x0251 route(RouteRequest) -> RoutesReply, needs WALLET;
        /// Chooses the default card, or none.
        0x0252 choose_card(ChooseCardRequest) -> RoutesReply, needs WALLET;
        /// Chooses the app that asks as the one that presents cards, or none.
        0x0253 choose_app(ChooseAppRequest) -> RoutesReply, needs WALLET;
        /// Installs a provider's keys of the secure element.
        0x0260 install_element_keys(InstallElementKeysRequest) -> InstallElementKeysReply, needs WALLET;
        /// Begins an exchange with the secure element; an earlier one is over.
        0x0261 element_begin(ElementBeginRequest) -> ElementFrame, needs WALLET;
        /// Brings the element's answer to the last frame.
        0x0262 element_answer(ElementAnswerRequest) -> ElementProgress, needs WALLET;
        /// Opens a trustlet's key.
        0x0301 open_key(Forwarded<keys::OpenKey>) -> keys::OpenKeyReply, needs TRUSTLET;
        /// Opens a derived key.
        0x0302 derive_key(Forwarded<keys::DeriveKey>) -> keys::OpenKeyReply, needs TRUSTLET;
        /// Signs with a trustlet's key.
        0x0303 sign(Forwarded<keys::Sign>) -> keys::SignReply, needs TRUSTLET;
        /// Authenticates with a trustlet's key.
        0x0304 mac(Forwarded<keys::Mac>) -> keys::MacReply, needs TRUSTLET;
        /// Encrypts with a trustlet's key.
        0x0305 encrypt(Forwarded<keys::Encrypt>) -> keys::EncryptReply, needs TRUSTLET;
        /// Decrypts with a trustlet's key.
        0x0306 decrypt(Forwarded<keys::Decrypt>) -> keys::DecryptReply, needs TRUSTLET;
        /// Closes one key.
        0x0307 close_key(Forwarded<keys::CloseKey>) -> keys::CloseKeyReply, needs TRUSTLET;
        /// Closes all keys of the guest that asks.
        0x0308 close_keys(Forwarded<keys::CloseKeys>) -> keys::CloseKeyReply, needs TRUSTLET;
    }
}
