//! The table of methods, as this trusted app carries it out.

use crate::{
    Pin,
    card_data::Awaited,
    entry::{Approved, Confirmed, Entry, Fact, Purpose, Stage, Wanted},
    record::Record,
};
use tapvault_proto::{
    Error, PROTOCOL_VERSION,
    approval::{BeginApprovalRequest, TakeApprovalReply, TakeApprovalRequest},
    bank_pin::{
        BankPinBlock, BankPinEntryReply, BeginBankPinRequest, DrawPinKeyReply, DrawPinKeyRequest,
        FinishBankPinRequest, InstallPinKeyReply, InstallPinKeyRequest, OfferTokenReply, OfferTokenRequest,
    },
    binding::{BeginCardDataRequest, CardDataEntryReply, FinishCardDataRequest, SealedCardData},
    freshness::{PinRun, PinRunRequest, TakeGrantReply, TakeGrantRequest},
    pad::{
        PadAcceptReply, PadAnswer, PadOffer, PadOfferRequest, PadStateReply, PadStateRequest, PairReply,
        Pairing,
    },
    pin::{
        BeginChangeRequest, BeginConfirmRequest, BeginSetRequest, BeginVerifyRequest, ChallengeReply,
        ChallengeRequest, EntryReply, FinishReply, FinishRequest, PinService, PinState, PinStateReply,
        PinStateRequest, StatusReply, StatusRequest, SubmitReply, SubmitRequest, TRY_LIMIT, TakeConfirmation,
        TakeConfirmationReply, TakeVerificationReply, TakeVerificationRequest, TicketPurpose,
        VERIFICATION_LIFE_MS, Verdict, VerificationMethod,
    },
    refused::{OfferRefusedReply, OfferRefusedRequest},
    tries::{PinDelayReply, PinDelayRequest, UnlockPinReply, UnlockPinRequest},
    trustlet::Forwarded,
};
use tapvault_tee::Tee;
use tapvault_trust::IS_LAB;

/// One invocation.
pub struct Call<'a, T: Tee> {
    /// The trusted app.
    pub app: &'a mut Pin<T>,
    /// Its TEE.
    pub tee: &'a mut T,
    /// The session whose call it is.
    pub session: u32,
}

impl<T: Tee> PinService for Call<'_, T> {
    fn status(&mut self, _: StatusRequest) -> Result<StatusReply, Error> {
        Ok(StatusReply { protocol: PROTOCOL_VERSION, lab: IS_LAB })
    }

    fn pin_state(&mut self, request: PinStateRequest) -> Result<PinStateReply, Error> {
        self.app.settle(self.tee, self.session)?;
        let stored = self.app.record(self.tee, request.provider)?.map(|record| record.tries_left());
        let tries = stored.map(|stored| self.app.run.left(request.provider, stored));
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
                let record = Record::create(*tee, provider, secret, unlocks)?;
                app.run.renew(provider, &record.salt());
                app.record = Some(record);
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
        let stored = self.app.record(self.tee, provider)?.map_or(0, |record| record.tries_left());
        let tries = self.app.run.left(provider, stored);
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
