//! The line to the relay: connections at a socket, or a device.

use rustix::{
    event::{PollFd, PollFlags, poll},
    time::Timespec,
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::{
        fs::FileTypeExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::mpsc::SyncSender,
    thread,
};
use tapvault_pad::wire;

use crate::run::Input;

/// Where the relay is.
#[derive(Clone, Debug)]
pub enum Place {
    /// A Unix socket that is made here.
    Unix(PathBuf),
    /// An address of this machine.
    Tcp(SocketAddr),
    /// A serial device, or a Unix socket that somebody else made.
    Device(PathBuf),
}

/// One end of a line.
pub enum Stream {
    /// A Unix socket.
    Unix(UnixStream),
    /// A TCP connection.
    Tcp(TcpStream),
    /// A device.
    Device(File),
}

impl Stream {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
            Self::Device(file) => Self::Device(file.try_clone()?),
        })
    }

    /// Whether the other end has closed it. A device has no other end.
    pub fn is_over(&self) -> bool {
        let closed = PollFlags::RDHUP;
        let mut polled = match self {
            Self::Unix(stream) => [PollFd::new(stream, closed)],
            Self::Tcp(stream) => [PollFd::new(stream, closed)],
            Self::Device(_) => return false,
        };
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let found = poll(&mut polled, Some(&at_once));
        let [polled] = polled;
        found.is_ok() && polled.revents().intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR)
    }

    /// Ends a connection; whoever reads from it finds its end. A device goes on.
    pub fn close(&self) {
        let _ = match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Self::Device(_) => Ok(()),
        };
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(bytes),
            Self::Tcp(stream) => stream.read(bytes),
            Self::Device(file) => file.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
            Self::Device(file) => file.write(bytes),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.flush(),
            Self::Tcp(stream) => stream.flush(),
            Self::Device(file) => file.flush(),
        }
    }
}

/// What is listened at; a socket's file goes with it.
pub struct Listening {
    /// Its address.
    pub address: String,
    made: Option<PathBuf>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(path) = &self.made {
            let _ = fs::remove_file(path);
        }
    }
}

/// Listens; connections and messages come as inputs.
///
/// # Errors
/// What is wrong with the place.
pub fn listen(place: &Place, inputs: SyncSender<Input>) -> Result<Listening, String> {
    match place {
        Place::Unix(path) => {
            let failed = |error: io::Error| format!("{}: {error}", path.display());
            remove_stale(path)?;
            let listener = UnixListener::bind(path).map_err(failed)?;
            thread::spawn(move || {
                accept(|| listener.accept().map(|(stream, _)| Stream::Unix(stream)), &inputs);
            });
            Ok(Listening { address: path.display().to_string(), made: Some(path.clone()) })
        }
        Place::Tcp(address) => {
            let failed = |error: io::Error| format!("{address}: {error}; port 0 takes a free one");
            let listener = TcpListener::bind(address).map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?.to_string();
            thread::spawn(move || {
                accept(|| listener.accept().map(|(stream, _)| Stream::Tcp(stream)), &inputs);
            });
            Ok(Listening { address, made: None })
        }
        Place::Device(path) => {
            // What cannot be opened is told at once.
            let first = open(path)?;
            let address = path.display().to_string();
            let path = path.clone();
            thread::spawn(move || serve_device(first, &path, &inputs));
            Ok(Listening { address, made: None })
        }
    }
}

/// Removes a socket to which nobody listens any more.
fn remove_stale(path: &Path) -> Result<(), String> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    if UnixStream::connect(path).is_ok() {
        return Err(format!("{}: another pad listens there; end it, or name another path", path.display()));
    }
    fs::remove_file(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn accept(mut next: impl FnMut() -> io::Result<Stream>, inputs: &SyncSender<Input>) {
    for id in 0.. {
        let stream = match next() {
            Ok(stream) => stream,
            // The one that asked is gone again.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => {
                let _ = inputs.send(Input::Failed(error.to_string()));
                return;
            }
        };
        let Ok(reader) = stream.try_clone() else { continue };
        if inputs.send(Input::Connected(id, stream)).is_err() {
            return;
        }
        let inputs = inputs.clone();
        thread::spawn(move || {
            let garbled = read_all(id, reader, &inputs);
            let _ = inputs.send(Input::Disconnected { id, garbled, last: false });
        });
    }
}

/// A device is opened anew when it carries no messages: what is still in it goes.
fn serve_device(first: Stream, path: &Path, inputs: &SyncSender<Input>) {
    let mut opened = Ok(first);
    for id in 0.. {
        let (stream, reader) = match opened.and_then(|stream| {
            let reader = stream.try_clone().map_err(|error| format!("{}: {error}", path.display()))?;
            Ok((stream, reader))
        }) {
            Ok(both) => both,
            Err(error) => {
                let _ = inputs.send(Input::Failed(error));
                return;
            }
        };
        if inputs.send(Input::Connected(id, stream)).is_err() {
            return;
        }
        let garbled = read_all(id, reader, inputs);
        if inputs.send(Input::Disconnected { id, garbled, last: !garbled }).is_err() || !garbled {
            return;
        }
        opened = open(path);
    }
}

/// Reads messages to the end; returns whether they ended in none.
fn read_all(id: u64, mut reader: Stream, inputs: &SyncSender<Input>) -> bool {
    loop {
        match wire::read(&mut reader) {
            Ok(Some(message)) => {
                if inputs.send(Input::Message(id, message)).is_err() {
                    return false;
                }
            }
            Ok(None) => return false,
            Err(error) => return error.kind() == io::ErrorKind::InvalidData,
        }
    }
}

fn open(path: &Path) -> Result<Stream, String> {
    let failed = |error: io::Error| format!("{}: {error}; name a serial device or a socket", path.display());
    if fs::metadata(path).map_err(failed)?.file_type().is_socket() {
        return UnixStream::connect(path).map(Stream::Unix).map_err(failed);
    }
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
    // A virtio port is no terminal; a serial line is one, and would echo and translate.
    if let Ok(mut settings) = rustix::termios::tcgetattr(&file) {
        settings.make_raw();
        let raw = rustix::termios::tcsetattr(&file, rustix::termios::OptionalActions::Flush, &settings);
        raw.map_err(|error| failed(error.into()))?;
    }
    Ok(Stream::Device(file))
}
