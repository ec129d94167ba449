//! The other side of a pad in tests: the factory, and the PIN trusted app's end of the channel.
#![allow(dead_code, reason = "not every test needs all of it")]

use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tapvault_pad::random::{Random, System};
use tapvault_pad_link::{
    Keys,
    tee::{Awaiting, Offered},
};
use tapvault_proto::{
    pad::{
        Entered, PadAnswer, PadKeys, PadMessage, PadOffer, PadPurpose, PadShow, PadSuite, Pairing, Showing,
    },
    pin::Pin,
    wire::{Bytes, Wire, encode_into},
};

/// Signs with the lab's factory root, which everybody can.
pub fn lab_pairing(sequence: u32, tee: &PadKeys, pad: &PadKeys) -> Pairing {
    pairing_by(b"tapvault lab factory root", sequence, tee, pad)
}

/// Signs with a factory root that is computed from a label.
pub fn pairing_by(label: &[u8], sequence: u32, tee: &PadKeys, pad: &PadKeys) -> Pairing {
    let root = SigningKey::from_slice(&Sha256::digest(label)).unwrap();
    let mut pairing = Pairing { sequence, tee: *tee, pad: *pad, signature: [0; 64] };
    let signature: Signature = root.sign(&pairing.signed_bytes());
    pairing.signature = signature.to_bytes().into();
    pairing
}

/// Draws keys.
pub fn draw_keys() -> Keys {
    Keys::draw(&mut draw).unwrap()
}

/// Random bytes.
pub fn draw(bytes: &mut [u8]) {
    System.fill(bytes).unwrap();
}

/// A message's bytes.
pub fn encoded(message: &PadMessage) -> Vec<u8> {
    let mut bytes = vec![0; PadMessage::MAX];
    let len = encode_into(message, &mut bytes).unwrap();
    bytes.truncate(len);
    bytes
}

/// The PIN trusted app's end.
pub struct Tee {
    pub keys: Keys,
    pub pairing: Pairing,
    pub suite: PadSuite,
}

impl Tee {
    /// One that is paired with these keys, number 1.
    pub fn paired_with(pad: &PadKeys, suite: PadSuite) -> Self {
        let keys = draw_keys();
        let pairing = lab_pairing(1, keys.public(), pad);
        Self { keys, pairing, suite }
    }

    /// Offers a session.
    pub fn offer(&self) -> (Offered, PadOffer) {
        Offered::new(self.suite, &self.pairing, &mut draw).unwrap()
    }

    /// Takes the answer, and says what is to be shown.
    pub fn show(&self, offered: Offered, answer: &PadAnswer, showing: &Showing) -> (Awaiting, PadShow) {
        offered.accept(&self.keys, &self.pairing, answer).unwrap().show(showing).unwrap()
    }
}

/// Something to show: 12.00 CNY for a bookshop, 50 seconds.
pub fn showing(purpose: PadPurpose) -> Showing {
    Showing {
        purpose,
        amount: 1200,
        currency: 156,
        payee: Bytes::from_slice(b"Bookshop").unwrap(),
        digest: [0x5A; 32],
        life_s: 50,
    }
}

/// What was entered, as text.
pub fn text(entered: &Entered) -> String {
    let digits = |pin: &Pin| {
        let (digits, len) = pin.expose();
        String::from_utf8(digits[..usize::from(len)].to_vec()).unwrap()
    };
    match entered {
        Entered::Nothing => "nothing".into(),
        Entered::Pin(pin) => digits(pin),
        Entered::Change(present, new) => format!("{} to {}", digits(present), digits(new)),
        Entered::CardData(data) => String::from_utf8(data.expose_number().to_vec()).unwrap(),
    }
}

/// A folder of its own for a test, empty, under the target folder.
pub fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}
