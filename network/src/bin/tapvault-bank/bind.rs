//! `tapvault-bank bind`: the bank's desk for bindings, with the lab's network.

use crate::{bank, text, unhex};
use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;
use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};
use tapvault_network::{
    binding::{Accounts, BindingError, Desk, Identity, LabNetwork, Step},
    input::read,
    issuer::Issuer,
    lab::LabBank,
    message::message,
};
use tapvault_proto::{binding::SealedCardData, wire::decode_exact};

/// Longest message that is read.
const MAX_MESSAGE: usize = 4096;

/// Where the bank keeps what it knows.
#[derive(clap::Args)]
pub struct Files {
    /// The issuer's memory; made when missing.
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// The accounts behind the cards (JSON, docs/binding.md).
    #[arg(long, value_name = "FILE")]
    accounts: PathBuf,
}

/// One step of a binding. Each prints what comes next (JSON).
#[derive(Subcommand)]
pub enum Command {
    /// Begins a binding and prints the offer for `tapvault bind data` and `tapvault bind chip`.
    Begin {
        #[command(flatten)]
        files: Files,
        /// Which lab bank: A to E.
        #[arg(long, default_value = "A", value_parser = bank)]
        provider: LabBank,
    },
    /// Takes sealed card data.
    Data {
        #[command(flatten)]
        files: Files,
        /// What `tapvault bind data` printed; - is standard input.
        card_data: PathBuf,
    },
    /// Takes a chip card's answer.
    Chip {
        #[command(flatten)]
        files: Files,
        /// The binding, as `begin` printed it.
        #[arg(long, value_name = "HEX64", value_parser = binding)]
        binding: [u8; 32],
        /// What `tapvault bind chip` printed; - is standard input.
        request: PathBuf,
    },
    /// Shows the code that the lab's network would have sent to the holder's phone.
    Sms {
        #[command(flatten)]
        files: Files,
        /// The binding.
        #[arg(long, value_name = "HEX64", value_parser = binding)]
        binding: [u8; 32],
    },
    /// Takes the code that the holder got.
    Code {
        #[command(flatten)]
        files: Files,
        /// The binding.
        #[arg(long, value_name = "HEX64", value_parser = binding)]
        binding: [u8; 32],
        /// Six digits.
        code: String,
    },
    /// Takes who the holder says to be.
    Name {
        #[command(flatten)]
        files: Files,
        /// The binding.
        #[arg(long, value_name = "HEX64", value_parser = binding)]
        binding: [u8; 32],
        /// Name.
        name: String,
        /// Number of the document.
        document: String,
    },
    /// Orders the token and prints what `tapvault-bank issue` takes: card, last four digits, expiry, bank.
    Order {
        #[command(flatten)]
        files: Files,
        /// The binding.
        #[arg(long, value_name = "HEX64", value_parser = binding)]
        binding: [u8; 32],
    },
    /// Lets the data of an account be tried again.
    Unlock {
        #[command(flatten)]
        files: Files,
        /// The account's name in the file.
        account: String,
    },
}

#[derive(Deserialize)]
struct Sealed {
    card_data: String,
}

/// Runs the command; what it prints.
///
/// # Errors
/// The desk's refusal, or a file's.
pub fn run(command: Command) -> Result<String, String> {
    match command {
        Command::Begin { files, provider } => at_desk(&files, |desk| {
            let offer = desk.begin(provider).map_err(text)?;
            let mut printed: serde_json::Map<_, _> =
                serde_json::from_str(&message("offer", &offer)?).map_err(text)?;
            printed.insert("binding".into(), hex::encode(offer.nonce).into());
            printed.insert("next".into(), json!(Step::Card));
            Ok(json!(printed).to_string())
        }),
        Command::Data { files, card_data } => {
            let malformed = || format!("{}: give what `tapvault bind data` printed", card_data.display());
            let document: Sealed =
                serde_json::from_slice(&read(&card_data, MAX_MESSAGE)?).map_err(|_| malformed())?;
            let bytes = hex::decode(&document.card_data).map_err(|_| malformed())?;
            let sealed: SealedCardData = decode_exact(&bytes).map_err(|_| malformed())?;
            at_desk(&files, |desk| next(desk.card_data(&sealed)))
        }
        Command::Chip { files, binding, request } => {
            let bytes = read(&request, MAX_MESSAGE)?;
            let asked = serde_json::from_slice(&bytes).map_err(|error| {
                format!("{}: {error}; give what `tapvault bind chip` printed", request.display())
            })?;
            at_desk(&files, |desk| next(desk.chip(&binding, &asked)))
        }
        Command::Sms { files, binding } => at_desk(&files, |desk| {
            let record = desk.binding(&binding).map_err(text)?;
            let sent = record.reference.as_deref().ok_or("no code was sent, or it was used")?;
            Ok(json!({ "code": LabNetwork::code_of(sent) }).to_string())
        }),
        Command::Code { files, binding, code } => at_desk(&files, |desk| next(desk.code(&binding, &code))),
        Command::Name { files, binding, name, document } => {
            at_desk(&files, |desk| next(desk.name(&binding, &Identity { name, document })))
        }
        Command::Order { files, binding } => at_desk(&files, |desk| {
            let order = desk.order(&binding).map_err(text)?;
            let last_four = String::from_utf8_lossy(&order.last_four).into_owned();
            Ok(json!({
                "card": hex::encode(order.card.0), "pan_last_four": last_four, "expiry": order.expiry,
                "provider": order.bank,
            })
            .to_string())
        }),
        Command::Unlock { files, account } => at_desk(&files, |desk| {
            Ok(json!({ "account": account, "was_wrong": desk.unlock(&account).map_err(text)? }).to_string())
        }),
    }
}

fn at_desk(
    files: &Files,
    work: impl FnOnce(&mut Desk<'_, LabNetwork>) -> Result<String, String>,
) -> Result<String, String> {
    let accounts = Accounts::open(&files.accounts).map_err(text)?;
    let mut issuer = Issuer::open_or_create(&files.state).map_err(text)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(text)?.as_secs();
    work(&mut Desk { issuer: &mut issuer, accounts: &accounts, network: &mut LabNetwork, now })
}

fn next(step: Result<Step, BindingError>) -> Result<String, String> {
    Ok(json!({ "next": step.map_err(text)? }).to_string())
}

fn binding(digits: &str) -> Result<[u8; 32], String> {
    unhex(digits, "binding")
}
