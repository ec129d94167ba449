//! The PIN, and card data.

use super::*;

pub fn pin_samples(lines: &mut String) {
    let certificate = certificate();
    let ticket = EnrolmentTicket {
        certificate,
        purpose: TicketPurpose::Reset,
        challenge: [0x33; 32],
        signature: [0x53; 64],
    };
    sample(lines, "pin.status.request", &pin::StatusRequest {});
    sample(lines, "pin.status.reply", &pin::StatusReply { protocol: PROTOCOL_VERSION, lab: true });
    sample(lines, "pin.pin_state.request", &pin::PinStateRequest { provider: PROVIDER });
    sample(lines, "pin.pin_state.reply", &pin::PinStateReply { state: PinState::Set, tries_left: 3 });
    sample(lines, "pin.challenge.request", &pin::ChallengeRequest {});
    sample(lines, "pin.challenge.reply", &pin::ChallengeReply { challenge: [0x33; 32] });
    sample(lines, "pin.begin_set.request", &pin::BeginSetRequest { ticket });
    sample(lines, "pin.begin.reply", &pin::EntryReply { entry: 5, tries_left: 2, show: pad_show() });
    let verify = pin::BeginVerifyRequest {
        provider: PROVIDER,
        card: CARD,
        ceiling: 100_000,
        currency: 0x0156,
        exact: false,
    };
    sample(lines, "pin.begin_verify.request", &verify);
    sample(lines, "pin.begin_change.request", &pin::BeginChangeRequest { provider: PROVIDER });
    sample(lines, "pin.submit.request", &pin::SubmitRequest { entry: 5, frame: frame() });
    sample(lines, "pin.submit.reply", &pin::SubmitReply { verdict: Verdict::Wrong, tries_left: 2 });
    sample(lines, "pin.finish.request", &pin::FinishRequest { entry: 5 });
    sample(lines, "pin.finish.reply", &pin::FinishReply { tries_left: 3 });
    sample(
        lines,
        "pin.take_verification.request",
        &pin::TakeVerificationRequest { provider: PROVIDER, card: CARD, app: CALLER, tap: true },
    );
    let taken = pin::TakeVerificationReply {
        method: VerificationMethod::WalletPin,
        ceiling: 100_000,
        currency: 0x0156,
        exact: false,
        remaining_ms: 60_000,
    };
    sample(lines, "pin.take_verification.reply", &taken);
}

pub fn binding_samples(lines: &mut String) {
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
        &binding::CardDataEntryReply { entry: 6, challenge: [0x33; 32], show: pad_show() },
    );
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

fn frame() -> Frame {
    Frame { sequence: 0, sealed: [0xF7; 112] }
}

fn pad_show() -> PadShow {
    PadShow { proof: [0x55; 64], frame: frame() }
}

pub fn pad_samples(lines: &mut String) {
    let keys = |of| PadKeys { key: [of; 65], sm2_key: [of + 1; 65] };
    let pairing = Pairing { sequence: 7, tee: keys(0x41), pad: keys(0x61), signature: [0x56; 64] };
    let offer = PadOffer { suite: PadSuite::Sm2, sequence: 7, ephemeral: [0x04; 65] };
    let answer = PadAnswer { ephemeral: [0x04; 65], signature: [0x57; 64] };
    sample(lines, "pin.pad_state.request", &pad::PadStateRequest {});
    let state = pad::PadStateReply { keys: keys(0x41), pairing: Some(pairing) };
    sample(lines, "pin.pad_state.reply", &state);
    sample(lines, "pin.pair.request", &pairing);
    sample(lines, "pin.pair.reply", &pad::PairReply {});
    sample(lines, "pin.pad_offer.request", &pad::PadOfferRequest { suite: PadSuite::Sm2 });
    sample(lines, "pin.pad_offer.reply", &offer);
    sample(lines, "pin.pad_accept.request", &answer);
    sample(lines, "pin.pad_accept.reply", &pad::PadAcceptReply {});
    let showing = Showing {
        purpose: PadPurpose::ApprovePayment,
        amount: 12_345,
        currency: 0x0156,
        payee: bytes(b"Tea Shop"),
        digest: [0xD1; 32],
        life_s: PAD_PATIENCE_S,
    };
    sample(lines, "pad.showing", &showing);
    let digits = || Pin::from_ascii(b"135790").unwrap();
    sample(lines, "pad.entered.nothing", &Entered::Nothing);
    sample(lines, "pad.entered.pin", &Entered::Pin(digits()));
    sample(lines, "pad.entered.change", &Entered::Change(digits(), Pin::from_ascii(b"864209").unwrap()));
    let data = binding::CardData::from_ascii(b"6299990000000017", b"3112", b"123").unwrap();
    sample(lines, "pad.entered.card_data", &Entered::CardData(data));
    for (name, message) in [
        ("pad.ask_keys", PadMessage::AskKeys),
        ("pad.keys", PadMessage::Keys(keys(0x61))),
        ("pad.pair", PadMessage::Pair(pairing)),
        ("pad.paired", PadMessage::Paired),
        ("pad.offer", PadMessage::Offer(offer)),
        ("pad.answer", PadMessage::Answer(answer)),
        ("pad.show", PadMessage::Show(pad_show())),
        ("pad.entered", PadMessage::Entered(frame())),
        ("pad.refused", PadMessage::Refused),
    ] {
        sample(lines, name, &message);
    }
}

pub fn bank_pin_samples(lines: &mut String) {
    let command = tries::UnlockPinRequest {
        certificate: certificate(),
        challenge: [0x33; 32],
        sequence: 7,
        signature: [0x53; 64],
    };
    sample(lines, "pin.unlock.request", &command);
    sample(lines, "pin.unlock.reply", &tries::UnlockPinReply { tries_left: 3 });
    sample(lines, "pin.delay.request", &tries::PinDelayRequest { provider: PROVIDER });
    sample(lines, "pin.delay.reply", &tries::PinDelayReply { wait_ms: 5000 });
    let delivery = bank_pin::InstallPinKeyRequest {
        certificate: certificate(),
        challenge: [0x33; 32],
        encapsulated: [0x04; 65],
        sealed: [0x5E; bank_pin::PinKey::SEALED],
        signature: [0x53; 64],
    };
    sample(lines, "pin.install_pin_key.request", &delivery);
    sample(lines, "pin.install_pin_key.reply", &bank_pin::InstallPinKeyReply {});
    let key = bank_pin::PinKey {
        format: bank_pin::PinBlockFormat::Iso4,
        identifier: [0x12; 8],
        initial: Key128::new([0x49; 16]),
    };
    sample(lines, "bank PIN key", &key);
    let begin = bank_pin::BeginBankPinRequest { provider: PROVIDER, card: CARD };
    sample(lines, "pin.begin_bank_pin.request", &begin);
    sample(lines, "pin.begin_bank_pin.reply", &bank_pin::BankPinEntryReply { entry: 7, show: pad_show() });
    sample(lines, "pin.finish_bank_pin.request", &bank_pin::FinishBankPinRequest { entry: 7 });
    let block = bank_pin::BankPinBlock {
        format: bank_pin::PinBlockFormat::Iso0,
        identifier: [0x12; 8],
        counter: 9,
        block: bytes(&[0xB1; 8]),
    };
    sample(lines, "pin.finish_bank_pin.reply", &block);
    let token = bytes(b"6292603512345678");
    let offer = bank_pin::OfferTokenRequest { provider: PROVIDER, card: CARD, app: CALLER, token };
    sample(lines, "pin.offer_token.request", &offer);
    sample(lines, "pin.offer_token.reply", &bank_pin::OfferTokenReply {});
    let tap = refused::RefusedTap { amount: 12_345, currency: 0x0156 };
    let offer = refused::OfferRefusedRequest { provider: PROVIDER, card: CARD, app: CALLER, tap };
    sample(lines, "pin.offer_refused.request", &offer);
    sample(lines, "pin.offer_refused.reply", &refused::OfferRefusedReply {});
    sample(lines, "card.confirm_prepare.request", &refused::ConfirmPrepareRequest { card: CARD });
    sample(lines, "card.confirm_prepare.reply", &tap);
    sample(lines, "pin.draw_pin_key.request", &bank_pin::DrawPinKeyRequest {});
    let drawn = bank_pin::DrawPinKeyReply { challenge: [0x33; 32], recipient: [0x04; 65] };
    sample(lines, "pin.draw_pin_key.reply", &drawn);
    sample(lines, "card.pin_key_challenge.request", &bank_pin::PinKeyChallengeRequest {});
    let certificate =
        device::DeviceCertificate { key: [0x04; 65], sm2_key: [0x04; 65], signature: [0x52; 64] };
    let challenge = bank_pin::PinKeyChallenge {
        challenge: [0x33; 32],
        recipient: [0x04; 65],
        certificate,
        signature: [0x53; 64],
    };
    sample(lines, "card.pin_key_challenge.reply", &challenge);
    sample(lines, "card.bank_pin_prepare.request", &bank_pin::BankPinPrepareRequest { card: CARD });
    sample(lines, "card.bank_pin_prepare.reply", &bank_pin::BankPinPrepareReply {});
}

pub fn freshness_samples(lines: &mut String) {
    let counts = |granted| freshness::GrantedTries { provider: PROVIDER, granted };
    let pin = freshness::PinRun {
        nonce: [0x71; 32],
        asked: Some(counts(2)),
        settled: heapless::Vec::from_iter([counts(1)]),
    };
    sample(lines, "pin.pin_run.request", &freshness::PinRunRequest {});
    sample(lines, "pin.pin_run.reply", &pin);
    let issued = freshness::IssuedCard { card: CARD, provider: PROVIDER, key_version: 2 };
    let cards = heapless::Vec::from_iter([issued]);
    let question = freshness::FreshnessQuestion {
        certificate: DeviceCertificate { key: [0x04; 65], sm2_key: [0x05; 65], signature: [0x54; 64] },
        state: freshness::DeviceState { card_nonce: [0x72; 32], cards, pin },
        signature: [0x55; 64],
    };
    sample(lines, "card.ask_freshness.request", &freshness::AskFreshnessRequest {});
    sample(lines, "card.ask_freshness.reply", &question);
    let counters =
        heapless::Vec::from_iter([freshness::HighestCounter { card: CARD, key_version: 2, atc: 17 }]);
    let said = freshness::Freshness {
        card_nonce: [0x72; 32],
        counters,
        pin_nonce: [0x71; 32],
        granted: Some(counts(3)),
    };
    let statement = freshness::FreshnessStatement { said, signature: [0x56; 64] };
    sample(lines, "card.take_freshness.request", &statement);
    sample(lines, "card.take_freshness.reply", &freshness::TakeFreshnessReply { behind: 1 });
    sample(lines, "pin.take_grant.request", &freshness::TakeGrantRequest { statement });
    sample(lines, "pin.take_grant.reply", &freshness::TakeGrantReply {});
}
