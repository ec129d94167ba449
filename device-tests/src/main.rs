//! The tests' command inside the guest. As root it runs every test as the user it is for.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, ExitCode, Stdio},
};
use tapvault::{
    Transport,
    error::Origin,
    optee::{Login, Optee},
    transport::call,
};
use tapvault_device_tests::{
    Outcome, admission, bench, canary, ensure, hostile,
    lab::{self, say},
    pad, powerloss,
    random::Random,
    raw::As,
    scenarios,
    trustlets::{
        self,
        bank::{Bank, answer, draft, named},
        modules,
    },
};
use tapvault_proto::{Error, service::Service, supervisor::InstallPolicyRequest, wire::Bytes};

const HELP: &str =
    "guest-tests [TEST]: without a name (as root) runs every test as its user; with one runs it here.
Also: without PREFIX (all but those), bench [pins], ram, card-ram, tvms, costs, waits confined|free, attack NAME, busy, powerloss, endurance, pad SOCKET FILE, canary, hold, die, list.";
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
    add("quotas_outlive_the_supervisor", "root", Box::new(|| death("supervisor-death", "tvboot", "die")));
    add(
        "a_subkey_signs_no_other_banks_tvm",
        "wallet",
        Box::new(admission::a_subkey_signs_no_other_banks_tvm),
    );
    add("a_guest_that_tries_everything_leaves_nothing_behind", "root", Box::new(anything));
    add("a_tvm_dies_alone", "root", Box::new(|| death("tvm-death", "wallet", "die-as-tvm")));
    add("no_secret_reaches_the_normal_world", "root", Box::new(canary::run));
    add("the_platform_reads_and_verifies_the_audit_log", "tvboot", Box::new(audit_log));
    add("the_commands_for_offline_money_say_what_is_missing", "wallet", Box::new(offline_money));
    for scenario in scenarios::all::<Optee>() {
        let run = scenario.run;
        let make = || lab::wallet(Optee::connect(Login::User).expect("no TEE device"));
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
        Some("bench") => bench::run(std::env::args().nth(2).as_deref() == Some("pins")),
        Some("ram") => bench::ram(),
        Some("card-ram") => bench::cards(),
        Some("tvms") => bench::tvms(),
        Some("costs") => bench::costs(),
        Some("waits") => bench::waits(&std::env::args().nth(2).unwrap_or_default()),
        Some("attack") => bench::attack(&std::env::args().nth(2).unwrap_or_default()),
        Some("busy") => {
            bench::busy();
            Ok(())
        }
        Some("powerloss") => powerloss::run(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("endurance") => endurance(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("anything") => anything_of(&std::env::args().nth(2).unwrap_or_default()),
        Some("sessions") => sessions(),
        Some("pad") => lab_pad(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("canary") => canary::run(),
        Some("canary-pay") => canary::pay(),
        Some("hold") => admission::hold(),
        Some("walk") => admission::walk(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("die") => die(),
        Some("die-as-tvm") => die_as_tvm(),
        Some("supervisor-death") => admission::supervisor_death(death_beside),
        Some("tvm-death") => admission::tvm_death(death_beside),
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

/// The lab's pad as a process: for each client, its holder types the lines of a file as they are then.
fn lab_pad(arguments: &[String]) -> Outcome<()> {
    let [socket, file] = arguments else { return Err("pad SOCKET FILE".into()) };
    let listener = pad::at(Path::new(socket))?;
    let digits = || {
        let text = fs::read_to_string(file).unwrap_or_default();
        pad::Digits::of(&text.lines().collect::<Vec<_>>())
    };
    pad::serve(&listener, digits).map_err(say)
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

/// A failing disk makes a trusted app panic (libutee stops one on an unexpected storage error) while a
/// wallet, this program with the argument `beside`, has sessions open; `user` runs `dies` against that
/// disk.
fn death(beside: &str, user: &str, dies: &str) -> Outcome<()> {
    let mut wallet =
        su("wallet", beside).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(say)?;
    let mut out = BufReader::new(wallet.stdout.take().ok_or("no output")?);
    let mut line = String::new();
    out.read_line(&mut line).map_err(say)?;
    ensure(line.trim() == "ready", || format!("the wallet says {line}"))?;
    fs::write(SWITCH, "fail 1").map_err(say)?;
    let seen = as_user(user, dies);
    fs::write(SWITCH, "").map_err(say)?;
    let code = seen?;
    wallet.stdin.take().ok_or("no input")?.write_all(code.as_bytes()).map_err(say)?;
    line.clear();
    out.read_line(&mut line).map_err(say)?;
    ensure(wallet.wait().map_err(say)?.success(), || line)
}

/// Says that everything is open, and waits for what the death looked like.
fn death_beside() -> Outcome<(u32, Origin)> {
    println!("ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(say)?;
    let code = u32::from_str_radix(line.trim(), 16).map_err(|error| format!("{line}: {error}"))?;
    Ok((code, Origin::Tee))
}

/// Ten thousand calls of bank J's guest, between two counts of everything that could be left behind.
fn anything() -> Outcome<()> {
    // The TVM's own sessions with trusted apps, which stay, are there from the first call on.
    let capacity = as_user("wallet", "anything 0")?;
    let sessions = as_user("tvboot", "sessions")?;
    println!("{}", as_user("wallet", "anything 10000")?.trim());
    let after = (as_user("wallet", "anything 0")?, as_user("tvboot", "sessions")?);
    ensure(after == (capacity.clone(), sessions.clone()), || {
        format!("before {capacity} {sessions}, after {after:?}")
    })
}

/// One boot as root, or a part of it as the wallet.
fn endurance(arguments: &[String]) -> Outcome<()> {
    match arguments {
        [] => powerloss::endurance::boot(),
        [part] if part == "harm" => powerloss::endurance::harm(),
        [part] if part == "taps" => powerloss::endurance::taps(),
        [part] if part == "cut" => powerloss::endurance::cut(),
        [part, card] if part == "touch" => powerloss::endurance::touch(card.parse().map_err(say)?),
        _ => Err(format!("endurance does not know {arguments:?}")),
    }
}

/// So many calls of bank J's guest; without any, how many guests and keys the bank can have. Its neighbour
/// keeps what it had, in storage and in memory.
fn anything_of(actions: &str) -> Outcome<()> {
    let actions: usize = actions.parse().map_err(say)?;
    let tee = Optee::connect(Login::User).map_err(say)?;
    let (bank, neighbour) = (Bank::lab("J"), Bank::lab("F"));
    let mut wanted = draft("beside", &[Service::Store]);
    wanted.store = 100;
    let stored = modules::caller(Service::Store as u32, 2, b"\x00\x01k\x01\x00\x01v");
    ensure(answer(&mut neighbour.run(&tee, wanted.clone(), &stored)?)?.is_ok(), || "not stored".into())?;
    let reads = modules::caller(Service::Store as u32, 1, b"\x00\x01k");
    let mut beside = neighbour.run(&tee, wanted, &reads)?;
    let before = answer(&mut beside)?;
    ensure(before == Ok(b"\x01\x00\x01v".to_vec()), || format!("{before:?}"))?;
    if actions == 0 {
        trustlets::anything::open_peers(&mut trustlets::anything::start(&tee, &bank)?)?;
        println!("{:?}", trustlets::anything::capacity(&tee, &bank)?);
        return Ok(());
    }
    let mut guest = trustlets::anything::start(&tee, &bank)?;
    let (answered, refused) =
        trustlets::anything::act(&mut guest, &mut Random::of_environment(), actions, || {})?;
    println!("{answered} answered, {refused} refused");
    let after = answer(&mut beside)?;
    ensure(after == before, || format!("a neighbour's data: {after:?}"))
}

/// The supervisor's count of sessions with bank J's TVM and of all.
fn sessions() -> Outcome<()> {
    let tee = Optee::connect(Login::Group(990)).map_err(say)?;
    let mut supervisor = tee.connect(Service::Supervisor).map_err(say)?;
    println!("{:?}", trustlets::anything::sessions(&mut supervisor, &[&Bank::lab("J")])?);
    Ok(())
}

/// Has bank C's TVM write while the disk fails; prints the code that comes back.
fn die_as_tvm() -> Outcome<()> {
    let tee = Optee::connect(Login::User).map_err(say)?;
    let module = modules::write();
    let mut trustlet = Bank::lab("C").connect(&tee)?.open(&named("store"), &module).map_err(say)?;
    dead(trustlet.call(b"").map(|_| ()))
}

fn dead(seen: Result<(), tapvault::ClientError>) -> Outcome<()> {
    match seen {
        Ok(()) => Err("it lives".into()),
        Err(tapvault::ClientError::Call { code, .. }) => {
            println!("{code:08X}");
            ensure(code == Error::PeerDead.code(), || "not dead".into())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Flushed, exported by the command, verified without the device, and refused when a byte was changed.
fn audit_log() -> Outcome<()> {
    let run = |arguments: &[&str]| -> Outcome<String> {
        let output = Command::new("tapvault").args(arguments).output().map_err(say)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(said) } else { Err(complaint) }
    };
    let nonce = "5a".repeat(32);
    let export = run(&["--group", "990", "--json", "tee", "audit", "--nonce", &nonce])?;
    let verified = tapvault::maker::audit::verify(export.as_bytes(), &nonce, None)?;
    ensure(verified.entries > 2, || format!("{verified:?}"))?;
    let forged = export.replacen("\"detail\":1,", "\"detail\":2,", 1);
    ensure(forged != export, || "nothing to forge".into())?;
    let verify = tapvault::maker::audit::verify;
    ensure(verify(forged.as_bytes(), &nonce, None).is_err(), || "a forgery verifies".into())?;
    let stale = verify(export.as_bytes(), &"5b".repeat(32), None);
    ensure(stale.is_err(), || "a head for another nonce verifies".into())?;
    let path = std::env::temp_dir().join("audit.json");
    fs::write(&path, &export).map_err(say)?;
    run(&["platform", "verify-audit", &path.to_string_lossy(), "--nonce", &nonce])?;
    for command in ["ls", "quota"] {
        let shown = run(&["--group", "990", "tee", command])?;
        ensure(shown.contains(&Bank::lab("A").id.to_string()), || format!("{command}: {shown}"))?;
    }
    run(&["--group", "990", "tee", "show", &Bank::lab("A").id.to_string()]).map(|_| ())
}

/// A card that may approve offline is refused here, where nothing protects storage from a rollback; the commands say
/// so.
fn offline_money() -> Outcome<()> {
    let folder = std::env::temp_dir().join("offline-money");
    fs::create_dir_all(&folder).map_err(say)?;
    let run = |line: &str, into: &str| -> Outcome<String> {
        let mut words = line.split_whitespace();
        let program = words.next().unwrap_or_default();
        let output = Command::new(program).args(words).current_dir(&folder).output().map_err(say)?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        if !into.is_empty() {
            fs::write(folder.join(into), &output.stdout).map_err(say)?;
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let refused = |line: &str, words: &[&str]| -> Outcome<()> {
        let said = run(line, "").err().ok_or_else(|| format!("{line}: done"))?;
        let missing = words.iter().find(|word| !said.contains(**word));
        missing.map_or(Ok(()), |word| Err(format!("{line}: no '{word}' in {said}")))
    };
    lab::certify(&mut lab::wallet(Optee::connect(Login::User).map_err(say)?))?;
    let card = "0ff1".repeat(8);
    let issue = format!("tapvault-bank issue --state bank.json --challenge challenge.json --card {card}");
    run("tapvault --json card challenge", "challenge.json")?;
    run(&format!("{issue} --oda sm2 --offline 500.00 --offline-payment 100.00"), "package.json")?;
    run(&format!("tapvault-bank offline load --state bank.json --card {card} --amount 1.00"), "load.json")?;
    refused("tapvault card add package.json", &["protectionLevel 1000", "stock OP-TEE says 100"])?;
    refused("tapvault --json card add package.json", &["\"code\":\"0x8054020F\""])?;
    refused("tapvault offline command load.json", &["no such card"])?;
    run("tapvault --json card challenge", "challenge.json")?;
    run(&issue, "package.json")?;
    run("tapvault card add package.json", "")?;
    refused(&format!("tapvault offline show {card}"), &["always asks its issuer"])?;
    refused("tapvault offline command load.json", &["always asks its issuer"])?;
    refused("tapvault offline command package.json", &["tapvault-bank offline load"])?;
    let help = run("tapvault offline --help", "")?;
    ensure(help.contains("Stock OP-TEE says 100"), || help)?;
    run(&format!("tapvault card remove {card}"), "").map(|_| ())
}

/// Installs a newer policy while the disk fails; prints the code that comes back.
fn die() -> Outcome<()> {
    let tee = Optee::connect(Login::Group(990)).map_err(say)?;
    let mut supervisor = tee.connect(Service::Supervisor).map_err(say)?;
    let document = fs::read_to_string("/usr/lib/tapvault/policy.json").map_err(say)?;
    let document = document.replace("\"version\":1", "\"version\":2");
    let signature = tapvault_network::lab::sign_policy(document.as_bytes());
    let document = Bytes::from_slice(document.as_bytes()).map_err(|_| "too long")?;
    dead(call(&mut supervisor, &InstallPolicyRequest { document, signature }).map(|_| ()))
}
