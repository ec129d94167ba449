//! The ways a card's keys come in: under HPKE, in TR-31 key blocks inside that, or under SM2. However they came, the
//! card pays with the same cryptograms.

mod common;

use common::{Phone, refusal};
use tapvault::{Wallet, sim::Sim};
use tapvault_device_tests::lab::{self, Lab};
use tapvault_network::{
    bank::BankError,
    keyblock::Version,
    kind::{CardKind, Named},
};
use tapvault_proto::{
    Error,
    device::Sealing,
    document::{Package, SealedPackage},
    id::CardId,
    profile::Suite,
};

const CARD: CardId = CardId([0xC7; 16]);
const TOKEN: &str = "6299991234567890";

/// A phone of a certified device, and a bank that issues the same card each time.
fn prepared(suite: Suite) -> (Phone, Lab) {
    let (phone, mut lab) = (Phone::new(), Lab::new().unwrap());
    lab::certify(&mut phone.wallet()).unwrap();
    lab.kind = CardKind { suite, ..CardKind::default() };
    lab.token = Some(TOKEN.into());
    (phone, lab)
}

/// Issues the card in one of the ways.
fn add(
    lab: &mut Lab,
    wallet: &mut Wallet<Sim>,
    (sealing, version): (Sealing, Option<Version>),
) -> Result<(), String> {
    let challenge = wallet.card_challenge_for(sealing).unwrap();
    lab.key_blocks = version;
    let package = lab.package(CARD, &challenge)?;
    wallet.add_card(package.as_bytes()).map(|_| ()).map_err(|error| error.to_string())
}

/// The cryptograms of three payments that the issuer approved.
fn cryptograms(lab: &mut Lab, wallet: &mut Wallet<Sim>) -> Vec<[u8; 8]> {
    let mut pay = || {
        let (request, decision) = lab::pay(lab, wallet, CARD, (100, false, false)).unwrap();
        assert!(decision.is_approved(), "{decision}");
        request.cryptogram
    };
    (0..3).map(|_| pay()).collect()
}

#[test]
fn a_card_is_the_same_whichever_way_its_keys_came() {
    let ways = [
        (Sealing::Hpke, None),
        (Sealing::Hpke, Some(Version::B)),
        (Sealing::Hpke, Some(Version::D)),
        (Sealing::Sm2, None),
        (Sealing::Sm2, Some(Version::D)),
    ];
    for suite in Suite::ALL {
        let mut seen = Vec::new();
        let added = ways.map(|way| {
            let (phone, mut lab) = prepared(suite);
            let mut wallet = phone.wallet();
            let added = add(&mut lab, &mut wallet, way);
            if added.is_ok() {
                seen.push(cryptograms(&mut lab, &mut wallet));
            } else {
                assert_eq!(added, Err(BankError::KeyBlocks.to_string()));
            }
            added.is_ok()
        });
        let (b, d) = match suite {
            Suite::Pboc3Des | Suite::Emv3Des => (true, true),
            Suite::EmvAes => (false, true),
            Suite::PbocSm4 => (false, false),
        };
        assert_eq!(added, [true, b, d, true, false], "{}", suite.name());
        assert!(seen.iter().all(|cryptograms| *cryptograms == seen[0]), "{}", suite.name());
    }
}

#[test]
fn an_sm2_package_opens_once_and_only_as_it_was_sealed() {
    let (phone, mut lab) = prepared(Suite::PbocSm4);
    let mut wallet = phone.wallet();
    let challenge = wallet.card_challenge_for(Sealing::Sm2).unwrap();
    let package = lab.package(CARD, &challenge).unwrap();
    let good = SealedPackage::parse(package.as_bytes()).unwrap();
    // Under the signature, and under the seal.
    let resigned = lab.provider.tamper_and_sign(package.as_bytes()).unwrap();
    assert_eq!(refusal(wallet.add_card(resigned.as_bytes())), Some(Error::SealInvalid));
    let changes: [fn(&mut Package); 4] = [
        |package| package.encapsulated[70] ^= 1,
        |package| package.encapsulated[112] ^= 1,
        |package| package.ciphertext[9] ^= 1,
        |package| package.header.card = CardId([0xC8; 16]),
    ];
    for change in changes {
        let mut bad = good.clone();
        change(&mut bad);
        let bad = bad.to_json().unwrap();
        assert_eq!(refusal(wallet.add_card(&bad)), Some(Error::SignatureInvalid));
    }
    // The other format, with the length of its key.
    for other in
        [package.replace("\"format\":2", "\"format\":1"), package.replace("\"format\":2", "\"format\":3")]
    {
        assert_eq!(refusal(wallet.add_card(other.as_bytes())), Some(Error::PackageMalformed));
    }
    wallet.add_card(package.as_bytes()).unwrap();
    assert_eq!(refusal(wallet.add_card(package.as_bytes())), Some(Error::NoChallenge));
    wallet.card_challenge_for(Sealing::Sm2).unwrap();
    assert_eq!(refusal(wallet.add_card(package.as_bytes())), Some(Error::WrongChallenge));
    phone.restart();
    let mut wallet = phone.wallet();
    assert_eq!(refusal(wallet.add_card(package.as_bytes())), Some(Error::NoChallenge));
    cryptograms(&mut lab, &mut wallet);
}

#[test]
fn a_challenge_says_how_its_package_is_sealed() {
    let (phone, mut lab) = prepared(Suite::PbocSm4);
    let mut wallet = phone.wallet();
    for (drawn, other) in [(Sealing::Sm2, Sealing::Hpke), (Sealing::Hpke, Sealing::Sm2)] {
        let challenge = wallet.card_challenge_for(drawn).unwrap();
        assert_eq!(challenge.sealing, drawn);
        assert_eq!(lab.provider.check(&challenge), Ok(()));
        let mut turned = challenge;
        turned.sealing = other;
        assert!(matches!(lab.provider.check(&turned), Err(BankError::Device(_))));
    }
    // A batch of limited-use keys comes under HPKE.
    lab.rules.limited_use = Some(4);
    add(&mut lab, &mut wallet, (Sealing::Sm2, None)).unwrap();
    let challenge = wallet.card_challenge_for(Sealing::Sm2).unwrap();
    let batch = lab.issuer.key_batch(CARD, 1, 1).unwrap();
    assert_eq!(lab.provider.seal_batch(CARD, &challenge, &batch), Err(BankError::Recipient));
}
