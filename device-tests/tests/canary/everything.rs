//! Every method of cards, PIN and trustlets' keys, as it is meant and as it is not.

use crate::{
    secrets::{
        BLOCKS, CARD_ID, KINDS, RANDOM, RANDOM_OUTWARD, RANDOM_PAD, RANDOM_SESSION, made, pin_key,
        plant_outward, plant_pad_keys, plant_pad_session, plant_seal, trustlet_key,
    },
    watch::{Recorded, Watched, plant},
};
use sha2::{Digest, Sha256};
use tapvault::{Channel, Transport, Wallet, online::approval, transport::call, wallet::Purpose};
use tapvault_device_tests::{
    canary::{self, CANARY_PIN, seal::hmac},
    contact,
    lab::{self, Carrier, Digits, Lab},
    oda::{Read, WANTS_ODA},
    pad::{self, LabPad, Opened},
    random::Random,
    scenarios::binding::{CVN2, EXPIRY, NUMBER, at_desk},
    trustlets::bank::{Bank, named},
};
use tapvault_network::{
    contact::ContactRules,
    element::{self as network, SoftElement},
    kind::CardKind,
    lab::LabBank,
    oda::OdaKind,
    online::Payee,
    registry::CNY,
};
use tapvault_proto::{
    PROTOCOL_VERSION,
    bank_pin::PinBlockFormat,
    card::{METHODS as CARD, RemoveRequest},
    device::{ChallengeReply, Sealing},
    document::SealedPackage,
    element::InstallElementKeysRequest,
    emv::apdu::StatusWord,
    id::{Address, Caller, CardId, ProviderId, TrustletName, login},
    limited::ReplenishRequest,
    offline::Offline,
    online::{OnlinePayRequest, PaymentData},
    pad::{PadMessage, PadOfferRequest, PadSuite},
    pin::{BeginVerifyRequest, FinishRequest, METHODS as PIN, TakeConfirmation, TicketPurpose, Transfer},
    profile::{CardProfile, Product},
    refused::ConfirmPrepareRequest,
    route::Endpoint,
    service::{Request, Service},
    token::TokenAction,
    trustlet::{
        Forwarded, Owner,
        keys::{CloseKey, CloseKeys, Decrypt, DeriveKey, Encrypt, KeyAlgorithm, Mac, OpenKey, Sign},
    },
    tvm::ElementKeys,
    wire::{Bytes, Wire},
};
use tapvault_tee::rollback;

const LIMITED: CardId = CardId([0xCB; 16]);

/// Installs a canary of a kind, after a challenge at [`RANDOM`].
fn install(watched: &Watched, lab: &mut Lab, wallet: &mut Wallet<Recorded>, sealing: Sealing) -> CardProfile {
    lab::certify(wallet).unwrap();
    watched.phone.device.borrow_mut().random = RANDOM;
    let challenge = wallet.card_challenge_for(sealing).unwrap();
    let (package, profile) = canary::package(lab, CARD_ID, &challenge).unwrap();
    let parsed = SealedPackage::parse(package.as_bytes()).unwrap();
    plant_seal(sealing, &parsed.encapsulated, &parsed.header.info());
    wallet.add_card(package.as_bytes()).unwrap();
    profile
}

/// Brings [`LIMITED`] two keys, after a challenge at [`RANDOM`].
fn replenish(watched: &Watched, lab: &mut Lab, wallet: &mut Wallet<Recorded>) {
    watched.phone.device.borrow_mut().random = RANDOM;
    let challenge = wallet.card_challenge().unwrap();
    let batch = lab.issuer.key_batch(LIMITED, 2, lab::TIME + 900).unwrap();
    for key in batch.keys.iter().flatten() {
        plant(|canaries| canaries.add("limited-use key", key.expose()));
    }
    let request = lab.provider.seal_batch(LIMITED, &challenge, &batch).unwrap();
    let info = ReplenishRequest::info(&request.challenge, LIMITED, lab.provider_id());
    plant_seal(Sealing::Hpke, &request.encapsulated, &info);
    wallet.replenish(&request).unwrap();
}

/// What a TVM asks for in a trustlet's name.
fn ask<R: Wire>(channel: &mut impl Channel, guest: u32, request: R) -> <Forwarded<R> as Request>::Reply
where
    Forwarded<R>: Request,
{
    call(channel, &Forwarded { owner: owner(guest), request }).unwrap()
}

fn owner(guest: u32) -> Owner {
    Owner { name: named("canary"), generation: [7; 16], guest }
}

/// Opens trustlets' keys of every kind, uses and closes some of them; the rest ends with the session.
fn trustlets(watched: &Watched) {
    let bank = Bank::lab("A");
    let caller = Caller { login: login::TRUSTED_APP, uuid: bank.tvm() };
    let transport = watched.transport.as_caller(caller);
    let mut tvm = transport.connect(Service::Card).unwrap();
    let message = Bytes::from_iter(*b"a message");
    for guest in 1..=2 {
        let open = |tvm: &mut _, algorithm: KeyAlgorithm| {
            let label = Bytes::from_iter(*b"label");
            let secret = trustlet_key(watched, bank.id, &owner(guest), &label, algorithm);
            plant(|canaries| canaries.add("trustlet's key", &secret));
            (secret, ask(tvm, guest, OpenKey { label, algorithm }).handle)
        };
        let (secret, handle) = open(&mut tvm, KeyAlgorithm::HmacSha256);
        let mac = ask(&mut tvm, guest, Mac { handle, message: message.clone() }).mac;
        // That these are the secrets.
        assert_eq!(mac, hmac(&secret, &[&message]));
        let (parent, from) = open(&mut tvm, KeyAlgorithm::Derive);
        let derived = made(&parent, &[b"derived", b"context"], KeyAlgorithm::EcdsaP256);
        plant(|canaries| canaries.add("trustlet's derived key", &derived));
        let (context, algorithm) = (Bytes::from_iter(*b"context"), KeyAlgorithm::EcdsaP256);
        let p256 = ask(&mut tvm, guest, DeriveKey { handle: from, context, algorithm }).handle;
        let (_, sm2) = open(&mut tvm, KeyAlgorithm::Sm2);
        for handle in [p256, sm2] {
            ask(&mut tvm, guest, Sign { handle, message: message.clone() });
        }
        let (_, gcm) = open(&mut tvm, KeyAlgorithm::Aes128Gcm);
        let plain = Bytes::from_slice(&canary::bytes("a trustlet's secret")).unwrap();
        let sealed = ask(&mut tvm, guest, Encrypt { handle: gcm, plain: plain.clone() }).sealed;
        assert_eq!(ask(&mut tvm, guest, Decrypt { handle: gcm, sealed }).plain, plain);
        if guest == 1 {
            ask(&mut tvm, guest, CloseKey { handle });
            ask(&mut tvm, guest, CloseKeys {});
        }
    }
    let mut pin = transport.connect(Service::Pin).unwrap();
    let payee = Bytes::from_slice(b"somebody").unwrap();
    let request = TakeConfirmation { transfer: Transfer { amount: 1, currency: CNY, payee } };
    call(&mut pin, &Forwarded { owner: Owner { name: named("transit"), ..owner(1) }, request }).unwrap();
}

/// Calls every method that a wallet has, as it is meant.
pub fn use_everything(watched: &Watched) {
    let (mut wallet, mut lab) = (watched.wallet(), Lab::new().unwrap());
    let provider = lab.provider_id();
    wallet.status().unwrap();
    watched.phone.device.borrow_mut().random = RANDOM_PAD;
    pad::pair(&mut wallet).unwrap();
    plant_pad_keys(watched);
    let ticket = lab.provider.ticket(TicketPurpose::Enrol, wallet.pin_challenge().unwrap());
    wallet.set_pin(ticket, &mut Digits::of(&[CANARY_PIN])).unwrap();
    for (suite, oda, sealing, key_blocks) in KINDS {
        lab.kind = CardKind { suite, oda, ..CardKind::default() };
        lab.key_blocks = key_blocks;
        let profile = install(watched, &mut lab, &mut wallet, sealing);
        wallet.cards().unwrap();
        wallet.show(CARD_ID).unwrap();
        lab.set_time(&mut wallet).unwrap();
        let purpose = Purpose { card: CARD_ID, ceiling: 100_000, currency: CNY };
        wallet.verify_pin(provider, purpose, &mut Digits::of(&[CANARY_PIN])).unwrap();
        wallet.nfc_on(CARD_ID).unwrap();
        wallet.verify_pin(provider, purpose, &mut Digits::of(&["000000000000"])).unwrap_err();
        for verified in [true, false] {
            lab.verify(&mut wallet, CARD_ID, CANARY_PIN).unwrap();
            let mut tap = wallet.prepare_tap(CARD_ID, verified).unwrap();
            let read = Read::tap(&mut tap, WANTS_ODA, [1, 2, 3, 4]).unwrap();
            assert_eq!(read.get(0x9F4B).is_ok(), profile.oda.is_some());
            assert_eq!(tap.transmit(&lab::gpo_command(100, true)).status(), 0x6985);
        }
        wallet.qr_code(provider, CARD_ID, &mut Digits::of(&[CANARY_PIN])).unwrap();
        let merchant = Payee::merchant("898110048990001", "Tea Shop").unwrap();
        let order = merchant.own_order("1", (100, CNY), lab::TIME + 900).unwrap();
        for payee in [merchant, Payee::wallet().unwrap()] {
            let request = payee.request(order.clone()).unwrap();
            let digest = Sha256::digest(request.signed_bytes().unwrap()).into();
            plant_outward(&request.certificate.recipient, &PaymentData::info(&digest));
            let request = request.to_json().unwrap();
            let shown = approval(CARD_ID, &request).unwrap();
            wallet.approve(provider, shown, &mut Digits::of(&[CANARY_PIN])).unwrap();
            watched.phone.device.borrow_mut().random = RANDOM_OUTWARD;
            wallet.prepare_online(CARD_ID, &request).unwrap();
            wallet.call(&OnlinePayRequest { card: CARD_ID }).unwrap();
        }
        wallet.card_log(CARD_ID).unwrap();
        let command = lab.provider.command(CARD_ID, profile.key_version, 1, TokenAction::Suspend);
        wallet.token_command(command).unwrap();
        let command = lab.provider.command(CARD_ID, profile.key_version, 2, TokenAction::Resume);
        wallet.token_command(command).unwrap();
        wallet.suspend(CARD_ID).unwrap();
        lab.verify(&mut wallet, CARD_ID, CANARY_PIN).unwrap();
        wallet.resume(CARD_ID).unwrap();
        wallet.nfc_off().unwrap();
    }
    lab.key_blocks = None;
    let test = contact::test_card(&lab, ContactRules::default());
    let id = contact::issue(&lab, &mut wallet, &test).unwrap();
    let mut card = wallet.insert_card(id).unwrap();
    contact::begin(&mut card, &test).unwrap();
    assert_eq!(card.transmit(&contact::verify(&test.rules.pin)).status(), 0x9000);
    let data = contact::terminal_data(100, [0; 5], [1, 2, 3, 4]);
    assert_eq!(card.transmit(&contact::command(0x80, 0xAE, 0x80, 0, &data)).status(), 0x9000);
    wallet.remove_card(id).unwrap();
    wallet.change_pin(provider, &mut Digits::of(&[CANARY_PIN, "1357"])).unwrap();
    wallet.change_pin(provider, &mut Digits::of(&["1357", CANARY_PIN])).unwrap();
    let name = TrustletName::new(b"transit").unwrap();
    let payee = Bytes::from_slice(b"somebody").unwrap();
    let transfer = Transfer { amount: 1, currency: CNY, payee };
    let trustlet = Address { provider, name };
    wallet.confirm_transfer(&trustlet, transfer, &mut Digits::of(&[CANARY_PIN])).unwrap();
    wallet.pin_state(provider).unwrap();
    wallet.pin_delay(provider).unwrap();
    let challenge = wallet.pin_challenge().unwrap();
    wallet.unlock_pin(&lab.provider.unlock(challenge, 1)).unwrap();
    // The bank PIN, in every format; the keys of its blocks come from canaries.
    for (format, identifier) in PinBlockFormat::ALL.into_iter().zip(0..) {
        let challenge = wallet.pin_key_challenge().unwrap();
        let key = pin_key(format, identifier);
        wallet.install_pin_key(&lab.provider.seal_pin_key(&challenge, &key).unwrap()).unwrap();
        for _ in 0..BLOCKS {
            wallet.bank_pin(provider, CARD_ID, &mut Digits::of(&[CANARY_PIN])).unwrap();
        }
    }
    // A card in the secure element, and what the holder chooses.
    watched.phone.device.borrow_mut().random = RANDOM;
    let ChallengeReply { challenge, recipient, .. } = wallet.card_challenge().unwrap();
    let network::ElementKeys { version, enc, mac } = network::ElementKeys::lab();
    let keys = ElementKeys { version, enc, mac };
    let request = lab.provider.element_keys(&challenge, &recipient, &keys).unwrap();
    plant_seal(Sealing::Hpke, &request.encapsulated, &InstallElementKeysRequest::info(&challenge, provider));
    wallet.install_element_keys(&request).unwrap();
    let mut element = SoftElement::new(network::ElementKeys::lab());
    let verified = |wallet: &mut _| lab.verify(wallet, CARD_ID, CANARY_PIN).unwrap();
    verified(&mut wallet);
    wallet.put_in_element(CARD_ID, &mut Carrier(&mut element)).unwrap();
    verified(&mut wallet);
    wallet.route(CARD_ID, Product::Debit, Endpoint::Element).unwrap();
    verified(&mut wallet);
    wallet.nfc_on(CARD_ID).unwrap();
    wallet.allow_element_tap(CARD_ID, false, &mut Carrier(&mut element)).unwrap();
    verified(&mut wallet);
    wallet.route(CARD_ID, Product::Debit, Endpoint::Tee).unwrap();
    verified(&mut wallet);
    wallet.choose_card(CARD_ID, true).unwrap();
    verified(&mut wallet);
    wallet.choose_app(CARD_ID, true).unwrap();
    // A card whose keys come in batches, and a card whose data go to its bank.
    lab.rules.limited_use = Some(1);
    lab.issue(&mut wallet, LIMITED).unwrap();
    replenish(watched, &mut lab, &mut wallet);
    wallet.keys_left(LIMITED).unwrap();
    lab.verify(&mut wallet, LIMITED, CANARY_PIN).unwrap();
    // One of the keys is used, another lies in storage.
    drop(wallet.prepare_tap(LIMITED, true).unwrap());
    wallet.remove_card(LIMITED).unwrap();
    // One that approves offline.
    watched.phone.claim(Some(rollback::BY_HARDWARE));
    lab.rules.limited_use = None;
    (lab.kind.oda, lab.rules.offline) = (OdaKind::Sm2, Some(Offline { balance: 100, payment: 100 }));
    lab.issue(&mut wallet, LIMITED).unwrap();
    let command = lab.issuer.load(LIMITED, 100).unwrap();
    assert_eq!(wallet.offline_command(&command).unwrap(), wallet.offline_state(LIMITED).unwrap());
    wallet.remove_card(LIMITED).unwrap();
    let offer = at_desk(&mut lab.issuer, |desk| desk.begin(LabBank::A)).unwrap().unwrap();
    wallet.bind_card(offer, &mut Digits::card(NUMBER, EXPIRY, CVN2)).unwrap();
    for suite in [PadSuite::P256, PadSuite::Sm2] {
        pad_session(watched, &mut wallet, provider, suite);
    }
    trustlets(watched);
}

/// An entry whose session has keys that are looked for.
fn pad_session(watched: &Watched, wallet: &mut Wallet<Recorded>, provider: ProviderId, suite: PadSuite) {
    // What is confirmed exactly was wanted by a terminal before.
    let answer = lab::tap(wallet, CARD_ID, false, &lab::gpo_command(1, true)).unwrap();
    assert_eq!(answer.status(), StatusWord::VerificationNeeded as u16);
    wallet.call(&ConfirmPrepareRequest { card: CARD_ID }).unwrap();
    let mut link = LabPad::default();
    watched.phone.device.borrow_mut().random = RANDOM_SESSION;
    let offer = wallet.call(&PadOfferRequest { suite }).unwrap();
    let Ok(PadMessage::Answer(answer)) = link.answer(&PadMessage::Offer(offer)) else { panic!("no answer") };
    plant_pad_session(&wallet.pad_state().unwrap().pairing.unwrap(), &offer, &answer);
    wallet.call(&answer).unwrap();
    let (ceiling, currency, exact) = (1, CNY, true);
    let verify = BeginVerifyRequest { provider, card: CARD_ID, ceiling, currency, exact };
    let mut opened = Opened::of(link, &wallet.call(&verify).unwrap()).unwrap();
    wallet.call(&opened.pin(CANARY_PIN).unwrap()).unwrap();
    wallet.call(&FinishRequest { entry: opened.entry }).unwrap();
}

/// Calls every method that there is with bytes that it does not expect.
pub fn misuse_everything(watched: &Watched) {
    let mut random = Random::new(7);
    for (service, methods) in [(Service::Card, CARD), (Service::Pin, PIN)] {
        let mut channel = watched.transport.connect(service).unwrap();
        // The card stays until the end.
        let stays = |id: &u32| (service, *id) != (Service::Card, RemoveRequest::METHOD);
        for method in methods.iter().filter(|method| stays(&method.id)) {
            for len in [0, 1, 16, 17, 33, method.max_request, method.max_request + 1] {
                for fill in [0x00, 0xCA, 0xFF] {
                    let mut request = vec![fill; len + 1];
                    request[0] = PROTOCOL_VERSION as u8;
                    let _ = channel.invoke(method.id, &request);
                    request[1..].fill_with(|| random.byte());
                    let _ = channel.invoke(method.id, &request);
                }
            }
        }
        for id in [0, 0x0002, 0x01FF, u32::MAX] {
            channel.invoke(id, &[PROTOCOL_VERSION as u8]).unwrap_err();
        }
    }
}
