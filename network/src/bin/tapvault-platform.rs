//! `tapvault-platform`: the lab's service platform. Its key is public; it protects nothing.

#![forbid(unsafe_code)]

use clap::{Parser, Subcommand};
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};
use tapvault_network::{
    input::read,
    lab::LabBank,
    message::message,
    platform::{Answer, LedgerFile, Platform},
    state::{CardRecord, CardStatus, StateFile},
};
use tapvault_proto::{
    freshness::{FreshnessQuestion, IssuedCard, MAX_BOOKED},
    wire::{Wire, decode_exact},
};

/// The lab's service platform: answers a phone after each start of its trusted apps, and grants the tries of its PINs.
/// LAB ONLY: everybody has its key.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example, by hand:
  tapvault-platform init
  tapvault card freshness --json > question.json
  tapvault-platform answer --issuer bank.json question.json > statement.json
  tapvault card freshen statement.json
or by itself whenever a trusted app wants it:
  export TAPVAULT_PLATFORM=\"tapvault-platform answer --issuer $PWD/bank.json --ledger $PWD/platform.json -\"
Exit status: 0 done, 1 refused or not readable, 2 wrong usage."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes an empty ledger, once.
    Init {
        #[command(flatten)]
        ledger: Ledger,
    },
    /// Answers a phone's question and prints the statement (JSON). What it grants is stored before it is printed.
    Answer {
        /// What `tapvault card freshness --json` printed; - is standard input.
        question: PathBuf,
        /// An issuer's memory, for how far its cards' counters have come; may be given more than once. It is read only.
        #[arg(long, value_name = "FILE", required = true)]
        issuer: Vec<PathBuf>,
        #[command(flatten)]
        ledger: Ledger,
    },
    /// Shows the tries that are booked as spent.
    Booked {
        /// Machine-readable.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        ledger: Ledger,
    },
    /// Forgets what is booked of a bank's PIN on one phone: the bank made sure who has it.
    Forgive {
        /// The phone, as `booked` names it: 64 hexadecimal digits.
        #[arg(long, value_name = "HEX64", value_parser = device)]
        device: [u8; 32],
        /// Which lab bank: A to E.
        #[arg(long, value_parser = bank)]
        provider: LabBank,
        #[command(flatten)]
        ledger: Ledger,
    },
}

#[derive(clap::Args)]
struct Ledger {
    /// The platform's memory; `init` makes it.
    #[arg(long, value_name = "FILE", default_value = "platform.json")]
    ledger: PathBuf,
}

#[derive(Deserialize)]
struct Question {
    question: String,
}

fn device(digits: &str) -> Result<[u8; 32], String> {
    let bytes = hex::decode(digits).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| "a phone has 64 hexadecimal digits: see `tapvault-platform booked`".into())
}

fn bank(name: &str) -> Result<LabBank, String> {
    LabBank::by_name(name).ok_or_else(|| "the lab has the banks A to E".into())
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn run(command: Command) -> Result<String, String> {
    match command {
        Command::Answer { question, issuer, ledger } => answer(&question, &issuer, &ledger.ledger),
        Command::Booked { json, ledger } => booked(&ledger.ledger, json),
        Command::Init { ledger } => {
            LedgerFile::create(&ledger.ledger)?;
            Ok(json!({ "ledger": ledger.ledger }).to_string())
        }
        Command::Forgive { device, provider, ledger } => {
            let (file, mut ledger) = LedgerFile::open(&ledger.ledger)?;
            let forgiven = ledger.forgive(Some(device), provider.id());
            file.store(&ledger)?;
            Ok(json!({ "forgiven": forgiven }).to_string())
        }
    }
}

fn answer(question: &Path, issuers: &[PathBuf], ledger: &Path) -> Result<String, String> {
    let question = parse(question)?;
    let mut cards: Vec<CardRecord> = Vec::new();
    for issuer in issuers {
        cards.extend(StateFile::peek(issuer).map_err(text)?);
    }
    let highest = |issued: &IssuedCard| {
        let its = |known: &&CardRecord| {
            (known.card, known.provider.id(), known.key_version)
                == (issued.card.0, issued.provider, issued.key_version)
        };
        let known = cards.iter().find(its).filter(|known| known.status != CardStatus::Deleted);
        known.map(|known| known.highest_atc)
    };
    let (file, ledger) = LedgerFile::open(ledger)?;
    let mut platform = Platform::lab(ledger);
    let Answer { statement, refused } = platform.answer(&question, highest).map_err(text)?;
    // Booked before anybody can use it.
    file.store(&platform.ledger)?;
    if refused.is_some() {
        eprintln!(
            "warning: {MAX_BOOKED} tries of this PIN are booked as spent, no more are granted; \
             once the bank knows who has the phone: tapvault-platform forgive"
        );
    }
    message("statement", &statement)
}

fn parse(path: &Path) -> Result<FreshnessQuestion, String> {
    let malformed = || format!("{}: give what `tapvault card freshness --json` printed", path.display());
    let document: Question =
        serde_json::from_slice(&read(path, 4 * FreshnessQuestion::MAX)?).map_err(|_| malformed())?;
    let bytes = hex::decode(document.question).map_err(|_| malformed())?;
    decode_exact(&bytes).map_err(|_| malformed())
}

fn booked(path: &Path, machine: bool) -> Result<String, String> {
    let (_, ledger) = LedgerFile::open(path)?;
    // One line for each phone and bank, over all runs.
    let mut phones: BTreeMap<([u8; 32], [u8; 16]), u32> = BTreeMap::new();
    for booking in ledger.bookings().iter().filter(|booking| booking.booked() > 0) {
        *phones.entry((booking.device, booking.provider)).or_default() += booking.booked();
    }
    let name =
        |id: [u8; 16]| LabBank::ALL.into_iter().find(|bank| bank.id().0 == id).map_or("?", LabBank::name);
    if machine {
        let phones = phones.into_iter().map(|((device, provider), booked)| {
            json!({ "device": hex::encode(device), "provider": hex::encode(provider), "booked": booked })
        });
        return Ok(serde_json::Value::from_iter(phones).to_string());
    }
    if phones.is_empty() {
        return Ok("no try is booked".into());
    }
    let line = |((device, provider), booked): (([u8; 32], [u8; 16]), u32)| {
        format!("{}  {:<4}  {booked}", hex::encode(device), name(provider))
    };
    let head = format!("{:<64}  {:<4}  BOOKED", "DEVICE", "BANK");
    Ok(std::iter::once(head).chain(phones.into_iter().map(line)).collect::<Vec<_>>().join("\n"))
}
