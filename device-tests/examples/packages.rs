//! Opens key blocks and SM2 packages of others, a JSON object a line on standard input, with the trusted app's code
//! (`tools/oracles/packages.py`). With an argument prints so many of each of ours instead.

use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
};
use tapvault_card::keyblock::{Kbpk, KeyBlock};
use tapvault_device_tests::{lab::say, random::Random};
use tapvault_network::{keyblock, sm2_seal};
use tapvault_proto::profile::{Key128, Suite};

/// Of each kind, at least.
const ENOUGH: u32 = 1000;

fn bytes(value: &Value) -> Result<Vec<u8>, String> {
    hex::decode(value.as_str().ok_or("no text")?).map_err(say)
}

fn fixed<const N: usize>(value: &Value) -> Result<[u8; N], String> {
    bytes(value)?.try_into().map_err(|_| "another length".into())
}

/// What the trusted app makes of a line, and what it should.
fn open(line: &Value, kind: &str) -> Result<bool, String> {
    if kind == "sm2" {
        let key = tapvault_seal::sm2::key(&fixed(&line["scalar"])?).map_err(say)?;
        let mut sealed = bytes(&line["sealed"])?;
        let (info, encapsulated) = (bytes(&line["info"])?, bytes(&line["encapsulated"])?);
        let plain = tapvault_seal::sm2::open(&key, &info, &encapsulated, &mut sealed).map_err(say)?;
        return Ok(*plain == bytes(&line["plain"])?);
    }
    let kbpk = match kind {
        "B" => Kbpk::B(fixed(&line["kbpk"])?.into()),
        _ => Kbpk::D(fixed(&line["kbpk"])?.into()),
    };
    let suite = if line["algorithm"] == "A" { Suite::EmvAes } else { Suite::Pboc3Des };
    let block = KeyBlock::parse(line["block"].as_str().ok_or("no block")?.as_bytes()).map_err(say)?;
    let key = block.open(&kbpk, suite).map_err(say)?;
    Ok(*key.expose() == fixed::<16>(&line["key"])?)
}

fn check() -> Result<(), String> {
    let mut counts = BTreeMap::new();
    for line in io::stdin().lock().lines() {
        let line: Value = serde_json::from_str(&line.map_err(say)?).map_err(say)?;
        let kind = line["kind"].as_str().ok_or("no kind")?.to_owned();
        if !open(&line, &kind).map_err(|error| format!("{error}: {line}"))? {
            return Err(format!("something else came out of {line}"));
        }
        *counts.entry(kind).or_insert(0) += 1;
    }
    println!("{counts:?}: ours opens theirs");
    let enough = ["B", "D", "sm2"].iter().all(|kind| counts.get(*kind).is_some_and(|count| *count >= ENOUGH));
    if enough { Ok(()) } else { Err("fewer than 1,000 of a kind".into()) }
}

fn make(count: u32) -> Result<(), String> {
    let mut random = Random::of_environment();
    let mut out = io::stdout().lock();
    for number in 0..count {
        let key = [(); 16].map(|()| random.byte());
        let (b, d) = ([(); 16].map(|()| random.byte()), [(); 32].map(|()| random.byte()));
        let letter = if number % 2 == 0 { 'T' } else { 'A' };
        for (kind, kbpk, letter, shown) in [
            ("B", keyblock::Kbpk::B(b.into()), 'T', hex::encode(b)),
            ("D", keyblock::Kbpk::D(d.into()), letter, hex::encode(d)),
        ] {
            let block = keyblock::wrap(&kbpk, letter, &Key128::new(key)).ok_or("no random numbers")?;
            let line = json!({ "kind": kind, "kbpk": shown, "key": hex::encode(key), "block": block });
            writeln!(out, "{line}").map_err(say)?;
        }
        let mut scalar = d;
        // Below the order of the curve.
        scalar[0] &= 0x7F;
        let secret = tapvault_seal::sm2::key(&scalar).map_err(say)?;
        let public = sm2::elliptic_curve::sec1::ToSec1Point::to_sec1_point(&secret.public_key(), false);
        let public = public.as_bytes().try_into().map_err(say)?;
        let info = [(); 88].map(|()| random.byte());
        let plain: Vec<_> = (0..random.index(2000)).map(|_| random.byte()).collect();
        let (encapsulated, sealed) = sm2_seal::seal(&public, &info, &plain).ok_or("not sealed")?;
        let line = json!({
            "kind": "sm2", "scalar": hex::encode(scalar), "info": hex::encode(info), "plain": hex::encode(plain),
            "encapsulated": hex::encode(encapsulated), "sealed": hex::encode(sealed),
        });
        writeln!(out, "{line}").map_err(say)?;
    }
    Ok(())
}

fn main() -> Result<(), String> {
    match std::env::args().nth(1) {
        Some(count) => make(count.parse().map_err(say)?),
        None => check(),
    }
}
