//! Ciphers under valgrind, key and text marked as undefined: memcheck then reports every branch and every address
//! that depends on them (`tools/constant-time`). `table` runs the crates `des` and `sm4`, which look tables up.

mod memcheck;

use des::cipher::{BlockCipherEncrypt, KeyInit};
use memcheck::{is_watched, published, secret};
use std::process::ExitCode;
use tapvault_cipher::{Des, Sm4, Tdes, retail_mac, sm4_mac};

fn ours() {
    for backwards in [false, true] {
        let (des, tdes, sm4) = (Des::new(&secret(1)), Tdes::new(&secret(2)), Sm4::new(&secret(3)));
        let (mut single, mut triple, mut wide) = (secret(4), secret(5), secret(6));
        if backwards {
            des.decrypt(&mut single);
            tdes.decrypt(&mut triple);
            sm4.decrypt(&mut wide);
        } else {
            des.encrypt(&mut single);
            tdes.encrypt(&mut triple);
            sm4.encrypt(&mut wide);
        }
        [&single[..], &triple, &wide].into_iter().for_each(published);
    }
    published(&retail_mac(&secret(7), &secret::<37>(8)));
    published(&sm4_mac(&secret(9), &secret::<37>(10)));
}

fn table(name: &str) {
    if name == "des" {
        let mut block = secret::<8>(1).into();
        des::Des::new(&secret::<8>(2).into()).encrypt_block(&mut block);
        published(&block.0);
    } else {
        let mut block = secret::<16>(1).into();
        sm4::Sm4::new(&secret::<16>(2).into()).encrypt_block(&mut block);
        published(&block.0);
    }
}

fn main() -> ExitCode {
    if !is_watched() {
        eprintln!("error: run this with tools/constant-time");
        return ExitCode::FAILURE;
    }
    match std::env::args().nth(1).as_deref() {
        Some("ours") => ours(),
        Some("des") => table("des"),
        Some("sm4") => table("sm4"),
        other => {
            eprintln!("error: ours, des or sm4, not {other:?}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
