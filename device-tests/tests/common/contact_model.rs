//! A model of the contact test profile, written again from the rules in `docs/card.md`.

use tapvault_network::contact::TestCard;

/// What the card remembers.
#[derive(Clone, Debug)]
pub struct Memory {
    pub pin: String,
    pub tries: u8,
    pub application_blocked: bool,
    pub card_blocked: bool,
    pub incomplete: bool,
    pub issuer_failed: bool,
    pub dda_failed: bool,
    pub scripts: u8,
    pub script_failed: bool,
    pub last_online: u16,
    /// The terminals' limits, 9F14 and 9F23.
    pub limits: [u8; 2],
}

/// A transaction.
#[derive(Clone, Debug)]
pub struct Run {
    pub atc: u16,
    pub before: Memory,
    pub pin: Option<bool>,
    pub dda: bool,
    /// 9F27 and the cryptogram.
    pub first: Option<(u8, [u8; 8])>,
    /// The issuer's answer was wrong, or its code.
    pub issuer: Option<Result<[u8; 2], ()>>,
    pub second: bool,
    pub scripts_over: bool,
}

#[derive(Clone, Debug)]
pub enum Place {
    Nowhere,
    Environment,
    Application,
    Running(Box<Run>),
}

pub struct Model<'t> {
    pub test: &'t TestCard,
    pub memory: Memory,
    pub place: Place,
    pub last_atc: u16,
}

impl<'t> Model<'t> {
    pub fn new(test: &'t TestCard) -> Self {
        let memory = Memory {
            pin: test.rules.pin.clone(),
            tries: test.rules.pin_tries,
            application_blocked: false,
            card_blocked: false,
            incomplete: false,
            issuer_failed: false,
            dda_failed: false,
            scripts: 0,
            script_failed: false,
            last_online: 0,
            limits: test.rules.offline_limits,
        };
        Self { test, memory, place: Place::Nowhere, last_atc: 0 }
    }

    pub fn run(&mut self) -> Option<&mut Run> {
        match &mut self.place {
            Place::Running(run) => Some(run),
            _ => None,
        }
    }

    /// The results that a cryptogram of this transaction reports; `second` is its 9F27, and what the terminal says.
    pub fn results(&self, run: &Run, first: u8, second: Option<(u8, [u8; 2])>) -> [u8; 4] {
        let mut cvr = [3, 0, 0, 0];
        cvr[1] = (first >> 2) + second.map_or(0x80, |(second, _)| second);
        if let Some(right) = run.pin {
            cvr[1] |= if right { 0x04 } else { 0x06 };
        }
        if run.issuer == Some(Err(())) {
            cvr[1] |= 0x08;
        }
        if let Some((_, arc)) = second {
            let unreachable = [*b"Y3", *b"Z3"].contains(&arc);
            cvr[1] |= u8::from(unreachable);
            if run.issuer.is_none() && !unreachable {
                cvr[2] |= 0x04;
            }
        }
        let bits =
            |facts: &[(bool, u8)]| facts.iter().filter(|(holds, _)| *holds).map(|(_, bit)| bit).sum::<u8>();
        cvr[2] |= bits(&[
            (run.before.incomplete, 0x80),
            (self.memory.tries == 0, 0x40),
            (run.before.last_online == 0, 0x10),
            (run.before.issuer_failed, 0x08),
        ]);
        cvr[3] = 16 * self.memory.scripts
            + bits(&[(self.memory.script_failed, 8), (run.before.dda_failed, 4), (run.dda, 2)]);
        cvr
    }
}
