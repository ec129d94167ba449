//! `tapvault-pad`: a PIN pad on a terminal, or without one for tests.

#![forbid(unsafe_code)]

mod headless;
mod line;
mod output;
mod run;

use clap::{ArgGroup, Parser};
use line::Place;
use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};
use tapvault_pad::LAB_FACTORY_ROOT;

/// A PIN pad: shows what is paid and to whom, takes the PIN, and sends it encrypted to the PIN trusted app of the phone
/// that the factory paired it with. What carries the messages, the phone's rich system included, learns nothing of it.
///
/// On a terminal it fills the screen. Digits change places each time, and a press of the letter beside a digit types
/// it, so that who hears keys learns nothing either; what is typed is not shown.
#[derive(Parser)]
#[command(
    version,
    group(ArgGroup::new("where").required(true).args(["listen", "device"])),
    after_help = "Example: the pad in one window, the phone in another.
  tapvault-pad --state pad --listen /run/user/1000/pad.sock
  tapvault pad --help                          (pairs the phone with the pad, and uses it)
In a test, with a PIN from a file, for one connection:
  tapvault-pad --state pad --listen 127.0.0.1:35964 --headless --pin-file pin.txt --json --once
A script answers each entry with one line of JSON, in order:
  {\"pin\":\"123456\"}                            typed twice where a new PIN is asked for
  {\"pin\":\"123456\",\"new\":\"654321\"}             the present PIN, and a new one
  {\"number\":\"6299990000000017\",\"expiry\":\"1231\",\"cvn2\":\"123\"}        expiry as on the card: month, year
  {\"keys\":\"12<3456E\"}                         digits, < for Clear, E for Enter, C for Cancel
  {\"cancel\":true}    {\"wait\":true}             Cancel; nothing until the time is over
Keys and pairing are in --state; a new folder is a new pad, which has to be paired. docs/pin-pad.md has the protocol.
Exit status: 0 ended as asked, 1 an error, 2 wrong usage."
)]
struct Arguments {
    /// Folder with the pad's keys and pairing; made when missing, for its owner alone.
    #[arg(long, value_name = "FOLDER")]
    state: PathBuf,
    /// Where the phone's relay connects: a path for a Unix socket, or an address of this machine such as
    /// 127.0.0.1:35964; port 0 takes a free one.
    #[arg(long, value_name = "PATH|ADDRESS", value_parser = listen)]
    listen: Option<Place>,
    /// A line to the relay: a serial device or virtio port, or the Unix socket that QEMU offers for one.
    #[arg(long, value_name = "PATH")]
    device: Option<PathBuf>,
    /// P-256 key of the factory whose pairings are taken, 130 hexadecimal digits; the lab's when left out.
    #[arg(long, value_name = "HEX130", default_value = LAB_FACTORY_ROOT, hide_default_value = true, value_parser = root)]
    factory_root: Root,
    /// Without a screen: entries are answered from --pin-file or --script. For tests.
    #[arg(long)]
    headless: bool,
    /// A PIN that is typed at each entry; a second line is the new one where it is changed. /dev/fd/3 is descriptor 3.
    #[arg(long, value_name = "FILE", requires = "headless", conflicts_with = "script")]
    pin_file: Option<PathBuf>,
    /// What is typed at one entry after the other, in lines of JSON; - is standard input. What is not in it is
    /// cancelled.
    #[arg(long, value_name = "FILE", requires = "headless")]
    script: Option<PathBuf>,
    /// Sends at once, by a clock that jumps: the time of a message then tells how long the holder typed. Tests only.
    #[arg(long, requires = "headless")]
    no_wait: bool,
    /// Tells what happens in lines of JSON, never with digits. On a full screen it is told on standard error, if that
    /// goes to a file.
    #[arg(long)]
    json: bool,
    /// Ends when the first connection ends.
    #[arg(long)]
    once: bool,
    /// Ends when there was no connection for so long.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    idle_exit: Option<u32>,
    /// Written, with the address in it, once the relay can connect.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

/// A factory's key.
#[derive(Clone, Copy)]
struct Root([u8; 65]);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.json;
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::failed(json, &error);
            ExitCode::from(1)
        }
    }
}

fn run(arguments: Arguments) -> Result<(), String> {
    let Arguments {
        state,
        listen,
        device,
        factory_root,
        headless,
        pin_file,
        script,
        no_wait,
        json,
        once,
        ..
    } = arguments;
    let place = listen.or(device.map(Place::Device)).ok_or("neither --listen nor --device")?;
    let holder = match (headless, pin_file, script) {
        (false, ..) => run::Holder::Terminal,
        (true, Some(file), _) => run::Holder::Script(headless::Script::one_pin(&file)?),
        (true, None, Some(file)) => run::Holder::Script(headless::Script::lines(&file)?),
        (true, None, None) => run::Holder::Script(headless::Script::nobody()),
    };
    let idle_exit = arguments.idle_exit.map(|seconds| Duration::from_secs(seconds.into()));
    let ready_file = arguments.ready_file;
    let options = run::Options {
        state,
        place,
        factory_root: factory_root.0,
        no_wait,
        json,
        once,
        idle_exit,
        ready_file,
    };
    run::run(options, holder)
}

fn listen(text: &str) -> Result<Place, String> {
    if text.contains('/') {
        return Ok(Place::Unix(text.into()));
    }
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "a path with a / in it, or an address and a port such as 127.0.0.1:35964")?;
    if address.ip().is_loopback() {
        Ok(Place::Tcp(address))
    } else {
        Err("only this machine's own addresses: 127.0.0.1 or [::1]; a pad is a peripheral of one phone"
            .into())
    }
}

fn root(text: &str) -> Result<Root, String> {
    let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes
        .filter(|bytes: &[u8; 65]| bytes.first() == Some(&4))
        .map(Root)
        .ok_or_else(|| "130 hexadecimal digits that begin with 04: a P-256 key, uncompressed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_in_order() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn only_this_machine_is_listened_at() {
        assert!(matches!(listen("./pad.sock"), Ok(Place::Unix(_))));
        assert!(matches!(listen("127.0.0.1:0"), Ok(Place::Tcp(_))));
        for bad in ["0.0.0.0:35964", "192.168.1.2:1", "pad.sock", "localhost:1", ""] {
            assert!(listen(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_labs_factory_is_the_one_that_trusted_apps_believe() {
        assert_eq!(root(LAB_FACTORY_ROOT).unwrap().0, tapvault_trust::FACTORY_ROOT.0);
        for bad in ["", "04", &LAB_FACTORY_ROOT[2..], &LAB_FACTORY_ROOT.replacen("04", "02", 1)] {
            assert!(root(bad).is_err(), "{bad}");
        }
    }
}
