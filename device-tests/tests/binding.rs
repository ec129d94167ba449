//! Where card data go and where they do not: everything a client sees and everything stored is searched for them.

mod common;

use common::Phone;
use std::{cell::RefCell, rc::Rc};
use tapvault::{
    Channel, ClientError, Transport, Wallet,
    sim::{Sim, SimChannel},
};
use tapvault_device_tests::{
    lab::say,
    scenarios::binding::{ACCOUNTS, CVN2, EXPIRY, NUMBER, Typed, at_desk},
};
use tapvault_network::{
    binding::{Accounts, Step},
    issuer::Issuer,
    lab::LabBank,
};
use tapvault_proto::{
    Error,
    binding::{
        BeginCardDataRequest, CardData, FinishCardDataRequest, SealedCardData, SubmitCardDataInsecureRequest,
    },
    id::Uuid,
    pin::VERIFICATION_LIFE_MS,
    wire::{Wire, encode_into},
};

/// A way to the TEE that somebody listens at: every reply is kept, and every request but the insecure pad's.
struct Overheard {
    sim: Sim,
    seen: Rc<RefCell<Vec<u8>>>,
}

struct OverheardChannel {
    inner: SimChannel,
    seen: Rc<RefCell<Vec<u8>>>,
}

const INSECURE_PAD: u32 = <SubmitCardDataInsecureRequest as tapvault_proto::service::Request>::METHOD;

impl Transport for Overheard {
    type Channel = OverheardChannel;
    fn open(&self, app: Uuid) -> Result<OverheardChannel, ClientError> {
        self.sim.open(app).map(|inner| OverheardChannel { inner, seen: Rc::clone(&self.seen) })
    }
}

impl Channel for OverheardChannel {
    fn invoke(&mut self, method: u32, request: &[u8]) -> Result<&[u8], ClientError> {
        if method != INSECURE_PAD {
            self.seen.borrow_mut().extend(request);
        }
        let reply = self.inner.invoke(method, request)?;
        self.seen.borrow_mut().extend(reply);
        Ok(reply)
    }
}

/// Whether `haystack` holds a piece of the card data: half the number, the CVN2 with its neighbours, in digits or BCD.
fn holds_card_data(haystack: &[u8]) -> bool {
    let digits = [&NUMBER[..8], &NUMBER[8..], &format!("{EXPIRY}\x04{CVN2}")];
    let packed = [&NUMBER[..8], &NUMBER[8..], &format!("{EXPIRY}{CVN2}")];
    let needles = digits
        .into_iter()
        .map(|text| text.as_bytes().to_vec())
        .chain(packed.into_iter().map(|text| hex::decode(text).unwrap()));
    needles.into_iter().any(|needle| haystack.windows(needle.len()).any(|window| window == needle))
}

fn typed() -> CardData {
    CardData::from_ascii(NUMBER.as_bytes(), EXPIRY.as_bytes(), CVN2.as_bytes()).unwrap()
}

fn offer(issuer: &mut Issuer) -> BeginCardDataRequest {
    at_desk(issuer, |desk| desk.begin(LabBank::A)).unwrap().map_err(say).unwrap()
}

#[test]
fn nothing_a_client_sees_and_nothing_stored_holds_card_data() {
    let phone = Phone::new();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let mut wallet = Wallet::new(Overheard { sim: phone.sim.clone(), seen: Rc::clone(&seen) });
    let mut issuer = Issuer::in_memory();
    let offer = offer(&mut issuer);
    let (objects, accesses) = (phone.device.borrow().objects.clone(), phone.accesses());
    let sealed = wallet.bind_card(offer, &mut Digits::card(NUMBER, EXPIRY, CVN2)).unwrap();
    // The PIN trusted app's session opened; nothing was stored, nor read.
    assert_eq!(phone.accesses(), accesses, "storage was used");
    assert_eq!(phone.device.borrow().objects, objects);
    assert!(seen.borrow().len() > SealedCardData::MAX, "nobody listened");
    assert!(!holds_card_data(&seen.borrow()), "the client saw card data");
    for ((_, name), contents) in &phone.device.borrow().objects {
        assert!(!holds_card_data(name) && !contents.as_deref().is_some_and(holds_card_data));
    }
    // The search finds what it looks for, and the bank reads what was typed.
    let mut clear = [0; CardData::MAX];
    encode_into(&typed(), &mut clear).unwrap();
    assert!(holds_card_data(&clear) && holds_card_data(ACCOUNTS));
    let step = at_desk(&mut issuer, |desk| desk.card_data(&sealed)).unwrap();
    assert_eq!(step.map_err(say), Ok(Step::Code));
}

#[test]
fn an_entry_of_card_data_is_over_with_its_time_its_session_and_a_restart() {
    let phone = Phone::new();
    let mut issuer = Issuer::in_memory();
    let offer = offer(&mut issuer);
    let refusal = |result: Result<_, ClientError>| result.err().and_then(|error| error.refusal());
    let mut wallet = phone.wallet();
    for wait in [VERIFICATION_LIFE_MS - 1, VERIFICATION_LIFE_MS] {
        let entry = wallet.call(&offer).unwrap().entry;
        phone.advance(wait);
        let submitted = wallet.call(&SubmitCardDataInsecureRequest { entry, data: typed() });
        let over = wait == VERIFICATION_LIFE_MS;
        assert_eq!(refusal(submitted.map(|_| ())), over.then_some(Error::NoEntry), "{wait}");
    }
    // Sealed and not fetched in time.
    let entry = wallet.call(&offer).unwrap().entry;
    wallet.call(&SubmitCardDataInsecureRequest { entry, data: typed() }).unwrap();
    phone.advance(VERIFICATION_LIFE_MS);
    assert_eq!(refusal(wallet.call(&FinishCardDataRequest { entry }).map(|_| ())), Some(Error::NoEntry));
    // Another client waits no longer than that, nor for a client that is gone.
    let entry = wallet.call(&offer).unwrap().entry;
    let mut other = phone.wallet();
    assert_eq!(refusal(other.call(&offer).map(|_| ())), Some(Error::Busy));
    drop(wallet);
    let next = other.call(&offer).unwrap();
    assert_ne!(next.entry, entry);
    phone.restart();
    let mut wallet = phone.wallet();
    let gone = wallet.call(&FinishCardDataRequest { entry: next.entry });
    assert_eq!(refusal(gone.map(|_| ())), Some(Error::NoEntry));
}

#[test]
fn card_data_that_no_card_has_are_refused_and_the_entry_stays_open() {
    let phone = Phone::new();
    let mut pin = phone.sim.connect(tapvault_proto::service::Service::Pin).unwrap();
    let mut issuer = Issuer::in_memory();
    let entry = tapvault::transport::call(&mut pin, &offer(&mut issuer)).unwrap().entry;
    let mut frame = [0; 1 + SubmitCardDataInsecureRequest::MAX];
    let request = SubmitCardDataInsecureRequest { entry, data: typed() };
    let len = tapvault_proto::service::encode_request(&request, &mut frame).unwrap();
    assert_eq!(len, frame.len());
    // Version, entry, then the length and digits of the number, the expiry, the length and digits of the CVN2.
    for (at, byte, error) in [
        (6, b'7', Error::CardNumber),
        (5, 12, Error::CardNumber),
        (5, 0xFF, Error::CardNumber),
        (27, b'9', Error::CardExpiry),
        (29, 2, Error::SecurityCode),
        (30, b'x', Error::SecurityCode),
    ] {
        let mut bad = frame;
        bad[at] = byte;
        let refused = pin.invoke(INSECURE_PAD, &bad).map(|_| ());
        assert_eq!(refused.err().and_then(|error| error.refusal()), Some(error), "byte {at}");
    }
    for bad in [&frame[..len - 1], &[&frame[..], &[0]].concat()] {
        assert!(pin.invoke(INSECURE_PAD, bad).is_err(), "{} bytes", bad.len());
    }
    pin.invoke(INSECURE_PAD, &frame).unwrap();
    tapvault::transport::call(&mut pin, &FinishCardDataRequest { entry }).unwrap();
}

#[test]
fn a_file_of_accounts_is_quoted_by_no_error() {
    let text = String::from_utf8(ACCOUNTS.to_vec()).unwrap();
    let doubled = text.replace("]}", &format!(",{}]}}", &text[14..text.len() - 2]));
    for (bad, says) in [
        (text.replace(r#""9753""#, "9753"), "no accounts: line"),
        (text.replace("9753", "97530"), "CVN2"),
        (text.replace(NUMBER, "6299998765432102"), "card number"),
        (text.replace("3108", "3113"), "expiry"),
        (text.replace(r#""one""#, r#""""#), "its name is empty"),
        (doubled, "came before"),
        (text.replace("phone", "pohne"), "no accounts: line"),
    ] {
        let error = Accounts::parse(bad.as_bytes()).err().map(say).unwrap_or_default();
        assert!(error.contains(says), "{says}: {error}");
        assert!(![&NUMBER[..15], CVN2, EXPIRY].iter().any(|secret| error.contains(secret)), "{error}");
    }
}
