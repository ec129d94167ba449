//! The tests' command inside the guest. As root it runs every test as the user it is for.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::{Command, ExitCode, Stdio},
};
use tapvault::{
    Transport, Wallet,
    error::Origin,
    optee::{Login, Optee},
    transport::call,
};
use tapvault_device_tests::{
    Outcome, admission, bench, ensure, hostile,
    lab::say,
    powerloss,
    raw::As,
    scenarios,
    trustlets::{self, bank::Bank},
};
use tapvault_proto::{Error, service::Service, supervisor::InstallPolicyRequest, wire::Bytes};

const HELP: &str =
    "guest-tests [TEST]: without a name (as root) runs every test as its user; with one runs it here.
Also: without PREFIX (all but those), bench, ram, powerloss, hold, die, list.";
const SWITCH: &str = "/run/tapvault/powercut";

struct Test {
    name: String,
    user: &'static str,
    run: Box<dyn Fn() -> Outcome<()>>,
}

fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    let mut add = |name: &str, user, run: Box<dyn Fn() -> Outcome<()>>| {
        tests.push(Test { name: name.into(), user, run });
    };
    add("the_optee_adapter_conforms", "mallory", Box::new(admission::conformance));
    add("another_user_in_the_tee_group_is_refused", "mallory", Box::new(admission::denied));
    add("a_wallet_is_no_platform", "wallet", Box::new(admission::wallet_is_no_platform));
    add("a_quota_holds_and_closing_gives_it_back", "wallet", Box::new(admission::quota));
    add("a_killed_client_gives_its_quota_back", "wallet", Box::new(admission::killed_client));
    add("a_client_dies_between_any_two_calls", "wallet", Box::new(admission::killed_between_two_calls));
    add("quotas_outlive_the_supervisor", "root", Box::new(supervisor_death));
    for scenario in scenarios::all::<Optee>() {
        let run = scenario.run;
        let make = || Wallet::new(Optee::connect(Login::User).expect("no TEE device"));
        add(scenario.name, "wallet", Box::new(move || run(&make)));
    }
    for scenario in trustlets::all::<Optee>() {
        let run = scenario.run;
        let make = || Optee::connect(Login::User).expect("no TEE device");
        add(scenario.name, "wallet", Box::new(move || run(&make)));
    }
    let (supervisor, pin, card) = (Service::Supervisor.uuid(), Service::Pin.uuid(), Service::Card.uuid());
    for (name, service, app, user, login) in [
        ("bad_input_supervisor", Service::Supervisor, supervisor, "tvboot", As::Group(990)),
        ("bad_input_pin", Service::Pin, pin, "wallet", As::User),
        ("bad_input_card", Service::Card, card, "wallet", As::User),
        ("bad_input_tvm", Service::Tvm, Bank::lab("H").tvm(), "wallet", As::User),
    ] {
        let run = move || {
            let calls = hostile::all(service, app, login)?;
            println!("{calls} calls");
            Ok(())
        };
        add(name, user, Box::new(run));
    }
    tests
}

fn main() -> ExitCode {
    let name = std::env::args().nth(1);
    let done = match name.as_deref() {
        None => return run_all(""),
        Some("without") => return run_all(&std::env::args().nth(2).unwrap_or_default()),
        Some("--help") => {
            println!("{HELP}");
            Ok(())
        }
        Some("bench") => bench::run(),
        Some("ram") => bench::ram(),
        Some("powerloss") => powerloss::run(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("hold") => admission::hold(),
        Some("walk") => admission::walk(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("die") => die(),
        Some("supervisor-death") => wallet_beside_death(),
        Some("list") => {
            tests().iter().for_each(|test| println!("{}", test.name));
            Ok(())
        }
        Some(name) => match tests().into_iter().find(|test| test.name == name) {
            Some(test) => (test.run)(),
            None => Err(format!("no test {name}")),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Runs every test whose name does not begin with `left_out`; nothing left out when that is empty.
fn run_all(left_out: &str) -> ExitCode {
    let mut tests = tests();
    tests.retain(|test| left_out.is_empty() || !test.name.starts_with(left_out));
    let mut failed = 0;
    for test in &tests {
        let said = if test.user == "root" {
            (test.run)().map(|()| String::new())
        } else {
            as_user(test.user, &test.name)
        };
        match said {
            Ok(said) => println!("ok      {} {}", test.name, said.trim()),
            Err(message) => {
                failed += 1;
                println!("FAILED  {}: {}", test.name, message.trim());
            }
        }
    }
    println!("{} tests on real OP-TEE: {} passed, {failed} failed", tests.len(), tests.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn su(user: &str, argument: &str) -> Command {
    let mut command = Command::new("su");
    command.args(["-s", "/bin/sh", user, "-c", &format!("exec guest-tests {argument}")]);
    command
}

fn as_user(user: &str, argument: &str) -> Outcome<String> {
    let output = su(user, argument).output().map_err(say)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(said)
    } else {
        Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// A failing disk makes the supervisor panic (libutee stops a trusted app on an unexpected storage
/// error); the wallet's sessions live through it.
fn supervisor_death() -> Outcome<()> {
    let mut wallet =
        su("wallet", "supervisor-death").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(say)?;
    let mut out = BufReader::new(wallet.stdout.take().ok_or("no output")?);
    let mut line = String::new();
    out.read_line(&mut line).map_err(say)?;
    ensure(line.trim() == "ready", || format!("the wallet says {line}"))?;
    fs::write(SWITCH, "fail 1").map_err(say)?;
    let seen = as_user("tvboot", "die");
    fs::write(SWITCH, "").map_err(say)?;
    let code = seen?;
    wallet.stdin.take().ok_or("no input")?.write_all(code.as_bytes()).map_err(say)?;
    line.clear();
    out.read_line(&mut line).map_err(say)?;
    ensure(wallet.wait().map_err(say)?.success(), || line)
}

fn wallet_beside_death() -> Outcome<()> {
    admission::supervisor_death(|| {
        println!("ready");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map_err(say)?;
        let code = u32::from_str_radix(line.trim(), 16).map_err(|error| format!("{line}: {error}"))?;
        Ok((code, Origin::Tee))
    })
}

/// Installs a newer policy while the disk fails; prints the code that comes back.
fn die() -> Outcome<()> {
    let tee = Optee::connect(Login::Group(990)).map_err(say)?;
    let mut supervisor = tee.connect(Service::Supervisor).map_err(say)?;
    let document = fs::read_to_string("/usr/lib/tapvault/policy.json").map_err(say)?;
    let document = document.replace("\"version\":1", "\"version\":2");
    let signature = tapvault_network::lab::sign_policy(document.as_bytes());
    let document = Bytes::from_slice(document.as_bytes()).map_err(|_| "too long")?;
    match call(&mut supervisor, &InstallPolicyRequest { document, signature }) {
        Ok(_) => Err("the policy was installed".into()),
        Err(tapvault::ClientError::Call { code, .. }) => {
            println!("{code:08X}");
            ensure(code == Error::PeerDead.code(), || "not dead".into())
        }
        Err(error) => Err(error.to_string()),
    }
}
