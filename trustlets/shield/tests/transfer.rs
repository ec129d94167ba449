//! Signing confirmed transfers against a fake world.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use shield::{
    Algorithm, LABEL, PublicKeyReply, PublicKeyRequest, Refused, Reply, Request, Shield, SignReply,
    SignRequest, Signed,
};
use tapvault_trustlet::{
    Error, Refusal,
    proto::{
        pin::{TakeConfirmation, Transfer},
        service::Service,
        trustlet::{
            keys::{KeyAlgorithm, Sign},
            store::PutRequest,
        },
        wire::{Bytes, Wire, encode_into},
    },
    testing::{Guest, client, fake_public, fake_signature},
};

fn guest() -> Guest<Shield> {
    let mut guest = Guest::<Shield>::new();
    guest.world.allow(&[Service::Pin, Service::Card, Service::Store]);
    guest
}

fn transfer(amount: u64, payee: &[u8]) -> Transfer {
    Transfer { amount, currency: 0x0156, payee: Bytes::from_slice(payee).expect("a payee") }
}

fn sign(guest: &mut Guest<Shield>, algorithm: Algorithm, transfer: &Transfer) -> Result<SignReply, Refusal> {
    match guest.call(&Request::Sign(SignRequest { algorithm, transfer: transfer.clone() }))? {
        Reply::Sign(reply) => Ok(reply),
        other => panic!("{other:?}"),
    }
}

fn expected(algorithm: KeyAlgorithm, transfer: &Transfer, counter: u64) -> SignReply {
    let mut covered = [0; Signed::MAX];
    let signed = Signed { label: LABEL, transfer: transfer.clone(), counter };
    let len = encode_into(&signed, &mut covered).expect("it fits");
    SignReply { counter, signature: fake_signature(b"transfer", algorithm, &covered[..len]) }
}

#[test]
fn signs_what_the_holder_confirmed_with_the_key_asked_for() {
    let mut guest = guest();
    let rent = transfer(120_000, b"Landlord");
    guest.world.confirmed.extend([rent.clone(), rent.clone()]);
    assert_eq!(sign(&mut guest, Algorithm::P256, &rent), Ok(expected(KeyAlgorithm::EcdsaP256, &rent, 1)));
    assert_eq!(sign(&mut guest, Algorithm::Sm2, &rent), Ok(expected(KeyAlgorithm::Sm2, &rent, 2)));
}

#[test]
fn refuses_what_was_not_confirmed_to_the_last_byte() {
    let mut guest = guest();
    guest.world.confirmed.push(transfer(100, b"Shop"));
    let mut other_currency = transfer(100, b"Shop");
    other_currency.currency = 0x0978;
    for other in [transfer(101, b"Shop"), transfer(100, b"Shop "), transfer(100, b"shop"), other_currency] {
        assert_eq!(sign(&mut guest, Algorithm::P256, &other), Err(Refused::ConfirmFirst.into()));
    }
    assert_eq!(guest.world.confirmed.len(), 1);
    assert!(guest.world.store.is_empty(), "a refusal uses no number");
}

#[test]
fn a_confirmation_signs_once() {
    let mut guest = guest();
    let shop = transfer(100, b"Shop");
    guest.world.confirmed.push(shop.clone());
    assert!(sign(&mut guest, Algorithm::P256, &shop).is_ok());
    assert_eq!(sign(&mut guest, Algorithm::P256, &shop), Err(Refused::ConfirmFirst.into()));
    assert_eq!(sign(&mut guest, Algorithm::Sm2, &shop), Err(Refused::ConfirmFirst.into()));
}

#[test]
fn no_counter_is_signed_twice_whatever_fails() {
    let mut guest = guest();
    let shop = transfer(100, b"Shop");
    guest.world.confirmed.extend(vec![shop.clone(); 4]);
    assert_eq!(sign(&mut guest, Algorithm::P256, &shop).map(|reply| reply.counter), Ok(1));
    guest.world.fail::<PutRequest>(Error::StorageFailed);
    assert_eq!(sign(&mut guest, Algorithm::P256, &shop), Err(Refusal::Failed(Error::StorageFailed)));
    guest.world.fail::<Sign>(Error::PeerDead);
    assert_eq!(sign(&mut guest, Algorithm::P256, &shop), Err(Refusal::Failed(Error::PeerDead)));
    guest.reopen();
    assert_eq!(sign(&mut guest, Algorithm::P256, &shop).map(|reply| reply.counter), Ok(3));
}

#[test]
fn refuses_at_the_end_of_the_counter() {
    let mut guest = guest();
    let shop = transfer(100, b"Shop");
    guest.world.store.insert(b"counter".to_vec(), u64::MAX.to_be_bytes().to_vec());
    guest.world.confirmed.push(shop.clone());
    assert_eq!(sign(&mut guest, Algorithm::P256, &shop), Err(Refused::CounterUsedUp.into()));
}

#[test]
fn a_failing_pin_service_is_no_confirmation_and_no_refusal_of_its_own() {
    let mut guest = guest();
    let shop = transfer(100, b"Shop");
    guest.world.confirmed.push(shop.clone());
    guest.world.fail::<TakeConfirmation>(Error::PeerDead);
    assert_eq!(sign(&mut guest, Algorithm::P256, &shop), Err(Refusal::Failed(Error::PeerDead)));
    guest.world.allow(&[Service::Card, Service::Store]);
    assert_eq!(sign(&mut guest, Algorithm::P256, &shop), Err(Refusal::Failed(Error::NotInManifest)));
}

#[test]
fn tells_both_public_keys() {
    let mut guest = guest();
    for (algorithm, key) in [(Algorithm::P256, KeyAlgorithm::EcdsaP256), (Algorithm::Sm2, KeyAlgorithm::Sm2)]
    {
        let reply = guest.call(&Request::PublicKey(PublicKeyRequest { algorithm }));
        let expected = PublicKeyReply { key: fake_public(b"transfer", key) };
        assert_eq!(reply, Ok(Reply::PublicKey(expected)));
    }
}

#[test]
fn rejects_malformed_messages() {
    let mut guest = guest();
    for bad in [&[][..], &[1], &[1, 3], &[1, 1, 0], &[2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0x56, 0, 33]] {
        assert_eq!(guest.send(&client(1), bad), Err(Error::BadParameters), "{bad:?}");
    }
}
