//! A normal world that mostly does the next step of an entry, and else whatever comes to its mind with all that it ever
//! saw, ten thousand times, while a holder types on the pad whatever is shown there.

use crate::common::{Phone, prepared, refusal};
use std::collections::HashMap;
use tapvault::{ClientError, Wallet, sim::Sim};
use tapvault_device_tests::{
    lab::{self, Digits, Lab},
    pad::{LabPad, pin},
    random::Random,
};
use tapvault_network::{lab::LabBank, registry::CNY};
use tapvault_proto::{
    Error,
    approval::{Approval, BeginApprovalRequest},
    freshness::MAX_BOOKED,
    id::{CardId, TrustletName},
    pad::{Entered, Frame, PadAnswer, PadMessage, PadOffer, PadOfferRequest, PadPurpose, PadShow, PadSuite},
    pin::{
        BeginChangeRequest, BeginConfirmRequest, BeginSetRequest, BeginVerifyRequest, EnrolmentTicket,
        EntryReply, FinishRequest, RETRY_DELAYS_MS, SubmitRequest, TRY_LIMIT, TicketPurpose, Transfer,
        VERIFICATION_LIFE_MS, Verdict,
    },
    refused::ConfirmPrepareRequest,
    service::Service,
    tries::UnlockPinRequest,
    wire::{Bytes, Wire, decode_exact, encode_into},
};

const STEPS: usize = 10_000;
/// Long enough that it stands nowhere by chance.
const PINS: [&str; 2] = ["482915730664", "731664825091"];
const WRONG: &str = "517306642948";

/// What the holder did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Did {
    Right,
    Wrong,
    Nothing,
}

/// What an entry that was answered may still bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owed {
    All,
    One,
}

struct World {
    random: Random,
    phone: Phone,
    lab: Lab,
    card: CardId,
    clients: [Wallet<Sim>; 2],
    pad: LabPad,
    // What the adversary saw.
    seen: Vec<u8>,
    offers: Vec<PadOffer>,
    answers: Vec<PadAnswer>,
    shows: Vec<PadShow>,
    entries: Vec<u32>,
    frames: Vec<Frame>,
    // What the bank gave, each good once.
    commands: Vec<UnlockPinRequest>,
    tickets: Vec<EnrolmentTicket>,
    // What is true: whatever the pad sealed, and for which purpose.
    sealed: HashMap<Vec<u8>, (Did, PadPurpose)>,
    verifies: Vec<u32>,
    // Which of `PINS` is set, and the entry that changes it once it is finished.
    pin: usize,
    changing: Option<u32>,
    before: u8,
    bound: u8,
    owed: Option<Owed>,
    facts: u32,
    used: u32,
    counts: HashMap<&'static str, u32>,
    // Where an entry stands that is done step by step, and whose it is.
    next: usize,
    leader: usize,
}

fn bytes<W: Wire>(message: &W) -> Vec<u8> {
    let mut bytes = vec![0; W::MAX];
    let len = encode_into(message, &mut bytes).unwrap();
    bytes.truncate(len);
    bytes
}

impl World {
    fn new() -> Self {
        let (phone, mut lab, card) = prepared();
        lab.set_pin(&mut phone.wallet(), PINS[0]).unwrap();
        let clients = [phone.wallet(), phone.wallet()];
        Self {
            random: Random::of_environment(),
            phone,
            lab,
            card,
            clients,
            pad: LabPad::default(),
            seen: Vec::new(),
            offers: Vec::new(),
            answers: Vec::new(),
            shows: Vec::new(),
            entries: Vec::new(),
            frames: Vec::new(),
            commands: Vec::new(),
            tickets: Vec::new(),
            sealed: HashMap::new(),
            verifies: Vec::new(),
            pin: 0,
            changing: None,
            before: TRY_LIMIT,
            bound: TRY_LIMIT,
            owed: None,
            facts: 0,
            used: 0,
            counts: HashMap::new(),
            next: 0,
            leader: 0,
        }
    }

    fn saw<W: Wire>(&mut self, message: &W) {
        self.seen.extend(bytes(message));
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// The last one mostly, else any; now and then with one bit changed.
    fn pick<W: Wire + Clone>(&mut self, from: impl Fn(&Self) -> &Vec<W>) -> Option<W> {
        let len = from(self).len();
        let last = len.checked_sub(1)?;
        let at = if self.random.one_in(6) { self.random.index(len) } else { last };
        let picked = from(self)[at].clone();
        if !self.random.one_in(12) {
            return Some(picked);
        }
        let mut other = bytes(&picked);
        let bit = self.random.index(8 * other.len());
        other[bit / 8] ^= 1 << (bit % 8);
        decode_exact(&other).ok()
    }

    /// The tries in storage: looked at there, since asking may change them.
    fn tries(&self) -> u8 {
        let name = (Service::Pin.uuid(), [b"pin.".as_slice(), &LabBank::A.id().0].concat());
        self.phone.device.borrow().objects[&name].as_ref().unwrap()[1]
    }

    fn begun(&mut self, reply: Result<EntryReply, ClientError>) {
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => {
                // Time is the adversary's own: it waits as long as it takes.
                match error.refusal() {
                    Some(Error::PinDelayed) => {
                        self.count("delayed");
                        self.phone.advance(RETRY_DELAYS_MS[2]);
                    }
                    Some(Error::TryNotGranted) => {
                        assert_eq!(self.phone.platform.booked(LabBank::A.id()), MAX_BOOKED);
                        self.count("booked");
                        self.phone.platform.forgive(LabBank::A.id());
                    }
                    _ => {}
                }
                return;
            }
        };
        self.count("begun");
        self.changing = None;
        self.saw(&reply);
        self.shows.push(reply.show);
        self.entries.push(reply.entry);
        // What an answered entry was owed came with this call, before the try was taken.
        let had = match self.owed.take() {
            Some(Owed::All) => TRY_LIMIT,
            Some(Owed::One) => self.before + 1,
            None => self.before,
        };
        assert_eq!(reply.tries_left, had - 1);
        (self.before, self.bound) = (had, had - 1);
    }

    fn begin(&mut self, client: usize) {
        let (provider, card) = (LabBank::A.id(), self.card);
        match self.random.index(5) {
            4 => {
                let payee = Bytes::from_slice(b"somebody").unwrap();
                let transfer = Transfer { amount: 100, currency: CNY, payee };
                let trustlet = TrustletName::new(b"shield").unwrap();
                let reply = self.clients[client].call(&BeginConfirmRequest { provider, trustlet, transfer });
                self.begun(reply);
            }
            0 => {
                let request = BeginApprovalRequest { provider, approval: Approval::code(card) };
                let reply = self.clients[client].call(&request);
                self.begun(reply);
            }
            1 => {
                let reply = self.clients[client].call(&BeginChangeRequest { provider });
                self.begun(reply);
            }
            choice => {
                let exact = choice == 2;
                if exact {
                    // A terminal of the adversary's own wants so much.
                    let _ = lab::tap(&mut self.clients[client], card, false, &lab::gpo_command(100, true));
                    let _ = self.clients[client].call(&ConfirmPrepareRequest { card });
                }
                let request = BeginVerifyRequest { provider, card, ceiling: 100, currency: CNY, exact };
                let reply = self.clients[client].call(&request);
                self.verifies.extend(reply.iter().map(|reply| reply.entry));
                self.begun(reply);
            }
        }
    }

    fn show(&mut self) {
        let Some(show) = self.pick(|world| &world.shows) else { return };
        let genuine = self.shows.contains(&show);
        let Err(showing) = self.pad.answer(&PadMessage::Show(show)) else { return };
        assert!(genuine, "the pad shows what the trusted app did not seal");
        self.count("shown");
        let did = match self.random.index(4) {
            0 => Did::Wrong,
            1 => Did::Nothing,
            _ => Did::Right,
        };
        let digits = if did == Did::Wrong { WRONG } else { PINS[self.pin] };
        let entered = match (did, showing.purpose) {
            (Did::Nothing, _) => Entered::Nothing,
            (_, PadPurpose::ChangePin) => {
                Entered::Change(pin(digits).unwrap(), pin(PINS[1 - self.pin]).unwrap())
            }
            _ => Entered::Pin(pin(digits).unwrap()),
        };
        let PadMessage::Entered(frame) = self.pad.enter(&entered) else { panic!("no frame") };
        self.saw(&frame);
        self.sealed.insert(bytes(&frame), (did, showing.purpose));
        self.frames.push(frame);
    }

    fn submit(&mut self, client: usize) {
        let (Some(entry), Some(frame)) =
            (self.pick(|world| &world.entries), self.pick(|world| &world.frames))
        else {
            return;
        };
        let answer = self.clients[client].call(&SubmitRequest { entry, frame });
        match answer {
            Ok(reply) => {
                self.saw(&reply);
                // Authentic, fresh, and of what was done.
                let (did, purpose) =
                    self.sealed.remove(&bytes(&frame)).expect("a frame that the pad did not seal");
                if (did, purpose) == (Did::Right, PadPurpose::ChangePin) {
                    self.changing = Some(entry);
                }
                let (verdict, owed) = match did {
                    Did::Right => (Verdict::Accepted, Some(Owed::All)),
                    Did::Wrong => (Verdict::Wrong, None),
                    Did::Nothing => (Verdict::Nothing, Some(Owed::One)),
                };
                assert_eq!(reply.verdict, verdict);
                self.owed = owed;
                self.count(match did {
                    Did::Right => "right",
                    Did::Wrong => "wrong",
                    Did::Nothing => "nothing",
                });
            }
            Err(error) => {
                let refusal = error.refusal().unwrap();
                assert!([Error::NoEntry, Error::FrameInvalid].contains(&refusal), "{refusal:?}");
                if refusal == Error::FrameInvalid {
                    self.count("forged");
                }
            }
        }
    }

    fn finish(&mut self, client: usize) {
        let Some(entry) = self.pick(|world| &world.entries) else { return };
        let Ok(reply) = self.clients[client].call(&FinishRequest { entry }) else { return };
        self.saw(&reply);
        if self.owed == Some(Owed::All) && self.verifies.contains(&entry) {
            self.facts += 1;
        }
        if self.changing.take_if(|changing| *changing == entry).is_some() {
            self.pin = 1 - self.pin;
            self.count("changed");
        }
        self.count("finished");
    }

    /// Uses a verification, where there is one.
    fn tap(&mut self, client: usize) {
        let card = self.card;
        let Ok(answer) = lab::tap(&mut self.clients[client], card, true, &lab::gpo_command(100, true)) else {
            return;
        };
        if answer.status() == 0x9000 {
            self.used += 1;
            self.count("paid");
        }
        assert!(self.used <= self.facts, "a payment that nobody verified");
    }

    /// What the bank gave before, once more, for whatever challenge is out now.
    fn replay_the_bank(&mut self, client: usize) {
        if self.random.one_in(2) {
            let _ = self.clients[client].pin_challenge();
        }
        if let Some(command) = self.pick(|world| &world.commands) {
            self.clients[client].unlock_pin(&command).unwrap_err();
            self.count("replayed");
        }
        if let Some(ticket) = self.pick(|world| &world.tickets) {
            self.clients[client].call(&BeginSetRequest { ticket }).unwrap_err();
            self.count("replayed");
        }
    }

    /// The bank gives the tries back, with the PIN that is set.
    fn help(&mut self) {
        let mut wallet = self.phone.wallet();
        let challenge = wallet.pin_challenge().unwrap();
        if self.random.one_in(2) {
            let number = u32::try_from(self.commands.len()).unwrap() + 1;
            let command = self.lab.provider.unlock(challenge, number);
            assert_eq!(wallet.unlock_pin(&command).unwrap(), TRY_LIMIT);
            self.commands.push(command);
            self.count("unlocked");
        } else {
            let ticket = self.lab.provider.ticket(TicketPurpose::Reset, challenge);
            wallet.set_pin(ticket.clone(), &mut Digits::of(&[PINS[self.pin]])).unwrap();
            self.tickets.push(ticket);
            self.count("reset");
        }
        (self.bound, self.owed) = (TRY_LIMIT, None);
    }

    fn step(&mut self) {
        // The first of each kind below, in their order.
        const ORDER: [usize; 8] = [0, 3, 6, 9, 12, 15, 18, 20];
        let mut client = self.random.index(2);
        let mut choice = self.random.index(26);
        if !self.random.one_in(4) {
            choice = ORDER[self.next];
            if self.next == 0 {
                self.leader = client;
            }
            client = self.leader;
            self.next = (self.next + 1) % ORDER.len();
        }
        match choice {
            0..=2 => {
                let suite = self.random.of(&[PadSuite::P256, PadSuite::P256, PadSuite::Sm2]);
                if let Ok(offer) = self.clients[client].call(&PadOfferRequest { suite }) {
                    self.saw(&offer);
                    self.offers.push(offer);
                }
            }
            3..=5 => {
                let Some(offer) = self.pick(|world| &world.offers) else { return };
                if let Ok(PadMessage::Answer(answer)) = self.pad.answer(&PadMessage::Offer(offer)) {
                    self.saw(&answer);
                    self.answers.push(answer);
                }
            }
            6..=8 => {
                let Some(answer) = self.pick(|world| &world.answers) else { return };
                if self.clients[client].call(&answer).is_ok() {
                    self.count("up");
                    assert!(self.answers.contains(&answer), "an answer that the pad did not give");
                }
            }
            9..=11 => self.begin(client),
            12..=14 => self.show(),
            15..=17 => self.submit(client),
            18..=19 => self.finish(client),
            20 => self.tap(client),
            21 if self.random.one_in(8) => self.phone.advance(VERIFICATION_LIFE_MS / 3),
            22 if self.random.one_in(8) => self.clients[client] = self.phone.wallet(),
            23 if self.random.one_in(40) => {
                self.phone.restart();
                self.clients = [self.phone.wallet(), self.phone.wallet()];
                self.owed = None;
            }
            24 => self.replay_the_bank(client),
            // Asking settles what an entry is owed.
            _ => {
                let state = self.clients[client].pin_state(LabBank::A.id()).unwrap();
                self.saw(&state);
            }
        }
    }
}

#[test]
fn ten_thousand_steps_of_a_hostile_normal_world_gain_nothing() {
    let mut world = World::new();
    for step in 0..STEPS {
        world.before = world.tries();
        world.step();
        let (before, after) = (world.before, world.tries());
        if after > before {
            match world.owed.take() {
                Some(Owed::All) => assert_eq!(after, TRY_LIMIT, "step {step}"),
                Some(Owed::One) => assert_eq!(after, before + 1, "step {step}"),
                None => panic!("step {step}: from {before} to {after} tries, and nobody brought one back"),
            }
            world.bound = after;
        }
        assert!(after <= world.bound, "step {step}: {after} tries, {} were booked", world.bound);
        if after == 0 {
            world.phone.advance(VERIFICATION_LIFE_MS);
            world.help();
        }
    }
    for secret in PINS.into_iter().chain([WRONG]) {
        for form in [secret.as_bytes().to_vec(), hex::decode(secret).unwrap()] {
            let found = world.seen.windows(form.len()).any(|window| window == form);
            assert!(!found, "the adversary saw digits");
        }
    }
    println!("{:?}", world.counts);
    for what in [
        "up", "begun", "shown", "right", "wrong", "nothing", "forged", "finished", "changed", "paid",
        "delayed", "reset", "unlocked", "replayed",
    ] {
        let count = world.counts.get(what).copied().unwrap_or(0);
        assert!(count > 5, "too few of {what}: {count}");
    }
    assert!(world.used <= world.facts);
    let refused = refusal(world.clients[0].call(&FinishRequest { entry: u32::MAX }));
    assert_eq!(refused, Some(Error::NoEntry));
}
