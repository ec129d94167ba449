//! Prints codes that cards of every suite made on the simulated TEE, a JSON object a line, for `tools/oracles`.

#[path = "../tests/common/mod.rs"]
mod common;

use common::Phone;
use std::io::{self, Write};
use tapvault_device_tests::{
    cases::paths,
    lab::{Digits, Lab, PIN, TIME},
};
use tapvault_network::kind::{CardKind, Named};
use tapvault_proto::{profile::Product, token::Channel};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(10_u32);
    let phone = Phone::new();
    let mut wallet = phone.wallet();
    let mut lab = Lab::new().map_err(io::Error::other)?;
    let card = lab.provision(&mut wallet).map_err(io::Error::other)?;
    lab.set_pin(&mut wallet, PIN).map_err(io::Error::other)?;
    lab.set_time(&mut wallet).map_err(io::Error::other)?;
    let products = [Product::Debit, Product::Credit, Product::QuasiCredit];
    for ((suite, cvn, derivation), product) in paths().into_iter().zip(products.into_iter().cycle()) {
        lab.kind = CardKind { suite, cvn, derivation, product, ..CardKind::default() };
        lab.issue(&mut wallet, card).map_err(io::Error::other)?;
        let record = lab.issuer.cards().first().cloned().ok_or(io::ErrorKind::NotFound)?;
        let imk = record.provider.issuer_master_key(record.key_version, Channel::Qr);
        for _ in 0..count {
            phone.advance(1000);
            let code =
                wallet.qr_code(lab.provider_id(), card, &mut Digits::of(&[PIN])).map_err(io::Error::other)?;
            writeln!(
                out,
                "{}",
                serde_json::json!({
                    "code": code.text, "expires": code.expires, "from": TIME,
                    "suite": suite.name(), "cvn": cvn.name(), "derivation": derivation.name(),
                    "aid": hex::encode(product.aid()), "imk": hex::encode(imk.expose()), "pan": record.token,
                    "psn": format!("{:02x}", record.psn), "expiry": record.expiry,
                    "key_version": record.key_version,
                })
            )?;
        }
    }
    Ok(())
}
