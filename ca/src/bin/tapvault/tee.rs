//! `tapvault tee`: what the supervisor knows, for the platform.

use crate::output::{Failure, Output, hex, id};
use clap::Subcommand;
use serde_json::{Value, json};
use tapvault::{Channel, ClientError, Transport, maker::identity::dashed, transport::call};
use tapvault_proto::{
    document::unhex,
    id::ProviderId,
    service::Service,
    supervisor::{
        AuditEntry, AuditExportRequest, AuditFlushRequest, AuditHeadRequest, ProviderEntry, ProvidersRequest,
        SessionsRequest, StatusRequest, TrustletsRequest,
    },
};

/// The supervisor's knowledge. Run as the boot service: `--group 990` in the lab.
#[derive(Subcommand)]
pub enum Command {
    /// Lists native services and providers, with live sessions.
    Ls,
    /// Shows a provider's trustlets.
    Show {
        /// The provider's id.
        #[arg(value_parser = id)]
        provider: [u8; 16],
    },
    /// Shows what each provider may, and what it uses.
    Quota,
    /// Makes the audit log durable and prints it; `platform verify-audit` checks what this printed with --json.
    #[command(after_help = "Example:
  nonce=$(openssl rand -hex 32)
  tapvault --group 990 tee audit --json --nonce $nonce > audit.json
  tapvault platform verify-audit audit.json --nonce $nonce --key KEY        (any machine)
KEY is head.key of an export taken while the device was still in the maker's hands.")]
    Audit {
        /// Number of the first entry.
        #[arg(long, default_value_t = 1)]
        from: u32,
        /// The verifier's own 32 bytes in hexadecimal, so that an old head does not do.
        #[arg(
            long,
            value_name = "HEX64",
            default_value = "0000000000000000000000000000000000000000000000000000000000000000"
        )]
        nonce: String,
    },
}

/// Runs the command.
///
/// # Errors
/// The supervisor's refusal.
pub fn run<T: Transport>(command: Command, transport: &T, output: &Output) -> Result<(), Failure> {
    let mut supervisor = transport.connect(Service::Supervisor)?;
    match command {
        Command::Ls => list(&mut supervisor, output),
        Command::Show { provider } => show(&mut supervisor, ProviderId(provider), output),
        Command::Quota => quota(&mut supervisor, output),
        Command::Audit { from, nonce } => audit(&mut supervisor, from, &nonce, output),
    }
}

fn providers(supervisor: &mut impl Channel) -> Result<Vec<ProviderEntry>, ClientError> {
    Ok(call(supervisor, &ProvidersRequest {})?.providers.into_iter().collect())
}

fn list(supervisor: &mut impl Channel, output: &Output) -> Result<(), Failure> {
    let status = call(supervisor, &StatusRequest {})?;
    let mut targets: Vec<_> =
        Service::NATIVE.iter().map(|service| (service.name().to_owned(), service.uuid())).collect();
    targets.extend(providers(supervisor)?.iter().map(|entry| (format!("tvm {}", entry.provider), entry.tvm)));
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for (name, target) in targets {
        let callers = call(supervisor, &SessionsRequest { target })?.callers;
        let live: u32 = callers.iter().map(|count| u32::from(count.live)).sum();
        rows.push(json!({ "name": name, "uuid": dashed(target), "sessions": live }));
        lines.push(format!("{name:<37} {}  {live} sessions", dashed(target)));
    }
    lines.push(format!("policy {}, {} live sessions", status.policy_version, status.live_sessions));
    output.show(
        &json!({ "policy": status.policy_version, "epoch": format!("{:016x}", status.epoch), "apps": rows }),
        &lines.join("\n"),
    );
    Ok(())
}

fn show(supervisor: &mut impl Channel, provider: ProviderId, output: &Output) -> Result<(), Failure> {
    let trustlets = call(supervisor, &TrustletsRequest { provider })?.trustlets;
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for info in &trustlets {
        let state = format!("{:?}", info.state).to_lowercase();
        let (name, version, messages) = (info.name.to_string(), info.version, info.messages);
        rows.push(json!({ "name": name, "state": state, "version": version, "messages": messages }));
        lines.push(format!("{name:<16} {state:<9} version {version}, {messages} messages wait"));
    }
    if lines.is_empty() {
        lines.push("none known: a TVM tells of a trustlet when it is opened or changed".into());
    }
    output.show(&rows.into(), &lines.join("\n"));
    Ok(())
}

fn quota(supervisor: &mut impl Channel, output: &Output) -> Result<(), Failure> {
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for entry in providers(supervisor)? {
        let quota = entry.quota;
        rows.push(json!({
            "provider": entry.provider.to_string(), "guests": quota.guests, "memory_kib": quota.memory_kib,
            "store": quota.store, "messages": quota.messages, "messages_waiting": entry.messages,
            "signatures": quota.signatures, "accesses": quota.accesses, "loads": quota.loads,
        }));
        lines.push(format!(
            "{}  {} guests, {} KiB, store {} bytes, messages {}/{}, a minute: {} signatures, {} storage accesses, {} loads",
            entry.provider,
            quota.guests,
            quota.memory_kib,
            quota.store,
            entry.messages,
            quota.messages,
            quota.signatures,
            quota.accesses,
            quota.loads
        ));
    }
    output.show(&rows.into(), &lines.join("\n"));
    Ok(())
}

fn audit(supervisor: &mut impl Channel, from: u32, nonce: &str, output: &Output) -> Result<(), Failure> {
    let nonce: [u8; 32] =
        unhex(nonce).map_err(|_| Failure::Content("a nonce has 64 hexadecimal digits".into()))?;
    call(supervisor, &AuditFlushRequest {})?;
    let head = call(supervisor, &AuditHeadRequest { nonce })?;
    // What was recorded since the head was signed belongs to the next export.
    let (mut entries, mut next, mut before) = (Vec::new(), from, None);
    loop {
        let page = call(supervisor, &AuditExportRequest { from: next })?;
        before.get_or_insert(page.before);
        let Some(last) = page.entries.last().map(|entry| entry.number) else { break };
        next = last.saturating_add(1);
        entries.extend(page.entries.into_iter().filter(|entry| entry.number <= head.last));
        if last >= head.last {
            break;
        }
    }
    let lines: Vec<_> = entries.iter().map(line).collect();
    let rows: Vec<_> = entries.iter().map(to_json).collect();
    output.show(
        &json!({
            "before": hex(&before.unwrap_or_default()), "entries": rows,
            "head": {
                "nonce": hex(&nonce), "last": head.last, "value": hex(&head.value),
                "key": hex(&head.key), "signature": hex(&head.signature),
            },
        }),
        &lines.join("\n"),
    );
    Ok(())
}

fn line(entry: &AuditEntry) -> String {
    let event = format!("{:?}", entry.event).to_lowercase();
    format!(
        "{:>6} {:>10} ms {event:<10} {} {} {}",
        entry.number,
        entry.time,
        dashed(entry.target),
        entry.subject,
        entry.detail
    )
}

fn to_json(entry: &AuditEntry) -> Value {
    json!({
        "number": entry.number, "time": entry.time, "epoch": format!("{:016x}", entry.epoch),
        "event": entry.event as u8, "name": format!("{:?}", entry.event).to_lowercase(),
        "target": entry.target.to_string(), "subject": entry.subject.to_string(), "detail": entry.detail,
    })
}
