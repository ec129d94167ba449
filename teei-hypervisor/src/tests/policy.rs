//! Claims about the policy document.

use super::{WALLET, document, flipped, provider, public, sign};
use crate::{policy::Policy, signature::PublicKey};
use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use std::{format, string::String, vec::Vec};
use tapvault_proto::{
    Error,
    id::{ProviderId, Uuid},
    service::{Rights, Service},
};

/// A rule for the TVM of the provider whose id is sixteen times `id`.
fn rule_of(id: u8) -> String {
    let (provider, caller) = (ProviderId([id; 16]), WALLET.uuid);
    format!(
        r#"{{"service":"tvm","provider":"{provider}","login":"group","id":"{caller}","rights":["client"],"sessions":4}}"#
    )
}

fn parse(rules: &[String], providers: &[String]) -> Result<Policy, Error> {
    let (rules, providers) = (rules.join(","), providers.join(","));
    let text = format!(r#"{{"format":1,"version":1,"rules":[{rules}],"providers":[{providers}]}}"#);
    Policy::verify(text.as_bytes(), &sign(&text), &public())
}

#[test]
fn an_altered_or_foreign_policy_is_refused() {
    let text = document(2, 2);
    let signature = sign(&text);
    for altered in flipped(&text).step_by(7) {
        assert_eq!(Policy::verify(&altered, &signature, &public()), Err(Error::PolicySignature));
    }
    let foreign = SigningKey::from_slice(&[8; 32]).unwrap();
    let forged: Signature = foreign.sign(text.as_bytes());
    let forged: [u8; 64] = forged.to_bytes().into();
    assert_eq!(Policy::verify(text.as_bytes(), &forged, &public()), Err(Error::PolicySignature));
    let off_curve = PublicKey([4; 65]);
    assert_eq!(Policy::verify(text.as_bytes(), &signature, &off_curve), Err(Error::PolicySignature));
}

#[test]
fn a_signed_document_that_is_no_policy_is_refused() {
    let rule = r#"{"service":"card","login":"group","id":"00000000000000000000000000000001","rights":["wallet"],"sessions":1}"#;
    let wrap = |rules: &str| format!(r#"{{"format":1,"version":1,"rules":[{rules}]}}"#);
    for bad in [
        String::new(),
        "{}".into(),
        document(0, 1),
        document(1, 1).replace("\"format\":1", "\"format\":2"),
        document(1, 1).replace("\"rules\"", "\"extra\":1,\"rules\""),
        document(1, 1) + "x",
        wrap(&rule.replace("card", "vault")),
        wrap(&rule.replace("group", "root")),
        wrap(&rule.replace("wallet", "peer")),
        wrap(&rule.replace("0001\"", "001\"")),
        wrap(&format!("{rule},{rule}")),
        wrap(&Vec::from([rule; 25]).join(",")),
        wrap(&rule.replace("card", "tvm")),
        wrap(&rule.replace("card", "store")),
        wrap(&rule.replace("\"service\"", "\"provider\":\"00000000000000000000000000000001\",\"service\"")),
    ] {
        let verdict = Policy::verify(bad.as_bytes(), &sign(&bad), &public());
        assert_eq!(verdict, Err(Error::PolicyMalformed), "{bad}");
    }
    assert!(Policy::verify(wrap(rule).as_bytes(), &sign(&wrap(rule)), &public()).is_ok());
}

#[test]
fn a_provider_has_its_tvm_its_services_and_its_quota() {
    let policy = parse(&[rule_of(1)], &[provider(1, 4), provider(2, 3)]).unwrap();
    let (id, tvm) = (ProviderId([1; 16]), Uuid([0x81; 16]));
    let found = policy.provider(id).unwrap();
    assert_eq!((found.id, found.tvm, found.quota.messages), (id, tvm, 4));
    assert_eq!(found.services, Service::Store.bit() | Service::Network.bit());
    assert_eq!(policy.provider_of(tvm), Some(found));
    assert_eq!(policy.providers().len(), 2);
    let rule = policy.rule(tvm, &WALLET).unwrap();
    assert_eq!((rule.rights, rule.sessions), (Rights::CLIENT, 4));
    assert_eq!(policy.rule(Uuid([0x82; 16]), &WALLET), None, "of the other provider");
    assert_eq!(policy.rule(Service::Card.uuid(), &WALLET), None, "of a native trusted app");
    assert_eq!(policy.provider(ProviderId([3; 16])), None);
    assert_eq!(policy.provider_of(Uuid([1; 16])), None, "an id is no UUID");
}

#[test]
fn no_provider_speaks_for_another_or_for_a_native_trusted_app() {
    let as_tvm = |uuid: Uuid| provider(2, 1).replace(&format!("{}", Uuid([0x82; 16])), &format!("{uuid}"));
    assert_eq!(parse(&[], &[provider(1, 1), provider(1, 1)]), Err(Error::PolicyMalformed), "twice");
    assert_eq!(parse(&[], &[provider(1, 1), as_tvm(Uuid([0x81; 16]))]), Err(Error::PolicyMalformed));
    assert_eq!(parse(&[], &[as_tvm(Uuid([0; 16]))]), Err(Error::PolicyMalformed), "nil");
    for service in Service::NATIVE {
        assert_eq!(parse(&[], &[as_tvm(service.uuid())]), Err(Error::PolicyMalformed), "{service:?}");
    }
}

#[test]
fn a_rule_is_for_a_provider_that_is_listed() {
    assert_eq!(parse(&[rule_of(2)], &[provider(1, 1)]), Err(Error::PolicyMalformed));
    assert_eq!(parse(&[rule_of(1)], &[]), Err(Error::PolicyMalformed));
    let twice = [rule_of(1), rule_of(1)];
    assert_eq!(parse(&twice, &[provider(1, 1)]), Err(Error::PolicyMalformed), "which one would hold?");
    assert!(parse(&[rule_of(1), rule_of(2)], &[provider(1, 1), provider(2, 1)]).is_ok());
}

#[test]
fn all_mailboxes_together_have_room() {
    let twelve = |messages| Vec::from_iter((1..=12).map(|id| provider(id, messages)));
    assert!(parse(&[], &twelve(4)).is_ok());
    let mut one_more = twelve(4);
    one_more[3] = provider(4, 5);
    assert_eq!(parse(&[], &one_more), Err(Error::PolicyMalformed));
    let mut thirteen = twelve(1);
    thirteen.push(provider(13, 1));
    assert_eq!(parse(&[], &thirteen), Err(Error::PolicyMalformed));
}

#[test]
fn a_provider_in_another_form_is_refused() {
    for (from, to) in [
        ("\"store\",", "\"vault\","),
        ("\"store\",", "\"tvm\","),
        ("\"store\",", "\"supervisor\","),
        ("\"guests\":2", "\"guests\":256"),
        ("\"guests\":2,", ""),
        ("\"guests\":2", "\"guests\":2,\"guests\":2"),
        ("\"guests\":2", "\"guests\":2,\"more\":2"),
        ("\"memory_kib\":512", "\"memory_kib\":65536"),
        ("\"signatures\":60", "\"signatures\":6001"),
        ("\"accesses\":60", "\"accesses\":6001"),
        ("\"loads\":60", "\"loads\":6001"),
        ("\"tvm\":\"81", "\"tvm\":\"8"),
        ("\"id\":\"01", "\"id\":\"0G"),
    ] {
        let altered = provider(1, 1).replace(from, to);
        assert_ne!(altered, provider(1, 1), "no {from}");
        assert_eq!(parse(&[], &[altered]), Err(Error::PolicyMalformed), "{to} for {from}");
    }
    let most = provider(1, 1).replace("\"loads\":60", "\"loads\":6000");
    assert_eq!(parse(&[], &[most]).unwrap().providers()[0].quota.loads, 6000);
}
