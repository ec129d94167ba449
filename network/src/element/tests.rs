//! What the element refuses even to somebody who has its keys. `tests/scp03.rs` has the rest.

use super::{ElementKeys, SoftElement, cipher, session::Session};
use tapvault_proto::profile::Key128;

const HOST_CHALLENGE: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

/// A host made of the element's own parts.
struct Insider {
    element: SoftElement,
    session: Session,
    host_cryptogram: [u8; 8],
    chain: Vec<u8>,
}

impl Insider {
    fn new() -> Self {
        let mut element = SoftElement::new(ElementKeys::lab());
        let answer =
            element.transmit(&[&[0x80, 0x50, 0x00, 0x00, 0x08], &HOST_CHALLENGE[..], &[0x00]].concat());
        let context = [&HOST_CHALLENGE, &answer[13..21]].concat();
        let session = Session::new(&ElementKeys::lab(), &context);
        let host_cryptogram = session.cryptogram(cipher::HOST_CRYPTOGRAM, &context);
        Self { element, session, host_cryptogram, chain: vec![0; 16] }
    }

    /// Sends a command with a right MAC.
    fn send(&mut self, header: [u8; 4], body: &[u8]) -> Vec<u8> {
        let command = [&header[..], &[u8::try_from(body.len() + 8).unwrap()], body].concat();
        self.chain = cipher::cmac(&self.session.mac, &[&self.chain, &command[..]].concat()).to_vec();
        self.element.transmit(&[&command[..], &self.chain[..8]].concat())
    }

    fn authenticate(&mut self) -> Vec<u8> {
        let cryptogram = self.host_cryptogram;
        self.send([0x84, 0x82, 0x33, 0x00], &cryptogram)
    }
}

#[test]
fn session_keys_equal_the_vector() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/vectors/scp03.json")).unwrap();
    let bytes = |name: &str| hex::decode(file[name].as_str().unwrap()).unwrap();
    let key = || Key128::new(bytes("static").try_into().unwrap());
    let context = [bytes("host_challenge"), bytes("card_challenge")].concat();
    let session = Session::new(&ElementKeys { version: 1, enc: key(), mac: key() }, &context);
    assert_eq!(session.enc.expose().as_slice(), bytes("S-ENC"));
    assert_eq!(session.mac.expose().as_slice(), bytes("S-MAC"));
    assert_eq!(session.rmac.expose().as_slice(), bytes("S-RMAC"));
    assert_eq!(session.cryptogram(cipher::CARD_CRYPTOGRAM, &context).as_slice(), bytes("card_cryptogram"));
    assert_eq!(session.cryptogram(cipher::HOST_CRYPTOGRAM, &context).as_slice(), bytes("host_cryptogram"));
}

#[test]
fn a_right_mac_does_not_stand_in_for_the_host_cryptogram() {
    let mut host = Insider::new();
    host.host_cryptogram[7] ^= 0x01;
    assert_eq!(host.authenticate(), [0x63, 0x00]);
    assert!(!host.element.has_channel());
}

#[test]
fn no_channel_opens_at_a_lower_level() {
    for level in [0x00, 0x01, 0x03, 0x11, 0x13, 0x30, 0x73] {
        let mut host = Insider::new();
        let cryptogram = host.host_cryptogram;
        assert_eq!(host.send([0x84, 0x82, level, 0x00], &cryptogram), [0x6A, 0x86], "level {level:02X}");
        assert!(!host.element.has_channel());
    }
}

#[test]
fn a_class_that_names_no_secure_messaging_has_none() {
    for (class, passes) in [(0x84, true), (0x80, false), (0x88, false)] {
        let mut host = Insider::new();
        assert_eq!(host.authenticate(), [0x90, 0x00]);
        assert_eq!(host.send([class, 0xCA, 0xDF, 0x01], &[]).ends_with(&[0x62, 0x82]), passes, "{class:02X}");
        assert_eq!(host.element.has_channel(), passes);
    }
}
