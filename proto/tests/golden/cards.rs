//! Cards: keys, taps, ways to pay, routes.

use super::*;

pub fn route_samples(lines: &mut String) {
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
    let verified = se::Verified { ceiling: 100_000, currency: 0x0156, exact: false };
    let leave = se::Leave { card: CARD, key_version: 2, counter: 17, verified: Some(verified) };
    sample(lines, "element leave", &leave);
}

pub fn payment_samples(lines: &mut String) {
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

fn offline_samples(lines: &mut String) {
    sample(lines, "card.offline_state.request", &OfflineStateRequest { card: CARD });
    let state = OfflineState { left: 12_345, counter: 0x0102, sequence: 3 };
    sample(lines, "card.offline_state.reply", &state);
    let command = OfflineCommand {
        certificate: certificate(),
        card: CARD,
        key_version: 1,
        sequence: 3,
        loaded: 50_000,
        closed: 0x0102,
        cleared: 37_655,
        signature: [0x68; 64],
    };
    sample(lines, "card.offline_command.request", &command);
    sample(lines, "card.offline_command.reply", &state);
}

pub fn card_samples(lines: &mut String) {
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
        offline: false,
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
    offline_samples(lines);
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
    let profile = sample::profile();
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
    let udk = Key128::new([0x44; 16]);
    test.keys = CardKeys::Udk(heapless::Vec::from_iter([ChannelKey { channel: Channel::Nfc, udk }]));
    test.contact = None;
    if let Some(oda) = &mut test.oda {
        oda.afl = bytes(&[0x08, 1, 1, 1, 0x18, 1, 1, 0]);
    }
    test.offline = Some(Offline { balance: 50_000, payment: 10_000 });
    sample(lines, "profile of a card that approves offline", &test);
    test.check().unwrap();
}
