//! Puts a phone's cards into the virtual reader at the address given, again and again until the reader is gone: for
//! readers by others (`tools/readers`). With `contact` behind the address, a contact test profile. As `answer ATC
//! CRYPTOGRAM` it is that profile's issuer and prints its approval, tags 8A and 91. The phone is simulated: it protects
//! nothing.

use std::{io, net::SocketAddr, time::Duration};
use tapvault_device_tests::{
    contact,
    lab::{self, Lab, say},
};
use tapvault_network::{contact::ContactRules, oda::OdaKind};
use tapvault_proto::profile::Product;

#[path = "../tests/common/mod.rs"]
mod common;

/// How long a reader may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["answer", atc, cryptogram] => answer(atc, cryptogram),
        [address] => phone(address.parse().map_err(say)?),
        [address, "contact"] => test_profile(address.parse().map_err(say)?),
        _ => Err("give the reader's address".into()),
    }
}

fn answer(atc: &str, cryptogram: &str) -> Result<(), String> {
    let test = contact::test_card(&Lab::new()?, ContactRules::default());
    let cryptogram = hex::decode(cryptogram).map_err(say)?;
    let cryptogram = cryptogram[..].try_into().map_err(say)?;
    let answer = test.answer(u16::from_str_radix(atc, 16).map_err(say)?, &cryptogram, *b"00");
    println!("8A023030910A{}", hex::encode_upper(answer));
    Ok(())
}

fn phone(address: SocketAddr) -> Result<(), String> {
    let (phone, mut lab) = (common::Phone::new(), Lab::new()?);
    let mut wallet = phone.wallet();
    lab.kind.oda = OdaKind::Rsa1024;
    let debit = lab.provision(&mut wallet)?;
    lab.kind.oda = OdaKind::Sm2;
    lab.kind.product = Product::Credit;
    let credit = lab.provision(&mut wallet)?;
    lab::switch_on(&mut wallet, debit)?;
    present(|| {
        let mut tap = wallet.prepare_taps(&[debit, credit], None).map_err(io::Error::other)?;
        tapvault::reader::present(&mut tap, address)
    })
}

fn test_profile(address: SocketAddr) -> Result<(), String> {
    let (phone, lab) = (common::Phone::new(), Lab::new()?);
    let mut wallet = phone.wallet();
    let mut test = contact::test_card(&lab, ContactRules::default());
    let id = contact::provision(&lab, &mut wallet, &mut test)?;
    present(|| {
        let mut card = wallet.insert_card(id).map_err(io::Error::other)?;
        tapvault::reader::present(&mut card, address)
    })
}

/// Presents something again and again, until the reader is gone.
fn present(mut once: impl FnMut() -> io::Result<u32>) -> Result<(), String> {
    let started = std::time::Instant::now();
    loop {
        match once() {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                if started.elapsed() > PATIENCE {
                    return Ok(());
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(error) => return Err(say(error)),
        }
    }
}
