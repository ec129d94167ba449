//! The platform's boot service: installs the policy and opens the keep-alive trusted apps once, so that
//! the first wallet does not wait for them to load. Runs under a group of its own.

use clap::Parser;
use serde_json::json;
use std::{fs, process::ExitCode};
use tapvault::{
    Channel, ClientError, Transport,
    optee::{Login, Optee},
    transport::call,
};
use tapvault_proto::{
    Error, card,
    document::unhex,
    pin,
    service::Service,
    supervisor::{self, InstallPolicyRequest, MAX_POLICY, SessionsRequest},
    wire::Bytes,
};

/// Installs the platform's policy and opens the trusted apps.
#[derive(Parser)]
#[command(after_help = "A policy that is installed already is no error. Example:
  tapvault-boot --policy policy.json --signature policy.sig")]
struct Arguments {
    /// The policy document.
    #[arg(long, default_value = "/usr/lib/tapvault/policy.json")]
    policy: String,
    /// Its signature by the platform key, 128 hexadecimal digits.
    #[arg(long, default_value = "/usr/lib/tapvault/policy.sig")]
    signature: String,
    /// The boot service's group, built into the supervisor.
    #[arg(long, default_value_t = 990)]
    group: u32,
    /// Only reports the live sessions of every service, as JSON.
    #[arg(long)]
    sessions: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let tee = Optee::connect(Login::Group(arguments.group))?;
    let mut supervisor = tee.connect(Service::Supervisor)?;
    if arguments.sessions {
        return report(&mut supervisor);
    }
    let document = fs::read(&arguments.policy).map_err(|error| format!("{}: {error}", arguments.policy))?;
    let signature = fs::read_to_string(&arguments.signature)
        .map_err(|error| format!("{}: {error}", arguments.signature))?;
    let request = InstallPolicyRequest {
        document: Bytes::<MAX_POLICY>::from_slice(&document).map_err(|_| "the policy is too long")?,
        signature: unhex(signature.trim()).map_err(|_| "a signature has 128 hexadecimal digits")?,
    };
    match call(&mut supervisor, &request) {
        Err(error) if error.refusal() != Some(Error::PolicyRollback) => return Err(error.into()),
        _ => {}
    }
    call(&mut tee.connect(Service::Pin)?, &pin::StatusRequest {})?;
    call(&mut tee.connect(Service::Card)?, &card::StatusRequest {})?;
    Ok(())
}

fn report(supervisor: &mut impl Channel) -> Result<(), Box<dyn std::error::Error>> {
    let status = call(supervisor, &supervisor::StatusRequest {})?;
    let mut services = Vec::new();
    for service in Service::NATIVE {
        for count in sessions(supervisor, service)? {
            services.push(json!({
                "service": service.name(), "login": count.caller.login,
                "id": count.caller.uuid.to_string(), "live": count.live, "limit": count.limit,
            }));
        }
    }
    println!("{}", json!({ "policy_version": status.policy_version, "sessions": services }));
    Ok(())
}

fn sessions(
    supervisor: &mut impl Channel,
    service: Service,
) -> Result<impl IntoIterator<Item = supervisor::SessionCount>, ClientError> {
    Ok(call(supervisor, &SessionsRequest { target: service.uuid() })?.callers)
}
