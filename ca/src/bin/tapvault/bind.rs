//! `tapvault bind`: the phone's part of binding a card.

use crate::{
    output::{Failure, Output, hex, message},
    pads::Pad,
};
use clap::Subcommand;
use serde_json::json;
use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};
use tapvault::{
    Transport, Wallet,
    chip::{self, TcpCard},
    reader,
};
use tapvault_proto::{
    binding::{BeginCardDataRequest, SealedCardData},
    wire::{Wire, encode_into},
};

/// How long the reader waits for a chip card.
const CARD_PATIENCE: Duration = Duration::from_secs(30);

/// Gives a bank what proves that its card is here.
#[derive(Subcommand)]
pub enum Command {
    /// Takes number, expiry and CVN2 from the PIN pad, and prints them sealed for the bank (JSON).
    Data {
        /// What `tapvault-bank bind begin` printed; - is standard input.
        offer: String,
        #[command(flatten)]
        pad: Pad,
    },
    /// Reads a chip card at a virtual reader (vsmartcard's vpcd protocol) and prints its answer for the bank (JSON).
    Chip {
        /// What `tapvault-bank bind begin` printed.
        offer: String,
        /// Where the card connects; this machine's own addresses only.
        #[arg(long, value_name = "ADDRESS", default_value = reader::DEFAULT_READER, value_parser = loopback)]
        listen: SocketAddr,
    },
}

/// Runs the command.
///
/// # Errors
/// The trusted app's refusal, the pad's, the card's, or a file's.
pub fn run<T: Transport>(command: Command, wallet: &mut Wallet<T>, output: &Output) -> Result<(), Failure> {
    match command {
        Command::Data { offer, pad } => {
            let offer = message::<BeginCardDataRequest>(&offer, "offer")?;
            let mut pad = pad.open(wallet)?;
            let sealed = wallet.bind_card(offer, &mut pad)?;
            let mut bytes = [0; SealedCardData::MAX];
            let len = encode_into(&sealed, &mut bytes).map_err(tapvault::ClientError::refused)?;
            let sealed = json!({ "card_data": hex(bytes.get(..len).unwrap_or_default()) });
            output.show(&sealed, &sealed.to_string());
        }
        Command::Chip { offer, listen } => {
            let offer = message::<BeginCardDataRequest>(&offer, "offer")?;
            let mut card = wait_for_card(listen)?;
            let request =
                chip::read(&mut card, &offer).map_err(|error| Failure::Content(error.to_string()))?;
            let request = json!(request);
            output.show(&request, &request.to_string());
        }
    }
    Ok(())
}

fn wait_for_card(listen: SocketAddr) -> Result<TcpCard, Failure> {
    let failed = |error| Failure::Io(listen.to_string(), error);
    let listener = TcpListener::bind(listen).map_err(failed)?;
    eprintln!("waiting for a card at {listen}");
    TcpCard::wait_for(&listener, CARD_PATIENCE).map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => {
            Failure::Content(format!("no card came to {listen} in {} seconds", CARD_PATIENCE.as_secs()))
        }
        _ => failed(error),
    })
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "an address and a port, such as 127.0.0.1:35963")?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("only this machine's own addresses: 127.0.0.1 or [::1]; the reader takes whoever connects".into())
    }
}
