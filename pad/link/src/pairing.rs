//! What an end checks before it keeps a pairing: the same at both.

use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier};
use tapvault_proto::{
    Error,
    pad::{End, PadKeys, Pairing},
};

/// Whether `end`, whose keys are `ours`, may keep a pairing. `factory_root` is P-256, SEC 1 uncompressed; `kept` is the
/// number of the pairing that is kept, 0 without one.
///
/// # Errors
/// [`Error::PairingInvalid`] for other keys of this end or another signer; [`Error::PairingNotNewer`].
pub fn check(
    pairing: &Pairing,
    factory_root: &[u8; 65],
    end: End,
    ours: &PadKeys,
    kept: u32,
) -> Result<(), Error> {
    let named = match end {
        End::Tee => &pairing.tee,
        End::Pad => &pairing.pad,
    };
    let signed = VerifyingKey::from_sec1_bytes(factory_root)
        .and_then(|root| root.verify(&pairing.signed_bytes(), &Signature::from_slice(&pairing.signature)?));
    if named != ours || signed.is_err() {
        return Err(Error::PairingInvalid);
    }
    if pairing.sequence > kept { Ok(()) } else { Err(Error::PairingNotNewer) }
}
