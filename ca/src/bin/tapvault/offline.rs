//! `tapvault offline`: the money that a card may pay without asking its issuer.

use crate::output::{Failure, Output, id, message};
use clap::Subcommand;
use serde_json::json;
use tapvault::{Transport, Wallet};
use tapvault_proto::{id::CardId, offline::OfflineState};

/// What a card may pay without asking its issuer, if its bank gave it any.
#[derive(Subcommand)]
#[command(after_help = "Example:
  tapvault-bank offline load --state bank.json --card CARD --amount 100.00 > load.json
  tapvault offline command load.json
  tapvault offline show CARD

Such a card is for platforms that protect storage from a rollback:
gpd.tee.trustedStorage.antiRollback.protectionLevel 1000. Stock OP-TEE says 100, and refuses cards and commands.")]
pub enum Command {
    /// Shows what is left, and the counter up to which the bank may settle.
    Show {
        /// The card's id.
        #[arg(value_parser = id)]
        card: [u8; 16],
    },
    /// Obeys a bank's word on the money: a load or a settlement. The last one may be repeated.
    #[command(name = "command")]
    Obey {
        /// What `tapvault-bank offline load` or `settle` wrote, JSON; - is standard input.
        command: String,
    },
}

/// Runs the command.
///
/// # Errors
/// The trusted app's refusal, or a file's.
pub fn run<T: Transport>(command: Command, wallet: &mut Wallet<T>, output: &Output) -> Result<(), Failure> {
    let OfflineState { left, counter, sequence } = match command {
        Command::Show { card } => wallet.offline_state(CardId(card))?,
        Command::Obey { command } => wallet.offline_command(&message(&command, "offline")?)?,
    };
    output.show(
        &json!({ "left_minor": left, "counter": counter, "command": sequence }),
        &format!(
            "left:    {}.{:02}\ncounter: {counter}, to settle up to\ncommand: {sequence} was the last",
            left / 100,
            left % 100
        ),
    );
    Ok(())
}
