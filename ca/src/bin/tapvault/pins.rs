//! `tapvault pin`: the wallet PIN, typed on the PIN pad.

use crate::{
    output::{Failure, Output, hex, id, message},
    pads::Pad,
};
use clap::Subcommand;
use serde_json::json;
use tapvault::{Transport, Wallet, wallet::Purpose};
use tapvault_proto::{
    id::{CardId, ProviderId},
    pin::{EnrolmentTicket, PinState},
    tries::UnlockPinRequest,
};

/// Wallet PIN. It is typed on the PIN pad, and on nothing else.
#[derive(Subcommand)]
pub enum Command {
    /// Draws the challenge for which a bank makes an enrolment ticket; a new one replaces it.
    Challenge,
    /// Shows the state of a provider's PIN.
    State {
        /// The provider's id.
        #[arg(value_parser = id)]
        provider: [u8; 16],
    },
    /// Sets the PIN with the provider's ticket for the last challenge.
    Set {
        /// The ticket, JSON; - is standard input.
        ticket: String,
        #[command(flatten)]
        pad: Pad,
    },
    /// Verifies the PIN for one payment of one card in the next 60 seconds.
    Verify {
        /// The card that will pay.
        #[arg(value_parser = id)]
        card: [u8; 16],
        /// Most that may be paid.
        #[arg(long, value_parser = amount, default_value = "1000.00", conflicts_with = "exactly")]
        ceiling: u64,
        /// Exactly what the last terminal wanted, which was refused for want of a verification: the TEE knows it.
        #[arg(long, conflicts_with = "currency")]
        exactly: bool,
        /// Currency: ISO 4217 numeric code.
        #[arg(long, value_parser = currency, default_value = "156")]
        currency: u16,
        #[command(flatten)]
        pad: Pad,
    },
    /// Gives all tries back with the bank's command for the last challenge.
    Unlock {
        /// The command, JSON; - is standard input.
        unlock: String,
    },
    /// Changes the PIN: the present PIN, then the new one.
    Change {
        /// The provider's id.
        #[arg(value_parser = id)]
        provider: [u8; 16],
        #[command(flatten)]
        pad: Pad,
    },
}

/// Runs the command.
///
/// # Errors
/// The trusted app's refusal, a wrong PIN, or a file's.
pub fn run<T: Transport>(command: Command, wallet: &mut Wallet<T>, output: &Output) -> Result<(), Failure> {
    let done = |what: &str| output.show(&json!({ "pin": what }), &format!("PIN {what}"));
    match command {
        Command::Challenge => {
            let challenge = hex(&wallet.pin_challenge()?);
            output.show(&json!({ "challenge": challenge }), &format!("challenge: {challenge}"));
        }
        Command::State { provider } => {
            let reply = wallet.pin_state(ProviderId(provider))?;
            let state = match reply.state {
                PinState::Set => "set",
                PinState::Locked => "locked",
                PinState::Missing => "missing",
            };
            let (tries, wait) = (reply.tries_left, wallet.pin_delay(ProviderId(provider))?);
            let then = if wait > 0 { format!(", wait {} s", wait.div_ceil(1000)) } else { String::new() };
            output.show(
                &json!({ "state": state, "tries_left": tries, "wait_ms": wait }),
                &format!("PIN: {state}, {tries} tries left{then}"),
            );
        }
        Command::Set { ticket, pad } => {
            let ticket = message::<EnrolmentTicket>(&ticket, "ticket")?;
            let mut pad = pad.open(wallet)?;
            wallet.set_pin(ticket, &mut pad)?;
            done("set");
        }
        Command::Verify { card, ceiling, exactly, currency, pad } => {
            let card = CardId(card);
            let provider = provider_of(wallet, card)?;
            let mut pad = pad.open(wallet)?;
            if exactly {
                wallet.confirm_tap(provider, card, &mut pad)?;
            } else {
                wallet.verify_pin(provider, Purpose { card, ceiling, currency }, &mut pad)?;
            }
            done("verified");
        }
        Command::Unlock { unlock } => {
            let tries = wallet.unlock_pin(&message::<UnlockPinRequest>(&unlock, "unlock")?)?;
            output.show(&json!({ "tries_left": tries }), &format!("PIN: {tries} tries left"));
        }
        Command::Change { provider, pad } => {
            let mut pad = pad.open(wallet)?;
            wallet.change_pin(ProviderId(provider), &mut pad)?;
            done("changed");
        }
    }
    Ok(())
}

fn provider_of<T: Transport>(wallet: &mut Wallet<T>, card: CardId) -> Result<ProviderId, Failure> {
    let held = wallet.cards()?.into_iter().find(|entry| entry.card == card);
    let unknown = || tapvault::ClientError::refused(tapvault_proto::Error::UnknownCard);
    Ok(held.ok_or_else(unknown)?.provider)
}

fn amount(text: &str) -> Result<u64, String> {
    let (yuan, fen) = text.split_once('.').unwrap_or((text, "00"));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty();
    if !digits(yuan) || !digits(fen) || fen.len() != 2 || yuan.len() > 10 {
        return Err("an amount such as 300.00".into());
    }
    format!("{yuan}{fen}").parse().map_err(|_| "an amount such as 300.00".into())
}

fn currency(text: &str) -> Result<u16, String> {
    let wrong = || "three decimal digits, such as 156".to_string();
    if text.len() != 3 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    u16::from_str_radix(text, 16).map_err(|_| wrong())
}
