//! SM2 chains against a vector of others.

use serde_json::Value;
use tapvault_network::oda::sm2::{recover, verifies_dynamic};

#[test]
fn an_sm2_chain_of_others_is_accepted_and_an_altered_one_is_not() {
    let vector: Value = serde_json::from_str(include_str!("vectors/pboc_sm2_fdda.json")).unwrap();
    let of = |name: &str| hex::decode(vector[name].as_str().unwrap()).unwrap();
    let (authority, of_issuer, of_card) = (of("ca_pub"), of("tag90"), of("tag9F46"));
    let issuer = recover(&authority, &of_issuer, &[]).unwrap();
    assert_eq!(issuer, of("iss_pub"));
    let card = recover(issuer, &of_card, &of("static")).unwrap();
    assert_eq!(card, of("icc_pub"));
    let (signed, terminal) = (of("tag9F4B"), of("tdd(9F37|9F02|5F2A|9F69)"));
    assert!(verifies_dynamic(card, &signed, &terminal));

    for (name, mut bytes) in [("90", of_issuer.clone()), ("9F46", of_card.clone()), ("9F4B", signed.clone())]
    {
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            let accepted = match name {
                "90" => recover(&authority, &bytes, &[]).is_some(),
                "9F46" => recover(issuer, &bytes, &of("static")).is_some(),
                _ => verifies_dynamic(card, &bytes, &terminal),
            };
            assert!(!accepted, "{name}, byte {at}");
            bytes[at] ^= 1;
        }
    }
    assert!(!verifies_dynamic(card, &signed, &terminal[1..]));
    assert!(recover(&authority, &[], &[]).is_none() && recover(&[], &of_issuer, &[]).is_none());
}
