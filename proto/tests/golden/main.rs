//! Bytes that must not change: one sample of every message, and every row of every table.
//!
//! `golden.txt` is the promise; a new method adds lines, nothing changes one. What the test expects is
//! printed when it fails.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panic")]

mod cards;
mod pins;
#[path = "../sample/mod.rs"]
mod sample;
mod services;

use sample::bytes;
use std::fmt::Write;
use tapvault_proto::{
    Error, PROTOCOL_VERSION,
    approval::{Approval, BeginApprovalRequest, TakeApprovalReply, TakeApprovalRequest},
    bank_pin, binding,
    card::{self, ATC_RANGE, CardEntry, CardState},
    contact::{ArpcMethod, CardPin, Contact},
    device::{self, DeviceCertificate, Sealing},
    document, element as se,
    emv::{
        AID_UNIONPAY_DEBIT,
        application::{Record, StaticAnswers},
    },
    freshness,
    id::{Address, Caller, CardId, Party, ProviderId, TrustletName, Uuid, login},
    limited::{self, KeyBatch, KeysLeft, KeysLeftRequest, LimitedUse, LimitedUseKey, ReplenishRequest},
    offline::{Offline, OfflineCommand, OfflineState, OfflineStateRequest},
    online::{
        OnlinePayReply, OnlinePayRequest, OnlinePrepareRequest, Order, PayeeCertificate, PaymentData, Role,
    },
    pad::{
        self, Entered, Frame, PAD_PATIENCE_S, PadAnswer, PadKeys, PadMessage, PadOffer, PadPurpose, PadShow,
        PadSuite, Pairing, Showing,
    },
    pin::{
        self, EnrolmentTicket, Pin, PinState, ProviderCertificate, TicketPurpose, Verdict, VerificationMethod,
    },
    profile::{CardKeys, Key128, Oda, OdaKey, Product, SecretBytes},
    refused, route,
    service::{Rights, Service},
    supervisor::{self, SessionCount},
    token::{Channel, ChannelKey, TimeStatement, TokenAction, TokenCommand},
    tries,
    trustlet::{Forwarded, Owner, clock, element, keys, log, network, random, store},
    tvm::{self, TrustletState},
    wire::{Bytes, Reader, Wire, decode_exact, encode_into},
};

const GOLDEN: &str = include_str!("../golden.txt");
const CARD: CardId = CardId([0xC1; 16]);
const PROVIDER: ProviderId = ProviderId([0xB2; 16]);
const CALLER: Caller = Caller { login: login::USER, uuid: Uuid([0xA3; 16]) };

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

fn name() -> TrustletName {
    TrustletName::new(b"transit").unwrap()
}

fn address() -> Address {
    Address { provider: PROVIDER, name: name() }
}

fn owned<R>(request: R) -> Forwarded<R> {
    Forwarded { owner: Owner { name: name(), generation: [0x99; 16], guest: 6 }, request }
}

fn certificate() -> ProviderCertificate {
    ProviderCertificate { provider: PROVIDER, key: [0x04; 65], signature: [0x52; 64] }
}

#[test]
fn no_byte_on_the_wire_changes() {
    let mut lines = String::new();
    tables(&mut lines);
    services::supervisor_samples(&mut lines);
    pins::pin_samples(&mut lines);
    pins::binding_samples(&mut lines);
    pins::pad_samples(&mut lines);
    pins::bank_pin_samples(&mut lines);
    pins::freshness_samples(&mut lines);
    cards::card_samples(&mut lines);
    cards::payment_samples(&mut lines);
    cards::route_samples(&mut lines);
    services::key_samples(&mut lines);
    services::tvm_samples(&mut lines);
    services::trustlet_samples(&mut lines);
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
