//! What the element does behind its channel: keeps a few objects.

use super::status;
use std::collections::BTreeMap;
use tapvault_proto::emv::apdu::Command;

/// Most objects.
pub(super) const MAX_OBJECTS: usize = 8;
/// Most bytes of an object.
pub(super) const MAX_OBJECT: usize = 128;

/// The objects by their tags, P1 and P2 of PUT DATA and GET DATA.
#[derive(Default)]
pub(super) struct Applet {
    objects: BTreeMap<[u8; 2], Vec<u8>>,
}

impl Applet {
    /// The objects.
    pub(super) const fn objects(&self) -> &BTreeMap<[u8; 2], Vec<u8>> {
        &self.objects
    }

    /// One with these objects; `None` for more, or longer ones, than fit.
    pub(super) fn restored(objects: BTreeMap<[u8; 2], Vec<u8>>) -> Option<Self> {
        let fits = |object: &Vec<u8>| (1..=MAX_OBJECT).contains(&object.len());
        (objects.len() <= MAX_OBJECTS && objects.values().all(fits)).then_some(Self { objects })
    }

    /// Answers a command that came through the channel, in clear: data and status word.
    pub(super) fn answer(&mut self, command: &Command<'_>) -> Result<(Vec<u8>, u16), u16> {
        if command.cla != 0x80 {
            return Err(status::UNKNOWN_CLASS);
        }
        let tag = [command.p1, command.p2];
        match command.ins {
            0xDA => self.put(tag, command.data),
            0xCA if !command.data.is_empty() => Err(status::WRONG_LENGTH),
            0xCA => Ok(match self.objects.get(&tag) {
                Some(object) => (object.clone(), status::OK),
                None => (Vec::new(), status::NO_DATA),
            }),
            _ => Err(status::UNKNOWN_INSTRUCTION),
        }
    }

    fn put(&mut self, tag: [u8; 2], object: &[u8]) -> Result<(Vec<u8>, u16), u16> {
        if object.is_empty() || object.len() > MAX_OBJECT {
            return Err(status::WRONG_LENGTH);
        }
        if self.objects.len() == MAX_OBJECTS && !self.objects.contains_key(&tag) {
            return Err(status::FULL);
        }
        self.objects.insert(tag, object.to_vec());
        Ok((Vec::new(), status::OK))
    }
}
