//! `tapvault element`: cards in the secure element, here the lab's, which is a file.

use crate::output::{Failure, Output, hex, id, message};
use clap::Subcommand;
use serde_json::json;
use std::{io, net::SocketAddr, path::PathBuf};
use tapvault::{
    Transport, Wallet,
    reader::{self, Presented},
    trustlet::Element,
};
use tapvault_network::{
    element::{Contactless, ElementCard, ElementFile},
    frame::CardLink,
};
use tapvault_proto::{
    emv::apdu::{Response, StatusWord},
    id::CardId,
};

/// Puts cards into the secure element and presents them from there. The element is the lab's, in software: IT PROTECTS
/// NOTHING, its file has the cards' keys for everybody who can read it.
#[derive(clap::Args)]
#[command(
    after_help = "Example, with a card and a PIN (`tapvault --help`), and a terminal that waits for the last command:
  tapvault card challenge --json > challenge.json
  tapvault-bank element-keys --challenge challenge.json > element-keys.json
  tapvault element keys element-keys.json
  tapvault pin verify CARD
  tapvault element put CARD
  tapvault pin verify CARD
  tapvault route aid debit element CARD
  tapvault pin verify CARD --ceiling 1000.00
  tapvault element tap CARD --verified"
)]
pub struct Arguments {
    /// The lab element's file; made when missing.
    #[arg(long, global = true, value_name = "FILE", default_value = "element.json")]
    lab_element: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Brings the card TA a bank's keys of the element, sealed for the last `card challenge`.
    Keys {
        /// What `tapvault-bank element-keys` wrote, JSON; - is standard input.
        keys: String,
    },
    /// Puts a card into the element, in place of another of its kind; `tapvault pin verify CARD` comes first. Where
    /// the cards of its kind answer from says `tapvault route aid`.
    Put {
        /// The card, whose PIN was verified.
        #[arg(value_parser = id)]
        card: [u8; 16],
    },
    /// Lists the cards in the element.
    List,
    /// Shows one of them.
    Show {
        /// The card.
        #[arg(value_parser = id)]
        card: [u8; 16],
    },
    /// Gives the element leave for one tap, and presents it to a terminal behind a virtual reader (vsmartcard's
    /// vpcd protocol). Leave is gone with this command, used or not: the terminal has to wait already.
    Tap {
        /// The card.
        #[arg(value_parser = id)]
        card: [u8; 16],
        /// Where the reader listens.
        #[arg(long, default_value = reader::DEFAULT_READER)]
        reader: SocketAddr,
        /// Uses the PIN verification made by `tapvault pin verify`; refused when there is none.
        #[arg(long)]
        verified: bool,
    },
}

/// The element, and the client that carries its frames.
struct Carrier<'a>(&'a mut ElementFile);

impl Element for Carrier<'_> {
    fn transmit(&mut self, frame: &[u8]) -> io::Result<Vec<u8>> {
        self.0.transmit(frame)
    }
}

/// Its contactless interface, in a reader's field.
struct InField<'a>(Contactless<'a>);

impl Presented for InField<'_> {
    const ATR: &'static [u8] = &[0x3B, 0x80, 0x80, 0x01, 0x01];

    fn transmit(&mut self, command: &[u8]) -> Response {
        let answer = self.0.transmit(command).ok().and_then(|answer| Response::from_bytes(&answer));
        answer.unwrap_or_else(|| StatusWord::NoDiagnosis.into())
    }

    fn reset(&mut self) {
        // The field does not power the element; it has no link that could fail.
        let _ = self.0.power_on();
    }
}

/// Runs the command.
///
/// # Errors
/// The trusted app's refusal, the element's, a file's or the reader's.
pub fn run<T: Transport>(
    arguments: Arguments,
    wallet: &mut Wallet<T>,
    output: &Output,
) -> Result<(), Failure> {
    let file = &arguments.lab_element;
    let open = || ElementFile::open(file).map_err(|error| Failure::Content(error.to_string()));
    match arguments.command {
        Command::Keys { keys } => {
            wallet.install_element_keys(&message(&keys, "element-keys")?)?;
            output.show(&json!({ "keys": "stored" }), "the card TA has the bank's keys of the element");
        }
        Command::Put { card } => {
            let card = CardId(card);
            wallet.put_in_element(card, &mut Carrier(&mut open()?))?;
            output.show(
                &json!({ "card": card.to_string(), "element": file.display().to_string() }),
                &format!(
                    "card {card} is in the element {} (LAB: its keys are readable there)",
                    file.display()
                ),
            );
        }
        Command::List => {
            let cards = open()?.cards();
            let lines: Vec<_> = cards.iter().map(line).collect();
            let text = if lines.is_empty() { "no cards in the element".into() } else { lines.join("\n") };
            output.show(&cards.iter().map(value).collect(), &text);
        }
        Command::Show { card } => {
            let cards = open()?.cards();
            let found = cards.iter().find(|known| known.card.0 == card).ok_or_else(|| {
                Failure::Content(format!(
                    "{}: no card {} in it; put it there: tapvault element put",
                    file.display(),
                    hex(&card)
                ))
            })?;
            output.show(&value(found), &describe(found));
        }
        Command::Tap { card, reader, verified } => {
            let mut element = open()?;
            wallet.allow_element_tap(CardId(card), verified, &mut Carrier(&mut element))?;
            let answered = reader::present(&mut InField(element.contactless()), reader).map_err(|error| {
                Failure::Io(format!("the reader at {reader} (is a terminal waiting there?)"), error)
            })?;
            output.show(
                &json!({ "commands_answered": answered }),
                &format!("the terminal asked {answered} times and let go"),
            );
        }
    }
    Ok(())
}

const fn keys(card: &ElementCard) -> &'static str {
    if card.limited_use { "limited-use, one with each leave" } else { "a unique derived key" }
}

fn value(card: &ElementCard) -> serde_json::Value {
    json!({
        "card": card.card.to_string(), "aid": hex(&card.product.aid()), "label": card.label,
        "key_version": card.key_version, "last_counter": card.last_counter, "limited_use": card.limited_use,
    })
}

fn line(card: &ElementCard) -> String {
    let ElementCard { card, product, label, key_version, last_counter, .. } = card;
    format!("{card}  {}  {label}  keys {key_version}, counter {last_counter}", hex(&product.aid()))
}

fn describe(card: &ElementCard) -> String {
    format!(
        "card:         {}\naid:          {}\nlabel:        {}\nkeys:         version {}, {}\nlast counter: {}",
        card.card,
        hex(&card.product.aid()),
        card.label,
        card.key_version,
        keys(card),
        card.last_counter
    )
}
