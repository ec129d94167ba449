//! The PIN trusted app: the *wallet PIN* (CDCVM), one record per provider.
//!
//! What is typed comes from the paired pad alone, through a session of its own for each entry, which the normal world
//! carries and cannot read: offer → accept → begin → submit → finish.
//!
//! A try is granted by the service platform, spent in storage when entry begins, and comes back only with the right digits, or by the pad's word that
//! nothing was submitted; storage is not touched between the pad's frame and the answer. Missing and damaged records
//! count as locked, and a record comes into being only with its provider's ticket.
//!
//! Card data take the same way and leave sealed for their bank; nothing of them is stored. So does the *bank PIN*, which
//! leaves as a PIN block.
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
mod showing;
mod unlock;
pub mod verifier;

use bank_pin::Offered;
use card_data::Awaited;
use delay::Delays;
use entry::{Approved, Confirmed, Entry, Fact, Purpose, Stage, Wanted};
use freshness::Run;
use pad::Pad;
use record::Record;
use refused::Refused;
use subtle::ConstantTimeEq;
use tapvault_proto::{
    Error, PROTOCOL_VERSION,
    approval::{BeginApprovalRequest, TakeApprovalReply, TakeApprovalRequest},
    bank_pin::{
        BankPinBlock, BankPinEntryReply, BeginBankPinRequest, DrawPinKeyReply, DrawPinKeyRequest,
        FinishBankPinRequest, InstallPinKeyReply, InstallPinKeyRequest, OfferTokenReply, OfferTokenRequest,
    },
    binding::{BeginCardDataRequest, CardDataEntryReply, FinishCardDataRequest, SealedCardData},
    freshness::{PinRun, PinRunRequest, TakeGrantReply, TakeGrantRequest},
    id::{Caller, ProviderId},
    pad::{
        PadAcceptReply, PadAnswer, PadOffer, PadOfferRequest, PadShow, PadStateReply, PadStateRequest,
        PairReply, Pairing,
    },
    pin::{
        BeginChangeRequest, BeginConfirmRequest, BeginSetRequest, BeginVerifyRequest, ChallengeReply,
        ChallengeRequest, EnrolmentTicket, EntryReply, FinishReply, FinishRequest, METHODS, PinService,
        PinState, PinStateReply, PinStateRequest, StatusReply, StatusRequest, SubmitReply, SubmitRequest,
        TRY_LIMIT, TakeConfirmation, TakeConfirmationReply, TakeVerificationReply, TakeVerificationRequest,
        TicketPurpose, VERIFICATION_LIFE_MS, Verdict, VerificationMethod,
    },
    refused::{OfferRefusedReply, OfferRefusedRequest},
    service::{Request, Service},
    tries::{PinDelayReply, PinDelayRequest, UnlockPinReply, UnlockPinRequest},
    trustlet::Forwarded,
};
use tapvault_seal::Challenge;
use tapvault_tee::{Millis, PeerSupervisor, Tee, TrustedApp, drop_if, stack};
use tapvault_trust::{IS_LAB, certified};
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
        let tries = record.tries_left();
        let left = tries.checked_sub(1).ok_or(Error::PinLocked)?;
        let comparison = record.comparison(tee)?;
        if self.delays.left(provider, tries, tee.now()) > 0 {
            return Err(Error::PinDelayed);
        }
        self.run.take(provider)?;
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
        let (what, wanted) = ((provider, Purpose::Set), (None, Wanted::New));
        let (entry, show) = self.app.begin(self.tee, self.session, what, wanted)?;
        self.app.challenge = None;
        Ok(EntryReply { entry, tries_left: TRY_LIMIT, show })
    }

    fn begin_verify(&mut self, request: BeginVerifyRequest) -> Result<EntryReply, Error> {
        let BeginVerifyRequest { provider, card, ceiling, currency, exact } = request;
        if exact {
            let app = self.app.gate.caller(self.session)?;
            self.app.check_refused(&request, app, self.tee.now())?;
        }
        let purpose = Purpose::Verify { card, ceiling, currency, exact };
        let reply = self.app.begin_compared(self.tee, self.session, provider, purpose)?;
        if exact {
            self.app.refused = None;
        }
        Ok(reply)
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
        let purpose = Purpose::CardData { bank: request.certificate.name };
        let wanted = (None, Wanted::CardData(awaited));
        let (entry, show) = self.app.begin(self.tee, self.session, (provider, purpose), wanted)?;
        Ok(CardDataEntryReply { entry, challenge, show })
    }

    fn submit(&mut self, request: SubmitRequest) -> Result<SubmitReply, Error> {
        let Self { app, tee, session } = self;
        let this = (*session, request.entry, tee.now());
        // Out of its place: whatever goes wrong now, it is over.
        let entry = app.take_entry(this, |stage| matches!(stage, Stage::Open(_)))?;
        let provider = entry.provider;
        let spent = entry.tries.map_or(0, |tries| tries.saturating_sub(1));
        let compared = entry.tries.is_some();
        let (entry, verdict) = entry.submit(*tee, &request.frame)?;
        match verdict {
            Verdict::Wrong => app.delays.spend(provider, tee.now()),
            Verdict::Accepted if compared => app.run.succeed(provider),
            Verdict::Nothing if compared => app.run.give_back(provider),
            Verdict::Accepted | Verdict::Nothing => {}
        }
        app.entry = entry;
        let tries_left = app.entry.as_ref().map_or(spent, Entry::tries_once_finished);
        Ok(SubmitReply { verdict, tries_left })
    }

    fn finish(&mut self, request: FinishRequest) -> Result<FinishReply, Error> {
        let Self { app, tee, session } = self;
        let this = (*session, request.entry, tee.now());
        let answered = |stage: &Stage| matches!(stage, Stage::Accepted { .. } | Stage::Nothing);
        let entry = app.take_entry(this, answered)?;
        let tries_left = entry.tries_once_finished();
        let owed = entry.owed();
        let Entry { provider, purpose, stage, .. } = entry;
        let secret = match stage {
            Stage::Accepted { secret } => secret,
            _ => {
                owed.map(|tries| app.restore(*tee, provider, tries)).transpose()?;
                return Ok(FinishReply { tries_left });
            }
        };
        match (purpose, secret) {
            (Purpose::Set, Some(secret)) => {
                let unlocks = app.record(*tee, provider)?.map_or(0, |record| record.unlocks());
                // The object cannot be replaced while it is open.
                app.record = None;
                app.record = Some(Record::create(*tee, provider, secret, unlocks)?);
                app.run.renew(provider);
            }
            (Purpose::Change, Some(secret)) => {
                app.record(*tee, provider)?;
                app.update(*tee, |record, tee| record.replace(tee, secret))?;
            }
            (Purpose::Verify { card, ceiling, currency, exact }, None) => {
                app.restore(*tee, provider, TRY_LIMIT)?;
                let deadline = tee.now().plus(VERIFICATION_LIFE_MS);
                let caller = app.gate.caller(*session)?;
                app.fact = Some(Fact { provider, card, app: caller, ceiling, currency, exact, deadline });
            }
            (Purpose::Confirm { trustlet, transfer }, None) => {
                app.restore(*tee, provider, TRY_LIMIT)?;
                let deadline = tee.now().plus(VERIFICATION_LIFE_MS);
                app.confirmed = Some(Confirmed { provider, trustlet, transfer, deadline });
            }
            (Purpose::Approve { approval }, None) => {
                app.restore(*tee, provider, TRY_LIMIT)?;
                let deadline = tee.now().plus(VERIFICATION_LIFE_MS);
                app.approved = Some(Approved { provider, approval, deadline });
            }
            _ => return Err(Error::Internal),
        }
        Ok(FinishReply { tries_left })
    }

    fn finish_card_data(&mut self, request: FinishCardDataRequest) -> Result<SealedCardData, Error> {
        let Self { app, tee, session } = self;
        let this = (*session, request.entry, tee.now());
        match app.take_entry(this, |stage| matches!(stage, Stage::Sealed(_)))?.stage {
            Stage::Sealed(sealed) => Ok(sealed),
            _ => Err(Error::Internal),
        }
    }

    fn pad_state(&mut self, _: PadStateRequest) -> Result<PadStateReply, Error> {
        self.app.pad.state(self.tee)
    }

    fn pair(&mut self, pairing: Pairing) -> Result<PairReply, Error> {
        self.app.pad.pair(self.tee, pairing).map(|()| PairReply {})
    }

    fn pad_offer(&mut self, request: PadOfferRequest) -> Result<PadOffer, Error> {
        self.app.check_free(self.session, self.tee.now())?;
        self.app.pad.offer(self.tee, self.session, request.suite)
    }

    fn pad_accept(&mut self, answer: PadAnswer) -> Result<PadAcceptReply, Error> {
        self.app.pad.accept(self.tee, self.session, &answer).map(|()| PadAcceptReply {})
    }

    fn unlock(&mut self, command: UnlockPinRequest) -> Result<UnlockPinReply, Error> {
        self.app.unlocked(self.tee, self.session, &command)
    }

    fn delay(&mut self, request: PinDelayRequest) -> Result<PinDelayReply, Error> {
        let PinDelayRequest { provider } = request;
        self.app.settle(self.tee, self.session)?;
        let tries = self.app.record(self.tee, provider)?.map_or(0, |record| record.tries_left());
        Ok(PinDelayReply { wait_ms: self.app.delays.left(provider, tries, self.tee.now()) })
    }

    fn install_pin_key(&mut self, request: InstallPinKeyRequest) -> Result<InstallPinKeyReply, Error> {
        self.app.pin_key_installed(self.tee, request).map(|()| InstallPinKeyReply {})
    }

    fn begin_bank_pin(&mut self, request: BeginBankPinRequest) -> Result<BankPinEntryReply, Error> {
        self.app.bank_pin_begun(self.tee, self.session, &request)
    }

    fn finish_bank_pin(&mut self, request: FinishBankPinRequest) -> Result<BankPinBlock, Error> {
        self.app.bank_pin_finished(self.tee, self.session, &request)
    }

    fn offer_token(&mut self, request: OfferTokenRequest) -> Result<OfferTokenReply, Error> {
        self.app.token_offered(self.tee, &request).map(|()| OfferTokenReply {})
    }

    fn take_grant(&mut self, request: TakeGrantRequest) -> Result<TakeGrantReply, Error> {
        self.app.run.grant(&request.statement).map(|()| TakeGrantReply {})
    }

    fn pin_run(&mut self, _: PinRunRequest) -> Result<PinRun, Error> {
        Ok(self.app.run.report(self.tee))
    }

    fn draw_pin_key(&mut self, _: DrawPinKeyRequest) -> Result<DrawPinKeyReply, Error> {
        self.app.pin_key_drawn(self.tee)
    }

    fn offer_refused(&mut self, request: OfferRefusedRequest) -> Result<OfferRefusedReply, Error> {
        self.app.refused_offered(self.tee, request);
        Ok(OfferRefusedReply {})
    }

    fn take_verification(
        &mut self,
        request: TakeVerificationRequest,
    ) -> Result<TakeVerificationReply, Error> {
        let now = self.tee.now();
        let fits = |fact: &Fact| {
            (fact.provider, fact.card, fact.app) == (request.provider, request.card, request.app)
                && now < fact.deadline
                && (request.tap || !fact.exact)
        };
        let fact = self.app.fact.take_if(|fact| fits(fact)).ok_or(Error::NoVerification)?;
        Ok(TakeVerificationReply {
            method: VerificationMethod::WalletPin,
            ceiling: fact.ceiling,
            currency: fact.currency,
            exact: fact.exact,
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
