//! Checks an exported audit log without the device.

use serde_json::Value;
use tapvault_proto::{
    document::unhex,
    id::Uuid,
    supervisor::{AuditEntry, AuditEvent},
    wire::decode_exact,
};
use teei_hypervisor::{
    audit::{head_bytes, verify as follow},
    signature::PublicKey,
};

/// What an export proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many entries it holds.
    pub entries: usize,
    /// Number of the last one.
    pub last: u32,
}

/// Verifies what `tapvault tee audit --json` printed: every entry in the chain, no gap, the chain's end as
/// the device signed it for this `nonce` (64 hexadecimal digits). `key` is the device's audit key, 130
/// hexadecimal digits; without it the file's own is believed, which proves the chain and not the device.
///
/// # Errors
/// What does not fit.
pub fn verify(export: &[u8], nonce: &str, key: Option<&str>) -> Result<Verified, String> {
    let export: Value = serde_json::from_slice(export).map_err(|error| format!("no export: {error}"))?;
    let head = export.get("head").ok_or("no head")?;
    let entries = export.get("entries").and_then(Value::as_array).ok_or("no entries")?;
    let entries = entries.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    let first = entries.first().map_or(1, |entry| entry.number);
    let value = follow(bytes(&export, "before")?, first, &entries)
        .map_err(|_| "the entries have a gap".to_owned())?;
    let last = number(head, "last")?;
    if entries.last().map_or(last, |entry| entry.number) != last || value != bytes::<32>(head, "value")? {
        return Err("the entries do not lead to the head: something was changed, added or left out".into());
    }
    let asked: [u8; 32] = unhex(nonce.trim()).map_err(|_| "a nonce has 64 hexadecimal digits")?;
    if bytes::<32>(head, "nonce")? != asked {
        return Err(
            "the head is for another nonce: this export was made for somebody else, or earlier".into()
        );
    }
    let named: [u8; 65] = bytes(head, "key")?;
    let trusted = match key {
        Some(key) => unhex(key.trim()).map_err(|_| "a key has 130 hexadecimal digits")?,
        None => named,
    };
    let signed = head_bytes(&asked, last, &value);
    if PublicKey(trusted).verifies(&signed, &bytes(head, "signature")?) {
        Ok(Verified { entries: entries.len(), last })
    } else {
        Err("the head is not signed by this device".into())
    }
}

fn entry(value: &Value) -> Result<AuditEntry, String> {
    let event = u8::try_from(number(value, "event")?).map_err(|_| "an event is a byte")?;
    let epoch: [u8; 8] = bytes(value, "epoch")?;
    Ok(AuditEntry {
        number: number(value, "number")?,
        time: value.get("time").and_then(Value::as_u64).ok_or("an entry has no time")?,
        epoch: u64::from_be_bytes(epoch),
        event: decode_exact::<AuditEvent>(&[event]).map_err(|_| "an unknown event")?,
        target: Uuid(bytes(value, "target")?),
        subject: Uuid(bytes(value, "subject")?),
        detail: number(value, "detail")?,
    })
}

fn number(value: &Value, name: &str) -> Result<u32, String> {
    let number = value.get(name).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| format!("no number {name}"))
}

fn bytes<const N: usize>(value: &Value, name: &str) -> Result<[u8; N], String> {
    let text = value.get(name).and_then(Value::as_str).ok_or_else(|| format!("no field {name}"))?;
    unhex(text).map_err(|_| format!("{name} has {} hexadecimal digits", 2 * N))
}
