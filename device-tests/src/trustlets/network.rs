//! Messages between trustlets of different banks.

use super::{
    bank::{Bank, answer, draft},
    modules,
};
use crate::{Outcome, ensure};
use tapvault::{Channel, Transport, trustlet::Trustlet};
use tapvault_proto::{
    Error,
    id::Address,
    service::Service,
    trustlet::network::{PostRequest, TakeReply},
    wire::{Bytes, Wire, decode_exact, encode_into},
};

fn post(to: &Address, body: &[u8]) -> Vec<u8> {
    let request = PostRequest { to: to.clone(), body: Bytes::from_slice(body).unwrap_or_default() };
    let mut bytes = [0; PostRequest::MAX];
    let len = encode_into(&request, &mut bytes).unwrap_or(0);
    modules::caller(0x14, 1, &bytes[..len])
}

fn take() -> Vec<u8> {
    modules::caller(0x14, 2, b"")
}

fn received<C: Channel>(trustlet: &mut Trustlet<C>) -> Outcome<TakeReply> {
    let reply = answer(trustlet)?.map_err(|error| format!("{error:?}"))?;
    decode_exact(&reply).map_err(|error| format!("{error:?}"))
}

/// Delivered once, in order, with the sender the supervisor knows.
pub fn a_message_goes_where_both_manifests_allow<T: Transport>(make: &dyn Fn() -> T) -> Outcome<()> {
    let (transport, a, b) = (make(), Bank::lab("A"), Bank::lab("B"));
    let with = |name: &str, peer: Address| {
        let mut draft = draft(name, &[Service::Network]);
        draft.peers = vec![peer];
        draft
    };
    let to = b.address("inbox");
    let mut inbox = b.run(&transport, with("inbox", a.address("outbox")), &take())?;
    while received(&mut inbox)?.mail.is_some() {}
    for body in [&b"first"[..], b"second"] {
        let mut outbox = a.run(&transport, with("outbox", to.clone()), &post(&to, body))?;
        let sent = answer(&mut outbox)?;
        ensure(sent.is_ok(), || format!("post: {sent:?}"))?;
    }
    for body in [&b"first"[..], b"second"] {
        let mail = received(&mut inbox)?.mail.ok_or("no mail")?;
        ensure(mail.from == a.address("outbox") && mail.body == body, || format!("{mail:?}"))?;
    }
    ensure(received(&mut inbox)?.mail.is_none(), || "delivered twice".into())?;

    // The receiver's manifest does not name this sender; the sender's does not name that receiver.
    let mut stranger = a.run(&transport, with("stranger", to.clone()), &post(&to, b"x"))?;
    let sent = answer(&mut stranger)?;
    ensure(sent == Err(Error::PeerRefuses), || format!("a stranger: {sent:?}"))?;
    let mut mute = a.run(&transport, draft("mute", &[Service::Network]), &post(&to, b"x"))?;
    let sent = answer(&mut mute)?;
    ensure(sent == Err(Error::NotInManifest), || format!("without a peer: {sent:?}"))?;
    ensure(received(&mut inbox)?.mail.is_none(), || "a refused message was delivered".into())
}

/// Each refusal names its side.
pub fn a_full_mailbox_and_a_missing_receiver_are_named<T: Transport>(make: &dyn Fn() -> T) -> Outcome<()> {
    let (transport, a, c) = (make(), Bank::lab("A"), Bank::lab("C"));
    let with = |name: &str, peer: Address| {
        let mut draft = draft(name, &[Service::Network]);
        draft.peers = vec![peer];
        draft
    };
    let nobody = c.address("nobody");
    let mut lost = a.run(&transport, with("lost", nobody.clone()), &post(&nobody, b"x"))?;
    let sent = answer(&mut lost)?;
    ensure(sent == Err(Error::PeerUnknown), || format!("to nobody: {sent:?}"))?;

    let to = a.address("full");
    let mut full = a.run(&transport, with("full", c.address("flood")), &take())?;
    while received(&mut full)?.mail.is_some() {}
    let mut flood = c.run(&transport, with("flood", to.clone()), &post(&to, b"flood"))?;
    let mut sent = 0;
    let refusal = loop {
        match answer(&mut flood)? {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
        ensure(sent < 100, || "a flood without end".into())?;
    };
    // The hostile bank's share is the smaller one: it is the sender's fault.
    ensure(refusal == Error::ProviderQuota && sent == 2, || format!("{refusal:?} after {sent}"))?;
    ensure(received(&mut full)?.mail.is_some(), || "no mail".into())?;
    ensure(answer(&mut flood)?.is_ok(), || "room was not given back".into())?;
    while received(&mut full)?.mail.is_some() {}
    Ok(())
}
