//! A pad at the other end of a byte stream: each message has a length of two bytes, big-endian, in front.

use super::PadLink;
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};
use tapvault_proto::{
    pad::{MAX_PAD_MESSAGE, PAD_PATIENCE_S, PadMessage},
    wire::{decode_exact, encode_into},
};

/// How long the relay waits for a pad: longer than the pad for its holder.
pub const PATIENCE: Duration = Duration::from_secs(PAD_PATIENCE_S as u64 + 10);

/// A pad over a stream.
pub struct PadStream<S>(S);

impl<S: Read + Write> PadStream<S> {
    /// Over an open stream.
    pub const fn new(stream: S) -> Self {
        Self(stream)
    }
}

impl<S: Read + Write> PadLink for PadStream<S> {
    fn exchange(&mut self, message: &PadMessage) -> io::Result<PadMessage> {
        let mut bytes = [0; 2 + MAX_PAD_MESSAGE];
        let (head, body) = bytes.split_at_mut(2);
        let len = encode_into(message, body).map_err(io::Error::other)?;
        head.copy_from_slice(&u16::try_from(len).map_err(io::Error::other)?.to_be_bytes());
        self.0.write_all(bytes.get(..2 + len).unwrap_or_default())?;
        self.0.flush()?;
        let mut head = [0; 2];
        self.0.read_exact(&mut head)?;
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, "no message of a PIN pad");
        let body = bytes.get_mut(..usize::from(u16::from_be_bytes(head))).ok_or_else(malformed)?;
        self.0.read_exact(body)?;
        decode_exact(body).map_err(|_| malformed())
    }
}

/// A pad by its address: the path of a Unix socket, or address and port of this machine.
///
/// # Errors
/// The connection's; `InvalidInput` for another machine's address, or none.
pub fn connect(address: &str) -> io::Result<Box<dyn PadLink>> {
    if let Ok(address) = address.parse::<SocketAddr>() {
        // The channel is protected, and what it protects is worth no connection from elsewhere.
        if !address.ip().is_loopback() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "only this machine's own addresses"));
        }
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        return Ok(Box::new(PadStream::new(stream)));
    }
    #[cfg(unix)]
    if address.contains('/') {
        let stream = std::os::unix::net::UnixStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        return Ok(Box::new(PadStream::new(stream)));
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "a socket's path with a /, or address:port"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Cursor,
        net::{TcpListener, UdpSocket},
    };

    /// Gives prepared bytes, and keeps what it is given.
    struct Prepared(Cursor<Vec<u8>>, Vec<u8>);

    impl Read for Prepared {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            // A byte at a time, as a slow stream may.
            let len = out.len().min(1);
            self.0.read(&mut out[..len])
        }
    }

    impl Write for Prepared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn exchange(answer: &[u8]) -> (Result<PadMessage, io::ErrorKind>, Vec<u8>) {
        let mut pad = PadStream::new(Prepared(Cursor::new(answer.to_vec()), Vec::new()));
        let answer = pad.exchange(&PadMessage::AskKeys).map_err(|error| error.kind());
        (answer, pad.0.1)
    }

    #[test]
    fn a_message_has_its_length_in_front() {
        let (answer, sent) = exchange(&[0, 1, 9]);
        assert_eq!((answer, sent), (Ok(PadMessage::Refused), vec![0, 1, 1]));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let kind = |answer: &[u8]| exchange(answer).0.unwrap_err();
        for malformed in [&[0, 0][..], &[0, 1, 0], &[0, 2, 9, 9], &[0xFF, 0xFF, 9]] {
            assert_eq!(kind(malformed), io::ErrorKind::InvalidData, "{malformed:02X?}");
        }
        for cut in [&[][..], &[0], &[0, 1], &[1, 0x49, 3]] {
            assert_eq!(kind(cut), io::ErrorKind::UnexpectedEof, "{cut:02X?}");
        }
    }

    #[test]
    fn a_pad_is_on_this_machine() {
        for address in ["192.0.2.1:35964", "pad", "127.0.0.1", ""] {
            let refused = connect(address).err().map(|error| error.kind());
            assert_eq!(refused, Some(io::ErrorKind::InvalidInput), "{address}");
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(connect(&listener.local_addr().unwrap().to_string()).is_ok());
        // A port that somebody has, and nobody listens at.
        let other = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(connect(&other.to_string()).is_err());
        assert!(connect("/nowhere/pad").is_err());
    }
}
