//! `tapvault pad`: the PIN pad that belongs to this phone, and `--pad` of the commands that need it.

use crate::output::{Failure, Output, hex, message};
use clap::Subcommand;
use serde_json::json;
use tapvault::{
    PadLink, Transport, Wallet,
    pad::{connect, pad_keys},
};
use tapvault_proto::pad::{PadKeys, PadSuite, Pairing};

/// Names the pad where no option does.
const VARIABLE: &str = "TAPVAULT_PAD";

/// Where the PIN pad is.
#[derive(clap::Args)]
pub struct Pad {
    /// The PIN pad: a Unix socket's path, or address:port of this machine. TAPVAULT_PAD names it as well.
    #[arg(long, value_name = "ADDRESS")]
    pad: Option<String>,
    /// Algorithms between PIN trusted app and pad: p256 or sm2.
    #[arg(long, value_name = "SUITE", default_value = "p256", value_parser = suite)]
    pad_suite: PadSuite,
}

impl Pad {
    /// Connects to the pad, and has the wallet speak its suite.
    ///
    /// # Errors
    /// Without a pad, or a connection to it; the text says what to do.
    pub fn open<T: Transport>(&self, wallet: &mut Wallet<T>) -> Result<Box<dyn PadLink>, Failure> {
        wallet.choose_pad_suite(self.pad_suite);
        let named = self.pad.clone().or_else(|| std::env::var(VARIABLE).ok());
        let address = named.filter(|address| !address.is_empty()).ok_or_else(|| {
            Failure::Content(format!(
                "a PIN is typed on a PIN pad, and none is named: start `tapvault-pad`, \
                 and give its address with --pad or {VARIABLE}"
            ))
        })?;
        connect(&address).map_err(|error| {
            Failure::Io(format!("PIN pad {address}: is `tapvault-pad` running there? "), error)
        })
    }
}

/// The PIN pad of this phone. The factory pairs the two, once for each pad.
#[derive(Subcommand)]
#[command(after_help = "Example:
  tapvault pad keys --pad /run/tapvault/pad --json > pad-keys.json
  tapvault-bank pair-pad pad-keys.json > pairing.json
  tapvault pad pair --pad /run/tapvault/pad pairing.json")]
pub enum Command {
    /// Shows the keys of phone and pad, for the factory; reaches both on the factory's line.
    Keys {
        #[command(flatten)]
        pad: Pad,
    },
    /// Gives both the pairing that the factory made.
    Pair {
        /// The pairing, JSON; - is standard input.
        pairing: String,
        #[command(flatten)]
        pad: Pad,
    },
    /// Shows the phone's keys for a pad, and which pad it is paired with.
    Ls,
}

/// Runs the command.
///
/// # Errors
/// The trusted app's or the pad's refusal, or a file's.
pub fn run<T: Transport>(command: Command, wallet: &mut Wallet<T>, output: &Output) -> Result<(), Failure> {
    match command {
        Command::Keys { pad } => {
            let pad = pad_keys(&mut pad.open(wallet)?)?;
            let state = wallet.pad_state()?;
            let kept = state.pairing.map_or(0, |pairing| pairing.sequence);
            output.show(
                &json!({ "tee": keys(&state.keys), "pad": keys(&pad), "kept": kept }),
                &format!("{}\n{}\nkept:   pairing {kept}", text("phone", &state.keys), text("pad", &pad)),
            );
        }
        Command::Pair { pairing, pad } => {
            let pairing: Pairing = message(&pairing, "pairing")?;
            let mut pad = pad.open(wallet)?;
            wallet.pair_pad(pairing, &mut pad)?;
            output.show(
                &json!({ "paired": pairing.sequence }),
                &format!("paired, number {}", pairing.sequence),
            );
        }
        Command::Ls => {
            let state = wallet.pad_state()?;
            let paired =
                state.pairing.map(|pairing| json!({ "number": pairing.sequence, "pad": keys(&pairing.pad) }));
            let said = state.pairing.map_or_else(
                || "no PIN pad is paired".into(),
                |pairing| format!("{}\nby pairing {}", text("pad", &pairing.pad), pairing.sequence),
            );
            output.show(
                &json!({ "tee": keys(&state.keys), "paired": paired }),
                &format!("{}\n{said}", text("phone", &state.keys)),
            );
        }
    }
    Ok(())
}

fn keys(keys: &PadKeys) -> serde_json::Value {
    json!({ "key": hex(&keys.key), "sm2_key": hex(&keys.sm2_key) })
}

fn text(of: &str, keys: &PadKeys) -> String {
    format!("{of}:\n  P-256: {}\n  SM2:   {}", hex(&keys.key), hex(&keys.sm2_key))
}

fn suite(text: &str) -> Result<PadSuite, String> {
    match text {
        "p256" => Ok(PadSuite::P256),
        "sm2" => Ok(PadSuite::Sm2),
        _ => Err("p256 or sm2".into()),
    }
}
