//! `tapvault-bank offline`: the money that a card may pay without asking its issuer.

use crate::{card, message, text};
use clap::Subcommand;
use serde_json::{Value, json};
use std::path::PathBuf;
use tapvault_network::{
    amount::{amount, shown},
    issuer::Issuer,
    oda::OdaKind,
    registry::{CommandError, TokenRules},
    state::CardRecord,
};
use tapvault_proto::{id::CardId, token::Channel};

/// Loads and settles the money that a card may pay without asking. Commands say everything anew: the newest is enough.
#[derive(Subcommand)]
#[command(after_help = "Example, for a phone whose storage is protected from a rollback:
  tapvault-bank issue --state bank.json --challenge challenge.json --oda sm2 --offline 500.00 --offline-payment 100.00 > package.json
  tapvault-terminal pay --state bank.json --amount 12.00 --reach both --record payment.json   (and tapvault tap CARD)
  tapvault-terminal deliver payment.json --state bank.json
  tapvault offline show CARD                                                 (the counter to settle up to)
  tapvault-bank offline settle --state bank.json --card CARD --counter 16 > settled.json
  tapvault offline command settled.json

A phone takes such a card only where gpd.tee.trustedStorage.antiRollback.protectionLevel is 1000. Stock OP-TEE says 100:
there `tapvault card add` and `tapvault offline command` end in a refusal.")]
pub enum Command {
    /// Loads a card with more and prints the command for the phone (JSON).
    Load {
        #[command(flatten)]
        card: Card,
        /// How much more, in yuan.
        #[arg(long, value_parser = amount)]
        amount: u64,
    },
    /// Closes counters and prints the command (JSON): what a power cut took is there again, and a payment that is
    /// delivered later is declined. Wait with it as long as terminals may take.
    Settle {
        #[command(flatten)]
        card: Card,
        /// Counter up to which nothing is taken any more: the one that `tapvault offline show` says.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
        counter: u16,
    },
    /// Shows what was loaded into a card and what terminals delivered of it.
    Show {
        #[command(flatten)]
        card: Card,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
}

/// A card of this issuer.
#[derive(clap::Args)]
pub struct Card {
    /// The issuer's memory.
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// The card.
    #[arg(long, value_name = "HEX32", value_parser = card)]
    card: CardId,
}

impl Card {
    fn issuer(&self) -> Result<Issuer, String> {
        Issuer::open(&self.state).map_err(text)
    }
}

/// Runs the command.
///
/// # Errors
/// A text for the command line.
pub fn run(command: Command) -> Result<String, String> {
    match command {
        Command::Load { card, amount } => {
            message("offline", &card.issuer()?.load(card.card, amount).map_err(text)?)
        }
        Command::Settle { card, counter } => {
            message("offline", &card.issuer()?.settle(card.card, counter).map_err(text)?)
        }
        Command::Show { card, json } => {
            let issuer = card.issuer()?;
            let found = issuer.cards().iter().find(|record| record.card == card.card.0);
            show(found.ok_or(CommandError::UnknownCard).map_err(text)?, json)
        }
    }
}

/// Refuses to issue a card with offline money that the card trusted app would refuse, and says what is missing.
///
/// # Errors
/// A text for the command line.
pub fn check(rules: &TokenRules, oda: OdaKind) -> Result<(), String> {
    if rules.offline.is_none() {
        return Ok(());
    }
    if oda == OdaKind::None {
        return Err(
            "a card that approves offline proves itself to the terminal: give it a key, such as --oda sm2"
                .into(),
        );
    }
    if !rules.channels.contains(&Channel::Nfc) {
        return Err("a card approves offline at a tap alone: give it --channel nfc too".into());
    }
    Ok(())
}

fn show(card: &CardRecord, json: bool) -> Result<String, String> {
    let record = card.offline.as_ref().ok_or(CommandError::NotOffline).map_err(text)?;
    let open: Vec<_> = record.used.iter().filter(|(_, amount)| **amount > 0).collect();
    if json {
        let delivered: Vec<Value> =
            open.iter().map(|(atc, amount)| json!({ "atc": atc, "amount_minor": amount })).collect();
        return Ok(json!({
            "card": hex::encode(card.card), "key_version": card.key_version, "commands": record.commands,
            "loaded_minor": record.loaded, "spent_minor": record.spent(),
            "closed": record.closed, "cleared_minor": record.cleared, "delivered": delivered,
        })
        .to_string());
    }
    let mut lines = vec![
        format!("loaded:   {}, by {} commands since the issue", shown(record.loaded), record.commands),
        format!("spent:    {}, as terminals delivered it", shown(record.spent())),
        format!("closed:   up to counter {}, with {}", record.closed, shown(record.cleared)),
    ];
    lines.extend(open.iter().map(|(atc, amount)| format!("counter:  {atc}, {}", shown(**amount))));
    Ok(lines.join("\n"))
}
