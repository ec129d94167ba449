//! BER-TLV as EMV Book 3, annex B uses it: tags of one or two bytes, lengths up to 255.

use crate::Error;
use heapless::Vec;

/// One data object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// The tag: one byte, or two with the first in the high byte.
    pub tag: u16,
    /// The value.
    pub value: &'a [u8],
}

/// Iterates over the data objects of one level; stops after the first malformed one.
pub struct Objects<'a> {
    rest: &'a [u8],
}

/// The data objects of one level of `bytes`.
#[must_use]
pub fn objects(bytes: &[u8]) -> Objects<'_> {
    Objects { rest: bytes }
}

/// The value of the first object with this tag on this level.
#[must_use]
pub fn find(bytes: &[u8], tag: u16) -> Option<&[u8]> {
    objects(bytes).filter_map(Result::ok).find(|tlv| tlv.tag == tag).map(|tlv| tlv.value)
}

impl<'a> Iterator for Objects<'a> {
    type Item = Result<Tlv<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let parsed = parse(self.rest);
        self.rest = parsed.as_ref().map_or(&[], |(_, rest)| rest);
        Some(parsed.map(|(tlv, _)| tlv))
    }
}

fn parse(bytes: &[u8]) -> Result<(Tlv<'_>, &[u8]), Error> {
    let (tag, rest) = match bytes {
        [first, second, rest @ ..] if first & 0x1F == 0x1F && second & 0x80 == 0 => {
            (u16::from_be_bytes([*first, *second]), rest)
        }
        [first, rest @ ..] if first & 0x1F != 0x1F => (u16::from(*first), rest),
        _ => return Err(Error::BadParameters),
    };
    let (len, rest) = match rest {
        [0x81, len, rest @ ..] => (*len, rest),
        [len, rest @ ..] if *len < 0x80 => (*len, rest),
        _ => return Err(Error::BadParameters),
    };
    let (value, rest) = rest.split_at_checked(usize::from(len)).ok_or(Error::BadParameters)?;
    Ok((Tlv { tag, value }, rest))
}

/// Appends one data object.
///
/// # Errors
/// [`Error::Internal`] when it does not fit, or the value is longer than 255 bytes.
pub fn push<const N: usize>(out: &mut Vec<u8, N>, tag: u16, value: &[u8]) -> Result<(), Error> {
    let [high, low] = tag.to_be_bytes();
    let len = u8::try_from(value.len()).map_err(|_| Error::Internal)?;
    let mut append = |bytes: &[u8]| out.extend_from_slice(bytes).map_err(|_| Error::Internal);
    if high != 0 {
        append(&[high])?;
    }
    append(&[low])?;
    if len >= 0x80 {
        append(&[0x81])?;
    }
    append(&[len])?;
    append(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec as StdVec;

    #[test]
    fn reads_the_quickpass_trace() {
        let body = [0x82, 0x02, 0x7C, 0x00, 0x9F, 0x36, 0x02, 0x0A, 0xDC];
        let read: StdVec<_> = objects(&body).map(Result::unwrap).collect();
        assert_eq!(
            read,
            [Tlv { tag: 0x82, value: &[0x7C, 0x00] }, Tlv { tag: 0x9F36, value: &[0x0A, 0xDC] }]
        );
        assert_eq!(find(&body, 0x9F36), Some(&[0x0A, 0xDC][..]));
    }

    #[test]
    fn refuses_what_runs_past_the_end() {
        for bad in [&[0x82][..], &[0x82, 2, 0], &[0x9F], &[0x9F, 0x81, 0x01], &[0x82, 0x82, 0, 0]] {
            assert!(objects(bad).any(|object| object.is_err()), "{bad:02X?}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        let mut out: Vec<u8, 300> = Vec::new();
        push(&mut out, 0x77, &[7; 200]).unwrap();
        push(&mut out, 0x9F10, &[]).unwrap();
        assert_eq!(&out[..3], [0x77, 0x81, 200]);
        assert_eq!(objects(&out).map(Result::unwrap).count(), 2);
    }
}
