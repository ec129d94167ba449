//! Who is let in, how often, and what the death of a client or of the supervisor leaves behind.

use crate::{
    Outcome, ensure,
    lab::{self, Lab, say},
    raw::{As, Client, METHOD_SHAPE, OPEN_SHAPE},
    trustlets::{
        bank::{Bank, answer, draft, named},
        modules,
    },
    walk,
};
use std::{
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
};
use tapvault::{
    ClientError, Transport,
    error::Origin,
    optee::{Login, Optee, OpteeChannel},
};
use tapvault_network::issuer::Issuer;
use tapvault_proto::{Error, id::CardId, service::Service};

/// Sessions the lab's policy gives a wallet at each service.
pub const QUOTA: usize = 4;
/// Test trusted app of `ta/conformance`.
const CONFORMANCE: [u8; 16] = *b"\x7a\x9d\x1c\x7e\x3f\x3a\x4d\x0b\x9a\x55\x1f\x0c\x5f\x5e\x00\xc0";
/// Claims of the conformance suite; the host adapter's test names the same number.
const CLAIMS: u8 = 17;
/// Level of protection from a rollback: by the normal world (TEE Internal Core API, properties of the implementation).
const BY_REE: u32 = 100;

/// The OP-TEE adapter keeps the claims the host adapter keeps.
pub fn conformance() -> Outcome<()> {
    let mut client = Client::new(As::User);
    let mut session = client.open(CONFORMANCE, OPEN_SHAPE).map_err(|code| format!("open: {code:X?}"))?;
    let len = session.invoke(1, METHOD_SHAPE, &[1], 256).map_err(|code| format!("run: {code:X?}"))?;
    let said = session.reply(len);
    ensure(said == [CLAIMS], || format!("{}", String::from_utf8_lossy(&said)))?;
    // Storage without RPMB: protected by the normal world, which is none of ours.
    let len = session.invoke(6, METHOD_SHAPE, &[1], 256).map_err(|code| format!("rollback: {code:X?}"))?;
    let level = session.reply(len);
    ensure(level == BY_REE.to_be_bytes(), || format!("anti-rollback protection level {level:02X?}"))
}

/// This user, in the tee group but in no rule, is refused by every trusted app itself, whatever login
/// it chooses.
pub fn denied() -> Outcome<()> {
    for service in Service::NATIVE {
        for login in [Login::Public, Login::User, Login::Group(500), Login::Group(1001)] {
            refused(service, login)?;
        }
        // Another's group is refused by the kernel already.
        let forged = Optee::connect(Login::Group(1000)).and_then(|tee| tee.connect(service));
        ensure(forged.is_err(), || format!("{service:?} let in a forged group"))?;
    }
    Ok(())
}

/// A wallet has no business with the supervisor.
pub fn wallet_is_no_platform() -> Outcome<()> {
    refused(Service::Supervisor, Login::User)
}

/// A TVM signed under bank A's subkey does not pass for bank K's: OP-TEE's core refuses to load it. And its
/// own TVM, which it may sign, loads.
pub fn a_subkey_signs_no_other_banks_tvm() -> Outcome<()> {
    const SECURITY: u32 = 0xFFFF_000F;
    let tee = Optee::connect(Login::User).map_err(say)?;
    tee.open(Bank::lab("A").tvm()).map(drop).map_err(say)?;
    match tee.open(Bank::lab("K").tvm()) {
        Ok(_) => Err("bank A speaks as bank K".into()),
        Err(ClientError::Call { code: SECURITY, origin: Origin::Tee }) => Ok(()),
        Err(error) => Err(format!("{error:?}")),
    }
}

/// What a TVM's death leaves behind: its own sessions end, its handles close, its quota comes back, and a
/// neighbour never notices. `kill` makes bank C's TVM die, and says what its client saw.
pub fn tvm_death(kill: impl FnOnce() -> Outcome<(u32, Origin)>) -> Outcome<()> {
    let tee = Optee::connect(Login::User).map_err(say)?;
    let (neighbour, dying) = (Bank::lab("F"), Bank::lab("C"));
    let key = modules::caller(3, 0x0301, b"\x00\x01m\x03");
    let mut beside = neighbour.run(&tee, draft("beside", &[]), &modules::empty())?;
    let mut owner = dying.run(&tee, draft("keys", &[Service::Card]), &key)?;
    for _ in 0..8 {
        answer(&mut owner)?.map_err(say)?;
    }
    ensure(answer(&mut owner)? == Err(Error::ProviderQuota), || "a ninth key".into())?;
    let mut writes = draft("store", &[Service::Store]);
    writes.store = 100;
    dying.install(&tee, writes, &modules::write())?;
    let seen = kill()?;
    ensure(seen.0 == Error::PeerDead.code(), || format!("the TVM did not die: {seen:X?}"))?;
    ensure(owner.call(b"").is_err(), || "a dead TVM answers".into())?;
    ensure(beside.call(b"").map_err(say)? == [7], || "a neighbour was hurt".into())?;
    drop(owner);
    // A new instance, with nothing left of the old one in the card trusted app.
    let mut again = dying.connect(&tee)?.open(&named("keys"), &key).map_err(say)?;
    for _ in 0..8 {
        answer(&mut again)?.map_err(|error| format!("handles of a dead TVM: {error:?}"))?;
    }
    ensure(beside.call(b"").map_err(say)? == [7], || "a neighbour was hurt".into())
}

fn refused(service: Service, login: Login) -> Outcome<()> {
    let tee = Optee::connect(login).map_err(|error| format!("device: {error}"))?;
    match tee.connect(service) {
        Ok(_) => Err(format!("{service:?} let {login:?} in")),
        Err(error) => ensure(error.refusal() == Some(Error::AccessDenied), || format!("{error:?}")),
    }
}

/// Opens sessions until one is refused; returns those that opened.
///
/// # Errors
/// When the refusal is not for the quota.
pub fn fill(service: Service) -> Outcome<Vec<OpteeChannel>> {
    let tee = Optee::connect(Login::User).map_err(say)?;
    let mut open = Vec::new();
    loop {
        match tee.connect(service) {
            Ok(channel) => open.push(channel),
            Err(error) if error.refusal() == Some(Error::QuotaExceeded) => return Ok(open),
            Err(error) => return Err(format!("{error:?}")),
        }
        ensure(open.len() <= QUOTA, || "no quota holds".into())?;
    }
}

/// The quota holds, and closing gives it back.
pub fn quota() -> Outcome<()> {
    for service in [Service::Pin, Service::Card] {
        for _ in 0..2 {
            let open = fill(service)?;
            ensure(open.len() == QUOTA, || format!("{service:?}: {} sessions", open.len()))?;
        }
    }
    Ok(())
}

/// A client that is killed gives its quota back.
pub fn killed_client() -> Outcome<()> {
    let this = std::env::current_exe().map_err(say)?;
    for _ in 0..3 {
        let mut child = Command::new(&this).arg("hold").stdout(Stdio::piped()).spawn().map_err(say)?;
        let mut line = String::new();
        let out = child.stdout.take().ok_or("no output")?;
        BufReader::new(out).read_line(&mut line).map_err(say)?;
        ensure(line.trim() == "4 4", || format!("the child holds {line}"))?;
        let full = fill(Service::Card)?.len();
        ensure(full == 0, || format!("{full} sessions beside the child's"))?;
        child.kill().and_then(|()| child.wait()).map_err(say)?;
    }
    quota()
}

/// The killed client's part: holds all its sessions until it is killed.
pub fn hold() -> Outcome<()> {
    let held = (fill(Service::Pin)?, fill(Service::Card)?);
    println!("{} {}", held.0.len(), held.1.len());
    loop {
        std::thread::park();
    }
}

/// A client is killed between any two calls of its life; the next one finds nothing half done.
pub fn killed_between_two_calls() -> Outcome<()> {
    let this = std::env::current_exe().map_err(say)?;
    let bank = std::env::temp_dir().join("killed-bank.json");
    let new_wallet = || Optee::connect(Login::User).map(lab::wallet).map_err(say);
    let open_lab = || -> Outcome<Lab> {
        let mut lab = Lab::new()?;
        lab.issuer = Issuer::open_or_create(&bank).map_err(say)?;
        Ok(lab)
    };
    let card = open_lab()?.provision(&mut new_wallet()?)?;
    for steps in 0..=walk::STEPS {
        open_lab()?.set_pin(&mut new_wallet()?, lab::PIN)?;
        let child = Command::new(&this)
            .args(["walk", &steps.to_string(), &card.to_string(), &bank.to_string_lossy()])
            .output()
            .map_err(say)?;
        let said = String::from_utf8_lossy(&child.stdout);
        ensure(child.status.signal() == Some(SIGABRT), || format!("after {steps} calls: {said}"))?;
        walk::check(&mut open_lab()?, &mut new_wallet()?, card, steps)
            .map_err(|message| format!("after {steps} calls: {message}"))?;
    }
    Ok(())
}

const SIGABRT: i32 = 6;

/// The killed client's part: `walk STEPS CARD BANK`, then death without a goodbye.
pub fn walk(arguments: &[String]) -> Outcome<()> {
    let [steps, card, bank] = arguments else { return Err("walk STEPS CARD BANK".into()) };
    let card = tapvault_proto::document::unhex(card).map(CardId).map_err(say)?;
    let mut lab = Lab::new()?;
    lab.issuer = Issuer::open_or_create(bank.as_ref()).map_err(say)?;
    let mut wallet = Optee::connect(Login::User).map(lab::wallet).map_err(say)?;
    walk::go(&mut lab, &mut wallet, card, steps.parse().map_err(say)?)?;
    std::process::abort();
}

/// With sessions open on both sides of the supervisor's death, the quota still counts them. `kill` makes
/// the supervisor die and says what its client saw.
pub fn supervisor_death(kill: impl FnOnce() -> Outcome<(u32, Origin)>) -> Outcome<()> {
    let mut open = fill(Service::Card)?;
    open.pop();
    let seen = kill()?;
    ensure(seen.0 == Error::PeerDead.code(), || format!("the supervisor did not die: {seen:X?}"))?;
    let again = fill(Service::Card)?;
    ensure(again.len() == 1, || format!("{} new sessions beside {} old ones", again.len(), open.len()))?;
    drop((open, again));
    quota()
}
