//! The `tapvault` command: a wallet on the command line, on real OP-TEE.

mod cards;
mod output;
mod pins;
mod tap;

use clap::{Parser, Subcommand};
use output::{Failure, Output};
use serde_json::json;
use std::process::ExitCode;
use tapvault::{
    Wallet,
    optee::{Login, Optee},
    wallet::Status,
};

/// Virtual bank cards, held by trusted apps on OP-TEE.
///
/// Cards come as packages that a bank seals for a challenge of this device; the wallet PIN is set with
/// the bank's ticket; `tap` presents a card to a terminal. The user or group of this process must be
/// admitted by the platform's policy.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example, with the lab's bank:
  tapvault card challenge --json > challenge.json
  tapvault-bank issue --state bank.json --challenge challenge.json > package.json
  tapvault card add package.json
  tapvault card list
Exit status: 0 done, 1 refused, 2 wrong usage."
)]
struct Arguments {
    /// Prints JSON on standard output, and errors as JSON on standard error.
    #[arg(long, global = true)]
    json: bool,
    /// Proves a group id instead of the user id.
    #[arg(long, global = true, value_name = "GID")]
    group: Option<u32>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows whether the trusted apps answer, and how many cards there are.
    Status,
    /// Adds and shows cards.
    #[command(subcommand)]
    Card(cards::Command),
    /// Sets, verifies and changes the wallet PIN.
    #[command(subcommand)]
    Pin(pins::Command),
    /// Presents a card to a contactless terminal.
    Tap(tap::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::new(arguments.json);
    match run(arguments, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(1)
        }
    }
}

fn run(arguments: Arguments, output: &Output) -> Result<(), Failure> {
    let login = arguments.group.map_or(Login::User, Login::Group);
    let mut wallet = Wallet::new(Optee::connect(login)?);
    match arguments.command {
        Command::Status => {
            let Status { cards, lab } = wallet.status()?;
            let keys = if lab { "the LAB's, which everybody has: no security" } else { "the product's own" };
            output.show(
                &json!({ "protocol": tapvault_proto::PROTOCOL_VERSION, "cards": cards, "lab": lab }),
                &format!("trusted apps: ready\nkeys:         {keys}\ncards:        {cards}"),
            );
            Ok(())
        }
        Command::Card(command) => cards::run(command, &mut wallet, output),
        Command::Pin(command) => pins::run(command, &mut wallet, output),
        Command::Tap(arguments) => tap::run(&arguments, &mut wallet, output),
    }
}
