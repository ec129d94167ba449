//! PIN blocks for `tools/oracles`, a JSON object a line: those that the phone's code forms, with the keys that it
//! derives from a base key. With theirs on standard input, says whether the bank's code reads them.

use std::io::{self, BufRead, Write};
use tapvault_device_tests::random::Random;
use tapvault_network::hsm;
use tapvault_pinblock::{
    block::{RANDOM_LEN, Token, form},
    dukpt::{Dukpt, initial_key},
};
use tapvault_proto::{bank_pin::PinBlockFormat, pin::Pin, profile::Key128};

/// Blocks of one initial key.
const BLOCKS: usize = 100;

fn name(format: PinBlockFormat) -> &'static str {
    match format {
        PinBlockFormat::Iso0 => "iso0",
        PinBlockFormat::Iso3 => "iso3",
        PinBlockFormat::Iso4 => "iso4",
        PinBlockFormat::Sm4Layout4 => "sm4",
    }
}

fn bytes<const N: usize>(random: &mut Random) -> [u8; N] {
    [(); N].map(|()| random.byte())
}

/// So many digits: at least the first number, at most the second.
fn digits(random: &mut Random, least: usize, most: usize) -> String {
    let len = least + usize::from(random.byte()) % (most - least + 1);
    (0..len).map(|_| char::from(b'0' + random.byte() % 10)).collect()
}

fn make(count: usize) -> io::Result<()> {
    let (mut out, mut random) = (io::stdout().lock(), Random::of_environment());
    for format in PinBlockFormat::ALL {
        let mut dukpt = None;
        let (mut base, mut identifier) = ([0; 16], [0; 8]);
        for number in 0..count {
            if number % BLOCKS == 0 {
                (base, identifier) = (bytes(&mut random), bytes(&mut random));
                dukpt = Some(Dukpt::load(identifier, &initial_key(&base, identifier)));
            }
            let (pin, token) = (digits(&mut random, 4, 12), digits(&mut random, 13, 19));
            let taken = dukpt.as_mut().and_then(|dukpt| dukpt.take(format));
            let (counter, key) = taken.ok_or(io::ErrorKind::UnexpectedEof)?;
            let typed = Pin::from_ascii(pin.as_bytes()).map_err(io::Error::other)?;
            let named = Token::new(token.as_bytes()).ok_or(io::ErrorKind::InvalidData)?;
            let block = form(&typed, &named, &key, &mut bytes::<RANDOM_LEN>(&mut random));
            writeln!(
                out,
                "{}",
                serde_json::json!({
                    "format": name(format), "pin": pin, "token": token, "base": hex::encode(base),
                    "identifier": hex::encode(identifier), "counter": counter, "key": hex::encode(key.expose()),
                    "block": hex::encode(&block),
                })
            )?;
        }
    }
    Ok(())
}

/// Whether the bank's code reads their PIN out of a block.
fn is_read(case: &serde_json::Value) -> Option<bool> {
    let of = |field: &str| case[field].as_str();
    let format = PinBlockFormat::ALL.into_iter().find(|format| Some(name(*format)) == of("format"))?;
    let key = Key128::new(hex::decode(of("key")?).ok()?.try_into().ok()?);
    let read = hsm::block::read(format, &key, of("token")?, &hex::decode(of("block")?).ok()?)?;
    Some(read.iter().map(|digit| char::from(b'0' + digit)).collect::<String>() == of("pin")?)
}

fn main() -> io::Result<()> {
    if let Some(count) = std::env::args().nth(1) {
        return make(count.parse().map_err(io::Error::other)?);
    }
    let mut checked = 0;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let case = serde_json::from_str(&line)?;
        if is_read(&case) != Some(true) {
            return Err(io::Error::other(format!("a block of theirs is not read as it should be: {line}")));
        }
        checked += 1;
    }
    println!("{checked} PIN blocks of theirs: read by ours");
    if checked < 4000 { Err(io::Error::other("fewer than 1,000 of a format")) } else { Ok(()) }
}
