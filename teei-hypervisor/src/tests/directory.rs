//! Claims about the virtual network.

use super::{address, policy_of, provider};
use crate::{directory::Directory, policy::Policy};
use std::{format, vec::Vec};
use tapvault_proto::{
    Error,
    id::{Address, ProviderId},
    trustlet::network::Mail,
    tvm::{MAX_TRUSTLETS, TrustletState},
    wire::Bytes,
};

const ACTIVE: TrustletState = TrustletState::Active;

/// Providers 1 to 3 with this share of the mailboxes each.
fn policy(messages: u8) -> Policy {
    policy_of(&[provider(1, messages), provider(2, messages), provider(3, messages)])
}

fn register(directory: &mut Directory, trustlet: Address, state: TrustletState, peers: &[Address]) {
    directory.register(trustlet, state, 1, peers.iter().cloned().collect()).unwrap();
}

/// Trustlet `a` of provider 1 and `b` of provider 2, which name each other.
fn pair() -> (Directory, Address, Address) {
    let (mut directory, a, b) = (Directory::default(), address(1, "a"), address(2, "b"));
    register(&mut directory, a.clone(), ACTIVE, core::slice::from_ref(&b));
    register(&mut directory, b.clone(), ACTIVE, core::slice::from_ref(&a));
    (directory, a, b)
}

fn post(directory: &mut Directory, messages: u8, from: &Address, to: &Address) -> Result<u32, Error> {
    let body = Bytes::from_slice(b"hello").unwrap();
    directory.post(&policy(messages), from.clone(), to.clone(), body)
}

fn waiting(directory: &Directory, trustlet: &Address) -> u8 {
    let trustlets = directory.trustlets(trustlet.provider);
    trustlets.iter().find(|info| info.name == trustlet.name).map_or(0, |info| info.messages)
}

#[test]
fn a_message_is_delivered_once_in_order_with_its_sender() {
    let (mut directory, a, b) = pair();
    let numbers = Vec::from_iter((0..3).map(|_| post(&mut directory, 8, &a, &b).unwrap()));
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!((waiting(&directory, &a), waiting(&directory, &b)), (0, 3));
    assert_eq!(directory.take(&a), None);
    for number in numbers {
        let body = Bytes::from_slice(b"hello").unwrap();
        assert_eq!(directory.take(&b), Some(Mail { from: a.clone(), number, body }));
    }
    assert_eq!(directory.take(&b), None);
    assert_eq!(post(&mut directory, 8, &b, &a), Ok(4), "numbers count for all");
}

#[test]
fn both_manifests_have_to_name_the_other_side() {
    let (mut directory, a, b) = pair();
    let (stranger, mute) = (address(1, "stranger"), address(2, "mute"));
    register(&mut directory, stranger.clone(), ACTIVE, core::slice::from_ref(&b));
    register(&mut directory, mute.clone(), ACTIVE, &[]);
    assert_eq!(post(&mut directory, 8, &stranger, &b), Err(Error::PeerRefuses));
    assert_eq!(post(&mut directory, 8, &a, &mute), Err(Error::NotInManifest));
    assert_eq!(post(&mut directory, 8, &mute, &a), Err(Error::NotInManifest));
    assert_eq!(post(&mut directory, 8, &a, &b), Ok(1));
}

#[test]
fn one_providers_trustlets_do_not_write_to_each_other() {
    let (mut directory, one, two) = (Directory::default(), address(1, "one"), address(1, "two"));
    register(&mut directory, one.clone(), ACTIVE, &[two.clone(), one.clone()]);
    register(&mut directory, two.clone(), ACTIVE, core::slice::from_ref(&one));
    assert_eq!(post(&mut directory, 8, &one, &two), Err(Error::NotInManifest));
    assert_eq!(post(&mut directory, 8, &one, &one), Err(Error::NotInManifest));
}

#[test]
fn who_is_not_active_neither_sends_nor_receives() {
    for state in [TrustletState::Installed, TrustletState::Locked, TrustletState::Removed] {
        let (mut directory, a, b) = pair();
        register(&mut directory, b.clone(), state, core::slice::from_ref(&a));
        assert_eq!(post(&mut directory, 8, &a, &b), Err(Error::PeerUnknown), "to {state:?}");
        assert_eq!(post(&mut directory, 8, &b, &a), Err(Error::UnknownTrustlet), "from {state:?}");
        assert_eq!(directory.knows(&b), state != TrustletState::Removed);
    }
    let mut new = Directory::default();
    assert_eq!(post(&mut new, 8, &address(1, "a"), &address(2, "b")), Err(Error::UnknownTrustlet));
}

#[test]
fn what_waits_for_a_trustlet_that_stops_is_dropped_and_its_own_mail_is_not() {
    for state in [TrustletState::Installed, TrustletState::Locked, TrustletState::Removed] {
        let (mut directory, a, b) = pair();
        post(&mut directory, 8, &a, &b).unwrap();
        post(&mut directory, 8, &b, &a).unwrap();
        register(&mut directory, b.clone(), state, core::slice::from_ref(&a));
        assert_eq!((directory.take(&b), directory.waiting_for(b.provider)), (None, 0), "{state:?}");
        assert!(directory.take(&a).is_some(), "{state:?}");
    }
    let (mut directory, a, b) = pair();
    post(&mut directory, 8, &a, &b).unwrap();
    register(&mut directory, b.clone(), ACTIVE, &[]);
    assert_eq!(waiting(&directory, &b), 1, "a newer version of an active one keeps its mail");
}

#[test]
fn a_sender_with_too_much_under_way_is_told_so() {
    let (mut directory, a, b) = pair();
    let c = address(3, "c");
    register(&mut directory, a.clone(), ACTIVE, &[b.clone(), c.clone()]);
    register(&mut directory, c.clone(), ACTIVE, core::slice::from_ref(&a));
    for to in [&b, &c, &b, &c] {
        post(&mut directory, 4, &a, to).unwrap();
    }
    assert_eq!(post(&mut directory, 4, &a, &b), Err(Error::ProviderQuota));
    directory.take(&c).unwrap();
    assert_eq!(post(&mut directory, 4, &a, &c), Ok(5), "room was given back");
}

#[test]
fn no_sender_takes_more_than_half_of_a_receivers_share() {
    let (mut directory, a, b) = pair();
    let (c, d) = (address(3, "c"), address(1, "d"));
    register(&mut directory, b.clone(), ACTIVE, &[a.clone(), c.clone(), d.clone()]);
    register(&mut directory, c.clone(), ACTIVE, core::slice::from_ref(&b));
    register(&mut directory, d.clone(), ACTIVE, core::slice::from_ref(&b));
    post(&mut directory, 4, &a, &b).unwrap();
    post(&mut directory, 4, &d, &b).unwrap();
    assert_eq!(post(&mut directory, 4, &a, &b), Err(Error::PeerFull));
    assert_eq!(post(&mut directory, 4, &d, &b), Err(Error::PeerFull), "of the same provider");
    post(&mut directory, 4, &c, &b).unwrap();
    post(&mut directory, 4, &c, &b).unwrap();
    assert_eq!(post(&mut directory, 4, &c, &b), Err(Error::PeerFull));
    directory.take(&b).unwrap();
    assert!(post(&mut directory, 4, &a, &b).is_ok(), "room was given back");
}

#[test]
fn a_share_of_one_is_room_for_one_and_none_for_none() {
    let (mut directory, a, b) = pair();
    assert_eq!(post(&mut directory, 0, &a, &b), Err(Error::ProviderQuota));
    assert_eq!(post(&mut directory, 1, &a, &b), Ok(1));
    assert_eq!(post(&mut directory, 1, &a, &b), Err(Error::ProviderQuota));
    let silent = policy_of(&[provider(1, 4), provider(2, 0)]);
    directory.take(&b).unwrap();
    assert_eq!(directory.post(&silent, a, b, Bytes::new()), Err(Error::PeerFull));
}

#[test]
fn a_provider_without_a_policy_is_the_one_to_blame() {
    let (mut directory, a, b) = pair();
    let mut under = |policy: &Policy| directory.post(policy, a.clone(), b.clone(), Bytes::new());
    assert_eq!(under(&policy_of(&[provider(2, 4)])), Err(Error::NotInManifest));
    assert_eq!(under(&policy_of(&[provider(1, 4)])), Err(Error::PeerUnknown));
}

#[test]
fn a_new_policy_forgets_who_is_not_named() {
    let (mut directory, a, b) = pair();
    let c = address(3, "c");
    register(&mut directory, b.clone(), ACTIVE, &[a.clone(), c.clone()]);
    register(&mut directory, c.clone(), ACTIVE, core::slice::from_ref(&b));
    for (from, to) in [(&a, &b), (&b, &a), (&c, &b), (&b, &c)] {
        post(&mut directory, 8, from, to).unwrap();
    }
    directory.keep(&policy_of(&[provider(2, 8), provider(3, 8)]));
    assert!(!directory.knows(&a));
    assert_eq!(directory.waiting_for(a.provider), 0, "to it");
    assert_eq!(directory.take(&b).map(|mail| mail.from), Some(c.clone()), "from it");
    assert_eq!(directory.take(&b), None);
    assert_eq!(directory.take(&c).map(|mail| mail.from), Some(b.clone()));
    assert_eq!(post(&mut directory, 8, &a, &b), Err(Error::UnknownTrustlet));
    assert!(post(&mut directory, 8, &b, &c).is_ok());
}

#[test]
fn a_provider_has_so_many_trustlets_and_keeps_nobody_out() {
    let mut directory = Directory::default();
    for provider in 1..=12 {
        for index in 0..MAX_TRUSTLETS {
            register(&mut directory, address(provider, &format!("t{index}")), ACTIVE, &[]);
        }
        let more = directory.register(address(provider, "more"), ACTIVE, 1, heapless::Vec::new());
        assert_eq!(more, Err(Error::ProviderQuota));
        assert_eq!(directory.trustlets(ProviderId([provider; 16])).len(), MAX_TRUSTLETS);
    }
    let known = address(5, "t3");
    assert!(directory.register(known.clone(), ACTIVE, 2, heapless::Vec::new()).is_ok(), "it is known");
    register(&mut directory, known, TrustletState::Removed, &[]);
    assert!(directory.register(address(5, "more"), ACTIVE, 1, heapless::Vec::new()).is_ok(), "its place");
}

#[test]
fn a_provider_names_so_many_peers() {
    let mut directory = Directory::default();
    let peers = Vec::from_iter((0..4).map(|index| address(9, &format!("p{index}"))));
    register(&mut directory, address(1, "a"), ACTIVE, &peers);
    register(&mut directory, address(1, "b"), ACTIVE, &peers);
    let one = || peers[..1].iter().cloned().collect();
    assert_eq!(directory.register(address(1, "c"), ACTIVE, 1, one()), Err(Error::ProviderQuota));
    assert!(directory.register(address(2, "c"), ACTIVE, 1, one()).is_ok(), "of another provider");
    register(&mut directory, address(1, "b"), ACTIVE, &peers[..3]);
    assert!(directory.register(address(1, "c"), ACTIVE, 1, one()).is_ok());
}

#[test]
fn a_registration_that_is_refused_changes_nothing() {
    let (mut directory, a, b) = pair();
    let peers = Vec::from_iter((0..4).map(|index| address(9, &format!("p{index}"))));
    register(&mut directory, address(1, "x"), ACTIVE, &peers);
    register(&mut directory, address(1, "y"), ACTIVE, &peers[..3]);
    let more = [b.clone(), peers[0].clone()].into_iter().collect();
    assert_eq!(directory.register(a.clone(), ACTIVE, 2, more), Err(Error::ProviderQuota));
    assert_eq!(post(&mut directory, 8, &a, &b), Ok(1), "the version before is still known");
}
