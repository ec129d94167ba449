//! Issue, seal, and open as a card trusted app would: the seal is for one challenge, one card, one key.

mod common;

use common::{CARD, challenge, order};
use hpke::{
    Deserializable, Kem, OpModeR, Serializable,
    aead::{AeadTag, AesGcm128},
    inout::InOutBuf,
    kdf::HkdfSha256,
    kem::DhP256HkdfSha256,
    single_shot_open_inout_detached,
};
use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier};
use sha2::{Digest, Sha256};
use tapvault_network::{
    bank::{BankError, Provider, tamper},
    device::{DeviceError, Factory},
    issuer::Issuer,
    lab::{self, LabBank},
    registry::{IssueError, Order},
};
use tapvault_proto::{
    device::{ChallengeReply, DeviceKeyReply, Sealing},
    document::{Contents, MAX_PACKAGE, Package, SealedPackage},
    id::CardId,
    limited::KeyBatch,
    pin::{EnrolmentTicket, TicketPurpose},
    profile::CardProfile,
    token::Channel,
    wire::{Wire, decode_exact, encode_into},
};

type PrivateKey = <DhP256HkdfSha256 as Kem>::PrivateKey;

fn recipient(seed: u8) -> (PrivateKey, [u8; 65]) {
    let (key, public) = DhP256HkdfSha256::derive_keypair(&[seed; 32]);
    (key, public.to_bytes().as_slice().try_into().unwrap_or([0; 65]))
}

fn encoded(profile: &CardProfile) -> Vec<u8> {
    let mut bytes = vec![0; <CardProfile as Wire>::MAX];
    let length = encode_into(profile, &mut bytes).unwrap_or(0);
    bytes.truncate(length);
    bytes
}

fn verifies(key: &[u8; 65], message: &[u8], signature: &[u8; 64]) -> bool {
    let key = VerifyingKey::from_sec1_bytes(key);
    let signature = Signature::from_slice(signature);
    matches!((key, signature), (Ok(key), Ok(signature)) if key.verify(message, &signature).is_ok())
}

/// What the trusted app checks before it opens.
fn authentic(package: &Package) -> bool {
    let root = lab::trust_root().verifying_key().to_sec1_point(false);
    let root = root.as_bytes().try_into().unwrap_or([0; 65]);
    let digest =
        Sha256::new().chain_update(&package.encapsulated).chain_update(&package.ciphertext).finalize();
    verifies(&root, &package.certificate.signed_bytes(), &package.certificate.signature)
        && verifies(
            &package.certificate.key,
            &package.header.signed_bytes(&digest.into()),
            &package.signature,
        )
}

fn open(package: &Package, key: &PrivateKey) -> Option<Vec<u8>> {
    let (sealed, tag) = package.ciphertext.split_at(package.ciphertext.len().checked_sub(16)?);
    let mut plain = sealed.to_vec();
    single_shot_open_inout_detached::<AesGcm128, HkdfSha256, DhP256HkdfSha256>(
        &OpModeR::Base,
        key,
        &Deserializable::from_bytes(&package.encapsulated).ok()?,
        &package.header.info(),
        InOutBuf::from(plain.as_mut_slice()),
        &[],
        &AeadTag::from_bytes(tag).ok()?,
    )
    .ok()?;
    Some(plain)
}

#[test]
fn a_sealed_profile_opens_to_the_same_bytes() {
    let bank = Provider::lab("A").unwrap();
    let profile = Issuer::in_memory().issue(&order("6299991234567890")).unwrap();
    let (key, public) = recipient(1);
    let json = bank.seal(CARD, &challenge([9; 32], public), &profile).unwrap();
    assert!(json.len() <= MAX_PACKAGE);
    let package = SealedPackage::parse(json.as_bytes()).unwrap();
    assert!(authentic(&package));
    assert_eq!((package.header.card, package.header.challenge), (CARD, [9; 32]));
    assert_eq!(package.header.provider, bank.id());
    let plain = open(&package, &key).unwrap();
    let Contents { profile: opened, blocks } = decode_exact(&plain).unwrap();
    assert_eq!((encoded(&opened), blocks.len()), (encoded(&profile), 0));
    assert_eq!(opened.check(), Ok(()));
    // Sealing draws a new key each time.
    assert_ne!(json, bank.seal(CARD, &challenge([9; 32], public), &profile).unwrap());
}

#[test]
fn a_changed_package_neither_verifies_nor_opens() {
    let bank = Provider::lab("A").unwrap();
    let profile = Issuer::in_memory().issue(&order("6299991234567890")).unwrap();
    let (key, public) = recipient(1);
    let json = bank.seal(CARD, &challenge([9; 32], public), &profile).unwrap();
    let good = SealedPackage::parse(json.as_bytes()).unwrap();

    let tampered = SealedPackage::parse(tamper(json.as_bytes()).unwrap().as_bytes()).unwrap();
    assert!(!authentic(&tampered));
    assert_eq!(open(&tampered, &key), None);

    // What the seal is bound to: each of these is under the signature and under the HPKE info.
    let changes: [fn(&mut Package); 3] = [
        |package| package.header.challenge[0] ^= 1,
        |package| package.header.card = CardId([0xC2; 16]),
        |package| package.header.provider = LabBank::B.id(),
    ];
    for change in changes {
        let mut changed = good.clone();
        change(&mut changed);
        assert!(!authentic(&changed));
        assert_eq!(open(&changed, &key), None);
    }
    assert_eq!(open(&good, &recipient(2).0), None);
    // Another bank's certificate does not fit the signature.
    let mut foreign = good.clone();
    foreign.certificate = Provider::lab("B").unwrap().certificate().clone();
    assert!(!authentic(&foreign));
    assert!(tamper(b"{}").is_err());
}

#[test]
fn a_point_off_the_curve_or_an_invalid_profile_is_not_sealed_for() {
    let bank = Provider::lab("A").unwrap();
    let mut profile = Issuer::in_memory().issue(&order("6299991234567890")).unwrap();
    let mut off = recipient(1).1;
    off[64] ^= 1;
    for bad in [[0; 65], off] {
        let bad = challenge([9; 32], bad);
        assert_eq!(bank.seal(CARD, &bad, &profile), Err(BankError::Recipient));
        assert_eq!(bank.check(&bad), Err(BankError::Recipient));
    }
    profile.last_four = *b"43 1";
    let good = challenge([9; 32], recipient(1).1);
    assert!(matches!(bank.seal(CARD, &good, &profile), Err(BankError::Profile(_))));
    assert!(Provider::lab("F").is_err());
}

#[test]
fn nothing_is_sealed_for_a_device_that_no_factory_certified() {
    let bank = Provider::lab("A").unwrap();
    let profile = Issuer::in_memory().issue(&order("6299991234567890")).unwrap();
    let batch = KeyBatch { key_version: 1, valid_until: 1, first: 1, keys: [].into_iter().collect() };
    let good = challenge([9; 32], recipient(1).1);
    assert!(bank.seal(CARD, &good, &profile).is_ok() && bank.seal_batch(CARD, &good, &batch).is_ok());
    let mut elsewhere = good;
    elsewhere.certificate = Factory::new(lab::trust_root()).certify(&DeviceKeyReply {
        key: good.certificate.key,
        sm2_key: good.certificate.sm2_key,
        certified: true,
    });
    type Change = fn(&mut ChallengeReply);
    let changes: [(Change, DeviceError); 8] = [
        (|reply| reply.certificate.key[9] ^= 1, DeviceError::Certificate),
        (|reply| reply.certificate.sm2_key[9] ^= 1, DeviceError::Certificate),
        (|reply| reply.certificate.signature[9] ^= 1, DeviceError::Certificate),
        (|reply| reply.challenge[9] ^= 1, DeviceError::Signature),
        (|reply| reply.recipient = recipient(2).1, DeviceError::Signature),
        (|reply| reply.sealing = Sealing::Sm2, DeviceError::Signature),
        (|reply| reply.signature[9] ^= 1, DeviceError::Signature),
        (|reply| reply.signature = [0; 64], DeviceError::Signature),
    ];
    let changed = changes.map(|(change, error)| {
        let mut reply = good;
        change(&mut reply);
        (reply, error)
    });
    for (reply, error) in changed.into_iter().chain([(elsewhere, DeviceError::Certificate)]) {
        let expected = BankError::Device(error);
        assert_eq!(bank.seal(CARD, &reply, &profile), Err(expected));
        assert_eq!(bank.seal_batch(CARD, &reply, &batch), Err(expected));
        assert_eq!(bank.check(&reply), Err(expected));
    }
}

#[test]
fn a_ticket_is_the_banks_for_one_challenge_and_purpose() {
    let bank = Provider::lab("B").unwrap();
    let ticket = bank.ticket(TicketPurpose::Reset, [5; 32]);
    let mut bytes = [0; <EnrolmentTicket as Wire>::MAX];
    let length = encode_into(&ticket, &mut bytes).unwrap();
    assert_eq!(decode_exact::<EnrolmentTicket>(&bytes[..length]), Ok(ticket.clone()));
    assert!(verifies(&ticket.certificate.key, &ticket.signed_bytes(), &ticket.signature));
    let other = EnrolmentTicket { purpose: TicketPurpose::Enrol, ..ticket.clone() };
    assert!(!verifies(&other.certificate.key, &other.signed_bytes(), &other.signature));
    let other = EnrolmentTicket { challenge: [6; 32], ..ticket };
    assert!(!verifies(&other.certificate.key, &other.signed_bytes(), &other.signature));
}

#[test]
fn issuing_again_raises_the_key_version_and_changes_the_key() {
    let mut issuer = Issuer::in_memory();
    let first = issuer.issue(&order("6299991234567890")).unwrap();
    let second = issuer.issue(&Order { token: None, ..order("") }).unwrap();
    assert_eq!((first.key_version, second.key_version), (1, 2));
    assert_eq!(first.track2, second.track2);
    let udk = |profile: &CardProfile| *profile.udk(Channel::Nfc).unwrap().expose();
    assert_ne!(udk(&first), udk(&second));
    assert_eq!(issuer.cards().len(), 1);
    for version in 3..=255 {
        assert_eq!(issuer.issue(&Order { token: None, ..order("") }).unwrap().key_version, version);
    }
    let spent = issuer.issue(&Order { token: None, ..order("") });
    assert!(matches!(spent, Err(IssueError::KeyVersionsUsedUp)));
}

#[test]
fn a_token_and_a_card_belong_together() {
    let mut issuer = Issuer::in_memory();
    issuer.issue(&order("6299991234567890")).unwrap();
    let other = CardId([0xC2; 16]);
    let taken = issuer.issue(&Order { card: other, ..order("6299991234567890") });
    assert!(matches!(taken, Err(IssueError::TokenTaken)));
    let stolen = issuer.issue(&Order { bank: LabBank::B, ..order("6299991234567890") });
    assert!(matches!(stolen, Err(IssueError::OtherBank)));
    assert!(matches!(issuer.issue(&order("62999912345678")), Ok(profile) if profile.key_version == 2));
    assert!(matches!(issuer.issue(&order("629999")), Err(IssueError::Digits)));
    let drawn = issuer.issue(&Order { card: other, token: None, ..order("") }).unwrap();
    assert_eq!(drawn.track2.len(), 14);
    assert_eq!(issuer.cards().len(), 2);
}
