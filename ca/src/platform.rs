//! The way to the service platform. After a start of the trusted apps no card pays before the platform has said how far
//! its counter has come, and each try of a PIN is granted by it.

use crate::{ClientError, Transport, Wallet};
use std::io;
use tapvault_proto::{
    Error,
    freshness::{AskFreshnessRequest, FreshnessQuestion, FreshnessStatement, TakeGrantRequest},
};

/// A way to the service platform.
pub trait PlatformLink {
    /// Brings the device's question to the platform, and its statement back.
    ///
    /// # Errors
    /// When there is no answer.
    fn ask(&mut self, question: &FreshnessQuestion) -> io::Result<FreshnessStatement>;
}

impl<T: Transport> Wallet<T> {
    /// Gives the wallet a way to the service platform: what the trusted apps refuse for want of its statement is done
    /// once the statement is there, and a success is reported to it.
    #[must_use]
    pub fn with_platform(mut self, link: impl PlatformLink + 'static) -> Self {
        self.platform = Some(Box::new(link));
        self
    }

    /// What this device asks the service platform; good until one of its trusted apps starts again.
    ///
    /// # Errors
    /// [`Error::DeviceNotCertified`], or the call's.
    pub fn freshness_question(&mut self) -> Result<FreshnessQuestion, ClientError> {
        self.call(&AskFreshnessRequest {})
    }

    /// Brings the platform's statement to both trusted apps. Returns how many cards' counters were behind what the
    /// platform knows: the TEE's storage is an older copy of itself then, and somebody put it there.
    ///
    /// # Errors
    /// [`Error::WrongChallenge`] when a trusted app started since the question, [`Error::SignatureInvalid`], or the
    /// call's.
    pub fn take_freshness(&mut self, statement: &FreshnessStatement) -> Result<u8, ClientError> {
        let behind = self.call(statement)?.behind;
        self.call(&TakeGrantRequest { statement: statement.clone() })?;
        Ok(behind)
    }

    /// Does what a refusal says, where there is a way to the platform.
    ///
    /// # Errors
    /// The refusal itself without one; [`ClientError::Platform`]; the calls'.
    pub(crate) fn refresh(&mut self, refusal: ClientError) -> Result<(), ClientError> {
        // Out of its place: what the calls in here are refused is refused.
        let Some(mut link) = self.platform.take() else { return Err(refusal) };
        let done = self.ask(&mut *link).and_then(|statement| self.take_freshness(&statement));
        self.platform = Some(link);
        done.map(|_| ())
    }

    /// Tells the platform of a success, so that it does not count the try as spent any more.
    pub(crate) fn report_success(&mut self) {
        if let Some(mut link) = self.platform.take() {
            // A platform that is out of reach hears of it with the next question of this run, or never.
            let _ = self.ask(&mut *link).and_then(|statement| self.take_freshness(&statement));
            self.platform = Some(link);
        }
    }

    fn ask(&mut self, link: &mut dyn PlatformLink) -> Result<FreshnessStatement, ClientError> {
        let question = self.freshness_question()?;
        link.ask(&question).map_err(ClientError::Platform)
    }
}

/// Whether a refusal is for want of the platform's statement.
pub(crate) fn wants_statement(error: &ClientError) -> bool {
    matches!(error.refusal(), Some(Error::NotFresh | Error::TryNotGranted))
}
