//! Who opened the session, by the OP-TEE core's word.

use optee_utee::property::{ClientIdentity, PropertyKey};
use tapvault_proto::{
    Error,
    id::{Caller, Uuid},
    wire::Writer,
};

/// The caller of the entry point that runs now: property `gpd.client.identity` (TEE Internal Core API,
/// 4.5). The core refuses a normal-world client that claims to be a trusted app.
///
/// # Errors
/// [`Error::AccessDenied`] when the core names nobody.
pub fn caller() -> Result<Caller, Error> {
    let identity = ClientIdentity.get().map_err(|_| Error::AccessDenied)?;
    let uuid = identity.uuid();
    // SAFETY: `as_raw_ptr` points into `uuid`, which lives to the end of this function.
    let raw = unsafe { &*uuid.as_raw_ptr() };
    let mut bytes = [0; 16];
    let mut out = Writer::new(&mut bytes);
    out.put(&raw.timeLow.to_be_bytes())?;
    out.put(&raw.timeMid.to_be_bytes())?;
    out.put(&raw.timeHiAndVersion.to_be_bytes())?;
    out.put(&raw.clockSeqAndNode)?;
    Ok(Caller { login: identity.login_type().into(), uuid: Uuid(bytes) })
}
