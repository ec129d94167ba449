//! The way to the service platform: a command that answers.

use crate::output::{Failure, hex, message_of};
use std::{
    env,
    io::{self, Write},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tapvault::{PlatformLink, Transport, Wallet};
use tapvault_proto::{
    freshness::{FreshnessQuestion, FreshnessStatement},
    wire::{Wire, encode_into},
};

/// Names the command.
const VARIABLE: &str = "TAPVAULT_PLATFORM";
/// How long it may take: the pad's session waits for its entry, and is over by then.
const PATIENCE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(10);

/// Asks by a shell command: question at its standard input, statement at its standard output, both JSON.
struct ByCommand(String);

impl PlatformLink for ByCommand {
    fn ask(&mut self, question: &FreshnessQuestion) -> io::Result<FreshnessStatement> {
        let question = encoded(question).map_err(|error| io::Error::other(error.to_string()))?;
        let mut child = Command::new("/bin/sh")
            .args(["-c", &self.0])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // What ends without reading says more by its status.
            let _ = input.write_all(serde_json::json!({ "question": question }).to_string().as_bytes());
        }
        // An answer fits a pipe: nobody has to read before it ends.
        let begun = Instant::now();
        while child.try_wait()?.is_none() {
            if begun.elapsed() > PATIENCE {
                child.kill()?;
                child.wait()?;
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("`{}` does not answer", self.0)));
            }
            thread::sleep(STEP);
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            return Err(io::Error::other(format!("`{}` ended with {}", self.0, output.status)));
        }
        message_of(&output.stdout, "statement")
            .ok_or_else(|| io::Error::other(format!("`{}` printed no statement", self.0)))
    }
}

/// A message in hexadecimal digits.
///
/// # Errors
/// Never: there is room for the longest.
pub fn encoded<M: Wire>(message: &M) -> Result<String, Failure> {
    let mut bytes = vec![0; M::MAX];
    let length = encode_into(message, &mut bytes).map_err(|error| Failure::Content(error.to_string()))?;
    Ok(hex(bytes.get(..length).unwrap_or_default()))
}

/// A wallet with the way to the platform that the environment names.
pub fn wallet<T: Transport>(transport: T) -> Wallet<T> {
    let wallet = Wallet::new(transport);
    match env::var(VARIABLE) {
        Ok(command) if !command.is_empty() => wallet.with_platform(ByCommand(command)),
        _ => wallet,
    }
}
