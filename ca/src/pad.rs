//! Where PIN digits come from.

use std::io::{self, BufRead, Write};
use tapvault_proto::pin::Pin;
use zeroize::Zeroizing;

/// What a pad asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// The PIN that is set.
    Present,
    /// A new PIN.
    New,
    /// The PIN of the card at its bank.
    Bank,
}

/// A source of PIN digits.
pub trait PinPad {
    /// Asks the holder.
    ///
    /// # Errors
    /// When nothing, or no PIN, was entered.
    fn ask(&mut self, prompt: Prompt) -> io::Result<Pin>;
}

/// A pad in the normal world that reads lines: **INSECURE**, everything in this process and below it
/// sees the PIN. It exists for tests until the encrypted PIN pad does its work.
pub struct InsecureTestPad<R> {
    input: R,
    shown: Box<dyn Write>,
}

/// What the insecure pad says before each PIN.
pub const INSECURE_NOTICE: &str = "INSECURE TEST PAD: the normal world sees what you type.";

impl<R: BufRead> InsecureTestPad<R> {
    /// A pad that reads from `input` and prompts on `shown`.
    pub fn new(input: R, shown: impl Write + 'static) -> Self {
        Self { input, shown: Box::new(shown) }
    }
}

impl<R: BufRead> InsecureTestPad<R> {
    /// Asks for one line, wiped when dropped.
    pub(crate) fn ask_line(&mut self, what: &str) -> io::Result<Zeroizing<String>> {
        writeln!(self.shown, "{INSECURE_NOTICE} {what}:")?;
        let mut line = Zeroizing::new(String::with_capacity(32));
        self.input.read_line(&mut line)?;
        Ok(line)
    }
}

impl<R: BufRead> PinPad for InsecureTestPad<R> {
    fn ask(&mut self, prompt: Prompt) -> io::Result<Pin> {
        let what = match prompt {
            Prompt::Present => "PIN",
            Prompt::New => "new PIN",
            Prompt::Bank => "bank PIN",
        };
        let line = self.ask_line(&format!("{what} (4 to 12 digits)"))?;
        Pin::from_ascii(line.trim().as_bytes())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }
}
