//! Bytes that must not change: one sample of every message, and every row of every table.
//!
//! `golden.txt` is the promise; a new method adds lines, nothing changes one. What the test expects is
//! printed when it fails.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panic")]

use std::fmt::Write;
use tapvault_proto::{
    Error, PROTOCOL_VERSION,
    approval::{Approval, BeginApprovalRequest, TakeApprovalReply, TakeApprovalRequest},
    binding,
    card::{self, ATC_RANGE, CardEntry, CardState},
    contact::{ArpcMethod, CardPin, Contact},
    device::{self, Sealing},
    document, element as se,
    emv::{
        AID_UNIONPAY_DEBIT,
        application::{Record, StaticAnswers},
    },
    id::{Address, Caller, CardId, Party, ProviderId, TrustletName, Uuid, login},
    limited::{self, KeyBatch, KeysLeft, KeysLeftRequest, LimitedUse, LimitedUseKey, ReplenishRequest},
    online::{
        OnlinePayReply, OnlinePayRequest, OnlinePrepareRequest, Order, PayeeCertificate, PaymentData, Role,
    },
    pin::{
        self, EnrolmentTicket, Pin, PinState, ProviderCertificate, TicketPurpose, Verdict, VerificationMethod,
    },
    profile::{
        CardKeys, CardProfile, Cvn, Key128, Oda, OdaKey, Product, SecretBytes, Suite, VerificationStatus,
    },
    route,
    service::{Rights, Service},
    supervisor::{self, SessionCount},
    token::{Channel, ChannelKey, Domain, TimeStatement, Token, TokenAction, TokenCommand},
    trustlet::{Forwarded, Owner, clock, element, keys, log, network, random, store},
    tvm::{self, TrustletState},
    wire::{Bytes, Reader, Wire, decode_exact, encode_into},
};

const GOLDEN: &str = include_str!("golden.txt");
const CARD: CardId = CardId([0xC1; 16]);
const PROVIDER: ProviderId = ProviderId([0xB2; 16]);
const CALLER: Caller = Caller { login: login::USER, uuid: Uuid([0xA3; 16]) };

fn bytes<const N: usize>(text: &[u8]) -> Bytes<N> {
    Bytes::from_slice(text).unwrap()
}

/// Encodes a sample, checks everything a decoder owes it, and writes its golden line.
fn sample<T: Wire>(lines: &mut String, name: &str, value: &T) {
    let mut buffer = vec![0; T::MAX + 1];
    let len = encode_into(value, &mut buffer).unwrap();
    assert!(len <= T::MAX, "{name} is longer than its limit");
    let encoded = buffer[..len].to_vec();
    let encoded = encoded.as_slice();
    let decoded = decode_exact::<T>(encoded).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut again = vec![0; T::MAX];
    let again_len = encode_into(&decoded, &mut again).unwrap();
    assert_eq!(&again[..again_len], encoded, "{name} does not come back as it was");
    for shorter in 0..len {
        assert!(decode_exact::<T>(&encoded[..shorter]).is_err(), "{name} cut to {shorter} bytes");
        assert_eq!(
            encode_into(value, &mut vec![0; shorter]),
            Err(Error::ShortBuffer),
            "{name} in {shorter} bytes"
        );
    }
    buffer.truncate(len);
    buffer.push(0);
    assert!(decode_exact::<T>(&buffer).is_err(), "{name} with a trailing byte");
    let hex: String = encoded.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    writeln!(lines, "{name} = {hex}").unwrap();
}

fn tables(lines: &mut String) {
    for service in Service::ALL {
        for method in service.methods() {
            let (name, right) = (service.name(), method.right.0);
            writeln!(
                lines,
                "{name}.{} = {:04x} right {right} request {} reply {}",
                method.name, method.id, method.max_request, method.max_reply
            )
            .unwrap();
        }
    }
}

fn supervisor_samples(lines: &mut String) {
    sample(lines, "supervisor.status.request", &supervisor::StatusRequest {});
    let status = supervisor::StatusReply {
        protocol: PROTOCOL_VERSION,
        policy_version: 3,
        epoch: 0x0102_0304_0506_0708,
        live_sessions: 9,
        lab: true,
    };
    sample(lines, "supervisor.status.reply", &status);
    sample(lines, "supervisor.admit.request", &supervisor::AdmitRequest { caller: CALLER });
    let rights = Rights::WALLET.with(Rights::PLATFORM);
    let admitted = supervisor::AdmitReply { epoch: 7, admission: 8, rights, provider: PROVIDER };
    sample(lines, "supervisor.admit.reply", &admitted);
    sample(lines, "supervisor.release.request", &supervisor::ReleaseRequest { epoch: 7, admission: 8 });
    sample(lines, "supervisor.release.reply", &supervisor::ReleaseReply {});
    let policy = supervisor::InstallPolicyRequest { document: bytes(b"{}"), signature: [0x51; 64] };
    sample(lines, "supervisor.install_policy.request", &policy);
    sample(lines, "supervisor.install_policy.reply", &supervisor::InstallPolicyReply { version: 4 });
    sample(lines, "supervisor.sessions.request", &supervisor::SessionsRequest { target: CALLER.uuid });
    let count = SessionCount { caller: CALLER, live: 2, limit: 4 };
    let sessions = supervisor::SessionsReply { callers: heapless::Vec::from_iter([count]) };
    sample(lines, "supervisor.sessions.reply", &sessions);
    network_samples(lines);
    audit_samples(lines);
}

fn network_samples(lines: &mut String) {
    let quota = supervisor::Quota {
        guests: 1,
        memory_kib: 2,
        store: 3,
        messages: 4,
        signatures: 5,
        accesses: 6,
        loads: 7,
    };
    sample(lines, "supervisor.providers.request", &supervisor::ProvidersRequest {});
    let entry =
        supervisor::ProviderEntry { provider: PROVIDER, tvm: CALLER.uuid, quota, messages: 1, trustlets: 2 };
    let providers = supervisor::ProvidersReply { providers: heapless::Vec::from_iter([entry]) };
    sample(lines, "supervisor.providers.reply", &providers);
    sample(lines, "supervisor.trustlets.request", &supervisor::TrustletsRequest { provider: PROVIDER });
    let info =
        supervisor::TrustletInfo { name: name(), state: TrustletState::Active, version: 3, messages: 1 };
    let trustlets = supervisor::TrustletsReply { trustlets: heapless::Vec::from_iter([info]) };
    sample(lines, "supervisor.trustlets.reply", &trustlets);
    sample(lines, "supervisor.provider.request", &supervisor::ProviderRequest {});
    let provider = supervisor::ProviderReply { provider: PROVIDER, quota, services: 0x003F_0000 };
    sample(lines, "supervisor.provider.reply", &provider);
    let register = supervisor::RegisterRequest {
        name: name(),
        state: TrustletState::Locked,
        version: 3,
        peers: heapless::Vec::from_iter([address()]),
        changes: true,
    };
    sample(lines, "supervisor.register.request", &register);
    sample(lines, "supervisor.register.reply", &supervisor::RegisterReply {});
    let post = supervisor::PostRequest { from: name(), to: address(), body: bytes(b"hello") };
    sample(lines, "supervisor.post.request", &post);
    sample(lines, "supervisor.take.request", &supervisor::TakeRequest { name: name() });
}

fn audit_samples(lines: &mut String) {
    sample(lines, "supervisor.audit_flush.request", &supervisor::AuditFlushRequest {});
    sample(lines, "supervisor.audit_flush.reply", &supervisor::AuditFlushReply { last: 9 });
    sample(lines, "supervisor.audit_export.request", &supervisor::AuditExportRequest { from: 2 });
    let entry = supervisor::AuditEntry {
        number: 2,
        time: 3,
        epoch: 4,
        event: supervisor::AuditEvent::Admitted,
        target: CALLER.uuid,
        subject: Uuid([0xD4; 16]),
        detail: 5,
    };
    let export = supervisor::AuditExportReply {
        oldest: 1,
        before: [0xE5; 32],
        entries: heapless::Vec::from_iter([entry]),
    };
    sample(lines, "supervisor.audit_export.reply", &export);
    sample(lines, "supervisor.audit_head.request", &supervisor::AuditHeadRequest { nonce: [0x44; 32] });
    let head =
        supervisor::AuditHeadReply { last: 9, value: [0xE6; 32], key: [0x04; 65], signature: [0x54; 64] };
    sample(lines, "supervisor.audit_head.reply", &head);
}

fn name() -> TrustletName {
    TrustletName::new(b"transit").unwrap()
}

fn address() -> Address {
    Address { provider: PROVIDER, name: name() }
}

fn owned<R>(request: R) -> Forwarded<R> {
    Forwarded { owner: Owner { name: name(), generation: [0x99; 16], guest: 6 }, request }
}

fn tvm_samples(lines: &mut String) {
    sample(lines, "tvm.status.request", &tvm::StatusRequest {});
    let status = tvm::StatusReply {
        protocol: PROTOCOL_VERSION,
        provider: PROVIDER,
        trustlets: 2,
        guests: 1,
        memory: 0x0004_0000,
        lab: true,
    };
    sample(lines, "tvm.status.reply", &status);
    let install = tvm::InstallRequest { manifest: bytes(b"{}"), signature: [0x55; 64] };
    sample(lines, "tvm.install.request", &install);
    let installed = tvm::InstallReply { version: 3, state: TrustletState::Installed };
    sample(lines, "tvm.install.reply", &installed);
    let command = tvm::CommandRequest { document: bytes(b"{}"), signature: [0x56; 64] };
    sample(lines, "tvm.command.request", &command);
    sample(lines, "tvm.command.reply", &tvm::CommandReply { state: TrustletState::Removed });
    sample(lines, "tvm.list.request", &tvm::ListRequest {});
    let entry = tvm::TrustletEntry { name: name(), state: TrustletState::Active, version: 3, sequence: 4 };
    sample(lines, "tvm.list.reply", &tvm::ListReply { trustlets: heapless::Vec::from_iter([entry]) });
    sample(lines, "tvm.read_log.request", &tvm::ReadLogRequest {});
    let line = tvm::LogLine { name: name(), text: bytes(b"line") };
    let log = tvm::ReadLogReply { lost: 1, lines: heapless::Vec::from_iter([line]) };
    sample(lines, "tvm.read_log.reply", &log);
    sample(lines, "tvm.element_challenge.request", &tvm::ElementChallengeRequest {});
    let challenge = tvm::ElementChallengeReply { challenge: [0x33; 32], recipient: [0x04; 65] };
    sample(lines, "tvm.element_challenge.reply", &challenge);
    let element = tvm::InstallElementRequest {
        challenge: [0x33; 32],
        encapsulated: [0x04; 65],
        sealed: [0x61; tvm::ElementKeys::SEALED],
        signature: [0x57; 64],
    };
    sample(lines, "tvm.install_element.request", &element);
    sample(lines, "tvm.install_element.reply", &tvm::InstallElementReply {});
    sample(lines, "tvm.open_trustlet.request", &tvm::OpenRequest { name: name() });
    sample(lines, "tvm.open_trustlet.reply", &tvm::OpenReply { size: 1000, version: 3 });
    sample(lines, "tvm.load.request", &tvm::LoadRequest { offset: 5, bytes: bytes(b"\0asm") });
    sample(lines, "tvm.load.reply", &tvm::LoadReply {});
    sample(lines, "tvm.start.request", &tvm::StartRequest {});
    sample(lines, "tvm.start.reply", &tvm::StartReply {});
    sample(lines, "tvm.call.request", &tvm::CallRequest { message: bytes(b"hello") });
    sample(lines, "tvm.call.reply done", &tvm::Progress::Done(bytes(b"answer")));
    sample(lines, "tvm.call.reply yielded", &tvm::Progress::Yielded);
    sample(lines, "tvm.call.reply frame", &tvm::Progress::Frame(bytes(b"frame")));
    sample(lines, "tvm.resume.request", &tvm::ResumeRequest { frame: Some(bytes(b"\x90\0")) });
    sample(lines, "tvm.cancel.request", &tvm::CancelRequest {});
    sample(lines, "tvm.cancel.reply", &tvm::CancelReply {});
    let keys = tvm::ElementKeys { version: 0x30, enc: Key128::new([0x71; 16]), mac: Key128::new([0x72; 16]) };
    sample(lines, "element keys", &keys);
    sample(lines, "party client", &Party::Client(CALLER));
    sample(lines, "party trustlet", &Party::Trustlet(address()));
}

fn trustlet_samples(lines: &mut String) {
    sample(lines, "random.draw.request", &owned(random::DrawRequest { count: 8 }));
    sample(lines, "random.draw.reply", &random::DrawReply { bytes: bytes(b"12345678") });
    sample(lines, "clock.now.request", &owned(clock::NowRequest {}));
    sample(lines, "clock.now.reply", &clock::NowReply { milliseconds: 9 });
    sample(lines, "log.write.request", &owned(log::WriteRequest { text: bytes(b"line") }));
    sample(lines, "log.write.reply", &log::WriteReply {});
    sample(lines, "store.get.request", &owned(store::GetRequest { key: bytes(b"balance") }));
    sample(lines, "store.get.reply", &store::GetReply { value: Some(bytes(b"7")) });
    let put = store::PutRequest { key: bytes(b"balance"), value: None };
    sample(lines, "store.put.request", &owned(put));
    sample(lines, "store.put.reply", &store::PutReply { used: 3, quota: 4 });
    let post = network::PostRequest { to: address(), body: bytes(b"hello") };
    sample(lines, "network.post.request", &owned(post));
    sample(lines, "network.post.reply", &network::PostReply { epoch: 7, number: 8 });
    sample(lines, "network.take.request", &owned(network::TakeRequest {}));
    let mail = network::Mail { from: address(), number: 8, body: bytes(b"hello") };
    sample(lines, "network.take.reply", &network::TakeReply { mail: Some(mail) });
    let transmit = element::TransmitRequest { command: bytes(b"\x80\xCA\0\0\0") };
    sample(lines, "element.transmit.request", &owned(transmit));
    sample(lines, "element.transmit.reply", &element::TransmitReply { response: bytes(b"\x90\0") });
}

fn key_samples(lines: &mut String) {
    let handle = keys::KeyHandle { index: 1, generation: 2 };
    let algorithm = keys::KeyAlgorithm::EcdsaP256;
    sample(lines, "card.open_key.request", &owned(keys::OpenKey { label: bytes(b"sign"), algorithm }));
    sample(lines, "card.open_key.reply", &keys::OpenKeyReply { handle, public: bytes(&[4; 65]) });
    let derive = keys::DeriveKey { handle, context: bytes(b"card 1"), algorithm };
    sample(lines, "card.derive_key.request", &owned(derive));
    sample(lines, "card.sign.request", &owned(keys::Sign { handle, message: bytes(b"text") }));
    sample(lines, "card.sign.reply", &keys::SignReply { signature: [0x58; 64] });
    sample(lines, "card.mac.request", &owned(keys::Mac { handle, message: bytes(b"text") }));
    sample(lines, "card.mac.reply", &keys::MacReply { mac: [0x59; 32] });
    sample(lines, "card.encrypt.request", &owned(keys::Encrypt { handle, plain: bytes(b"text") }));
    sample(lines, "card.encrypt.reply", &keys::EncryptReply { sealed: bytes(&[7; 32]) });
    let decrypt = keys::Decrypt { handle, sealed: bytes(&[7; 32]) };
    sample(lines, "card.decrypt.request", &owned(decrypt));
    sample(lines, "card.decrypt.reply", &keys::DecryptReply { plain: bytes(b"text") });
    sample(lines, "card.close_key.request", &owned(keys::CloseKey { handle }));
    sample(lines, "card.close_key.reply", &keys::CloseKeyReply {});
    sample(lines, "card.close_keys.request", &owned(keys::CloseKeys {}));
    let transfer = || pin::Transfer { amount: 100, currency: 0x0156, payee: bytes(b"Shop") };
    let confirm = pin::BeginConfirmRequest { provider: PROVIDER, trustlet: name(), transfer: transfer() };
    sample(lines, "pin.begin_confirm.request", &confirm);
    let take = pin::TakeConfirmation { transfer: transfer() };
    sample(lines, "pin.take_confirmation.request", &owned(take));
    let taken = pin::TakeConfirmationReply { method: VerificationMethod::WalletPin };
    sample(lines, "pin.take_confirmation.reply", &taken);
}

fn route_samples(lines: &mut String) {
    sample(lines, "card.routes.request", &route::RoutesRequest {});
    let routes = route::RoutesReply {
        element: heapless::Vec::from_iter([Product::Credit]),
        card: Some(CARD),
        app: Some(CALLER),
        presents: true,
    };
    sample(lines, "card.routes.reply", &routes);
    let to = route::RouteRequest { card: CARD, product: Product::Debit, endpoint: route::Endpoint::Element };
    sample(lines, "card.route.request", &to);
    sample(lines, "card.choose_card.request", &route::ChooseCardRequest { card: CARD, chosen: true });
    sample(lines, "card.choose_app.request", &route::ChooseAppRequest { card: CARD, chosen: false });
    let keys = se::InstallElementKeysRequest {
        certificate: certificate(),
        challenge: [0x33; 32],
        encapsulated: [0x04; 65],
        sealed: [0x61; tvm::ElementKeys::SEALED],
        signature: [0x5B; 64],
    };
    sample(lines, "card.install_element_keys.request", &keys);
    sample(lines, "card.install_element_keys.reply", &se::InstallElementKeysReply {});
    let begin = se::ElementBeginRequest { card: CARD, purpose: se::ElementPurpose::VerifiedTap };
    sample(lines, "card.element_begin.request", &begin);
    sample(lines, "card.element_begin.reply", &se::ElementFrame { frame: bytes(b"frame") });
    let answer = se::ElementAnswerRequest { frame: bytes(b"\x90\0") };
    sample(lines, "card.element_answer.request", &answer);
    sample(lines, "card.element_answer.reply", &se::ElementProgress { frame: Some(bytes(b"frame")) });
    let verified = se::Verified { ceiling: 100_000, currency: 0x0156 };
    let leave = se::Leave { card: CARD, key_version: 2, counter: 17, verified: Some(verified) };
    sample(lines, "element leave", &leave);
}

fn payment_samples(lines: &mut String) {
    let approval = || Approval {
        card: CARD,
        channel: Channel::InApp,
        amount: 12_345,
        currency: 0x0156,
        payee: bytes(b"Tea Shop"),
        digest: [0x66; 32],
    };
    let begin = BeginApprovalRequest { provider: PROVIDER, approval: approval() };
    sample(lines, "pin.begin_approval.request", &begin);
    let take = TakeApprovalRequest { provider: PROVIDER, approval: approval() };
    sample(lines, "pin.take_approval.request", &take);
    let taken = TakeApprovalReply { method: VerificationMethod::WalletPin, remaining_ms: 60_000 };
    sample(lines, "pin.take_approval.reply", &taken);
    sample(lines, "card.qr_prepare.request", &card::QrPrepareRequest { card: CARD });
    sample(lines, "card.qr_prepare.reply", &card::PreparedReply { approved_ms: 60_000 });
    sample(lines, "card.qr_payload.request", &card::QrPayloadRequest { card: CARD });
    let code = card::QrPayloadReply { payload: bytes(b"\x85\x05CPV01"), expires: 1_796_000_060 };
    sample(lines, "card.qr_payload.reply", &code);
    let prepare = OnlinePrepareRequest { card: CARD, request: bytes(b"{}") };
    sample(lines, "card.online_prepare.request", &prepare);
    sample(lines, "card.online_pay.request", &OnlinePayRequest { card: CARD });
    let paid = OnlinePayReply { encapsulated: [0x04; 65], sealed: bytes(&[0x67; 96]) };
    sample(lines, "card.online_pay.reply", &paid);
    let certificate = PayeeCertificate {
        role: Role::Wallet,
        id: bytes(b"62999900001"),
        name: bytes(b"Lab Wallet"),
        key: [0x04; 65],
        recipient: [0x05; 65],
        signature: [0x5A; 64],
    };
    sample(lines, "payee certificate", &certificate);
    let order = Order {
        merchant: bytes(b"898110048990001"),
        name: bytes(b"Tea Shop"),
        number: bytes(b"2026-11-26/1"),
        amount: 12_345,
        currency: 0x0156,
        expires: 1_796_000_900,
    };
    sample(lines, "order", &order);
    let data = PaymentData {
        track2: bytes(&[0x62; 19]),
        psn: 1,
        requestor: *b"62999900001",
        aip: [0x7C, 0],
        atc: 0x0102,
        issuer_data: [7, 1, 1, 3, 0xA4, 0, 0, 1],
        cryptogram: [0x68; 8],
        digest: [0x66; 32],
    };
    sample(lines, "payment data", &data);
}

fn certificate() -> ProviderCertificate {
    ProviderCertificate { provider: PROVIDER, key: [0x04; 65], signature: [0x52; 64] }
}

fn pin_samples(lines: &mut String) {
    let certificate = certificate();
    let ticket = EnrolmentTicket {
        certificate,
        purpose: TicketPurpose::Reset,
        challenge: [0x33; 32],
        signature: [0x53; 64],
    };
    let digits = || Pin::from_ascii(b"135790").unwrap();
    sample(lines, "pin.status.request", &pin::StatusRequest {});
    sample(lines, "pin.status.reply", &pin::StatusReply { protocol: PROTOCOL_VERSION, lab: true });
    sample(lines, "pin.pin_state.request", &pin::PinStateRequest { provider: PROVIDER });
    sample(lines, "pin.pin_state.reply", &pin::PinStateReply { state: PinState::Set, tries_left: 3 });
    sample(lines, "pin.challenge.request", &pin::ChallengeRequest {});
    sample(lines, "pin.challenge.reply", &pin::ChallengeReply { challenge: [0x33; 32] });
    sample(lines, "pin.begin_set.request", &pin::BeginSetRequest { ticket });
    sample(lines, "pin.begin.reply", &pin::EntryReply { entry: 5, tries_left: 2 });
    let verify =
        pin::BeginVerifyRequest { provider: PROVIDER, card: CARD, ceiling: 100_000, currency: 0x0156 };
    sample(lines, "pin.begin_verify.request", &verify);
    sample(lines, "pin.begin_change.request", &pin::BeginChangeRequest { provider: PROVIDER });
    let submit = pin::SubmitInsecureRequest { entry: 5, pin: digits(), new_pin: Some(digits()) };
    sample(lines, "pin.submit_insecure.request", &submit);
    sample(lines, "pin.submit_insecure.reply", &pin::SubmitReply { verdict: Verdict::Wrong, tries_left: 2 });
    sample(lines, "pin.finish.request", &pin::FinishRequest { entry: 5 });
    sample(lines, "pin.finish.reply", &pin::FinishReply { tries_left: 3 });
    sample(
        lines,
        "pin.take_verification.request",
        &pin::TakeVerificationRequest { provider: PROVIDER, card: CARD, app: CALLER },
    );
    let taken = pin::TakeVerificationReply {
        method: VerificationMethod::WalletPin,
        ceiling: 100_000,
        currency: 0x0156,
        remaining_ms: 60_000,
    };
    sample(lines, "pin.take_verification.reply", &taken);
}

fn device_samples(lines: &mut String) {
    let (key, sm2_key) = ([0x04; 65], [0x05; 65]);
    sample(lines, "card.device_key.request", &device::DeviceKeyRequest {});
    sample(lines, "card.device_key.reply", &device::DeviceKeyReply { key, sm2_key, certified: true });
    let certificate = device::DeviceCertificate { key, sm2_key, signature: [0x66; 64] };
    sample(lines, "card.certify.request", &certificate);
    sample(lines, "card.certify.reply", &device::CertifyReply {});
    let sealing = Sealing::Sm2;
    sample(lines, "card.challenge.request", &device::ChallengeRequest { sealing });
    let challenge = device::ChallengeReply {
        sealing,
        challenge: [0x33; 32],
        recipient: [0x04; 65],
        certificate,
        signature: [0x67; 64],
    };
    sample(lines, "card.challenge.reply", &challenge);
}

fn limited_samples(lines: &mut String) {
    let key = || heapless::Vec::from_iter([Key128::new([0x77; 16]), Key128::new([0x78; 16])]);
    let batch = KeyBatch {
        key_version: 1,
        valid_until: 1_795_608_000,
        first: 17,
        keys: heapless::Vec::from_iter([key(), key()]),
    };
    sample(lines, "key_batch", &batch);
    sample(lines, "limited_use_key", &LimitedUseKey { atc: 17, valid_until: 1_795_608_000, keys: key() });
    let rules = LimitedUse { channels: heapless::Vec::from_iter([Channel::Nfc, Channel::Qr]), threshold: 4 };
    assert!(rules.check());
    sample(lines, "profile.keys.limited_use", &CardKeys::LimitedUse(rules));
    let replenish = ReplenishRequest {
        certificate: certificate(),
        card: CARD,
        challenge: [0x33; 32],
        encapsulated: [0x04; 65],
        sealed: bytes(&[0x99; 20]),
        signature: [0x66; 64],
    };
    sample(lines, "card.replenish.request", &replenish);
    sample(lines, "card.replenish.reply", &KeysLeft { left: 20, threshold: limited::MAX_THRESHOLD });
    sample(lines, "card.keys_left.request", &KeysLeftRequest { card: CARD });
    sample(lines, "card.keys_left.reply", &KeysLeft { left: 4, threshold: 4 });
}

fn binding_samples(lines: &mut String) {
    let certificate = binding::RecipientCertificate {
        provider: PROVIDER,
        name: bytes(b"Lab Bank A"),
        recipient: [0x04; 65],
        signature: [0x54; 64],
    };
    let begin = binding::BeginCardDataRequest { certificate, nonce: [0x4E; 32] };
    sample(lines, "pin.begin_card_data.request", &begin);
    sample(
        lines,
        "pin.begin_card_data.reply",
        &binding::CardDataEntryReply { entry: 6, challenge: [0x33; 32] },
    );
    let data = binding::CardData::from_ascii(b"6299990000000017", b"3112", b"123").unwrap();
    let submit = binding::SubmitCardDataInsecureRequest { entry: 6, data };
    sample(lines, "pin.submit_card_data_insecure.request", &submit);
    sample(lines, "pin.submit_card_data_insecure.reply", &binding::SubmitCardDataReply {});
    sample(lines, "pin.finish_card_data.request", &binding::FinishCardDataRequest { entry: 6 });
    let sealed = binding::SealedCardData {
        provider: PROVIDER,
        nonce: [0x4E; 32],
        challenge: [0x33; 32],
        encapsulated: [0x04; 65],
        sealed: [0x5E; binding::SEALED_LEN],
    };
    sample(lines, "pin.finish_card_data.reply", &sealed);
}

fn card_samples(lines: &mut String) {
    sample(lines, "card.status.request", &card::StatusRequest {});
    sample(
        lines,
        "card.status.reply",
        &card::StatusReply { protocol: PROTOCOL_VERSION, cards: 2, lab: true },
    );
    device_samples(lines);
    sample(lines, "card.install.request", &card::InstallRequest { package: bytes(b"{}") });
    sample(lines, "card.install.reply", &card::InstallReply { card: CARD });
    sample(lines, "card.list.request", &card::ListRequest {});
    let entry = CardEntry { slot: 1, state: CardState::Active, card: CARD, provider: PROVIDER };
    sample(lines, "card.list.reply", &card::ListReply { cards: heapless::Vec::from_iter([entry]) });
    sample(lines, "card.show.request", &card::ShowRequest { card: CARD });
    sample(lines, "card.show.reply", &card::ShowReply { display: bytes(b"{}") });
    sample(lines, "card.static_answers.request", &card::StaticAnswersRequest { card: CARD });
    let answers = StaticAnswers {
        aid: bytes(&AID_UNIONPAY_DEBIT),
        entry: bytes(&[0x61, 0x00]),
        priority: 1,
        fci: bytes(&[0x6F, 0x00]),
        records: heapless::Vec::from_iter([Record { sfi: 1, number: 1, data: bytes(&[0x70, 0x00]) }]),
    };
    sample(lines, "card.static_answers.reply", &answers);
    sample(lines, "card.log.request", &card::LogRequest { card: CARD });
    let entry = card::LogEntry {
        key_version: 1,
        atc: 0x0102,
        amount: 12_345,
        currency: 0x0156,
        date: [0x26, 0x11, 0x26],
        kind: 0,
        ctq: [0x00, 0x80],
        channel: Channel::InApp,
    };
    sample(lines, "card.log.reply", &card::LogReply { entries: heapless::Vec::from_iter([entry]) });
    sample(lines, "card.remove.request", &card::RemoveRequest { card: CARD });
    sample(lines, "card.remove.reply", &card::RemoveReply {});
    sample(lines, "card.time_nonce.request", &card::TimeNonceRequest {});
    sample(lines, "card.time_nonce.reply", &card::TimeNonceReply { nonce: [0x55; 32] });
    let statement = TimeStatement {
        certificate: certificate(),
        nonce: [0x55; 32],
        time: 1_795_608_000,
        signature: [0x66; 64],
    };
    sample(lines, "card.set_time.request", &statement);
    sample(lines, "card.set_time.reply", &card::SetTimeReply {});
    let command = TokenCommand {
        certificate: certificate(),
        card: CARD,
        key_version: 1,
        sequence: 2,
        action: TokenAction::Resume,
        signature: [0x67; 64],
    };
    sample(lines, "card.token_command.request", &command);
    let state = Some(CardState::SuspendedByHolder);
    sample(lines, "card.token_command.reply", &card::TokenCommandReply { state });
    sample(lines, "card.suspend.request", &card::SuspendRequest { card: CARD });
    sample(lines, "card.suspend.reply", &card::SuspendReply {});
    sample(lines, "card.resume.request", &card::ResumeRequest { card: CARD });
    sample(lines, "card.resume.reply", &card::ResumeReply { state: CardState::Suspended });
    let nfc = card::NfcStateReply { left_ms: card::NFC_LIFE_MS, taps: card::NFC_TAPS };
    sample(lines, "card.nfc_state.request", &card::NfcStateRequest {});
    sample(lines, "card.nfc_state.reply", &nfc);
    sample(lines, "card.nfc_on.request", &card::NfcOnRequest { card: CARD });
    sample(lines, "card.nfc_on.reply", &nfc);
    sample(lines, "card.nfc_off.request", &card::NfcOffRequest {});
    sample(lines, "card.nfc_off.reply", &card::NfcStateReply { left_ms: 0, taps: 0 });
    limited_samples(lines);
    sample(lines, "card.tap_prepare.request", &card::TapPrepareRequest { card: CARD, verified: true });
    sample(lines, "card.tap_prepare.reply", &card::TapPrepareReply { taps: ATC_RANGE, verified_ms: 59_000 });
    let gpo = card::TapGpoRequest {
        card: CARD,
        aid: bytes(&AID_UNIONPAY_DEBIT),
        command: bytes(&[0x80, 0xA8, 0, 0]),
    };
    sample(lines, "card.tap_gpo.request", &gpo);
    sample(lines, "card.tap_gpo.reply", &card::TapGpoReply { response: bytes(&[0x69, 0x86]), record: None });
    sample(lines, "card.contact_reset.request", &card::ContactResetRequest { card: CARD });
    sample(lines, "card.contact_reset.reply", &card::ContactResetReply {});
    let command = card::ContactCommandRequest { command: bytes(&[0x00, 0x84, 0, 0, 0]) };
    sample(lines, "card.contact_command.request", &command);
    let reply = card::ContactCommandReply { response: bytes(&[0x69, 0x85]) };
    sample(lines, "card.contact_command.reply", &reply);
    let profile = CardProfile {
        format: CardProfile::FORMAT,
        key_version: 1,
        suite: Suite::Pboc3Des,
        cvn: Cvn::V01,
        product: Product::Debit,
        priority: 1,
        label: bytes(b"UnionPay Debit"),
        track2: bytes(&[0x62, 0x99, 0x99, 0x12, 0x34, 0x56, 0x78, 0x90, 0xD3, 0x01, 0x22, 0x20, 0x00, 0x0F]),
        psn: 1,
        aip: [0x7C, 0x00],
        currency: 0x0156,
        online_pin_allowed: true,
        signature_allowed: false,
        verification_from: CardProfile::NEVER,
        verification_status: VerificationStatus::NotAllowed,
        keys: CardKeys::Udk(heapless::Vec::from_iter([ChannelKey {
            channel: Channel::Nfc,
            udk: Key128::new([0x44; 16]),
        }])),
        token: Token {
            par: bytes(b"TV0A0123456789ABCDEFGHIJKLMNO"),
            requestor: *b"62999900001",
            active: true,
            domain: Domain::unlimited(),
        },
        oda: None,
        contact: None,
        last_four: *b"4321",
        art: bytes(b"lab-blue"),
        issuer: bytes(b"Lab Bank A"),
    };
    sample(lines, "profile", &profile);
    profile.check().unwrap();
    let block = document::KeyBlock { channel: Channel::Nfc, block: bytes(b"D0112E0TX00N0000") };
    let contents = document::Contents { profile, blocks: heapless::Vec::from_iter([block]) };
    sample(lines, "contents", &contents);
    let mut test = contents.profile;
    test.keys = CardKeys::Udk(heapless::Vec::new());
    test.oda = Some(Oda {
        afl: bytes(&[0x08, 1, 1, 1]),
        records: heapless::Vec::from_iter([Record { sfi: 1, number: 1, data: bytes(&[0x70, 0]) }]),
        key: OdaKey::Sm2(SecretBytes::new(&[0x55; 32]).unwrap()),
    });
    test.contact = Some(Contact {
        udk: Key128::new([0x66; 16]),
        mac: Key128::new([0x77; 16]),
        encryption: Key128::new([0x88; 16]),
        pin: CardPin::from_ascii(b"1234").unwrap(),
        pin_tries: 3,
        arpc: ArpcMethod::One,
    });
    sample(lines, "profile of a test card", &test);
    test.check().unwrap();
}

#[test]
fn no_byte_on_the_wire_changes() {
    let mut lines = String::new();
    tables(&mut lines);
    supervisor_samples(&mut lines);
    pin_samples(&mut lines);
    binding_samples(&mut lines);
    card_samples(&mut lines);
    payment_samples(&mut lines);
    route_samples(&mut lines);
    key_samples(&mut lines);
    tvm_samples(&mut lines);
    trustlet_samples(&mut lines);
    let written = concat!(env!("CARGO_TARGET_TMPDIR"), "/golden.txt");
    std::fs::write(written, &lines).unwrap();
    for (ours, golden) in lines.lines().zip(GOLDEN.lines()) {
        assert_eq!(ours, golden, "if meant: cp {written} proto/tests/golden.txt");
    }
    assert_eq!(
        lines.lines().count(),
        GOLDEN.lines().count(),
        "if meant: cp {written} proto/tests/golden.txt"
    );
}

#[test]
fn every_method_has_its_own_id_and_a_place_in_the_golden_file() {
    for service in Service::ALL {
        let mut ids: Vec<_> = service.methods().iter().map(|method| method.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), service.methods().len(), "{service:?}");
        for method in service.methods() {
            let request = format!("{}.{}.request = ", service.name(), method.name);
            assert!(GOLDEN.lines().any(|line| line.starts_with(&request)), "no sample: {request}");
        }
    }
}

#[test]
fn values_no_encoder_writes_are_refused() {
    let refuse = |bytes: &[u8], what: &str| {
        assert!(decode_exact::<bool>(bytes).is_err() || bytes.len() > 1, "{what}");
    };
    refuse(&[2], "a boolean is 0 or 1");
    assert!(decode_exact::<Service>(&[9]).is_err(), "there is no service 9");
    assert!(decode_exact::<PinState>(&[0]).is_err(), "there is no state 0");
    assert!(decode_exact::<Option<u8>>(&[2, 0]).is_err(), "an option is 0 or 1");
    // A length beyond the limit, with and without the bytes.
    assert!(decode_exact::<Bytes<4>>(&[0, 5, 1, 2, 3, 4, 5]).is_err());
    assert!(Bytes::<4>::decode(&mut Reader::new(&[0xFF, 0xFF])).is_err());
}

#[test]
fn a_pin_is_four_to_twelve_digits_in_a_frame_of_one_length() {
    for good in [&b"0000"[..], b"123456789012"] {
        let mut frame = [0; Pin::MAX];
        assert_eq!(encode_into(&Pin::from_ascii(good).unwrap(), &mut frame), Ok(Pin::MAX));
    }
    for bad in [&b""[..], b"123", b"1234567890123", b"12a4", b"12 4", "１２３４".as_bytes()] {
        assert_eq!(Pin::from_ascii(bad).err(), Some(Error::PinFormat), "{bad:?}");
    }
    let mut frame = *b"\x041234\0\0\0\0\0\0\0\0";
    assert!(decode_exact::<Pin>(&frame).is_ok());
    frame[12] = b'5';
    assert!(decode_exact::<Pin>(&frame).is_err(), "digits behind the length");
    frame[12] = 0;
    for len in [0, 3, 13, 0xFF] {
        frame[0] = len;
        assert!(decode_exact::<Pin>(&frame).is_err(), "length {len}");
    }
}
