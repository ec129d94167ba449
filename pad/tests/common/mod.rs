//! The other side of a pad in tests: the factory, and the PIN trusted app's end of the channel.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support; each test uses a part"
)]

use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use sha2::{Digest, Sha256};
use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
};
use tapvault_pad::{
    random::{Random, System},
    wire,
};
use tapvault_pad_link::{
    Keys,
    tee::{Awaiting, Offered},
};
use tapvault_proto::{
    pad::{
        Entered, PadAnswer, PadKeys, PadMessage, PadOffer, PadPurpose, PadShow, PadSuite, Pairing, Showing,
    },
    pin::Pin,
    wire::{Bytes, Wire, decode_exact, encode_into},
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

    /// One that is paired with whatever pad is at the other end of a stream.
    pub fn pair_over(stream: &mut (impl Read + Write), suite: PadSuite) -> Self {
        let PadMessage::Keys(pad) = ask(stream, &PadMessage::AskKeys) else { panic!("no keys") };
        let tee = Self::paired_with(&pad, suite);
        assert_eq!(ask(stream, &PadMessage::Pair(tee.pairing)), PadMessage::Paired);
        tee
    }

    /// A session over a stream, up to what is shown.
    pub fn show_over(&self, stream: &mut (impl Read + Write), showing: &Showing) -> Awaiting {
        let (offered, offer) = self.offer();
        let PadMessage::Answer(answer) = ask(stream, &PadMessage::Offer(offer)) else { panic!("no answer") };
        let (awaiting, show) = self.show(offered, &answer, showing);
        wire::write(stream, &PadMessage::Show(show)).unwrap();
        awaiting
    }

    /// A whole entry over a stream: what was entered, as text.
    pub fn entry_over(&self, stream: &mut (impl Read + Write), showing: &Showing) -> String {
        let awaiting = self.show_over(stream, showing);
        let PadMessage::Entered(frame) = hear(stream) else { panic!("no frame") };
        text(&awaiting.open(&frame).unwrap())
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

/// Says something, and hears the answer.
pub fn ask(stream: &mut (impl Read + Write), message: &PadMessage) -> PadMessage {
    wire::write(stream, message).unwrap();
    hear(stream)
}

/// Hears a message.
pub fn hear(stream: &mut impl Read) -> PadMessage {
    decode_exact(&wire::read(stream).unwrap().expect("the pad went away")).unwrap()
}

/// Something to show: 12.00 CNY for a bookshop, 50 seconds.
pub fn showing(purpose: PadPurpose) -> Showing {
    Showing {
        purpose,
        amount: 1200,
        currency: 0x0156,
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
