//! Where card data go and where they do not: everything a client sees and everything stored is searched for them.

mod common;

use common::Phone;
use std::{cell::RefCell, rc::Rc};
use tapvault::{
    Channel, ClientError, Transport,
    sim::{Sim, SimChannel},
};
use tapvault_device_tests::{
    lab::{Digits, say},
    pad,
    scenarios::binding::{ACCOUNTS, CVN2, EXPIRY, NUMBER, at_desk},
};
use tapvault_network::{
    binding::{Accounts, Step},
    issuer::Issuer,
    lab::LabBank,
};
use tapvault_proto::{
    Error,
    binding::{BeginCardDataRequest, CardData, FinishCardDataRequest, SealedCardData},
    id::Uuid,
    pad::Entered,
    pin::VERIFICATION_LIFE_MS,
    wire::{Wire, encode_into},
};

/// A way to the TEE that somebody listens at: every reply is kept, and every request.
struct Overheard {
    sim: Sim,
    seen: Rc<RefCell<Vec<u8>>>,
}

struct OverheardChannel {
    inner: SimChannel,
    seen: Rc<RefCell<Vec<u8>>>,
}

impl Transport for Overheard {
    type Channel = OverheardChannel;
    fn open(&self, app: Uuid) -> Result<OverheardChannel, ClientError> {
        self.sim.open(app).map(|inner| OverheardChannel { inner, seen: Rc::clone(&self.seen) })
    }
}

impl Channel for OverheardChannel {
    fn invoke(&mut self, method: u32, request: &[u8]) -> Result<&[u8], ClientError> {
        self.seen.borrow_mut().extend(request);
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

fn paired() -> Phone {
    let phone = Phone::new();
    pad::pair(&mut phone.wallet()).unwrap();
    phone
}

#[test]
fn nothing_a_client_sees_and_nothing_stored_holds_card_data() {
    let phone = paired();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let mut wallet = phone.wallet_of(Overheard { sim: phone.sim.clone(), seen: Rc::clone(&seen) });
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
    let phone = paired();
    let mut issuer = Issuer::in_memory();
    let offer = offer(&mut issuer);
    let refusal = |result: Result<_, ClientError>| result.err().and_then(|error| error.refusal());
    let mut wallet = phone.wallet();
    let typed = || Entered::CardData(typed());
    for wait in [VERIFICATION_LIFE_MS - 1, VERIFICATION_LIFE_MS] {
        let (mut opened, _) = pad::begin_card_data(&mut wallet, &offer).unwrap();
        phone.advance(wait);
        let submitted = wallet.call(&opened.submit(&typed()).unwrap());
        let over = wait == VERIFICATION_LIFE_MS;
        assert_eq!(refusal(submitted.map(|_| ())), over.then_some(Error::NoEntry), "{wait}");
    }
    // Sealed and not fetched in time.
    let (mut opened, _) = pad::begin_card_data(&mut wallet, &offer).unwrap();
    wallet.call(&opened.submit(&typed()).unwrap()).unwrap();
    phone.advance(VERIFICATION_LIFE_MS);
    let late = wallet.call(&FinishCardDataRequest { entry: opened.entry });
    assert_eq!(refusal(late.map(|_| ())), Some(Error::NoEntry));
    // Another client waits no longer than that, nor for a client that is gone.
    let (opened, _) = pad::begin_card_data(&mut wallet, &offer).unwrap();
    let mut other = phone.wallet();
    assert_eq!(refusal(other.call(&offer).map(|_| ())), Some(Error::Busy));
    drop(wallet);
    let (next, _) = pad::begin_card_data(&mut other, &offer).unwrap();
    assert_ne!(next.entry, opened.entry);
    phone.restart();
    let mut wallet = phone.wallet();
    let gone = wallet.call(&FinishCardDataRequest { entry: next.entry });
    assert_eq!(refusal(gone.map(|_| ())), Some(Error::NoEntry));
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
