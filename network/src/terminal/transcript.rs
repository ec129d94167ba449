//! What was said between terminal and card, in bytes and in words.

use super::words::{status_meaning, tag_name};
use serde::Serialize;
use std::fmt::Write;
use tapvault_proto::emv::tlv;

/// Deepest nesting of templates that is shown.
const MAX_DEPTH: u8 = 6;

/// A command and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exchange {
    /// The command APDU.
    #[serde(with = "hex::serde")]
    pub command: Vec<u8>,
    /// The response as received, status word included; empty when none came.
    #[serde(with = "hex::serde")]
    pub response: Vec<u8>,
    /// Both in words.
    pub meaning: Meaning,
    /// The response's data objects in order of appearance, templates before their contents.
    pub objects: Vec<DataObject>,
}

/// An exchange in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Meaning {
    /// What the terminal asked.
    pub asked: String,
    /// What the card answered.
    pub answered: String,
    /// What the status word says; empty when none came.
    pub status: String,
}

/// A data object of a response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DataObject {
    /// How many templates it lies in.
    pub depth: u8,
    /// The tag in hexadecimal.
    pub tag: String,
    /// Its name.
    pub name: &'static str,
    /// The value in hexadecimal; of a template, empty.
    pub value: String,
}

/// Every exchange of one card, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Transcript {
    /// The exchanges.
    pub exchanges: Vec<Exchange>,
}

impl Transcript {
    /// Notes a command; the answer is added by [`Self::answered`].
    pub(super) fn asked(&mut self, command: &[u8], asked: String) {
        let answered = "no answer".to_owned();
        let meaning = Meaning { asked, answered, status: String::new() };
        let (command, response) = (command.to_vec(), Vec::new());
        self.exchanges.push(Exchange { command, response, meaning, objects: Vec::new() });
    }

    /// Adds the answer to the last command.
    pub(super) fn answered(&mut self, response: &[u8]) {
        let Some(last) = self.exchanges.last_mut() else { return };
        response.clone_into(&mut last.response);
        if let Some((data, status)) = response.split_last_chunk::<2>() {
            let status = u16::from_be_bytes(*status);
            last.meaning.status = format!("{status:04X} {}", status_meaning(status));
            last.meaning.answered = status_meaning(status).to_owned();
            list(data, 0, &mut last.objects);
        }
    }

    /// Says the last answer in better words.
    pub(super) fn explain(&mut self, answered: String) {
        if let Some(last) = self.exchanges.last_mut() {
            last.meaning.answered = answered;
        }
    }

    /// The transcript for people, indented. `paint` decorates what the terminal asked and what the card
    /// answered, for a screen with colours.
    #[must_use]
    pub fn to_text(&self, paint: fn(Speaker, &str) -> String) -> String {
        let mut text = String::new();
        for exchange in &self.exchanges {
            let Meaning { asked, answered, status } = &exchange.meaning;
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", paint(Speaker::Terminal, &format!("> {asked}")));
            let _ = writeln!(text, "    {}", hex::encode_upper(&exchange.command));
            let _ = writeln!(text, "{}", paint(Speaker::Card, &format!("< {answered}")));
            if !status.is_empty() {
                let _ = writeln!(text, "    status {status}");
            }
            if exchange.objects.is_empty() && exchange.response.len() > 2 {
                let _ = writeln!(text, "    {}", hex::encode_upper(&exchange.response));
            }
            for object in &exchange.objects {
                let DataObject { depth, tag, name, value } = object;
                let tag = format!("{:indent$}{tag}", "", indent = 2 * usize::from(*depth));
                let line = format!("    {tag:<11} {name:<36} {value}");
                let _ = writeln!(text, "{}", line.trim_end());
            }
            text.push('\n');
        }
        text
    }
}

/// Who speaks, see [`Transcript::to_text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The terminal.
    Terminal,
    /// The card.
    Card,
}

/// Lists the objects of one level; what is no data object ends the list without a word, since the flow
/// itself reports it.
fn list(data: &[u8], depth: u8, out: &mut Vec<DataObject>) {
    for object in tlv::objects(data) {
        let Ok(object) = object else { return };
        let first = if object.tag > 0xFF { object.tag >> 8 } else { object.tag };
        let template = first & 0x20 != 0 && depth < MAX_DEPTH;
        let tag =
            if object.tag > 0xFF { format!("{:04X}", object.tag) } else { format!("{:02X}", object.tag) };
        let value = if template { String::new() } else { hex::encode_upper(object.value) };
        out.push(DataObject { depth, tag, name: tag_name(object.tag), value });
        if template {
            list(object.value, depth + 1, out);
        }
    }
}
