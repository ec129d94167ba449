//! Somebody between a terminal and a card.

use std::io;
use tapvault_network::frame::CardLink;

/// What becomes of bytes on their way.
pub type Change = fn(&mut Vec<u8>);

/// A link that changes what passes.
pub struct Middle<L> {
    pub link: L,
    /// Changes commands on their way to the card.
    pub command: Change,
    /// Changes answers on their way to the terminal.
    pub answer: Change,
}

impl<L: CardLink> CardLink for Middle<L> {
    fn power_on(&mut self) -> io::Result<Vec<u8>> {
        self.link.power_on()
    }
    fn transmit(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        let mut command = command.to_vec();
        (self.command)(&mut command);
        let mut answer = self.link.transmit(&command)?;
        (self.answer)(&mut answer);
        Ok(answer)
    }
}

/// Lets bytes pass as they are.
pub fn nothing(_: &mut Vec<u8>) {}

/// Changes the value of a data object in an answer, where it is.
pub fn change(answer: &mut [u8], tag: &[u8], by: impl Fn(&mut [u8])) {
    if let Some(at) = answer.windows(tag.len()).position(|window| window == tag) {
        let len = usize::from(answer[at + tag.len()]);
        by(&mut answer[at + tag.len() + 1..][..len]);
    }
}

/// Changes the terminal's data in GET PROCESSING OPTIONS, qualifiers first.
pub fn options(command: &mut [u8], by: impl Fn(&mut [u8])) {
    if command.starts_with(&[0x80, 0xA8]) {
        by(&mut command[7..]);
    }
}
