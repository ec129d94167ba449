//! The card's end of a virtual reader: the protocol of vsmartcard's `vpcd`, where the card connects.
//!
//! Frames are a big-endian `u16` length and that many bytes. From the reader, one byte is a control,
//! anything longer a command APDU.

use crate::{Channel, ContactCard, Tap};
use socket2::SockRef;
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};
use tapvault_proto::emv::apdu::Response;

/// Where vpcd listens by default.
pub const DEFAULT_READER: &str = "127.0.0.1:35963";
/// Answer to reset of a contactless card without historical bytes (PC/SC part 3, 3.1.3.2.3).
const CONTACTLESS: &[u8] = &[0x3B, 0x80, 0x80, 0x01, 0x01];
/// Answer to reset of a contact card that speaks T=1, without historical bytes (ISO/IEC 7816-3, 8.2).
const CONTACT: &[u8] = &[0x3B, 0x80, 0x01, 0x81];
/// Longest frame: a short command APDU.
const MAX_FRAME: usize = 261;
/// How long the card waits for the terminal.
const PATIENCE: Duration = Duration::from_secs(60);

/// What can be in a reader.
pub trait Presented {
    /// Its answer to reset.
    const ATR: &'static [u8];

    /// Answers one command APDU.
    fn transmit(&mut self, command: &[u8]) -> Response;

    /// Takes it out of the field, or its contacts' power away.
    fn reset(&mut self);
}

impl<C: Channel> Presented for Tap<'_, C> {
    const ATR: &'static [u8] = CONTACTLESS;

    fn transmit(&mut self, command: &[u8]) -> Response {
        Tap::transmit(self, command)
    }

    fn reset(&mut self) {
        Tap::reset(self);
    }
}

impl<C: Channel> Presented for ContactCard<'_, C> {
    const ATR: &'static [u8] = CONTACT;

    fn transmit(&mut self, command: &[u8]) -> Response {
        ContactCard::transmit(self, command)
    }

    fn reset(&mut self) {
        if let Err(error) = ContactCard::reset(self) {
            self.failed(error);
        }
    }
}

/// Presents a tap or a contact card to the reader at `address`, until the reader takes the field away; returns how many
/// commands were answered.
///
/// # Errors
/// The connection's; `InvalidData` for a frame that no reader sends.
pub fn present(card: &mut impl Presented, address: SocketAddr) -> io::Result<u32> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    serve(card, &mut stream)
}

fn serve<P: Presented>(card: &mut P, stream: &mut TcpStream) -> io::Result<u32> {
    let mut answered = 0;
    let mut frame = [0; MAX_FRAME];
    loop {
        // vpcd sends length and body apart and waits for the first to be acknowledged, which would take 40 ms.
        SockRef::from(&*stream).set_tcp_quickack(true)?;
        let Some(received) = receive(stream, &mut frame)? else { return Ok(answered) };
        match received {
            [0x00..=0x02] => card.reset(),
            [0x04] => send(stream, P::ATR)?,
            [_] | [] => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the reader sent an unknown control"));
            }
            command => {
                send(stream, card.transmit(command).as_bytes())?;
                answered += 1;
            }
        }
    }
}

/// `None` when the reader closed between two frames.
fn receive<'a>(stream: &mut impl Read, frame: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
    let mut len = [0; 2];
    if stream.read(&mut len[..1])? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut len[1..])?;
    let len = usize::from(u16::from_be_bytes(len));
    let too_long = || io::Error::new(io::ErrorKind::InvalidData, "the reader sent more than a short APDU");
    let frame = frame.get_mut(..len).ok_or_else(too_long)?;
    stream.read_exact(frame)?;
    Ok(Some(frame))
}

fn send(stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let len = u16::try_from(bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    stream.write_all(&[&len.to_be_bytes(), bytes].concat())
}
