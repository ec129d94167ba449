//! Limited-use keys: what they sign, how long they live, and that none is used twice whatever happens.

mod common;

use common::{Phone, refusal};
use tapvault::{ClientError, Wallet, sim::Sim};
use tapvault_device_tests::lab::{self, Lab};
use tapvault_network::{
    issuer::{Decision, Reason},
    kind::{CardKind, Named},
    limited::BatchError,
    request::IssuerData,
    suite,
};
use tapvault_proto::{
    Error,
    emv::apdu::{Command, Response, StatusWord},
    id::CardId,
    limited::{KeysLeft, LIMITED_RANGE, MAX_BATCH, MAX_HELD, ReplenishRequest},
    profile::{Cvn, Suite},
    service::Service,
    token::Channel,
    wire::{Bytes, Wire, encode_into},
};

/// A moment of the lab's clock.
const NOW: u64 = 1_795_608_000;
/// How long keys live here, in seconds.
const LIFE: u64 = 3600;
const THRESHOLD: u8 = 4;

/// A lab whose cards have limited-use keys, a phone, and a card without keys yet.
fn prepared() -> (Phone, Lab, CardId) {
    let (phone, mut lab) = (Phone::new(), Lab::new().unwrap());
    lab.rules.limited_use = Some(THRESHOLD);
    let card = lab.provision(&mut phone.wallet()).unwrap();
    lab::switch_on(&mut phone.wallet(), card).unwrap();
    (phone, lab, card)
}

fn set_time(lab: &Lab, wallet: &mut Wallet<Sim>, time: u64) {
    let nonce = wallet.time_nonce().unwrap();
    wallet.set_time(lab.provider.time(nonce, time)).unwrap();
}

fn batch(lab: &mut Lab, wallet: &mut Wallet<Sim>, card: CardId, count: usize) -> ReplenishRequest {
    lab.key_batch(wallet, card, count as u16, NOW + LIFE).unwrap()
}

fn replenish(
    lab: &mut Lab,
    wallet: &mut Wallet<Sim>,
    card: CardId,
    count: usize,
) -> Result<KeysLeft, ClientError> {
    let batch = batch(lab, wallet, card, count);
    wallet.replenish(&batch)
}

/// The counter of one approved payment.
fn pays(lab: &mut Lab, wallet: &mut Wallet<Sim>, card: CardId) -> u16 {
    let (request, decision) = lab::pay(lab, wallet, card, (100, false, false)).unwrap();
    assert!(decision.is_approved(), "{decision}");
    u16::from_be_bytes(request.atc)
}

/// The session key of a counter for taps, by the token service's code.
fn session_key(lab: &Lab, atc: u16) -> [u8; 16] {
    let record = &lab.issuer.cards()[0];
    let master = record.provider.issuer_master_key(record.key_version, Channel::Nfc);
    let kind = record.kind;
    let udk = suite::udk(kind.suite, kind.derivation, &master, &record.token, record.psn).unwrap();
    *suite::session_key(kind.suite, &udk, atc).expose()
}

/// Whether any stored object of the card trusted app holds these bytes.
fn stored(phone: &Phone, bytes: &[u8]) -> bool {
    let world = phone.device.borrow();
    let mut objects = world.objects.iter().filter(|((app, _), _)| *app == Service::Card.uuid());
    objects.any(|(_, data)| {
        data.as_ref().is_some_and(|data| data.windows(bytes.len()).any(|window| window == bytes))
    })
}

#[test]
fn a_limited_use_card_signs_as_one_that_derives_its_keys() {
    for suite in Suite::ALL {
        for cvn in [Cvn::V01, Cvn::V17] {
            let (phone, mut lab) = (Phone::new(), Lab::new().unwrap());
            let mut wallet = phone.wallet();
            lab.kind = CardKind { suite, cvn, ..CardKind::default() };
            let card = lab.provision(&mut wallet).unwrap();
            let token = lab.issuer.cards()[0].token.clone();
            let udk_card = answers(&mut wallet, card, cvn);

            // The same token under the same version of the keys, in another phone.
            let (phone, mut lab) = (Phone::new(), Lab::new().unwrap());
            let mut wallet = phone.wallet();
            lab.kind = CardKind { suite, cvn, ..CardKind::default() };
            (lab.rules.limited_use, lab.token) = (Some(THRESHOLD), Some(token));
            lab.issue(&mut wallet, card).unwrap();
            set_time(&lab, &mut wallet, NOW);
            replenish(&mut lab, &mut wallet, card, 3).unwrap();
            let limited = answers(&mut wallet, card, cvn);

            assert_eq!(limited, udk_card, "{} {}", suite.name(), cvn.name());
            if cvn == Cvn::V01 {
                let request = lab::request(100, false, &limited[2]).unwrap();
                assert_eq!(request.atc, [0, 3]);
                assert!(lab.issuer.authorise(&request).is_approved());
            }
        }
    }
}

/// The answers to three taps, all that the terminal gets of them.
fn answers(wallet: &mut Wallet<Sim>, card: CardId, cvn: Cvn) -> Vec<Response> {
    let long = lab::terminal_data(100, false);
    let (ttq, amount, number, currency) = (&long[..4], &long[4..10], &long[29..], &long[23..25]);
    let data = match cvn {
        Cvn::V01 => long.to_vec(),
        Cvn::V17 => [ttq, amount, number, currency].concat(),
    };
    let data = [&[0x83, data.len() as u8], &data[..]].concat();
    let command = Command { cla: 0x80, ins: 0xA8, p1: 0, p2: 0, data: &data }.to_bytes();
    let mut tap = || lab::tap(wallet, card, false, &command).unwrap();
    let answers: Vec<_> = (0..3).map(|_| tap()).collect();
    assert!(answers.iter().all(|answer| answer.status() == 0x9000));
    answers
}

#[test]
fn keys_run_low_then_out_and_come_again() {
    let (phone, mut lab, card) = prepared();
    let mut wallet = phone.wallet();
    set_time(&lab, &mut wallet, NOW);
    assert_eq!(wallet.keys_left(card).unwrap(), KeysLeft { left: 0, threshold: THRESHOLD });
    assert_eq!(refusal(wallet.prepare_tap(card, false)), Some(Error::KeysUsedUp));
    replenish(&mut lab, &mut wallet, card, MAX_BATCH).unwrap();
    for atc in 1..=MAX_BATCH as u16 {
        assert_eq!(pays(&mut lab, &mut wallet, card), atc);
        let left = wallet.keys_left(card).unwrap();
        assert_eq!((left.left, left.is_low()), (MAX_BATCH as u16 - atc, left.left <= THRESHOLD.into()));
    }
    assert_eq!(refusal(wallet.prepare_tap(card, false)), Some(Error::KeysUsedUp));
    // A tap that was prepared before does not find a key either.
    replenish(&mut lab, &mut wallet, card, 1).unwrap();
    let mut tap = wallet.prepare_tap(card, false).unwrap();
    tap.transmit(b"\x00\xA4\x04\x00\x08\xA0\x00\x00\x03\x33\x01\x01\x01\x00");
    assert_eq!(tap.transmit(&lab::gpo_command(100, false)).status(), 0x9000);
    tap.transmit(b"\x00\xA4\x04\x00\x08\xA0\x00\x00\x03\x33\x01\x01\x01\x00");
    let second = tap.transmit(&lab::gpo_command(100, false)).status();
    assert_eq!(second, StatusWord::ConditionsNotSatisfied as u16);
    drop(tap);
    replenish(&mut lab, &mut wallet, card, 2).unwrap();
    assert_eq!(pays(&mut lab, &mut wallet, card), MAX_BATCH as u16 + 2);
}

#[test]
fn keys_end_with_their_time_and_there_is_no_use_without_a_time() {
    let (phone, mut lab, card) = prepared();
    let mut wallet = phone.wallet();
    replenish(&mut lab, &mut wallet, card, 4).unwrap();
    assert_eq!(refusal(wallet.prepare_tap(card, false)), Some(Error::NoTime));
    set_time(&lab, &mut wallet, NOW);
    assert_eq!(pays(&mut lab, &mut wallet, card), 1);
    // Their last second.
    phone.advance(LIFE * 1000);
    assert_eq!(pays(&mut lab, &mut wallet, card), 2);
    let mut tap = wallet.prepare_tap(card, false).unwrap();
    tap.transmit(b"\x00\xA4\x04\x00\x08\xA0\x00\x00\x03\x33\x01\x01\x01\x00");
    phone.advance(1);
    let late = tap.transmit(&lab::gpo_command(100, false)).status();
    assert_eq!(late, StatusWord::ConditionsNotSatisfied as u16);
    drop(tap);
    assert_eq!(wallet.keys_left(card).unwrap().left, 0);
    assert_eq!(refusal(wallet.prepare_tap(card, false)), Some(Error::KeysUsedUp));
    // A start forgets the time.
    lab.key_batch(&mut wallet, card, 2, NOW + 10 * LIFE)
        .map(|batch| wallet.replenish(&batch).unwrap())
        .unwrap();
    assert_eq!(pays(&mut lab, &mut wallet, card), 5);
    phone.restart();
    lab::switch_on(&mut phone.wallet(), card).unwrap();
    assert_eq!(refusal(phone.wallet().prepare_tap(card, false)), Some(Error::NoTime));
}

#[test]
fn a_batch_is_taken_once_by_its_card_from_its_provider() {
    let (phone, mut lab, card) = prepared();
    let mut wallet = phone.wallet();
    let first = batch(&mut lab, &mut wallet, card, 2);
    assert_eq!(wallet.replenish(&first).unwrap().left, 2);
    assert_eq!(refusal(wallet.replenish(&first)), Some(Error::NoChallenge));
    let challenge = wallet.card_challenge().unwrap();
    assert_eq!(refusal(wallet.replenish(&first)), Some(Error::WrongChallenge));

    // The provider's own old batch, sealed again: the counters were here.
    let seal = |lab: &Lab, first: u16, count: usize, change: fn(&mut tapvault_proto::limited::KeyBatch)| {
        let key = || tapvault_proto::profile::Key128::new([7; 16]);
        let keys = (0..count).map(|_| (0..4).map(|_| key()).collect()).collect();
        let mut batch =
            tapvault_proto::limited::KeyBatch { key_version: 1, valid_until: NOW + LIFE, first, keys };
        change(&mut batch);
        lab.provider.seal_batch(card, &challenge, &batch).unwrap()
    };
    for (first, count, expected) in [
        (1, 2, Error::BatchNotNewer),
        (2, 2, Error::BatchNotNewer),
        (0, 1, Error::BatchInvalid),
        (3, 0, Error::BatchInvalid),
        (u16::MAX, 2, Error::BatchInvalid),
    ] {
        assert_eq!(refusal(wallet.replenish(&seal(&lab, first, count, |_| {}))), Some(expected), "{first}");
    }
    let other_version = seal(&lab, 3, 1, |batch| batch.key_version = 2);
    assert_eq!(refusal(wallet.replenish(&other_version)), Some(Error::BatchInvalid));
    let other_channels = seal(&lab, 3, 1, |batch| batch.keys[0].truncate(3));
    assert_eq!(refusal(wallet.replenish(&other_channels)), Some(Error::BatchInvalid));

    // Altered, or for another card, or another provider's.
    let good = seal(&lab, 3, 1, |_| {});
    type Change = fn(&mut ReplenishRequest);
    let changes: [(Change, Error); 4] = [
        (|batch| batch.sealed[3] ^= 1, Error::SignatureInvalid),
        (|batch| batch.card = CardId([9; 16]), Error::SignatureInvalid),
        (|batch| batch.encapsulated[9] ^= 1, Error::SignatureInvalid),
        (|batch| batch.certificate.signature[9] ^= 1, Error::CertificateInvalid),
    ];
    for (change, expected) in changes {
        let mut bad = good.clone();
        change(&mut bad);
        assert_eq!(refusal(wallet.replenish(&bad)), Some(expected));
    }
    let stranger = tapvault_network::bank::Provider::lab("B").unwrap();
    let keys = tapvault_proto::limited::KeyBatch {
        key_version: 1,
        valid_until: NOW,
        first: 3,
        keys: std::iter::once((0..4).map(|_| tapvault_proto::profile::Key128::new([7; 16])).collect())
            .collect(),
    };
    let foreign = stranger.seal_batch(card, &challenge, &keys).unwrap();
    assert_eq!(refusal(wallet.replenish(&foreign)), Some(Error::WrongProvider));
    // No refusal used the challenge or changed the card.
    assert_eq!(wallet.keys_left(card).unwrap().left, 2);
    assert_eq!(wallet.replenish(&good).unwrap().left, 3);
}

#[test]
fn there_is_room_for_a_batch_at_the_threshold_and_not_for_two() {
    let (phone, mut lab, card) = prepared();
    let mut wallet = phone.wallet();
    let mut left = 0;
    while left + MAX_BATCH <= MAX_HELD {
        left = usize::from(replenish(&mut lab, &mut wallet, card, MAX_BATCH).unwrap().left);
    }
    assert_eq!(refusal(replenish(&mut lab, &mut wallet, card, MAX_HELD - left + 1)), Some(Error::KeysFull));
    assert_eq!(usize::from(wallet.keys_left(card).unwrap().left), left);
    replenish(&mut lab, &mut wallet, card, MAX_HELD - left).unwrap();
    // A card that derives its keys takes none.
    lab.rules.limited_use = None;
    let other = lab.provision(&mut wallet).unwrap();
    assert_eq!(refusal(wallet.keys_left(other)), Some(Error::NotLimitedUse));
    let refused = lab.key_batch(&mut wallet, other, 1, NOW);
    assert_eq!(refused.err(), Some(BatchError::NotLimitedUse.to_string()));
}

#[test]
fn nothing_is_left_of_a_used_key() {
    let (phone, mut lab, card) = prepared();
    let mut wallet = phone.wallet();
    set_time(&lab, &mut wallet, NOW);
    replenish(&mut lab, &mut wallet, card, 6).unwrap();
    let keys: Vec<_> = (1..=6).map(|atc| session_key(&lab, atc)).collect();
    let held = |phone: &Phone| keys.iter().map(|key| stored(phone, key)).collect::<Vec<_>>();
    assert_eq!(held(&phone), [true; 6]);
    for used in 1..=6 {
        pays(&mut lab, &mut wallet, card);
        // The next preparation stores the payment, and with it that the key is gone.
        let _ = wallet.prepare_tap(card, false);
        let expected: Vec<_> = (1..=6).map(|atc| atc > used || used == 6 && atc == 6).collect();
        assert_eq!(held(&phone), expected, "after payment {used}");
    }
    // Nor of one whose card is re-issued, or removed.
    replenish(&mut lab, &mut wallet, card, 1).unwrap();
    assert_eq!(held(&phone), [false; 6]);
    assert!(stored(&phone, &session_key(&lab, 7)));
    wallet.remove_card(card).unwrap();
    assert!(!stored(&phone, &session_key(&lab, 7)));
}

#[test]
fn no_key_is_used_twice_wherever_power_is_lost() {
    let mut points = 0;
    for point in 1..100 {
        let (phone, mut lab, card) = prepared();
        let mut wallet = phone.wallet();
        set_time(&lab, &mut wallet, NOW);
        replenish(&mut lab, &mut wallet, card, 6).unwrap();
        phone.device.borrow_mut().changes_left = Some(point);
        let mut counters = Vec::new();
        let mut act = || -> Result<(), ClientError> {
            for round in 0..10 {
                if round == 5 {
                    let batch = lab.key_batch(&mut wallet, card, MAX_BATCH as u16, NOW + LIFE).unwrap();
                    wallet.replenish(&batch)?;
                }
                drop(wallet.prepare_tap(card, false)?);
                let response = lab::tap(&mut wallet, card, false, &lab::gpo_command(100, false));
                let Ok(response) = response else { return wallet.keys_left(card).map(|_| ()) };
                if let Ok(request) = lab::request(100, false, &response) {
                    counters.push(u16::from_be_bytes(request.atc));
                    assert!(lab.issuer.authorise(&request).is_approved());
                }
            }
            Ok(())
        };
        let _ = act();
        let cut = phone.device.borrow().changes_left == Some(0);
        drop(wallet);
        phone.restart();
        let mut wallet = phone.wallet();
        set_time(&lab, &mut wallet, NOW);
        let last = counters.last().copied().unwrap_or(0);
        let left = wallet.keys_left(card).unwrap().left;
        assert!(left <= (6 + MAX_BATCH) as u16 - last, "{left} keys left after counter {last}");
        // The keys of at most one range are lost, and the batch where it was not taken.
        let taken = if last > 5 || left > 6 { 6 + MAX_BATCH as u16 } else { 6 };
        assert!(left + last + LIMITED_RANGE >= taken, "{left} keys left after counter {last}");
        if left < LIMITED_RANGE {
            replenish(&mut lab, &mut wallet, card, MAX_BATCH).unwrap();
        }
        for _ in 0..LIMITED_RANGE {
            counters.push(pays(&mut lab, &mut wallet, card));
        }
        assert!(counters.is_sorted_by(|one, next| one < next), "{counters:?}");
        if !cut {
            points = point - 1;
            break;
        }
    }
    assert!(points >= 10, "{points} changes of the store");
}

#[test]
fn the_token_service_gives_a_key_once_and_the_issuer_takes_it_once() {
    let (phone, mut lab, card) = prepared();
    let mut wallet = phone.wallet();
    let mut given = Vec::new();
    for count in [1, 16, 3] {
        let batch = lab.issuer.key_batch(card, count, NOW).unwrap();
        given.extend(batch.first..batch.first + count);
        assert_eq!(batch.keys.len(), usize::from(count));
    }
    assert_eq!(given, (1..=20).collect::<Vec<_>>());
    for count in [0, 17] {
        assert!(matches!(lab.issuer.key_batch(card, count, NOW), Err(BatchError::Count)));
    }
    assert!(matches!(lab.issuer.key_batch(CardId([1; 16]), 1, NOW), Err(BatchError::UnknownCard)));

    set_time(&lab, &mut wallet, NOW);
    replenish(&mut lab, &mut wallet, card, 2).unwrap();
    let (request, decision) = lab::pay(&mut lab, &mut wallet, card, (100, false, false)).unwrap();
    assert!(decision.is_approved() && request.atc == [0, 21], "{decision}");
    assert_eq!(lab.issuer.authorise(&request), Decision::Declined(Reason::ReplayedAtc));

    // A cryptogram of a counter whose key nobody was given, by whoever has the master key.
    let mut forged = request.clone();
    forged.atc = [0, 23];
    let record = lab.issuer.cards()[0].clone();
    let master = record.provider.issuer_master_key(1, Channel::Nfc);
    let kind = record.kind;
    let udk = suite::udk(kind.suite, kind.derivation, &master, &record.token, record.psn).unwrap();
    let cvr = IssuerData::parse(&forged.issuer_data).unwrap().cvr;
    forged.cryptogram = suite::cryptogram(kind.suite, &udk, 23, &forged.covered(kind.cvn, cvr));
    assert_eq!(lab.issuer.authorise(&forged), Decision::Declined(Reason::KeyNotGiven));
    // A new version of the keys begins at 1 again.
    lab.issue(&mut wallet, card).unwrap();
    assert_eq!(lab.issuer.key_batch(card, 1, NOW).unwrap().first, 1);
    assert_eq!(wallet.keys_left(card).unwrap().left, 0);
}

#[test]
fn a_request_is_as_long_as_it_may_be() {
    let (phone, mut lab, card) = prepared();
    let request = batch(&mut lab, &mut phone.wallet(), card, MAX_BATCH);
    assert_eq!(request.sealed.len(), request.sealed.capacity(), "the longest batch");
    let mut bytes = vec![0; ReplenishRequest::MAX];
    assert_eq!(encode_into(&request, &mut bytes), Ok(ReplenishRequest::MAX));
    let longer = Bytes::<{ tapvault_proto::limited::KeyBatch::SEALED }>::from_slice(&vec![0; 2000]);
    assert!(longer.is_err());
}
