//! Secure RAM, as OP-TEE's stats PTA counts it.

use crate::{
    Outcome, ensure,
    lab::{self, Lab, PIN, say},
    raw::{As, Client, METHOD_SHAPE, OPEN_SHAPE},
    trustlets::{
        bank::{Bank, draft},
        modules,
    },
};
use tapvault::optee::{Login, Optee};
use tapvault_proto::{
    limited::{MAX_BATCH, MAX_HELD},
    service::Service,
};

/// `PTA_STATS_UUID`, and its command for the allocation pools.
const STATS: [u8; 16] = *b"\xd9\x6a\x5b\x40\xe2\xc7\xb1\xaf\x87\x94\x10\x02\xa5\xd5\xc6\x1b";
const ALLOC_STATS: u32 = 1;

/// Prints what each trusted app adds to the secure RAM in use: loads them one after the other, callees
/// first, in a machine where none is loaded.
///
/// # Errors
/// What failed.
pub fn run() -> Outcome<()> {
    let mut before = in_use()?;
    for service in [Service::Supervisor, Service::Pin, Service::Card] {
        // Refused here (this user is in no policy yet); a keep-alive trusted app stays all the same.
        let refused = Client::new(As::User).open_service(service).is_err();
        let after = in_use()?;
        let grown = after.checked_sub(before).filter(|bytes| *bytes > 0);
        let bytes = grown.ok_or_else(|| format!("{service:?} did not load (refused: {refused})"))?;
        println!(
            "{{\"name\":\"ta_ram_{}\",\"value\":{bytes},\"unit\":\"bytes\",\"note\":\"growth of the stats PTA's pool for trusted apps when it loads\"}}",
            service.name()
        );
        before = after;
    }
    Ok(())
}

/// Cards that `card_ram_10` is of.
const CARDS: usize = 10;

/// Prints what ten cards add to the secure RAM in use, as the wallet, in a machine whose card trusted app holds none:
/// each has all the limited-use keys that there is room for, which is the most that a card can take.
///
/// # Errors
/// What failed.
pub fn cards() -> Outcome<()> {
    let mut wallet = crate::lab::wallet(Optee::connect(Login::User).map_err(say)?);
    let mut lab = Lab::new()?;
    lab.rules.limited_use = Some(1);
    // What is not the cards': both trusted apps with a session each, and the PIN.
    ensure(wallet.status().map_err(say)?.cards == 0, || "there are cards already".into())?;
    lab.set_pin(&mut wallet, PIN)?;
    lab.set_time(&mut wallet)?;
    let (empty, most_before) = pool()?;
    let mut cards = Vec::new();
    for _ in 0..CARDS {
        let card = lab.provision(&mut wallet)?;
        for count in [MAX_BATCH, MAX_HELD - MAX_BATCH] {
            let count = u16::try_from(count).map_err(say)?;
            let batch = lab.key_batch(&mut wallet, card, count, lab::TIME + 86_400)?;
            wallet.replenish(&batch).map_err(say)?;
        }
        cards.push(card);
    }
    for card in &cards {
        let (_, decision) = lab::pay(&mut lab, &mut wallet, *card, (100, false, false))?;
        ensure(decision.is_approved(), || format!("{card}: {decision}"))?;
    }
    let (loaded, most) = pool()?;
    // The pool's peak since the machine started: above that of before, it is of what the cards took in passing.
    let peak = if most > most_before { most } else { loaded };
    println!(
        "{{\"name\":\"card_ram_10\",\"value\":{},\"unit\":\"bytes\",\"note\":\"growth of the pool from no card to {CARDS} with {MAX_HELD} limited-use keys each, {} while they came in; the heap they lie on is in ta_ram_card\"}}",
        loaded.saturating_sub(empty),
        peak.saturating_sub(empty)
    );
    Ok(())
}

/// Opens as many TVMs as there are, each with a guest of 256 KiB, beside the native trusted apps.
///
/// # Errors
/// What failed.
pub fn tvms() -> Outcome<()> {
    let mut before = in_use()?;
    let tee = Optee::connect(Login::User).map_err(say)?;
    let module = modules::compile(
        "(module (memory (export \"memory\") 4 4)
            (func (export \"trustlet_buffer\") (result i32) i32.const 0)
            (func (export \"trustlet_handle\") (param i32) (result i32) (i32.store8 (i32.const 0) (i32.const 7)) i32.const 1))",
    );
    let (mut open, mut image, mut guest) = (Vec::new(), 0, 0);
    for letter in ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"] {
        let bank = Bank::lab(letter);
        // The first session loads the TVM.
        let Ok(first) = bank.connect(&tee) else { break };
        let loaded = in_use()?;
        let mut wanted = draft("ram", &[]);
        wanted.pages = 4;
        let Ok(mut trustlet) = bank.run(&tee, wanted, &module) else { break };
        trustlet.call(b"").map_err(say)?;
        let running = in_use()?;
        (image, guest) = (loaded - before, running - loaded);
        before = running;
        open.push((first, trustlet));
    }
    // Every one of them still answers, and so do the card's sessions.
    for (_, trustlet) in &mut open {
        trustlet.call(b"").map_err(say)?;
    }
    println!(
        "{{\"name\":\"tvm_open_max\",\"value\":{},\"unit\":\"count\",\"note\":\"of 10 in the policy, each with a running guest of 256 KiB, beside card, PIN and supervisor\"}}",
        open.len()
    );
    println!(
        "{{\"name\":\"tvm_ram\",\"value\":{},\"unit\":\"bytes\",\"note\":\"{image} for the image with stack, heap and buffers, {guest} for the guest\"}}",
        image + guest
    );
    Ok(())
}

/// Bytes of secure RAM that trusted apps hold.
pub fn in_use() -> Outcome<u64> {
    pool().map(|(now, _)| now)
}

/// Bytes of secure RAM that trusted apps hold, and the most that they held since the start.
fn pool() -> Outcome<(u64, u64)> {
    const VALUE_INPUT: u32 = 1;
    const RECORD: usize = 56;
    let mut client = Client::new(As::User);
    client.value = (0, 0);
    let mut session = client.open(STATS, OPEN_SHAPE).map_err(|code| format!("stats PTA: {code:X?}"))?;
    let types = [VALUE_INPUT, METHOD_SHAPE[1], OPEN_SHAPE[0], OPEN_SHAPE[0]];
    let len = session.invoke(ALLOC_STATS, types, &[], 4096).map_err(|code| format!("stats: {code:X?}"))?;
    let reply = session.reply(len);
    for record in reply.chunks_exact(RECORD) {
        let name: String =
            record[..32].iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
        if name.contains("TA memory") || name.contains("TA RAM") || name.contains("TA_RAM") {
            let number =
                |at: usize| u64::from(u32::from_le_bytes([0, 1, 2, 3].map(|next| record[at + next])));
            return Ok((number(32), number(36)));
        }
    }
    Err(format!("no pool for trusted apps in {}", String::from_utf8_lossy(&reply)))
}
