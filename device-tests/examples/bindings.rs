//! Prints card data as typed and as a phone on the simulated TEE sealed them, a JSON object a line, for
//! `tools/oracles`.

#[path = "../tests/common/mod.rs"]
mod common;

use common::Phone;
use std::io::{self, Write};
use tapvault_device_tests::{lab::Digits, pad, random::Random, scenarios::binding::at_desk};
use tapvault_network::{
    binding::{MAX_OPEN, Recipient},
    issuer::Issuer,
    lab::{LabBank, trust_root},
};
use tapvault_proto::binding::CardData;

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    let count: usize = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(10);
    let root = hex::encode(trust_root().verifying_key().to_sec1_point(false).as_bytes());
    let phone = Phone::new();
    let mut wallet = phone.wallet();
    pad::pair(&mut wallet).map_err(io::Error::other)?;
    // Standard output is the other program's: the seed is not printed.
    let seed = std::env::var("TAPVAULT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut random = Random::new(seed);
    let mut issuer = Issuer::in_memory();
    for at in 0..count {
        if at % MAX_OPEN == 0 {
            issuer = Issuer::in_memory();
        }
        let bank = LabBank::ALL[at % LabBank::ALL.len()];
        let digits = |random: &mut Random, len| -> String {
            (0..len).map(|_| char::from(b'0' + random.byte() % 10)).collect()
        };
        let len = 12 + random.index(7);
        let number = digits(&mut random, len);
        let (expiry, cvn2) =
            (format!("{:02}{:02}", random.index(100), 1 + random.index(12)), 3 + random.index(2));
        let cvn2 = digits(&mut random, cvn2);
        // One of the ten fits.
        let is_whole = |number: &String| {
            CardData::from_ascii(number.as_bytes(), expiry.as_bytes(), cvn2.as_bytes()).is_ok()
        };
        let number = (0..10).map(|last| format!("{number}{last}")).find(is_whole);
        let number = number.ok_or(io::ErrorKind::InvalidData)?;
        let offer = at_desk(&mut issuer, |desk| desk.begin(bank)).map_err(io::Error::other)?;
        let offer = offer.map_err(io::Error::other)?;
        let sealed = wallet
            .bind_card(offer.clone(), &mut Digits::card(&number, &expiry, &cvn2))
            .map_err(io::Error::other)?;
        let key = Recipient::lab(bank).map_err(io::Error::other)?.lab_key();
        writeln!(
            out,
            "{}",
            serde_json::json!({
                "number": number, "expiry": expiry, "cvn2": cvn2, "root": root, "key": hex::encode(&*key),
                "provider": hex::encode(sealed.provider.0),
                "name": String::from_utf8_lossy(&offer.certificate.name),
                "recipient": hex::encode(offer.certificate.recipient),
                "signature": hex::encode(offer.certificate.signature),
                "nonce": hex::encode(sealed.nonce), "challenge": hex::encode(sealed.challenge),
                "encapsulated": hex::encode(sealed.encapsulated), "sealed": hex::encode(sealed.sealed),
            })
        )?;
    }
    Ok(())
}
