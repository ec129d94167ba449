//! Prints random transactions in every suite, a JSON object a line, for `tools/oracles`.

use std::io::{self, Write};
use tapvault_device_tests::{
    cases::{case, paths},
    random::Random,
};
use tapvault_network::kind::Named;

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(1000);
    let seed = std::env::var("TAPVAULT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut random = Random::new(seed);
    for path in paths() {
        for _ in 0..count {
            let case = case(&mut random, path);
            writeln!(
                out,
                "{}",
                serde_json::json!({
                    "suite": case.suite.name(), "cvn": case.cvn.name(), "derivation": case.derivation.name(),
                    "imk": hex::encode(case.imk), "pan": case.pan, "psn": format!("{:02x}", case.psn),
                    "atc": format!("{:04x}", case.atc), "covered": hex::encode(&case.covered),
                    "udk": hex::encode(case.udk), "ac": hex::encode(case.ac), "arc": hex::encode(case.arc),
                    "arpc": hex::encode(case.arpc), "status": hex::encode(&case.status),
                    "arpc_with_status": hex::encode(case.arpc_with_status), "pin": case.pins.0,
                    "current": case.pins.1, "script": hex::encode(&case.script),
                    "change": hex::encode(&case.change),
                })
            )?;
        }
    }
    Ok(())
}
