//! Secrets that can be recognised are planted, every method of cards, PIN and trustlets' keys is called, and nothing
//! that leaves the trusted apps holds a piece of them; nor does a heap block that a trusted app gave back, nor the
//! stack below a call, but for those that cannot wait for it to be wiped.
//!
//! What the simulated TEE stores is plain, as what OP-TEE is given to store: on real OP-TEE `guest-tests canary`
//! looks into the files.

#[path = "../common/mod.rs"]
mod common;
mod everything;
mod secrets;
mod watch;

use everything::{misuse_everything, use_everything};
use secrets::{CARD_ID, KINDS, plant_everything};
use std::collections::BTreeSet;
use tapvault_device_tests::{
    canary::{self, CANARY_PIN},
    scenarios::binding::NUMBER,
};
use tapvault_proto::{
    card::{METHODS as CARD, QrPayloadRequest, TapGpoRequest},
    online::OnlinePayRequest,
    pin::METHODS as PIN,
    service::{Request, Rights, Service},
    trustlet::{
        Forwarded,
        keys::{Decrypt, DeriveKey, Encrypt, Mac, OpenKey, Sign},
    },
};
use watch::{Passed, Watched, below, freed, inside, leaks, planted};

#[test]
fn no_request_reply_or_error_holds_a_secret() {
    plant_everything();
    let watched = Watched::new();
    use_everything(&watched);
    misuse_everything(&watched);
    watched.wallet().remove_card(CARD_ID).unwrap();
    assert!(planted(|canaries| canaries.len()) > 1000);
    let record = watched.transport.1.borrow();
    let mut answered = BTreeSet::new();
    let mut of = Service::Card;
    for passed in record.iter() {
        let (method, text): (u32, &[u8]) = match passed {
            Passed::Request(service, method, bytes) => {
                of = *service;
                (*method, bytes)
            }
            Passed::Reply(method, bytes) => {
                answered.insert((of, *method));
                (*method, bytes)
            }
            Passed::Error(method, text) => (*method, text.as_bytes()),
        };
        planted(|canaries| assert_eq!(canaries.find(text), None, "method {method:04X} of {of:?}"));
    }
    // That secrets are found where they are: in what was typed.
    let typed = [CANARY_PIN, NUMBER].map(|text| planted(|canaries| canaries.find(text.as_bytes()).is_some()));
    assert_eq!(typed, [true, true]);
    let called = |rights: Rights| Rights::WALLET.allows(rights) || Rights::TRUSTLET.allows(rights);
    let every = [(Service::Card, CARD), (Service::Pin, PIN)].into_iter().flat_map(|(service, methods)| {
        methods.iter().filter(|method| called(method.right)).map(move |method| (service, method.id))
    });
    assert_eq!(answered, every.collect(), "a method that nobody called");
}

#[test]
fn no_block_that_a_trusted_app_frees_holds_a_secret() {
    plant_everything();
    // That a block with a secret in it is found, and one that was wiped is not.
    let key = canary::bytes("nfc");
    let block = || key.to_vec().into_boxed_slice();
    let (left, mut wiped) = (block(), block());
    zeroize::Zeroize::zeroize(&mut wiped[..]);
    inside(|| drop(wiped));
    assert!(leaks().is_empty());
    inside(|| drop(left));
    assert_eq!(leaks().len(), 1);

    let watched = Watched::new();
    use_everything(&watched);
    misuse_everything(&watched);
    inside(|| watched.phone.restart());
    // What is read from storage.
    let mut wallet = watched.wallet();
    wallet.card_log(CARD_ID).unwrap();
    wallet.remove_card(CARD_ID).unwrap();
    drop(wallet);
    inside(|| watched.phone.restart());
    assert!(freed() > 100, "only {} blocks", freed());
    let leaks = leaks();
    assert!(leaks.is_empty(), "{} blocks\n{}", leaks.len(), leaks.join("\n"));
}

#[test]
fn no_secret_is_left_on_the_stack_but_by_what_cannot_wait() {
    const HURRIED: [u32; 9] = [
        TapGpoRequest::METHOD,
        QrPayloadRequest::METHOD,
        OnlinePayRequest::METHOD,
        <Forwarded<OpenKey>>::METHOD,
        <Forwarded<DeriveKey>>::METHOD,
        <Forwarded<Sign>>::METHOD,
        <Forwarded<Mac>>::METHOD,
        <Forwarded<Encrypt>>::METHOD,
        <Forwarded<Decrypt>>::METHOD,
    ];
    plant_everything();
    let watched = Watched::new();
    let left = below(|| use_everything(&watched));
    let (hurried, others): (Vec<_>, Vec<_>) = left
        .into_iter()
        .partition(|(service, method, _)| *service == Service::Card && HURRIED.contains(method));
    // That secrets are found where they are.
    assert!(hurried.len() > KINDS.len(), "{hurried:X?}");
    assert!(others.is_empty(), "{others:#X?}");
}
