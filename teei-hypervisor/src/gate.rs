//! A service's side of admission: the sessions it let in, and their registration with the supervisor.

use heapless::Vec;
use tapvault_proto::{
    Error,
    id::{Caller, ProviderId},
    service::Rights,
    supervisor::{AdmitReply, AdmitRequest, ReleaseRequest},
};

/// Most sessions of one service.
pub const MAX_SESSIONS: usize = 32;

/// The way to the supervisor; the port implements it over a peer session.
pub trait Supervisor {
    /// Asks for an admission.
    ///
    /// # Errors
    /// The supervisor's; [`Error::PeerDead`] when it died.
    fn admit(&mut self, request: &AdmitRequest) -> Result<AdmitReply, Error>;

    /// Gives an admission back.
    ///
    /// # Errors
    /// As [`Supervisor::admit`].
    fn release(&mut self, request: &ReleaseRequest) -> Result<(), Error>;
}

#[derive(Clone, Copy, Debug)]
struct Session {
    number: u32,
    caller: Caller,
    /// `None` once the supervisor refused to admit the session again after a restart.
    admission: Option<Admission>,
}

#[derive(Clone, Copy, Debug)]
struct Admission {
    number: u32,
    rights: Rights,
    provider: ProviderId,
}

impl From<AdmitReply> for Admission {
    fn from(reply: AdmitReply) -> Self {
        Self { number: reply.admission, rights: reply.rights, provider: reply.provider }
    }
}

/// The sessions of one service.
#[derive(Debug, Default)]
pub struct Gate {
    epoch: Option<u64>,
    sessions: Vec<Session, MAX_SESSIONS>,
}

impl Gate {
    /// Asks the supervisor for `caller` and remembers the session. A supervisor that started anew
    /// first learns of every live session, so that its quotas hold before it decides.
    ///
    /// # Errors
    /// [`Error::AccessDenied`], [`Error::QuotaExceeded`]; [`Error::OutOfMemory`] beyond
    /// [`MAX_SESSIONS`]; [`Error::PeerDead`] when the supervisor cannot be reached: no answer is no.
    pub fn open(
        &mut self,
        supervisor: &mut impl Supervisor,
        number: u32,
        caller: Caller,
    ) -> Result<(), Error> {
        if self.sessions.is_full() {
            return Err(Error::OutOfMemory);
        }
        let admitted = self.ask(supervisor, &caller)?;
        let admitted = if self.epoch.is_some_and(|epoch| epoch != admitted.epoch) {
            // The answer came from a supervisor that does not know our sessions: take it back,
            // register them, then ask again.
            let unknown = ReleaseRequest { epoch: admitted.epoch, admission: admitted.admission };
            supervisor.release(&unknown)?;
            self.register_again(supervisor, admitted.epoch)?;
            self.ask(supervisor, &caller)?
        } else {
            admitted
        };
        self.epoch = Some(admitted.epoch);
        let session = Session { number, caller, admission: Some(admitted.into()) };
        self.sessions.push(session).map_err(|_| Error::OutOfMemory)
    }

    /// Forgets the session and gives its quota back.
    pub fn close(&mut self, supervisor: &mut impl Supervisor, number: u32) {
        let Some(index) = self.sessions.iter().position(|session| session.number == number) else { return };
        let session = self.sessions.swap_remove(index);
        if let (Some(admission), Some(epoch)) = (session.admission, self.epoch) {
            // A supervisor that restarted holds no admission of ours; there is nothing to give back.
            let _ = supervisor.release(&ReleaseRequest { epoch, admission: admission.number });
        }
    }

    /// What the session may do.
    ///
    /// # Errors
    /// [`Error::AccessDenied`] for a session that is not, or no longer, admitted.
    pub fn rights(&self, number: u32) -> Result<Rights, Error> {
        self.admission(number).map(|admission| admission.rights)
    }

    /// The provider whose TVM holds the session; all zero for any other caller.
    ///
    /// # Errors
    /// As [`Gate::rights`].
    pub fn provider(&self, number: u32) -> Result<ProviderId, Error> {
        self.admission(number).map(|admission| admission.provider)
    }

    /// Who holds the session.
    ///
    /// # Errors
    /// As [`Gate::rights`].
    pub fn caller(&self, number: u32) -> Result<Caller, Error> {
        let session = self.sessions.iter().find(|session| session.number == number);
        session.map(|session| session.caller).ok_or(Error::AccessDenied)
    }

    fn admission(&self, number: u32) -> Result<Admission, Error> {
        let session = self.sessions.iter().find(|session| session.number == number);
        session.and_then(|session| session.admission).ok_or(Error::AccessDenied)
    }

    /// A dead supervisor is asked once more: the port opens a new session to the new instance.
    fn ask(&self, supervisor: &mut impl Supervisor, caller: &Caller) -> Result<AdmitReply, Error> {
        let request = AdmitRequest { caller: *caller };
        match supervisor.admit(&request) {
            Err(Error::PeerDead) => supervisor.admit(&request),
            answer => answer,
        }
    }

    fn register_again(&mut self, supervisor: &mut impl Supervisor, epoch: u64) -> Result<(), Error> {
        self.epoch = Some(epoch);
        for session in &mut self.sessions {
            session.admission = match supervisor.admit(&AdmitRequest { caller: session.caller }) {
                Ok(admitted) => Some(admitted.into()),
                Err(Error::AccessDenied | Error::QuotaExceeded) => None,
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }
}
