//! The wire between reader and card: the protocol of vsmartcard's virtual reader (`vpcd`).
//!
//! The card connects to the reader over TCP. Frames are a big-endian `u16` length and that many bytes.
//! From the reader, one byte is a [`Control`] and anything longer a command APDU; only a command and
//! [`Control::GetAtr`] are answered.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

/// Longest frame accepted or sent, in bytes. The protocol allows 65,535; a short APDU needs 261.
pub const MAX_FRAME: usize = 512;
/// How long the reader waits for the card to take or give bytes.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What the reader tells the card outside of APDUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Control {
    /// The field is gone; not answered.
    PowerOff = 0x00,
    /// The card enters the field; not answered.
    PowerOn = 0x01,
    /// Reset; not answered.
    Reset = 0x02,
    /// Asks for the answer to reset.
    GetAtr = 0x04,
}

impl Control {
    /// The control of a byte, if it is one.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x00 => Some(Self::PowerOff),
            0x01 => Some(Self::PowerOn),
            0x02 => Some(Self::Reset),
            0x04 => Some(Self::GetAtr),
            _ => None,
        }
    }

    /// The byte on the wire.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self as u8
    }
}

/// A frame from the reader, as the card understands it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromReader<'a> {
    /// One byte.
    Control(Control),
    /// A command APDU, 2 bytes or more.
    Command(&'a [u8]),
}

impl<'a> FromReader<'a> {
    /// Reads a frame's meaning; `None` for an empty frame or an unknown control.
    #[must_use]
    pub fn parse(frame: &'a [u8]) -> Option<Self> {
        match frame {
            [] => None,
            [byte] => Control::from_byte(*byte).map(Self::Control),
            command => Some(Self::Command(command)),
        }
    }
}

/// Reads one frame; `None` when the other side closed between two frames.
///
/// # Errors
/// The stream's; `InvalidData` for a frame longer than [`MAX_FRAME`], `UnexpectedEof` inside a frame.
pub fn read_frame(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut first = [0; 1];
    loop {
        match stream.read(&mut first) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let mut second = [0; 1];
    stream.read_exact(&mut second)?;
    let [high] = first;
    let [low] = second;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_FRAME {
        return Err(invalid(format!("a frame of {length} bytes; {MAX_FRAME} is the most")));
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame)?;
    Ok(Some(frame))
}

/// Writes one frame.
///
/// # Errors
/// The stream's; `InvalidData` for more than [`MAX_FRAME`] bytes, and then nothing is written.
pub fn write_frame(stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let length = u16::try_from(bytes.len()).ok().filter(|length| usize::from(*length) <= MAX_FRAME);
    let length = length
        .ok_or_else(|| invalid(format!("a frame of {} bytes; {MAX_FRAME} is the most", bytes.len())))?;
    // One write: a length in a packet of its own waits for an acknowledgement.
    stream.write_all(&[&length.to_be_bytes(), bytes].concat())?;
    stream.flush()
}

/// A card in a terminal's field.
pub trait CardLink {
    /// Powers the card and returns its answer to reset.
    ///
    /// # Errors
    /// The link's.
    fn power_on(&mut self) -> io::Result<Vec<u8>>;

    /// Sends a command APDU and returns the response, data and status word.
    ///
    /// # Errors
    /// The link's.
    fn transmit(&mut self, command: &[u8]) -> io::Result<Vec<u8>>;
}

/// A card that connected to our virtual reader. Dropping it takes the field away.
#[derive(Debug)]
pub struct TcpCard {
    stream: TcpStream,
}

impl TcpCard {
    /// Waits for a card to come to a reader that listens.
    ///
    /// # Errors
    /// `TimedOut` when none came in time; the stream's.
    pub fn wait_for(listener: &TcpListener, patience: Duration) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            match listener.accept() {
                Ok((stream, _)) => return Self::new(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Takes an accepted connection; every read and write then lasts [`PATIENCE`] at most.
    ///
    /// # Errors
    /// The socket's.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        // An accepted socket may inherit the listener's mode on some systems.
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let gone = || io::Error::new(io::ErrorKind::UnexpectedEof, "the card left the field");
        read_frame(&mut self.stream)?.ok_or_else(gone)
    }
}

impl CardLink for TcpCard {
    fn power_on(&mut self) -> io::Result<Vec<u8>> {
        write_frame(&mut self.stream, &[Control::PowerOn.byte()])?;
        write_frame(&mut self.stream, &[Control::GetAtr.byte()])?;
        self.receive()
    }

    fn transmit(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        if command.len() < 2 {
            return Err(invalid("a command shorter than two bytes would be taken for a control".into()));
        }
        write_frame(&mut self.stream, command)?;
        self.receive()
    }
}

impl Drop for TcpCard {
    fn drop(&mut self) {
        // The card may be gone already; there is nobody to tell.
        let _ = write_frame(&mut self.stream, &[Control::PowerOff.byte()]);
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
