//! The stored-value card against a fake world.
#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use tapvault_trustlet::{
    Error, Refusal,
    proto::{
        service::Service,
        trustlet::{
            keys::{KeyAlgorithm, Mac, Sign},
            store::PutRequest,
        },
        wire::{Wire, encode_into},
    },
    testing::{Guest, client, fake_mac, fake_public, fake_signature},
};
use transit::{Transit, messages::*};

/// A card as it comes out of the shop, with its id.
fn sealed() -> (Guest<Transit>, [u8; 16]) {
    let mut guest = Guest::<Transit>::new();
    guest.world.allow(&[Service::Random, Service::Store, Service::Card]);
    let Ok(Reply::Create(created)) = guest.call(&Request::Create(CreateRequest {})) else {
        panic!("no card")
    };
    guest.call(&Request::Seal(SealRequest {})).expect("it seals");
    (guest, created.card)
}

/// An authorisation as the card's own key makes it.
fn authorised(card: [u8; 16], amount: u64, sequence: u64) -> TopUpRequest {
    let covered = TopUp { label: TOP_UP_LABEL, card, amount, sequence };
    TopUpRequest { amount, sequence, mac: fake_mac(b"topup", &encoded(&covered)) }
}

fn encoded<T: Wire>(value: &T) -> Vec<u8> {
    let mut out = vec![0; T::MAX];
    let len = encode_into(value, &mut out).expect("it fits");
    out.truncate(len);
    out
}

fn top_up(guest: &mut Guest<Transit>, request: TopUpRequest) -> Result<u64, Refusal> {
    match guest.call(&Request::TopUp(request))? {
        Reply::TopUp(reply) => Ok(reply.balance),
        other => panic!("{other:?}"),
    }
}

fn debit(guest: &mut Guest<Transit>, amount: u64, nonce: u8) -> Result<DebitReply, Refusal> {
    match guest.call(&Request::Debit(DebitRequest { amount, nonce: [nonce; 16] }))? {
        Reply::Debit(reply) => Ok(reply),
        other => panic!("{other:?}"),
    }
}

fn balance(guest: &mut Guest<Transit>) -> BalanceReply {
    match guest.call(&Request::Balance(BalanceRequest {})) {
        Ok(Reply::Balance(reply)) => reply,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_card_exists_once() {
    let mut guest = Guest::<Transit>::new();
    assert_eq!(guest.call(&Request::Balance(BalanceRequest {})), Err(Refused::NoCard.into()));
    let Ok(Reply::Create(created)) = guest.call(&Request::Create(CreateRequest {})) else {
        panic!("no card")
    };
    assert_eq!(created.key, fake_public(b"receipt", KeyAlgorithm::EcdsaP256));
    assert_eq!(guest.call(&Request::Create(CreateRequest {})), Err(Refused::CardExists.into()));
    let expected = BalanceReply { card: created.card, balance: 0, sequence: 0, debits: 0, sealed: false };
    assert_eq!(balance(&mut guest), expected);
}

#[test]
fn the_shop_authorises_until_the_card_is_sealed_and_never_again() {
    let mut guest = Guest::<Transit>::new();
    let Ok(Reply::Create(created)) = guest.call(&Request::Create(CreateRequest {})) else {
        panic!("no card")
    };
    let ask = Request::Authorise(AuthoriseRequest { amount: 2000, sequence: 1 });
    let voucher = authorised(created.card, 2000, 1);
    assert_eq!(guest.call(&ask), Ok(Reply::Authorise(AuthoriseReply { mac: voucher.mac })));
    assert_eq!(top_up(&mut guest, voucher.clone()), Err(Refused::NotSealed.into()));
    assert_eq!(debit(&mut guest, 1, 1), Err(Refused::NotSealed.into()));
    let nothing = Request::Authorise(AuthoriseRequest { amount: 0, sequence: 1 });
    assert_eq!(guest.call(&nothing), Err(Refused::NoAmount.into()));

    assert_eq!(guest.call(&Request::Seal(SealRequest {})), Ok(Reply::Seal(SealReply {})));
    assert_eq!(guest.call(&ask), Err(Refused::Sealed.into()));
    assert_eq!(guest.call(&Request::Seal(SealRequest {})), Err(Refused::Sealed.into()));
    guest.reopen();
    assert_eq!(guest.call(&ask), Err(Refused::Sealed.into()));
    assert_eq!(top_up(&mut guest, voucher), Ok(2000));
}

#[test]
fn an_authorisation_loads_once_and_voids_the_lower_ones() {
    let (mut guest, card) = sealed();
    assert_eq!(top_up(&mut guest, authorised(card, 500, 2)), Ok(500));
    assert_eq!(top_up(&mut guest, authorised(card, 500, 2)), Err(Refused::SequenceUsed.into()));
    assert_eq!(top_up(&mut guest, authorised(card, 900, 1)), Err(Refused::SequenceUsed.into()));
    guest.reopen();
    assert_eq!(top_up(&mut guest, authorised(card, 500, 2)), Err(Refused::SequenceUsed.into()));
    assert_eq!(top_up(&mut guest, authorised(card, 100, 7)), Ok(600));
}

#[test]
fn an_authorisation_cannot_be_altered_or_used_on_another_card() {
    let (mut guest, card) = sealed();
    let good = authorised(card, 500, 1);
    let mut flipped = good.mac;
    flipped[31] ^= 1;
    let mut other_card = card;
    other_card[0] ^= 1;
    for bad in [
        TopUpRequest { amount: 501, ..good.clone() },
        TopUpRequest { sequence: 2, ..good.clone() },
        TopUpRequest { mac: flipped, ..good.clone() },
        authorised(other_card, 500, 1),
    ] {
        assert_eq!(top_up(&mut guest, bad), Err(Refused::NotAuthorised.into()));
    }
    assert_eq!(balance(&mut guest).balance, 0);
    assert_eq!(top_up(&mut guest, good), Ok(500));
}

#[test]
fn a_balance_cannot_overflow_or_go_below_zero() {
    let (mut guest, card) = sealed();
    assert_eq!(debit(&mut guest, 1, 1), Err(Refused::BalanceTooLow.into()));
    assert_eq!(top_up(&mut guest, authorised(card, u64::MAX, 1)), Ok(u64::MAX));
    assert_eq!(top_up(&mut guest, authorised(card, 1, 2)), Err(Refused::BalanceTooHigh.into()));
    assert_eq!(balance(&mut guest).sequence, 1, "a refused authorisation stays good");
    assert_eq!(debit(&mut guest, 0, 1), Err(Refused::NoAmount.into()));
    assert_eq!(debit(&mut guest, u64::MAX, 2).map(|reply| reply.receipt.balance), Ok(0));
    assert_eq!(debit(&mut guest, 1, 3), Err(Refused::BalanceTooLow.into()));
    assert_eq!(top_up(&mut guest, authorised(card, 1, 2)), Ok(1));
}

#[test]
fn a_debit_gives_a_signed_receipt_that_is_numbered_without_gaps() {
    let (mut guest, card) = sealed();
    top_up(&mut guest, authorised(card, 1000, 1)).expect("it loads");
    for (number, left) in [(1, 700), (2, 400), (3, 100)] {
        let paid = debit(&mut guest, 300, number as u8).expect("it pays");
        let expected = Receipt {
            label: RECEIPT_LABEL,
            card,
            nonce: [number as u8; 16],
            amount: 300,
            balance: left,
            debit: number,
        };
        assert_eq!(paid.receipt, expected);
        let signature = fake_signature(b"receipt", KeyAlgorithm::EcdsaP256, &encoded(&expected));
        assert_eq!(paid.signature, signature);
        assert_eq!(debit(&mut guest, 1000, 0xFF), Err(Refused::BalanceTooLow.into()));
    }
    assert_eq!(balance(&mut guest).debits, 3);
}

#[test]
fn a_repeated_debit_costs_nothing_and_gives_the_same_receipt() {
    let (mut guest, card) = sealed();
    top_up(&mut guest, authorised(card, 1000, 1)).expect("it loads");
    let first = debit(&mut guest, 300, 1);
    let writes = guest.world.calls.len();
    assert_eq!(debit(&mut guest, 300, 1), first);
    assert_eq!(guest.world.calls.len(), writes + 1, "one read, no write, no signature");
    guest.reopen();
    assert_eq!(debit(&mut guest, 300, 1), first, "after a power cut");
    assert_eq!(debit(&mut guest, 301, 1), Err(Refused::NonceUsed.into()));
    top_up(&mut guest, authorised(card, 1, 2)).expect("it loads");
    assert_eq!(debit(&mut guest, 300, 1), first, "a top-up in between");
    assert_eq!(balance(&mut guest).balance, 701);
}

#[test]
fn a_debit_or_top_up_that_fails_has_changed_nothing() {
    let (mut guest, card) = sealed();
    top_up(&mut guest, authorised(card, 1000, 1)).expect("it loads");
    let before = guest.world.store.clone();

    guest.world.fail::<PutRequest>(Error::StorageFailed);
    assert_eq!(debit(&mut guest, 300, 1), Err(Refusal::Failed(Error::StorageFailed)));
    guest.world.fail::<Sign>(Error::PeerDead);
    assert_eq!(debit(&mut guest, 300, 1), Err(Refusal::Failed(Error::PeerDead)));
    guest.world.fail::<PutRequest>(Error::StorageFull);
    assert_eq!(top_up(&mut guest, authorised(card, 5, 2)), Err(Refusal::Failed(Error::StorageFull)));
    guest.world.fail::<Mac>(Error::PeerDead);
    assert_eq!(top_up(&mut guest, authorised(card, 5, 2)), Err(Refusal::Failed(Error::PeerDead)));

    assert_eq!(guest.world.store, before);
    assert_eq!(debit(&mut guest, 300, 1).map(|reply| reply.receipt.debit), Ok(1));
    assert_eq!(top_up(&mut guest, authorised(card, 5, 2)), Ok(705));
}

#[test]
fn everything_that_changes_together_is_one_value_and_one_write() {
    let (mut guest, card) = sealed();
    top_up(&mut guest, authorised(card, 1000, 1)).expect("it loads");
    guest.world.calls.clear();
    debit(&mut guest, 300, 1).expect("it pays");
    let writes = guest.world.calls.iter().filter(|call| **call == (Service::Store, 0x0002)).count();
    assert_eq!((writes, guest.world.store.len()), (1, 1));
}

#[test]
fn keys_are_opened_again_after_the_card_trusted_app_has_died() {
    let (mut guest, card) = sealed();
    top_up(&mut guest, authorised(card, 1000, 1)).expect("it loads");
    guest.world.close_keys();
    assert_eq!(top_up(&mut guest, authorised(card, 1, 2)), Ok(1001));
    assert!(debit(&mut guest, 300, 1).is_ok());
}

#[test]
fn rejects_malformed_messages_and_damaged_state() {
    let (mut guest, _) = sealed();
    for bad in [&[][..], &[0], &[7], &[4, 0], &[6, 0, 0]] {
        assert_eq!(guest.send(&client(1), bad), Err(Error::BadParameters), "{bad:?}");
    }
    guest.world.store.insert(b"card".to_vec(), vec![0; 3]);
    let refused = guest.call(&Request::Balance(BalanceRequest {}));
    assert_eq!(refused, Err(Refusal::Failed(Error::StateCorrupt)));
}
