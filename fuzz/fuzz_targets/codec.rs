//! Whatever a message decodes from, it encodes to; and nothing makes the decoder panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tapvault_proto::{
    Error, approval, bank_pin, binding, card, contact, device, dgi,
    document::{self, PackageHeader, SealedPackage},
    element as secure_element,
    emv::{apdu::Command, application, qr::Code},
    freshness, id, limited, offline,
    online::{self, PaymentRequest},
    pad, pin, profile, refused, route, service, supervisor, token, tries,
    trustlet::{self, Forwarded, clock, element, keys, log, network, random, store},
    tvm,
    wire::{Wire, decode_exact, encode_into},
};

/// Decodes all of `bytes`, or refuses.
fn round<T: Wire>(bytes: &[u8]) {
    match decode_exact::<T>(bytes) {
        Ok(value) => {
            let mut out = vec![0; T::MAX];
            let len = encode_into(&value, &mut out).expect("room for the longest");
            assert_eq!(&out[..len], bytes, "another encoding of {}", std::any::type_name::<T>());
            // A byte less of room is refused.
            if let Some(short) = len.checked_sub(1) {
                assert_eq!(encode_into(&value, &mut out[..short]), Err(Error::ShortBuffer));
            }
        }
        Err(error) => {
            let typed = [Error::PinFormat, Error::CardNumber, Error::CardExpiry, Error::SecurityCode];
            assert!(error == Error::BadParameters || typed.contains(&error), "{error:?}");
        }
    }
}

/// Every message of a module, the first two bytes choosing one. `proto/tests/fuzzed.rs` holds the list against the
/// messages that there are.
macro_rules! messages {
    ($($module:ident::{$($name:ident),* $(,)?}),* $(,)?) => {
        const ROUNDS: &[fn(&[u8])] = &[
            $($(round::<$module::$name>,)*)*
            round::<Forwarded<clock::NowRequest>>,
            round::<Forwarded<element::TransmitRequest>>,
            round::<Forwarded<log::WriteRequest>>,
            round::<Forwarded<network::PostRequest>>,
            round::<Forwarded<network::TakeRequest>>,
            round::<Forwarded<random::DrawRequest>>,
            round::<Forwarded<store::GetRequest>>,
            round::<Forwarded<store::PutRequest>>,
            round::<Forwarded<keys::OpenKey>>,
            round::<Forwarded<keys::DeriveKey>>,
            round::<Forwarded<keys::Sign>>,
            round::<Forwarded<keys::Mac>>,
            round::<Forwarded<keys::Encrypt>>,
            round::<Forwarded<keys::Decrypt>>,
            round::<Forwarded<keys::CloseKey>>,
            round::<Forwarded<keys::CloseKeys>>,
            round::<Forwarded<pin::TakeConfirmation>>,
        ];
    };
}

messages! {
    card::{CardState, StatusRequest, StatusReply},
    device::{ChallengeRequest, ChallengeReply},
    card::{InstallRequest, InstallReply, TimeNonceRequest, TimeNonceReply, SetTimeReply, TokenCommandReply, SuspendRequest, SuspendReply, ResumeRequest, ResumeReply, NfcStateRequest, NfcOnRequest, NfcOffRequest, NfcStateReply, ContactResetRequest, ContactResetReply, ContactCommandRequest, ContactCommandReply, ListRequest, CardEntry, ListReply, ShowRequest, ShowReply, StaticAnswersRequest, LogEntry, LogRequest, LogReply, RemoveRequest, RemoveReply, TapPrepareRequest, TapPrepareReply, TapGpoRequest, TapGpoReply, QrPrepareRequest, PreparedReply, QrPayloadRequest, QrPayloadReply},
    approval::{Approval, BeginApprovalRequest, TakeApprovalRequest, TakeApprovalReply},
    binding::{CardData, RecipientCertificate, BeginCardDataRequest, CardDataEntryReply, FinishCardDataRequest, SealedCardData},
    online::{Role, PayeeCertificate, Order, PaymentData, OnlinePrepareRequest, OnlinePayRequest, OnlinePayReply},
    pin::{TicketPurpose, PinState, Verdict, VerificationMethod, ProviderCertificate, EnrolmentTicket, StatusRequest, StatusReply, PinStateRequest, PinStateReply, ChallengeRequest, ChallengeReply, BeginSetRequest, BeginVerifyRequest, Transfer, BeginConfirmRequest, TakeConfirmation, TakeConfirmationReply, BeginChangeRequest, EntryReply, SubmitRequest, SubmitReply, FinishRequest, FinishReply, TakeVerificationRequest, TakeVerificationReply, Pin},
    pad::{PadSuite, PadKeys, Pairing, PadOffer, PadAnswer, PadStateRequest, PadStateReply, PairReply, PadOfferRequest, PadAcceptReply, Frame, PadShow, PadPurpose, Showing, Entered, PadMessage},
    token::{Channel, ChannelKey, Domain, Token, TokenState, TokenAction, TokenCommand, TimeStatement},
    contact::{ArpcMethod, Contact, CardPin},
    route::{Endpoint, RoutesRequest, RoutesReply, RouteRequest, ChooseCardRequest, ChooseAppRequest},
    secure_element::{InstallElementKeysRequest, InstallElementKeysReply, ElementPurpose, ElementBeginRequest, ElementFrame, ElementAnswerRequest, ElementProgress, Verified, Leave},
    dgi::{Application},
    application::{Record, StaticAnswers},
    profile::{CardKeys, Suite, Cvn, Product, VerificationStatus, RsaKey, OdaKey, Oda, CardProfile},
    supervisor::{StatusRequest, StatusReply, AdmitRequest, AdmitReply, ReleaseRequest, ReleaseReply, InstallPolicyRequest, InstallPolicyReply, SessionsRequest, SessionCount, SessionsReply, Quota, ProviderRequest, ProviderReply, RegisterRequest, RegisterReply, PostRequest, TakeRequest, ProvidersRequest, ProviderEntry, ProvidersReply, TrustletsRequest, TrustletInfo, TrustletsReply, AuditEvent, AuditEntry, AuditFlushRequest, AuditFlushReply, AuditExportRequest, AuditExportReply, AuditHeadRequest, AuditHeadReply},
    tvm::{TrustletState, StatusRequest, StatusReply, InstallRequest, InstallReply, CommandRequest, CommandReply, ListRequest, TrustletEntry, ListReply, ReadLogRequest, LogLine, ReadLogReply, ElementChallengeRequest, ElementChallengeReply, ElementKeys, InstallElementRequest, InstallElementReply, OpenRequest, OpenReply, LoadRequest, LoadReply, StartRequest, StartReply, CallRequest, ResumeRequest, CancelRequest, CancelReply, Progress},
    clock::{NowRequest, NowReply},
    element::{TransmitRequest, TransmitReply},
    keys::{KeyAlgorithm, KeyHandle, OpenKey, DeriveKey, OpenKeyReply, Sign, SignReply, Mac, MacReply, Encrypt, EncryptReply, Decrypt, DecryptReply, CloseKey, CloseKeyReply, CloseKeys},
    log::{WriteRequest, WriteReply},
    network::{PostRequest, PostReply, TakeRequest, Mail, TakeReply},
    random::{DrawRequest, DrawReply},
    store::{GetRequest, GetReply, PutRequest, PutReply},
    id::{Address, Caller, CardId, Party, ProviderId, TrustletName, Uuid},
    service::{Rights, Service},
    trustlet::{Owner},
    device::{Sealing, DeviceCertificate, DeviceKeyRequest, DeviceKeyReply, CertifyReply},
    document::{Contents, KeyBlock},
    offline::{Offline, OfflineCommand, OfflineState, OfflineStateRequest},
    bank_pin::{PinBlockFormat, DrawPinKeyRequest, DrawPinKeyReply, PinKeyChallengeRequest, PinKeyChallenge, PinKey, InstallPinKeyRequest, InstallPinKeyReply, OfferTokenRequest, OfferTokenReply, BankPinPrepareRequest, BankPinPrepareReply, BeginBankPinRequest, BankPinEntryReply, FinishBankPinRequest, BankPinBlock},
    freshness::{AskFreshnessRequest, PinRunRequest, GrantedTries, PinRun, IssuedCard, DeviceState, FreshnessQuestion, HighestCounter, Freshness, FreshnessStatement, TakeFreshnessReply, TakeGrantRequest, TakeGrantReply},
    refused::{ConfirmPrepareRequest, RefusedTap, OfferRefusedRequest, OfferRefusedReply},
    tries::{PinDelayRequest, PinDelayReply, UnlockPinRequest, UnlockPinReply},
    limited::{KeyBatch, LimitedUse, LimitedUseKey, ReplenishRequest, KeysLeftRequest, KeysLeft},
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, message)) = bytes.split_first_chunk() else { return };
    // Every other choice is for what is no message.
    match ROUNDS.get(usize::from(u16::from_be_bytes(*choice))) {
        Some(round) => round(message),
        None => {
            package(message);
            request(message);
        }
    }
});

/// A payment request is read as JSON, written, and read again as the same, with the same bytes to sign.
fn request(json: &[u8]) {
    let _ = Code::parse(json);
    let Ok(request) = PaymentRequest::parse(json) else { return };
    let written = request.to_json().expect("bounded by its type");
    assert_eq!(PaymentRequest::parse(&written).as_ref(), Ok(&request));
    assert!(request.signed_bytes().is_ok());
}

/// A card's package is read as JSON, written, and read again as the same.
fn package(json: &[u8]) {
    let _ = Command::parse(json);
    let Ok(package) = SealedPackage::parse(json) else { return };
    let written = package.to_json().expect("bounded by its type");
    assert_eq!(SealedPackage::parse(&written).as_ref(), Ok(&package));
    let PackageHeader { card, provider, .. } = package.header;
    assert_eq!(package.header.info().get(56..), Some([card.0, provider.0].concat().as_slice()));
}
