use crate::{
    Keys, pad,
    pairing::check,
    schedule::{Ephemeral, SessionKeys},
    tee,
};
use p256::ecdsa::{SigningKey, signature::Signer};
use std::{vec, vec::Vec};
use tapvault_proto::{
    Error,
    pad::{End, Entered, PadAnswer, PadOffer, PadPurpose, PadShow, PadSuite, Pairing, Showing, transcript},
    pin::Pin,
    wire::{Bytes, Wire, decode_exact, encode_into},
};

const SUITES: [PadSuite; 2] = [PadSuite::P256, PadSuite::Sm2];

/// Bytes that differ from draw to draw.
fn counting(from: u8) -> impl FnMut(&mut [u8]) {
    let mut next = from;
    move |out| {
        for byte in out {
            next = next.wrapping_mul(5).wrapping_add(1);
            *byte = next;
        }
    }
}

fn factory() -> SigningKey {
    SigningKey::from_slice(&[7; 32]).unwrap()
}

struct Ends {
    tee: Keys,
    pad: Keys,
    pairing: Pairing,
}

impl Ends {
    fn paired(sequence: u32) -> Self {
        let (tee, pad) = (Keys::draw(&mut counting(1)).unwrap(), Keys::draw(&mut counting(2)).unwrap());
        let mut pairing = Pairing { sequence, tee: *tee.public(), pad: *pad.public(), signature: [0; 64] };
        let signature: p256::ecdsa::Signature = factory().sign(&pairing.signed_bytes());
        pairing.signature = signature.to_bytes().into();
        Self { tee, pad, pairing }
    }

    fn root(&self) -> [u8; 65] {
        factory().verifying_key().to_sec1_point(false).as_bytes().try_into().unwrap()
    }

    fn offer(&self, suite: PadSuite) -> (tee::Offered, PadOffer) {
        tee::Offered::new(suite, &self.pairing, &mut counting(3)).unwrap()
    }

    fn answer(&self, offer: &PadOffer) -> (pad::Answered, PadAnswer) {
        pad::Answered::new(&self.pad, &self.pairing, offer, &mut counting(4)).unwrap()
    }
}

fn showing() -> Showing {
    Showing {
        purpose: PadPurpose::ApprovePayment,
        amount: 12_345,
        currency: 0x0156,
        payee: Bytes::from_slice(b"Teahouse").unwrap(),
        digest: [9; 32],
        life_s: 60,
    }
}

fn bytes<W: Wire>(message: &W) -> Vec<u8> {
    let mut bytes = vec![0; W::MAX];
    let len = encode_into(message, &mut bytes).unwrap();
    bytes.truncate(len);
    bytes
}

/// Every message that differs in one bit of one byte, as far as it is one.
fn altered<W: Wire>(message: &W) -> impl Iterator<Item = W> {
    let bytes = bytes(message);
    (0..bytes.len()).filter_map(move |at| {
        let mut other = bytes.clone();
        other[at] ^= 1 << (at % 8);
        decode_exact(&other).ok()
    })
}

#[test]
fn what_is_shown_and_entered_arrives() {
    for suite in SUITES {
        let ends = Ends::paired(1);
        let (offered, offer) = ends.offer(suite);
        let (answered, answer) = ends.answer(&offer);
        let session = offered.accept(&ends.tee, &ends.pairing, &answer).unwrap();
        let (awaiting, show) = session.show(&showing()).unwrap();
        let (reply, seen) = answered.open(&show).unwrap();
        assert_eq!(seen, showing());
        let frame = reply.seal(&Entered::Pin(Pin::from_ascii(b"135790").unwrap())).unwrap();
        let Entered::Pin(pin) = awaiting.open(&frame).unwrap() else { panic!("a PIN was entered") };
        assert_eq!(pin.expose(), (b"135790\0\0\0\0\0\0", 6));
    }
}

#[test]
fn an_answer_altered_in_any_byte_brings_no_session() {
    for suite in SUITES {
        let ends = Ends::paired(1);
        let (_, offer) = ends.offer(suite);
        let (_, answer) = ends.answer(&offer);
        for other in altered(&answer) {
            let (offered, _) = ends.offer(suite);
            let refused = offered.accept(&ends.tee, &ends.pairing, &other).err();
            assert_eq!(refused, Some(Error::PadUntrusted));
        }
    }
}

#[test]
fn an_offer_altered_in_any_byte_brings_no_session() {
    for suite in SUITES {
        let ends = Ends::paired(1);
        let (_, offer) = ends.offer(suite);
        for other in altered(&offer) {
            let answered = pad::Answered::new(&ends.pad, &ends.pairing, &other, &mut counting(4));
            let Ok((_, answer)) = answered else { continue };
            let (offered, _) = ends.offer(suite);
            let refused = offered.accept(&ends.tee, &ends.pairing, &answer).err();
            assert_eq!(refused, Some(Error::PadUntrusted));
        }
    }
}

#[test]
fn a_pad_shows_nothing_that_was_altered_in_any_byte() {
    for suite in SUITES {
        let ends = Ends::paired(1);
        let (offered, offer) = ends.offer(suite);
        let (_, answer) = ends.answer(&offer);
        let session = offered.accept(&ends.tee, &ends.pairing, &answer).unwrap();
        let (_, show) = session.show(&showing()).unwrap();
        for other in altered(&show) {
            let (answered, _) = ends.answer(&offer);
            let expected = if other.proof == show.proof { Error::FrameInvalid } else { Error::PadUntrusted };
            assert_eq!(answered.open(&other).err(), Some(expected));
        }
    }
}

/// A session of both ends as far as something is shown.
fn shown(ends: &Ends, suite: PadSuite) -> (tee::Awaiting, pad::Reply, PadShow) {
    let (offered, offer) = ends.offer(suite);
    let (answered, answer) = ends.answer(&offer);
    let session = offered.accept(&ends.tee, &ends.pairing, &answer).unwrap();
    let (awaiting, show) = session.show(&showing()).unwrap();
    let (reply, _) = answered.open(&show).unwrap();
    (awaiting, reply, show)
}

#[test]
fn a_frame_altered_in_any_byte_does_not_open() {
    for suite in SUITES {
        let ends = Ends::paired(1);
        let (_, reply, show) = shown(&ends, suite);
        let frame = reply.seal(&Entered::Nothing).unwrap();
        for other in altered(&frame) {
            let (awaiting, ..) = shown(&ends, suite);
            assert_eq!(awaiting.open(&other).err(), Some(Error::FrameInvalid));
        }
        // Its own frame, sent back.
        let (awaiting, ..) = shown(&ends, suite);
        assert_eq!(awaiting.open(&show.frame).err(), Some(Error::FrameInvalid));
    }
}

#[test]
fn a_frame_of_another_session_does_not_open() {
    for suite in SUITES {
        let ends = Ends::paired(1);
        let (_, reply, _) = shown(&ends, suite);
        let recorded = reply.seal(&Entered::Pin(Pin::from_ascii(b"1234").unwrap())).unwrap();
        let (offered, offer) = tee::Offered::new(suite, &ends.pairing, &mut counting(100)).unwrap();
        let (_, answer) = ends.answer(&offer);
        let session = offered.accept(&ends.tee, &ends.pairing, &answer).unwrap();
        let (awaiting, _) = session.show(&showing()).unwrap();
        assert_eq!(awaiting.open(&recorded).err(), Some(Error::FrameInvalid));
    }
}

#[test]
fn who_was_not_paired_gets_no_session() {
    for suite in SUITES {
        let ends = Ends::paired(1);
        let foreign = Keys::draw(&mut counting(50)).unwrap();
        // A pad with other keys that claims the pairing.
        let (offered, offer) = ends.offer(suite);
        let claimed = Pairing { pad: *foreign.public(), ..ends.pairing };
        let (_, answer) = pad::Answered::new(&foreign, &claimed, &offer, &mut counting(4)).unwrap();
        assert_eq!(offered.accept(&ends.tee, &ends.pairing, &answer).err(), Some(Error::PadUntrusted));
        let refused = pad::Answered::new(&foreign, &ends.pairing, &offer, &mut counting(4)).err();
        assert_eq!(refused, Some(Error::PadNotPaired));
        // Who makes an offer without the trusted app's keys: an answer comes, and no proof can follow it.
        let claimed = Pairing { tee: *foreign.public(), ..ends.pairing };
        let (offered, offer) = tee::Offered::new(suite, &claimed, &mut counting(3)).unwrap();
        let (answered, answer) = ends.answer(&offer);
        let session = offered.accept(&foreign, &ends.pairing, &answer).unwrap();
        let (_, show) = session.show(&showing()).unwrap();
        assert_eq!(answered.open(&show).err(), Some(Error::PadUntrusted));
    }
}

#[test]
fn an_offer_under_another_pairing_is_refused() {
    let (old, new) = (Ends::paired(1), Ends::paired(2));
    let (_, offer) = old.offer(PadSuite::P256);
    let refused = pad::Answered::new(&new.pad, &new.pairing, &offer, &mut counting(4)).err();
    assert_eq!(refused, Some(Error::PadNotPaired));
}

#[test]
fn a_pairing_is_kept_once_for_its_own_keys_by_the_factorys_word() {
    let ends = Ends::paired(5);
    let root = ends.root();
    for (end, keys) in [(End::Tee, &ends.tee), (End::Pad, &ends.pad)] {
        let ours = keys.public();
        assert_eq!(check(&ends.pairing, &root, end, ours, 0), Ok(()));
        assert_eq!(check(&ends.pairing, &root, end, ours, 4), Ok(()));
        assert_eq!(check(&ends.pairing, &root, end, ours, 5), Err(Error::PairingNotNewer));
        assert_eq!(check(&ends.pairing, &ours.key, end, ours, 0), Err(Error::PairingInvalid));
        for other in altered(&ends.pairing) {
            assert_eq!(check(&other, &root, end, ours, 0), Err(Error::PairingInvalid));
        }
    }
    assert_eq!(check(&ends.pairing, &root, End::Tee, ends.pad.public(), 0), Err(Error::PairingInvalid));
}

#[test]
fn both_ends_draw_the_same_keys_and_each_direction_has_its_own() {
    for suite in SUITES {
        let ends = Ends::paired(1);
        let (one, one_public) = Ephemeral::draw(suite, &mut counting(8)).unwrap();
        let (two, two_public) = Ephemeral::draw(suite, &mut counting(9)).unwrap();
        let offer = PadOffer { suite, sequence: 1, ephemeral: one_public };
        let bound = transcript(None, &ends.pairing, &offer, &two_public);
        let [mine, theirs]: [SessionKeys; 2] =
            [one.agree(&two_public, &bound).unwrap(), two.agree(&one_public, &bound).unwrap()];
        assert_eq!((mine.down, mine.up), (theirs.down, theirs.up));
        assert_ne!(mine.down, mine.up);
    }
}
