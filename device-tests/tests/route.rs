//! What only a simulated device shows of routes and the element: two apps, one profile in two places, time, storage.

mod common;

use common::{OTHER_APP, Phone, WALLET, prepared, refusal};
use tapvault::{ClientError, Wallet, sim::Sim, trustlet::Element};
use tapvault_device_tests::{
    cases,
    lab::{self, Carrier, Field, Lab, PIN},
};
use tapvault_network::{
    element::{ElementFile, ElementKeys, SoftElement},
    kind::CardKind,
    terminal::pay,
};
use tapvault_proto::{
    Error,
    element::{ElementAnswerRequest, ElementBeginRequest, ElementPurpose},
    id::CardId,
    profile::Product,
    route::Endpoint,
    service::Service,
};

/// A phone whose debit card is in the element and answers from there.
fn moved() -> (Phone, Lab, CardId, SoftElement) {
    let (phone, lab, card) = prepared();
    let (mut wallet, mut element) = (phone.wallet(), SoftElement::new(ElementKeys::lab()));
    lab.give_element_keys(&mut wallet).unwrap();
    route(&lab, &mut wallet, card);
    put(&lab, &mut wallet, card, &mut element);
    (phone, lab, card, element)
}

fn route(lab: &Lab, wallet: &mut Wallet<Sim>, card: CardId) {
    lab.verify(wallet, card, PIN).unwrap();
    wallet.route(card, Product::Debit, Endpoint::Element).unwrap();
}

fn put(lab: &Lab, wallet: &mut Wallet<Sim>, card: CardId, element: &mut SoftElement) {
    lab.verify(wallet, card, PIN).unwrap();
    wallet.put_in_element(card, &mut Carrier(element)).unwrap();
}

#[test]
fn one_profile_gives_the_same_cryptograms_in_the_tee_and_in_the_element() {
    for (suite, cvn, derivation) in cases::paths() {
        let (tee, other) = (Phone::new(), Phone::new());
        let (mut wallet, mut second) = (tee.wallet(), other.wallet());
        let (mut lab, card) = (Lab::new().unwrap(), CardId([7; 16]));
        lab.kind = CardKind { suite, cvn, derivation, ..CardKind::default() };
        let challenge = lab::challenge(&mut wallet).unwrap();
        let (package, profile) = lab.package_and_profile(card, &challenge).unwrap();
        wallet.add_card(package.as_bytes()).unwrap();
        let challenge = lab::challenge(&mut second).unwrap();
        let copy = lab.provider.seal(card, &challenge, &profile).unwrap();
        second.add_card(copy.as_bytes()).unwrap();
        lab.set_pin(&mut wallet, PIN).unwrap();
        lab.set_pin(&mut second, PIN).unwrap();
        let mut element = SoftElement::new(ElementKeys::lab());
        lab.give_element_keys(&mut second).unwrap();
        route(&lab, &mut second, card);
        put(&lab, &mut second, card, &mut element);
        for verified in [true, false] {
            let payment = lab::payment(12_345, verified);
            if verified {
                lab.verify(&mut wallet, card, PIN).unwrap();
                lab.verify(&mut second, card, PIN).unwrap();
            }
            let mut tap = lab::prepare(&mut wallet, card, verified).unwrap();
            let in_the_tee = pay(&mut Field(&mut tap), &payment).unwrap().request;
            second.allow_element_tap(card, verified, &mut Carrier(&mut element)).unwrap();
            let in_the_element = pay(&mut element.contactless(), &payment).unwrap().request;
            assert_eq!(in_the_tee, in_the_element, "{suite:?} {cvn:?}");
            assert!(lab.issuer.authorise(&in_the_element).is_approved());
            assert!(!lab.issuer.authorise(&in_the_tee).is_approved(), "one counter paid twice");
        }
    }
}

#[test]
fn one_app_presents_cards_and_the_holder_says_which() {
    let (phone, mut lab, card) = prepared();
    let (mut first, mut other) = (phone.wallet(), phone.wallet_of(phone.sim.as_caller(OTHER_APP)));
    // A PIN that was entered for one app verifies for no other.
    lab.verify(&mut first, card, PIN).unwrap();
    assert_eq!(refusal(other.prepare_tap(card, true)), Some(Error::NoVerification));
    assert_eq!(refusal(other.nfc_on(card)), Some(Error::NoVerification));
    assert_eq!(refusal(other.choose_app(card, true)), Some(Error::NoVerification));
    drop(first.prepare_tap(card, true).unwrap());
    assert_eq!(refusal(other.prepare_tap(card, true)), Some(Error::NoVerification));
    // While none is chosen it is the app that brought the PIN.
    assert!(first.routes().unwrap().presents && !other.routes().unwrap().presents);
    assert_eq!(refusal(other.prepare_tap(card, false)), Some(Error::NotDefaultApp));
    lab.verify(&mut other, card, PIN).unwrap();
    drop(other.prepare_tap(card, true).unwrap());
    assert_eq!(refusal(first.prepare_tap(card, false)), Some(Error::NotDefaultApp));
    // What is armed for one app pays for no other.
    let aid = Product::Debit.aid().into_iter().collect();
    let command = lab::gpo_command(100, false).into_iter().collect();
    let gpo = tapvault_proto::card::TapGpoRequest { card, aid, command };
    assert_eq!(first.call(&gpo).unwrap().response, [0x69, 0x85]);

    lab.verify(&mut first, card, PIN).unwrap();
    // The switch is still on, for an app that may no longer.
    let routes = first.choose_app(card, true).unwrap();
    assert_eq!((routes.app, routes.presents), (Some(WALLET), false));
    assert_eq!(refusal(other.prepare_tap(card, false)), Some(Error::NotDefaultApp));
    phone.restart();
    let (mut first, mut other) = (phone.wallet(), phone.wallet_of(phone.sim.as_caller(OTHER_APP)));
    // Not even with the PIN.
    lab.verify(&mut other, card, PIN).unwrap();
    assert_eq!(refusal(other.nfc_on(card)), Some(Error::NotDefaultApp));
    assert_eq!(refusal(other.prepare_tap(card, true)), Some(Error::NotDefaultApp));
    assert_eq!(refusal(other.call(&gpo)), Some(Error::NotDefaultApp));
    assert_eq!(
        refusal(other.allow_element_tap(card, true, &mut tapvault::trustlet::NoElement)),
        Some(Error::NotDefaultApp)
    );
    lab.verify(&mut first, card, PIN).unwrap();
    drop(first.prepare_tap(card, true).unwrap());
    assert!(lab::pay(&mut lab, &mut first, card, (100, false, false)).unwrap().1.is_approved());
    // Choosing another takes the PIN, and is for itself.
    assert_eq!(refusal(other.choose_app(card, true)), Some(Error::NoVerification));
    lab.verify(&mut other, card, PIN).unwrap();
    other.choose_app(card, true).unwrap();
    assert_eq!(refusal(first.prepare_tap(card, false)), Some(Error::NotDefaultApp));
    lab.verify(&mut first, card, PIN).unwrap();
    assert_eq!(first.choose_app(card, false).unwrap().app, None);
    lab.verify(&mut first, card, PIN).unwrap();
    drop(first.prepare_tap(card, true).unwrap());
}

#[test]
fn leave_is_given_while_the_verification_lasts() {
    let (phone, lab, card, mut element) = moved();
    let mut wallet = phone.wallet();
    let answers = |wallet: &mut Wallet<Sim>, element: &mut SoftElement, wait| {
        lab.verify(wallet, card, PIN).unwrap();
        let begin = ElementBeginRequest { card, purpose: ElementPurpose::VerifiedTap };
        let mut frame = wallet.call(&begin).unwrap().frame;
        phone.advance(wait);
        loop {
            let answer = element.transmit(&frame).into_iter().collect();
            match wallet.call(&ElementAnswerRequest { frame: answer })?.frame {
                Some(next) => frame = next,
                None => return Ok(()),
            }
        }
    };
    assert_eq!(refusal(answers(&mut wallet, &mut element, 60_000)), Some(Error::NoVerification));
    assert!(pay(&mut element.contactless(), &lab::payment(100, false)).is_err());
    answers(&mut wallet, &mut element, 59_000).unwrap();
    assert!(pay(&mut element.contactless(), &lab::payment(100, true)).is_ok());
}

#[test]
fn no_counter_leaves_twice_whatever_is_put_back() {
    let (phone, mut lab, card, mut element) = moved();
    let mut wallet = phone.wallet();
    let old = phone.device.borrow().objects.clone();
    let tap = |wallet: &mut Wallet<Sim>, element: &mut SoftElement| {
        lab::switch_on(wallet, card).unwrap();
        wallet.allow_element_tap(card, false, &mut Carrier(element))?;
        Ok::<_, ClientError>(pay(&mut element.contactless(), &lab::payment(100, false)).unwrap().request)
    };
    let mut last = [0, 0];
    for _ in 0..20 {
        let request = tap(&mut wallet, &mut element).unwrap();
        assert!(request.atc > last && lab.issuer.authorise(&request).is_approved());
        last = request.atc;
    }
    // A power cut skips a range; the element goes on.
    phone.restart();
    let mut wallet = phone.wallet();
    let request = tap(&mut wallet, &mut element).unwrap();
    assert!(request.atc > last && lab.issuer.authorise(&request).is_approved());
    let last = u16::from_be_bytes(request.atc);
    // The whole store of the TEE goes back: the element does not.
    phone.device.borrow_mut().objects = old;
    phone.restart();
    let mut wallet = phone.wallet();
    assert_eq!(refusal(tap(&mut wallet, &mut element)), Some(Error::ChannelBroken));
    // Not even after the card was put there again.
    put(&lab, &mut wallet, card, &mut element);
    assert_eq!(refusal(tap(&mut wallet, &mut element)), Some(Error::ChannelBroken));
    let next = (0..64).find_map(|_| tap(&mut wallet, &mut element).ok()).unwrap();
    assert!(u16::from_be_bytes(next.atc) > last);
}

#[test]
fn without_intact_keys_there_is_no_way_to_the_element() {
    let (phone, lab, card) = prepared();
    let mut wallet = phone.wallet();
    lab.verify(&mut wallet, card, PIN).unwrap();
    let put = |wallet: &mut Wallet<Sim>, keys| {
        let mut element = SoftElement::new(keys);
        wallet.put_in_element(card, &mut Carrier(&mut element))
    };
    assert_eq!(refusal(put(&mut wallet, ElementKeys::lab())), Some(Error::ElementKeysMissing));
    lab.give_element_keys(&mut wallet).unwrap();
    // The verification is still there: it is taken last.
    put(&mut wallet, ElementKeys::lab()).unwrap();
    // An element with other keys gets nothing.
    lab.verify(&mut wallet, card, PIN).unwrap();
    let ElementKeys { version, enc, .. } = ElementKeys::lab();
    let other = ElementKeys { version, mac: ElementKeys::lab().enc, enc };
    assert_eq!(refusal(put(&mut wallet, other)), Some(Error::ElementNotAuthentic));
    let keys = phone.objects(Service::Card).into_iter().find(|name| name.starts_with(b"element.")).unwrap();
    phone.device.borrow_mut().corrupt(Service::Card.uuid(), &keys);
    for _ in 0..2 {
        phone.restart();
        let mut wallet = phone.wallet();
        assert_eq!(refusal(put(&mut wallet, ElementKeys::lab())), Some(Error::ElementKeysMissing));
    }
}

/// A moment of the lab's clock.
const NOW: u64 = 1_795_608_000;
/// How long limited-use keys live here, in seconds.
const LIFE: u64 = 3600;

fn set_time(lab: &Lab, wallet: &mut Wallet<Sim>) {
    let nonce = wallet.time_nonce().unwrap();
    wallet.set_time(lab.provider.time(nonce, NOW)).unwrap();
}

fn replenish(lab: &mut Lab, wallet: &mut Wallet<Sim>, card: CardId, count: u16) {
    let batch = lab.key_batch(wallet, card, count, NOW + LIFE).unwrap();
    wallet.replenish(&batch).unwrap();
}

/// As [`moved`], a card with limited-use keys, of which it has none yet.
fn moved_limited(token: Option<String>, kind: CardKind) -> (Phone, Lab, CardId, SoftElement) {
    let (phone, mut lab) = (Phone::new(), Lab::new().unwrap());
    let (mut wallet, mut element) = (phone.wallet(), SoftElement::new(ElementKeys::lab()));
    (lab.kind, lab.token, lab.rules.limited_use) = (kind, token, Some(4));
    let card = lab.provision(&mut wallet).unwrap();
    lab.set_pin(&mut wallet, PIN).unwrap();
    lab.give_element_keys(&mut wallet).unwrap();
    route(&lab, &mut wallet, card);
    put(&lab, &mut wallet, card, &mut element);
    lab::switch_on(&mut wallet, card).unwrap();
    (phone, lab, card, element)
}

/// Pays from the element; the counter, or why there was no leave.
fn pays(
    lab: &mut Lab,
    wallet: &mut Wallet<Sim>,
    card: CardId,
    element: &mut SoftElement,
) -> Result<u16, Option<Error>> {
    let allowed = wallet.allow_element_tap(card, false, &mut Carrier(element));
    allowed.map_err(|error| error.refusal())?;
    let request = pay(&mut element.contactless(), &lab::payment(100, false)).unwrap().request;
    let decision = lab.issuer.authorise(&request);
    assert!(decision.is_approved(), "{decision}");
    assert!(!lab.issuer.authorise(&request).is_approved(), "a replay");
    assert!(pay(&mut element.contactless(), &lab::payment(100, false)).is_err(), "one leave, two payments");
    Ok(u16::from_be_bytes(request.atc))
}

#[test]
fn limited_use_keys_sign_in_the_element_as_derived_ones_do() {
    for (suite, cvn, derivation) in cases::paths() {
        let kind = CardKind { suite, cvn, derivation, ..CardKind::default() };
        let (phone, mut lab) = (Phone::new(), Lab::new().unwrap());
        lab.kind = kind;
        let derives = lab.provision(&mut phone.wallet()).unwrap();
        let token = lab.issuer.cards()[0].token.clone();
        let (other, mut second, card, mut element) = moved_limited(Some(token), kind);
        let mut wallet = other.wallet();
        set_time(&second, &mut wallet);
        replenish(&mut second, &mut wallet, card, 3);
        lab::switch_on(&mut phone.wallet(), derives).unwrap();
        for _ in 0..3 {
            let payment = lab::payment(100, false);
            let mut phones = phone.wallet();
            let mut tap = lab::prepare(&mut phones, derives, false).unwrap();
            let derived = pay(&mut Field(&mut tap), &payment).unwrap().request;
            wallet.allow_element_tap(card, false, &mut Carrier(&mut element)).unwrap();
            let limited = pay(&mut element.contactless(), &payment).unwrap().request;
            assert_eq!(limited, derived, "{suite:?} {cvn:?}");
        }
    }
}

#[test]
fn each_limited_use_key_goes_to_the_element_once_and_in_order() {
    let (phone, mut lab, card, mut element) = moved_limited(None, CardKind::default());
    let (mut wallet, element) = (phone.wallet(), &mut element);
    let left = |wallet: &mut Wallet<Sim>| wallet.keys_left(card).unwrap().left;
    // Their time is the TEE's to know, and so is that there are none.
    assert_eq!(pays(&mut lab, &mut wallet, card, element), Err(Some(Error::NoTime)));
    set_time(&lab, &mut wallet);
    assert_eq!(pays(&mut lab, &mut wallet, card, element), Err(Some(Error::KeysUsedUp)));
    replenish(&mut lab, &mut wallet, card, 8);
    assert_eq!(pays(&mut lab, &mut wallet, card, element), Ok(1));
    assert_eq!(pays(&mut lab, &mut wallet, card, element), Ok(2));
    // Leave that is not used, or refused, costs a key; so does one that the next replaces.
    wallet.allow_element_tap(card, false, &mut Carrier(element)).unwrap();
    tapvault_network::frame::CardLink::power_on(element).unwrap();
    assert!(pay(&mut element.contactless(), &lab::payment(100, false)).is_err());
    wallet.allow_element_tap(card, false, &mut Carrier(element)).unwrap();
    assert!(pay(&mut element.contactless(), &lab::payment(100, true)).is_err());
    wallet.allow_element_tap(card, false, &mut Carrier(element)).unwrap();
    assert_eq!(left(&mut wallet), 3);
    assert_eq!(pays(&mut lab, &mut wallet, card, element), Ok(6));
    // The last ones pay from the TEE, and none is left for the element.
    lab.verify(&mut wallet, card, PIN).unwrap();
    wallet.route(card, Product::Debit, Endpoint::Tee).unwrap();
    lab::switch_on(&mut wallet, card).unwrap();
    for atc in 7..=8 {
        let request = lab::pay(&mut lab, &mut wallet, card, (100, false, false)).unwrap().0;
        assert_eq!(u16::from_be_bytes(request.atc), atc);
    }
    route(&lab, &mut wallet, card);
    lab::switch_on(&mut wallet, card).unwrap();
    assert_eq!(pays(&mut lab, &mut wallet, card, element), Err(Some(Error::KeysUsedUp)));
    // More of them, until their time is over.
    replenish(&mut lab, &mut wallet, card, 2);
    assert_eq!(pays(&mut lab, &mut wallet, card, element), Ok(9));
    phone.advance((LIFE + 1) * 1000);
    assert_eq!(left(&mut wallet), 0);
    lab::switch_on(&mut wallet, card).unwrap();
    assert_eq!(pays(&mut lab, &mut wallet, card, element), Err(Some(Error::KeysUsedUp)));
}

#[test]
fn no_limited_use_key_reaches_the_element_twice_whatever_is_put_back() {
    let (phone, mut lab, card, mut element) = moved_limited(None, CardKind::default());
    let (mut wallet, element) = (phone.wallet(), &mut element);
    set_time(&lab, &mut wallet);
    replenish(&mut lab, &mut wallet, card, 16);
    let old = phone.device.borrow().objects.clone();
    let mut last = 0;
    for _ in 0..3 {
        // A power cut skips what was reserved, and gives nothing again.
        let atc = pays(&mut lab, &mut wallet, card, element).unwrap();
        assert!(atc > last, "{atc} after {last}");
        last = atc;
        phone.restart();
        wallet = phone.wallet();
        set_time(&lab, &mut wallet);
        lab::switch_on(&mut wallet, card).unwrap();
    }
    // The whole store goes back, its keys with it: the element has their counters.
    phone.device.borrow_mut().objects = old;
    phone.restart();
    let mut wallet = phone.wallet();
    set_time(&lab, &mut wallet);
    lab::switch_on(&mut wallet, card).unwrap();
    for _ in 0..last {
        assert_eq!(pays(&mut lab, &mut wallet, card, element), Err(Some(Error::ChannelBroken)));
    }
    assert_eq!(pays(&mut lab, &mut wallet, card, element), Ok(last + 1));
}

/// The element's file, and the client that carries its frames.
struct Filed<'a>(&'a mut ElementFile);

impl Element for Filed<'_> {
    fn transmit(&mut self, frame: &[u8]) -> std::io::Result<Vec<u8>> {
        self.0.transmit(frame)
    }
}

/// As commands do it that come one after the other, each with the element as its file says.
#[test]
fn a_card_in_an_elements_file_is_there_for_the_next_command() {
    let (phone, mut lab, card) = prepared();
    let mut wallet = phone.wallet();
    lab.give_element_keys(&mut wallet).unwrap();
    let path = std::env::temp_dir().join(format!("tapvault-route-{}.json", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let open = || ElementFile::open(&path).unwrap();
    assert_eq!(open().cards(), []);
    lab.verify(&mut wallet, card, PIN).unwrap();
    wallet.put_in_element(card, &mut Filed(&mut open())).unwrap();
    route(&lab, &mut wallet, card);
    lab::switch_on(&mut wallet, card).unwrap();
    let mut last = 0;
    for _ in 0..3 {
        let mut element = open();
        wallet.allow_element_tap(card, false, &mut Filed(&mut element)).unwrap();
        let request = pay(&mut element.contactless(), &lab::payment(100, false)).unwrap().request;
        assert!(lab.issuer.authorise(&request).is_approved());
        last = u16::from_be_bytes(request.atc);
        // Leave ends with the command.
        wallet.allow_element_tap(card, false, &mut Filed(&mut element)).unwrap();
        drop(element);
        assert!(pay(&mut open().contactless(), &lab::payment(100, false)).is_err());
    }
    let [shown] = &open().cards()[..] else { panic!("one card") };
    assert_eq!((shown.card, shown.last_counter, shown.key_version), (card, last + 1, 1));
    // Without the file there is no card.
    std::fs::remove_file(&path).unwrap();
    let lost = wallet.allow_element_tap(card, false, &mut Filed(&mut open()));
    assert_eq!(refusal(lost), Some(Error::NotInElement));
}
