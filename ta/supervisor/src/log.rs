//! The audit log's way to time, storage and key.

use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use tapvault_proto::wire::Wire;
use tapvault_proto::{
    Error,
    id::{Caller, Uuid},
    supervisor::{AuditEntry, AuditEvent, AuditHeadReply},
};
use tapvault_tee::{StorageError, Tee};
use teei_hypervisor::{
    audit::{Audit, Medium, Page, head_bytes},
    registry::Registry,
};
use zeroize::Zeroizing;

/// Notes an event: which, about whom (target, subject), and its detail.
pub fn note<T: Tee>(
    audit: &mut Audit,
    tee: &mut T,
    registry: &Registry,
    (event, target, subject, detail): (AuditEvent, Uuid, Uuid, u32),
) {
    let (time, epoch) = (tee.now().0, registry.epoch());
    audit.note(AuditEntry { number: 0, time, epoch, event, target, subject, detail });
}

/// Notes that a caller asked for a session; the detail is its login.
pub fn admission<T: Tee>(
    audit: &mut Audit,
    tee: &mut T,
    registry: &Registry,
    target: Uuid,
    caller: &Caller,
    admitted: bool,
) {
    let event = if admitted { AuditEvent::Admitted } else { AuditEvent::Refused };
    note(audit, tee, registry, (event, target, caller.uuid, caller.login));
}

/// Pages as objects `audit.00` to `audit.15`.
pub struct Pages<'a, T>(pub &'a mut T);

impl<T: Tee> Medium for Pages<'_, T> {
    fn read(&mut self, slot: u32, out: &mut [u8; Page::MAX]) -> Result<Option<usize>, Error> {
        let missing = |error| match error {
            StorageError::NotFound | StorageError::Corrupt => Ok(None),
            StorageError::Full | StorageError::Failed => Err(Error::from(error)),
        };
        let mut object = match self.0.open(&name(slot)) {
            Ok(object) => object,
            Err(error) => return missing(error),
        };
        self.0.read(&mut object, out).map(Some).or_else(missing)
    }

    fn write(&mut self, slot: u32, page: &[u8]) -> Result<(), Error> {
        self.0.create(&name(slot), page)?;
        Ok(())
    }
}

/// The log's end, signed by this device's audit key.
///
/// # Errors
/// Storage's; [`Error::Internal`] without a unique key.
pub fn head<T: Tee>(audit: &mut Audit, tee: &mut T, nonce: &[u8; 32]) -> Result<AuditHeadReply, Error> {
    let (last, value) = audit.head(&mut Pages(tee))?;
    let key = key(tee)?;
    let signature: Signature = key.sign(&head_bytes(nonce, last, &value));
    let public = key.verifying_key().to_sec1_point(false);
    Ok(AuditHeadReply {
        last,
        value,
        key: public.as_bytes().try_into().map_err(|_| Error::Internal)?,
        signature: signature.to_bytes().into(),
    })
}

/// The device's audit key. One secret in 2³² is no scalar; the next purpose then gives another.
fn key<T: Tee>(tee: &mut T) -> Result<SigningKey, Error> {
    let mut secret = Zeroizing::new([0; 32]);
    for purpose in [&b"audit key 1"[..], b"audit key 2"] {
        tee.unique_key(purpose, &mut secret)?;
        if let Ok(key) = SigningKey::from_slice(secret.as_slice()) {
            return Ok(key);
        }
    }
    Err(Error::Internal)
}

fn name(slot: u32) -> [u8; 8] {
    let digit = |value: u32| u8::try_from(value % 10).unwrap_or(0) + b'0';
    [b'a', b'u', b'd', b'i', b't', b'.', digit(slot / 10), digit(slot)]
}
