//! The PIN trusted app: the *wallet PIN* (CDCVM), one record per provider.
//!
//! A try is spent in storage when entry begins and comes back only with the right digits; nothing is
//! written between the last digit and the answer. Missing and damaged records count as locked, and a
//! record comes into being only with its provider's ticket.
//!
//! Card data take the same way, begin → submit → finish, and leave sealed for their bank; nothing of them is stored.
#![no_std]
#![forbid(unsafe_code)]

mod card_data;
mod entry;
mod record;

use card_data::Awaited;
use entry::{Approved, Confirmed, Entry, Fact, Purpose, Stage};
use record::{NewSecret, Record};
use subtle::ConstantTimeEq;
use tapvault_proto::{
    Error, PROTOCOL_VERSION,
    approval::{BeginApprovalRequest, TakeApprovalReply, TakeApprovalRequest},
    binding::{
        BeginCardDataRequest, CardDataEntryReply, FinishCardDataRequest, SealedCardData,
        SubmitCardDataInsecureRequest, SubmitCardDataReply,
    },
    id::{Caller, ProviderId},
    pin::{
        BeginChangeRequest, BeginConfirmRequest, BeginSetRequest, BeginVerifyRequest, ChallengeReply,
        ChallengeRequest, EnrolmentTicket, EntryReply, FinishReply, FinishRequest, METHODS, PinService,
        PinState, PinStateReply, PinStateRequest, StatusReply, StatusRequest, SubmitInsecureRequest,
        SubmitReply, TRY_LIMIT, TakeConfirmation, TakeConfirmationReply, TakeVerificationReply,
        TakeVerificationRequest, TicketPurpose, VERIFICATION_LIFE_MS, Verdict, VerificationMethod,
    },
    service::{Request, Service},
    trustlet::Forwarded,
};
use tapvault_tee::{Millis, PeerSupervisor, Tee, TrustedApp, Wiped, drop_if, stack};
use tapvault_trust::{IS_LAB, certified};
use teei_hypervisor::gate::Gate;

/// The PIN trusted app.
pub struct Pin<T: Tee> {
    gate: Gate,
    challenge: Option<[u8; 32]>,
    record: Option<Record<T::Object>>,
    entry: Option<Entry>,
    last_entry: u32,
    fact: Option<Fact>,
    confirmed: Option<Confirmed>,
    approved: Option<Approved>,
}

impl<T: Tee> Default for Pin<T> {
    fn default() -> Self {
        Self {
            gate: Gate::default(),
            challenge: None,
            record: None,
            entry: None,
            last_entry: 0,
            fact: None,
            confirmed: None,
            approved: None,
        }
    }
}

impl<T: Tee> TrustedApp<T> for Pin<T> {
    const SERVICE: Service = Service::Pin;

    fn open(&mut self, tee: &mut T, session: u32, caller: Caller) -> Result<(), Error> {
        self.gate.open(&mut PeerSupervisor(tee), session, caller)
    }

    fn close(&mut self, tee: &mut T, session: u32) {
        // Storage that fails here costs the try; there is nobody left to tell.
        let _ = self.settle(tee, session);
        drop_if(&mut self.entry, |entry| entry.session == session);
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

    /// Gives the try back for an entry that was accepted and not finished, when its own session goes on
    /// to something else or it has expired. It brings no verification and no new PIN: the client did
    /// not see it through.
    fn settle(&mut self, tee: &mut T, session: u32) -> Result<(), Error> {
        let now = tee.now();
        let left_behind = |entry: &Entry| {
            entry.purpose != Purpose::Set
                && matches!(entry.stage, Stage::Accepted { .. })
                && (entry.session == session || now >= entry.deadline)
        };
        if let Some(entry) = self.entry.take_if(|entry| left_behind(entry)) {
            self.record(tee, entry.provider)?;
            self.update(tee, |record, tee| record.set_tries(tee, TRY_LIMIT))?;
        }
        Ok(())
    }

    /// Makes room for a new entry of `session`.
    fn clear_entry(&mut self, tee: &mut T, session: u32) -> Result<(), Error> {
        self.settle(tee, session)?;
        let now = tee.now();
        let others = |entry: &Entry| entry.session != session && now < entry.deadline;
        // Else one client could spend the tries of another.
        if self.entry.as_ref().is_some_and(others) {
            return Err(Error::Busy);
        }
        self.entry = None;
        Ok(())
    }

    fn begin(
        &mut self,
        tee: &mut T,
        session: u32,
        provider: ProviderId,
        purpose: Purpose,
        stage: Stage,
    ) -> Result<u32, Error> {
        let number = self.last_entry.checked_add(1).ok_or(Error::OutOfMemory)?;
        let deadline = tee.now().plus(VERIFICATION_LIFE_MS);
        self.last_entry = number;
        self.entry = Some(Entry { number, session, provider, purpose, deadline, stage });
        Ok(number)
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
        let left = self.record(tee, provider)?.map_or(0, |record| record.tries_left());
        let left = left.checked_sub(1).ok_or(Error::PinLocked)?;
        let tries_left = self.update(tee, |record, tee| record.set_tries(tee, left))?;
        let entry = self.begin(tee, session, provider, purpose, Stage::Open)?;
        Ok(EntryReply { entry, tries_left })
    }

    /// The open entry, if it is this one.
    fn entry_of(&self, session: u32, number: u32, now: Millis) -> Result<&Entry, Error> {
        let entry = self.entry.as_ref().ok_or(Error::NoEntry)?;
        entry.check(session, number, now)?;
        Ok(entry)
    }

    fn check_ticket(&self, ticket: &EnrolmentTicket) -> Result<(), Error> {
        let challenge = self.challenge.as_ref().ok_or(Error::NoChallenge)?;
        let certificate = &ticket.certificate;
        if !certified(certificate)?.verifies(&ticket.signed_bytes(), &ticket.signature) {
            return Err(Error::TicketInvalid);
        }
        if bool::from(challenge.ct_eq(&ticket.challenge)) { Ok(()) } else { Err(Error::WrongChallenge) }
    }
}

/// One invocation.
struct Call<'a, T: Tee> {
    app: &'a mut Pin<T>,
    tee: &'a mut T,
    session: u32,
}

impl<T: Tee> PinService for Call<'_, T> {
    fn status(&mut self, _: StatusRequest) -> Result<StatusReply, Error> {
        Ok(StatusReply { protocol: PROTOCOL_VERSION, lab: IS_LAB })
    }

    fn pin_state(&mut self, request: PinStateRequest) -> Result<PinStateReply, Error> {
        self.app.settle(self.tee, self.session)?;
        let tries = self.app.record(self.tee, request.provider)?.map(|record| record.tries_left());
        let state = match tries {
            None => PinState::Missing,
            Some(0) => PinState::Locked,
            Some(_) => PinState::Set,
        };
        Ok(PinStateReply { state, tries_left: tries.unwrap_or(0) })
    }

    fn challenge(&mut self, _: ChallengeRequest) -> Result<ChallengeReply, Error> {
        let mut challenge = [0; 32];
        self.tee.random(&mut challenge);
        self.app.challenge = Some(challenge);
        Ok(ChallengeReply { challenge })
    }

    fn begin_set(&mut self, request: BeginSetRequest) -> Result<EntryReply, Error> {
        self.app.check_ticket(&request.ticket)?;
        let provider = request.ticket.certificate.provider;
        self.app.clear_entry(self.tee, self.session)?;
        let intact = self.app.record(self.tee, provider)?.is_some();
        if intact && request.ticket.purpose == TicketPurpose::Enrol {
            return Err(Error::PinAlreadySet);
        }
        let entry = self.app.begin(self.tee, self.session, provider, Purpose::Set, Stage::Open)?;
        self.app.challenge = None;
        Ok(EntryReply { entry, tries_left: TRY_LIMIT })
    }

    fn begin_verify(&mut self, request: BeginVerifyRequest) -> Result<EntryReply, Error> {
        let BeginVerifyRequest { provider, card, ceiling, currency } = request;
        let purpose = Purpose::Verify { card, ceiling, currency };
        self.app.begin_compared(self.tee, self.session, provider, purpose)
    }

    fn begin_confirm(&mut self, request: BeginConfirmRequest) -> Result<EntryReply, Error> {
        let BeginConfirmRequest { provider, trustlet, transfer } = request;
        // The payee goes to a screen.
        if transfer.payee.is_empty() || !transfer.payee.iter().all(|byte| (0x20..0x7F).contains(byte)) {
            return Err(Error::BadParameters);
        }
        let purpose = Purpose::Confirm { trustlet, transfer };
        self.app.begin_compared(self.tee, self.session, provider, purpose)
    }

    fn begin_approval(&mut self, request: BeginApprovalRequest) -> Result<EntryReply, Error> {
        let BeginApprovalRequest { provider, approval } = request;
        if !approval.check() {
            return Err(Error::BadParameters);
        }
        self.app.begin_compared(self.tee, self.session, provider, Purpose::Approve { approval })
    }

    fn begin_change(&mut self, request: BeginChangeRequest) -> Result<EntryReply, Error> {
        self.app.begin_compared(self.tee, self.session, request.provider, Purpose::Change)
    }

    fn begin_card_data(&mut self, request: BeginCardDataRequest) -> Result<CardDataEntryReply, Error> {
        let provider = request.certificate.provider;
        // Checked before room is made: a refusal leaves an open entry as it is.
        let awaited = Awaited::new(self.tee, &request)?;
        let challenge = awaited.challenge();
        self.app.clear_entry(self.tee, self.session)?;
        let stage = Stage::Card(Wiped::new(awaited));
        let entry = self.app.begin(self.tee, self.session, provider, Purpose::CardData, stage)?;
        Ok(CardDataEntryReply { entry, challenge })
    }

    fn submit_card_data_insecure(
        &mut self,
        request: SubmitCardDataInsecureRequest,
    ) -> Result<SubmitCardDataReply, Error> {
        let Self { app, tee, session } = self;
        let entry = app.entry_of(*session, request.entry, tee.now())?;
        if !matches!(entry.stage, Stage::Card(_)) {
            return Err(Error::NoEntry);
        }
        let Some(Entry { stage: Stage::Card(mut awaited), number, session, provider, purpose, deadline }) =
            app.entry.take()
        else {
            return Err(Error::Internal);
        };
        let stage = Stage::Sealed(awaited.seal(provider, &request.data)?);
        app.entry = Some(Entry { number, session, provider, purpose, deadline, stage });
        Ok(SubmitCardDataReply {})
    }

    fn finish_card_data(&mut self, request: FinishCardDataRequest) -> Result<SealedCardData, Error> {
        let Self { app, tee, session } = self;
        let entry = app.entry_of(*session, request.entry, tee.now())?;
        if !matches!(entry.stage, Stage::Sealed(_)) {
            return Err(Error::NoEntry);
        }
        match app.entry.take() {
            Some(Entry { stage: Stage::Sealed(sealed), .. }) => Ok(sealed),
            _ => Err(Error::Internal),
        }
    }

    fn submit_insecure(&mut self, request: SubmitInsecureRequest) -> Result<SubmitReply, Error> {
        let Self { app, tee, session } = self;
        let entry = app.entry.as_ref().ok_or(Error::NoEntry)?;
        entry.check(*session, request.entry, tee.now())?;
        if !matches!(entry.stage, Stage::Open) {
            return Err(Error::NoEntry);
        }
        if (entry.purpose == Purpose::Change) != request.new_pin.is_some() {
            return Err(Error::BadParameters);
        }
        let (provider, purpose) = (entry.provider, entry.purpose.clone());
        if purpose != Purpose::Set {
            let record = app.record(*tee, provider)?.ok_or(Error::PinLocked)?;
            if !record.matches(*tee, &request.pin)? {
                let tries_left = record.tries_left();
                app.entry = None;
                return Ok(SubmitReply { verdict: Verdict::Wrong, tries_left });
            }
        }
        let new_pin = match purpose {
            Purpose::Set => Some(&request.pin),
            Purpose::Change => request.new_pin.as_ref(),
            Purpose::Verify { .. }
            | Purpose::Confirm { .. }
            | Purpose::Approve { .. }
            | Purpose::CardData => None,
        };
        let secret = new_pin.map(|pin| NewSecret::new(*tee, provider, pin)).transpose()?;
        if let Some(entry) = &mut app.entry {
            entry.stage = Stage::Accepted { secret };
        }
        Ok(SubmitReply { verdict: Verdict::Accepted, tries_left: TRY_LIMIT })
    }

    fn finish(&mut self, request: FinishRequest) -> Result<FinishReply, Error> {
        let Self { app, tee, session } = self;
        let entry = app.entry.as_ref().ok_or(Error::NoEntry)?;
        entry.check(*session, request.entry, tee.now())?;
        if !matches!(entry.stage, Stage::Accepted { .. }) {
            return Err(Error::NoEntry);
        }
        let Some(Entry { provider, purpose, stage: Stage::Accepted { secret }, .. }) = app.entry.take()
        else {
            return Err(Error::NoEntry);
        };
        match (purpose, secret) {
            (Purpose::Set, Some(secret)) => {
                // The object cannot be replaced while it is open.
                app.record = None;
                app.record = Some(Record::create(*tee, provider, secret)?);
            }
            (Purpose::Change, Some(secret)) => {
                app.record(*tee, provider)?;
                app.update(*tee, |record, tee| record.replace(tee, secret))?;
            }
            (Purpose::Verify { card, ceiling, currency }, None) => {
                app.record(*tee, provider)?;
                app.update(*tee, |record, tee| record.set_tries(tee, TRY_LIMIT))?;
                let deadline = tee.now().plus(VERIFICATION_LIFE_MS);
                let caller = app.gate.caller(*session)?;
                app.fact = Some(Fact { provider, card, app: caller, ceiling, currency, deadline });
            }
            (Purpose::Confirm { trustlet, transfer }, None) => {
                app.record(*tee, provider)?;
                app.update(*tee, |record, tee| record.set_tries(tee, TRY_LIMIT))?;
                let deadline = tee.now().plus(VERIFICATION_LIFE_MS);
                app.confirmed = Some(Confirmed { provider, trustlet, transfer, deadline });
            }
            (Purpose::Approve { approval }, None) => {
                app.record(*tee, provider)?;
                app.update(*tee, |record, tee| record.set_tries(tee, TRY_LIMIT))?;
                let deadline = tee.now().plus(VERIFICATION_LIFE_MS);
                app.approved = Some(Approved { provider, approval, deadline });
            }
            _ => return Err(Error::Internal),
        }
        Ok(FinishReply { tries_left: TRY_LIMIT })
    }

    fn take_verification(
        &mut self,
        request: TakeVerificationRequest,
    ) -> Result<TakeVerificationReply, Error> {
        let now = self.tee.now();
        let fits = |fact: &Fact| {
            (fact.provider, fact.card, fact.app) == (request.provider, request.card, request.app)
                && now < fact.deadline
        };
        let fact = self.app.fact.take_if(|fact| fits(fact)).ok_or(Error::NoVerification)?;
        Ok(TakeVerificationReply {
            method: VerificationMethod::WalletPin,
            ceiling: fact.ceiling,
            currency: fact.currency,
            remaining_ms: fact.deadline.since(now),
        })
    }

    fn take_approval(&mut self, request: TakeApprovalRequest) -> Result<TakeApprovalReply, Error> {
        let now = self.tee.now();
        let fits = |approved: &Approved| {
            (approved.provider, &approved.approval) == (request.provider, &request.approval)
                && now < approved.deadline
        };
        let approved = self.app.approved.take_if(|approved| fits(approved)).ok_or(Error::NoVerification)?;
        let (method, remaining_ms) = (VerificationMethod::WalletPin, approved.deadline.since(now));
        Ok(TakeApprovalReply { method, remaining_ms })
    }

    fn take_confirmation(
        &mut self,
        call: Forwarded<TakeConfirmation>,
    ) -> Result<TakeConfirmationReply, Error> {
        let now = self.tee.now();
        // The provider is the TVM's, by the core's and the policy's word.
        let provider = self.app.gate.provider(self.session)?;
        let fits = |confirmed: &Confirmed| {
            (confirmed.provider, &confirmed.trustlet, &confirmed.transfer)
                == (provider, &call.owner.name, &call.request.transfer)
                && now < confirmed.deadline
        };
        self.app.confirmed.take_if(|confirmed| fits(confirmed)).ok_or(Error::NoVerification)?;
        Ok(TakeConfirmationReply { method: VerificationMethod::WalletPin })
    }
}
