//! The terminal takes an honest card and nothing that a faulty card, or somebody between, sends.

mod common;

use common::{SoftCard, gpo_objects, gpo_response, honest, object, order, payment};
use std::io;
use tapvault_network::{
    frame::CardLink,
    issuer::{Decision, Issuer, Reason},
    terminal::{Payment, Refusal, Speaker, TerminalError, Verification, pay},
};
use tapvault_proto::{
    emv::{PPSE, tlv},
    profile::CardProfile,
};

const SELECT_PPSE: usize = 0;
const SELECT: usize = 1;
const GPO: usize = 2;
const RECORD: usize = 3;

fn profile() -> CardProfile {
    Issuer::in_memory().issue(&order("6299991234567890")).unwrap_or_else(|error| unreachable!("{error}"))
}

/// What the terminal says when the answer to one command is replaced.
fn refusal(number: usize, replace: impl Fn(Vec<u8>) -> Vec<u8>) -> TerminalError {
    let mut card =
        SoftCard::new(profile(), |at, response| Ok(if at == number { replace(response) } else { response }));
    card.pin = true;
    match pay(&mut card, &payment(true)) {
        Err(error) => error,
        Ok(taken) => unreachable!("taken: {taken:?}"),
    }
}

/// The objects of an honest answer to GET PROCESSING OPTIONS.
fn objects(response: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let data = response.get(..response.len() - 2).unwrap_or_default();
    let body = tlv::find(data, 0x77).unwrap_or_default();
    tlv::objects(body).filter_map(Result::ok).map(|tlv| (tlv.tag, tlv.value.to_vec())).collect()
}

fn ok(data: &[u8]) -> Vec<u8> {
    [data, &[0x90, 0x00]].concat()
}

#[test]
fn takes_an_honest_card_and_the_issuer_approves_once() {
    let mut issuer = Issuer::in_memory();
    let mut card = SoftCard::new(issuer.issue(&order("6299991234567890")).unwrap(), honest);
    card.pin = true;
    let taken = pay(&mut card, &payment(true)).unwrap();
    assert_eq!(taken.verification, Verification::Phone);
    assert!(matches!(issuer.authorise(&taken.request), Decision::Approved { holder_verified: true, .. }));
    assert_eq!(issuer.authorise(&taken.request), Decision::Declined(Reason::ReplayedAtc));

    card.pin = false;
    let taken = pay(&mut card, &payment(false)).unwrap();
    assert_eq!(taken.verification, Verification::None);
    assert!(issuer.authorise(&taken.request).is_approved());
}

#[test]
fn the_transcript_tells_the_story() {
    let mut card = SoftCard::new(profile(), honest);
    card.pin = true;
    let taken = pay(&mut card, &payment(true)).unwrap();
    let said: Vec<_> = taken
        .transcript
        .exchanges
        .iter()
        .map(|exchange| (exchange.meaning.asked.as_str(), exchange.meaning.answered.as_str()))
        .collect();
    assert_eq!(said.len(), 4);
    assert_eq!(
        said[SELECT_PPSE],
        ("SELECT 2PAY.SYS.DDF01: which cards are there?", "one application: A000000333010101 UnionPay Debit")
    );
    assert!(said[SELECT].1.starts_with("selected; it asks for terminal transaction qualifiers, amount"));
    assert!(said[GPO].0.contains("pay 12.00 (currency 0156), holder to be verified"));
    assert!(said[GPO].1.starts_with("asks the issuer (ARQC): payment 1 of this card"));
    assert_eq!(said[RECORD].1, "expires 311231 (YYMMDD)");
    let gpo = &taken.transcript.exchanges[GPO];
    assert_eq!(hex::encode(&gpo.command[..8]), "80a8000023832120");
    assert_eq!(gpo.objects[0].tag, "77");
    let counter = &gpo.objects[2];
    assert_eq!(
        (counter.depth, counter.tag.as_str(), counter.name),
        (1, "9F36", "application transaction counter")
    );
    let text = taken.transcript.to_text(|_: Speaker, line| line.to_owned());
    assert!(text.contains("> SELECT 2PAY") && text.contains("9F6C") && text.contains("status 9000 done"));
    let json = serde_json::to_value(&taken.transcript).unwrap();
    assert_eq!(json[0]["meaning"]["status"], "9000 done");
}

#[test]
fn a_holder_not_verified_is_sent_to_the_phone() {
    for status in [[0x69, 0x85], [0x69, 0x86]] {
        let error = refusal(GPO, |_| status.to_vec());
        assert_eq!(error.refusal, Refusal::VerificationNeeded { status: u16::from_be_bytes(status) });
        assert!(error.to_string().contains("the holder must be verified on the phone first"));
        // What was said until then is there.
        assert_eq!(error.transcript.exchanges.len(), 3);
    }
    let mut card = SoftCard::new(profile(), honest);
    let error = pay(&mut card, &payment(true)).unwrap_err();
    assert_eq!(error.refusal, Refusal::VerificationNeeded { status: 0x6986 });
}

#[test]
fn each_mandatory_object_is_missed() {
    for tag in [0x82, 0x9F36, 0x57, 0x9F10, 0x9F26, 0x9F6C, 0x5F34] {
        let error = refusal(GPO, |response| {
            let rest: Vec<_> = objects(&response).into_iter().filter(|(known, _)| *known != tag).collect();
            gpo_response(&rest).as_bytes().to_vec()
        });
        assert_eq!(error.refusal, Refusal::Missing(tag));
    }
}

#[test]
fn each_object_has_its_length() {
    for (tag, value) in [
        (0x82, vec![0x7C]),
        (0x9F36, vec![0, 0, 1]),
        (0x57, vec![]),
        (0x57, vec![0x62; 20]),
        (0x9F26, vec![0; 7]),
        (0x9F10, vec![0x06, 1, 1, 3, 0xA4, 0]),
        (0x9F10, vec![0x07, 1, 1, 4, 0xA4, 0, 0, 1]),
        (0x9F10, [&[0x07, 1, 1, 3, 0xA4, 0, 0, 1][..], &[0; 25]].concat()),
        (0x9F6C, vec![0]),
        (0x5F34, vec![0, 1]),
    ] {
        let error = refusal(GPO, |response| {
            let mut changed = objects(&response);
            for (known, old) in &mut changed {
                if *known == tag {
                    old.clone_from(&value);
                }
            }
            gpo_response(&changed).as_bytes().to_vec()
        });
        assert_eq!(error.refusal, Refusal::Length(tag), "{value:02X?}");
    }
}

#[test]
fn nothing_comes_twice_in_one_answer_or_over_both() {
    for (tag, value) in [(0x57, vec![0x62; 14]), (0x9F36, vec![0, 9]), (0x9F6C, vec![0, 0x80])] {
        let error = refusal(GPO, |response| {
            let mut more = objects(&response);
            more.push((tag, value.clone()));
            gpo_response(&more).as_bytes().to_vec()
        });
        assert_eq!(error.refusal, Refusal::Duplicate(tag));
        let error = refusal(RECORD, |_| ok(&object(0x70, &object(tag, &value))));
        assert_eq!(error.refusal, Refusal::Duplicate(tag));
    }
    for tag in [0x5A, 0x5F24] {
        let once = object(tag, &[0x31, 0x12, 0x31]);
        let error = refusal(RECORD, |_| ok(&object(0x70, &[once.clone(), once.clone()].concat())));
        assert_eq!(error.refusal, Refusal::Duplicate(tag));
    }
}

#[test]
fn garbage_is_refused_wherever_it_comes() {
    for (number, template) in [(SELECT_PPSE, 0x6F), (SELECT, 0x6F), (GPO, 0x77), (RECORD, 0x70)] {
        for garbage in [
            vec![],
            vec![0x01],
            vec![0x6F, 0x20, 0x84],
            vec![0x9F],
            vec![0xFF; 64],
            object(template, &[0x9F, 0x36, 0x05, 0x00]),
            [object(template, &[]), object(template, &[])].concat(),
            object(0x80, &[0x7C, 0x00]),
        ] {
            let error = refusal(number, |_| ok(&garbage));
            assert!(
                matches!(error.refusal, Refusal::Malformed(_)),
                "{number} {garbage:02X?} {:?}",
                error.refusal
            );
        }
    }
}

#[test]
fn a_response_has_a_status_word_and_at_most_258_bytes() {
    for number in [SELECT_PPSE, SELECT, GPO, RECORD] {
        for length in [0, 1, 259, 512] {
            let error = refusal(number, |_| vec![0x90; length]);
            assert_eq!(error.refusal, Refusal::ResponseLength(length));
        }
    }
}

#[test]
fn a_card_without_our_application_is_named_as_such() {
    let directory = |entries: &[u8]| {
        let inner = object(0xA5, &object(0xBF0C, entries));
        ok(&object(0x6F, &[object(0x84, PPSE), inner].concat()))
    };
    let entry = |aid: &[u8], priority: u8| {
        object(0x61, &[object(0x4F, aid), object(0x50, b"X\x1b[2J"), object(0x87, &[priority])].concat())
    };
    let visa = [0xA0, 0, 0, 0, 0x03, 0x10, 0x10];
    let error = refusal(SELECT_PPSE, |_| directory(&entry(&visa, 1)));
    assert_eq!(error.refusal, Refusal::NoApplication);
    // A label cannot steer the terminal's screen.
    assert_eq!(error.transcript.exchanges[0].meaning.answered, "one application: A0000000031010 X?[2J");
    assert_eq!(refusal(SELECT_PPSE, |_| directory(&[])).refusal, Refusal::NoApplication);
    let no_aid = object(0x61, &object(0x50, b"X"));
    assert!(matches!(refusal(SELECT_PPSE, |_| directory(&no_aid)).refusal, Refusal::Malformed(_)));
    assert_eq!(
        refusal(SELECT_PPSE, |_| vec![0x6A, 0x82]).refusal,
        Refusal::Status { command: "SELECT 2PAY.SYS.DDF01", status: 0x6A82 }
    );

    // Two of ours: the higher priority is selected, although it comes second.
    let (first, second) = ([0xA0, 0, 0, 3, 0x33, 1, 1, 1, 1], [0xA0, 0, 0, 3, 0x33, 1, 1, 1, 2]);
    let error = refusal(SELECT_PPSE, |_| directory(&[entry(&first, 2), entry(&second, 1)].concat()));
    assert!(error.transcript.exchanges[1].meaning.asked.contains("A00000033301010102"));
}

#[test]
fn another_application_or_one_without_qualifiers_is_refused() {
    let fci =
        |name: &[u8], inner: &[u8]| ok(&object(0x6F, &[object(0x84, name), object(0xA5, inner)].concat()));
    let aid = [0xA0, 0, 0, 0x03, 0x33, 0x01, 0x01, 0x01];
    let other = [0xA0, 0, 0, 0x03, 0x33, 0x01, 0x01, 0x02];
    let pdol = object(0x9F38, &[0x9F, 0x66, 4]);
    assert_eq!(refusal(SELECT, |_| fci(&other, &pdol)).refusal, Refusal::OtherApplication);
    assert_eq!(refusal(SELECT, |_| fci(&aid, &object(0x50, b"X"))).refusal, Refusal::NotContactless);
    let without = object(0x9F38, &[0x9F, 0x02, 6]);
    assert_eq!(refusal(SELECT, |_| fci(&aid, &without)).refusal, Refusal::NotContactless);
    let broken = object(0x9F38, &[0x9F, 0x66]);
    assert_eq!(refusal(SELECT, |_| fci(&aid, &broken)).refusal, Refusal::Malformed("PDOL"));
}

#[test]
fn only_a_card_that_asks_the_issuer_is_taken() {
    for (result, expected) in
        [(0x80, Refusal::CardDeclined), (0x90, Refusal::NotOnline), (0xB0, Refusal::NotOnline)]
    {
        let error = refusal(GPO, |response| {
            let mut changed = objects(&response);
            changed[3].1[4] = result;
            gpo_response(&changed).as_bytes().to_vec()
        });
        assert_eq!(error.refusal, expected);
    }
}

/// Somebody between removes the verification from the terminal's qualifiers and the card's: the card
/// then pays without a PIN, and the terminal has to notice.
#[test]
fn a_required_verification_cannot_be_talked_away() {
    for (ctq, online_pin, signature, expected) in [
        ([0x00, 0x00], true, true, Err(Refusal::NotVerified)),
        ([0x80, 0x00], false, false, Err(Refusal::NotVerified)),
        ([0x40, 0x00], false, false, Err(Refusal::NotVerified)),
        ([0x80, 0x00], true, false, Ok(Verification::OnlinePin)),
        ([0x40, 0x00], false, true, Ok(Verification::Signature)),
        ([0x00, 0x80], false, false, Ok(Verification::Phone)),
    ] {
        let mut card = SoftCard::new(profile(), |at, response: Vec<u8>| {
            let mut changed = objects(&response);
            if at == GPO {
                changed[6].1 = ctq.to_vec();
                return Ok(gpo_response(&changed).as_bytes().to_vec());
            }
            Ok(response)
        });
        card.pin = true;
        let payment = Payment { online_pin, signature, ..payment(true) };
        let taken = pay(&mut card, &payment).map(|taken| taken.verification).map_err(|error| error.refusal);
        assert_eq!(taken, expected, "{ctq:02X?}");
    }
}

#[test]
fn a_card_without_the_record_pays_all_the_same() {
    let mut card =
        SoftCard::new(profile(), |at, response| Ok(if at == RECORD { vec![0x6A, 0x83] } else { response }));
    assert!(pay(&mut card, &payment(false)).is_ok());
}

#[test]
fn a_card_that_leaves_is_told_from_one_that_refuses() {
    for number in [SELECT_PPSE, SELECT, GPO, RECORD] {
        let mut card = SoftCard::new(profile(), |at, response| {
            if at == number { Err(io::Error::from(io::ErrorKind::UnexpectedEof)) } else { Ok(response) }
        });
        let error = pay(&mut card, &payment(false)).unwrap_err();
        assert!(matches!(error.refusal, Refusal::Link(_)));
        assert_eq!(error.transcript.exchanges.len(), number + 1);
        assert_eq!(error.transcript.exchanges[number].meaning.answered, "no answer");
    }
}

#[test]
fn changed_data_are_for_the_issuer_to_find() {
    for (tag, expected) in [
        (0x82, Reason::WrongCryptogram),
        (0x9F36, Reason::WrongCryptogram),
        (0x9F26, Reason::WrongCryptogram),
        (0x57, Reason::WrongCardData),
        (0x5F34, Reason::WrongCardData),
    ] {
        let mut issuer = Issuer::in_memory();
        let profile = issuer.issue(&order("6299991234567890")).unwrap();
        let mut card = SoftCard::new(profile, |at, response: Vec<u8>| {
            let mut changed = objects(&response);
            if at != GPO {
                return Ok(response);
            }
            for (known, value) in &mut changed {
                if *known == tag {
                    *value.last_mut().unwrap() ^= 1;
                }
            }
            Ok(gpo_response(&changed).as_bytes().to_vec())
        });
        let taken = pay(&mut card, &payment(false)).unwrap();
        assert_eq!(issuer.authorise(&taken.request), Decision::Declined(expected), "{tag:X}");
    }
}

#[test]
fn the_cards_objects_go_to_the_issuer_as_they_came() {
    let mut card = SoftCard::new(profile(), honest);
    let payment = payment(false);
    let taken = pay(&mut card, &payment).unwrap();
    let expected = common::card_answer(&card.profile, &payment.data().unwrap(), 1, false);
    assert_eq!(gpo_objects(&expected)[4].1, taken.request.cryptogram);
    assert_eq!(taken.request.track2, expected.track2);
}

/// The published trace of a real QuickPass debit card (github neil-pan-s/qpboc-kernel, its run log), with
/// 9F5D and longer issuer data, which our own cards do not send.
#[test]
fn a_real_cards_answers_are_taken() {
    struct Recorded(std::vec::IntoIter<&'static str>);
    impl CardLink for Recorded {
        fn power_on(&mut self) -> io::Result<Vec<u8>> {
            Ok(vec![])
        }
        fn transmit(&mut self, _: &[u8]) -> io::Result<Vec<u8>> {
            Ok(hex::decode(self.0.next().unwrap_or_default()).unwrap_or_default())
        }
    }
    let mut card = Recorded(
        vec![
            "6F30840E325041592E5359532E4444463031A51EBF0C1B61194F08A000000333010101500A50424F43204445424954870101\
             9000",
            "6F598408A000000333010101A54D500A50424F432044454249548701019F38189F66049F02069F03069F1A0295055F2A02\
             9A039C019F37045F2D027A689F1101019F120A50424F43204445424954BF0C0A9F4D020B0ADF4D020C0A9000",
            "774F82027C009F36020ADC57116299999999999999D201120101234567899F101307010103A00000010A01000003878786\
             8FD1FC9F2608AD03EE811AFAD4845F3401009F6C0200009F5D060000000387879000",
            "6A83",
        ]
        .into_iter(),
    );
    let taken = pay(&mut card, &payment(false)).unwrap();
    assert_eq!(taken.request.atc, [0x0A, 0xDC]);
    assert_eq!(hex::encode(taken.request.cryptogram), "ad03ee811afad484");
    assert_eq!(taken.request.issuer_data.len(), 19);
    assert_eq!(taken.verification, Verification::None);
}
