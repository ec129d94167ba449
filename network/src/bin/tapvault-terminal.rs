//! `tapvault-terminal`: a contactless terminal with its issuer in the same process. For the lab.

#![forbid(unsafe_code)]

use clap::{Parser, Subcommand, ValueEnum};
use serde_json::{Value, json};
use std::{
    fs,
    io::{self, IsTerminal},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime},
};
use tapvault_network::{
    amount::{amount, shown},
    calendar::date,
    frame::TcpCard,
    issuer::{Decision, Issuer},
    offline::Cleared,
    registry::CNY,
    request::AuthorisationRequest,
    state::replace,
    terminal::{Payment, Reach, Refusal, Speaker, TerminalError, Transcript, Verification, pay},
};

/// How long the terminal waits for a card.
const CARD_PATIENCE: Duration = Duration::from_secs(30);
/// Longest recorded request that is read.
const MAX_REQUEST: u64 = 4096;

const APPROVED: u8 = 0;
const DECLINED: u8 = 1;
const REFUSED: u8 = 2;
const FAILED: u8 = 3;
const USAGE: u8 = 64;

/// A contactless terminal that takes one card, explains every exchange, and asks the lab's issuer.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example: the terminal in one window, the phone in another.
  tapvault-terminal pay --listen 127.0.0.1:35963 --state bank.json --amount 12.00 --record payment.json
  tapvault tap 00112233445566778899aabbccddeeff       (card id: `tapvault card list`)
  tapvault-terminal replay payment.json --state bank.json    (must be declined)
Exit status: 0 approved or delivered, 1 declined by the issuer, 2 the card refused or cannot be taken, 3 no card or a file's error,
64 wrong usage."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Waits for a card, takes it through a payment and asks the issuer.
    Pay(Pay),
    /// Gives a recorded request to the issuer once more.
    Replay {
        /// What `pay --record` wrote.
        file: PathBuf,
        /// The issuer's memory.
        #[arg(long, value_name = "FILE")]
        state: PathBuf,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Delivers a payment that the card approved offline to the issuer, which takes each once.
    #[command(after_help = "Example, with a card that may approve offline (tapvault-bank offline --help):
  tapvault-terminal pay --state bank.json --amount 12.00 --reach both --record payment.json
  tapvault-terminal deliver payment.json --state bank.json")]
    Deliver {
        /// What `pay --record` wrote.
        file: PathBuf,
        /// The issuer's memory.
        #[arg(long, value_name = "FILE")]
        state: PathBuf,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
struct Pay {
    /// Where the card connects; this machine's own addresses only. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:35963", value_parser = loopback)]
    listen: SocketAddr,
    /// The issuer's memory.
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// Amount in yuan.
    #[arg(long, value_parser = amount)]
    amount: u64,
    /// Whether the holder is to be verified; auto: above the limit.
    #[arg(long, value_enum, default_value_t = Verify::Auto)]
    verify: Verify,
    /// Amount up to which `auto` asks for no verification.
    #[arg(long, value_name = "AMOUNT", default_value = "300.00", value_parser = amount)]
    cvm_limit: u64,
    /// Who may approve: online, the issuer; both, the card, or the issuer where the card asks; offline, the card alone.
    /// What the card approves is to be delivered later, out of --record.
    #[arg(long, value_enum, default_value_t = By::Online, requires_ifs = [("both", "record"), ("offline", "record")])]
    reach: By,
    /// Writes the request to the issuer here, for `replay` and `deliver`.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    /// Written with the port in it once a card can connect.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Verify {
    Always,
    Never,
    Auto,
}

/// Who may approve.
#[derive(Clone, Copy, ValueEnum)]
enum By {
    Online,
    Both,
    Offline,
}

/// How it ended: the exit status, and what is printed.
struct Outcome {
    status: u8,
    transcript: Transcript,
    result: Value,
    text: String,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; clap's own status 2 would say that the card did not do.
            let status = if error.use_stderr() { USAGE } else { APPROVED };
            let _ = error.print();
            return ExitCode::from(status);
        }
    };
    let (json, outcome) = match arguments.command {
        Command::Pay(arguments) => (arguments.json, run(&arguments)),
        Command::Replay { file, state, json } => {
            (json, recorded(&file).and_then(|request| authorise(&state, &request)))
        }
        Command::Deliver { file, state, json } => {
            (json, recorded(&file).and_then(|request| deliver(&state, &request)))
        }
    };
    ExitCode::from(show(json, &outcome.unwrap_or_else(failed)))
}

fn run(arguments: &Pay) -> Result<Outcome, String> {
    // A missing state is found before the card is asked for a cryptogram; the lock is not kept, so that
    // other commands need not wait for a card.
    drop(Issuer::open(&arguments.state).map_err(|error| error.to_string())?);
    let mut card = wait_for_card(arguments)?;
    let taken = match pay(&mut card, &payment(arguments)?) {
        Ok(taken) => taken,
        Err(error) => return Ok(not_taken(error)),
    };
    drop(card);
    if let Some(path) = &arguments.record {
        let mut bytes = serde_json::to_vec_pretty(&taken.request).map_err(|error| error.to_string())?;
        bytes.push(b'\n');
        replace(path, &bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let mut outcome = if taken.approved_offline {
        approved_offline(arguments)
    } else {
        authorise(&arguments.state, &taken.request)?
    };
    if let Value::Object(result) = &mut outcome.result {
        result.insert("verification".into(), json!(taken.verification));
        result.insert("request".into(), json!(taken.request));
    }
    if matches!(taken.verification, Verification::OnlinePin | Verification::Signature) {
        outcome.text.push_str("\nnote: this terminal has no pad: PIN or signature were not taken");
    }
    outcome.transcript = taken.transcript;
    Ok(outcome)
}

/// What `pay --record` wrote.
fn recorded(file: &Path) -> Result<AuthorisationRequest, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    if fs::metadata(file).map_err(|error| failed(&error))?.len() > MAX_REQUEST {
        return Err(failed(&"too long for a recorded request"));
    }
    let bytes = fs::read(file).map_err(|error| failed(&error))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| failed(&format!("{error}; give what `pay --record` wrote")))
}

/// The card approved and proved itself; the issuer learns of it later.
fn approved_offline(arguments: &Pay) -> Outcome {
    let file = arguments.record.as_deref().unwrap_or(Path::new("")).display();
    let text = format!("approved by the card: deliver it with `tapvault-terminal deliver {file}`");
    let result = json!({ "outcome": "approved_offline", "text": text });
    Outcome { status: APPROVED, transcript: Transcript::default(), result, text }
}

/// Gives the issuer a payment that the card approved.
fn deliver(state: &Path, request: &AuthorisationRequest) -> Result<Outcome, String> {
    let cleared = Issuer::open(state).map_err(|error| error.to_string())?.clear(request);
    let (status, result, text) = match cleared {
        Ok(Cleared { atc, amount, holder_verified }) => {
            let text = format!("cleared: payment {atc} of this card, {}", shown(amount));
            let result = json!({
                "outcome": "cleared", "atc": atc, "amount_minor": amount,
                "holder_verified": holder_verified, "text": text,
            });
            (APPROVED, result, text)
        }
        Err(reason) => {
            let text = format!("declined ({}): {reason}", reason.arc());
            let result =
                json!({ "outcome": "declined", "arc": reason.arc(), "reason": reason, "text": text });
            (DECLINED, result, text)
        }
    };
    Ok(Outcome { status, transcript: Transcript::default(), result, text })
}

fn authorise(state: &Path, request: &AuthorisationRequest) -> Result<Outcome, String> {
    let decision = Issuer::open(state).map_err(|error| error.to_string())?.authorise(request);
    let text = decision.to_string();
    let (status, outcome, reason, arpc) = match &decision {
        Decision::Approved { arpc, .. } => (APPROVED, "approved", Value::Null, json!(hex::encode(arpc))),
        Decision::Declined(reason) => (DECLINED, "declined", json!(reason), Value::Null),
    };
    let result =
        json!({ "outcome": outcome, "arc": decision.arc(), "reason": reason, "arpc": arpc, "text": text });
    Ok(Outcome { status, transcript: Transcript::default(), result, text })
}

fn not_taken(error: TerminalError) -> Outcome {
    let text = error.to_string();
    let (status, outcome) = match error.refusal {
        Refusal::Link(_) => (FAILED, "failed"),
        _ => (REFUSED, "refused"),
    };
    let result = json!({ "outcome": outcome, "text": text });
    let text = format!("{outcome}: {text}");
    Outcome { status, transcript: error.transcript, result, text }
}

fn failed(error: String) -> Outcome {
    let result = json!({ "outcome": "failed", "text": error });
    Outcome { status: FAILED, transcript: Transcript::default(), result, text: format!("failed: {error}") }
}

/// Prints the outcome and returns its exit status.
fn show(json: bool, outcome: &Outcome) -> u8 {
    if json {
        println!("{}", json!({ "result": outcome.result, "transcript": outcome.transcript }));
        return outcome.status;
    }
    let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    print!("{}", outcome.transcript.to_text(if colours { coloured } else { plain }));
    if outcome.status == FAILED {
        eprintln!("{}", outcome.text);
    } else if colours {
        let colour = if outcome.status == APPROVED { "32" } else { "31" };
        println!("\x1b[1;{colour}m{}\x1b[0m", outcome.text);
    } else {
        println!("{}", outcome.text);
    }
    outcome.status
}

fn plain(_: Speaker, line: &str) -> String {
    line.to_owned()
}

fn coloured(speaker: Speaker, line: &str) -> String {
    let colour = match speaker {
        Speaker::Terminal => "36",
        Speaker::Card => "33",
    };
    format!("\x1b[1;{colour}m{line}\x1b[0m")
}

fn payment(arguments: &Pay) -> Result<Payment, String> {
    let mut unpredictable = [0; 4];
    getrandom::fill(&mut unpredictable)
        .map_err(|error| format!("the operating system gave no random numbers: {error}"))?;
    Ok(Payment {
        amount_minor: arguments.amount,
        currency: CNY,
        country: CNY,
        date: today(),
        unpredictable,
        verification_required: match arguments.verify {
            Verify::Always => true,
            Verify::Never => false,
            Verify::Auto => arguments.amount > arguments.cvm_limit,
        },
        online_pin: false,
        signature: false,
        reach: match arguments.reach {
            By::Online => Reach::Online,
            By::Both => Reach::Both,
            By::Offline => Reach::Offline,
        },
    })
}

fn wait_for_card(arguments: &Pay) -> Result<TcpCard, String> {
    let listen = arguments.listen;
    let failed = |error: io::Error| format!("{listen}: {error}");
    let listener = TcpListener::bind(listen).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    if let Some(path) = &arguments.ready_file {
        // Renamed into place: whoever waits for the file finds the port in it.
        replace(path, format!("{}\n", address.port()).as_bytes())
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if !arguments.json {
        eprintln!("waiting for a card at {address}");
    }
    TcpCard::wait_for(&listener, CARD_PATIENCE).map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => format!(
            "no card came to {address} in {} seconds; start the tap, then pay again",
            CARD_PATIENCE.as_secs()
        ),
        _ => failed(error),
    })
}

/// Today in UTC, YYMMDD in BCD.
fn today() -> [u8; 3] {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    date(since.as_secs())
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "an address and a port, such as 127.0.0.1:35963")?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("only this machine's own addresses: 127.0.0.1 or [::1]; a lab terminal trusts whoever connects"
            .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_listened_at() {
        assert!(loopback("127.0.0.1:0").is_ok());
        assert!(loopback("[::1]:35963").is_ok());
        for bad in ["0.0.0.0:35963", "192.168.1.2:35963", "[::]:1", "127.0.0.1", "localhost:1"] {
            assert!(loopback(bad).is_err(), "{bad}");
        }
    }
}
