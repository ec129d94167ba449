//! Puts a phone's cards into the virtual reader at the address given, again and again until the reader is gone: for
//! readers by others (`tools/readers`). The phone is simulated: it protects nothing.

use std::{net::SocketAddr, time::Duration};
use tapvault_device_tests::lab::{Lab, say};
use tapvault_network::oda::OdaKind;
use tapvault_proto::profile::Product;

#[path = "../tests/common/mod.rs"]
mod common;

/// How long a reader may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> Result<(), String> {
    let address: SocketAddr =
        std::env::args().nth(1).ok_or("give the reader's address")?.parse().map_err(say)?;
    let (phone, mut lab) = (common::Phone::new(), Lab::new()?);
    let mut wallet = phone.wallet();
    lab.kind.oda = OdaKind::Rsa1024;
    let debit = lab.provision(&mut wallet)?;
    lab.kind.oda = OdaKind::Sm2;
    lab.kind.product = Product::Credit;
    let credit = lab.provision(&mut wallet)?;
    let started = std::time::Instant::now();
    loop {
        let mut tap = wallet.prepare_taps(&[debit, credit], None).map_err(say)?;
        match tapvault::reader::present(&mut tap, address) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                if started.elapsed() > PATIENCE {
                    return Ok(());
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(error) => return Err(say(error)),
        }
    }
}
