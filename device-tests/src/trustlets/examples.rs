//! The example trustlets of two banks, as their clients use them.

use super::bank::{Bank, draft};
use crate::{
    Outcome, ensure,
    lab::{Digits, Lab, PIN, say},
};
use std::{fs, io};
use tapvault::{
    Channel, Transport, Wallet,
    trustlet::{Element, Trustlet},
};
use tapvault_network::{
    bank::seal_element_keys,
    element::{ElementKeys, SoftElement},
    lab,
};
use tapvault_proto::{
    Error,
    pin::Transfer,
    profile::Key128,
    service::Service,
    trustlet::element::{TransmitReply, TransmitRequest},
    tvm::{self, ElementChallengeRequest},
    wire::{Bytes, Wire, decode_exact, encode_into},
};
use tapvault_trustlet::Answer;

/// The module of an example trustlet, as `trustlets/build` made it.
///
/// # Errors
/// When it was not made.
pub fn module(name: &str) -> Outcome<Vec<u8>> {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/trustlets");
    // In the guest, where qemu-optee/guest-build puts them.
    let folder = if cfg!(feature = "optee") { "/usr/lib/tapvault/trustlets" } else { here };
    let path = format!("{folder}/{name}.wasm");
    fs::read(&path).map_err(|error| format!("{path}: {error}; make it with trustlets/build"))
}

/// A message as bytes.
#[must_use]
pub fn encoded<M: Wire>(message: &M) -> Vec<u8> {
    let mut bytes = vec![0; M::MAX];
    let len = encode_into(message, &mut bytes).unwrap_or(0);
    bytes.truncate(len);
    bytes
}

/// Sends a request and reads the answer.
///
/// # Errors
/// When there is none.
pub fn ask<C: Channel, M: Wire, R: Wire>(trustlet: &mut Trustlet<C>, message: &M) -> Outcome<Answer<R>> {
    let reply = trustlet.call(&encoded(message)).map_err(say)?;
    decode_exact(&reply).map_err(|error| format!("{error:?} in {reply:02X?}"))
}

/// Amount and payee are confirmed by PIN, once for each signature; both algorithms verify elsewhere.
pub fn a_transfer_is_signed_after_it_was_confirmed<T: Transport>(make: &dyn Fn() -> T) -> Outcome<()> {
    let (transport, bank) = (make(), Bank::lab("A"));
    let mut wallet = crate::lab::wallet(make());
    Lab::new()?.set_pin(&mut wallet, PIN)?;
    let mut wanted = draft("shield", &[Service::Pin, Service::Card, Service::Store]);
    wanted.pages = 2;
    wanted.store = 64;
    let mut shield = bank.run(&transport, wanted, &module("shield")?)?;
    let transfer = |amount| Transfer {
        amount,
        currency: 0x0156,
        payee: Bytes::from_slice(b"Lab Shop").unwrap_or_default(),
    };
    let mut last = 0;
    for algorithm in [shield::Algorithm::P256, shield::Algorithm::Sm2] {
        let sign = shield::Request::Sign(shield::SignRequest { algorithm, transfer: transfer(12_345) });
        let refused = Answer::Refused(shield::Refused::ConfirmFirst as u8);
        let early: Answer<shield::Reply> = ask(&mut shield, &sign)?;
        ensure(early == refused, || format!("unconfirmed: {early:?}"))?;
        // Another amount was confirmed.
        let confirm = |wallet: &mut Wallet<T>, amount| {
            wallet.confirm_transfer(&bank.address("shield"), transfer(amount), &mut Digits::of(&[PIN]))
        };
        confirm(&mut wallet, 12_344).map_err(say)?;
        ensure(ask::<_, _, shield::Reply>(&mut shield, &sign)? == refused, || "another amount".into())?;
        confirm(&mut wallet, 12_345).map_err(say)?;
        let key = shield::Request::PublicKey(shield::PublicKeyRequest { algorithm });
        let Answer::Reply(shield::Reply::PublicKey(public)) = ask(&mut shield, &key)? else {
            return Err("no public key".into());
        };
        let Answer::Reply(shield::Reply::Sign(signed)) = ask(&mut shield, &sign)? else {
            return Err("not signed although confirmed".into());
        };
        let text =
            shield::Signed { label: shield::LABEL, transfer: transfer(12_345), counter: signed.counter };
        let good = verifies(algorithm, &public.key, &encoded(&text), &signed.signature)?;
        ensure(good && signed.counter > last, || format!("{algorithm:?}: not a signature"))?;
        last = signed.counter;
        ensure(ask::<_, _, shield::Reply>(&mut shield, &sign)? == refused, || "confirmed twice".into())?;
    }
    Ok(())
}

fn verifies(
    algorithm: shield::Algorithm,
    key: &[u8; 65],
    text: &[u8],
    signature: &[u8; 64],
) -> Outcome<bool> {
    use sm2::dsa::signature::Verifier;
    if algorithm == shield::Algorithm::P256 {
        return Ok(teei_hypervisor::signature::PublicKey(*key).verifies(text, signature));
    }
    let key = sm2::dsa::VerifyingKey::from_sec1_bytes("1234567812345678", key).map_err(say)?;
    let signature = sm2::dsa::Signature::from_slice(signature).map_err(say)?;
    Ok(key.verify(text, &signature).is_ok())
}

/// Top-up by authorisation, debit once, receipt, refusals.
pub fn a_stored_value_card_loads_and_pays<T: Transport>(make: &dyn Fn() -> T) -> Outcome<()> {
    use transit::messages::{
        AuthoriseRequest, BalanceRequest, CreateRequest, DebitRequest, Refused, Reply, Request, SealRequest,
        TopUpRequest,
    };
    let (transport, bank) = (make(), Bank::lab("B"));
    let mut wanted = draft("transit", &[Service::Random, Service::Card, Service::Store]);
    wanted.pages = 2;
    wanted.store = 512;
    // A fresh card on a device where this ran before.
    let (_, sequence) = bank.install(&transport, wanted.clone(), &module("transit")?)?;
    let remove = bank.command("transit", sequence + 1, "remove")?;
    bank.connect(&transport)?.command(&remove).map_err(say)?;
    let mut card = bank.run(&transport, wanted, &module("transit")?)?;

    let balance = |card: &mut Trustlet<T::Channel>| -> Outcome<u64> {
        match ask(card, &Request::Balance(BalanceRequest {}))? {
            Answer::Reply(Reply::Balance(reply)) => Ok(reply.balance),
            other => Err(format!("{other:?}")),
        }
    };
    let Answer::Reply(Reply::Create(created)) = ask(&mut card, &Request::Create(CreateRequest {}))? else {
        return Err("no card".into());
    };
    let authorise = Request::Authorise(AuthoriseRequest { amount: 1000, sequence: 1 });
    let Answer::Reply(Reply::Authorise(authorised)) = ask(&mut card, &authorise)? else {
        return Err("not authorised".into());
    };
    ask::<_, _, Reply>(&mut card, &Request::Seal(SealRequest {}))?;
    let sealed: Answer<Reply> = ask(&mut card, &authorise)?;
    ensure(sealed == Answer::Refused(Refused::Sealed as u8), || format!("after sealing: {sealed:?}"))?;

    let top_up = |amount| Request::TopUp(TopUpRequest { amount, sequence: 1, mac: authorised.mac });
    let forged: Answer<Reply> = ask(&mut card, &top_up(1001))?;
    ensure(forged == Answer::Refused(Refused::NotAuthorised as u8), || format!("forged: {forged:?}"))?;
    ask::<_, _, Reply>(&mut card, &top_up(1000))?;
    let again: Answer<Reply> = ask(&mut card, &top_up(1000))?;
    ensure(again == Answer::Refused(Refused::SequenceUsed as u8), || format!("again: {again:?}"))?;
    ensure(balance(&mut card)? == 1000, || "not loaded once".into())?;

    let debit = |amount, nonce| Request::Debit(DebitRequest { amount, nonce: [nonce; 16] });
    let paid: Answer<Reply> = ask(&mut card, &debit(300, 1))?;
    let Answer::Reply(Reply::Debit(reply)) = &paid else { return Err(format!("{paid:?}")) };
    let public = teei_hypervisor::signature::PublicKey(created.key);
    ensure(public.verifies(&encoded(&reply.receipt), &reply.signature), || "the receipt".into())?;
    // The answer was lost: the same receipt, paid once.
    ensure(ask::<_, _, Reply>(&mut card, &debit(300, 1))? == paid, || "another receipt".into())?;
    ensure(balance(&mut card)? == 700, || "paid twice".into())?;
    let too_much: Answer<Reply> = ask(&mut card, &debit(701, 2))?;
    ensure(too_much == Answer::Refused(Refused::BalanceTooLow as u8), || format!("{too_much:?}"))?;
    // Another session, the same card.
    drop(card);
    let mut card =
        bank.connect(&transport)?.open(&super::bank::named("transit"), &module("transit")?).map_err(say)?;
    ensure(balance(&mut card)? == 700, || "the balance was lost".into())
}

/// What a relay makes of an answer.
type Change = fn(Vec<u8>) -> Vec<u8>;

/// An element in software, and a relay that does to one answer what it likes.
struct Relay {
    element: SoftElement,
    seen: usize,
    attack: Option<(usize, Change)>,
}

impl Element for Relay {
    fn transmit(&mut self, frame: &[u8]) -> io::Result<Vec<u8>> {
        let response = self.element.transmit(frame);
        self.seen += 1;
        Ok(match self.attack {
            Some((at, change)) if at == self.seen => change(response),
            _ => response,
        })
    }
}

fn relay(attack: Option<(usize, Change)>) -> Relay {
    Relay { element: SoftElement::new(ElementKeys::lab()), seen: 0, attack }
}

/// A trustlet's APDU goes through SCP03; a relay that changes or cuts an answer is found out, and a
/// bank without keys or without the right reaches nothing.
pub fn the_secure_element_answers_through_its_channel<T: Transport>(make: &dyn Fn() -> T) -> Outcome<()> {
    let (transport, bank) = (make(), Bank::lab("A"));
    let ElementKeys { version, enc, mac } = ElementKeys::lab();
    let copy = |key: &Key128| Key128::new(*key.expose());
    let keys = || tvm::ElementKeys { version, enc: copy(&enc), mac: copy(&mac) };
    let mut tvm = bank.connect(&transport)?;
    let challenge = tapvault::transport::call(tvm.channel(), &ElementChallengeRequest {}).map_err(say)?;
    let seal = |letter: &str| {
        let (id, key) = (lab::provider_id(letter), lab::provider_key(letter));
        seal_element_keys(id, &key, &challenge.challenge, &challenge.recipient, &keys()).map_err(say)
    };
    let foreign = tapvault::transport::call(tvm.channel(), &seal("B")?);
    super::bank::refused(foreign, Error::SignatureInvalid)?;
    tapvault::transport::call(tvm.channel(), &seal("A")?).map_err(say)?;
    let again = tapvault::transport::call(tvm.channel(), &seal("A")?);
    super::bank::refused(again, Error::NoChallenge)?;
    drop(tvm);

    // GET DATA of an object that is not there: the warning 6282, under a MAC.
    let command = Bytes::from_slice(&[0x80, 0xCA, 0x00, 0x01, 0x00]).unwrap_or_default();
    let transmit = encoded(&TransmitRequest { command });
    let caller = super::modules::caller(Service::Element as u32, 1, &transmit);
    let mut trustlet = bank.run(&transport, draft("element", &[Service::Element]), &caller)?;
    let mut ask = |relay: &mut Relay| -> Outcome<Result<Vec<u8>, Error>> {
        super::bank::result(&trustlet.call_with(b"", relay).map_err(say)?)
    };
    let mut honest = relay(None);
    for _ in 0..2 {
        let reply = ask(&mut honest)?.map_err(say)?;
        let reply: TransmitReply = decode_exact(&reply).map_err(say)?;
        ensure(reply.response == [0x62, 0x82], || format!("{:02X?}", reply.response))?;
    }
    ensure(honest.seen == 4, || format!("{} frames: the channel was not kept", honest.seen))?;
    let flip: Change = |mut response| {
        // Of INITIALIZE UPDATE a byte of the element's challenge: what comes before it is nobody's secret
        // and under no cryptogram. Of anything shorter a byte of the MAC.
        let at = 15.min(response.len() - 3);
        response[at] ^= 1;
        response
    };
    let cut: Change = |response| response[response.len() - 2..].to_vec();
    let error: Change = |_| vec![0x6A, 0x88];
    // The channel is open: the first frame is the wrapped command.
    for attack in [flip, error] {
        let mut broken = Relay { attack: Some((honest.seen + 1, attack)), ..honest };
        ensure(ask(&mut broken)?.is_err(), || "a changed answer was believed".into())?;
        honest = relay(None);
        ensure(ask(&mut honest)?.is_ok(), || "no new channel after a broken one".into())?;
    }
    // While it opens.
    for (at, attack) in [(1, flip), (1, cut), (1, error), (2, error), (3, flip)] {
        let mut broken = Relay { attack: Some((honest.seen + 1, error)), ..honest };
        ensure(ask(&mut broken)?.is_err(), || "a changed answer was believed".into())?;
        honest = relay(Some((at, attack)));
        ensure(ask(&mut honest)?.is_err(), || format!("answer {at} was believed"))?;
        honest = relay(None);
        ensure(ask(&mut honest)?.is_ok(), || "no new channel after a broken one".into())?;
    }

    let refusal = Bank::lab("C");
    let mut wanted = draft("element", &[Service::Element]);
    wanted.version = 1_000_000;
    let denied = refusal.connect(&transport)?.install(&refusal.manifest(&wanted, &caller)?);
    super::bank::refused(denied, Error::LimitTooHigh)
}
