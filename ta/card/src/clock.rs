//! What time it is, by the word of a card's provider: Linux's clock and the terminal's date prove nothing.
//!
//! A statement is for a nonce that was drawn after this start of the trusted app. It may be held back on its way, so
//! the time that it gives is that at which the nonce was drawn, or later: added to what passed since the drawing, it is
//! never behind the true time, and what has run out has run out. Each provider's word counts for its own cards.

use heapless::Vec;
use subtle::ConstantTimeEq;
use tapvault_proto::{Error, card::MAX_CARDS, id::ProviderId, token::TimeStatement};
use tapvault_tee::{Millis, Tee};
use tapvault_trust::check_signed;

/// A nonce that waits for its statement.
struct Nonce {
    bytes: [u8; 32],
    drawn: Millis,
}

/// A provider's time.
struct Known {
    provider: ProviderId,
    /// Seconds since 1970 UTC, at `at` or before.
    time: u64,
    at: Millis,
}

/// The clock of this run of the trusted app.
#[derive(Default)]
pub struct Clock {
    nonce: Option<Nonce>,
    known: Vec<Known, MAX_CARDS>,
}

impl Clock {
    /// Draws the nonce for a statement; it replaces an earlier one.
    pub fn draw<T: Tee>(&mut self, tee: &mut T) -> [u8; 32] {
        let mut bytes = [0; 32];
        tee.random(&mut bytes);
        self.nonce = Some(Nonce { bytes, drawn: tee.now() });
        bytes
    }

    /// Takes a statement; its nonce is used up.
    ///
    /// # Errors
    /// [`Error::NoChallenge`], [`Error::CertificateInvalid`], [`Error::SignatureInvalid`], [`Error::WrongChallenge`].
    pub fn set(&mut self, statement: &TimeStatement) -> Result<(), Error> {
        let nonce = self.nonce.as_ref().ok_or(Error::NoChallenge)?;
        let certificate = &statement.certificate;
        check_signed(certificate, &statement.signed_bytes(), &statement.signature)?;
        if !bool::from(nonce.bytes.ct_eq(&statement.nonce)) {
            return Err(Error::WrongChallenge);
        }
        let known = Known { provider: certificate.provider, time: statement.time, at: nonce.drawn };
        match self.known.iter_mut().find(|earlier| earlier.provider == known.provider) {
            Some(earlier) => *earlier = known,
            None => {
                // More providers than there are places for cards: the first to come has to come again.
                if self.known.is_full() {
                    self.known.remove(0);
                }
                // There is room now.
                let _ = self.known.push(known);
            }
        }
        self.nonce = None;
        Ok(())
    }

    /// Seconds since 1970 UTC, rounded up; `None` without a statement of this provider since the start.
    pub fn now(&self, provider: ProviderId, now: Millis) -> Option<u64> {
        let known = self.known.iter().find(|known| known.provider == provider)?;
        Some(known.time.saturating_add(now.since(known.at).div_ceil(1000)))
    }
}
