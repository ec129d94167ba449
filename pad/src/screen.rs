//! What is to be seen on the pad, as data: whoever draws it knows how many digits were typed, and none of them.

use crate::{
    entry::{Field, Notice},
    layout::Layout,
    text::Text,
};

/// What is to be seen.
pub struct Screen<'a> {
    /// Whether the pad believes the lab's factory, whose key everybody has.
    pub lab: bool,
    /// The number of the pairing.
    pub pairing: Option<u32>,
    /// What is going on.
    pub scene: Scene<'a>,
}

/// What is going on.
pub enum Scene<'a> {
    /// Nothing; how the last entry ended.
    Idle(Option<Ended>),
    /// The holder is asked.
    Asking {
        /// What is shown.
        text: &'a Text,
        /// What is typed now.
        field: Field,
        /// How many digits of it.
        typed: usize,
        /// Why the holder is asked again.
        notice: Option<Notice>,
        /// Seconds until it is over.
        remaining_s: u64,
        /// Which digit is where.
        layout: &'a Layout,
    },
    /// The frame waits for its time.
    Waiting(Ended),
}

/// How an entry ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Something was submitted.
    Submitted,
    /// The holder cancelled.
    Cancelled,
    /// Time ran out.
    TimedOut,
    /// The phone went away, or said something in between.
    Broken,
}

impl Ended {
    /// What the holder is told.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Submitted => "Done. Look at your phone.",
            Self::Cancelled => "Cancelled. Nothing was sent but that.",
            Self::TimedOut => "Time is over. Nothing was sent but that.",
            Self::Broken => "The phone ended this. Nothing was sent.",
        }
    }
}
