//! One invocation of a TVM.

use crate::{
    MAX_GUESTS, Tvm, element,
    registry::Registry,
    running::{Running, Shared, memory_of},
};
use heapless::Vec;
use tapvault_proto::{
    Error, PROTOCOL_VERSION,
    device::Sealing,
    id::{Party, TrustletName},
    supervisor::{ProviderReply, ProviderRequest, RegisterRequest},
    trustlet::Owner,
    tvm::{
        CallRequest, CancelReply, CancelRequest, CommandReply, CommandRequest, ElementChallengeReply,
        ElementChallengeRequest, InstallElementReply, InstallElementRequest, InstallReply, InstallRequest,
        ListReply, ListRequest, LoadReply, LoadRequest, OpenReply, OpenRequest, Progress, ReadLogReply,
        ReadLogRequest, ResumeRequest, StartReply, StartRequest, StatusReply, StatusRequest, TrustletState,
        TvmService,
    },
};
use tapvault_seal::Challenge;
use tapvault_tee::Tee;
use tapvault_trust::IS_LAB;
use teei_hypervisor::{
    its::Grant,
    lifecycle::Record,
    manifest::{Manifest, Signer},
};

/// One invocation.
pub struct Call<'a, T: Tee> {
    pub app: &'a mut Tvm<T>,
    pub tee: &'a mut T,
    pub session: u32,
}

impl<T: Tee> Call<'_, T> {
    fn signer(&self) -> Result<Signer, Error> {
        self.tee.stamp().ok_or(Error::AccessDenied)
    }

    /// What the policy gives this TVM's provider now. A stamp of another provider than the policy has for
    /// this UUID is no stamp.
    fn provider(&mut self) -> Result<ProviderReply, Error> {
        let reply = self.tee.call(&ProviderRequest {})?;
        if reply.provider == self.signer()?.provider { Ok(reply) } else { Err(Error::AccessDenied) }
    }

    fn running(&mut self) -> Result<&mut Running<T>, Error> {
        let session = self.session;
        self.app.running.iter_mut().find(|running| running.session == session).ok_or(Error::NotReady)
    }

    /// Takes one of the provider's loads: for what verifies a signature, and for a module.
    fn take_load(&mut self, policy: &ProviderReply) -> Result<(), Error> {
        let now = self.tee.now().0;
        self.app.rates.load(&policy.quota, now)
    }

    fn change<R>(&mut self, act: impl FnOnce(&mut Registry, &mut T) -> Result<R, Error>) -> Result<R, Error> {
        let Tvm { registry: Some(registry), .. } = &mut *self.app else { return Err(Error::Internal) };
        act(registry, self.tee)
    }

    /// Checks what a manifest asks for against the provider's policy.
    fn check_limits(&mut self, manifest: &Manifest, policy: &ProviderReply) -> Result<(), Error> {
        let quota = &policy.quota;
        let beside = self.app.registry(self.tee)?.stores_beside(&manifest.name);
        let stores = beside.saturating_add(u32::from(manifest.store));
        let fits = memory_of(manifest) <= usize::from(quota.memory_kib) * 1024
            && stores <= u32::from(quota.store)
            && manifest.services & !policy.services == 0;
        if fits { Ok(()) } else { Err(Error::LimitTooHigh) }
    }

    /// Tells the supervisor of a trustlet: of a change before it is made, or of what is.
    fn tell(&mut self, manifest: &Manifest, state: TrustletState, changes: bool) -> Result<(), Error> {
        let Manifest { name, version, peers, .. } = manifest.clone();
        self.tee.call(&RegisterRequest { name, state, version, peers, changes }).map(|_| ())
    }

    /// Ends every guest of a trustlet that is no longer what it was.
    fn end_guests(&mut self, name: &TrustletName) {
        while let Some(index) = self.app.running.iter().position(|running| running.owner.name == *name) {
            self.app.running.swap_remove(index).end(self.tee);
        }
    }

    /// Bytes that all guests hold.
    fn memory(&self) -> usize {
        self.app.running.iter().map(|running| running.bytes).sum()
    }

    /// Runs the session's guest; one that failed is ended at once, memory and all.
    fn drive(
        &mut self,
        act: impl FnOnce(&mut Running<T>, &mut T, Shared<'_>) -> Result<Progress, Error>,
    ) -> Result<Progress, Error> {
        let Tvm { running: guests, rates, log, registry: Some(registry), .. } = &mut *self.app else {
            return Err(Error::NotReady);
        };
        let session = self.session;
        let index = guests.iter().position(|running| running.session == session).ok_or(Error::NotReady)?;
        let running = guests.get_mut(index).ok_or(Error::Internal)?;
        let outcome = act(running, self.tee, (rates, log, registry));
        if running.has_failed() {
            guests.swap_remove(index).end(self.tee);
        }
        outcome
    }
}

impl<T: Tee> TvmService for Call<'_, T> {
    fn status(&mut self, _: StatusRequest) -> Result<StatusReply, Error> {
        let provider = self.signer()?.provider;
        let trustlets = self.app.registry(self.tee)?.count();
        let memory = self.memory();
        Ok(StatusReply {
            protocol: PROTOCOL_VERSION,
            provider,
            trustlets: u8::try_from(trustlets).unwrap_or(u8::MAX),
            guests: u8::try_from(self.app.running.len()).unwrap_or(u8::MAX),
            memory: u32::try_from(memory).unwrap_or(u32::MAX),
            lab: IS_LAB,
        })
    }

    fn install(&mut self, request: InstallRequest) -> Result<InstallReply, Error> {
        let InstallRequest { manifest: document, signature } = request;
        let policy = self.provider()?;
        self.take_load(&policy)?;
        let manifest = self.signer()?.manifest(&document, &signature)?;
        self.check_limits(&manifest, &policy)?;
        let mut generation = [0; 16];
        self.tee.random(&mut generation);
        let registry = self.app.registry(self.tee)?;
        let place = registry.place_for(&manifest.name, manifest.recover)?;
        let old = registry.find(&manifest.name).map(|(_, record)| record);
        let record = Record::installed(old, &manifest, &document, signature, generation)?;
        let reply = InstallReply { version: record.version, state: record.state };
        self.tell(&manifest, record.state, true)?;
        // A guest of the version before would run on under the new one's name.
        self.end_guests(&manifest.name);
        let store = manifest.store;
        self.change(|registry, tee| registry.put(tee, place, manifest.name, store, record))?;
        Ok(reply)
    }

    fn command(&mut self, request: CommandRequest) -> Result<CommandReply, Error> {
        let policy = self.provider()?;
        self.take_load(&policy)?;
        let signer = self.signer()?;
        let command = signer.command(&request.document, &request.signature)?;
        let (place, old) = self.app.registry(self.tee)?.living_named(&command.name)?;
        let record = old.commanded(&command)?;
        let manifest = signer.manifest(&old.manifest, &old.signature)?;
        let state = record.state;
        self.tell(&manifest, state, true)?;
        if state != TrustletState::Active {
            self.end_guests(&command.name);
        }
        self.change(|registry, tee| registry.put(tee, place, command.name, manifest.store, record))?;
        Ok(CommandReply { state })
    }

    fn list(&mut self, _: ListRequest) -> Result<ListReply, Error> {
        Ok(ListReply { trustlets: self.app.registry(self.tee)?.entries() })
    }

    fn read_log(&mut self, _: ReadLogRequest) -> Result<ReadLogReply, Error> {
        let log = &mut self.app.log;
        let mut lines = Vec::new();
        while let Some(line) = log.lines.pop_front() {
            lines.push(line).map_err(|_| Error::Internal)?;
        }
        Ok(ReadLogReply { lost: core::mem::take(&mut log.lost), lines })
    }

    fn element_challenge(&mut self, _: ElementChallengeRequest) -> Result<ElementChallengeReply, Error> {
        let (drawn, challenge, recipient) = Challenge::draw(self.tee, Sealing::Hpke)?;
        self.app.challenge = Some(drawn);
        Ok(ElementChallengeReply { challenge, recipient })
    }

    fn install_element(&mut self, request: InstallElementRequest) -> Result<InstallElementReply, Error> {
        let signer = self.signer()?;
        let challenge = self.app.challenge.as_ref().ok_or(Error::NoChallenge)?;
        element::install(self.tee, &signer, challenge, request)?;
        self.app.challenge = None;
        Ok(InstallElementReply {})
    }

    fn open_trustlet(&mut self, request: OpenRequest) -> Result<OpenReply, Error> {
        if self.running().is_ok() {
            return Err(Error::NotReady);
        }
        let policy = self.provider()?;
        self.take_load(&policy)?;
        let signer = self.signer()?;
        let (place, record) = self.app.registry(self.tee)?.living_named(&request.name)?;
        let (state, generation) = (record.state, record.generation);
        let manifest = signer.manifest(&record.manifest, &record.signature)?;
        if state != TrustletState::Active {
            return Err(Error::TrustletInactive);
        }
        if !manifest.clients.contains(&self.app.gate.caller(self.session)?) {
            return Err(Error::AccessDenied);
        }
        self.check_limits(&manifest, &policy)?;
        let quota = policy.quota;
        let fits = self.app.running.len() < usize::from(quota.guests).min(MAX_GUESTS)
            && self.memory() + memory_of(&manifest) <= usize::from(quota.memory_kib) * 1024;
        if !fits {
            return Err(Error::ProviderQuota);
        }
        self.tell(&manifest, state, false)?;
        let reply = OpenReply { size: manifest.size, version: manifest.version };
        let owner = Owner { name: request.name, generation, guest: self.session };
        let grant = Grant { services: manifest.services, quota };
        let running = Running::open(self.tee, (self.session, place), owner, grant, manifest)?;
        self.app.running.push(running).map_err(|_| Error::ProviderQuota)?;
        Ok(reply)
    }

    fn load(&mut self, request: LoadRequest) -> Result<LoadReply, Error> {
        self.running()?.load(request.offset, &request.bytes).map(|()| LoadReply {})
    }

    fn start(&mut self, _: StartRequest) -> Result<StartReply, Error> {
        match self.running()?.start() {
            Ok(()) => Ok(StartReply {}),
            // What was brought so far may still be completed.
            Err(Error::NotReady) => Err(Error::NotReady),
            Err(error) => {
                self.app.end(self.tee, self.session);
                Err(error)
            }
        }
    }

    fn call(&mut self, request: CallRequest) -> Result<Progress, Error> {
        let from = Party::Client(self.app.gate.caller(self.session)?);
        // Between what a trustlet reads from its store and what it writes there, nobody else may write.
        let name = self.running()?.owner.name.clone();
        let session = self.session;
        let in_call = |running: &Running<T>| {
            running.session != session && running.owner.name == name && running.is_in_call()
        };
        if self.app.running.iter().any(in_call) {
            return Err(Error::Busy);
        }
        self.drive(|running, tee, shared| running.call(tee, shared, &from, &request.message))
    }

    fn resume(&mut self, request: ResumeRequest) -> Result<Progress, Error> {
        self.drive(|running, tee, shared| running.resume(tee, shared, request.frame))
    }

    fn cancel(&mut self, _: CancelRequest) -> Result<CancelReply, Error> {
        if self.running()?.is_idle() {
            return Err(Error::NotReady);
        }
        self.app.end(self.tee, self.session);
        Ok(CancelReply {})
    }
}
