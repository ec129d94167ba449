//! Claims about the TEEI layer, by subject.

mod admission;
mod audit;
mod directory;
mod its;
mod lifecycle;
mod manifest;
mod policy;

use crate::{policy::Policy, signature::PublicKey};
use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use std::{format, string::String, vec::Vec};
use tapvault_proto::id::{Address, Caller, ProviderId, TrustletName, Uuid, login};

const WALLET: Caller = Caller { login: login::GROUP, uuid: Uuid([0xA1; 16]) };

fn key() -> SigningKey {
    SigningKey::from_slice(&[7; 32]).unwrap()
}

fn public() -> PublicKey {
    PublicKey(key().verifying_key().to_sec1_point(false).as_bytes().try_into().unwrap())
}

fn sign(document: &str) -> [u8; 64] {
    let signature: Signature = key().sign(document.as_bytes());
    signature.to_bytes().into()
}

/// A policy with one rule: so many sessions of the wallet with the card.
fn document(version: u32, sessions: u16) -> String {
    format!(
        r#"{{"format":1,"version":{version},"rules":[{{"service":"card","login":"group","id":"{}","rights":["wallet"],"sessions":{sessions}}}]}}"#,
        WALLET.uuid
    )
}

fn policy(version: u32, sessions: u16) -> Policy {
    let document = document(version, sessions);
    Policy::verify(document.as_bytes(), &sign(&document), &public()).unwrap()
}

fn name(text: &str) -> TrustletName {
    TrustletName::new(text.as_bytes()).unwrap()
}

/// A trustlet of the provider whose id is sixteen times `provider`.
fn address(provider: u8, trustlet: &str) -> Address {
    Address { provider: ProviderId([provider; 16]), name: name(trustlet) }
}

/// A provider in a policy: its id is sixteen times `id`, its TVM's UUID sixteen times `id + 0x80`.
fn provider(id: u8, messages: u8) -> String {
    format!(
        r#"{{"id":"{}","tvm":"{}","services":["store","network"],"guests":2,"memory_kib":512,"store":1024,"messages":{messages},"signatures":60,"accesses":60,"loads":60}}"#,
        ProviderId([id; 16]),
        ProviderId([id + 0x80; 16])
    )
}

/// A policy without rules.
fn policy_of(providers: &[String]) -> Policy {
    let document = format!(r#"{{"format":1,"version":1,"rules":[],"providers":[{}]}}"#, providers.join(","));
    Policy::verify(document.as_bytes(), &sign(&document), &public()).unwrap()
}

/// Every document that differs from `text` in one bit.
fn flipped(text: &str) -> impl Iterator<Item = Vec<u8>> {
    (0..8 * text.len()).map(move |bit| {
        let mut altered = Vec::from(text.as_bytes());
        altered[bit / 8] ^= 1 << (bit % 8);
        altered
    })
}
