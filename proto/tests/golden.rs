//! Bytes that must not change: one sample of every message, and every row of every table.
//!
//! `golden.txt` is the promise; a new method adds lines, nothing changes one. What the test expects is
//! printed when it fails.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panic")]

use std::fmt::Write;
use tapvault_proto::{
    Error, PROTOCOL_VERSION,
    card::{self, ATC_RANGE, CardEntry, CardState},
    emv::{
        AID_UNIONPAY_DEBIT,
        application::{Record, StaticAnswers},
    },
    id::{Caller, CardId, ProviderId, Uuid, login},
    pin::{
        self, EnrolmentTicket, Pin, PinState, ProviderCertificate, TicketPurpose, Verdict, VerificationMethod,
    },
    profile::{CardProfile, Key128, Suite},
    service::{Rights, Service},
    supervisor::{self, SessionCount},
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
    let admitted =
        supervisor::AdmitReply { epoch: 7, admission: 8, rights: Rights::WALLET.with(Rights::PLATFORM) };
    sample(lines, "supervisor.admit.reply", &admitted);
    sample(lines, "supervisor.release.request", &supervisor::ReleaseRequest { epoch: 7, admission: 8 });
    sample(lines, "supervisor.release.reply", &supervisor::ReleaseReply {});
    let policy = supervisor::InstallPolicyRequest { document: bytes(b"{}"), signature: [0x51; 64] };
    sample(lines, "supervisor.install_policy.request", &policy);
    sample(lines, "supervisor.install_policy.reply", &supervisor::InstallPolicyReply { version: 4 });
    sample(lines, "supervisor.sessions.request", &supervisor::SessionsRequest { service: Service::Card });
    let count = SessionCount { caller: CALLER, live: 2, limit: 4 };
    let sessions = supervisor::SessionsReply { callers: heapless::Vec::from_iter([count]) };
    sample(lines, "supervisor.sessions.reply", &sessions);
}

fn pin_samples(lines: &mut String) {
    let certificate = ProviderCertificate { provider: PROVIDER, key: [0x04; 65], signature: [0x52; 64] };
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
        &pin::TakeVerificationRequest { provider: PROVIDER, card: CARD },
    );
    let taken = pin::TakeVerificationReply {
        method: VerificationMethod::WalletPin,
        ceiling: 100_000,
        currency: 0x0156,
        remaining_ms: 60_000,
    };
    sample(lines, "pin.take_verification.reply", &taken);
}

fn card_samples(lines: &mut String) {
    sample(lines, "card.status.request", &card::StatusRequest {});
    sample(
        lines,
        "card.status.reply",
        &card::StatusReply { protocol: PROTOCOL_VERSION, cards: 2, lab: true },
    );
    sample(lines, "card.challenge.request", &card::ChallengeRequest {});
    sample(
        lines,
        "card.challenge.reply",
        &card::ChallengeReply { challenge: [0x33; 32], recipient: [0x04; 65] },
    );
    sample(lines, "card.install.request", &card::InstallRequest { package: bytes(b"{}") });
    sample(lines, "card.install.reply", &card::InstallReply { card: CARD });
    sample(lines, "card.list.request", &card::ListRequest {});
    let entry = CardEntry { slot: 1, state: CardState::Active, card: CARD, provider: PROVIDER };
    sample(lines, "card.list.reply", &card::ListReply { cards: heapless::Vec::from_iter([entry]) });
    sample(lines, "card.show.request", &card::ShowRequest { card: CARD });
    sample(lines, "card.show.reply", &card::ShowReply { display: bytes(b"{}") });
    sample(lines, "card.static_answers.request", &card::StaticAnswersRequest { card: CARD });
    let answers = StaticAnswers {
        ppse: bytes(&[0x6F, 0x00]),
        aid: bytes(&AID_UNIONPAY_DEBIT),
        fci: bytes(&[0x6F, 0x00]),
        records: heapless::Vec::from_iter([Record { sfi: 1, number: 1, data: bytes(&[0x70, 0x00]) }]),
    };
    sample(lines, "card.static_answers.reply", &answers);
    sample(lines, "card.tap_prepare.request", &card::TapPrepareRequest { card: CARD, verified: true });
    sample(lines, "card.tap_prepare.reply", &card::TapPrepareReply { taps: ATC_RANGE, verified_ms: 59_000 });
    let gpo = card::TapGpoRequest {
        card: CARD,
        aid: bytes(&AID_UNIONPAY_DEBIT),
        command: bytes(&[0x80, 0xA8, 0, 0]),
    };
    sample(lines, "card.tap_gpo.request", &gpo);
    sample(lines, "card.tap_gpo.reply", &card::TapGpoReply { response: bytes(&[0x69, 0x86]) });
    let profile = CardProfile {
        format: CardProfile::FORMAT,
        key_version: 1,
        suite: Suite::Pboc3DesCvn01,
        aid: bytes(&AID_UNIONPAY_DEBIT),
        label: bytes(b"UnionPay Debit"),
        track2: bytes(&[0x62, 0x99, 0x99, 0x12, 0x34, 0x56, 0x78, 0x90, 0xD3, 0x01, 0x22, 0x20, 0x00, 0x0F]),
        psn: 1,
        aip: [0x7C, 0x00],
        currency: 0x0156,
        online_pin_allowed: true,
        signature_allowed: false,
        udk: Key128::new([0x44; 16]),
        last_four: *b"4321",
        art: bytes(b"lab-blue"),
        issuer: bytes(b"Lab Bank A"),
    };
    sample(lines, "profile", &profile);
    profile.check().unwrap();
}

#[test]
fn no_byte_on_the_wire_changes() {
    let mut lines = String::new();
    tables(&mut lines);
    supervisor_samples(&mut lines);
    pin_samples(&mut lines);
    card_samples(&mut lines);
    for (ours, golden) in lines.lines().zip(GOLDEN.lines()) {
        assert_eq!(ours, golden);
    }
    assert_eq!(lines.lines().count(), GOLDEN.lines().count(), "golden.txt should be:\n{lines}");
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
