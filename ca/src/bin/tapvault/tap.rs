//! `tapvault tap`: a card in the field of a terminal.

use crate::output::{Failure, Output, id};
use serde_json::json;
use std::net::SocketAddr;
use tapvault::{ClientError, Transport, Wallet, reader};
use tapvault_proto::{Error, emv::application::MAX_IN_FIELD, id::CardId};

/// Presents cards to a terminal behind a virtual reader (vsmartcard's vpcd protocol).
#[derive(clap::Args)]
pub struct Arguments {
    /// The cards the terminal may choose from, 1 to 6; it sees them in order of their priority.
    #[arg(value_parser = id, required = true, num_args = 1..=MAX_IN_FIELD)]
    cards: Vec<[u8; 16]>,
    /// Where the reader listens.
    #[arg(long, default_value = reader::DEFAULT_READER)]
    reader: SocketAddr,
    /// Uses the PIN verification made by `tapvault pin verify` for the first card; refused when there is none.
    #[arg(long)]
    verified: bool,
}

/// Runs the command.
///
/// # Errors
/// The trusted app's refusal, or the reader's.
pub fn run<T: Transport>(
    arguments: &Arguments,
    wallet: &mut Wallet<T>,
    output: &Output,
) -> Result<(), Failure> {
    let cards: Vec<_> = arguments.cards.iter().copied().map(CardId).collect();
    let verified = cards.first().copied().filter(|_| arguments.verified);
    let mut tap = wallet.prepare_taps(&cards, verified)?;
    let answered = reader::present(&mut tap, arguments.reader).map_err(|error| {
        Failure::Io(format!("the reader at {} (is a terminal waiting there?)", arguments.reader), error)
    })?;
    if let Some(failure) = tap.failure() {
        return Err(match failure {
            ClientError::Call { code, origin } => ClientError::Call { code: *code, origin: *origin }.into(),
            _ => ClientError::refused(Error::Internal).into(),
        });
    }
    output.show(
        &json!({ "commands_answered": answered }),
        &format!("the terminal asked {answered} times and let go"),
    );
    Ok(())
}
