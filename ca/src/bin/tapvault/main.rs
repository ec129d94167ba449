//! The `tapvault` command: a wallet on the command line, and the tools of makers and providers.

#[cfg(feature = "optee")]
mod bind;
#[cfg(feature = "optee")]
mod cards;
#[cfg(feature = "optee")]
mod element;
mod maker;
#[cfg(feature = "optee")]
mod nfc;
#[cfg(feature = "optee")]
mod offline;
mod output;
#[cfg(feature = "optee")]
mod pads;
#[cfg(feature = "optee")]
mod pay;
#[cfg(feature = "optee")]
mod pins;
#[cfg(feature = "optee")]
mod platform;
#[cfg(feature = "optee")]
mod route;
#[cfg(feature = "optee")]
mod tap;
#[cfg(feature = "optee")]
mod tee;
#[cfg(feature = "optee")]
mod trustlets;

use clap::{Parser, Subcommand};
use output::{Failure, Output};
use std::process::ExitCode;

/// Virtual bank cards and trustlets, held by trusted apps on OP-TEE.
///
/// On a device: cards come as packages that a bank seals for a challenge of this device; the wallet PIN is set with the
/// bank's ticket; `tap` presents a card to a terminal, `pay` pays without one; `trustlet` runs a bank's own program in
/// its TVM; `tee` shows what the supervisor knows. The user or group of this process must be admitted by the platform's
/// policy. Anywhere: `platform` and `provider` sign what devices accept.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example, with the lab's bank:
  tapvault card device-key --json > device-key.json
  tapvault-bank certify-device device-key.json > certificate.json
  tapvault card certify certificate.json
  tapvault card challenge --json > challenge.json
  tapvault-bank issue --state bank.json --challenge challenge.json > package.json
  tapvault card add package.json
  tapvault card list
Exit status: 0 done, 1 refused, 2 wrong usage."
)]
struct Arguments {
    /// Prints JSON on standard output, and errors as JSON on standard error.
    #[arg(long, global = true)]
    json: bool,
    #[cfg(feature = "optee")]
    /// Proves a group id instead of the user id.
    #[arg(long, global = true, value_name = "GID")]
    group: Option<u32>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[cfg(feature = "optee")]
    /// Shows whether the trusted apps answer, and how many cards there are.
    Status,
    #[cfg(feature = "optee")]
    /// Adds and shows cards, and moves their tokens through life.
    #[command(subcommand)]
    Card(cards::Command),
    #[cfg(feature = "optee")]
    /// Binds a card: gives its bank what is printed on it, sealed, or a chip card's own answer.
    #[command(subcommand)]
    Bind(bind::Command),
    #[cfg(feature = "optee")]
    /// Shows and pairs the PIN pad, on which every PIN is typed.
    #[command(subcommand)]
    Pad(pads::Command),
    #[cfg(feature = "optee")]
    /// Sets, verifies and changes the wallet PIN.
    #[command(subcommand)]
    Pin(pins::Command),
    #[cfg(feature = "optee")]
    /// Switches NFC on and off.
    #[command(subcommand)]
    Nfc(nfc::Command),
    #[cfg(feature = "optee")]
    /// Shows and loads what a card may pay without asking its issuer.
    #[command(subcommand)]
    Offline(offline::Command),
    #[cfg(feature = "optee")]
    /// Routes cards to the TEE or the secure element, and chooses the default card and app.
    #[command(subcommand)]
    Route(route::Command),
    #[cfg(feature = "optee")]
    /// Puts cards into the lab's secure element, and presents them from there.
    Element(element::Arguments),
    #[cfg(feature = "optee")]
    /// Presents a card to a contactless terminal.
    Tap(tap::Arguments),
    #[cfg(feature = "optee")]
    /// Pays with a code, or a signed request of an app or online shop.
    #[command(subcommand)]
    Pay(pay::Command),
    #[cfg(feature = "optee")]
    /// Installs, moves and calls a provider's trustlets.
    Trustlet(trustlets::Arguments),
    #[cfg(feature = "optee")]
    /// Shows the supervisor's registry, quotas and audit log (needs the boot service's group).
    #[command(subcommand)]
    Tee(tee::Command),
    /// What a device maker does once for every provider.
    #[command(subcommand)]
    Platform(maker::Platform),
    /// What a provider does with its own key, asking nobody.
    #[command(subcommand)]
    Provider(maker::Provider),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::new(arguments.json);
    match run(arguments, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(1)
        }
    }
}

fn run(arguments: Arguments, output: &Output) -> Result<(), Failure> {
    match arguments.command {
        Command::Platform(command) => maker::platform(command, output),
        Command::Provider(command) => maker::provider(command, output),
        #[cfg(feature = "optee")]
        command => on_device(command, arguments.group, output),
    }
}

#[cfg(feature = "optee")]
fn on_device(command: Command, group: Option<u32>, output: &Output) -> Result<(), Failure> {
    use platform::wallet;
    use tapvault::{
        optee::{Login, Optee},
        wallet::Status,
    };
    let tee = Optee::connect(group.map_or(Login::User, Login::Group))?;
    match command {
        Command::Status => {
            let Status { cards, lab } = wallet(tee).status()?;
            output.show(
                &serde_json::json!({ "protocol": tapvault_proto::PROTOCOL_VERSION, "cards": cards, "lab": lab }),
                &format!("trusted apps: ready\nkeys:         {}\ncards:        {cards}", output::keys(lab)),
            );
            Ok(())
        }
        Command::Card(command) => cards::run(command, &mut wallet(tee), output),
        Command::Bind(command) => bind::run(command, &mut wallet(tee), output),
        Command::Pad(command) => pads::run(command, &mut wallet(tee), output),
        Command::Pin(command) => pins::run(command, &mut wallet(tee), output),
        Command::Nfc(command) => nfc::run(command, &mut wallet(tee), output),
        Command::Offline(command) => offline::run(command, &mut wallet(tee), output),
        Command::Route(command) => route::run(command, &mut wallet(tee), output),
        Command::Element(arguments) => element::run(arguments, &mut wallet(tee), output),
        Command::Pay(command) => pay::run(command, &mut wallet(tee), output),
        Command::Tap(arguments) => tap::run(&arguments, &mut wallet(tee), output),
        Command::Trustlet(arguments) => trustlets::run(arguments, &tee, output),
        Command::Tee(command) => tee::run(command, &tee, output),
        // Done before a device was looked for.
        Command::Platform(_) | Command::Provider(_) => Ok(()),
    }
}
