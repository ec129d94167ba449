//! A provider's command gives all tries back.

use crate::Pin;
use tapvault_proto::{
    Error,
    tries::{UnlockPinReply, UnlockPinRequest},
};
use tapvault_tee::Tee;
use tapvault_trust::check_signed;

impl<T: Tee> Pin<T> {
    /// Obeys a command made for the challenge that is out, which it uses up. The number of the command before it
    /// changes nothing: the answer to that one was lost.
    ///
    /// # Errors
    /// [`Error::NoChallenge`], [`Error::CertificateInvalid`], [`Error::SignatureInvalid`], [`Error::WrongChallenge`],
    /// [`Error::CommandOutOfOrder`]; [`Error::PinLocked`] where there is no record, which a ticket alone brings back;
    /// [`Error::Busy`] while another session has an entry; storage's. None of them uses the challenge up.
    pub(crate) fn unlocked(
        &mut self,
        tee: &mut T,
        session: u32,
        command: &UnlockPinRequest,
    ) -> Result<UnlockPinReply, Error> {
        let UnlockPinRequest { certificate, challenge, sequence, signature } = command;
        self.drawn()?;
        check_signed(certificate, &command.signed_bytes(), signature)?;
        self.check_drawn(challenge)?;
        // An entry that has spent a try must not go on with more tries than it found.
        self.end_entry(tee, session)?;
        let record = self.record(tee, certificate.provider)?.ok_or(Error::PinLocked)?;
        let last = record.unlocks();
        if *sequence == 0 || *sequence < last {
            return Err(Error::CommandOutOfOrder);
        }
        let salt = record.salt();
        let tries_left = if *sequence == last {
            record.tries_left()
        } else {
            self.update(tee, |record, tee| record.unlock(tee, *sequence))?
        };
        self.run.renew(certificate.provider, &salt);
        self.challenge = None;
        Ok(UnlockPinReply { tries_left })
    }
}
