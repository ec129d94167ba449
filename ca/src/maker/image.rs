//! The TVM's image: checks that it is ours, and stamps it for a provider.
//!
//! Whoever signs native code can stop OP-TEE, so nothing is signed that is not the one image: its digest,
//! with stamp and UUID blanked, has to be among those approved, and its properties have to be the TVM's.

use super::MakerError;
use object::{Object, ObjectSection};
use sha2::{Digest, Sha256};
use tapvault_proto::id::{ProviderId, Uuid};

/// The mark in front of the stamp; see `ta/tvm/src/main.rs`.
const MARK: &[u8; 16] = b"TapVault stamp 1";
/// The section that begins with a trusted app's header: UUID, stack size, flags (`user_ta_header.h`).
const HEAD_SECTION: &str = ".ta_head";
/// `TA_FLAG_SINGLE_INSTANCE`, `TA_FLAG_MULTI_SESSION`, `TA_FLAG_INSTANCE_KEEP_ALIVE`; above all not
/// `TA_FLAG_CONCURRENT`, with which OP-TEE 4.5 lets threads into the core's own data.
const FLAGS: u32 = 0x04 | 0x08 | 0x10;

/// The TVM's image, checked.
pub struct Image {
    bytes: Vec<u8>,
    uuid_at: usize,
    stamp_at: usize,
}

impl Image {
    /// Takes an ELF file apart.
    ///
    /// # Errors
    /// [`MakerError::Image`] for anything that is not built like a TVM.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, MakerError> {
        let file = object::File::parse(bytes.as_slice()).map_err(|_| MakerError::Image("not an ELF file"))?;
        let head = file.section_by_name(HEAD_SECTION).and_then(|section| section.file_range());
        let (uuid_at, len) = head.ok_or(MakerError::Image("no trusted app: it has no section .ta_head"))?;
        let uuid_at = usize::try_from(uuid_at).map_err(|_| MakerError::Image("too long"))?;
        // uuid (16), stack_size (4), flags (4).
        let flags = bytes.get(uuid_at + 20..uuid_at + 24).filter(|_| len >= 24);
        let flags = flags.and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
        match flags {
            Some(FLAGS) => {}
            Some(flags) if flags & 0x100 != 0 => {
                return Err(MakerError::Image("it has the flag CONCURRENT, which breaks OP-TEE's core"));
            }
            _ => return Err(MakerError::Image("its properties are not a TVM's")),
        }
        let mut marks = bytes.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
        let (Some((mark, _)), None) = (marks.next(), marks.next()) else {
            return Err(MakerError::Image("it has no place for one stamp"));
        };
        let stamp_at = mark + MARK.len();
        if bytes.len() < stamp_at + 16 + 65 {
            return Err(MakerError::Image("it has no place for one stamp"));
        }
        Ok(Self { bytes, uuid_at, stamp_at })
    }

    /// SHA-256 of the image with UUID and stamp blanked: the same for every provider.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut bytes = self.bytes.clone();
        self.write(&mut bytes, &[0; 16], &[0; 16], &[0; 65]);
        Sha256::digest(bytes).into()
    }

    /// The image of one provider's TVM.
    #[must_use]
    pub fn stamped(&self, uuid: Uuid, provider: ProviderId, key: &[u8; 65]) -> Vec<u8> {
        let [a, b, c, d, e, f, g, h, rest @ ..] = uuid.0;
        // A struct of one u32 and two u16, little-endian, then bytes.
        let mut head = [d, c, b, a, f, e, h, g, 0, 0, 0, 0, 0, 0, 0, 0];
        head.iter_mut().skip(8).zip(rest).for_each(|(slot, byte)| *slot = byte);
        let mut bytes = self.bytes.clone();
        self.write(&mut bytes, &head, &provider.0, key);
        bytes
    }

    fn write(&self, bytes: &mut [u8], uuid: &[u8; 16], provider: &[u8; 16], key: &[u8; 65]) {
        let mut put = |at: usize, value: &[u8]| {
            bytes.iter_mut().skip(at).zip(value).for_each(|(slot, byte)| *slot = *byte);
        };
        put(self.uuid_at, uuid);
        put(self.stamp_at, provider);
        put(self.stamp_at + provider.len(), key);
    }
}
