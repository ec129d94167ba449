//! A session's guest: its memory, its module on the way in, its calls.

use crate::{Log, Rates, element, registry::Registry, services::Homes};
use alloc::{boxed::Box, vec::Vec as HeapVec};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tapvault_proto::{
    Error,
    id::Party,
    service::Service,
    trustlet::{Forwarded, Owner, keys::CloseKeys},
    tvm::{MAX_FRAME, Progress},
    wire::Bytes,
};
use tapvault_tee::Tee;
use teei_hypervisor::{
    its::{self, Grant, MAX_EXCHANGE, Sender, call_fuel},
    manifest::Manifest,
    scp03::{Link, Wish},
    tvm::{
        check::reserve,
        guest::{Guest, ServiceCall, Stop},
    },
};
use zeroize::Zeroizing;

/// What all guests of a TVM share.
pub type Shared<'a> = (&'a mut Rates, &'a mut Log, &'a mut Registry);

/// How far a guest is. All of it lies in the guest's memory.
enum Stage {
    /// Its module comes in.
    Loading(HeapVec<u8>),
    /// It takes calls, or is in one.
    Ready(Box<Guest>),
}

/// A guest of one session. Fields are dropped in order: the memory after all that lies in it.
pub struct Running<T: Tee> {
    /// The session that opened it.
    pub session: u32,
    /// Who speaks when it calls a service.
    pub owner: Owner,
    /// Its place in the registry.
    pub place: usize,
    /// What it may.
    pub grant: Grant,
    stage: Stage,
    /// The call of a service that a frame of the secure element will answer.
    waiting: Option<ServiceCall>,
    link: Link,
    used_keys: bool,
    manifest: Manifest,
    memory: T::Memory,
    /// Bytes of `memory`.
    pub bytes: usize,
}

/// Bytes that a guest with this manifest takes.
pub fn memory_of(manifest: &Manifest) -> usize {
    let pages = usize::from(manifest.limits.pages) << 16;
    (pages + reserve(manifest.size as usize, &manifest.limits)).next_multiple_of(4096)
}

impl<T: Tee> Running<T> {
    /// Takes memory for a guest and awaits its module.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn open(
        tee: &mut T,
        (session, place): (u32, usize),
        owner: Owner,
        grant: Grant,
        manifest: Manifest,
    ) -> Result<Self, Error> {
        let bytes = memory_of(&manifest);
        let mut memory = tee.map(bytes)?;
        let module = T::within(&mut memory, || {
            let mut module = HeapVec::new();
            module.try_reserve_exact(manifest.size as usize).map(|()| module)
        });
        let module = module.map_err(|_| Error::OutOfMemory)?;
        Ok(Self {
            session,
            owner,
            place,
            grant,
            stage: Stage::Loading(module),
            waiting: None,
            link: Link::default(),
            used_keys: false,
            manifest,
            memory,
            bytes,
        })
    }

    /// Takes the module's next bytes.
    ///
    /// # Errors
    /// [`Error::NotReady`] when none are awaited; [`Error::BadParameters`] for any but the next ones.
    pub fn load(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Error> {
        let Stage::Loading(module) = &mut self.stage else { return Err(Error::NotReady) };
        let room = (self.manifest.size as usize).saturating_sub(module.len());
        if offset as usize != module.len() || bytes.is_empty() || bytes.len() > room {
            return Err(Error::BadParameters);
        }
        // Within the capacity that was reserved: this allocates nothing.
        module.extend_from_slice(bytes);
        Ok(())
    }

    /// Checks the module and makes it a guest.
    ///
    /// # Errors
    /// [`Error::NotReady`] before all of it is there; [`Error::ModuleMismatch`], [`Error::ModuleInvalid`]:
    /// the guest is then of no use.
    pub fn start(&mut self) -> Result<(), Error> {
        let Stage::Loading(module) = &mut self.stage else { return Err(Error::NotReady) };
        if module.len() != self.manifest.size as usize {
            return Err(Error::NotReady);
        }
        let digest: [u8; 32] = Sha256::digest(module.as_slice()).into();
        if !bool::from(digest.ct_eq(&self.manifest.module)) {
            return Err(Error::ModuleMismatch);
        }
        let limits = &self.manifest.limits;
        let guest = T::within(&mut self.memory, || Guest::load(module, limits).map(Box::new))?;
        self.stage = Stage::Ready(guest);
        Ok(())
    }

    /// Gives the guest a message and a first slice.
    ///
    /// # Errors
    /// See [`Running::go`]; [`Error::NotReady`].
    pub fn call(
        &mut self,
        tee: &mut T,
        (rates, log, registry): Shared<'_>,
        from: &Party,
        message: &[u8],
    ) -> Result<Progress, Error> {
        let Stage::Ready(guest) = &mut self.stage else { return Err(Error::NotReady) };
        T::within(&mut self.memory, || guest.call(from, message))?;
        self.go(tee, (rates, log, registry))
    }

    /// Gives the guest its next slice, with a frame of the secure element where it waits for one.
    ///
    /// # Errors
    /// See [`Running::go`]; [`Error::NotReady`], [`Error::BadParameters`] for a frame that nobody asked for,
    /// or none where one is needed.
    pub fn resume(
        &mut self,
        tee: &mut T,
        (rates, log, registry): Shared<'_>,
        frame: Option<Bytes<MAX_FRAME>>,
    ) -> Result<Progress, Error> {
        let Stage::Ready(guest) = &mut self.stage else { return Err(Error::NotReady) };
        if self.waiting.is_some() != frame.is_some() {
            return Err(Error::BadParameters);
        }
        if let (Some(call), Some(frame)) = (self.waiting, frame) {
            let answer = match self.link.answered(&frame) {
                Ok(Wish::Frame(next)) => return Ok(Progress::Frame(next)),
                Ok(Wish::Answer(response)) => Ok(response),
                Err(error) => Err(error),
            };
            self.waiting = None;
            let mut reply = Bytes::<MAX_EXCHANGE>::new();
            let encoded = answer.and_then(|response| element::encode(&response, &mut reply));
            let answer = encoded.map(|()| reply.as_slice());
            T::within(&mut self.memory, || guest.answer(&call, answer, call_fuel(call.service)))?;
        } else if guest.is_idle() {
            return Err(Error::NotReady);
        }
        self.go(tee, (rates, log, registry))
    }

    /// Whether the guest failed and is of no more use.
    pub fn has_failed(&self) -> bool {
        matches!(&self.stage, Stage::Ready(guest) if guest.has_failed())
    }

    /// Whether a call is in progress.
    pub fn is_in_call(&self) -> bool {
        matches!(&self.stage, Stage::Ready(guest) if !guest.is_idle())
    }

    /// Whether the guest takes a call.
    pub fn is_idle(&self) -> bool {
        matches!(&self.stage, Stage::Ready(guest) if guest.is_idle())
    }

    /// Runs the guest for one slice, and its calls of services. A service that takes long ends the slice, so
    /// that no call of the client's holds the thread for more than a slice and one of those.
    ///
    /// # Errors
    /// [`Error::TrustletFailed`], [`Error::TrustletRefused`].
    fn go(&mut self, tee: &mut T, (rates, log, registry): Shared<'_>) -> Result<Progress, Error> {
        let Self { stage: Stage::Ready(guest), memory, .. } = self else { return Err(Error::NotReady) };
        T::within(memory, || guest.refuel())?;
        loop {
            let Self { stage: Stage::Ready(guest), memory, .. } = self else { return Err(Error::NotReady) };
            match T::within(memory, || guest.run())? {
                Stop::Done(len) => {
                    let reply = guest.reply(len)?;
                    return Bytes::from_slice(reply).map(Progress::Done).map_err(|_| Error::Internal);
                }
                Stop::Slice => return Ok(Progress::Yielded),
                Stop::Call(call) => {
                    if let Some(progress) = self.serve(tee, (rates, log, registry), &call)? {
                        return Ok(progress);
                    }
                }
            }
        }
    }

    /// Answers one call of a service; `Some` when the client has to come in between.
    fn serve(
        &mut self,
        tee: &mut T,
        (rates, log, registry): Shared<'_>,
        call: &ServiceCall,
    ) -> Result<Option<Progress>, Error> {
        let Self { stage: Stage::Ready(guest), memory, .. } = self else { return Err(Error::NotReady) };
        // The one copy of what the guest sends; nobody else reads its memory.
        let mut body = Zeroizing::new([0; MAX_EXCHANGE]);
        let request = guest.request(call, body.as_mut_slice());
        let mut reply = Zeroizing::new([0; MAX_EXCHANGE]);
        let mut wish = None;
        let now = tee.now().0;
        let Self { owner, grant, manifest, place, used_keys, .. } = self;
        let answer = request.and_then(|len| {
            let body = body.get(..len).ok_or(Error::Internal)?;
            let place = *place;
            let mut homes = Homes { tee, log, registry, owner, manifest, place, wish: &mut wish };
            let (sender, target) = (Sender { owner, grant, now }, (call.service, call.method));
            its::call(&mut homes, rates, &sender, target, body, reply.as_mut_slice())
        });
        *used_keys |= call.service == Service::Card as u32;
        let answer = match wish {
            Some(command) => match self.link.send(&command, || element::start(tee)) {
                Ok(frame) => {
                    self.waiting = Some(*call);
                    return Ok(Some(Progress::Frame(frame)));
                }
                Err(error) => Err(error),
            },
            None => answer.and_then(|len| reply.get(..len).ok_or(Error::Internal)),
        };
        let carried = request.unwrap_or(0) + answer.map_or(0, <[u8]>::len);
        let fuel = call_fuel(call.service) + carried as u64;
        T::within(memory, || guest.answer(call, answer, fuel))?;
        // Answered or refused: a refusal may have read storage, too.
        Ok(its::is_heavy(call.service, call.method).then_some(Progress::Yielded))
    }

    /// Ends the guest: handles first, then its memory.
    pub fn end(self, tee: &mut T) {
        if self.used_keys {
            let close = Forwarded { owner: self.owner.clone(), request: CloseKeys {} };
            // A card trusted app that died holds no keys of ours.
            let _ = tee.call(&close);
        }
    }
}
