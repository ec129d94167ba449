//! The lab's pad as a process of its own, at a Unix socket.

use super::Digits;
use crate::{Outcome, lab::say};
use std::{
    fs,
    io::{self, Read, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::Path,
};
use tapvault::PadLink;
use tapvault_proto::{
    pad::{MAX_PAD_MESSAGE, PadMessage},
    wire::{decode_exact, encode_into},
};

/// A socket for everybody: who connects has the pad's ciphertext, and gains nothing by it.
///
/// # Errors
/// The socket's.
pub fn at(path: &Path) -> Outcome<UnixListener> {
    let _ = fs::remove_file(path);
    let listener = UnixListener::bind(path).map_err(say)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).map_err(say)?;
    Ok(listener)
}

/// Serves one client after the other, for as long as there are; `digits` says what the holder enters next.
///
/// # Errors
/// The socket's; what a client does wrong ends its connection.
pub fn serve(listener: &UnixListener, mut digits: impl FnMut() -> Digits) -> io::Result<()> {
    for stream in listener.incoming() {
        let _ = client(stream?, &mut digits());
    }
    Ok(())
}

fn client(mut stream: UnixStream, pad: &mut Digits) -> io::Result<()> {
    let mut bytes = [0; MAX_PAD_MESSAGE];
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head)?;
        let body =
            bytes.get_mut(..usize::from(u16::from_be_bytes(head))).ok_or(io::ErrorKind::InvalidData)?;
        stream.read_exact(body)?;
        let message: PadMessage = decode_exact(body).map_err(io::Error::other)?;
        let answer = pad.exchange(&message)?;
        let len = encode_into(&answer, &mut bytes).map_err(io::Error::other)?;
        let head = u16::try_from(len).map_err(io::Error::other)?.to_be_bytes();
        stream.write_all(&[&head[..], bytes.get(..len).unwrap_or_default()].concat())?;
    }
}
