//! The loop: whatever comes – messages, keys, signals, time – goes to the pad, one after the other.

use crate::{
    headless::Script,
    line::{self, Listening, Place, Stream},
    output::Output,
};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event as TerminalEvent},
    layout::Rect,
};
use serde_json::json;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{
    fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};
use tapvault_pad::{
    Clock, Event, Pad,
    clock::{FakeClock, Monotonic},
    random::System,
    store::Folder,
    tui, wire,
};
use tapvault_proto::pad::PadMessage;

/// Inputs that wait at most; who sends more waits itself.
const QUEUE: usize = 16;
/// How often the remaining seconds are drawn.
const REDRAW: Duration = Duration::from_millis(250);

/// What comes in.
pub enum Input {
    /// Somebody connected.
    Connected(u64, Stream),
    /// A message came.
    Message(u64, Vec<u8>),
    /// A connection ended.
    Disconnected {
        /// Which.
        id: u64,
        /// Whether what came last was no message.
        garbled: bool,
        /// Whether there will be no other.
        last: bool,
    },
    /// There will be no connections any more, and why.
    Failed(String),
    /// Something happened at the terminal.
    Terminal(TerminalEvent),
    /// To end.
    Signal,
}

/// Who presses keys.
pub enum Holder {
    /// A person at the terminal.
    Terminal,
    /// A file.
    Script(Script),
}

/// What the command line says.
pub struct Options {
    pub state: PathBuf,
    pub place: Place,
    pub factory_root: [u8; 65],
    pub no_wait: bool,
    pub json: bool,
    pub once: bool,
    pub idle_exit: Option<Duration>,
    pub ready_file: Option<PathBuf>,
}

/// The machine's clock, or one that jumps.
enum EitherClock {
    Real(Monotonic),
    Jumping(FakeClock),
}

impl Clock for EitherClock {
    fn now_ms(&self) -> u64 {
        match self {
            Self::Real(clock) => clock.now_ms(),
            Self::Jumping(clock) => clock.now_ms(),
        }
    }
}

struct Runner {
    pad: Pad<EitherClock, Folder, System>,
    /// The pad's clock, if it is one that jumps.
    jumping: Option<FakeClock>,
    /// The pad's clock otherwise.
    real: Monotonic,
    script: Option<Script>,
    terminal: Option<DefaultTerminal>,
    connection: Option<(u64, Stream)>,
    listening: Listening,
    output: Output,
    once: bool,
    idle_exit: Option<Duration>,
    idle_since: Instant,
}

/// Runs a pad until it is to end.
///
/// # Errors
/// What went wrong, and what to do.
pub fn run(options: Options, holder: Holder) -> Result<(), String> {
    let Options { state, place, factory_root, no_wait, json, once, idle_exit, ready_file } = options;
    let script = match holder {
        Holder::Script(script) => Some(script),
        Holder::Terminal if io::stdout().is_terminal() => None,
        Holder::Terminal => {
            return Err("standard output is no terminal; for a pad without one use --headless".into());
        }
    };
    let jumping = no_wait.then(FakeClock::default);
    let real = Monotonic::start();
    let clock = match &jumping {
        Some(clock) => EitherClock::Jumping(clock.clone()),
        None => EitherClock::Real(real),
    };
    let pad = Pad::new(clock, Folder::open(&state)?, System, factory_root)?;
    let (sender, inputs) = sync_channel(QUEUE);
    catch_signals(sender.clone())?;
    let listening = line::listen(&place, sender.clone())?;
    let output = Output::new(script.is_none(), json);
    let address = &listening.address;
    output.line(&json!({ "event": "listening", "address": address }), &format!("listening at {address}"));
    if let Some(path) = ready_file {
        tell_ready(&path, address)?;
    }
    let terminal = match script {
        Some(_) => None,
        None => Some(start_terminal(sender)?),
    };
    let idle_since = Instant::now();
    let mut runner = Runner {
        pad,
        jumping,
        real,
        script,
        terminal,
        connection: None,
        listening,
        output,
        once,
        idle_exit,
        idle_since,
    };
    let ended = runner.serve(&inputs);
    if runner.terminal.is_some() {
        ratatui::restore();
    }
    ended
}

impl Runner {
    fn serve(&mut self, inputs: &Receiver<Input>) -> Result<(), String> {
        loop {
            self.draw()?;
            let goes_on = match self.patience() {
                Some(patience) => match inputs.recv_timeout(patience) {
                    Ok(input) => self.take(input)?,
                    Err(RecvTimeoutError::Timeout) => !self.is_idle_for_long(),
                    Err(RecvTimeoutError::Disconnected) => false,
                },
                None => match inputs.recv() {
                    Ok(input) => self.take(input)?,
                    Err(_) => false,
                },
            };
            self.settle();
            if !goes_on {
                self.disconnect();
                return Ok(());
            }
        }
    }

    /// How long there is nothing to do if nothing comes in.
    fn patience(&self) -> Option<Duration> {
        let due = self.pad.wake_at().map(|at| match &self.jumping {
            Some(_) => Duration::ZERO,
            None => Duration::from_millis(at.saturating_sub(self.real.now_ms())),
        });
        let idle = self
            .idle_exit
            .filter(|_| self.connection.is_none())
            .map(|patience| patience.saturating_sub(self.idle_since.elapsed()));
        let redraw = (self.terminal.is_some() && due.is_some()).then_some(REDRAW);
        due.into_iter().chain(idle).chain(redraw).min()
    }

    fn is_idle_for_long(&self) -> bool {
        self.connection.is_none()
            && self.idle_exit.is_some_and(|patience| self.idle_since.elapsed() >= patience)
    }

    /// Takes an input; returns whether to go on.
    fn take(&mut self, input: Input) -> Result<bool, String> {
        match input {
            Input::Connected(id, stream) => self.connect(id, stream),
            Input::Message(id, message) if self.is_current(id) => {
                if let Some(answer) = self.pad.receive(&message) {
                    self.send(&answer);
                }
            }
            Input::Disconnected { id, garbled, last } if self.is_current(id) => {
                if garbled {
                    // No message: the pad says so itself, and then the stream has no order any more.
                    if let Some(answer) = self.pad.receive(&[]) {
                        self.send(&answer);
                    }
                }
                self.disconnect();
                return Ok(!self.once && !last);
            }
            // Of a connection that was not taken.
            Input::Message(..) | Input::Disconnected { .. } => (),
            Input::Failed(error) => return Err(error),
            Input::Terminal(event) => match tui::input(&event) {
                Some(tui::Input::Key(key)) if self.can_see_all() => self.pad.press(key),
                Some(tui::Input::Quit) => return Ok(false),
                _ => (),
            },
            Input::Signal => return Ok(false),
        }
        Ok(true)
    }

    /// Does what is due, tells what happened, and lets a script type.
    fn settle(&mut self) {
        self.tell();
        if let Some(clock) = &self.jumping
            && let Some(at) = self.pad.wake_at()
        {
            clock.advance_to(at);
        }
        if let Some(frame) = self.pad.tick() {
            self.send(&frame);
            self.tell();
        }
    }

    fn tell(&mut self) {
        // What a script does makes events of its own.
        loop {
            let events = self.pad.events();
            if events.is_empty() {
                return;
            }
            for event in events {
                self.output.event(&event);
                if let (Event::Showing { .. }, Some(script)) = (&event, &mut self.script)
                    && let Some(text) = script.act(&mut self.pad)
                {
                    self.output.line(&json!({ "event": "script", "text": text }), text);
                }
            }
        }
    }

    fn connect(&mut self, id: u64, mut stream: Stream) {
        // Whoever connects again may come before the news that the connection before has ended.
        if self.connection.as_ref().is_some_and(|(_, stream)| stream.is_over()) {
            self.disconnect();
        }
        if self.connection.is_some() {
            let _ = wire::write(&mut stream, &PadMessage::Refused);
            stream.close();
            return;
        }
        self.connection = Some((id, stream));
        self.output.line(&json!({ "event": "connected" }), "connected");
    }

    fn disconnect(&mut self) {
        self.pad.disconnect();
        self.tell();
        if let Some((_, stream)) = self.connection.take() {
            stream.close();
            self.output.line(&json!({ "event": "disconnected" }), "disconnected");
        }
        self.idle_since = Instant::now();
    }

    fn is_current(&self, id: u64) -> bool {
        self.connection.as_ref().is_some_and(|(current, _)| *current == id)
    }

    /// A relay that does not take what is sent is found gone by its reader.
    fn send(&mut self, message: &PadMessage) {
        if let Some((_, stream)) = &mut self.connection
            && wire::write(stream, message).is_err()
        {
            stream.close();
        }
    }

    /// Whether a person sees all that there is to see: otherwise no key counts.
    fn can_see_all(&self) -> bool {
        self.terminal.as_ref().is_some_and(|terminal| {
            terminal.size().is_ok_and(|size| tui::fits(Rect::new(0, 0, size.width, size.height)))
        })
    }

    fn draw(&mut self) -> Result<(), String> {
        let Some(terminal) = &mut self.terminal else { return Ok(()) };
        let (screen, address) = (self.pad.screen(), &self.listening.address);
        let drawn = terminal.draw(|frame| tui::draw(frame, &screen, address));
        drawn.map(|_| ()).map_err(|error| format!("the terminal is gone: {error}"))
    }
}

fn start_terminal(inputs: SyncSender<Input>) -> Result<DefaultTerminal, String> {
    let terminal =
        ratatui::try_init().map_err(|error| format!("the terminal: {error}; without one use --headless"))?;
    thread::spawn(move || {
        while let Ok(event) = event::read() {
            if inputs.send(Input::Terminal(event)).is_err() {
                return;
            }
        }
        let _ = inputs.send(Input::Signal);
    });
    Ok(terminal)
}

/// So that the terminal is left as it was, and the socket removed.
fn catch_signals(inputs: SyncSender<Input>) -> Result<(), String> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|error| format!("signals: {error}"))?;
    thread::spawn(move || {
        for _ in signals.forever() {
            if inputs.send(Input::Signal).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Renamed into place: whoever waits for the file finds the address in it.
fn tell_ready(path: &Path, address: &str) -> Result<(), String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    let beside = path.with_extension("new");
    fs::write(&beside, format!("{address}\n")).map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)
}
