//! The contact test profile: whole transactions in every suite, what it tells, and what it is not for.

mod common;

use common::{Phone, contact::*};
use tapvault_device_tests::{
    contact::{Generated, begin, command, options, provision, select, test_card, verify},
    lab::Lab,
};
use tapvault_network::{
    contact::{AIP, ContactRules},
    lab::ContactKey,
    oda::{self, OdaKind},
    suite,
};
use tapvault_proto::{
    Error,
    card::{ContactCommandRequest, StaticAnswersRequest, TapPrepareRequest},
    contact::ArpcMethod,
    emv::{contact::PSE, tlv::find},
    profile::{Cvn, Suite},
    wire::Bytes,
};

#[test]
fn whole_transactions_in_every_suite() {
    for (suite, oda, arpc) in [
        (Suite::Pboc3Des, OdaKind::Rsa1024, ArpcMethod::One),
        (Suite::PbocSm4, OdaKind::Sm2, ArpcMethod::One),
        (Suite::Emv3Des, OdaKind::Rsa1536, ArpcMethod::One),
        (Suite::Emv3Des, OdaKind::Rsa1024, ArpcMethod::Two),
        (Suite::EmvAes, OdaKind::Sm2, ArpcMethod::One),
        (Suite::EmvAes, OdaKind::Rsa1024, ArpcMethod::Two),
    ] {
        let mut bench = Bench::new(suite, oda, ContactRules { arpc, ..ContactRules::default() });
        let test = bench.test.clone();
        let mut card = bench.insert();
        begin(&mut card, &test).unwrap();
        assert_eq!(ask(&mut card, &verify(PIN)), 0x9000);
        // Whoever wants an offline approval gets a request to the issuer.
        let asked = first(&mut card, 0x40);
        assert_eq!((asked.information, asked.atc), (0x80, 1));
        // A new card, its PIN right.
        assert_right(&test, &asked, [0x03, 0xA4, 0x10, 0x00]);
        assert_eq!(ask(&mut card, &external(&approval(&test, &asked))), 0x9000);
        let approved = second(&mut card, 0x40, *b"00");
        assert_eq!((approved.information, approved.atc), (0x40, 1));
        assert_right(&test, &approved, [0x03, 0x64, 0x10, 0x00]);
        // No third one, and no second answer.
        assert_eq!(ask(&mut card, &command(0x80, 0xAE, 0, 0, &data())), 0x6985);
        assert_eq!(ask(&mut card, &external(&approval(&test, &asked))), 0x6985);
        // The next transaction: no longer new, nothing open.
        begin(&mut card, &test).unwrap();
        let asked = first(&mut card, 0x80);
        assert_eq!(asked.atc, 2);
        assert_right(&test, &asked, [0x03, 0xA0, 0x00, 0x00]);
    }
}

/// Cryptogram version 17 covers the decision alone.
#[test]
fn the_short_cryptogram_covers_its_decision() {
    let (phone, mut lab) = (Phone::new(), Lab::new().unwrap());
    let mut wallet = phone.wallet();
    lab.kind.cvn = Cvn::V17;
    let mut test = test_card(&lab, ContactRules::default());
    let id = provision(&lab, &mut wallet, &mut test).unwrap();
    let mut card = wallet.insert_card(id).unwrap();
    begin(&mut card, &test).unwrap();
    let asked = first(&mut card, 0x80);
    let covered =
        |decision: u8| [&data()[..6], &UNPREDICTABLE, &asked.atc.to_be_bytes(), &[decision]].concat();
    assert_eq!(asked.cryptogram, test.cryptogram(1, &covered(0xA0)));
    assert_eq!(ask(&mut card, &external(&approval(&test, &asked))), 0x9000);
    assert_eq!(second(&mut card, 0x40, *b"00").cryptogram, test.cryptogram(1, &covered(0x60)));
}

#[test]
fn only_the_issuers_approval_makes_a_transaction_certificate() {
    let mut bench = Bench::plain();
    let test = bench.test.clone();
    let mut card = bench.insert();
    let end = |card: &mut Inserted<'_>, answer: &dyn Fn(&Generated) -> Option<Vec<u8>>, arc: [u8; 2]| {
        begin(card, &test).unwrap();
        let asked = first(card, 0x80);
        let status = answer(&asked).map(|answer| ask(card, &external(&answer)));
        (status, second(card, 0x40, arc))
    };
    // No answer reached the card, though the terminal has one; the terminal has none.
    let (_, declined) = end(&mut card, &|_| None, *b"00");
    assert_right(&test, &declined, [0x03, 0x20, 0x14, 0x00]);
    assert_eq!(declined.information, 0x00);
    let (_, declined) = end(&mut card, &|_| None, *b"Y3");
    assert_right(&test, &declined, [0x03, 0x21, 0x90, 0x00]);
    // A wrong one.
    let wrong = |asked: &Generated| {
        let mut answer = test.answer(asked.atc, &asked.cryptogram, *b"00");
        answer[7] ^= 1;
        Some(answer)
    };
    let (status, declined) = end(&mut card, &wrong, *b"00");
    assert_eq!(status, Some(0x6300));
    assert_right(&test, &declined, [0x03, 0x28, 0x90, 0x00]);
    // A right one that declines, and one whose code the terminal swaps: the history is told, then forgotten.
    let declines = |asked: &Generated| Some(test.answer(asked.atc, &asked.cryptogram, *b"05"));
    let (status, declined) = end(&mut card, &declines, *b"00");
    assert_eq!((status, declined.information), (Some(0x9000), 0x00));
    assert_right(&test, &declined, [0x03, 0x20, 0x98, 0x00]);
    let approves = |asked: &Generated| Some(test.answer(asked.atc, &asked.cryptogram, *b"00"));
    let (_, declined) = end(&mut card, &approves, *b"05");
    assert_right(&test, &declined, [0x03, 0x20, 0x00, 0x00]);
    let (_, approved) = end(&mut card, &approves, [0; 2]);
    assert_right(&test, &approved, [0x03, 0x60, 0x00, 0x00]);
    let (_, approved) = end(&mut card, &approves, *b"00");
    assert_right(&test, &approved, [0x03, 0x60, 0x00, 0x00]);
    // An answer to another cryptogram.
    let other = |asked: &Generated| Some(test.answer(asked.atc - 1, &asked.cryptogram, *b"00"));
    assert_eq!(end(&mut card, &other, *b"00").0, Some(0x6300));
}

#[test]
fn the_environment_leads_to_the_application() {
    let mut bench = Bench::plain();
    let test = bench.test.clone();
    let mut card = bench.insert();
    let environment = card.transmit(&command(0x00, 0xA4, 4, 0, PSE));
    let template = find(environment.data(), 0x6F).unwrap();
    assert_eq!(find(template, 0x84), Some(&PSE[..]));
    let [sfi] = find(find(template, 0xA5).unwrap(), 0x88).unwrap().try_into().unwrap();
    let read = |card: &mut Inserted<'_>, number, sfi: u8| {
        card.transmit(&command(0x00, 0xB2, number, sfi << 3 | 4, &[]))
    };
    let directory = read(&mut card, 1, sfi);
    let entry = find(find(directory.data(), 0x70).unwrap(), 0x61).unwrap();
    assert_eq!(find(entry, 0x4F), Some(&test.order.kind.product.aid()[..]));
    assert_eq!(read(&mut card, 2, sfi).status(), 0x6A83);
    assert_eq!(read(&mut card, 1, 2).status(), 0x6A82);

    // Its records hold each data object once, and are readable once a transaction began.
    ask(&mut card, &select(&test));
    assert_eq!(read(&mut card, 1, 1).status(), 0x6985);
    let answer = card.transmit(&options());
    let body = find(answer.data(), 0x80).unwrap();
    assert_eq!(&body[..2], AIP);
    let mut tags = Vec::new();
    for entry in body[2..].chunks(4) {
        for number in entry[1]..=entry[2] {
            let record = read(&mut card, number, entry[0] >> 3);
            let record = find(record.data(), 0x70).unwrap().to_vec();
            tags.extend(tapvault_proto::emv::tlv::objects(&record).map(|object| object.unwrap().tag));
        }
    }
    for tag in [
        0x5A, 0x57, 0x5F24, 0x5F34, 0x8C, 0x8D, 0x8E, 0x9F0D, 0x9F0E, 0x9F0F, 0x9F14, 0x9F23, 0x9F49, 0x90,
        0x9F46,
    ] {
        assert_eq!(tags.iter().filter(|found| **found == tag).count(), 1, "{tag:04X}");
    }
    assert_eq!(read(&mut card, 1, 4).status(), 0x6A82);
}

#[test]
fn dynamic_data_are_signed_once() {
    for kind in [OdaKind::Rsa1024, OdaKind::Rsa1536, OdaKind::Sm2] {
        let mut bench = Bench::new(Suite::Pboc3Des, kind, ContactRules::default());
        let (test, bank) = (bench.test.clone(), bench.lab.provider.bank());
        let mut card = bench.insert();
        begin(&mut card, &test).unwrap();
        let internal = command(0x00, 0x88, 0, 0, &UNPREDICTABLE);
        let answer = card.transmit(&internal);
        let signed = find(find(answer.data(), 0x77).unwrap(), 0x9F4B).unwrap().to_vec();
        assert_eq!(ask(&mut card, &internal), 0x6985);
        let asked = first(&mut card, 0x80);
        assert_right(&test, &asked, [0x03, 0xA0, 0x10, 0x02]);
        assert_eq!(ask(&mut card, &internal), 0x6985);

        // The terminal's way to the card's key.
        let mut get = |number, sfi: u8| {
            let record = card.transmit(&command(0x00, 0xB2, number, sfi << 3 | 4, &[]));
            find(record.data(), 0x70).unwrap().to_vec()
        };
        let fixed = [get(1, 1), AIP.to_vec()].concat();
        let records = [get(1, 2), get(2, 2)].concat();
        let object = |tag| find(&records, tag).unwrap().to_vec();
        if kind == OdaKind::Sm2 {
            let (authority, issuer) = (oda::sm2::Signer::authority().unwrap(), object(0x90));
            let issuer = oda::sm2::recover(&authority.public(), &issuer, &[]).unwrap();
            let certificate = object(0x9F46);
            let key = oda::sm2::recover(issuer, &certificate, &fixed).unwrap();
            assert!(oda::sm2::verifies_dynamic(key, &signed, &UNPREDICTABLE));
            assert!(!oda::sm2::verifies_dynamic(key, &signed, &[0; 4]));
        } else {
            let issuer = oda::rsa::Signer::bank(bank).unwrap().modulus();
            let more = [find(&records, 0x9F48).unwrap_or_default(), &[3], &fixed].concat();
            let recovered = oda::rsa::recover(&issuer, &object(0x9F46), &more).unwrap();
            let len = usize::from(recovered[18]);
            let inside = &recovered[20..];
            let padded = [inside, find(&records, 0x9F48).unwrap_or_default()].concat();
            let modulus = &padded[..len.min(padded.len())];
            let block = oda::rsa::recover(modulus, &signed, &UNPREDICTABLE).unwrap();
            assert_eq!(&block[..6], [0x05, 0x01, 3, 2, 0, 1]);
            assert_eq!(oda::rsa::recover(modulus, &signed, &[0; 4]), None);
        }
    }
}

#[test]
fn the_card_tells_its_counters_and_its_log() {
    let mut bench = Bench::plain();
    let test = bench.test.clone();
    let mut card = bench.insert();
    let get = |card: &mut Inserted<'_>, tag: u16| {
        let [high, low] = tag.to_be_bytes();
        let response = card.transmit(&command(0x80, 0xCA, high, low, &[]));
        find(response.data(), tag).map(<[u8]>::to_vec)
    };
    complete(&mut card, &test);
    begin(&mut card, &test).unwrap();
    assert_eq!(get(&mut card, 0x9F36), Some(vec![0, 2]));
    assert_eq!(get(&mut card, 0x9F13), Some(vec![0, 1]));
    assert_eq!(get(&mut card, 0x9F17), Some(vec![3]));
    assert_eq!(get(&mut card, 0x9F4F).unwrap().len(), 13);
    assert_eq!(get(&mut card, 0x9F79), None);
    let log = card.transmit(&command(0x00, 0xB2, 1, 0x0B << 3 | 4, &[]));
    let expected = [&data()[21..24], &data()[..6], &data()[19..21], &data()[24..25], &[0, 1]].concat();
    assert_eq!(log.data(), expected);
    assert_eq!(ask(&mut card, &command(0x00, 0xB2, 2, 0x0B << 3 | 4, &[])), 0x6A83);
    // Two challenges are two.
    let mut draw = || card.transmit(&command(0x00, 0x84, 0, 0, &[])).data().to_vec();
    let (one, two) = (draw(), draw());
    assert!(one.len() == 8 && one != two);
}

/// After a power cut a counter is never given again.
#[test]
fn no_counter_is_used_twice() {
    let mut bench = Bench::plain();
    let test = bench.test.clone();
    let mut last = 0;
    for _ in 0..4 {
        let mut card = bench.insert();
        for _ in 0..3 {
            begin(&mut card, &test).unwrap();
            let atc = first(&mut card, 0x80).atc;
            assert!(atc > last && atc <= last + 17, "{atc} after {last}");
            last = atc;
        }
        bench.restart();
    }
}

#[test]
fn a_test_profile_is_no_phone_card_and_a_phone_card_no_test_profile() {
    let mut bench = Bench::plain();
    let phone_card = bench.lab.provision(&mut bench.wallet).unwrap();
    let refused = |error: tapvault::ClientError, expected: Error| assert_eq!(error.refusal(), Some(expected));
    refused(bench.wallet.insert_card(phone_card).err().unwrap(), Error::TokenDomain);
    tapvault_device_tests::lab::switch_on(&mut bench.wallet, phone_card).unwrap();
    refused(bench.wallet.prepare_tap(bench.card, false).err().unwrap(), Error::TokenDomain);
    let card = bench.card;
    refused(bench.wallet.call(&StaticAnswersRequest { card }).unwrap_err(), Error::TokenDomain);
    refused(bench.wallet.call(&TapPrepareRequest { card, verified: false }).unwrap_err(), Error::TokenDomain);
    // Nor does it answer a tap that a hostile client forwards to it.
    let request = tapvault_proto::card::TapGpoRequest {
        card,
        aid: Bytes::from_iter(bench.test.order.kind.product.aid()),
        command: Bytes::from_slice(&tapvault_device_tests::lab::gpo_command(100, false)).unwrap(),
    };
    let reply = bench.wallet.call(&request).unwrap();
    assert_eq!(*reply.response, [0x69, 0x85]);
    // It does not stand in the way of a phone card's name.
    let answers = bench.wallet.call(&StaticAnswersRequest { card: phone_card }).unwrap();
    assert_eq!(*answers.aid, bench.test.order.kind.product.aid());
    // Its keys are its own.
    let keys = ContactKey::ALL.map(|key| *bench.test.key(key).expose());
    for channel in tapvault_proto::token::Channel::ALL {
        let master = bench.lab.provider.bank().issuer_master_key(1, channel);
        let kind = bench.test.order.kind;
        let udk = suite::udk(kind.suite, kind.derivation, &master, &bench.test.token, 1).unwrap();
        assert!(!keys.contains(udk.expose()));
    }
}

/// A reader belongs to the session that reset the card in it.
#[test]
fn a_reader_is_of_one_session() {
    let mut bench = Bench::plain();
    let test = bench.test.clone();
    let request = ContactCommandRequest { command: Bytes::from_slice(&select(&test)).unwrap() };
    assert_eq!(bench.wallet.call(&request).unwrap_err().refusal(), Some(Error::Busy));
    let mut other = bench.phone.wallet();
    let mut card = bench.insert();
    begin(&mut card, &test).unwrap();
    assert_eq!(other.call(&request).unwrap_err().refusal(), Some(Error::Busy));
    assert_eq!(ask(&mut card, &verify(PIN)), 0x9000);
    // A reset ends what was begun; so does the card's re-issue, and its removal.
    card.reset().unwrap();
    assert_eq!(ask(&mut card, &verify(PIN)), 0x6985);
    begin(&mut card, &test).unwrap();
    bench.test.key_version = 2;
    tapvault_device_tests::contact::issue(&bench.lab, &mut bench.wallet, &bench.test).unwrap();
    assert_eq!(bench.wallet.call(&request).unwrap_err().refusal(), Some(Error::Busy));
    let mut card = bench.insert();
    begin(&mut card, &test).unwrap();
    bench.wallet.remove_card(bench.card).unwrap();
    assert_eq!(bench.wallet.call(&request).unwrap_err().refusal(), Some(Error::Busy));
}
