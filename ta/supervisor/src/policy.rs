//! The policy in storage, and the lowest version that may still follow.

use tapvault_proto::{
    Error,
    supervisor::InstallPolicyRequest,
    wire::{Wire, decode_exact, encode_into},
};
use tapvault_tee::{StorageError, Tee};
use tapvault_trust::PLATFORM_KEY;
use teei_hypervisor::policy::Policy;

/// The policy in force: an encoded [`InstallPolicyRequest`].
const POLICY_OBJECT: &[u8] = b"policy";
/// Version of the newest policy ever stored, so that damage to the policy does not let an older one back in.
const FLOOR_OBJECT: &[u8] = b"policy.floor";
/// In place of a floor that was found damaged.
const UNKNOWN: [u8; 4] = [0xFF; 4];

/// The stored policy, checked again as if it had just come in; without an intact one the empty policy,
/// under which nobody but the boot service is admitted.
pub fn stored<T: Tee>(tee: &mut T) -> Result<Policy, Error> {
    let mut object = match tee.open(POLICY_OBJECT) {
        Ok(object) => object,
        Err(StorageError::NotFound | StorageError::Corrupt) => return Ok(Policy::default()),
        Err(error) => return Err(error.into()),
    };
    let mut stored = [0; InstallPolicyRequest::MAX];
    let len = match tee.read(&mut object, &mut stored) {
        Ok(len) => len,
        Err(StorageError::Corrupt) => return Ok(Policy::default()),
        Err(error) => return Err(error.into()),
    };
    let intact = stored.get(..len).and_then(|bytes| decode_exact::<InstallPolicyRequest>(bytes).ok());
    let verify = |stored: InstallPolicyRequest| {
        Policy::verify(&stored.document, &stored.signature, &PLATFORM_KEY).ok()
    };
    Ok(intact.and_then(verify).unwrap_or_default())
}

/// Stores a policy that was verified and is newer than version `in_force`. The floor comes first: a power cut
/// in between leaves the policy in force as it was, and this one welcome.
///
/// # Errors
/// [`Error::PolicyRollback`] under the floor; [`Error::StateCorrupt`] when floor and policy are damaged, from
/// then on: nobody can tell which policy is old. Else the storage's.
pub fn store<T: Tee>(
    tee: &mut T,
    request: &InstallPolicyRequest,
    version: u32,
    in_force: u32,
) -> Result<(), Error> {
    // Under an intact policy the floor says nothing that its version does not.
    if in_force == 0 && version < floor(tee)? {
        return Err(Error::PolicyRollback);
    }
    let mut stored = [0; InstallPolicyRequest::MAX];
    let len = encode_into(request, &mut stored)?;
    tee.create(FLOOR_OBJECT, &version.to_be_bytes())?;
    tee.create(POLICY_OBJECT, stored.get(..len).ok_or(Error::Internal)?)?;
    Ok(())
}

fn floor<T: Tee>(tee: &mut T) -> Result<u32, Error> {
    let mut floor = [0; 4];
    let read = match tee.open(FLOOR_OBJECT) {
        Ok(mut object) => tee.read(&mut object, &mut floor),
        Err(error) => Err(error),
    };
    match read {
        Ok(4) if floor != UNKNOWN => Ok(u32::from_be_bytes(floor)),
        Err(StorageError::NotFound) => Ok(0),
        Ok(_) | Err(StorageError::Corrupt) => {
            // OP-TEE deletes what does not verify: without the mark the next call would find nothing.
            tee.create(FLOOR_OBJECT, &UNKNOWN)?;
            Err(Error::StateCorrupt)
        }
        Err(error) => Err(error.into()),
    }
}
