//! Phases with a bank's trustlet: a payment of its stored-value card, and a trustlet's whole life.

use super::{Journal, arm};
use crate::{
    Outcome, ensure,
    lab::say,
    trustlets::{
        bank::{Bank, draft, named, refused},
        examples::{ask, module},
        modules,
    },
};
use tapvault::{
    optee::{Login, Optee},
    trustlet::Trustlet,
};
use tapvault_proto::{
    Error,
    service::Service,
    tvm::{TrustletEntry, TrustletState},
};
use tapvault_trustlet::Answer;
use transit::messages::{
    AuthoriseRequest, BalanceRequest, CreateRequest, DebitRequest, Reply, Request, SealRequest, TopUpRequest,
};

/// Enough for more debits of 1 than there can be points.
const LOADED: u64 = 10_000;
/// The trustlet that is installed, activated and removed.
const SHORT_LIVED: &str = "cut";

type Card = Trustlet<<Optee as tapvault::Transport>::Channel>;

fn tee() -> Outcome<Optee> {
    Optee::connect(Login::User).map_err(say)
}

/// Brings about what a phase starts from, and notes it.
pub fn ready(journal: &mut Journal, phase: &str) -> Outcome<()> {
    let bank = Bank::lab("B");
    if phase == "life" {
        let (version, sequence) = entry(&bank)?.map_or((0, 0), |entry| (entry.version, entry.sequence));
        return journal.set(&[("version", version.to_string()), ("sequence", sequence.to_string())]);
    }
    if journal.get("balance").is_err() {
        issue(&bank)?;
        journal.set(&[("balance", LOADED.to_string()), ("nonce", "0".into())])?;
    }
    let nonce = journal.number("nonce")? + 1;
    journal.set(&[("nonce", nonce.to_string())])
}

/// A card of `transit` that holds [`LOADED`].
fn issue(bank: &Bank) -> Outcome<()> {
    let mut wanted = draft("transit", &[Service::Random, Service::Card, Service::Store]);
    wanted.pages = 2;
    wanted.store = 512;
    let mut card = bank.run(&tee()?, wanted, &module("transit")?)?;
    let mut reply = |request: Request| -> Outcome<Reply> {
        match ask(&mut card, &request)? {
            Answer::Reply(reply) => Ok(reply),
            Answer::Refused(code) => Err(format!("{request:?}: refused with {code}")),
        }
    };
    reply(Request::Create(CreateRequest {}))?;
    let authorise = AuthoriseRequest { amount: LOADED, sequence: 1 };
    let Reply::Authorise(authorised) = reply(Request::Authorise(authorise))? else {
        return Err("not authorised".into());
    };
    reply(Request::Seal(SealRequest {}))?;
    let top_up = TopUpRequest { amount: LOADED, sequence: 1, mac: authorised.mac };
    reply(Request::TopUp(top_up)).map(|_| ())
}

fn open(bank: &Bank) -> Outcome<Card> {
    bank.connect(&tee()?)?.open(&named("transit"), &module("transit")?).map_err(say)
}

fn debit(card: &mut Card, nonce: u32) -> Outcome<()> {
    let mut request = DebitRequest { amount: 1, nonce: [0; 16] };
    request.nonce[..4].copy_from_slice(&nonce.to_be_bytes());
    match ask(card, &Request::Debit(request))? {
        Answer::Reply(Reply::Debit(_)) => Ok(()),
        other => Err(format!("the debit: {other:?}")),
    }
}

fn balance(card: &mut Card) -> Outcome<u64> {
    match ask(card, &Request::Balance(BalanceRequest {}))? {
        Answer::Reply(Reply::Balance(reply)) => Ok(reply.balance),
        other => Err(format!("the balance: {other:?}")),
    }
}

fn entry(bank: &Bank) -> Outcome<Option<TrustletEntry>> {
    let trustlets = bank.connect(&tee()?)?.trustlets().map_err(say)?;
    Ok(trustlets.into_iter().find(|entry| entry.name == named(SHORT_LIVED)))
}

/// Runs a phase with the cut armed.
pub fn interrupted(journal: &mut Journal, phase: &str, line: &str) -> Outcome<()> {
    let bank = Bank::lab("B");
    if phase == "debit" {
        let (mut card, nonce) = (open(&bank)?, journal.number("nonce")?);
        arm(line)?;
        debit(&mut card, nonce)?;
    } else {
        let (transport, sequence) = (tee()?, journal.number("sequence")?);
        let mut wanted = draft(SHORT_LIVED, &[Service::Store]);
        wanted.store = 100;
        arm(line)?;
        let mut running = bank.run(&transport, wanted, &modules::write())?;
        running.call(b"").map_err(say)?;
        let remove = bank.command(SHORT_LIVED, sequence + 2, "remove")?;
        bank.connect(&transport)?.command(&remove).map_err(say)?;
    }
    journal.set(&[("begun", "finished".into())])
}

/// What must hold after a cut in `phase`, or after a phase that came through.
pub fn check(journal: &mut Journal, phase: &str, finished: bool) -> Outcome<()> {
    if phase == "life" { check_life(journal, finished) } else { check_debit(journal, finished) }
}

/// Paid or not; asked again it is paid once.
fn check_debit(journal: &mut Journal, finished: bool) -> Outcome<()> {
    let (before, nonce) = (u64::from(journal.number("balance")?), journal.number("nonce")?);
    let mut card = open(&Bank::lab("B"))?;
    let now = balance(&mut card)?;
    ensure(now == before - 1 || (now == before && !finished), || format!("{now} after {before}"))?;
    debit(&mut card, nonce)?;
    let after = balance(&mut card)?;
    ensure(after == before - 1, || format!("{after} after a debit of 1 from {before}, asked for again"))?;
    journal.set(&[("balance", after.to_string())])
}

/// Somewhere on its way, never back: what was signed for an earlier step is refused.
fn check_life(journal: &mut Journal, finished: bool) -> Outcome<()> {
    let bank = Bank::lab("B");
    let (version, sequence) = (journal.number("version")?, journal.number("sequence")?);
    let found = entry(&bank)?;
    let now = found.as_ref().map_or((0, 0), |entry| (entry.version, entry.sequence));
    ensure((version..=version + 1).contains(&now.0) && (sequence..=sequence + 2).contains(&now.1), || {
        format!("{found:?} after version {version}, sequence {sequence}")
    })?;
    let removed = found.as_ref().is_some_and(|entry| entry.state == TrustletState::Removed);
    ensure(!finished || (removed && now == (version + 1, sequence + 2)), || format!("finished: {found:?}"))?;
    if now.0 > 0 {
        let mut old = draft(SHORT_LIVED, &[]);
        old.version = now.0;
        let old = bank.manifest(&old, &modules::write())?;
        refused(bank.connect(&tee()?)?.install(&old), Error::ManifestRollback)?;
    }
    if let Some(mut wanted) = found.filter(|_| !removed).map(|_| draft(SHORT_LIVED, &[Service::Store])) {
        // It can be finished from wherever it stopped.
        wanted.store = 100;
        let (_, sequence) = bank.install(&tee()?, wanted, &modules::write())?;
        let remove = bank.command(SHORT_LIVED, sequence + 1, "remove")?;
        bank.connect(&tee()?)?.command(&remove).map(|_| ()).map_err(say)?;
    }
    Ok(())
}
