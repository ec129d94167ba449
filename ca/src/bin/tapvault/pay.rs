//! `tapvault pay`: codes that the holder shows, and signed requests in apps and online shops.

use crate::{
    output::{Failure, Output, hex, id, read},
    pads::Pad,
};
use clap::Subcommand;
use qrcode::{QrCode, render::unicode::Dense1x2};
use serde_json::json;
use tapvault::{ClientError, Transport, Wallet, online::approval};
use tapvault_proto::{
    Error,
    approval::Approval,
    id::{CardId, ProviderId},
    online::MAX_PAYMENT_REQUEST,
};

/// Payments without a terminal; they need the bank's time (`card set-time`). The PIN is typed on the PIN pad.
#[derive(Subcommand)]
pub enum Command {
    /// Shows a code for one payment in the next 60 seconds.
    Qr {
        /// The card that pays.
        #[arg(value_parser = id)]
        card: [u8; 16],
        #[command(flatten)]
        pad: Pad,
    },
    /// Pays the signed request of a merchant or wallet; prints what the acquirer alone can open.
    InApp {
        /// The card that pays.
        #[arg(value_parser = id)]
        card: [u8; 16],
        /// The request, JSON; - is standard input.
        request: String,
        #[command(flatten)]
        pad: Pad,
    },
}

/// Runs the command.
///
/// # Errors
/// The trusted app's refusal, a wrong PIN, or a file's.
pub fn run<T: Transport>(command: Command, wallet: &mut Wallet<T>, output: &Output) -> Result<(), Failure> {
    match command {
        Command::Qr { card, pad } => {
            let card = CardId(card);
            let provider = provider(wallet, card)?;
            let mut pad = pad.open(wallet)?;
            let code = wallet.qr_code(provider, card, &mut pad)?;
            let picture = QrCode::new(&code.text)
                .map_err(|error| Failure::Content(error.to_string()))?
                .render::<Dense1x2>()
                .build();
            output.show(
                &json!({ "code": code.text, "expires": code.expires }),
                &format!("{picture}\n{}\ngood until second {} since 1970 UTC", code.text, code.expires),
            );
        }
        Command::InApp { card, request, pad } => {
            let card = CardId(card);
            let request = read(&request, MAX_PAYMENT_REQUEST as u64)?;
            let Approval { amount, currency, payee, digest, .. } = approval(card, &request)?;
            let payee = String::from_utf8_lossy(&payee).into_owned();
            eprintln!(
                "to approve: {}.{:02} (currency {currency:04x}) to {payee}, digest {}",
                amount / 100,
                amount % 100,
                hex(&digest)
            );
            let provider = provider(wallet, card)?;
            let mut pad = pad.open(wallet)?;
            let paid = wallet.pay_online(provider, card, &request, &mut pad)?;
            let (encapsulated, sealed) = (hex(&paid.encapsulated), hex(&paid.sealed));
            output.show(
                &json!({ "encapsulated": encapsulated, "sealed": sealed }),
                &format!("encapsulated: {encapsulated}\nsealed:       {sealed}"),
            );
        }
    }
    Ok(())
}

fn provider<T: Transport>(wallet: &mut Wallet<T>, card: CardId) -> Result<ProviderId, Failure> {
    let mut cards = wallet.cards()?.into_iter();
    let found = cards.find(|entry| entry.card == card).map(|entry| entry.provider);
    found.ok_or_else(|| ClientError::refused(Error::UnknownCard).into())
}
