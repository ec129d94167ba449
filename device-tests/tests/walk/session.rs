//! What a client does in a session.

use crate::{
    guest::{TRAP, check},
    state::{Answer, GUESTS, Guest, Stage, Who},
    world::{Session, World, name, outcome, same},
};
use tapvault::transport::call;
use tapvault_device_tests::random::Random;
use tapvault_proto::{
    Error,
    tvm::{
        CallRequest, CancelRequest, LoadRequest, OpenRequest, Progress, ResumeRequest, StartRequest,
        TrustletState,
    },
    wire::Bytes,
};

impl World {
    pub fn open(&mut self, at: usize, trustlet: usize) -> Result<(), String> {
        let who = Who { bank: self.sessions[at].bank, trustlet };
        let guests = self.guests(who.bank).count();
        let expected = match self.installed[&who].state {
            _ if self.sessions[at].guest.is_some() => Err(Error::NotReady),
            None | Some(TrustletState::Removed) => Err(Error::UnknownTrustlet),
            Some(TrustletState::Installed | TrustletState::Locked) => Err(Error::TrustletInactive),
            Some(TrustletState::Active) if guests == GUESTS => Err(Error::ProviderQuota),
            Some(TrustletState::Active) => Ok((self.module.len(), self.installed[&who].version)),
        };
        let came = outcome(call(&mut self.sessions[at].channel, &OpenRequest { name: name(who) }));
        if expected.is_ok() {
            self.sessions[at].guest = Some(Guest::new(who));
            self.network.register(who, TrustletState::Active);
        }
        same("open", came.map(|reply| (reply.size as usize, reply.version)), expected)
    }

    pub fn load(&mut self, at: usize, random: &mut Random) -> Result<(), String> {
        let Session { channel, guest, .. } = &mut self.sessions[at];
        let stage = guest.as_mut().map(|guest| &mut guest.stage);
        let (loaded, wrong) =
            (if let Some(Stage::Loading(loaded, _)) = &stage { *loaded } else { 0 }, random.one_in(10));
        let rest = &self.module[loaded..];
        // Most often all of it, so that some guest becomes ready.
        let len = if random.one_in(3) { random.index(rest.len() + 1) } else { rest.len() };
        let mut bytes = rest[..len].to_vec();
        let damage = random.one_in(30) && !bytes.is_empty();
        if damage {
            bytes[0] ^= 1;
        }
        let offset = u32::try_from(loaded).unwrap() + u32::from(wrong);
        let came = outcome(call(channel, &LoadRequest { offset, bytes: Bytes::from_slice(&bytes).unwrap() }));
        let expected = match stage {
            Some(Stage::Loading(..)) if wrong || len == 0 => Err(Error::BadParameters),
            Some(Stage::Loading(loaded, intact)) => {
                *loaded += len;
                *intact &= !damage;
                Ok(())
            }
            _ => Err(Error::NotReady),
        };
        same("load", came.map(|_| ()), expected)
    }

    pub fn start(&mut self, at: usize) -> Result<(), String> {
        let Session { channel, guest, .. } = &mut self.sessions[at];
        let came = outcome(call(channel, &StartRequest {}));
        let expected = match guest {
            Some(Guest { stage: Stage::Loading(loaded, intact), .. }) if *loaded == self.module.len() => {
                if *intact {
                    Ok(())
                } else {
                    Err(Error::ModuleMismatch)
                }
            }
            _ => Err(Error::NotReady),
        };
        match expected {
            Ok(()) => guest.as_mut().unwrap().stage = Stage::Ready,
            Err(Error::ModuleMismatch) => *guest = None,
            Err(_) => {}
        }
        same("start", came.map(|_| ()), expected)
    }

    pub fn call(&mut self, at: usize, random: &mut Random) -> Result<(), String> {
        let busy = |(index, session): (usize, &Session)| {
            let other = session.guest.as_ref().filter(|_| index != at);
            other.is_some_and(|other| {
                matches!(other.stage, Stage::InCall(_))
                    && self.sessions[at].guest.as_ref().is_some_and(|guest| guest.who == other.who)
            })
        };
        let busy = self.sessions.iter().enumerate().any(busy);
        let ready = matches!(&self.sessions[at].guest, Some(Guest { stage: Stage::Ready, .. }));
        if busy || !ready {
            let expected = if busy { Error::Busy } else { Error::NotReady };
            let request = CallRequest { message: Bytes::new() };
            let came = outcome(call(&mut self.sessions[at].channel, &request));
            return same("call", came.map(|_| ()), Err(expected));
        }
        let (message, answer, yields) = self.act_as_guest(at, random);
        let request = CallRequest { message: Bytes::from_slice(&message).unwrap() };
        let came = outcome(call(&mut self.sessions[at].channel, &request));
        let guest = &mut self.sessions[at].guest;
        if yields {
            guest.as_mut().unwrap().stage = Stage::InCall(answer);
            return same("call", came, Ok(Progress::Yielded));
        }
        if came == Err(Error::TrustletFailed) {
            *guest = None;
            return same("a trap", message[..4].to_vec(), TRAP.to_le_bytes().to_vec());
        }
        check(guest.as_mut().unwrap(), came, answer)
    }

    pub fn resume(&mut self, at: usize, with_frame: bool) -> Result<(), String> {
        let Session { channel, guest, .. } = &mut self.sessions[at];
        let frame = with_frame.then(Bytes::new);
        let came = outcome(call(channel, &ResumeRequest { frame }));
        let Some(guest) = guest else { return same("resume", came, Err(Error::NotReady)) };
        match guest.stage.clone() {
            Stage::Loading(..) => same("resume", came, Err(Error::NotReady)),
            Stage::Ready | Stage::InCall(_) if with_frame => same("resume", came, Err(Error::BadParameters)),
            Stage::Ready => same("resume", came, Err(Error::NotReady)),
            Stage::InCall(Answer::Never) => same("resume", came, Ok(Progress::Yielded)),
            Stage::InCall(answer) => {
                guest.stage = Stage::Ready;
                check(guest, came, answer)
            }
        }
    }

    pub fn cancel(&mut self, at: usize) -> Result<(), String> {
        let Session { channel, guest, .. } = &mut self.sessions[at];
        let came = outcome(call(channel, &CancelRequest {}));
        let expected = match guest {
            None | Some(Guest { stage: Stage::Ready, .. }) => Err(Error::NotReady),
            // Of a call, or of a module on its way.
            Some(_) => Ok(()),
        };
        if expected.is_ok() {
            *guest = None;
        }
        same("cancel", came.map(|_| ()), expected)
    }
}
