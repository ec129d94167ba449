//! What is to be seen: drawn in memory, and by the command on a pseudo terminal.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use common::{Tee, encoded, folder, hear, showing, text};
use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers},
};
use rexpect::process::PtyProcess;
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    process::Command,
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::Duration,
};
use tapvault_pad::{
    Key, LAB_FACTORY_ROOT, Pad,
    clock::FakeClock,
    random::System,
    screen::Scene,
    store::Folder,
    tui::{self, Input, LETTERS, SMALLEST},
};
use tapvault_proto::pad::{PadMessage, PadPurpose, PadSuite, Showing};

/// How long a test waits for the pad before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

type LabPad = Pad<FakeClock, Folder, System>;

fn asking(name: &str, showing: &Showing) -> LabPad {
    let root = hex::decode(LAB_FACTORY_ROOT).unwrap().try_into().unwrap();
    let mut pad = Pad::new(FakeClock::default(), Folder::open(&folder(name)).unwrap(), System, root).unwrap();
    let Some(PadMessage::Keys(keys)) = pad.receive(&encoded(&PadMessage::AskKeys)) else { panic!("no keys") };
    let tee = Tee::paired_with(&keys, PadSuite::P256);
    pad.receive(&encoded(&PadMessage::Pair(tee.pairing)));
    let (offered, offer) = tee.offer();
    let Some(PadMessage::Answer(answer)) = pad.receive(&encoded(&PadMessage::Offer(offer))) else {
        panic!("no answer")
    };
    let (_, show) = tee.show(offered, &answer, showing);
    assert_eq!(pad.receive(&encoded(&PadMessage::Show(show))), None);
    pad
}

fn drawn(pad: &LabPad, (columns, rows): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| tui::draw(frame, &pad.screen(), "pad.sock")).unwrap();
    terminal.backend().to_string()
}

/// The screen without the digits of the keypad, which are elsewhere each time.
fn without_layout(screen: &str) -> String {
    let mut blank = screen.to_owned();
    for letter in LETTERS {
        let digit = ('0'..='9').find_map(|digit| screen.find(&format!(" {letter} {digit}")));
        let at = digit.unwrap() + 3;
        blank.replace_range(at..=at, "#");
    }
    blank
}

#[test]
fn a_payment_is_shown_with_all_that_is_known() {
    let pad = asking("snapshot", &showing(PadPurpose::ApprovePayment));
    let screen = without_layout(&drawn(&pad, SMALLEST));
    assert_eq!(
        screen.lines().collect::<Vec<_>>(),
        [
            r#""┌ PIN pad ───────────────────────────────── LAB KEYS: protects nothing ┐""#,
            r#""│                                                                      │""#,
            r#""│  Pay                                                                 │""#,
            r#""│                                                                      │""#,
            r#""│  Amount        12.00 CNY                                             │""#,
            r#""│  Currency      Renminbi (Chinese) yuan                               │""#,
            r#""│  Payee         Bookshop                                              │""#,
            r#""│  Order         5a5a 5a5a 5a5a 5a5a                                   │""#,
            r#""│                                                                      │""#,
            r#""│  Your PIN                                     50 s left              │""#,
            r#""│                                                                      │""#,
            r#""│                                                                      │""#,
            r#""│       q #     w #     e #                                            │""#,
            r#""│                                                                      │""#,
            r#""│       a #     s #     d #                                            │""#,
            r#""│                                                                      │""#,
            r#""│       z #     x #     c #                                            │""#,
            r#""│                                                                      │""#,
            r#""│               v #                                                    │""#,
            r#""│                                                                      │""#,
            r#""│  Press the letter beside a digit. Digits change places each time.    │""#,
            r#""│  Enter goes on, Backspace takes all back, Esc cancels.               │""#,
            r#""│                                                                      │""#,
            r#""└ pad.sock · pairing 1 · Ctrl-C ends the pad ──────────────────────────┘""#,
        ]
    );
}

#[test]
fn digits_are_seen_by_their_number_alone() {
    let screens = ["1234", "9876", "0000"].map(|digits| {
        let mut pad = asking(&format!("mask-{digits}"), &showing(PadPurpose::ArmTap));
        for digit in digits.bytes().map(|digit| digit - b'0') {
            let Scene::Asking { layout, .. } = pad.screen().scene else { panic!("nothing is asked") };
            let place = layout.place(digit).unwrap();
            pad.press(Key::Place(place));
        }
        without_layout(&drawn(&pad, SMALLEST))
    });
    assert!(screens[0].contains("* * * * "), "{}", screens[0]);
    assert!(screens.iter().all(|screen| *screen == screens[0]));
}

#[test]
fn a_window_too_small_asks_for_nothing() {
    let pad = asking("small", &showing(PadPurpose::ApprovePayment));
    let (columns, rows) = SMALLEST;
    for size in [(columns - 1, rows), (columns, rows - 1), (20, 5)] {
        let screen = drawn(&pad, size);
        let words: Vec<_> =
            screen.split(|letter| "\" \n│".contains(letter)).filter(|word| !word.is_empty()).collect();
        assert!(words.join(" ").contains("too small"), "{screen}");
        assert!(!screen.contains("12.00") && !screen.contains("Your PIN"), "{screen}");
    }
}

#[test]
fn the_longest_text_has_room() {
    let payee = tapvault_proto::wire::Bytes::from_slice(&[b'W'; 32]).unwrap();
    let longest =
        Showing { amount: u64::MAX, payee, currency: 0x0977, ..showing(PadPurpose::ConfirmTransfer) };
    let screen = drawn(&asking("longest", &longest), SMALLEST);
    for value in ["184467440737095516.15 BAM ", &"W".repeat(32), "v "] {
        assert!(screen.contains(value), "{value}\n{screen}");
    }
}

#[test]
fn keys_are_places_and_digits_are_none() {
    let press = |code| tui::input(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    for (place, letter) in LETTERS.into_iter().enumerate() {
        for letter in [letter, letter.to_ascii_uppercase()] {
            assert_eq!(press(KeyCode::Char(letter)), Some(Input::Key(Key::Place(place))));
        }
    }
    for digit in '0'..='9' {
        assert_eq!(press(KeyCode::Char(digit)), None, "a keyboard hears digits");
    }
    assert_eq!(press(KeyCode::Enter), Some(Input::Key(Key::Enter)));
    assert_eq!(press(KeyCode::Esc), Some(Input::Key(Key::Cancel)));
    assert_eq!(press(KeyCode::Backspace), Some(Input::Key(Key::Clear)));
    let control =
        |letter| tui::input(&Event::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL)));
    assert_eq!(control('c'), Some(Input::Quit));
    assert_eq!(control('q'), None);
}

/// The command on a pseudo terminal.
struct Screen {
    process: PtyProcess,
    keyboard: std::fs::File,
    output: Receiver<Vec<u8>>,
    parser: vt100::Parser,
    raw: Vec<u8>,
}

impl Screen {
    fn start(state: &std::path::Path, socket: &str) -> Self {
        let (columns, rows) = SMALLEST;
        // stty: a new pseudo terminal has no size.
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("stty rows {rows} cols {columns}; exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_tapvault-pad"))
            .args(["--listen", socket, "--state"])
            .arg(state)
            .env("TERM", "xterm-256color");
        let process = PtyProcess::new(command).unwrap();
        let keyboard = process.get_file_handle().unwrap();
        let mut reader = process.get_file_handle().unwrap();
        let (sender, output) = sync_channel(64);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // A pseudo terminal ends with an error when nobody has it open any more.
            while let Ok(read @ 1..) = reader.read(&mut bytes) {
                if sender.send(bytes[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        let parser = vt100::Parser::new(rows, columns, 0);
        Self { process, keyboard, output, parser, raw: Vec::new() }
    }

    /// Waits until the screen has this text.
    fn until(&mut self, text: &str) -> String {
        loop {
            let contents = self.parser.screen().contents();
            if contents.contains(text) {
                return contents;
            }
            let bytes = self.output.recv_timeout(PATIENCE);
            let bytes =
                bytes.unwrap_or_else(|error| panic!("{error}: {text} is not on the screen:\n{contents}"));
            self.parser.process(&bytes);
            self.raw.extend(bytes);
        }
    }

    /// Presses the letter that the screen has beside a digit.
    fn digit(&mut self, digit: char) {
        let contents = self.parser.screen().contents();
        let letter = LETTERS.into_iter().find(|letter| contents.contains(&format!(" {letter} {digit}")));
        let letter = letter.unwrap_or_else(|| panic!("no {digit}:\n{contents}"));
        self.keyboard.write_all(&[letter as u8]).unwrap();
    }

    fn press(&mut self, bytes: &[u8]) {
        self.keyboard.write_all(bytes).unwrap();
    }

    /// Reads to the end of the program.
    fn end(mut self) -> Vec<u8> {
        while let Ok(bytes) = self.output.recv_timeout(PATIENCE) {
            self.raw.extend(bytes);
        }
        self.process.set_kill_timeout(Some(1000));
        self.raw
    }
}

#[test]
fn a_person_types_a_pin_and_the_terminal_is_left_as_it_was() {
    let state = folder("person");
    let socket = std::env::temp_dir().join(format!("tapvault-pad-{}-person", std::process::id()));
    let socket = socket.to_str().unwrap();
    let mut screen = Screen::start(&state.join("pad"), socket);
    screen.until("Not paired yet");
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let tee = Tee::pair_over(&mut stream, PadSuite::P256);
    screen.until("Ready.");

    let awaiting = tee.show_over(&mut stream, &showing(PadPurpose::SetPin));
    screen.until("New PIN, 4 to 12 digits");
    // Typed digits are not heard.
    screen.press(b"0123456789\r");
    screen.until("That is too short");
    for (typed, digit) in (1..).zip("830274".chars()) {
        screen.digit(digit);
        screen.until("* ".repeat(typed).trim_end());
    }
    screen.press(b"\r");
    screen.until("The new PIN once more");
    for (typed, digit) in (1..).zip("830274".chars()) {
        screen.digit(digit);
        screen.until("* ".repeat(typed).trim_end());
    }
    screen.press(b"\r");
    screen.until("Done. Look at your phone.");
    let PadMessage::Entered(frame) = hear(&mut stream) else { panic!("no frame") };
    assert_eq!(text(&awaiting.open(&frame).unwrap()), "830274");
    screen.until("Ready.");

    let awaiting = tee.show_over(&mut stream, &showing(PadPurpose::ApprovePayment));
    screen.until("Bookshop");
    screen.press(b"\x1b");
    screen.until("Cancelled.");
    let PadMessage::Entered(frame) = hear(&mut stream) else { panic!("no frame") };
    assert_eq!(text(&awaiting.open(&frame).unwrap()), "nothing");

    screen.press(b"\x03");
    let raw = String::from_utf8_lossy(&screen.end()).into_owned();
    assert!(raw.contains("\x1b[?1049l"), "the other screen is left");
    assert!(raw.rfind("\x1b[?25h") > raw.rfind("\x1b[?25l"), "the cursor is back");
    assert!(!std::path::Path::new(socket).exists());
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let state = folder("signal");
    let socket = std::env::temp_dir().join(format!("tapvault-pad-{}-signal", std::process::id()));
    let mut screen = Screen::start(&state.join("pad"), socket.to_str().unwrap());
    screen.until("Not paired yet");
    screen.process.signal(rexpect::process::Signal::SIGTERM).unwrap();
    let raw = String::from_utf8_lossy(&screen.end()).into_owned();
    assert!(raw.contains("\x1b[?1049l"), "the other screen is left");
    assert!(!socket.exists());
}
