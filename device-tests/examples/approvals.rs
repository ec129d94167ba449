//! Prints what cards of every suite approved offline on a simulated TEE that claims protection from a rollback, a JSON
//! object a line, for `tools/oracles`.

#[path = "../tests/common/mod.rs"]
mod common;

use common::Phone;
use std::io::{self, Write};
use tapvault_device_tests::{
    cases::paths,
    lab::{Lab, prepare},
    oda::Read,
};
use tapvault_network::{
    kind::{CardKind, Named},
    oda::OdaKind,
};
use tapvault_proto::{emv::gpo::PdolData, offline::Offline, profile::Cvn, token::Channel};

/// Qualifiers of a terminal that lets the card decide: qPBOC, fDDA version 01.
const DECIDES: [u8; 4] = [0x20, 0x00, 0x00, 0x80];

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(10_u32);
    let phone = Phone::protected();
    let mut wallet = phone.wallet();
    let mut lab = Lab::new().map_err(io::Error::other)?;
    let card = lab.provision(&mut wallet).map_err(io::Error::other)?;
    lab.rules.offline = Some(Offline { balance: 100_000_000, payment: 20_000 });
    // The short list has another layout than the terminal of these tests sends.
    for (suite, cvn, derivation) in paths().into_iter().filter(|(_, cvn, _)| *cvn == Cvn::V01) {
        lab.kind = CardKind { suite, cvn, derivation, oda: OdaKind::Sm2, ..CardKind::default() };
        lab.issue(&mut wallet, card).map_err(io::Error::other)?;
        let record = lab.issuer.cards().first().cloned().ok_or(io::ErrorKind::NotFound)?;
        let imk = record.provider.issuer_master_key(record.key_version, Channel::Nfc);
        for number in 0..count {
            let mut tap = prepare(&mut wallet, card, false).map_err(io::Error::other)?;
            let read = Read::tap(&mut tap, DECIDES, number.to_be_bytes()).map_err(io::Error::other)?;
            let PdolData { amount, amount_other, country, tvr, currency, date, kind, unpredictable, .. } =
                read.terminal;
            let asked =
                [&amount[..], &amount_other, &country, &tvr, &currency, &date, &[kind], &unpredictable];
            writeln!(
                out,
                "{}",
                serde_json::json!({
                    "answer": hex::encode(&read.answer), "asked": hex::encode(asked.concat()),
                    "suite": suite.name(), "derivation": derivation.name(), "imk": hex::encode(imk.expose()),
                    "pan": record.token, "psn": format!("{:02x}", record.psn),
                    "key_version": record.key_version,
                })
            )?;
        }
    }
    Ok(())
}
