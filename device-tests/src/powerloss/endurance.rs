//! A thousand taps of ten cards of five banks on one store, with power cuts and damaged files in between. Every other
//! card holds limited-use keys, and its bank sends more when they run low.
//!
//! As root: what is done to the store's files between two boots. As the wallet: the taps. What must hold: no counter
//! and no limited-use key serves twice, whatever was cut; a card whose file was harmed is named as damaged and no other
//! is lost; its bank puts it back.

use super::{Device, Journal, arm};
use crate::{
    Outcome, ensure,
    lab::{self, Lab, say},
    random::Random,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    process::Command,
};
use tapvault::{
    Wallet,
    optee::{Login, Optee},
};
use tapvault_network::{bank::Provider, issuer::Issuer, lab::LabBank};
use tapvault_proto::{
    Error,
    bank_pin::BankPinPrepareRequest,
    card::{CardEntry, CardState},
    id::CardId,
    limited::MAX_BATCH,
};

/// Taps in all, and power cuts among them.
const TAPS: u32 = 1_000;
const CUTS: u32 = 20;
const CARDS: u8 = 10;
/// Between two cuts.
const TAPS_OF_A_BOOT: u32 = TAPS / CUTS;
/// A change of the store that a tap of the next ones makes.
const LAST_CUT: u32 = 12;
/// Every cryptogram: card, key version, counter. On the host, which does not lose power.
const USED: &str = "/work/used";
const STORE: &str = "/var/lib/tee";
/// A file as it was some updates ago.
const OLD: &str = "/work/old";

/// What is done to a card's file, one after the other.
const HARMS: [&str; 5] = ["missing", "truncated", "corrupted", "another card's", "old"];

/// With so many keys left, a card with limited-use keys is sent more.
const THRESHOLD: u8 = 4;
/// Life of a batch in seconds: every boot begins at [`lab::TIME`], and ends before.
const LIFE: u64 = 86_400;

fn card(number: u8) -> CardId {
    CardId([number + 1; 16])
}

/// Whether a card holds limited-use keys. Its object is replaced as a whole at every change, and its file has another
/// name then: so only files of the others are harmed.
const fn is_limited(number: u8) -> bool {
    number.is_multiple_of(2)
}

/// Before the boot service reads the store, as root: harms the file that was chosen at the last boot.
///
/// # Errors
/// The file system's.
pub fn harm() -> Outcome<()> {
    let journal = Journal::load()?;
    match journal.get("harm") {
        Ok(harm) if !harm.is_empty() => hurt(harm, journal.get("file")?, journal.get("other")?),
        _ => Ok(()),
    }
}

/// One boot, as root: lets the wallet tap, chooses what to harm before the next boot, and has the power go.
///
/// # Errors
/// The first invariant that does not hold.
pub fn boot() -> Outcome<()> {
    wallet("taps")?;
    let mut journal = Journal::load()?;
    let (cuts, harms) = (journal.number("cuts")?, journal.number("harms")?);
    if journal.number("taps")? >= TAPS && cuts >= CUTS {
        let (batches, single) = (journal.number("batches")?, journal.number("single")?);
        println!(
            "{TAPS} taps and more of {CARDS} cards of {} banks, {cuts} power cuts, {harms} files harmed: no counter twice, \
             no card lost; {single} taps with limited-use keys of {batches} batches: no key twice",
            LabBank::ALL.len()
        );
        ensure(batches > 2 * u32::from(CARDS) && single > TAPS / 4, || "too few limited-use keys".into())?;
        return ensure(harms as usize == HARMS.len(), || "not every harm was done".into());
    }
    // At every other boot, so that cuts are met alone as well.
    if let Some(harm) = HARMS.get(harms as usize).filter(|_| cuts % 2 == 1) {
        let number = u8::try_from(cuts).map_err(say)? % CARDS;
        // The next whose file keeps its name.
        let (other, _) = file_of((number + 2) % CARDS)?;
        let (file, old) = file_of(number)?;
        fs::write(OLD, old).map_err(say)?;
        let facts =
            [("harm", (*harm).into()), ("harmed", number.to_string()), ("file", file), ("other", other)];
        journal.set(&facts)?;
    }
    wallet("cut")?;
    Err("the power never went".into())
}

fn wallet(argument: &str) -> Outcome<()> {
    let command = format!("exec guest-tests endurance {argument}");
    let status = Command::new("su").args(["-s", "/bin/sh", "wallet", "-c", &command]).status();
    ensure(status.map_err(say)?.success(), || format!("{argument} failed"))
}

/// Does it to the file of one card; `other` is another card's.
fn hurt(harm: &str, file: &str, other: &str) -> Outcome<()> {
    let path = |name: &str| Path::new(STORE).join(name);
    let (file, other) = (path(file), path(other));
    let mut bytes = fs::read(&file).map_err(say)?;
    match harm {
        "missing" => return fs::remove_file(&file).map_err(say),
        "truncated" => bytes.truncate(bytes.len() / 2),
        "corrupted" => bytes.iter_mut().skip(4_096).step_by(64).for_each(|byte| *byte ^= 1),
        "another card's" => bytes = fs::read(&other).map_err(say)?,
        "old" => bytes = fs::read(OLD).map_err(say)?,
        _ => return Err(format!("no harm {harm}")),
    }
    fs::write(&file, bytes).map_err(say)
}

/// Every file of the store, by name.
pub fn files() -> Outcome<BTreeMap<String, Vec<u8>>> {
    let entries = fs::read_dir(STORE).map_err(say)?.flatten().filter(|entry| entry.path().is_file());
    let named = entries.filter_map(|entry| entry.file_name().into_string().ok());
    named.map(|name| Ok((name.clone(), fs::read(Path::new(STORE).join(name)).map_err(say)?))).collect()
}

/// The file that a card's object lies in: the one, beside the directory, that changes when the card's use is stored.
fn file_of(number: u8) -> Outcome<(String, Vec<u8>)> {
    let before = files()?;
    wallet(&format!("touch {number}"))?;
    let after = files()?;
    let changed =
        |(name, bytes): &(&String, &Vec<u8>)| name.as_str() != "dirf.db" && before.get(*name) != Some(*bytes);
    let mut changed = after.iter().filter(changed);
    match (changed.next(), changed.next()) {
        (Some((name, _)), None) => Ok((name.clone(), before.get(name).cloned().unwrap_or_default())),
        (one, two) => {
            Err(format!("card {number} lies in {:?} and {:?}", one.map(|of| of.0), two.map(|of| of.0)))
        }
    }
}

/// What the wallet remembers of one phone.
struct Phone {
    journal: Journal,
    wallet: Device,
    banks: Vec<Lab>,
    used: BTreeSet<String>,
    /// Banks that have said what time it is since the start.
    timed: BTreeSet<usize>,
}

impl Phone {
    fn new() -> Outcome<Self> {
        let bank = |bank: LabBank| -> Outcome<Lab> {
            let file = format!("/work/bank-{}.json", bank.name());
            Ok(Lab {
                issuer: Issuer::open_or_create(Path::new(&file)).map_err(say)?,
                provider: Provider::new(bank).map_err(say)?,
                ..Lab::new()?
            })
        };
        let used = fs::read_to_string(USED).unwrap_or_default();
        Ok(Self {
            journal: Journal::load()?,
            wallet: lab::wallet(Optee::connect(Login::User).map_err(say)?),
            banks: LabBank::ALL.into_iter().map(bank).collect::<Outcome<_>>()?,
            used: used.lines().map(str::to_owned).collect(),
            timed: BTreeSet::new(),
        })
    }

    fn issue(&mut self, number: u8) -> Outcome<()> {
        let Self { wallet, banks, .. } = self;
        let at = usize::from(number) % banks.len();
        banks[at].rules.limited_use = is_limited(number).then_some(THRESHOLD);
        banks[at].issue(wallet, card(number))
    }

    /// Sends a card with limited-use keys a batch when they run low.
    fn provide(&mut self, number: u8) -> Outcome<()> {
        let Self { wallet, banks, timed, journal, .. } = self;
        let at = usize::from(number) % banks.len();
        if timed.insert(at) {
            banks[at].set_time(wallet)?;
        }
        if !wallet.keys_left(card(number)).map_err(say)?.is_low() {
            return Ok(());
        }
        let count = u16::try_from(MAX_BATCH).map_err(say)?;
        let batch = banks[at].key_batch(wallet, card(number), count, lab::TIME + LIFE)?;
        wallet.replenish(&batch).map_err(say)?;
        journal.count("batches")
    }

    /// One payment; its counter must be new, and with it a limited-use key, and the issuer must think so too.
    fn tap(&mut self, number: u8) -> Outcome<()> {
        if is_limited(number) {
            self.provide(number)?;
            self.journal.count("single")?;
        }
        let Self { wallet, banks, used, .. } = self;
        let bank = &mut banks[usize::from(number) % LabBank::ALL.len()];
        let response = lab::tap(wallet, card(number), false, &lab::gpo_command(100, false))?;
        let request = lab::request(100, false, &response)?;
        let (keys, counter) = (request.issuer_data[1], u16::from_be_bytes(request.atc));
        let line = format!("{} {keys} {counter}", card(number));
        // The issuer approves below: the key that signed was this counter's, and no other.
        let what = if is_limited(number) { "a limited-use key" } else { "a counter" };
        ensure(used.insert(line.clone()), || format!("{what} twice: {line}"))?;
        let mut file = OpenOptions::new().create(true).append(true).open(USED).map_err(say)?;
        writeln!(file, "{line}").and_then(|()| file.sync_all()).map_err(say)?;
        let decision = bank.issuer.authorise(&request);
        ensure(decision.is_approved(), || format!("{line}: {decision}"))
    }

    /// Whatever storage holds after this start, no card pays before the service platform has spoken.
    fn waits_for_the_platform(&mut self) -> Outcome<()> {
        let mut alone = Wallet::new(Optee::connect(Login::User).map_err(say)?);
        for entry in self.wallet.cards().map_err(say)? {
            if entry.state != CardState::Active {
                continue;
            }
            let answer = alone.call(&BankPinPrepareRequest { card: entry.card });
            let refusal = answer.as_ref().err().and_then(tapvault::ClientError::refusal);
            ensure(refusal == Some(Error::NotFresh), || format!("{}: {answer:?}", entry.card))?;
        }
        Ok(())
    }

    /// Every card but `harmed` is there; that one's place is named as damaged, and its bank puts it back.
    fn check(&mut self, harmed: Option<u8>) -> Outcome<()> {
        let places = self.wallet.cards().map_err(say)?;
        for number in (0..CARDS).filter(|number| Some(*number) != harmed) {
            let whole = |entry: &CardEntry| entry.card == card(number) && entry.state == CardState::Active;
            ensure(places.iter().any(whole), || format!("card {number} is lost: {places:?}"))?;
        }
        let damaged = places.iter().filter(|entry| entry.state == CardState::Damaged).count();
        let before = self.journal.number("damaged").unwrap_or(0) as usize;
        let Some(number) = harmed else {
            return ensure(damaged == before, || format!("{damaged} damaged places, not {before}"));
        };
        ensure(damaged == before + 1, || format!("card {number} is not named: {places:?}"))?;
        ensure(places.iter().all(|entry| entry.card != card(number)), || format!("card {number} lives"))?;
        self.issue(number)?;
        let harms = self.journal.number("harms").unwrap_or(0) + 1;
        self.journal.set(&[
            ("harm", String::new()),
            ("harms", harms.to_string()),
            ("damaged", damaged.to_string()),
        ])
    }
}

/// One boot's taps, as the wallet, until the power goes.
///
/// # Errors
/// The first invariant that does not hold.
pub fn taps() -> Outcome<()> {
    let mut phone = Phone::new()?;
    if phone.journal.get("taps").is_err() {
        (0..CARDS).try_for_each(|number| phone.issue(number))?;
        for number in 0..CARDS {
            lab::switch_on(&mut phone.wallet, card(number))?;
        }
        phone.journal.set(&[("taps", "0".into()), ("cuts", "0".into()), ("harms", "0".into())])?;
    } else {
        phone.waits_for_the_platform()?;
        let harmed = (!phone.journal.get("harm").unwrap_or_default().is_empty())
            .then(|| phone.journal.number("harmed"))
            .transpose()?;
        phone.check(harmed.and_then(|number| u8::try_from(number).ok()))?;
        let cuts = phone.journal.number("cuts")? + 1;
        phone.journal.set(&[("cuts", cuts.to_string())])?;
    }
    let (mut taps, cuts) = (phone.journal.number("taps")?, phone.journal.number("cuts")?);
    // Different at every boot, the same at every run.
    let mut random = Random::new(u64::from(cuts));
    for _ in 0..TAPS_OF_A_BOOT {
        phone.tap(random.byte() % CARDS)?;
        taps += 1;
    }
    phone.journal.set(&[("taps", taps.to_string())])?;
    (0..CARDS).try_for_each(|number| phone.tap(number))
}

/// Taps until the power goes.
///
/// # Errors
/// The first invariant that does not hold.
pub fn cut() -> Outcome<()> {
    let mut phone = Phone::new()?;
    let mut random = Random::new(u64::from(phone.journal.number("cuts")?) + 1_000);
    arm(&format!("cut {}", random.word(LAST_CUT) + 1))?;
    for _ in 0..u32::from(CARDS) * LAST_CUT {
        phone.tap(random.byte() % CARDS)?;
    }
    Ok(())
}

/// Stores a card's use, and nothing else.
///
/// # Errors
/// The card's.
pub fn touch(number: u8) -> Outcome<()> {
    let mut phone = Phone::new()?;
    phone.tap(number)?;
    phone.wallet.prepare_tap(card(number), false).map(|_| ()).map_err(say)
}
