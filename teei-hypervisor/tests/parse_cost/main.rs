//! exploration
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod families;
mod heap;
use families::FAMILIES;
use heap::{Cost, measure};
use teei_hypervisor::{manifest::Limits, tvm::guest::Guest};

const PAGES: u8 = 13;

#[test]
fn explore() {
    let limits = Limits { pages: PAGES, stack: 1024, depth: 1, fuel: 100_000 };
    let body: usize = std::env::var("BODY").ok().and_then(|b| b.parse().ok()).unwrap_or(16384);
    let held_factor: f64 = std::env::var("HELD").ok().and_then(|b| b.parse().ok()).unwrap_or(10.0);
    let mut refused = Vec::new();
    let mut worst = (0.0, "", 0);
    for family in FAMILIES {
        let mut line = format!("{:40}", family.name);
        let (mut most, mut at, mut base) = (0.0, 0, 0.0f64);
        for step in 0..52 {
            let size = (1000.0 * 2f64.powf(step as f64 / 8.0)) as usize;
            if size > 65536 {
                break;
            }
            let Some(module) = family.module(size, body) else { continue };
            let (guest, cost) =
                measure((PAGES as usize) << 16, Cost::default(), || Guest::load(&module, &limits));
            if guest.is_err() {
                refused.push((family.name, module.len()));
                continue;
            }
            let (_, after) = measure((PAGES as usize) << 16, cost, || drop(guest));
            let _ = after;
            let size = module.len() as f64;
            if size < 1200.0 {
                base = base.max(cost.peak as f64);
            }
            let need = (cost.peak as f64 - 12000.0 - held_factor * size) / size.min(body as f64);
            if need > most {
                most = need;
                at = module.len();
            }
        }
        line += &format!("base {base:6} temp {most:5.1} at {at}");
        if most > worst.0 {
            worst = (most, family.name, at)
        }
        println!("{line}");
    }
    println!("{refused:?}");
    println!("{worst:?}");
}
