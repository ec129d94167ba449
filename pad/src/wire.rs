//! Messages on a stream: two bytes of length, big-endian, then so many bytes.

use std::io::{self, Read, Write};
use tapvault_proto::{
    pad::{MAX_PAD_MESSAGE, PadMessage},
    wire::encode_into,
};

/// Reads a message: its bytes, or nothing at the end of the stream.
///
/// # Errors
/// The stream's; [`io::ErrorKind::InvalidData`] for a length of 0 or of more than a message has, after which the stream
/// has no order any more.
pub fn read(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut len = [0; 2];
    let [first, second] = &mut len;
    // The stream may end here, and nowhere else.
    if read_first(stream, first)?.is_none() {
        return Ok(None);
    }
    stream.read_exact(std::slice::from_mut(second))?;
    let len = usize::from(u16::from_be_bytes(len));
    if !(1..=MAX_PAD_MESSAGE).contains(&len) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a message of {len} bytes; they have 1 to {MAX_PAD_MESSAGE}"),
        ));
    }
    let mut message = vec![0; len];
    stream.read_exact(&mut message)?;
    Ok(Some(message))
}

fn read_first(stream: &mut impl Read, byte: &mut u8) -> io::Result<Option<()>> {
    loop {
        match stream.read(std::slice::from_mut(byte)) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
}

/// Writes a message, in one piece.
///
/// # Errors
/// The stream's.
pub fn write(stream: &mut impl Write, message: &PadMessage) -> io::Result<()> {
    let mut bytes = [0; 2 + MAX_PAD_MESSAGE];
    let (place, body) = bytes.split_at_mut(2);
    let len = encode_into(message, body).map_err(io::Error::other)?;
    place.copy_from_slice(&u16::try_from(len).map_err(io::Error::other)?.to_be_bytes());
    stream.write_all(bytes.get(..2 + len).unwrap_or_default())?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> io::ErrorKind {
        read(&mut &bytes[..]).unwrap_err().kind()
    }

    #[test]
    fn what_is_written_is_read() {
        let mut stream = Vec::new();
        for message in [PadMessage::AskKeys, PadMessage::Refused] {
            write(&mut stream, &message).unwrap();
        }
        assert_eq!(stream, [0, 1, 1, 0, 1, 9]);
        let mut stream = &stream[..];
        assert_eq!(read(&mut stream).unwrap(), Some(vec![1]));
        assert_eq!(read(&mut stream).unwrap(), Some(vec![9]));
        assert_eq!(read(&mut stream).unwrap(), None);
    }

    #[test]
    fn a_length_is_checked_before_anything_is_read() {
        for len in [0, MAX_PAD_MESSAGE + 1, usize::from(u16::MAX)] {
            let len = u16::try_from(len).unwrap().to_be_bytes();
            assert_eq!(refused(&len), io::ErrorKind::InvalidData);
        }
        let longest = u16::try_from(MAX_PAD_MESSAGE).unwrap().to_be_bytes();
        assert_eq!(refused(&longest), io::ErrorKind::UnexpectedEof);
        assert_eq!(refused(&[0]), io::ErrorKind::UnexpectedEof);
    }
}
