//! Everything that is secret on the phones of these tests: what is in cards from the start, and what is made as seals
//! are opened and trustlets take keys, computed here a second time.

use crate::{
    common::Phone,
    watch::{Watched, plant},
};
use hpke::{
    Deserializable, Kem, OpModeR, Serializable, aead::AesGcm128, kdf::HkdfSha256, kem::DhP256HkdfSha256,
};
use sm2::pke::{Cipher, DecryptingKey, Mode};
use tapvault_device_tests::{
    canary::{
        self, CANARY_PIN, Canaries,
        seal::{derived, hmac, shared_point},
    },
    contact,
    lab::{self, Lab},
    scenarios::binding::NUMBER,
};
use tapvault_network::{
    contact::ContactRules, element::ElementKeys, keyblock::Version, kind::CardKind, oda::OdaKind,
};
use tapvault_pad_link::schedule::Ephemeral;
use tapvault_pinblock::dukpt::{Dukpt, STATE_LEN};
use tapvault_proto::{
    bank_pin::{PinBlockFormat, PinKey},
    device::Sealing,
    document::KEY_BLOCK_B,
    id::{CardId, ProviderId},
    pad::{PadAnswer, PadOffer, Pairing, transcript},
    profile::{Key128, Suite},
    service::Service,
    trustlet::{Owner, keys::KeyAlgorithm},
};
use tapvault_tee::{
    Tee,
    host::{Device, HostTee},
};

/// Blocks under each of a bank's keys for PIN blocks.
pub const BLOCKS: u32 = 3;

pub const CARD_ID: CardId = CardId([0xCA; 16]);

/// The kinds of cards: suite, key of the offline authentication, and how keys come in.
pub const KINDS: [(Suite, OdaKind, Sealing, Option<Version>); 6] = [
    (Suite::Pboc3Des, OdaKind::Rsa1024, Sealing::Hpke, None),
    (Suite::PbocSm4, OdaKind::Sm2, Sealing::Hpke, None),
    (Suite::Emv3Des, OdaKind::Rsa1536, Sealing::Hpke, None),
    (Suite::PbocSm4, OdaKind::Sm2, Sealing::Sm2, None),
    (Suite::Pboc3Des, OdaKind::None, Sealing::Hpke, Some(Version::B)),
    (Suite::EmvAes, OdaKind::None, Sealing::Hpke, Some(Version::D)),
];

/// The key that a challenge is sealed to, when the TEE's random numbers stand here.
pub const RANDOM: u64 = 0x0C0F_FEE0;

type PrivateKey = <DhP256HkdfSha256 as Kem>::PrivateKey;

/// And where they stand when an ephemeral key is drawn: what follows is drawn for others to see.
pub const RANDOM_OUTWARD: u64 = 0x0BAD_CAFE;

/// And when keys for the pad are drawn.
pub const RANDOM_PAD: u64 = 0x0C0F_FEE1_0000;

/// And when a session with the pad is offered.
pub const RANDOM_SESSION: u64 = 0x0C0F_FEE2_0000;

/// The numbers that the TEE draws at a place, by 32 bytes.
fn drawn<const N: usize>(random: u64) -> [[u8; 32]; N] {
    let device = Device::default();
    device.borrow_mut().random = random;
    let mut tee = HostTee::new(Service::Card, &device);
    let mut drawn = [[0; 32]; N];
    drawn.iter_mut().for_each(|bytes| tee.random(bytes));
    drawn
}

/// What a challenge draws behind its nonce: an SM2 scalar, or what the HPKE key is derived from.
fn seed() -> [u8; 32] {
    let [_, seed] = drawn(RANDOM);
    seed
}

fn provisioning_key() -> PrivateKey {
    DhP256HkdfSha256::derive_keypair(&seed()).0
}

/// Plants what is known before a card is there.
pub fn plant_everything() {
    let mut canaries = Canaries::default();
    canaries.add_pin(CANARY_PIN);
    canaries.add("card number", NUMBER.as_bytes());
    canaries.add("seed of the provisioning key", &seed());
    canaries.add("provisioning key", &provisioning_key().to_bytes());
    let phone = Phone::new();
    for (service, purpose) in [(Service::Pin, &b"wallet pin verifier"[..]), (Service::Card, b"trustlet keys")]
    {
        let mut key = [0; 32];
        HostTee::new(service, &phone.device).unique_key(purpose, &mut key).unwrap();
        canaries.add("a key of the trusted app's own", &key);
    }
    let ElementKeys { enc, mac, .. } = ElementKeys::lab();
    canaries.add("the element's encryption key", enc.expose());
    canaries.add("the element's MAC key", mac.expose());
    let mut wallet = phone.wallet();
    let mut lab = Lab::new().unwrap();
    for (suite, oda, ..) in KINDS {
        lab.kind = CardKind { suite, oda, ..CardKind::default() };
        let challenge = lab::challenge(&mut wallet).unwrap();
        canaries.add_profile(&canary::package(&mut lab, CARD_ID, &challenge).unwrap().1);
    }
    add_pin_keys(&mut canaries);
    // The kind that every use ends with. Its card PIN is one that everybody knows.
    canaries.add_profile(&contact::test_card(&lab, ContactRules::default()).profile().unwrap());
    plant(|planted| *planted = canaries);
}

/// A bank's key for PIN blocks.
pub fn pin_key(format: PinBlockFormat, identifier: u8) -> PinKey {
    let initial = canary::bytes(&format!("PIN key {identifier}"));
    PinKey { format, identifier: [identifier; 8], initial: Key128::new(initial[..16].try_into().unwrap()) }
}

/// The initial keys, those that it becomes in storage, and those of the blocks.
fn add_pin_keys(canaries: &mut Canaries) {
    for (format, identifier) in PinBlockFormat::ALL.into_iter().zip(0..) {
        let PinKey { identifier, initial, .. } = pin_key(format, identifier);
        canaries.add("initial key for PIN blocks", initial.expose());
        let mut dukpt = Dukpt::load(identifier, initial.expose());
        for _ in 0..BLOCKS {
            let mut state = [0; STATE_LEN];
            dukpt.write(&mut state);
            for kept in state[12..].chunks(16).filter(|kept| **kept != [0; 16]) {
                canaries.add("derivation key for PIN blocks", kept);
            }
            canaries.add("key of a PIN block", dukpt.take(format).unwrap().1.expose());
        }
    }
}

/// What belongs to one seal that is opened with the key of a challenge at [`RANDOM`].
pub fn plant_seal(sealing: Sealing, encapsulated: &[u8], info: &[u8]) {
    plant(|canaries| match sealing {
        Sealing::Hpke => hpke_seal(canaries, encapsulated, info),
        Sealing::Sm2 => {
            let key = sm2::SecretKey::from_slice(&seed()).unwrap();
            let cipher: Cipher<'_> = Cipher::from_slice(encapsulated, Mode::C1C3C2).unwrap();
            let mut content_key = [0; 16];
            DecryptingKey::new(key).decrypt_cipher_with_buf(&cipher, &mut content_key).unwrap();
            canaries.add("content key of an SM2 seal", &content_key);
        }
    });
}

/// The PIN trusted app's keys for the pad, behind the format in their object.
pub fn plant_pad_keys(watched: &Watched) {
    let device = watched.phone.device.borrow();
    let object = device.objects.get(&(Service::Pin.uuid(), b"pad".to_vec()));
    let secrets = object.and_then(|object| object.as_ref()?.get(1..65)).unwrap();
    for secret in secrets.chunks(32) {
        plant(|canaries| canaries.add("key for the pad", secret));
    }
}

/// The secrets of a session with the pad that was offered at [`RANDOM_SESSION`].
pub fn plant_pad_session(pairing: &Pairing, offer: &PadOffer, answer: &PadAnswer) {
    let [scalar] = drawn(RANDOM_SESSION);
    let (ephemeral, public) = Ephemeral::draw(offer.suite, &mut |out| out.copy_from_slice(&scalar)).unwrap();
    assert_eq!(public, offer.ephemeral, "that this is the key of the session");
    let keys =
        ephemeral.agree(&answer.ephemeral, &transcript(None, pairing, offer, &answer.ephemeral)).unwrap();
    plant(|canaries| {
        canaries.add("ephemeral key of a session with the pad", &scalar);
        canaries.add("key down", &keys.down);
        canaries.add("key up", &keys.up);
    });
}

/// What belongs to one seal that a trusted app makes for others at [`RANDOM_OUTWARD`].
pub fn plant_outward(recipient: &[u8; 65], info: &[u8]) {
    let (ephemeral, encapsulated) = DhP256HkdfSha256::derive_keypair(&drawn::<1>(RANDOM_OUTWARD)[0]);
    let point = shared_point(&ephemeral.to_bytes(), recipient).unwrap();
    plant(|canaries| {
        canaries.add("ephemeral key", &ephemeral.to_bytes());
        for (name, secret) in derived(&point, &encapsulated.to_bytes(), recipient, info) {
            canaries.add(name, &secret);
        }
    });
}

fn hpke_seal(canaries: &mut Canaries, encapsulated: &[u8], info: &[u8]) {
    let key = provisioning_key();
    let recipient = DhP256HkdfSha256::sk_to_pk(&key).to_bytes();
    let point = shared_point(&key.to_bytes(), encapsulated).unwrap();
    let secrets = derived(&point, encapsulated, &recipient, info);
    secrets.iter().for_each(|(name, secret)| canaries.add(name, secret));
    // That this is HPKE.
    let encapsulated = <DhP256HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).unwrap();
    let mode = OpModeR::Base;
    let receiver =
        hpke::setup_receiver::<AesGcm128, HkdfSha256, DhP256HkdfSha256>(&mode, &key, &encapsulated, info);
    let mut exported = [0; 16];
    receiver.unwrap().export(KEY_BLOCK_B, &mut exported).unwrap();
    assert_eq!(secrets[0].1, exported);
}

/// The secret of a trustlet's key.
pub fn trustlet_key(
    watched: &Watched,
    provider: ProviderId,
    owner: &Owner,
    label: &[u8],
    algorithm: KeyAlgorithm,
) -> [u8; 32] {
    let mut root = [0; 32];
    HostTee::new(Service::Card, &watched.phone.device).unique_key(b"trustlet keys", &mut root).unwrap();
    let path = [&provider.0[..], owner.name.as_bytes(), &[0], &owner.generation, label];
    made(&root, &path, algorithm)
}

/// A key made from another. One in 2³² would be no scalar of a curve; those here are.
pub fn made(parent: &[u8; 32], path: &[&[u8]], algorithm: KeyAlgorithm) -> [u8; 32] {
    let parts: Vec<_> = path.iter().flat_map(|part| [&[part.len() as u8], *part].concat()).collect();
    hmac(parent, &[&parts, &[algorithm as u8]])
}
