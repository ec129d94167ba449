//! Random walks of two banks on a simulated phone, every answer compared with a model's: install, commands,
//! sessions, modules, calls, messages between the banks, and restarts of everything.

#[path = "../common/mod.rs"]
mod common;
mod oracle;
mod random;
mod real;
mod steps;

use oracle::{Model, Quota};
use random::Steps;
use real::{Real, module};
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};
use steps::{Act, Draft, Op, Proof, Said};
use tapvault_device_tests::{random::Random, trustlets::bank::named};
use tapvault_proto::{Error, id::Address};

/// Seeds; each is a walk of its own on a new phone.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=4;
/// Steps of one walk.
const STEPS: usize = 800;
/// Two banks of the lab's policy: one with room, one with little.
const LETTERS: [&str; 2] = ["A", "C"];
/// As the lab's policy says (`qemu-optee/guest/policy.json`).
const QUOTAS: [Quota; 2] = [
    Quota { guests: 4, memory: 3072 << 10, store: 4096, messages: 4, element: true },
    Quota { guests: 2, memory: 768 << 10, store: 2048, messages: 2, element: false },
];
/// One more than a TVM has places for.
const NAMES: usize = 9;
fn address(bank: usize, name: &str) -> Address {
    Address { provider: tapvault_network::lab::provider_id(LETTERS[bank]), name: named(name) }
}

/// A beginning that chance seldom makes: two trustlets that name each other; and in every other walk a TVM
/// without a place left.
fn beginning(seed: u64) -> Vec<Op> {
    let install = |bank: usize, name: usize, peers: Vec<Address>| {
        let (store, short, element, foreign) = (0, false, false, false);
        let draft = Draft { version: 1, pages: 1, store, short, element, foreign, peers, module: 7 };
        Op { bank, session: 0, act: Act::Install(format!("t{name}"), draft, Proof::Good) }
    };
    let activate =
        |bank: usize| Op { bank, session: 0, act: Act::Command("t0".into(), 1, "activate", Proof::Good) };
    let pair = (0..2).flat_map(|bank| [install(bank, 0, vec![address(1 - bank, "t0")]), activate(bank)]);
    let crowd = if seed.is_multiple_of(2) { 0 } else { NAMES };
    pair.chain((1..crowd).map(|name| install(0, name, vec![]))).collect()
}

/// One walk; `steps` are those taken so far, `ends` what came of them.
fn walk(seed: u64, steps: &mut Vec<Op>, ends: &mut Ends) {
    let mut random = Steps(Random::new(seed));
    let mut model = Model::new(QUOTAS, module(7).len(), address);
    let mut real = Real::new();
    let mut next = beginning(seed);
    while steps.len() < STEPS {
        for mut op in std::mem::take(&mut next) {
            op.session = op.session.min(model.providers[op.bank].sessions.len() - 1);
            steps.push(op.clone());
            let expected = model.step(&op);
            let outcome = real.step(&op).map_err(|error| {
                error.refusal().unwrap_or_else(|| panic!("not a refusal by a trusted app: {error:?}"))
            });
            assert_eq!(outcome, expected, "real, then model");
            ends.note(&expected);
            real.compare(&model);
        }
        next = random.next(&model);
    }
    real.close();
}

/// How often steps ended in each way: a walk that goes nowhere shows nothing.
#[derive(Default)]
struct Ends(BTreeMap<String, usize>);

impl Ends {
    fn note(&mut self, outcome: &Result<Said, Error>) {
        let text = match outcome {
            Ok(Said::Refused(error)) => format!("trustlet gets {error:?}"),
            Ok(Said::Taken(mail)) => format!("taken {}", mail.is_some()),
            Ok(said) => format!("{said:?}").split('(').next().unwrap_or_default().to_string(),
            Err(error) => format!("{error:?}"),
        };
        *self.0.entry(text).or_default() += 1;
    }
}

/// Every way to end that is within reach of these steps.
const REACHED: [&str; 30] = [
    "AccessDenied",
    "BadParameters",
    "Busy",
    "Echo",
    "Installed",
    "LimitTooHigh",
    "ManifestMalformed",
    "ManifestRollback",
    "ManifestSignature",
    "ModuleMismatch",
    "NotReady",
    "Nothing",
    "Opened",
    "Posted",
    "ProviderQuota",
    "QuotaExceeded",
    "State",
    "TooManyTrustlets",
    "TrustletFailed",
    "TrustletInactive",
    "UnknownTrustlet",
    "WrongState",
    "Yielded",
    "taken false",
    "taken true",
    "trustlet gets NotInManifest",
    "trustlet gets PeerFull",
    "trustlet gets PeerRefuses",
    "trustlet gets PeerUnknown",
    "trustlet gets ProviderQuota",
];

#[test]
fn two_banks_on_a_phone_do_what_the_model_says() {
    let mut ends = Ends::default();
    for seed in SEEDS {
        let mut steps = Vec::new();
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| walk(seed, &mut steps, &mut ends))) {
            eprintln!("seed {seed} failed at the last of these steps:");
            steps.iter().enumerate().for_each(|(index, step)| eprintln!("{index:4} {step:?}"));
            resume_unwind(cause);
        }
    }
    println!("{:#?}", ends.0);
    let missed: Vec<_> = REACHED.into_iter().filter(|end| !ends.0.contains_key(*end)).collect();
    assert_eq!(missed, [""; 0], "no step ended so");
}
