//! The PIN trusted app: the *wallet PIN* (CDCVM), one record per provider.
//!
//! What is typed comes from the paired pad alone, through a session of its own for each entry, which the normal world
//! carries and cannot read: offer → accept → begin → submit → finish.
//!
//! A try is granted by the service platform, spent in storage when entry begins, and comes back only with the right
//! digits, or by the pad's word that nothing was submitted; storage is not touched between the pad's frame and the
//! answer. Missing and damaged records count as locked, and a record comes into being only with its provider's ticket.
//!
//! Card data take the same way and leave sealed for their bank; nothing of them is stored. So does the *bank PIN*,
//! which leaves as a PIN block.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod bank_pin;
mod card_data;
mod delay;
mod entry;
mod freshness;
mod pad;
mod record;
mod refused;
mod service;
mod showing;
mod unlock;
pub mod verifier;

use bank_pin::Offered;
use delay::Delays;
use entry::{Approved, Confirmed, Entry, Fact, Purpose, Stage, Wanted};
use freshness::Run;
use pad::Pad;
use record::Record;
use refused::Refused;
use service::Call;
use subtle::ConstantTimeEq;
use tapvault_proto::{
    Error,
    approval::TakeApprovalRequest,
    id::{Caller, ProviderId},
    pad::PadShow,
    pin::{
        EnrolmentTicket, EntryReply, METHODS, PinService, TakeConfirmation, TakeVerificationRequest,
        VERIFICATION_LIFE_MS,
    },
    service::{Request, Service},
    trustlet::Forwarded,
};
use tapvault_seal::Challenge;
use tapvault_tee::{Millis, PeerSupervisor, Tee, TrustedApp, drop_if, stack};
use tapvault_trust::certified;
use teei_hypervisor::gate::Gate;

/// The PIN trusted app.
pub struct Pin<T: Tee> {
    gate: Gate,
    challenge: Option<[u8; 32]>,
    record: Option<Record<T::Object>>,
    pad: Pad,
    entry: Option<Entry>,
    last_entry: u32,
    fact: Option<Fact>,
    confirmed: Option<Confirmed>,
    approved: Option<Approved>,
    delays: Delays,
    offered: Option<Offered>,
    refused: Option<Refused>,
    /// For a provider's key for PIN blocks.
    pin_key: Option<Challenge>,
    run: Run,
}

impl<T: Tee> Default for Pin<T> {
    fn default() -> Self {
        Self {
            gate: Gate::default(),
            challenge: None,
            record: None,
            pad: Pad::default(),
            entry: None,
            last_entry: 0,
            fact: None,
            confirmed: None,
            approved: None,
            delays: Delays::default(),
            offered: None,
            refused: None,
            pin_key: None,
            run: Run::default(),
        }
    }
}

impl<T: Tee> TrustedApp<T> for Pin<T> {
    const SERVICE: Service = Service::Pin;

    fn open(&mut self, tee: &mut T, session: u32, caller: Caller) -> Result<(), Error> {
        self.delays.start(tee.now());
        self.gate.open(&mut PeerSupervisor(tee), session, caller)
    }

    fn close(&mut self, tee: &mut T, session: u32) {
        // Storage that fails here costs the try; there is nobody left to tell.
        let _ = self.settle(tee, session);
        drop_if(&mut self.entry, |entry| entry.session == session);
        self.pad.close(session);
        self.gate.close(&mut PeerSupervisor(tee), session);
    }

    fn invoke(
        &mut self,
        tee: &mut T,
        session: u32,
        method: u32,
        request: &[u8],
        reply: &mut [u8],
    ) -> Result<usize, Error> {
        let rights = self.gate.rights(session)?;
        Call { app: self, tee, session }.dispatch(rights, method, request, reply)
    }

    fn wipe_stack(method: u32) {
        if stack::is_due(method, METHODS, &HURRIED) {
            stack::wipe::<{ stack::depth(option_env!("TAPVAULT_STACK")) }>();
        }
    }
}

/// What other trusted apps wait for, and no digit takes part in.
const HURRIED: [u32; 3] =
    [TakeVerificationRequest::METHOD, TakeApprovalRequest::METHOD, <Forwarded<TakeConfirmation>>::METHOD];

impl<T: Tee> Pin<T> {
    /// The provider's record, opened unless it is the one kept open.
    fn record(&mut self, tee: &mut T, provider: ProviderId) -> Result<Option<&mut Record<T::Object>>, Error> {
        if self.record.as_ref().is_none_or(|record| record.provider != provider) {
            self.record = None;
            self.record = Record::open(tee, provider)?;
        }
        Ok(self.record.as_mut())
    }

    /// Changes the record kept open; after a failure it is opened anew, since what is stored is then
    /// not known.
    fn update(
        &mut self,
        tee: &mut T,
        change: impl FnOnce(&mut Record<T::Object>, &mut T) -> Result<(), Error>,
    ) -> Result<u8, Error> {
        let record = self.record.as_mut().ok_or(Error::PinLocked)?;
        let changed = change(record, tee).map(|()| record.tries_left());
        if changed.is_err() {
            self.record = None;
        }
        changed
    }

    /// Gives the try back for an entry that was answered and not finished, when its own session goes on
    /// to something else or it has expired. It brings no verification and no new PIN: the client did
    /// not see it through.
    fn settle(&mut self, tee: &mut T, session: u32) -> Result<(), Error> {
        let now = tee.now();
        let left_behind =
            |entry: &Entry| entry.owed().is_some() && (entry.session == session || now >= entry.deadline);
        if let Some(entry) = self.entry.take_if(|entry| left_behind(entry))
            && let Some(tries) = entry.owed()
        {
            self.restore(tee, entry.provider, tries)?;
        }
        Ok(())
    }

    /// Stores what an entry owes a provider's record.
    fn restore(&mut self, tee: &mut T, provider: ProviderId, tries: u8) -> Result<u8, Error> {
        self.record(tee, provider)?;
        self.update(tee, |record, tee| record.set_tries(tee, tries))
    }

    /// Checks that nobody else's entry is open: else one client could spend the tries of another, or take the pad away.
    ///
    /// # Errors
    /// [`Error::Busy`].
    fn check_free(&self, session: u32, now: Millis) -> Result<(), Error> {
        let others = |entry: &Entry| entry.session != session && now < entry.deadline;
        if self.entry.as_ref().is_some_and(others) { Err(Error::Busy) } else { Ok(()) }
    }

    /// Ends the entry that `session` may have left open.
    ///
    /// # Errors
    /// [`Error::Busy`] while another session has one; storage's.
    fn end_entry(&mut self, tee: &mut T, session: u32) -> Result<(), Error> {
        self.check_free(session, tee.now())?;
        self.settle(tee, session)?;
        self.entry = None;
        Ok(())
    }

    /// Makes room for a new entry of `session`, for which a session of the pad has to be up.
    fn clear_entry(&mut self, tee: &mut T, session: u32) -> Result<(), Error> {
        let now = tee.now();
        self.check_free(session, now)?;
        self.pad.check(session, now)?;
        self.end_entry(tee, session)
    }

    /// Opens the entry, which takes the pad's session.
    fn begin(
        &mut self,
        tee: &mut T,
        session: u32,
        (provider, purpose): (ProviderId, Purpose),
        (tries, wanted): (Option<u8>, Wanted),
    ) -> Result<(u32, PadShow), Error> {
        let number = self.last_entry.checked_add(1).ok_or(Error::OutOfMemory)?;
        let (awaiting, show) = self.pad.show(session, &purpose.showing())?;
        let deadline = tee.now().plus(VERIFICATION_LIFE_MS);
        self.last_entry = number;
        let stage = Stage::open(awaiting, wanted);
        self.entry = Some(Entry { number, session, provider, purpose, tries, deadline, stage });
        Ok((number, show))
    }

    /// Spends a try in storage, before any digit is known, and opens the entry.
    fn begin_compared(
        &mut self,
        tee: &mut T,
        session: u32,
        provider: ProviderId,
        purpose: Purpose,
    ) -> Result<EntryReply, Error> {
        self.clear_entry(tee, session)?;
        let record = self.record(tee, provider)?.ok_or(Error::PinLocked)?;
        let (stored, salt) = (record.tries_left(), record.salt());
        let comparison = record.comparison(tee)?;
        let tries = self.run.left(provider, stored);
        let left = tries.checked_sub(1).ok_or(Error::PinLocked)?;
        if self.delays.left(provider, tries, tee.now()) > 0 {
            return Err(Error::PinDelayed);
        }
        self.run.take(provider, &salt)?;
        self.delays.spend(provider, tee.now());
        let tries_left = self.update(tee, |record, tee| record.set_tries(tee, left))?;
        let wanted = match purpose {
            Purpose::Change => Wanted::Change(comparison),
            _ => Wanted::Present(comparison),
        };
        let (entry, show) = self.begin(tee, session, (provider, purpose), (Some(tries), wanted))?;
        Ok(EntryReply { entry, tries_left, show })
    }

    /// Takes the open entry, if it is this one and as far as `stage` says.
    fn take_entry(
        &mut self,
        (session, number, now): (u32, u32, Millis),
        stage: impl FnOnce(&Stage) -> bool,
    ) -> Result<Entry, Error> {
        let entry = self.entry.as_ref().ok_or(Error::NoEntry)?;
        entry.check(session, number, now)?;
        if !stage(&entry.stage) {
            return Err(Error::NoEntry);
        }
        self.entry.take().ok_or(Error::NoEntry)
    }

    /// The challenge that is out for a ticket or a command.
    fn drawn(&self) -> Result<&[u8; 32], Error> {
        self.challenge.as_ref().ok_or(Error::NoChallenge)
    }

    fn check_drawn(&self, challenge: &[u8; 32]) -> Result<(), Error> {
        if bool::from(self.drawn()?.ct_eq(challenge)) { Ok(()) } else { Err(Error::WrongChallenge) }
    }

    fn check_ticket(&self, ticket: &EnrolmentTicket) -> Result<(), Error> {
        self.drawn()?;
        let certificate = &ticket.certificate;
        if !certified(certificate)?.verifies(&ticket.signed_bytes(), &ticket.signature) {
            return Err(Error::TicketInvalid);
        }
        self.check_drawn(&ticket.challenge)
    }
}
