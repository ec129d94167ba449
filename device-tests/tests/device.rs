//! The device's keys: made in the card trusted app, certified once, and what they sign is this challenge alone.

mod common;

use common::{Phone, refusal};
use tapvault_device_tests::{
    lab::{self, Lab},
    pad,
};
use tapvault_network::{bank::BankError, device::Factory, lab as keys};
use tapvault_proto::{Error, device::Sealing, id::CardId, service::Service};

/// Name of the object that holds the keys.
const NAME: &[u8] = b"device";

/// A phone whose random numbers are others: those of the simulated TEE are a sequence.
fn another() -> Phone {
    let phone = Phone::new();
    phone.wallet().time_nonce().unwrap();
    phone
}

#[test]
fn a_device_that_no_factory_certified_draws_no_challenge() {
    let phone = Phone::new();
    let mut wallet = phone.wallet();
    for sealing in [Sealing::Hpke, Sealing::Sm2] {
        assert_eq!(refusal(wallet.card_challenge_for(sealing)), Some(Error::DeviceNotCertified));
    }
    let shown = wallet.device_key().unwrap();
    assert!(!shown.certified);
    let good = Factory::lab().certify(&shown);
    // Another factory's, another device's, or altered.
    let other = Factory::new(keys::trust_root()).certify(&shown);
    let elsewhere = Factory::lab().certify(&another().wallet().device_key().unwrap());
    let mut half = good;
    half.sm2_key = elsewhere.sm2_key;
    let mut altered = good;
    altered.signature[9] ^= 1;
    for bad in [other, elsewhere, half, altered] {
        assert_eq!(refusal(wallet.certify_device(&bad)), Some(Error::DeviceCertificateInvalid));
        assert_eq!(refusal(wallet.card_challenge()), Some(Error::DeviceNotCertified));
    }
    wallet.certify_device(&good).unwrap();
    assert_eq!(wallet.card_challenge().unwrap().certificate, good);
}

#[test]
fn the_keys_stay_the_same_and_every_device_has_its_own() {
    let phone = Phone::new();
    let shown = phone.wallet().device_key().unwrap();
    phone.restart();
    assert_eq!(phone.wallet().device_key().unwrap(), shown);
    lab::certify(&mut phone.wallet()).unwrap();
    phone.restart();
    let again = phone.wallet().device_key().unwrap();
    assert_eq!((again.key, again.sm2_key, again.certified), (shown.key, shown.sm2_key, true));
    let other = another().wallet().device_key().unwrap();
    assert!(other.key != shown.key && other.sm2_key != shown.sm2_key);
}

#[test]
fn a_bank_seals_for_what_the_device_signed_and_for_nothing_else() {
    let (phone, mut lab) = (Phone::new(), Lab::new().unwrap());
    let mut wallet = phone.wallet();
    let first = lab::challenge(&mut wallet).unwrap();
    let second = lab::challenge(&mut wallet).unwrap();
    assert!(first.challenge != second.challenge && first.recipient != second.recipient);
    assert_eq!((lab.provider.check(&first), lab.provider.check(&second)), (Ok(()), Ok(())));
    // A recipient key of somebody who has no device, under a device's challenge.
    let mut mixed = second;
    mixed.recipient = first.recipient;
    assert!(matches!(lab.provider.check(&mixed), Err(BankError::Device(_))));
    // Another device's signature.
    let other = lab::challenge(&mut another().wallet()).unwrap();
    let mut mixed = second;
    (mixed.certificate, mixed.signature) = (other.certificate, other.signature);
    assert!(matches!(lab.provider.check(&mixed), Err(BankError::Device(_))));
    assert!(lab.package(CardId([1; 16]), &mixed).is_err());
    assert!(wallet.cards().unwrap().is_empty());
}

#[test]
fn damaged_keys_are_new_ones_that_nobody_certified() {
    let (phone, mut lab) = (Phone::new(), Lab::new().unwrap());
    let card = lab.provision(&mut phone.wallet()).unwrap();
    let before = phone.wallet().device_key().unwrap();
    for damage in ["corrupted", "truncated", "lost"] {
        let name = (Service::Card.uuid(), NAME.to_vec());
        match damage {
            "corrupted" => phone.device.borrow_mut().corrupt(Service::Card.uuid(), NAME),
            "truncated" => {
                let mut world = phone.device.borrow_mut();
                world.objects.get_mut(&name).unwrap().as_mut().unwrap().truncate(40);
            }
            _ => drop(phone.device.borrow_mut().objects.remove(&name)),
        }
        phone.restart();
        let mut wallet = phone.wallet();
        assert_eq!(refusal(wallet.card_challenge()), Some(Error::DeviceNotCertified), "{damage}");
        let after = wallet.device_key().unwrap();
        assert!(!after.certified && after.key != before.key, "{damage}");
        // Nobody speaks to the service platform for the cards, until the factory has certified the new keys.
        let asked = wallet.prepare_tap(card, false).map(|_| ());
        assert!(
            matches!(asked, Err(error) if error.refusal() == Some(Error::DeviceNotCertified)),
            "{damage}"
        );
        lab::certify(&mut wallet).unwrap();
        assert!(lab::pay(&mut lab, &mut wallet, card, (1, false, false)).unwrap().1.is_approved());
        lab.provision(&mut wallet).unwrap();
    }
}

#[test]
fn making_and_certifying_are_all_or_nothing() {
    for point in 1..10 {
        let phone = Phone::new();
        let mut wallet = phone.wallet();
        wallet.status().unwrap();
        pad::pair(&mut wallet).unwrap();
        phone.device.borrow_mut().changes_left = Some(point);
        let shown = wallet.device_key().ok();
        let done = lab::certify(&mut wallet);
        let cut = phone.device.borrow().changes_left == Some(0);
        drop(wallet);
        phone.restart();
        let after = phone.wallet().device_key().unwrap();
        if let Some(shown) = shown.filter(|_| point > 1) {
            assert_eq!(after.key, shown.key, "keys that were shown are kept");
        }
        lab::challenge(&mut phone.wallet()).unwrap();
        if !cut {
            assert!(done.is_ok() && after.certified);
            assert_eq!(point - 1, 2, "keys, then certificate");
            return;
        }
    }
    panic!("it does not end");
}
