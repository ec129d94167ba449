//! Claims about the TEE's end alone. `network/tests/scp03.rs` holds it against an element and against
//! sessions that foreign programs made.

use super::{
    Authenticating, CHALLENGE, Channel, MAC, MAX_DATA, Opening, StaticKeys,
    channel::unpadded,
    context,
    keys::{Cryptogram, SessionKeys},
};
use std::{format, vec::Vec};
use tapvault_proto::{Error, emv::apdu::Command, profile::Key128};

/// Of `network/tests/vectors/scp03.json`, as are all values below.
const STATIC: &str = "404142434445464748494A4B4C4D4E4F";
const HOST_CHALLENGE: [u8; CHALLENGE] = [1, 2, 3, 4, 5, 6, 7, 8];
const CARD_CHALLENGE: [u8; CHALLENGE] = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88];
const CARD_CRYPTOGRAM: &str = "C9FEDCE39B144A90";
const HOST_CRYPTOGRAM: &str = "DE473C9D1F1A1BD8";

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    let mut bytes = [0; N];
    assert_eq!(hex::decode_to_slice(hex, &mut bytes), Ok(()));
    bytes
}

fn static_keys() -> StaticKeys {
    StaticKeys::new(Key128::new(bytes(STATIC)), Key128::new(bytes(STATIC)))
}

fn session_keys() -> SessionKeys {
    SessionKeys::derive(&static_keys(), &context(HOST_CHALLENGE, CARD_CHALLENGE))
}

/// An answer to INITIALIZE UPDATE.
fn answer(information: [u8; 3], cryptogram: &str, rest: &[u8]) -> Vec<u8> {
    let cryptogram: [u8; MAC] = bytes(cryptogram);
    [&[0xD1; 10], &information[..], &CARD_CHALLENGE, &cryptogram, rest].concat()
}

fn answered(key_version: u8, response: &[u8]) -> Result<Authenticating, Error> {
    let (opening, _) = Opening::begin(static_keys(), key_version, HOST_CHALLENGE);
    opening.answered(response).map(|(authenticating, _)| authenticating)
}

fn channel() -> Channel {
    Channel::new(session_keys(), [0; 16])
}

fn command(cla: u8, data: &[u8]) -> Command<'_> {
    Command { cla, ins: 0xDA, p1: 0xDF, p2: 0x01, data }
}

/// A right answer to the command last sealed by `channel`.
fn response(channel: &Channel, body: &[u8], status: [u8; 2]) -> Vec<u8> {
    let mac = channel.live.as_ref().map(|live| live.keys.response_mac(&live.chain, body, status));
    [body, &mac.unwrap_or_default(), &status].concat()
}

#[test]
fn session_keys_and_cryptograms_equal_the_vector() {
    let keys = session_keys();
    assert_eq!(*keys.enc.expose(), bytes("C72081FA050D03F8952FB161C0A0837E"));
    assert_eq!(*keys.mac.expose(), bytes("D284493AFFD4EFFD154AF9A30C9030A5"));
    assert_eq!(*keys.rmac.expose(), bytes("EC1C0B9AADC05B606932A2165338892D"));
    let context = context(HOST_CHALLENGE, CARD_CHALLENGE);
    assert_eq!(keys.cryptogram(Cryptogram::Card, &context), bytes(CARD_CRYPTOGRAM));
    assert_eq!(keys.cryptogram(Cryptogram::Host, &context), bytes(HOST_CRYPTOGRAM));
}

#[test]
fn opens_only_for_the_cryptogram_of_its_keys() {
    let (opening, frame) = Opening::begin(static_keys(), 0x30, HOST_CHALLENGE);
    assert_eq!(frame.as_slice(), [&[0x80, 0x50, 0x30, 0x00, 0x08][..], &HOST_CHALLENGE, &[0x00]].concat());
    let (_, frame) = opening.answered(&answer([0x30, 3, 0x60], CARD_CRYPTOGRAM, &[0x90, 0x00])).unwrap();
    assert_eq!(frame.len(), 21);
    assert_eq!(frame[..5], [0x84, 0x82, 0x33, 0x00, 0x10]);
    assert_eq!(frame[5..13], bytes::<MAC>(HOST_CRYPTOGRAM));

    for other in [HOST_CRYPTOGRAM, "C9FEDCE39B144A91", "49FEDCE39B144A90", "0000000000000000"] {
        let response = answer([0x30, 3, 0x60], other, &[0x90, 0x00]);
        assert_eq!(answered(0x30, &response).err(), Some(Error::ElementNotAuthentic), "{other}");
    }
}

#[test]
fn opens_only_for_the_protocol_and_key_version_asked_for() {
    let counted = [0x00, 0x00, 0x01, 0x90, 0x00];
    for (asked, information, rest, ok) in [
        (0x30, [0x30, 0x03, 0x60], &counted[3..], true),
        (0x00, [0x31, 0x03, 0x60], &counted[3..], true),
        (0x30, [0x30, 0x03, 0x70], &counted[..], true),
        // Another key version; SCP02; S16; without R-ENCRYPTION; without R-MAC.
        (0x30, [0x31, 0x03, 0x60], &counted[3..], false),
        (0x30, [0x30, 0x02, 0x60], &counted[3..], false),
        (0x30, [0x30, 0x03, 0x61], &counted[3..], false),
        (0x30, [0x30, 0x03, 0x20], &counted[3..], false),
        (0x30, [0x30, 0x03, 0x00], &counted[3..], false),
        // The counter is there exactly when the options say so.
        (0x30, [0x30, 0x03, 0x60], &counted[..], false),
        (0x30, [0x30, 0x03, 0x70], &counted[3..], false),
    ] {
        let result = answered(asked, &answer(information, CARD_CRYPTOGRAM, rest));
        assert_eq!(
            result.err(),
            (!ok).then_some(Error::ElementNotAuthentic),
            "{information:02X?} {rest:02X?}"
        );
    }
}

#[test]
fn an_answer_of_any_other_length_opens_nothing() {
    let whole = answer([0x30, 3, 0x60], CARD_CRYPTOGRAM, &[]);
    for length in 0..whole.len() {
        let response = [&whole[..length], &[0x90, 0x00]].concat();
        assert_eq!(answered(0x30, &response).err(), Some(Error::ElementNotAuthentic), "{length} bytes");
    }
    assert_eq!(answered(0x30, &[0x90]).err(), Some(Error::ElementNotAuthentic));
    assert_eq!(answered(0x30, &[0x6A, 0x88]).err(), Some(Error::ElementRefused));
}

#[test]
fn accepts_nothing_but_success_from_external_authenticate() {
    for (response, ok) in
        [(&[0x90, 0x00][..], true), (&[0x63, 0x00], false), (&[], false), (&[0, 0x90, 0], false)]
    {
        let pending = Authenticating { keys: session_keys(), chain: [0; 16] };
        assert_eq!(pending.authenticated(response).err(), (!ok).then_some(Error::ElementRefused));
    }
}

#[test]
fn a_command_too_long_or_of_another_class_changes_nothing() {
    let (mut tried, mut other) = (channel(), channel());
    for (cla, length) in [(0x80, MAX_DATA + 1), (0x80, 255), (0x84, 1), (0x81, 1), (0x90, 1), (0x0C, 1)] {
        assert_eq!(tried.seal(&command(cla, &[7; 256][..length])), Err(Error::BadParameters), "{cla:02X}");
    }
    let longest = [7; MAX_DATA];
    let frame = tried.seal(&command(0x80, &longest)).unwrap();
    assert_eq!(frame.len(), 5 + 240 + MAC + 1);
    assert_eq!(Ok(frame), other.seal(&command(0x80, &longest)));
}

#[test]
fn a_command_before_the_answer_ends_the_channel() {
    let mut channel = channel();
    channel.seal(&command(0x80, &[])).unwrap();
    let answer = response(&channel, &[], [0x90, 0x00]);
    assert_eq!(channel.seal(&command(0x80, &[])), Err(Error::ChannelBroken));
    assert_eq!(channel.open(&answer), Err(Error::ChannelBroken));
}

#[test]
fn an_answer_opens_once_and_never_before_a_command() {
    let mut channel = channel();
    channel.seal(&command(0x80, &[])).unwrap();
    let answer = response(&channel, &[], [0x90, 0x00]);
    assert_eq!(channel.open(&answer).unwrap().as_bytes(), [0x90, 0x00]);
    assert_eq!(channel.open(&answer), Err(Error::ChannelBroken));
    assert_eq!(channel.seal(&command(0x80, &[])), Err(Error::ChannelBroken));
    assert!(!channel.is_open());
}

#[test]
fn warnings_under_a_mac_are_answers_and_errors_are_not() {
    for (status, ok) in [
        ([0x62, 0x82], true),
        ([0x63, 0xC2], true),
        ([0x61, 0x10], false),
        ([0x6A, 0x88], false),
        ([0x90, 0x01], false),
    ] {
        let mut channel = channel();
        channel.seal(&command(0x80, &[])).unwrap();
        // Even an error that carries a right MAC, which no element sends.
        let answer = response(&channel, &[], status);
        assert_eq!(channel.open(&answer).is_ok(), ok, "{status:02X?}");
        assert_eq!(channel.is_open(), ok);
    }
}

#[test]
fn data_that_is_no_padded_block_ends_the_channel() {
    for body in [&[0x5A; 16][..], &[0x5A; 15], &[0x5A; 1], &[0x5A; 241]] {
        let mut channel = channel();
        channel.seal(&command(0x80, &[])).unwrap();
        let answer = response(&channel, body, [0x90, 0x00]);
        assert_eq!(channel.open(&answer), Err(Error::ChannelBroken), "{} bytes", body.len());
    }
}

#[test]
fn padding_is_a_mark_and_fifteen_zeros_at_most() {
    let mut padded = [0xFF; 32];
    for (zeros, length) in [(0, Some(31)), (1, Some(30)), (15, Some(16)), (16, None)] {
        padded[31 - zeros] = 0x80;
        padded[32 - zeros..].fill(0);
        assert_eq!(unpadded(&padded), length, "{zeros} zeros");
    }
    assert_eq!(unpadded(&[0; 16]), None);
    assert_eq!(unpadded(&[0x81; 16]), None);
    assert_eq!(unpadded(&[0x80; 1]), Some(0));
}

#[test]
fn debug_shows_no_key_or_challenge() {
    let (opening, _) = Opening::begin(static_keys(), 0x30, HOST_CHALLENGE);
    let pending = Authenticating { keys: session_keys(), chain: [0; 16] };
    assert_eq!(
        format!("{opening:?} {pending:?} {:?}", channel()),
        "Opening { .. } Authenticating { .. } Channel { is_open: true, .. }"
    );
}
