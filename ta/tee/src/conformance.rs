//! What every adapter must do the same way. Run on the host in `cargo test`, and inside a trusted app
//! on real OP-TEE by the tests in QEMU.

use crate::{StorageError, Tee, rollback};
use tapvault_proto::{Error, service::Service};

/// A claim that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed(pub &'static str);

fn hold(claim: &'static str, holds: bool) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(Failed(claim)) }
}

/// Runs every check; returns how many claims hold.
///
/// # Errors
/// The first claim that does not.
pub fn run<T: Tee>(tee: &mut T, forbidden_peer: Service) -> Result<u32, Failed> {
    let mut held = 0;
    let mut check = |claim, holds| {
        held += 1;
        hold(claim, holds)
    };

    let (mut a, mut b) = ([0u8; 32], [0u8; 32]);
    tee.random(&mut a);
    tee.random(&mut b);
    check("random differs from call to call", a != b && a != [0; 32])?;

    let start = tee.now();
    check("time does not run backwards", tee.now() >= start)?;

    let ok = tee.unique_key(b"one", &mut a).is_ok() && tee.unique_key(b"one", &mut b).is_ok();
    check("the unique key is stable", ok && a == b)?;
    check("the unique key depends on its purpose", tee.unique_key(b"two", &mut b).is_ok() && a != b)?;

    const NAME: &[u8] = b"conformance";
    if let Ok(old) = tee.open(NAME) {
        check("an object left over can be deleted", tee.delete(old).is_ok())?;
    }
    check("a missing object is not found", tee.open(NAME).err() == Some(StorageError::NotFound))?;
    let created = tee.create(NAME, b"first value");
    check("an object can be created", created.is_ok())?;
    drop(created);

    let mut out = [0u8; 32];
    let mut object = tee.open(NAME).map_err(|_| Failed("a created object can be opened"))?;
    let read = tee.read(&mut object, &mut out);
    check("what was created is read", read == Ok(11) && out.starts_with(b"first value"))?;
    check("part of it can be overwritten", tee.write(&mut object, 6, b"VALUE").is_ok())?;
    let read = tee.read(&mut object, &mut out);
    check("reading starts at the front again", read == Ok(11) && out.starts_with(b"first VALUE"))?;
    let read = tee.read(&mut object, out.get_mut(..5).unwrap_or_default());
    check("a short buffer takes what fits", read == Ok(5))?;
    drop(object);

    let mut object = tee.create(NAME, b"second").map_err(|_| Failed("an object can be replaced"))?;
    let read = tee.read(&mut object, &mut out);
    check("the replacement is complete", read == Ok(6) && out.starts_with(b"second"))?;
    check("an object can be deleted", tee.delete(object).is_ok())?;
    check("and is gone then", tee.open(NAME).err() == Some(StorageError::NotFound))?;

    let levels = [rollback::NONE, rollback::BY_REE, rollback::BY_HARDWARE];
    check("what it says of rollback is a level of the API", levels.contains(&tee.anti_rollback()))?;

    check("memory can be taken and used", within_memory(tee))?;
    check("an image that is no TVM's has no stamp", tee.stamp().is_none())?;

    let refused = tee.invoke_peer(forbidden_peer, 1, &[], &mut []);
    check("a peer outside the table is refused", refused == Err(Error::EdgeForbidden))?;
    Ok(held)
}

/// Takes memory twice, the second time to see that the first was given back.
fn within_memory<T: Tee>(tee: &mut T) -> bool {
    (0..2).all(|_| {
        let Ok(mut memory) = tee.map(256 * 1024) else { return false };
        T::within(&mut memory, || alloc::vec![1_u8; 128 * 1024].iter().all(|byte| *byte == 1))
    })
}
