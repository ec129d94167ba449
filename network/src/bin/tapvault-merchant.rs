//! `tapvault-merchant`: the lab's merchants and its wallet, with their acquirer. Their keys are public; they protect
//! nothing.

#![forbid(unsafe_code)]

use clap::{Parser, Subcommand};
use serde::Deserialize;
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};
use tapvault_network::{
    amount::amount,
    code::charge,
    input::read,
    issuer::{Decision, Issuer},
    online::Payee,
    registry::CNY,
    request::AuthorisationRequest,
};
use tapvault_proto::{
    emv::qr::MAX_PAYLOAD,
    online::{MAX_PAYMENT_REQUEST, OnlinePayReply, PaymentRequest, Role},
    wire::Bytes,
};

/// Sells: signs payment requests, takes codes, and asks the issuer. LAB ONLY: everybody has the keys.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example, an order in an online shop:
  tapvault-merchant request --order 2026-11-26/1 --amount 12.00 > request.json
  tapvault --json pay in-app --pad pad.sock CARD request.json > payment.json
  tapvault-merchant settle --request request.json --payment payment.json --state bank.json
Exit status: 0 paid or done, 1 declined, 2 wrong usage, 3 not readable or not the merchant's."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Signs a payment request and prints it (JSON).
    Request {
        /// The merchant's id, up to 15 characters.
        #[arg(long, value_name = "ID", default_value = "898110048990001")]
        merchant: String,
        /// The merchant's name.
        #[arg(long, value_name = "NAME", default_value = "Tea Shop")]
        name: String,
        /// The order's number; no two payments share one.
        #[arg(long, value_name = "NUMBER")]
        order: String,
        /// Amount in yuan.
        #[arg(long, value_parser = amount)]
        amount: u64,
        /// Minutes for which it may be paid.
        #[arg(long, default_value_t = 15)]
        minutes: u32,
        /// The lab's wallet signs for the merchant.
        #[arg(long)]
        wallet: bool,
    },
    /// Opens what a card answered to a request, and asks the issuer.
    Settle {
        /// The request.
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        /// What `tapvault pay in-app --json` printed; - is standard input.
        #[arg(long, value_name = "FILE")]
        payment: PathBuf,
        /// The issuer's memory.
        #[arg(long, value_name = "FILE")]
        state: PathBuf,
    },
    /// Charges a code, and asks the issuer.
    Charge {
        /// The code's text; - is standard input.
        #[arg(long, value_name = "FILE", default_value = "-")]
        code: PathBuf,
        /// Amount in yuan.
        #[arg(long, value_parser = amount)]
        amount: u64,
        /// The issuer's memory.
        #[arg(long, value_name = "FILE")]
        state: PathBuf,
    },
}

/// A payment as the client prints it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payment {
    #[serde(with = "hex::serde")]
    encapsulated: [u8; 65],
    #[serde(with = "hex::serde")]
    sealed: Vec<u8>,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(3)
        }
    }
}

fn run(command: Command) -> Result<u8, String> {
    match command {
        Command::Request { merchant, name, order, amount, minutes, wallet } => {
            let shop = Payee::merchant(&merchant, &name).map_err(|_| {
                "an id has up to 15 characters, a name up to 32; make them shorter".to_owned()
            })?;
            let expires = now()?.saturating_add(u64::from(minutes) * 60);
            let order = shop.own_order(&order, (amount, CNY), expires).map_err(text)?;
            let signer = if wallet { Payee::wallet().map_err(text)? } else { shop };
            let request = signer.request(order).map_err(text)?.to_json().map_err(text)?;
            println!("{}", String::from_utf8_lossy(&request));
            Ok(0)
        }
        Command::Settle { request, payment, state } => {
            let request = PaymentRequest::parse(&read(&request, MAX_PAYMENT_REQUEST)?)
                .map_err(|_| format!("{}: not a payment request", request.display()))?;
            let payment: Payment = serde_json::from_slice(&read(&payment, 4096)?)
                .map_err(|error| format!("{}: not a payment: {error}", payment.display()))?;
            let sealed = Bytes::from_slice(&payment.sealed).map_err(|_| "the payment is too long")?;
            let answer = OnlinePayReply { encapsulated: payment.encapsulated, sealed };
            let asked = payee(&request)?.open(&request, &answer).map_err(text)?;
            ask(&state, &asked)
        }
        Command::Charge { code, amount, state } => {
            let code = String::from_utf8(read(&code, 2 * MAX_PAYLOAD)?).map_err(|_| "the code is no text")?;
            ask(&state, &charge(&code, amount, CNY).map_err(text)?)
        }
    }
}

/// The lab's payee that signed; its keys follow from its id.
fn payee(request: &PaymentRequest) -> Result<Payee, String> {
    let certificate = &request.certificate;
    match certificate.role {
        Role::Wallet => Payee::wallet(),
        Role::Merchant => Payee::merchant(
            &String::from_utf8_lossy(&certificate.id),
            &String::from_utf8_lossy(&certificate.name),
        ),
    }
    .map_err(text)
}

fn ask(state: &Path, request: &AuthorisationRequest) -> Result<u8, String> {
    let decision = Issuer::open(state).map_err(text)?.authorise(request);
    let reason = match &decision {
        Decision::Approved { .. } => None,
        Decision::Declined(reason) => Some(reason),
    };
    println!("{}", json!({ "arc": decision.arc(), "reason": reason, "text": decision.to_string() }));
    Ok(u8::from(!decision.is_approved()))
}

fn now() -> Result<u64, String> {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|now| now.as_secs()).map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
