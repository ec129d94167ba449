//! `tapvault trustlet`: a provider's trustlets on this device.

use crate::{
    maker::{name, signed},
    output::{Failure, Output, hex, id},
};
use clap::Subcommand;
use serde_json::json;
use std::{fs, path::PathBuf};
use tapvault::{Transport, maker::identity::tvm, trustlet::Tvm};
use tapvault_proto::{
    id::{ProviderId, TrustletName},
    tvm::TrustletState,
};

/// Trustlets of one provider.
#[derive(clap::Args)]
#[command(after_help = "Example:
  tapvault trustlet --provider 67381d66… install hello.manifest.json
  tapvault trustlet --provider 67381d66… command activate.json
  tapvault trustlet --provider 67381d66… call hello --module hello.wasm --hex 0003416461
  tapvault trustlet --provider 67381d66… log")]
pub struct Arguments {
    /// The provider's id, 32 hexadecimal digits.
    #[arg(long, value_name = "HEX32", value_parser = id)]
    provider: [u8; 16],
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows the provider's TVM.
    Status,
    /// Lists the trustlets, removed ones included: their versions are remembered.
    List,
    /// Installs what `tapvault provider sign-trustlet` wrote.
    Install {
        /// The signed manifest.
        manifest: PathBuf,
    },
    /// Carries out what `tapvault provider sign-command` wrote.
    #[command(name = "command")]
    Obey {
        /// The signed command.
        command: PathBuf,
    },
    /// Opens a trustlet, sends it one message and prints its answer.
    Call {
        /// Which trustlet.
        #[arg(value_parser = name)]
        name: TrustletName,
        /// Its module.
        #[arg(long, value_name = "WASM")]
        module: PathBuf,
        /// The message in hexadecimal.
        #[arg(long, value_name = "HEX", conflicts_with = "text", value_parser = bytes)]
        hex: Option<Message>,
        /// The message as text.
        #[arg(long)]
        text: Option<String>,
    },
    /// Prints what trustlets wrote to their log since it was read last.
    Log,
}

/// A message's bytes.
#[derive(Clone)]
struct Message(Vec<u8>);

/// Runs the command.
///
/// # Errors
/// The TVM's refusal, or a file's.
pub fn run<T: Transport>(arguments: Arguments, transport: &T, output: &Output) -> Result<(), Failure> {
    let mut tvm = Tvm::connect(transport, tvm(ProviderId(arguments.provider)))?;
    match arguments.command {
        Command::Status => {
            let status = tvm.status()?;
            output.show(
                &json!({
                    "provider": status.provider.to_string(), "trustlets": status.trustlets,
                    "guests": status.guests, "memory": status.memory, "lab": status.lab,
                }),
                &format!(
                    "keys:      {}\nprovider:  {}\ntrustlets: {}\nguests:    {} with {} bytes",
                    crate::output::keys(status.lab),
                    status.provider,
                    status.trustlets,
                    status.guests,
                    status.memory
                ),
            );
        }
        Command::List => {
            let entries = tvm.trustlets()?;
            let rows: Vec<_> = entries
                .iter()
                .map(|entry| {
                    json!({
                        "name": entry.name.to_string(), "state": state(entry.state),
                        "version": entry.version, "sequence": entry.sequence,
                    })
                })
                .collect();
            let lines: Vec<_> = entries
                .iter()
                .map(|entry| {
                    let (name, state) = (entry.name.to_string(), state(entry.state));
                    format!(
                        "{name:<16} {state:<9} version {}, last command {}",
                        entry.version, entry.sequence
                    )
                })
                .collect();
            let text = if lines.is_empty() { "no trustlets".into() } else { lines.join("\n") };
            output.show(&rows.into(), &text);
        }
        Command::Install { manifest } => {
            let (version, now) = tvm.install(&signed(&manifest)?)?;
            let now = state(now);
            output.show(
                &json!({ "version": version, "state": now }),
                &format!("installed version {version}: {now}"),
            );
        }
        Command::Obey { command } => {
            let now = state(tvm.command(&signed(&command)?)?);
            output.show(&json!({ "state": now }), &format!("the trustlet is {now}"));
        }
        Command::Call { name, module, hex: bytes, text } => {
            let wasm = fs::read(&module).map_err(|error| Failure::Io(module.display().to_string(), error))?;
            let message = bytes.map_or_else(|| text.unwrap_or_default().into_bytes(), |message| message.0);
            let reply = tvm.open(&name, &wasm)?.call(&message)?;
            let printable = reply.iter().all(|byte| (0x20..0x7F).contains(byte));
            let as_text = String::from_utf8_lossy(&reply).into_owned();
            let shown = if printable { format!("{}  {as_text}", hex(&reply)) } else { hex(&reply) };
            output.show(&json!({ "reply": hex(&reply) }), &shown);
        }
        Command::Log => {
            let log = tvm.log()?;
            let text = |line: &[u8]| String::from_utf8_lossy(line).escape_debug().to_string();
            let rows: Vec<_> = log
                .lines
                .iter()
                .map(|line| json!({ "name": line.name.to_string(), "text": text(&line.text) }))
                .collect();
            let mut lines: Vec<_> =
                log.lines.iter().map(|line| format!("{}: {}", line.name, text(&line.text))).collect();
            if log.lost > 0 {
                lines.insert(0, format!("({} older lines were lost)", log.lost));
            }
            output.show(&json!({ "lost": log.lost, "lines": rows }), &lines.join("\n"));
        }
    }
    Ok(())
}

const fn state(state: TrustletState) -> &'static str {
    match state {
        TrustletState::Installed => "installed",
        TrustletState::Active => "active",
        TrustletState::Locked => "locked",
        TrustletState::Removed => "removed",
    }
}

fn bytes(text: &str) -> Result<Message, String> {
    let wrong = || "an even number of hexadecimal digits".to_owned();
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return Err(wrong());
    }
    let byte = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..text.len()).step_by(2).map(byte).collect::<Option<_>>().map(Message).ok_or_else(wrong)
}
