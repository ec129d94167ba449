//! The supervisor, TVMs, trustlets and their services.

use super::*;

pub fn supervisor_samples(lines: &mut String) {
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

pub fn tvm_samples(lines: &mut String) {
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

pub fn trustlet_samples(lines: &mut String) {
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

pub fn key_samples(lines: &mut String) {
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
