//! Consumer-presented codes (EMV QR Code, consumer-presented mode): the data objects that a phone shows as base64.

use super::tlv::{find, objects};
use crate::Error;

/// Payload format indicator, tag 85: the first object of every code.
pub const FORMAT: [u8; 5] = *b"CPV01";
/// Longest payload in bytes: indicator and one application template with everything that a card puts into it.
pub const MAX_PAYLOAD: usize = 192;
/// Seconds that an issuer takes a code after it was made.
pub const LIFE: u64 = 60;
/// Cryptogram information data, tag 9F27: an ARQC.
pub const ARQC: u8 = 0x80;

/// Payload format indicator.
pub const TAG_FORMAT: u16 = 0x85;
/// Application template: AID, label, track 2, what tells the token, and [`TAG_TRANSPARENT`].
pub const TAG_APPLICATION: u16 = 0x61;
/// Application specific transparent template: the cryptogram and what it was made with.
pub const TAG_TRANSPARENT: u16 = 0x63;

/// The two templates of a code with one application, as our cards make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code<'a> {
    /// The application template's objects.
    pub application: &'a [u8],
    /// The transparent template's, inside the first.
    pub transparent: &'a [u8],
}

impl<'a> Code<'a> {
    /// Takes a payload apart: indicator, one application template with one transparent template, nothing else on top,
    /// and well-formed objects throughout.
    ///
    /// # Errors
    /// [`Error::BadParameters`].
    pub fn parse(payload: &'a [u8]) -> Result<Self, Error> {
        let mut top = objects(payload);
        let mut next = |tag| match top.next() {
            Some(Ok(object)) if object.tag == tag => Ok(object.value),
            _ => Err(Error::BadParameters),
        };
        if next(TAG_FORMAT)? != FORMAT {
            return Err(Error::BadParameters);
        }
        let application = next(TAG_APPLICATION)?;
        let transparent = find(application, TAG_TRANSPARENT).ok_or(Error::BadParameters)?;
        let whole = |level| objects(level).all(|object| object.is_ok());
        if top.next().is_some() || !whole(application) || !whole(transparent) {
            return Err(Error::BadParameters);
        }
        Ok(Self { application, transparent })
    }
}

/// The moment in tag 9F37 of a code: seconds since 1970 UTC, in 32 bits until 2106. The card makes this number itself,
/// so it need not surprise the card; being in every cryptogram, it tells the issuer how old a code is.
///
/// # Errors
/// [`Error::Internal`] after 2106.
pub fn moment(time: u64) -> Result<[u8; 4], Error> {
    u32::try_from(time).map(u32::to_be_bytes).map_err(|_| Error::Internal)
}
