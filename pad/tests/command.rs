//! The command itself, without a screen, over sockets.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use common::{Tee, ask, folder, hear, showing};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::{fs::FileTypeExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    time::Duration,
};
use tapvault_pad::wire;
use tapvault_proto::pad::{MAX_PAD_MESSAGE, PadMessage, PadPurpose, PadSuite};

/// How long a test waits for the pad before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A pad that runs; ended when dropped.
struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
    address: String,
}

impl Running {
    fn start(state: &Path, arguments: &[&str]) -> Self {
        // Stops by itself, whatever becomes of the test.
        let patience: &[&str] = if arguments.contains(&"--idle-exit") { &[] } else { &["--idle-exit", "60"] };
        let mut child = Command::new(env!("CARGO_BIN_EXE_tapvault-pad"))
            .args(["--headless", "--json", "--state"])
            .arg(state)
            .args(arguments)
            .args(patience)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = serde_json::from_str::<serde_json::Value>(&line).unwrap_or_default()["address"].clone();
        Self { child, out, address: address.as_str().unwrap_or_default().to_owned() }
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Waits for the end: the status, and what was told.
    fn end(mut self) -> (ExitStatus, String) {
        let mut told = String::new();
        self.out.read_to_string(&mut told).unwrap();
        (self.child.wait().unwrap(), told)
    }

    /// The next event's name.
    fn event(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        let event = serde_json::from_str::<serde_json::Value>(&line).unwrap();
        event["event"].as_str().unwrap().to_owned()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder, a place for a socket that is short enough for one, and a file.
fn places(name: &str) -> (PathBuf, String) {
    let state = folder(name);
    // A path of a Unix socket has 107 bytes at most.
    let socket = std::env::temp_dir().join(format!("tapvault-pad-{}-{name}", std::process::id()));
    (state, socket.to_str().unwrap().to_owned())
}

fn written(state: &Path, name: &str, text: &str) -> String {
    let path = state.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_pin_reaches_the_trusted_app_at_the_tick() {
    let (state, socket) = places("tick");
    let pin = written(&state, "pin", "482913\n");
    let pad = Running::start(&state.join("pad"), &["--listen", &socket, "--pin-file", &pin, "--once"]);
    let mut stream = pad.connect();
    let tee = Tee::pair_over(&mut stream, PadSuite::P256);
    // The real clock: one tick.
    assert_eq!(tee.entry_over(&mut stream, &showing(PadPurpose::ArmTap)), "482913");
    drop(stream);
    let (status, told) = pad.end();
    assert!(status.success());
    let events = ["connected", "paired", "showing", "submitted", "sent", "disconnected"];
    let names: Vec<_> =
        told.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).collect();
    assert_eq!(names.iter().map(|event| event["event"].as_str().unwrap()).collect::<Vec<_>>(), events);
    assert_eq!(names[2]["lines"][0]["value"], "up to 12.00 CNY");
    assert_eq!(names[2]["lines"][2]["value"], "not known");
    assert!(!told.contains("482913"));
    assert!(!Path::new(&socket).exists(), "the socket went with the pad");
}

#[test]
fn a_script_answers_one_entry_after_the_other() {
    let (state, socket) = places("script");
    let script = written(
        &state,
        "script",
        r#"{"pin":"123456"}
{"pin":"2468"}
{"pin":"1234","new":"5791"}
{"number":"6299990000000017","expiry":"1231","cvn2":"123"}

{"keys":"99<4711E"}
{"keys":"123EC"}
{"cancel":true}
{"wait":true}
{"pin":"123"}
{"cvn2":"123"}
"#,
    );
    let pad = Running::start(&state.join("pad"), &["--listen", &socket, "--script", &script, "--no-wait"]);
    let mut stream = pad.connect();
    let tee = Tee::pair_over(&mut stream, PadSuite::Sm2);
    for (purpose, expected) in [
        (PadPurpose::ConfirmTap, "123456"),
        (PadPurpose::SetPin, "2468"),
        (PadPurpose::ChangePin, "1234 to 5791"),
        (PadPurpose::CardData, "6299990000000017"),
        (PadPurpose::ShowCode, "4711"),
        (PadPurpose::ShowCode, "nothing"),
        (PadPurpose::ArmTap, "nothing"),
        (PadPurpose::ArmTap, "nothing"),
        // Too short, and asked again until the script gives up.
        (PadPurpose::ArmTap, "nothing"),
        // Nothing for what is asked.
        (PadPurpose::BankPin, "nothing"),
        // No line is left.
        (PadPurpose::ApprovePayment, "nothing"),
    ] {
        assert_eq!(tee.entry_over(&mut stream, &showing(purpose)), expected, "{purpose:?}");
    }
    drop(stream);
    pad.signal(rustix::process::Signal::TERM);
    let (status, told) = pad.end();
    assert!(status.success(), "{told}");
    assert!(!Path::new(&socket).exists());
    assert!(told.contains("timed-out") && told.contains("no line is left"));
    for secret in ["123456", "5791", "4711", "6299990000000017"] {
        assert!(!told.contains(secret), "{told}");
    }
}

#[test]
fn a_pad_is_paired_over_starts_and_over_tcp() {
    let state = folder("tcp");
    let pin = written(&state, "pin", "1234");
    let arguments = ["--listen", "127.0.0.1:0", "--pin-file", &pin, "--no-wait", "--once"];
    let connect = |pad: &Running| {
        let stream = TcpStream::connect(&pad.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let pad = Running::start(&state.join("pad"), &arguments);
    let mut stream = connect(&pad);
    let tee = Tee::pair_over(&mut stream, PadSuite::P256);
    drop(stream);
    assert!(pad.end().0.success());

    let pad = Running::start(&state.join("pad"), &arguments);
    let mut stream = connect(&pad);
    assert_eq!(ask(&mut stream, &PadMessage::Pair(tee.pairing)), PadMessage::Refused, "not newer");
    assert_eq!(tee.entry_over(&mut stream, &showing(PadPurpose::ArmTap)), "1234");
    drop(stream);
    assert!(pad.end().0.success());
}

#[test]
fn one_connection_is_served_and_another_refused() {
    let (state, socket) = places("two");
    let mut pad = Running::start(&state, &["--listen", &socket]);
    let mut first = pad.connect();
    assert_eq!(pad.event(), "connected");
    let mut second = pad.connect();
    assert_eq!(hear(&mut second), PadMessage::Refused);
    assert_eq!(wire::read(&mut second).unwrap(), None, "closed");
    assert!(matches!(ask(&mut first, &PadMessage::AskKeys), PadMessage::Keys(_)));
    drop(first);
    assert_eq!(pad.event(), "disconnected");
    let mut third = pad.connect();
    assert!(matches!(ask(&mut third, &PadMessage::AskKeys), PadMessage::Keys(_)));
}

#[test]
fn what_is_no_message_is_refused_and_ends_the_connection() {
    let (state, socket) = places("garbled");
    let pad = Running::start(&state, &["--listen", &socket]);
    let too_long = u16::try_from(MAX_PAD_MESSAGE + 1).unwrap().to_be_bytes();
    for length in [[0, 0], too_long, [0xFF, 0xFF]] {
        let mut stream = pad.connect();
        stream.write_all(&length).unwrap();
        assert_eq!(hear(&mut stream), PadMessage::Refused);
        assert_eq!(wire::read(&mut stream).unwrap(), None, "closed");
    }
    // A message that is none, of a good length: refused, and the stream goes on.
    let mut stream = pad.connect();
    stream.write_all(&[0, 2, 0xEE, 0xEE]).unwrap();
    assert_eq!(hear(&mut stream), PadMessage::Refused);
    assert!(matches!(ask(&mut stream, &PadMessage::AskKeys), PadMessage::Keys(_)));
    // Half a message, and gone.
    stream.write_all(&[0, 200, 1]).unwrap();
    drop(stream);
    assert!(matches!(ask(&mut pad.connect(), &PadMessage::AskKeys), PadMessage::Keys(_)));
}

#[test]
fn a_relay_that_leaves_during_an_entry_ends_it() {
    let (state, socket) = places("leaves");
    let script = written(&state, "script", "{\"wait\":true}\n{\"pin\":\"1234\"}\n");
    let mut pad = Running::start(&state.join("pad"), &["--listen", &socket, "--script", &script]);
    let mut stream = pad.connect();
    let tee = Tee::pair_over(&mut stream, PadSuite::P256);
    tee.show_over(&mut stream, &showing(PadPurpose::ArmTap));
    let events =
        |pad: &mut Running, names: &[&str]| names.iter().for_each(|name| assert_eq!(pad.event(), *name));
    events(&mut pad, &["connected", "paired", "showing"]);
    drop(stream);
    events(&mut pad, &["lost", "disconnected"]);
    assert_eq!(tee.entry_over(&mut pad.connect(), &showing(PadPurpose::ArmTap)), "1234");
}

#[test]
fn a_pad_stops_by_itself_when_nobody_comes() {
    let (state, socket) = places("idle");
    let ready = state.join("ready");
    let arguments = ["--listen", &socket, "--idle-exit", "1", "--ready-file", ready.to_str().unwrap()];
    let pad = Running::start(&state.join("pad"), &arguments);
    let address = pad.address.clone();
    let (status, told) = pad.end();
    assert!(status.success(), "{told}");
    assert_eq!(fs::read_to_string(ready).unwrap().trim(), address);
}

#[test]
fn a_socket_of_another_pad_is_left_alone_and_a_dead_one_is_not() {
    let (state, socket) = places("stale");
    let mut pad = Running::start(&state, &["--listen", &socket]);
    let other = Command::new(env!("CARGO_BIN_EXE_tapvault-pad"))
        .args(["--headless", "--listen", &socket, "--idle-exit", "5", "--state"])
        .arg(state.join("other"))
        .output()
        .unwrap();
    assert_eq!(other.status.code(), Some(1));
    let error = String::from_utf8(other.stderr).unwrap();
    assert!(error.contains("another pad listens there"), "{error}");
    pad.child.kill().unwrap();
    pad.child.wait().unwrap();
    assert!(fs::symlink_metadata(&socket).unwrap().file_type().is_socket(), "killed, it left its socket");
    let pad = Running::start(&state, &["--listen", &socket, "--once"]);
    drop(pad.connect());
    assert!(pad.end().0.success());
}

#[test]
fn a_socket_that_somebody_else_made_is_a_device() {
    let (state, socket) = places("device");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let pin = written(&state, "pin", "1234");
    let pad = Running::start(&state.join("pad"), &["--device", &socket, "--pin-file", &pin, "--no-wait"]);
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let tee = Tee::pair_over(&mut stream, PadSuite::Sm2);
    assert_eq!(tee.entry_over(&mut stream, &showing(PadPurpose::ArmTap)), "1234");
    // What carries no messages is opened anew.
    stream.write_all(&[0xFF, 0xFF]).unwrap();
    assert_eq!(hear(&mut stream), PadMessage::Refused);
    drop(stream);
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(tee.entry_over(&mut stream, &showing(PadPurpose::ArmTap)), "1234");
    drop((stream, listener));
    let (status, told) = pad.end();
    assert!(status.success(), "{told}");
    fs::remove_file(&socket).unwrap();
}

#[test]
fn errors_say_what_to_do_and_nothing_secret() {
    let (state, socket) = places("errors");
    let script = written(&state, "script", "{\"pin\":\"1234\"}\n{\"pin\":\"8302743\",}\n");
    let missing = state.join("missing").to_str().unwrap().to_owned();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_tapvault-pad"))
            .arg("--state")
            .arg(state.join("pad"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for (arguments, status, text) in [
        (&["--listen", &socket][..], 1, "--headless"),
        (&["--headless"], 2, "--listen"),
        (&["--headless", "--listen", &socket, "--device", "/dev/null"], 2, "cannot be used with"),
        (&["--headless", "--listen", "0.0.0.0:1"], 2, "this machine's own addresses"),
        (&["--listen", &socket, "--no-wait"], 2, "--headless"),
        (&["--headless", "--listen", &socket, "--factory-root", "00"], 2, "130 hexadecimal digits"),
        (&["--headless", "--listen", &socket, "--script", &script], 1, "line 2"),
        (&["--headless", "--listen", &socket, "--pin-file", &missing], 1, "missing"),
        (&["--headless", "--device", &missing], 1, "name a serial device or a socket"),
        (&["--headless", "--listen", "/nowhere/at/all"], 1, "/nowhere/at/all"),
    ] {
        let (code, error) = run(arguments);
        assert_eq!(code, status, "{arguments:?}: {error}");
        assert!(error.contains(text), "{arguments:?}: {error}");
        assert!(!error.contains("8302743"), "{error}");
    }
}
