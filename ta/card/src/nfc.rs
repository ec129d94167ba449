//! The NFC switch: off from every start on, on by the holder's PIN and for the app that brought it, off again by
//! anybody, by time and by count.

use tapvault_proto::{
    Error,
    card::{NFC_LIFE_MS, NFC_TAPS},
    id::Caller,
};
use tapvault_tee::Millis;

/// Whether the phone's cards answer terminals.
#[derive(Default)]
pub struct Nfc {
    on: Option<On>,
}

struct On {
    until: Millis,
    taps: u16,
    /// Who may present cards meanwhile.
    app: Caller,
}

impl Nfc {
    /// Switches on for `app`, or for the whole time again.
    pub fn switch_on(&mut self, now: Millis, app: Caller) {
        self.on = Some(On { until: now.plus(NFC_LIFE_MS), taps: NFC_TAPS, app });
    }

    /// Switches off.
    pub fn switch_off(&mut self) {
        self.on = None;
    }

    /// Milliseconds and cryptograms until it is off; zeros when it is.
    pub fn left(&self, now: Millis) -> (u64, u16) {
        let on = self.on.as_ref().filter(|on| now < on.until && on.taps > 0);
        on.map_or((0, 0), |on| (on.until.since(now), on.taps))
    }

    /// Whether it is on for `app`.
    ///
    /// # Errors
    /// [`Error::NfcOff`], [`Error::NotDefaultApp`].
    pub fn permits(&self, now: Millis, app: Caller) -> Result<(), Error> {
        match &self.on {
            Some(on) if self.left(now).1 > 0 => {
                if on.app == app {
                    Ok(())
                } else {
                    Err(Error::NotDefaultApp)
                }
            }
            _ => Err(Error::NfcOff),
        }
    }

    /// Counts a cryptogram.
    pub fn count(&mut self) {
        if let Some(on) = &mut self.on {
            on.taps = on.taps.saturating_sub(1);
        }
    }
}
