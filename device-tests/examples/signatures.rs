//! Prints what terminals read of SM2 cards, a JSON object a line, for `tools/oracles`.

use std::io::{self, Write};
use tapvault_device_tests::{
    lab::{Lab, prepare, say},
    oda::{Read, WANTS_ODA},
};
use tapvault_network::oda::{OdaKind, sm2};

#[path = "../tests/common/mod.rs"]
mod common;

const TAPS: u8 = 10;

fn main() -> Result<(), String> {
    let count: u32 = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(100);
    let (phone, mut lab) = (common::Phone::new(), Lab::new()?);
    let mut wallet = phone.wallet();
    lab.kind.oda = OdaKind::Sm2;
    let authority = hex::encode(sm2::Signer::authority().ok_or("no authority")?.public());
    let mut out = io::stdout().lock();
    for _ in 0..count {
        let card = lab.provision(&mut wallet)?;
        for number in 0..TAPS {
            let mut tap = prepare(&mut wallet, card, false)?;
            let read = Read::tap(&mut tap, WANTS_ODA, [number, 1, 2, 3])?;
            let get = |tag| read.get(tag).map(hex::encode);
            let line = serde_json::json!({
                "authority": authority, "90": get(0x90)?, "9F46": get(0x9F46)?, "9F4B": get(0x9F4B)?,
                "static": hex::encode(read.static_data()?), "terminal": hex::encode(read.terminal_data()?),
            });
            writeln!(out, "{line}").map_err(say)?;
        }
        wallet.remove_card(card).map_err(say)?;
    }
    Ok(())
}
