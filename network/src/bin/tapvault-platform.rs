//! `tapvault-platform`: the lab's service platform. Its key is public; it protects nothing.

#![forbid(unsafe_code)]

use clap::{Parser, Subcommand};
use serde::Deserialize;
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};
use tapvault_network::{
    input::read,
    lab::LabBank,
    platform::{Answer, LedgerFile, Platform},
    state::{CardRecord, StateFile},
};
use tapvault_proto::{
    freshness::{FreshnessQuestion, MAX_BOOKED},
    id::CardId,
    wire::{Wire, decode_exact, encode_into},
};

/// The lab's service platform: answers a phone after each start of its trusted apps, and grants the tries of its PINs.
/// LAB ONLY: everybody has its key.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example, by hand:
  tapvault card freshness --json > question.json
  tapvault-platform answer --issuer bank.json question.json > statement.json
  tapvault card freshen statement.json
or by itself whenever a trusted app wants it:
  export TAPVAULT_PLATFORM='tapvault-platform answer --issuer bank.json -'
Exit status: 0 done, 1 refused or not readable, 2 wrong usage."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
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
    /// Forgets what is booked of a bank's PIN: the bank made sure who has the phone.
    Forgive {
        /// Which lab bank: A to E.
        #[arg(long, value_parser = bank)]
        provider: LabBank,
        #[command(flatten)]
        ledger: Ledger,
    },
}

#[derive(clap::Args)]
struct Ledger {
    /// The platform's memory; made when missing.
    #[arg(long, value_name = "FILE", default_value = "platform.json")]
    ledger: PathBuf,
}

#[derive(Deserialize)]
struct Question {
    question: String,
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
        Command::Forgive { provider, ledger } => {
            let (file, mut ledger) = LedgerFile::open(&ledger.ledger).map_err(text)?;
            let forgiven = ledger.forgive(None, provider.id());
            file.store(&ledger).map_err(text)?;
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
    let highest =
        |card: CardId| cards.iter().find(|known| known.card == card.0).map(|known| known.highest_atc);
    let (file, ledger) = LedgerFile::open(ledger).map_err(text)?;
    let mut platform = Platform::lab(ledger);
    let Answer { statement, refused } = platform.answer(&question, highest).map_err(text)?;
    // Booked before anybody can use it.
    file.store(&platform.ledger).map_err(text)?;
    if refused.is_some() {
        eprintln!(
            "warning: {MAX_BOOKED} tries of this PIN are booked as spent, no more are granted; \
             once the bank knows who has the phone: tapvault-platform forgive"
        );
    }
    let mut bytes = vec![0; tapvault_proto::freshness::FreshnessStatement::MAX];
    let length = encode_into(&statement, &mut bytes).map_err(text)?;
    bytes.truncate(length);
    Ok(json!({ "statement": hex::encode(bytes) }).to_string())
}

fn parse(path: &Path) -> Result<FreshnessQuestion, String> {
    let malformed = || format!("{}: give what `tapvault card freshness --json` printed", path.display());
    let document: Question =
        serde_json::from_slice(&read(path, 4 * FreshnessQuestion::MAX)?).map_err(|_| malformed())?;
    let bytes = hex::decode(document.question).map_err(|_| malformed())?;
    decode_exact(&bytes).map_err(|_| malformed())
}

fn booked(path: &Path, machine: bool) -> Result<String, String> {
    let (_, ledger) = LedgerFile::open(path).map_err(text)?;
    let open: Vec<_> = ledger.bookings().iter().filter(|booking| booking.booked() > 0).collect();
    if machine {
        return serde_json::to_string(&open).map_err(text);
    }
    if open.is_empty() {
        return Ok("no try is booked".into());
    }
    let name =
        |id: [u8; 16]| LabBank::ALL.into_iter().find(|bank| bank.id().0 == id).map_or("?", LabBank::name);
    let line = |booking: &&tapvault_network::platform::Booking| {
        let device = hex::encode(booking.device.get(..8).unwrap_or_default());
        format!("{device:<16}  {:<4}  {}", name(booking.provider), booking.booked())
    };
    let lines: Vec<_> = std::iter::once(format!("{:<16}  {:<4}  BOOKED", "DEVICE", "BANK"))
        .chain(open.iter().map(line))
        .collect();
    Ok(lines.join("\n"))
}
