//! The TEE's end of SCP03 against the software element, both against sessions of foreign programs, and
//! a relay between them that does what it likes. `vectors/scp03*.json` say who made them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use serde_json::Value;
use tapvault_network::{
    element::{ElementKeys, ISSUER_SECURITY_DOMAIN, SoftElement},
    frame::CardLink,
};
use tapvault_proto::{Error, emv::apdu::Command, profile::Key128};
use teei_hypervisor::scp03::{Channel, MAX_DATA, Opening, StaticKeys};

const HOST_CHALLENGE: [u8; 8] = [0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7];
const OBJECT: &[u8] = b"what the TEE keeps in the element";
/// What the host does once the channel is open: instruction and data, always for one tag.
const SCRIPT: [(u8, &[u8]); 4] = [(0xDA, OBJECT), (0xCA, &[]), (0xDA, &[0x5A; 16]), (0xCA, &[])];
/// Frames of a session: two to open and the script, each with its answer. Even numbers are commands.
const FRAMES: usize = (2 + SCRIPT.len()) * 2;

fn host_keys() -> StaticKeys {
    let keys = ElementKeys::lab();
    StaticKeys::new(keys.enc, keys.mac)
}

/// The same element every time, to see what one changed frame does.
fn element() -> SoftElement {
    SoftElement::counting(ElementKeys::lab(), 0)
}

fn command<'a>(ins: u8, data: &'a [u8]) -> Command<'a> {
    Command { cla: 0x80, ins, p1: 0xDF, p2: 0x01, data }
}

fn open(host_challenge: [u8; 8], transmit: &mut impl FnMut(&[u8]) -> Vec<u8>) -> Result<Channel, Error> {
    let (opening, frame) = Opening::begin(host_keys(), 0x30, host_challenge);
    let (pending, frame) = opening.answered(&transmit(&frame))?;
    pending.authenticated(&transmit(&frame))
}

/// Opens a channel and runs the script: the answers in clear. Asserts that a failed channel stays dead.
fn session(
    host_challenge: [u8; 8],
    mut transmit: impl FnMut(&[u8]) -> Vec<u8>,
) -> Result<Vec<Vec<u8>>, Error> {
    let mut channel = open(host_challenge, &mut transmit)?;
    let mut answers = Vec::new();
    for (ins, data) in SCRIPT {
        let frame = channel.seal(&command(ins, data))?;
        let response = transmit(&frame);
        match channel.open(&response) {
            Ok(answer) => answers.push(answer.as_bytes().to_vec()),
            Err(error) => {
                assert!(!channel.is_open());
                assert_eq!(channel.open(&response), Err(Error::ChannelBroken));
                assert_eq!(channel.seal(&command(0xCA, &[])), Err(Error::ChannelBroken));
                return Err(error);
            }
        }
    }
    Ok(answers)
}

/// A session through a relay that sees, and may change, every frame by its number.
fn relayed(
    element: &mut SoftElement,
    mut relay: impl FnMut(usize, Vec<u8>) -> Vec<u8>,
) -> Result<Vec<Vec<u8>>, Error> {
    let mut number = 0;
    session(HOST_CHALLENGE, |command| {
        let command = relay(number, command.to_vec());
        let response = relay(number + 1, element.transmit(&command));
        number += 2;
        response
    })
}

/// The frames and answers of a session that nobody disturbs.
fn recorded() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut frames = Vec::new();
    let answers = relayed(&mut element(), |_, frame| {
        frames.push(frame.clone());
        frame
    })
    .unwrap();
    assert_eq!(frames.len(), FRAMES);
    (frames, answers)
}

fn ok(data: &[u8]) -> Vec<u8> {
    [data, &[0x90, 0x00]].concat()
}

fn vector(text: &str) -> (Value, impl Fn(&Value) -> Vec<u8>) {
    (serde_json::from_str(text).unwrap(), |value: &Value| hex::decode(value.as_str().unwrap()).unwrap())
}

#[test]
fn both_ends_equal_a_session_of_yubikit_and_openssl() {
    let (file, bytes) = vector(include_str!("vectors/scp03_session.json"));
    let key = |name: &str| Key128::new(bytes(&file[name]).try_into().unwrap());
    let version = bytes(&file["key_version"])[0];
    let sequence = u32::from_str_radix(file["sequence"].as_str().unwrap(), 16).unwrap();
    let keys = ElementKeys { version, enc: key("key_enc"), mac: key("key_mac") };
    let mut element = SoftElement::counting(keys, sequence);
    let exchanges = file["exchanges"].as_array().unwrap();
    for exchange in exchanges {
        let response = element.transmit(&bytes(&exchange["command"]));
        assert_eq!(response, bytes(&exchange["response"]), "{exchange}");
    }

    let keys = StaticKeys::new(key("key_enc"), key("key_mac"));
    let [first, second, rest @ ..] = exchanges.as_slice() else { unreachable!("a session has two") };
    let host_challenge = bytes(&file["host_challenge"]).try_into().unwrap();
    let (opening, frame) = Opening::begin(keys, version, host_challenge);
    assert_eq!(frame.as_slice(), bytes(&first["command"]));
    let (pending, frame) = opening.answered(&bytes(&first["response"])).unwrap();
    assert_eq!(frame.as_slice(), bytes(&second["command"]));
    let mut channel = pending.authenticated(&bytes(&second["response"])).unwrap();
    for exchange in rest {
        let plain = bytes(&exchange["plain_command"]);
        let frame = channel.seal(&Command::parse(&plain).unwrap()).unwrap();
        assert_eq!(frame.as_slice(), bytes(&exchange["command"]), "{exchange}");
        let answer = channel.open(&bytes(&exchange["response"])).unwrap();
        assert_eq!(answer.as_bytes(), bytes(&exchange["plain_response"]), "{exchange}");
    }
    assert_eq!(rest.len(), 7);
}

#[test]
fn both_ends_derive_the_vectors_cryptograms() {
    let (file, bytes) = vector(include_str!("vectors/scp03.json"));
    let key = || Key128::new(bytes(&file["static"]).try_into().unwrap());
    let host_challenge: [u8; 8] = bytes(&file["host_challenge"]).try_into().unwrap();
    let (opening, _) = Opening::begin(StaticKeys::new(key(), key()), 1, host_challenge);
    let challenge = bytes(&file["card_challenge"]);
    let answer = [&[0; 10], &[0x01, 0x03, 0x60][..], &challenge, &bytes(&file["card_cryptogram"])].concat();
    let (_, frame) = opening.answered(&ok(&answer)).unwrap();
    assert_eq!(frame[5..13], bytes(&file["host_cryptogram"]));

    let mut element = SoftElement::counting(ElementKeys { version: 1, enc: key(), mac: key() }, 0);
    let answer = element.transmit(&[&[0x80, 0x50, 0x00, 0x00, 0x08][..], &host_challenge, &[0x00]].concat());
    let expected = &file["pseudo_random_card_challenge(seq000001,aid A000000151000000)"];
    assert_eq!(answer[13..21], bytes(expected));
    assert_eq!(answer[29..], [0x00, 0x00, 0x01, 0x90, 0x00]);
}

#[test]
fn what_the_host_puts_it_gets_again() {
    let (frames, answers) = recorded();
    assert_eq!(answers, [ok(&[]), ok(OBJECT), ok(&[]), ok(&[0x5A; 16])]);
    for frame in &frames {
        assert!(!frame.windows(8).any(|window| OBJECT.starts_with(window)), "the relay reads {frame:02X?}");
    }
    // With challenges drawn at random too.
    let mut element = SoftElement::new(ElementKeys::lab());
    assert_eq!(relayed(&mut element, |_, frame| frame), Ok(answers));
}

fn is_command(number: usize) -> bool {
    number.is_multiple_of(2)
}

/// Le and what an element says of itself beside its cryptogram are under no MAC; nobody acts on them.
fn is_ignored(number: usize, byte: usize, length: usize) -> bool {
    match number {
        1 => byte < 10 || (29..32).contains(&byte),
        2 => false,
        _ => is_command(number) && byte + 1 == length,
    }
}

#[test]
fn no_flipped_bit_passes() {
    let (frames, honest) = recorded();
    for (number, frame) in frames.iter().enumerate() {
        for bit in 0..frame.len() * 8 {
            let mut element = element();
            let result = relayed(&mut element, |at, mut frame| {
                if at == number {
                    frame[bit / 8] ^= 1 << (bit % 8);
                }
                frame
            });
            let place = format!("frame {number}, byte {}, bit {}", bit / 8, bit % 8);
            if is_ignored(number, bit / 8, frame.len()) {
                assert_eq!(result.as_ref(), Ok(&honest), "{place}");
            } else {
                assert!(result.is_err(), "{place}: {result:02X?}");
                assert!(!is_command(number) || !element.has_channel(), "{place}: the element went on");
            }
        }
    }
}

#[test]
fn no_frame_can_be_left_out() {
    let (frames, _) = recorded();
    // To the host it is the same whether the command or its answer was dropped: the relay has nothing to
    // give, or an answer from before.
    for number in (1..FRAMES).step_by(2) {
        let before = frames.iter().take(number).skip(1).step_by(2).cloned();
        for instead in before.chain([Vec::new()]) {
            let result =
                relayed(&mut element(), |at, frame| if at == number { instead.clone() } else { frame });
            assert!(result.is_err(), "{instead:02X?} as frame {number}");
        }
    }
    // The element ends the channel at the command after the missing one.
    for missing in (0..FRAMES - 2).step_by(2) {
        let mut element = element();
        for number in (0..FRAMES).step_by(2).filter(|number| *number != missing) {
            let passed = element.transmit(&frames[number]) == frames[number + 1];
            assert_eq!(passed, number < missing, "frame {number} without {missing}");
        }
        assert!(!element.has_channel());
    }
}

#[test]
fn no_command_works_twice() {
    for number in 1..FRAMES / 2 {
        let mut element = element();
        let mut at = 0;
        let result = session(HOST_CHALLENGE, |command| {
            let response = element.transmit(command);
            if at == number {
                let again = element.transmit(command);
                assert!(matches!(again[..], [0x69, _]), "command {number}: {again:02X?}");
                assert!(!element.has_channel());
            }
            at += 1;
            response
        });
        // The host learns of it at its next command, if there is one.
        assert_eq!(result.is_err(), number + 1 < FRAMES / 2, "command {number}");
    }
}

#[test]
fn no_answer_works_twice() {
    let mut element = element();
    let mut channel = open(HOST_CHALLENGE, &mut |frame| element.transmit(frame)).unwrap();
    let response = element.transmit(&channel.seal(&command(0xDA, OBJECT)).unwrap());
    assert_eq!(channel.open(&response).unwrap().status(), 0x9000);
    assert_eq!(channel.open(&response), Err(Error::ChannelBroken));
    assert_eq!(channel.seal(&command(0xCA, &[])), Err(Error::ChannelBroken));
}

#[test]
fn frames_cannot_change_places() {
    let (frames, _) = recorded();
    for first in 0..FRAMES / 2 - 1 {
        let mut element = element();
        let mut order: Vec<usize> = (0..FRAMES).step_by(2).collect();
        order.swap(first, first + 1);
        for (place, number) in order.into_iter().enumerate() {
            let passed = element.transmit(&frames[number]) == frames[number + 1];
            // INITIALIZE UPDATE is answered at any time.
            assert_eq!(passed, place < first || number == 0, "frame {number} in place {place}");
        }
        assert!(!element.has_channel());
    }
    for first in (1..FRAMES - 2).step_by(2) {
        let result = relayed(&mut element(), |at, frame| match at {
            _ if at == first => frames[first + 2].clone(),
            _ if at == first + 2 => frames[first].clone(),
            _ => frame,
        });
        assert!(result.is_err(), "answers {first} and {}", first + 2);
    }
}

#[test]
fn no_injected_status_passes() {
    let codes = [0x6985_u16, 0x6A82, 0x6A88, 0x6700, 0x6282, 0x6300, 0x63C0, 0x6100, 0x6C10, 0x9000];
    for code in codes {
        for number in (1..FRAMES).step_by(2) {
            // 9000 is what EXTERNAL AUTHENTICATE answers; the next test forges it.
            if (number, code) == (3, 0x9000) {
                continue;
            }
            let status = code.to_be_bytes().to_vec();
            let result =
                relayed(&mut element(), |at, frame| if at == number { status.clone() } else { frame });
            assert!(result.is_err(), "{code:04X} as frame {number}");
        }
    }
}

#[test]
fn a_forged_acceptance_ends_at_the_first_answer() {
    let result = relayed(&mut element(), |at, frame| match at {
        // Nothing the element could accept.
        2 => vec![0x84, 0x82, 0x33, 0x00],
        3 => vec![0x90, 0x00],
        _ => frame,
    });
    assert_eq!(result, Err(Error::ChannelBroken));
}

#[test]
fn a_recorded_session_opens_nothing_again() {
    let (frames, _) = recorded();
    let mut used = element();
    open(HOST_CHALLENGE, &mut |frame| used.transmit(frame)).unwrap();
    for mut element in [used, SoftElement::new(ElementKeys::lab())] {
        let answer = element.transmit(&frames[0]);
        assert!(answer.ends_with(&[0x90, 0x00]) && answer != frames[1]);
        for number in (2..FRAMES).step_by(2) {
            assert!(matches!(element.transmit(&frames[number])[..], [0x69, _]), "frame {number}");
        }
    }
    let mut answers = frames.iter().skip(1).step_by(2);
    let result = session([0xD0; 8], |_| answers.next().cloned().unwrap_or_default());
    assert_eq!(result, Err(Error::ElementNotAuthentic));
}

#[test]
fn neither_end_opens_for_other_keys() {
    let other = || Key128::new([7; 16]);
    let lab = ElementKeys::lab();
    let mut element = SoftElement::new(ElementKeys { mac: other(), ..lab });
    assert_eq!(relayed(&mut element, |_, frame| frame), Err(Error::ElementNotAuthentic));
    // No cryptogram is under Key-ENC: another one shows at the first data.
    let mut element = SoftElement::new(ElementKeys { enc: other(), ..ElementKeys::lab() });
    assert_eq!(relayed(&mut element, |_, frame| frame), Err(Error::ChannelBroken));
    let mut element = SoftElement::new(ElementKeys { version: 0x31, ..ElementKeys::lab() });
    assert_eq!(relayed(&mut element, |_, frame| frame), Err(Error::ElementRefused));
}

#[test]
fn a_command_too_long_is_refused_and_the_channel_goes_on() {
    let mut element = element();
    let mut channel = open(HOST_CHALLENGE, &mut |frame| element.transmit(frame)).unwrap();
    let data = [7; MAX_DATA + 1];
    assert_eq!(channel.seal(&command(0xDA, &data)), Err(Error::BadParameters));
    let response = element.transmit(&channel.seal(&command(0xDA, OBJECT)).unwrap());
    assert_eq!(channel.open(&response).unwrap().as_bytes(), [0x90, 0x00]);
    // The longest that fits reaches the applet, for which it is too long.
    let response = element.transmit(&channel.seal(&command(0xDA, &data[1..])).unwrap());
    assert_eq!(response, [0x67, 0x00]);
    assert!(element.has_channel());
    assert_eq!(
        channel.open(&response),
        Err(Error::ChannelBroken),
        "an error has no MAC, the element's own too"
    );
}

#[test]
fn the_element_keeps_eight_objects_of_128_bytes() {
    let mut element = element();
    let mut channel = open(HOST_CHALLENGE, &mut |frame| element.transmit(frame)).unwrap();
    let mut exchange = |ins, tag: u8, data: &[u8]| {
        let frame = channel.seal(&Command { cla: 0x80, ins, p1: 0xDF, p2: tag, data }).unwrap();
        let response = element.transmit(&frame);
        channel.open(&response).map(|answer| answer.as_bytes().to_vec()).map_err(|_| response)
    };
    assert_eq!(exchange(0xCA, 0, &[]), Ok(vec![0x62, 0x82]), "no object yet");
    for tag in 0..8 {
        assert_eq!(exchange(0xDA, tag, &[tag; 128]), Ok(ok(&[])));
    }
    assert_eq!(exchange(0xDA, 7, &[0xFF]), Ok(ok(&[])), "in place of the one before");
    assert_eq!(exchange(0xCA, 6, &[]), Ok(ok(&[6; 128])));
    assert_eq!(exchange(0xCA, 7, &[]), Ok(ok(&[0xFF])));
    assert_eq!(exchange(0xDA, 8, &[8]), Err(vec![0x6A, 0x84]));
}

#[test]
fn the_element_does_nothing_outside_a_channel() {
    let mut element = element();
    let select = [&[0x00, 0xA4, 0x04, 0x00, 0x08][..], &ISSUER_SECURITY_DOMAIN, &[0x00]].concat();
    for (frame, status) in [
        ("80CADF0100", 0x6982),
        ("84CADF010800000000000000", 0x6700),
        ("84CADF01080000000000000000", 0x6982),
        ("80DADF01015A", 0x6982),
        ("848233001000000000000000000000000000000000", 0x6985),
        ("00A4040007A000000151000100", 0x6A82),
        ("80503000070102030405060700", 0x6700),
        ("8050310008010203040506070800", 0x6A88),
        ("8050300108010203040506070800", 0x6A86),
        ("", 0x6700),
    ] {
        let frame = hex::decode(frame).unwrap();
        let response = element.transmit(&frame);
        assert_eq!(response, u16::to_be_bytes(status), "{frame:02X?}");
    }
    assert!(element.transmit(&select).starts_with(&[0x6F, 0x10, 0x84, 0x08]));

    for end in [&select[..], &[0x80, 0xCA, 0xDF, 0x01, 0x00], &[0x00]] {
        open(HOST_CHALLENGE, &mut |frame| element.transmit(frame)).unwrap();
        assert!(element.has_channel());
        element.transmit(end);
        assert!(!element.has_channel(), "{end:02X?} leaves the channel open");
    }
    open(HOST_CHALLENGE, &mut |frame| element.transmit(frame)).unwrap();
    assert_eq!(element.power_on().unwrap(), [0x3B, 0x80, 0x80, 0x01]);
    assert_eq!(format!("{element:?}"), "SoftElement { has_channel: false, .. }");
}
