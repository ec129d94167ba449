//! `tapvault card`: provisioning and what a wallet may show.

use crate::{
    output::{Failure, Output, hex, id, message, read},
    platform::encoded,
};
use clap::Subcommand;
use serde_json::json;
use tapvault::{Transport, Wallet, payments};
use tapvault_proto::{
    card::{CardEntry, CardState, LogEntry},
    device::{DeviceCertificate, Sealing},
    document::MAX_PACKAGE,
    id::CardId,
    limited::KeysLeft,
};

/// Cards.
#[derive(Subcommand)]
pub enum Command {
    /// Shows the device's public keys, which the factory certifies; makes them when there are none.
    DeviceKey,
    /// Stores the factory's certificate of the device's keys: once in the life of a device.
    Certify {
        /// The certificate, JSON; - is standard input.
        certificate: String,
    },
    /// Draws the challenge for which a bank seals a package, signed by the device; a new one replaces it.
    Challenge {
        /// How the package will be sealed: hpke (international) or sm2 (domestic).
        #[arg(long, default_value = "hpke", value_parser = sealing)]
        sealing: Sealing,
    },
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
    /// Asks the service platform: after a start of the trusted apps no card pays without its statement, and it grants
    /// each try of a PIN. Done by itself where TAPVAULT_PLATFORM names a command that answers.
    Freshness,
    /// Takes the platform's statement.
    Freshen {
        /// What `tapvault-platform answer` printed, JSON; - is standard input.
        statement: String,
    },
    /// Brings a card a batch of limited-use keys; `challenge` comes before it.
    Replenish {
        /// What `tapvault-bank keys` wrote, JSON; - is standard input.
        keys: String,
    },
    /// Says how many limited-use keys a card has left, and whether it is time to fetch more.
    Keys {
        /// The card's id.
        #[arg(value_parser = id)]
        card: [u8; 16],
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
        Command::DeviceKey => {
            let keys = wallet.device_key()?;
            let (key, sm2_key) = (hex(&keys.key), hex(&keys.sm2_key));
            let state = if keys.certified { "certified" } else { "not certified" };
            output.show(
                &json!({ "key": key, "sm2_key": sm2_key, "certified": keys.certified }),
                &format!("P-256:  {key}\nSM2:    {sm2_key}\nstate:  {state}"),
            );
        }
        Command::Certify { certificate } => {
            wallet.certify_device(&message(&certificate, "certificate")?)?;
            output.show(&json!({ "certified": true }), "the device's keys are certified");
        }
        Command::Challenge { sealing } => {
            let reply = wallet.card_challenge_for(sealing)?;
            let (challenge, recipient) = (hex(&reply.challenge), hex(&reply.recipient));
            let sealing = match reply.sealing {
                Sealing::Hpke => "hpke",
                Sealing::Sm2 => "sm2",
            };
            let DeviceCertificate { key, sm2_key, signature } = reply.certificate;
            output.show(
                &json!({
                    "sealing": sealing, "challenge": challenge, "recipient": recipient,
                    "certificate": { "key": hex(&key), "sm2_key": hex(&sm2_key), "signature": hex(&signature) },
                    "signature": hex(&reply.signature),
                }),
                &format!("challenge: {challenge}\nrecipient: {recipient}\nsealing:   {sealing}"),
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
        Command::Freshness => {
            let question = encoded(&wallet.freshness_question()?)?;
            output.show(&json!({ "question": question }), &format!("question: {question}"));
        }
        Command::Freshen { statement } => {
            let behind = wallet.take_freshness(&message(&statement, "statement")?)?;
            let text = match behind {
                0 => "the cards pay until a trusted app starts again".into(),
                cards => {
                    format!("storage was put back: {cards} cards were behind, and go on above what was seen")
                }
            };
            output.show(&json!({ "behind": behind }), &text);
        }
        Command::Replenish { keys } => {
            let left = wallet.replenish(&message(&keys, "keys")?)?;
            output.show(&keys_left(left), &format!("{} keys left", left.left));
        }
        Command::Keys { card } => {
            let left = wallet.keys_left(CardId(card))?;
            let advice = if left.is_low() { "fetch a batch" } else { "enough" };
            output.show(&keys_left(left), &format!("{} keys left: {advice}", left.left));
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

fn keys_left(left: KeysLeft) -> serde_json::Value {
    json!({ "left": left.left, "threshold": left.threshold, "fetch": left.is_low() })
}

fn sealing(name: &str) -> Result<Sealing, String> {
    match name {
        "hpke" => Ok(Sealing::Hpke),
        "sm2" => Ok(Sealing::Sm2),
        _ => Err("hpke or sm2".into()),
    }
}

fn payment(entry: &LogEntry) -> serde_json::Value {
    json!({
        "key_version": entry.key_version, "atc": entry.atc, "amount_minor": entry.amount,
        "currency": format!("{:04x}", entry.currency), "terminal_date": hex(&entry.date), "type": entry.kind,
        "holder_verified": payments::holder(entry.ctq), "way": payments::way(entry.channel),
        "approved_offline": entry.offline,
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
