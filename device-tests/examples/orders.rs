//! Prints signed requests and what cards of every suite on the simulated TEE answered, a JSON object a line, for
//! `tools/oracles`.

#[path = "../tests/common/mod.rs"]
mod common;

use common::Phone;
use std::io::{self, Write};
use tapvault_device_tests::{
    cases::paths,
    lab::{Digits, Lab, PIN, TIME},
};
use tapvault_network::{
    kind::{CardKind, Named},
    lab::trust_root,
    online::Payee,
    registry::CNY,
};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(10_u64);
    let phone = Phone::new();
    let mut wallet = phone.wallet();
    let mut lab = Lab::new().map_err(io::Error::other)?;
    let card = lab.provision(&mut wallet).map_err(io::Error::other)?;
    lab.set_pin(&mut wallet, PIN).map_err(io::Error::other)?;
    lab.set_time(&mut wallet).map_err(io::Error::other)?;
    let root = hex::encode(trust_root().verifying_key().to_sec1_point(false).as_bytes());
    for (at, (suite, cvn, derivation)) in paths().into_iter().enumerate() {
        lab.kind = CardKind { suite, cvn, derivation, ..CardKind::default() };
        lab.issue(&mut wallet, card).map_err(io::Error::other)?;
        let record = lab.issuer.cards().first().cloned().ok_or(io::ErrorKind::NotFound)?;
        for number in 0..count {
            let shop = Payee::merchant("898110048990001", "Tea Shop").map_err(io::Error::other)?;
            let order = (number * 1_000_003 + 1, CNY);
            let order = shop.own_order(&format!("{at}/{number}"), order, TIME + 86_400);
            let payee = if number % 2 == 0 { shop } else { Payee::wallet().map_err(io::Error::other)? };
            let request = order.and_then(|order| payee.request(order)).map_err(io::Error::other)?;
            let json = request.to_json().map_err(io::Error::other)?;
            let answer = wallet
                .pay_online(lab.provider_id(), card, &json, &mut Digits::of(&[PIN]))
                .map_err(io::Error::other)?;
            let channel = request.certificate.role.channel();
            let imk = record.provider.issuer_master_key(record.key_version, channel);
            writeln!(
                out,
                "{}",
                serde_json::json!({
                    "request": String::from_utf8_lossy(&json), "root": root,
                    "encapsulated": hex::encode(answer.encapsulated), "sealed": hex::encode(&answer.sealed),
                    "acquirer_key": hex::encode(&*payee.lab_acquirer_key()),
                    "suite": suite.name(), "cvn": cvn.name(), "derivation": derivation.name(),
                    "imk": hex::encode(imk.expose()), "pan": record.token, "psn": format!("{:02x}", record.psn),
                    "key_version": record.key_version,
                })
            )?;
        }
    }
    Ok(())
}
