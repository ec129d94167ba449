//! The simulated phone, driven by the same steps as the model.

use crate::{
    LETTERS,
    common::{BOOT, Phone},
    oracle::Model,
    steps::{Act, Ask, Draft, Op, Part, Proof, Said},
};
use tapvault::{
    ClientError, Transport,
    maker::{document::Trustlet, identity},
    sim::{Sim, SimChannel},
    transport::call,
    trustlet::{Signed, Tvm},
};
use tapvault_device_tests::trustlets::{
    bank::{Bank, WALLET_USER, named, result},
    modules::{self, BUFFER},
};
use tapvault_proto::{
    Error,
    id::Caller,
    service::Service,
    supervisor::{SessionsRequest, TrustletsRequest},
    trustlet::network::{PostReply, PostRequest, TakeReply},
    tvm::{CallRequest, CancelRequest, LoadRequest, OpenRequest, Progress, ResumeRequest, StartRequest},
    wire::{Bytes, Wire, decode_exact, encode_into},
};

/// Where the message begins in the buffer, behind the client.
const HEAD: u32 = 1 + Caller::MAX as u32;

/// A module that does what its message says: `e` answers `answer`, `s` spins, `t` traps; a longer message is
/// service, method and length of a request that follows, each 4 bytes, little-endian.
pub fn module(answer: u8) -> Vec<u8> {
    let at = |offset: u32| BUFFER + HEAD + offset;
    let word = |index: u32| format!("(i32.load (i32.const {}))", at(4 * index));
    let is = |byte: u8| format!("(i32.eq (i32.load8_u (i32.const {})) (i32.const {byte}))", at(0));
    let (service, method, len, request) = (word(0), word(1), word(2), at(12));
    modules::handler(
        &format!(
            "(local $result i32)
            (if (i32.eq (local.get $len) (i32.const {}))
                (then
                    (if {} (then (loop br 0)))
                    (if {} (then unreachable))
                    (i32.store8 (i32.const {BUFFER}) (i32.load8_u (i32.const 8192)))
                    (return (i32.const 1))))
            (local.set $result
                (call $call {service} {method} (i32.const {request}) {len} (i32.const {}) (i32.const 400)))
            (i32.store (i32.const {BUFFER}) (local.get $result))
            (if (i32.lt_s (local.get $result) (i32.const 0)) (then (return (i32.const 4))))
            (i32.add (local.get $result) (i32.const 4))",
            HEAD + 1,
            is(b's'),
            is(b't'),
            BUFFER + 4,
        ),
        &format!("(data (i32.const 8192) \"\\{answer:02x}\")"),
    )
}

/// The simulated phone, driven by the same steps.
pub struct Real {
    phone: Phone,
    banks: [Bank; 2],
    sessions: [Vec<Tvm<SimChannel>>; 2],
}

impl Real {
    pub fn new() -> Self {
        let (phone, banks) = (Phone::new(), LETTERS.map(Bank::lab));
        let mut real = Self { phone, banks, sessions: [vec![], vec![]] };
        (0..2).for_each(|bank| real.reconnect(bank));
        real
    }

    /// After a start of its TVM: sessions from before are dead.
    fn reconnect(&mut self, bank: usize) {
        for session in &mut self.sessions[bank] {
            let dead = session.status().map(|_| ()).map_err(|error| error.refusal());
            assert_eq!(dead, Err(Some(Error::PeerDead)));
        }
        let tvm = self.banks[bank].connect(&self.phone.sim).unwrap();
        self.sessions[bank] = vec![tvm];
    }

    fn manifest(&self, bank: usize, name: &str, draft: &Draft, proof: Proof) -> Signed {
        let mut wanted = Trustlet::new(named(name), draft.version);
        wanted.pages = draft.pages;
        wanted.store = draft.store;
        wanted.fuel = if draft.short { 20_000 } else { 2_000_000 };
        wanted.services = vec![Service::Network];
        wanted.services.extend(draft.element.then_some(Service::Element));
        wanted.peers = draft.peers.clone();
        wanted.clients = vec![identity::user(if draft.foreign { 1001 } else { WALLET_USER })];
        let Bank { id, key } = &self.banks[bank];
        let id = if proof == Proof::Stranger { self.banks[1 - bank].id } else { *id };
        altered(wanted.sign(id, key, &module(draft.module)).unwrap(), proof)
    }

    fn command(&self, bank: usize, name: &str, sequence: u32, action: &str, proof: Proof) -> Signed {
        let Bank { id, key } = &self.banks[bank];
        let id = if proof == Proof::Stranger { self.banks[1 - bank].id } else { *id };
        let signed = tapvault::maker::document::command(id, key, &named(name), sequence, action);
        altered(signed.unwrap(), proof)
    }

    pub fn step(&mut self, op: &Op) -> Result<Said, ClientError> {
        let Op { bank, session, act } = op;
        let bank = *bank;
        let signed = match act {
            Act::Install(name, draft, Proof::OtherKind) => {
                Some(self.command(bank, name, draft.version, "lock", Proof::Good))
            }
            Act::Install(name, draft, proof) => Some(self.manifest(bank, name, draft, *proof)),
            Act::Command(name, sequence, _, Proof::OtherKind) => {
                // Within the shorter documents that commands are: no peers, and still a manifest.
                let document = format!(r#"{{"kind":"manifest","name":"{name}","version":{sequence}}}"#);
                let signature = self.banks[bank].key.sign(document.as_bytes());
                Some(Signed { document: document.into_bytes(), signature })
            }
            Act::Command(name, sequence, action, proof) => {
                Some(self.command(bank, name, *sequence, action, *proof))
            }
            _ => None,
        };
        let tvm = &mut self.sessions[bank][*session];
        let channel = tvm.channel();
        match act {
            Act::Connect => {
                let tvm = Tvm::connect(&self.phone.sim, self.banks[bank].tvm())?;
                self.sessions[bank].push(tvm);
            }
            Act::Close => drop(self.sessions[bank].remove(*session)),
            Act::Install(..) => {
                let (version, state) = tvm.install(&signed.unwrap())?;
                return Ok(Said::Installed(version, state));
            }
            Act::Command(..) => return tvm.command(&signed.unwrap()).map(Said::State),
            Act::Open(name) => {
                let opened = call(channel, &OpenRequest { name: named(name) })?;
                return Ok(Said::Opened(opened.size, opened.version));
            }
            Act::Load(part, answer) => {
                let module = module(*answer);
                let half = module.len() / 2;
                let (offset, bytes) = match part {
                    Part::All => (0, &module[..]),
                    Part::FirstHalf => (0, &module[..half]),
                    Part::SecondHalf => (half, &module[half..]),
                    Part::Nothing => (0, &[][..]),
                };
                let (offset, bytes) = (offset.try_into().unwrap(), Bytes::from_slice(bytes).unwrap());
                call(channel, &LoadRequest { offset, bytes })?;
            }
            Act::Start => {
                call(channel, &StartRequest {})?;
            }
            Act::Call(ask) => {
                let message = Bytes::from_slice(&message(ask)).unwrap();
                return call(channel, &CallRequest { message }).map(|progress| said(ask, progress));
            }
            Act::Resume { frame } => {
                let frame = frame.then(|| Bytes::from_slice(&[0x90, 0]).unwrap());
                return call(channel, &ResumeRequest { frame }).map(|progress| said(&Ask::Store, progress));
            }
            Act::Cancel => {
                call(channel, &CancelRequest {})?;
            }
            Act::RestartTvm => {
                self.phone.sim.restart_app(self.banks[bank].tvm());
                self.reconnect(bank);
            }
            Act::RestartSupervisor => self.phone.sim.restart_app(Service::Supervisor.uuid()),
            Act::RestartPhone => {
                self.phone.restart();
                (0..2).for_each(|bank| self.reconnect(bank));
            }
        }
        Ok(Said::Nothing)
    }

    fn supervisor(&self) -> <Sim as Transport>::Channel {
        self.phone.sim.as_caller(BOOT).connect(Service::Supervisor).unwrap()
    }

    /// What TVMs and supervisor say of themselves is what the model says.
    pub fn compare(&mut self, model: &Model) {
        let mut mapped = 0;
        let mut supervisor = self.supervisor();
        for bank in 0..2 {
            let tvm = &mut self.sessions[bank][0];
            let (living, guests, memory) = model.status(bank);
            let status = tvm.status().unwrap();
            let counts = (status.trustlets.into(), status.guests.into(), status.memory as usize);
            assert_eq!(counts, (living, guests, memory), "status of bank {bank}");
            mapped += memory;
            let entry = |entry: tapvault_proto::tvm::TrustletEntry| {
                (entry.name.to_string(), entry.state, entry.version, entry.sequence)
            };
            let mut listed: Vec<_> = tvm.trustlets().unwrap().into_iter().map(entry).collect();
            listed.sort_by(|one, other| one.0.cmp(&other.0));
            let expected = model.providers[bank].trustlets.iter();
            let expected: Vec<_> =
                expected.map(|(name, at)| (name.clone(), at.state, at.draft.version, at.sequence)).collect();
            assert_eq!(listed, expected, "trustlets of bank {bank}");
            let request = TrustletsRequest { provider: self.banks[bank].id };
            let known = call(&mut supervisor, &request).unwrap().trustlets.into_iter();
            let mut known: Vec<_> = known
                .map(|info| (info.name.to_string(), info.state, info.version, info.messages.into()))
                .collect();
            known.sort_by(|one, other| one.0.cmp(&other.0));
            assert_eq!(known, model.directory(bank), "directory of bank {bank}");
        }
        assert_eq!(self.phone.device.borrow().mapped, mapped, "memory of all guests");
    }

    /// Everything closed leaves nothing.
    pub fn close(mut self) {
        self.sessions.iter_mut().for_each(|sessions| sessions.truncate(1));
        self.sessions.iter_mut().for_each(Vec::clear);
        let mut supervisor = self.supervisor();
        for bank in &self.banks {
            let live = call(&mut supervisor, &SessionsRequest { target: bank.tvm() }).unwrap();
            assert_eq!(live.callers.len(), 0, "live sessions with {}", bank.tvm());
            let status = bank.connect(&self.phone.sim).unwrap().status().unwrap();
            assert_eq!((status.guests, status.memory), (0, 0), "guests were left behind");
        }
        assert_eq!(self.phone.device.borrow().mapped, 0, "memory was left behind");
    }
}

fn altered(mut signed: Signed, proof: Proof) -> Signed {
    if proof == Proof::Forged {
        signed.signature[40] ^= 1;
    }
    signed
}

fn message(ask: &Ask) -> Vec<u8> {
    let (service, method, request) = match ask {
        Ask::Echo => return b"e".to_vec(),
        Ask::Spin => return b"s".to_vec(),
        Ask::Trap => return b"t".to_vec(),
        Ask::Post(to, body) => {
            let post = PostRequest { to: to.clone(), body: Bytes::from_slice(&[*body]).unwrap() };
            let mut bytes = vec![0; PostRequest::MAX];
            let len = encode_into(&post, &mut bytes).unwrap();
            bytes.truncate(len);
            (Service::Network, 1, bytes)
        }
        Ask::Take => (Service::Network, 2, vec![]),
        Ask::Store => (Service::Store, 1, b"\x00\x01k".to_vec()),
    };
    let words = [service as u32, method, request.len().try_into().unwrap()];
    [words.map(u32::to_le_bytes).concat(), request].concat()
}

fn said(ask: &Ask, progress: Progress) -> Said {
    let reply = match progress {
        Progress::Done(reply) => reply,
        Progress::Yielded => return Said::Yielded,
        Progress::Frame(_) => panic!("nothing here uses the element"),
    };
    if let Ask::Echo | Ask::Spin | Ask::Trap = ask {
        assert_eq!(reply.len(), 1);
        return Said::Echo(reply[0]);
    }
    match result(&reply).unwrap() {
        Err(error) => Said::Refused(error),
        Ok(body) if matches!(ask, Ask::Take) => Said::Taken(decode_exact::<TakeReply>(&body).unwrap().mail),
        Ok(body) => Said::Posted(decode_exact::<PostReply>(&body).unwrap().number),
    }
}
