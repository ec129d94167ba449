//! `tapvault card`: provisioning and what a wallet may show.

use crate::output::{Failure, Output, hex, id, message, read};
use clap::Subcommand;
use serde_json::json;
use tapvault::{Transport, Wallet, payments};
use tapvault_proto::{
    card::{CardEntry, CardState, LogEntry},
    document::MAX_PACKAGE,
    id::CardId,
};

/// Cards.
#[derive(Subcommand)]
pub enum Command {
    /// Draws the challenge for which a bank seals a package; a new one replaces it.
    Challenge,
    /// Installs the package a bank sealed for the last challenge; it opens once.
    Add {
        /// The package, JSON; - is standard input.
        package: String,
    },
    /// Lists the cards.
    List,
    /// Shows one card.
    Show {
        /// The card's id.
        #[arg(value_parser = id)]
        card: [u8; 16],
    },
    /// Shows a card's last payments; a gap is a counter whose payment was lost to a power cut, or never made.
    Log {
        /// The card's id.
        #[arg(value_parser = id)]
        card: [u8; 16],
    },
    /// Suspends a card: it does not pay until it is resumed.
    Suspend {
        /// The card's id.
        #[arg(value_parser = id)]
        card: [u8; 16],
    },
    /// Resumes a card that `suspend` suspended; `tapvault pin verify` comes first.
    Resume {
        /// The card's id.
        #[arg(value_parser = id)]
        card: [u8; 16],
    },
    /// Obeys a bank's command over a card's token: activate, suspend, resume, delete.
    #[command(name = "command")]
    Token {
        /// What `tapvault-bank command` wrote, JSON; - is standard input.
        command: String,
    },
    /// Draws the nonce for a bank's word on what time it is, which cards with a time limit need.
    TimeNonce,
    /// Takes the bank's word for the last nonce.
    SetTime {
        /// What `tapvault-bank time` wrote, JSON; - is standard input.
        time: String,
    },
    /// Takes a card out of the phone, keys and all; only its bank can put it back.
    Remove {
        /// The card's id.
        #[arg(value_parser = id)]
        card: [u8; 16],
    },
}

/// Runs the command.
///
/// # Errors
/// The trusted app's refusal, or a file's.
pub fn run<T: Transport>(command: Command, wallet: &mut Wallet<T>, output: &Output) -> Result<(), Failure> {
    match command {
        Command::Challenge => {
            let reply = wallet.card_challenge()?;
            let (challenge, recipient) = (hex(&reply.challenge), hex(&reply.recipient));
            output.show(
                &json!({ "challenge": challenge, "recipient": recipient }),
                &format!("challenge: {challenge}\nrecipient: {recipient}"),
            );
        }
        Command::Add { package } => {
            let card = wallet.add_card(&read(&package, MAX_PACKAGE as u64)?)?;
            output.show(&json!({ "card": card.to_string() }), &format!("added card {card}"));
        }
        Command::List => {
            let cards = wallet.cards()?;
            let rows: Vec<_> = cards.iter().map(|entry| row(wallet, entry)).collect::<Result<_, _>>()?;
            let text: Vec<_> = rows.iter().map(|(_, text)| text.as_str()).collect();
            let text = if text.is_empty() { "no cards" } else { &text.join("\n") };
            output.show(&rows.iter().map(|(value, _)| value.clone()).collect(), text);
        }
        Command::Log { card } => {
            let entries = wallet.card_log(CardId(card))?;
            let text = if entries.is_empty() { "no payments".into() } else { payments::describe(&entries) };
            output.show(&entries.iter().map(payment).collect(), &text);
        }
        Command::Suspend { card } => {
            let card = CardId(card);
            wallet.suspend(card)?;
            output.show(&json!({ "suspended": card.to_string() }), &format!("suspended card {card}"));
        }
        Command::Resume { card } => {
            let state = wallet.resume(CardId(card))?.name();
            output.show(&json!({ "state": state }), &format!("the card is {state}"));
        }
        Command::Token { command } => {
            let state = wallet.token_command(message(&command, "command")?)?;
            let state = state.map_or("deleted", CardState::name);
            output.show(&json!({ "state": state }), &format!("the card is {state}"));
        }
        Command::TimeNonce => {
            let nonce = hex(&wallet.time_nonce()?);
            output.show(&json!({ "challenge": nonce }), &format!("nonce: {nonce}"));
        }
        Command::SetTime { time } => {
            wallet.set_time(message(&time, "time")?)?;
            output.show(
                &json!({ "time": "set" }),
                "the bank's time is known until the trusted app starts again",
            );
        }
        Command::Remove { card } => {
            let card = CardId(card);
            wallet.remove_card(card)?;
            output.show(&json!({ "removed": card.to_string() }), &format!("removed card {card}"));
        }
        Command::Show { card } => {
            let display = wallet.show(CardId(card))?;
            let value =
                serde_json::to_value(&display).map_err(|error| Failure::Content(error.to_string()))?;
            let text = format!(
                "card:     {}\nprovider: {}\nissuer:   {}\nlabel:    {}\nnumber:   ends in {}\nart:      {}\nstate:    {}",
                display.card,
                display.provider,
                display.issuer,
                display.label,
                display.last_four,
                display.art,
                display.state
            );
            output.show(&value, &text);
        }
    }
    Ok(())
}

fn payment(entry: &LogEntry) -> serde_json::Value {
    json!({
        "key_version": entry.key_version, "atc": entry.atc, "amount_minor": entry.amount,
        "currency": format!("{:04x}", entry.currency), "terminal_date": hex(&entry.date), "type": entry.kind,
        "holder_verified": payments::holder(entry.ctq), "way": payments::way(entry.channel),
    })
}

fn row<T: Transport>(
    wallet: &mut Wallet<T>,
    entry: &CardEntry,
) -> Result<(serde_json::Value, String), Failure> {
    if entry.state == CardState::Damaged {
        let value = json!({ "slot": entry.slot, "state": entry.state.name() });
        let text = format!("place {}: damaged; ask the provider to issue the card again", entry.slot);
        return Ok((value, text));
    }
    let display = wallet.show(entry.card)?;
    let value = json!({
        "slot": entry.slot, "state": entry.state.name(), "card": entry.card.to_string(),
        "provider": entry.provider.to_string(), "last_four": display.last_four.as_str(),
    });
    let text =
        format!("{}  {}  ...{}  {}", entry.card, display.issuer, display.last_four, entry.state.name());
    Ok((value, text))
}
