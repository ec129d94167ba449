//! What a hostile bank costs another: bank A taps and calls its trustlet while bank C attacks.
//!
//! Cost is the victim's own processor time per call, against the same call beside an ordinary process as
//! busy as the attacker; it is counted in instructions, so on one core. How long the victim waits is counted
//! in entries of the attackers, on two cores (`waits`).

use super::{Outcome, Row, card::gpo_request, say};
use crate::{
    lab::{Lab, switch_on},
    raw::thread_time,
    trustlets::{
        bank::{Bank, draft, named},
        modules,
    },
};
use std::{
    io,
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use tapvault::{
    Transport, Wallet,
    optee::{Login, Optee, OpteeChannel},
    transport::call,
    trustlet::Trustlet,
};
use tapvault_proto::{card::TapPrepareRequest, id::CardId, service::Service};

/// Every attack by name.
pub const ATTACKS: [&str; 7] = ["spin", "storm", "trap", "load", "sign", "write", "open"];
/// Calls of a measurement; the median counts.
const CALLS: usize = 200;

/// Bank A's sessions.
pub struct Victim {
    card: CardId,
    wallet: Wallet<Optee>,
    channel: OpteeChannel,
    trustlet: Trustlet<OpteeChannel>,
    // Counters that are reserved.
    taps: u16,
}

impl Victim {
    /// Opens them.
    pub fn new() -> Outcome<Self> {
        let tee = Optee::connect(Login::User).map_err(say)?;
        let mut wallet = crate::lab::wallet(Optee::connect(Login::User).map_err(say)?);
        let card = Lab::new()?.provision(&mut wallet)?;
        let channel = tee.connect(Service::Card).map_err(say)?;
        let trustlet = Bank::lab("A").run(&tee, draft("victim", &[]), &modules::empty())?;
        Ok(Self { card, wallet, channel, trustlet, taps: 0 })
    }

    /// Switches NFC on again before it goes off by count.
    pub fn keep_on(&mut self) -> Outcome<()> {
        switch_on(&mut self.wallet, self.card)
    }

    /// A tap; touches no storage.
    pub fn tap(&mut self) -> Outcome<()> {
        let reply = call(&mut self.channel, &gpo_request(self.card)).map_err(say)?;
        self.taps = self.taps.saturating_sub(1);
        if reply.response.ends_with(&[0x90, 0]) { Ok(()) } else { Err(format!("{:02X?}", reply.response)) }
    }

    /// What comes before a tap; writes to storage.
    pub fn prepare(&mut self) -> Outcome<()> {
        let prepare = TapPrepareRequest { card: self.card, verified: false };
        self.taps = call(&mut self.channel, &prepare).map_err(say)?.taps;
        Ok(())
    }

    /// Reserves counters when there are none left.
    fn ready(&mut self) -> Outcome<()> {
        self.keep_on()?;
        if self.taps == 0 { self.prepare() } else { Ok(()) }
    }

    /// A call of the trustlet, which does nothing.
    pub fn call(&mut self) -> Outcome<()> {
        let reply = self.trustlet.call(b"").map_err(say)?;
        if reply == [7] { Ok(()) } else { Err(format!("{reply:02X?}")) }
    }

    /// Median processor time of a tap and of a trustlet's call.
    fn costs(&mut self) -> Outcome<[u64; 2]> {
        let (mut taps, mut calls) = (Vec::new(), Vec::new());
        for _ in 0..CALLS {
            self.ready()?;
            let start = thread_time();
            self.tap()?;
            let middle = thread_time();
            self.call()?;
            calls.push(thread_time() - middle);
            taps.push(middle - start);
        }
        Ok([taps, calls].map(|mut costs| {
            costs.sort_unstable();
            costs[CALLS / 2]
        }))
    }
}

/// A process of this program that ends when this is dropped: the end of its standard input says so. It is not killed,
/// since Linux does not survive the death of a client for which storage is read or written (docs/security-model.md).
pub struct Other(Child);

impl Other {
    /// Starts it.
    pub fn start(arguments: &[&str]) -> Outcome<Self> {
        let this = std::env::current_exe().map_err(say)?;
        Command::new(this).args(arguments).stdin(Stdio::piped()).spawn().map(Self).map_err(say)
    }

    /// Its thread that calls, by number.
    pub fn thread(&self) -> u32 {
        self.0.id()
    }

    /// Fails when it ended.
    pub fn lives(&mut self) -> Outcome<()> {
        match self.0.try_wait().map_err(say)? {
            None => Ok(()),
            Some(status) => Err(format!("the attacker gave up: {status}")),
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Measures what a call costs under every attack; prints the row.
///
/// # Errors
/// Above all when a call of the victim fails.
pub fn costs() -> Outcome<()> {
    let mut victim = Victim::new()?;
    victim.costs()?;
    let baseline = {
        let _busy = Other::start(&["busy"])?;
        victim.costs()?
    };
    let mut ratio = (0, String::new());
    let each = ATTACKS.iter().map(std::slice::from_ref).chain([ATTACKS.as_slice()]);
    for attacks in each {
        let attack = attacks.join("+");
        let start = |name: &&str| Other::start(&["attack", name]);
        let mut attackers = attacks.iter().map(start).collect::<Outcome<Vec<_>>>()?;
        victim.costs()?;
        let costs = victim.costs()?;
        for ((cost, base), what) in costs.iter().zip(baseline).zip(["tap", "trustlet call"]) {
            let hundredths = cost * 100 / base.max(1);
            ratio = ratio.max((hundredths, format!("{attack}, {what}: {cost} to {base} ns")));
        }
        attackers.iter_mut().try_for_each(Other::lives)?;
        let [tap, call] = costs;
        println!("# {attack}: tap {tap} ns, trustlet call {call} ns, beside a busy process {baseline:?}");
    }
    let note =
        format!("median of {CALLS} calls, worst of {} attacks and all at once: {}", ATTACKS.len(), ratio.1);
    Row("victim_cost_ratio_max", ratio.0, "hundredths", note).print();
    Ok(())
}

/// Whether the process that started this one is done with it.
fn told_to_end() -> &'static AtomicBool {
    static END: OnceLock<AtomicBool> = OnceLock::new();
    END.get_or_init(|| {
        thread::spawn(|| {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            told_to_end().store(true, Ordering::Relaxed);
        });
        AtomicBool::new(false)
    })
}

/// An ordinary process that is busy.
pub fn busy() {
    let (mut value, end) = (1_u64, told_to_end());
    while !end.load(Ordering::Relaxed) {
        for _ in 0..1000 {
            value = std::hint::black_box(value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}

/// Bank C's part.
///
/// # Errors
/// For an attack that does not come about.
pub fn attack(name: &str) -> Outcome<()> {
    let (tee, bank) = (Optee::connect(Login::User).map_err(say)?, Bank::lab("C"));
    let all = [Service::Random, Service::Card, Service::Store];
    let module = match name {
        "spin" => modules::spin(),
        "storm" => modules::storm(),
        "trap" => modules::handler("unreachable", ""),
        "load" | "open" => modules::empty(),
        "sign" => modules::caller(3, 0x0301, b"\x00\x01p\x01"),
        "write" => modules::write(),
        _ => return Err(format!("no attack {name}; there are {ATTACKS:?}")),
    };
    let mut wanted = draft(name, &all);
    (wanted.store, wanted.fuel) = (100, u64::from(u32::MAX));
    // All attacks at once share the quota that installing takes from.
    let mut installed = bank.install(&tee, wanted.clone(), &module);
    for _ in 0..1000 {
        if installed.is_ok() {
            break;
        }
        installed = bank.install(&tee, wanted.clone(), &module);
    }
    installed?;
    let end = told_to_end();
    let goes_on = || !end.load(Ordering::Relaxed);
    while goes_on() {
        // Refusals are what a quota is for; the attack goes on.
        let Ok(tvm) = bank.connect(&tee) else { continue };
        if name == "open" {
            continue;
        }
        let Ok(mut trustlet) = tvm.open(&named(name), &module) else { continue };
        match name {
            "load" => {}
            "spin" | "storm" => {
                let _ = trustlet.begin(b"");
                while goes_on() && trustlet.resume(None).is_ok() {}
            }
            _ => while goes_on() && trustlet.call(b"").is_ok() {},
        }
    }
    Ok(())
}
