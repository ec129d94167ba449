//! A client between the TEE and the secure element that carries what it likes: nothing but the element's next
//! answer is taken for it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tapvault_network::element::{ElementKeys, SoftElement};
use tapvault_proto::{Error, emv::apdu::Command};
use teei_hypervisor::scp03::{Authenticating, Channel, MAX_DATA, Opening, StaticKeys};

/// Takes from the input: nothing is left at its end.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte().unwrap_or(0)).min(self.0.len());
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        bytes
    }

    /// What the client makes of an answer: itself most often, else altered, cut, lengthened or any bytes.
    fn carried(&mut self, answer: &[u8]) -> Vec<u8> {
        let mut carried = answer.to_vec();
        match self.byte().unwrap_or(0) {
            0xF0 => {
                let (at, bit) = (usize::from(self.byte().unwrap_or(0)), self.byte().unwrap_or(0) % 8);
                let at = at % carried.len().max(1);
                carried.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << bit);
            }
            0xF1 => carried.truncate(usize::from(self.byte().unwrap_or(0))),
            0xF2 => carried.extend(self.bytes()),
            0xF3 => carried = self.bytes().to_vec(),
            0xF4 => carried = [self.bytes(), &[0x90, 0x00]].concat(),
            _ => {}
        }
        carried
    }
}

fn opened(input: &mut Input<'_>, element: &mut SoftElement) -> Option<Channel> {
    let keys = ElementKeys::lab();
    let (opening, frame) = Opening::begin(StaticKeys::new(keys.enc, keys.mac), 0x30, [7; 8]);
    let answer = element.transmit(&frame);
    let carried = input.carried(&answer);
    let authenticating: Result<(Authenticating, _), Error> = opening.answered(&carried);
    // The diversification data and the counter are not authentic, so they may differ.
    assert!(authenticating.is_err() || carried.get(13..29) == answer.get(13..29), "a foreign cryptogram");
    let (authenticating, frame) = authenticating.ok()?;
    authenticating.authenticated(&input.carried(&element.transmit(&frame))).ok()
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let mut element = SoftElement::counting(ElementKeys::lab(), 0);
    let Some(mut channel) = opened(&mut input, &mut element) else { return };
    while let Some(ins) = input.byte() {
        let data = input.bytes();
        let command = Command { cla: 0x80, ins, p1: 0xDF, p2: 0x01, data };
        let frame = match channel.seal(&command) {
            Ok(frame) => frame,
            Err(Error::BadParameters) => {
                assert!(data.len() > MAX_DATA && channel.is_open());
                continue;
            }
            Err(error) => panic!("{error:?}"),
        };
        let answer = element.transmit(&frame);
        let carried = input.carried(&answer);
        match channel.open(&carried) {
            Ok(plain) => {
                assert!(carried == answer && plain.as_bytes().ends_with(&answer[answer.len() - 2..]))
            }
            Err(error) => {
                assert_eq!(error, Error::ChannelBroken);
                // For good, whatever comes.
                assert!(!channel.is_open());
                assert_eq!(channel.open(&answer), Err(Error::ChannelBroken));
                assert_eq!(channel.seal(&command), Err(Error::ChannelBroken));
                return;
            }
        }
    }
});
