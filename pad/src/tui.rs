//! The screen on a terminal. Keys are pressed by their place, so that a terminal that hears keys hears no digits.

use crate::{
    Key, Screen,
    entry::Field,
    layout::{Layout, PLACES},
    screen::{Ended, Scene},
    text::Text,
};
use ratatui::{
    Frame,
    crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers},
    layout::{Alignment, Rect},
    style::{Color, Style, Stylize},
    text::{Line, Span},
    widgets::{Block, Paragraph, Wrap},
};

/// Fewest columns and rows in which everything is to be seen; with fewer nothing is asked.
pub const SMALLEST: (u16, u16) = (72, 24);

/// The letter of each place: three rows of three and one below, as on a keypad.
pub const LETTERS: [char; PLACES] = ['q', 'w', 'e', 'a', 's', 'd', 'z', 'x', 'c', 'v'];

/// What a terminal's event asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A key of the pad.
    Key(Key),
    /// To end the program.
    Quit,
    /// To draw again.
    Redraw,
}

/// What an event of the terminal means. A digit means nothing: it would be heard.
#[must_use]
pub fn input(event: &Event) -> Option<Input> {
    let Event::Key(key) = event else { return matches!(event, Event::Resize(..)).then_some(Input::Redraw) };
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return matches!(key.code, KeyCode::Char('c' | 'd')).then_some(Input::Quit);
    }
    Some(Input::Key(match key.code {
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Cancel,
        KeyCode::Backspace | KeyCode::Delete => Key::Clear,
        KeyCode::Char(letter) => {
            Key::Place(LETTERS.iter().position(|place| *place == letter.to_ascii_lowercase())?)
        }
        _ => return None,
    }))
}

/// Whether everything that has to be seen fits.
#[must_use]
pub fn fits(area: Rect) -> bool {
    area.width >= SMALLEST.0 && area.height >= SMALLEST.1
}

/// Draws.
pub fn draw(frame: &mut Frame<'_>, screen: &Screen<'_>, listening: &str) {
    let area = frame.area();
    if !fits(area) {
        let (columns, rows) = SMALLEST;
        let text = format!("This window is too small: {columns} columns and {rows} rows at least.");
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
        return;
    }
    let mut block = Block::bordered().title(" PIN pad ".bold());
    if screen.lab {
        block = block.title_top(Line::from(" LAB KEYS: protects nothing ".red()).alignment(Alignment::Right));
    }
    let pairing = screen.pairing.map_or("not paired".to_owned(), |number| format!("pairing {number}"));
    block = block.title_bottom(format!(" {listening} · {pairing} · Ctrl-C ends the pad "));
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let lines = match &screen.scene {
        Scene::Idle(ended) => idle(*ended, screen.pairing.is_some()),
        Scene::Asking { text, field, typed, notice, remaining_s, layout } => {
            let mut lines = shown(text);
            lines.extend(asked(*field, *typed, *remaining_s));
            lines.push(Line::from(notice.map_or("", |notice| notice.text()).yellow()));
            lines.extend(keypad(layout));
            lines
        }
        Scene::Waiting(ended) => waiting(*ended),
    };
    let inside = Rect { x: inside.x + 2, width: inside.width.saturating_sub(4), ..inside };
    frame.render_widget(Paragraph::new(lines), inside);
}

fn idle(ended: Option<Ended>, paired: bool) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default()];
    if let Some(ended) = ended {
        lines.extend([Line::from(ended.text().bold()), Line::default()]);
    }
    lines.push(Line::from(if paired {
        "Ready. Nothing is asked now: do not type a PIN."
    } else {
        "Not paired yet: let the factory pair this pad with a phone."
    }));
    lines
}

fn waiting(ended: Ended) -> Vec<Line<'static>> {
    vec![
        Line::default(),
        Line::from(ended.text().bold()),
        Line::default(),
        Line::from("Sent at the next full five seconds: its time tells no PIN."),
    ]
}

fn shown(text: &Text) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default(), Line::from(text.title.bold()), Line::default()];
    for (name, value) in &text.lines {
        lines.push(Line::from(vec![Span::raw(format!("{name:<14}")), Span::from(value.clone()).bold()]));
    }
    // The keypad does not move with the number of lines.
    lines.resize(8, Line::default());
    lines
}

fn asked(field: Field, typed: usize, remaining_s: u64) -> Vec<Line<'static>> {
    let remaining = Style::new().fg(if remaining_s <= 10 { Color::Red } else { Color::Reset });
    vec![
        Line::from(vec![
            Span::raw(format!("{:<44}", field.prompt())),
            Span::styled(format!("{remaining_s:>3} s left"), remaining),
        ]),
        Line::from("* ".repeat(typed)),
    ]
}

fn keypad(layout: &Layout) -> Vec<Line<'static>> {
    let key = |place: usize| {
        let letter = LETTERS.get(place).copied().unwrap_or(' ');
        let digit = layout.digit(place).unwrap_or_default();
        [Span::from(format!("{letter} ")).dim(), Span::from(format!("{digit}     ")).bold()]
    };
    let row = |places: &[usize]| {
        let mut spans = vec![Span::raw(if places.len() == 1 { "             " } else { "     " })];
        spans.extend(places.iter().flat_map(|place| key(*place)));
        Line::from(spans)
    };
    let mut lines = Vec::new();
    for places in [&[0, 1, 2][..], &[3, 4, 5], &[6, 7, 8], &[9]] {
        lines.extend([row(places), Line::default()]);
    }
    lines.extend([
        Line::from("Press the letter beside a digit. Digits change places each time."),
        Line::from("Enter goes on, Backspace takes all back, Esc cancels."),
    ]);
    lines
}
