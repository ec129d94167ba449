//! `tapvault nfc`: whether the phone's cards answer terminals.

use crate::output::{Failure, Output, id};
use clap::Subcommand;
use serde_json::json;
use tapvault::{Transport, Wallet};
use tapvault_proto::{
    card::{NFC_LIFE_MS, NFC_TAPS, NfcStateReply},
    id::CardId,
};

/// The NFC switch. It is off at every start of the phone.
#[derive(Subcommand)]
pub enum Command {
    /// Shows it.
    State,
    /// Switches it on; `tapvault pin verify CARD` comes first. It goes off again by itself.
    On {
        /// A card whose PIN was verified.
        #[arg(value_parser = id)]
        card: [u8; 16],
    },
    /// Switches it off: no card answers a terminal. A wallet does so when the phone is locked.
    Off,
}

/// Runs the command.
///
/// # Errors
/// The trusted app's refusal.
pub fn run<T: Transport>(command: Command, wallet: &mut Wallet<T>, output: &Output) -> Result<(), Failure> {
    let NfcStateReply { left_ms, taps } = match command {
        Command::State => wallet.nfc()?,
        Command::On { card } => wallet.nfc_on(CardId(card))?,
        Command::Off => wallet.nfc_off()?,
    };
    let text = match taps {
        0 => "NFC: off".into(),
        taps => format!("NFC: on for {} minutes and {taps} payments", left_ms.div_ceil(60_000)),
    };
    output.show(
        &json!({
            "on": taps > 0, "left_ms": left_ms, "payments": taps,
            "longest_ms": NFC_LIFE_MS, "most_payments": NFC_TAPS,
        }),
        &text,
    );
    Ok(())
}
