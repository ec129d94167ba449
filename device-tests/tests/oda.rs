//! Offline data authentication: RSA chains and signatures by the foreign crate `emv`, SM2 by the lab's terminal, which a
//! foreign vector checks.

mod common;

use common::Phone;
use emv::core::oda::{CaPublicKey, recover_icc_public_key, recover_issuer_public_key, verify_dda};
use tapvault_device_tests::{
    lab::{Lab, prepare},
    oda::{Read, WANTS_ODA, packed_token},
};
use tapvault_network::oda::{OdaKind, rsa, sm2};
use tapvault_proto::emv::tlv::find;

/// A terminal's date before the cards expire, MMYY.
const TODAY: [u8; 2] = [0x11, 0x26];

fn taps(kind: OdaKind, count: u8) -> (Lab, Vec<Read>) {
    let (phone, mut lab) = (Phone::new(), Lab::new().unwrap());
    let mut wallet = phone.wallet();
    lab.kind.oda = kind;
    let card = lab.provision(&mut wallet).unwrap();
    let reads = (0..count).map(|number| {
        let mut tap = prepare(&mut wallet, card, false).unwrap();
        Read::tap(&mut tap, WANTS_ODA, [number, 2, 3, 4]).unwrap()
    });
    let reads = reads.collect();
    (lab, reads)
}

/// Whether the foreign library accepts what was read as this card's.
fn accepted(
    lab: &Lab,
    read: &Read,
    signature: &[u8],
    terminal: &[u8],
) -> Result<Vec<u8>, emv::core::error::Error> {
    let (optional, token) = (|tag| read.get(tag).ok(), packed_token(lab).unwrap());
    let authority = CaPublicKey {
        rid: [0xA0, 0, 0, 3, 0x33],
        index: read.get(0x8F).unwrap()[0],
        modulus: rsa::Signer::authority().unwrap().modulus(),
        exponent: vec![3],
    };
    let get = |tag| read.get(tag).unwrap();
    let issuer =
        recover_issuer_public_key(&authority, get(0x90), optional(0x92), get(0x9F32), &token, TODAY)?;
    let data = read.static_data().unwrap();
    let card =
        recover_icc_public_key(&issuer, get(0x9F46), optional(0x9F48), get(0x9F47), &data, &token, TODAY)?;
    verify_dda(&card, signature, terminal)
}

#[test]
fn a_foreign_library_accepts_rsa_signatures_and_no_others() {
    for (kind, beside) in [(OdaKind::Rsa1024, true), (OdaKind::Rsa1536, false)] {
        let (lab, reads) = taps(kind, 5);
        let mut numbers = Vec::new();
        for read in &reads {
            let (signature, terminal) = (read.get(0x9F4B).unwrap(), read.terminal_data().unwrap());
            assert_eq!(find(&read.answer, 0x9F4B).is_some(), beside, "a long one is in the last record");
            assert!(read.answer.len() <= 253);
            let number = accepted(&lab, read, signature, &terminal).unwrap();
            assert_eq!(number, read.get(0x9F36).unwrap(), "the dynamic number is the counter");
            for at in (0..signature.len()).step_by(7) {
                let mut flipped = signature.to_vec();
                flipped[at] ^= 1;
                assert!(accepted(&lab, read, &flipped, &terminal).is_err(), "byte {at}");
            }
            for at in 0..terminal.len() {
                let mut flipped = terminal.clone();
                flipped[at] ^= 1;
                assert!(accepted(&lab, read, signature, &flipped).is_err(), "terminal data, byte {at}");
            }
            let authentication = read.get(0x9F69).unwrap();
            assert_eq!((authentication[0], &authentication[5..]), (1, read.get(0x9F6C).unwrap()));
            numbers.push(authentication[1..5].to_vec());
            // The last record is this transaction's, and has no expiry in it.
            let (last, signed) = read.records.last().unwrap();
            assert!(find(last, 0x9F69).is_some() && find(last, 0x5F24).is_none() && !signed);
        }
        numbers.sort();
        numbers.dedup();
        assert_eq!(numbers.len(), reads.len(), "the card's numbers are fresh");
        // Another card's certificate, or static data that were altered, are refused.
        let (other, _) = taps(kind, 1);
        assert!(accepted(&other, &reads[0], reads[0].get(0x9F4B).unwrap(), &[]).is_err());
        let mut altered = reads[0].clone();
        altered.records[0].0[3] ^= 1;
        let terminal = altered.terminal_data().unwrap();
        assert!(accepted(&lab, &altered, altered.get(0x9F4B).unwrap(), &terminal).is_err());
    }
}

#[test]
fn sm2_signatures_are_accepted_and_no_others() {
    let (_, reads) = taps(OdaKind::Sm2, 5);
    let authority = sm2::Signer::authority().unwrap().public();
    for read in &reads {
        let issuer = sm2::recover(&authority, read.get(0x90).unwrap(), &[]).unwrap();
        let data = read.static_data().unwrap();
        let card = sm2::recover(issuer, read.get(0x9F46).unwrap(), &data).unwrap();
        let (signature, terminal) = (read.get(0x9F4B).unwrap(), read.terminal_data().unwrap());
        assert_eq!((signature.len(), &signature[..3]), (69, &[0x15, 3, 2][..]));
        assert_eq!(&signature[3..5], read.get(0x9F36).unwrap());
        assert!(sm2::verifies_dynamic(card, signature, &terminal));
        for at in 0..terminal.len() {
            let mut flipped = terminal.clone();
            flipped[at] ^= 1;
            assert!(!sm2::verifies_dynamic(card, signature, &flipped), "terminal data, byte {at}");
        }
    }
}

#[test]
fn who_does_not_ask_gets_no_signature() {
    let (phone, mut lab) = (Phone::new(), Lab::new().unwrap());
    let mut wallet = phone.wallet();
    for kind in [OdaKind::None, OdaKind::Rsa1024, OdaKind::Sm2] {
        lab.kind.oda = kind;
        let card = lab.provision(&mut wallet).unwrap();
        for ttq in [[0x20, 0x80, 0, 0], [0x21, 0x80, 0, 0], [0x20, 0x80, 0, 0x80], WANTS_ODA] {
            let mut tap = prepare(&mut wallet, card, false).unwrap();
            let read = Read::tap(&mut tap, ttq, [1; 4]).unwrap();
            let offered = kind != OdaKind::None && ttq == WANTS_ODA;
            for tag in [0x94, 0x9F4B, 0x9F69] {
                assert_eq!(read.get(tag).is_ok(), offered, "{kind:?} {ttq:02X?} {tag:04X}");
            }
        }
        wallet.remove_card(card).unwrap();
    }
}
