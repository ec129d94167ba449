//! The TVM's keys of the secure element, and what its answers become.

use tapvault_proto::{
    Error,
    emv::apdu::Response,
    id::ProviderId,
    trustlet::element::TransmitReply,
    tvm::{ElementKeys, InstallElementRequest},
    wire::{Bytes, Wire, Writer, decode_exact, encode_into},
};
use tapvault_seal::Challenge;
use tapvault_tee::{StorageError, Tee};
use teei_hypervisor::{
    manifest::Signer,
    scp03::{CHALLENGE, Start, StaticKeys},
};
use zeroize::{Zeroize, Zeroizing};

/// Name of the object that holds the element's keys.
const KEYS_OBJECT: &[u8] = b"element";

/// What the channel of a guest is opened with.
///
/// # Errors
/// [`Error::ElementRefused`] when the provider has installed no keys, or none intact; storage's.
pub fn start<T: Tee>(tee: &mut T) -> Result<Start, Error> {
    let ElementKeys { version, enc, mac } = stored_keys(tee)?;
    let mut challenge = [0; CHALLENGE];
    tee.random(&mut challenge);
    Ok(Start { keys: StaticKeys::new(enc, mac), version, challenge })
}

/// The element's keys.
///
/// # Errors
/// [`Error::ElementRefused`] when there are none, or none intact; storage's.
fn stored_keys<T: Tee>(tee: &mut T) -> Result<ElementKeys, Error> {
    let mut bytes = Zeroizing::new([0; ElementKeys::MAX]);
    let read = match tee.open(KEYS_OBJECT) {
        Ok(mut object) => tee.read(&mut object, bytes.as_mut_slice()),
        Err(error) => Err(error),
    };
    match read {
        Ok(len) => decode_exact(bytes.get(..len).unwrap_or_default()).map_err(|_| Error::ElementRefused),
        Err(StorageError::NotFound | StorageError::Corrupt) => Err(Error::ElementRefused),
        Err(error) => Err(error.into()),
    }
}

/// The reply of `transmit`, encoded.
///
/// # Errors
/// [`Error::Internal`] never: a channel's answer is as long as a reply takes.
pub fn encode<const N: usize>(response: &Response, out: &mut Bytes<N>) -> Result<(), Error> {
    let response = Bytes::from_slice(response.as_bytes()).map_err(|_| Error::Internal)?;
    let mut bytes = [0; TransmitReply::MAX];
    let mut writer = Writer::new(&mut bytes);
    TransmitReply { response }.encode(&mut writer)?;
    let len = writer.len();
    out.extend_from_slice(bytes.get(..len).ok_or(Error::Internal)?).map_err(|_| Error::Internal)
}

/// Stores the element's keys.
///
/// # Errors
/// [`Error::SignatureInvalid`], [`Error::WrongChallenge`], [`Error::SealInvalid`]; storage's.
pub fn install<T: Tee>(
    tee: &mut T,
    signer: &Signer,
    challenge: &Challenge,
    mut request: InstallElementRequest,
) -> Result<(), Error> {
    let provider: ProviderId = signer.provider;
    if !signer.key.verifies(&request.signed_bytes(provider), &request.signature) {
        return Err(Error::SignatureInvalid);
    }
    challenge.check(&request.challenge)?;
    let info = InstallElementRequest::info(&request.challenge, provider);
    let (plain, _) = challenge.open(&info, &request.encapsulated, &mut request.sealed)?;
    let keys = decode_exact::<ElementKeys>(plain).map_err(|_| Error::SealInvalid);
    plain.zeroize();
    let keys = keys?;
    request.sealed.zeroize();
    let mut bytes = Zeroizing::new([0; ElementKeys::MAX]);
    let len = encode_into(&keys, bytes.as_mut_slice())?;
    tee.create(KEYS_OBJECT, bytes.get(..len).ok_or(Error::Internal)?)?;
    Ok(())
}
