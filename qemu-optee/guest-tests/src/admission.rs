//! Who is let in, how often, and what the death of a client or of the supervisor leaves behind.

use crate::{
    Outcome, ensure,
    raw::{As, Client, METHOD_SHAPE, OPEN_SHAPE},
};
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};
use tapvault::{
    Transport,
    error::Origin,
    optee::{Login, Optee, OpteeChannel},
};
use tapvault_proto::{Error, service::Service};

/// Sessions the lab's policy gives a wallet at each service.
pub const QUOTA: usize = 4;
/// Test trusted app of `ta/conformance`.
const CONFORMANCE: [u8; 16] = *b"\x7a\x9d\x1c\x7e\x3f\x3a\x4d\x0b\x9a\x55\x1f\x0c\x5f\x5e\x00\xc0";
/// Claims of the conformance suite; the host adapter's test names the same number.
const CLAIMS: u8 = 14;

/// The OP-TEE adapter keeps the claims the host adapter keeps.
pub fn conformance() -> Outcome<()> {
    let mut client = Client::new(As::User);
    let mut session = client.open(CONFORMANCE, OPEN_SHAPE).map_err(|code| format!("open: {code:X?}"))?;
    let len = session.invoke(1, METHOD_SHAPE, &[1], 256).map_err(|code| format!("run: {code:X?}"))?;
    let said = session.reply(len);
    ensure(said == [CLAIMS], || format!("{}", String::from_utf8_lossy(&said)))
}

/// This user, in the tee group but in no rule, is refused by every trusted app itself, whatever login
/// it chooses.
pub fn denied() -> Outcome<()> {
    for service in Service::ALL {
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
    let tee = Optee::connect(Login::User).map_err(|error| error.to_string())?;
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
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    for _ in 0..3 {
        let mut child = Command::new(&this)
            .arg("hold")
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut line = String::new();
        let out = child.stdout.take().ok_or("no output")?;
        BufReader::new(out).read_line(&mut line).map_err(|error| error.to_string())?;
        ensure(line.trim() == "4 4", || format!("the child holds {line}"))?;
        let full = fill(Service::Card)?.len();
        ensure(full == 0, || format!("{full} sessions beside the child's"))?;
        child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
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
