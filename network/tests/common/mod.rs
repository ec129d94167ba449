//! A card in software, made with this crate's own cryptograms, and what tests of payments share.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test support; each test uses a part"
)]

pub mod binding;

use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use std::io;
use tapvault_network::{
    device::Factory,
    frame::CardLink,
    kind::CardKind,
    lab::LabBank,
    registry::{CNY, HolderRules, Order, TokenRules},
    request::{AuthorisationRequest, CardAnswer},
    suite,
    terminal::{Payment, Reach},
};
use tapvault_proto::{
    device::{ChallengeReply, DeviceKeyReply, Sealing},
    emv::{
        AID_UNIONPAY_DEBIT,
        apdu::{Response, StatusWord},
        application::{CardApplication, Record, StaticAnswers},
        gpo::PdolData,
        tlv,
    },
    id::CardId,
    profile::CardProfile,
    token::Channel,
    wire::Bytes,
};

/// The card id of the tests.
pub const CARD: CardId = CardId([0xC1; 16]);

/// An order for [`CARD`] with a token.
pub fn order(token: &str) -> Order {
    Order {
        bank: LabBank::A,
        card: CARD,
        token: Some(token.into()),
        last_four: *b"4321",
        expiry: "3112".into(),
        kind: CardKind::default(),
        holder: HolderRules::default(),
        rules: TokenRules::default(),
    }
}

/// A challenge of a certified device, for a key that is the test's own.
pub fn challenge(challenge: [u8; 32], recipient: [u8; 65]) -> ChallengeReply {
    let key = SigningKey::from_slice(&[0x5A; 32]).unwrap();
    let public = key.verifying_key().to_sec1_point(false).as_bytes().try_into().unwrap();
    let keys = DeviceKeyReply { key: public, sm2_key: [0x04; 65], certified: false };
    let certificate = Factory::lab().certify(&keys);
    let sealing = Sealing::Hpke;
    let mut reply = ChallengeReply { sealing, challenge, recipient, certificate, signature: [0; 64] };
    let signature: Signature = key.sign(&reply.signed_bytes());
    reply.signature = signature.to_bytes().into();
    reply
}

/// 12.00 CNY, with or without verification.
pub fn payment(verification_required: bool) -> Payment {
    Payment {
        amount_minor: 1200,
        currency: CNY,
        country: CNY,
        date: [0x26, 0x11, 0x24],
        unpredictable: [0x2B, 0x29, 0xEB, 0xE4],
        verification_required,
        online_pin: false,
        signature: false,
        reach: Reach::Online,
    }
}

/// A card's answer to a terminal: the cryptogram made under `udk`.
pub fn card_answer(profile: &CardProfile, terminal: &PdolData, atc: u16, pin: bool) -> CardAnswer {
    let cvr = [0x03, if pin { 0xA4 } else { 0xA0 }, 0, 0];
    let mut answer = CardAnswer {
        aip: profile.aip,
        atc: atc.to_be_bytes(),
        issuer_data: [
            &[0x07, profile.key_version, profile.cvn as u8],
            &cvr[..],
            &[profile.suite.algorithm()],
        ]
        .concat(),
        cryptogram: [0; 8],
        track2: profile.track2.to_vec(),
        psn: profile.psn,
        ctq: if pin { [0, 0x80] } else { [0, 0] },
    };
    let request = AuthorisationRequest::new(terminal, answer.clone());
    answer.cryptogram = suite::cryptogram(
        profile.suite,
        profile.udk(Channel::Nfc).unwrap(),
        atc,
        &request.covered(profile.cvn, cvr),
    );
    answer
}

/// A request as an honest terminal and card make it.
pub fn request(profile: &CardProfile, atc: u16, pin: bool) -> AuthorisationRequest {
    let terminal = payment(pin).data().unwrap();
    AuthorisationRequest::new(&terminal, card_answer(profile, &terminal, atc, pin))
}

/// One data object.
pub fn object(tag: u16, value: &[u8]) -> Vec<u8> {
    let mut out = Bytes::<600>::new();
    tlv::push(&mut out, tag, value).unwrap();
    out.to_vec()
}

/// The answer to GET PROCESSING OPTIONS as a list of objects, for tests that change one.
pub fn gpo_objects(answer: &CardAnswer) -> Vec<(u16, Vec<u8>)> {
    vec![
        (0x82, answer.aip.to_vec()),
        (0x9F36, answer.atc.to_vec()),
        (0x57, answer.track2.clone()),
        (0x9F10, answer.issuer_data.clone()),
        (0x9F26, answer.cryptogram.to_vec()),
        (0x5F34, vec![answer.psn]),
        (0x9F6C, answer.ctq.to_vec()),
    ]
}

/// The objects in template 77 with 9000.
pub fn gpo_response(objects: &[(u16, Vec<u8>)]) -> Response {
    let body: Vec<u8> = objects.iter().flat_map(|(tag, value)| object(*tag, value)).collect();
    Response::ok(&object(0x77, &body))
}

/// A phone with one card; `change` may falsify any response, by command number from 0.
pub struct SoftCard<F> {
    /// Its keys and data.
    pub profile: CardProfile,
    /// Last transaction counter.
    pub atc: u16,
    /// Whether the wallet PIN was entered.
    pub pin: bool,
    application: CardApplication,
    answers: StaticAnswers,
    commands: usize,
    change: F,
}

impl<F: FnMut(usize, Vec<u8>) -> io::Result<Vec<u8>>> SoftCard<F> {
    /// A card with the given profile.
    pub fn new(profile: CardProfile, change: F) -> Self {
        let entry =
            [object(0x4F, &profile.product.aid()), object(0x50, &profile.label), object(0x87, &[1])].concat();
        let fci =
            |name: &[u8], inner: &[u8]| object(0x6F, &[object(0x84, name), object(0xA5, inner)].concat());
        let record = [object(0x5F24, &[0x31, 0x12, 0x31]), object(0x5F28, &[0x01, 0x56])].concat();
        let record = Record { sfi: 1, number: 1, data: Bytes::from_slice(&object(0x70, &record)).unwrap() };
        let answers = StaticAnswers {
            entry: Bytes::from_slice(&object(0x61, &entry)).unwrap(),
            priority: 1,
            aid: profile.product.aid().into_iter().collect(),
            fci: Bytes::from_slice(&fci(
                &AID_UNIONPAY_DEBIT,
                &[object(0x50, b"UnionPay Debit"), object(0x9F38, profile.cvn.pdol())].concat(),
            ))
            .unwrap(),
            records: [record].into_iter().collect(),
        };
        Self {
            profile,
            atc: 0,
            pin: false,
            application: CardApplication::new(),
            answers,
            commands: 0,
            change,
        }
    }

    fn answer(&mut self, command: &[u8]) -> Vec<u8> {
        let (profile, pin, atc) = (&self.profile, self.pin, &mut self.atc);
        let response =
            self.application.transmit(std::slice::from_ref(&self.answers), command, |_, command| {
                let terminal = match PdolData::from_command(command, profile.cvn) {
                    Ok(terminal) => terminal,
                    Err(status) => return status.into(),
                };
                if terminal.ttq.verification_required() && !pin {
                    return StatusWord::VerificationNeeded.into();
                }
                *atc += 1;
                gpo_response(&gpo_objects(&card_answer(profile, &terminal, *atc, pin))).into()
            });
        response.as_bytes().to_vec()
    }
}

impl<F: FnMut(usize, Vec<u8>) -> io::Result<Vec<u8>>> CardLink for SoftCard<F> {
    fn power_on(&mut self) -> io::Result<Vec<u8>> {
        self.application = CardApplication::new();
        self.commands = 0;
        Ok(vec![0x3B, 0x80, 0x80, 0x01, 0x01])
    }

    fn transmit(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        let response = self.answer(command);
        let number = self.commands;
        self.commands += 1;
        (self.change)(number, response)
    }
}

/// An honest card.
pub fn honest(_: usize, response: Vec<u8>) -> io::Result<Vec<u8>> {
    Ok(response)
}

/// A new empty folder of this process.
pub fn folder(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("tapvault-network-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}
