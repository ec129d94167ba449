//! The TVM's link to the secure element: SCP03, its frames carried by the client.

use tapvault_proto::{
    Error,
    emv::apdu::{Command, Response},
    id::ProviderId,
    trustlet::element::{MAX_APDU, TransmitReply},
    tvm::{ElementKeys, InstallElementRequest, MAX_FRAME},
    wire::{Bytes, Wire, Writer, decode_exact, encode_into},
};
use tapvault_seal::Challenge;
use tapvault_tee::{StorageError, Tee};
use teei_hypervisor::{
    manifest::Signer,
    scp03::{Authenticating, Channel, Opening, StaticKeys},
};
use zeroize::{Zeroize, Zeroizing};

/// Name of the object that holds the element's keys.
const KEYS_OBJECT: &[u8] = b"element";

/// What comes of an answer of the element.
pub enum Wish {
    /// Another frame has to be carried.
    Frame(Bytes<MAX_FRAME>),
    /// The trustlet's command is answered.
    Answer(Response),
}

/// Where the channel is. A broken one is opened anew by the next command.
#[derive(Default)]
enum State {
    #[default]
    Closed,
    Opening(Opening, Bytes<MAX_APDU>),
    Authenticating(Authenticating, Bytes<MAX_APDU>),
    Open(Channel),
}

/// One guest's link.
#[derive(Default)]
pub struct Link {
    state: State,
}

impl Link {
    /// The first frame for a plain command.
    ///
    /// # Errors
    /// [`Error::ElementRefused`] when the provider has installed no keys, [`Error::BadParameters`].
    pub fn send<T: Tee>(&mut self, tee: &mut T, plain: &Bytes<MAX_APDU>) -> Result<Bytes<MAX_FRAME>, Error> {
        let command = Command::parse(plain).map_err(|_| Error::BadParameters)?;
        if let State::Open(channel) = &mut self.state
            && channel.is_open()
        {
            return channel.seal(&command);
        }
        let keys = stored_keys(tee)?;
        let mut challenge = [0; 8];
        tee.random(&mut challenge);
        let ElementKeys { version, enc, mac } = keys;
        let (opening, frame) = Opening::begin(StaticKeys::new(enc, mac), version, challenge);
        self.state = State::Opening(opening, plain.clone());
        Ok(frame)
    }

    /// Takes the element's answer to the last frame. After an error the channel is closed.
    ///
    /// # Errors
    /// [`Error::ElementNotAuthentic`], [`Error::ElementRefused`], [`Error::ChannelBroken`].
    pub fn answered(&mut self, frame: &[u8]) -> Result<Wish, Error> {
        match core::mem::take(&mut self.state) {
            State::Closed => Err(Error::ChannelBroken),
            State::Opening(opening, plain) => {
                let (next, frame) = opening.answered(frame)?;
                self.state = State::Authenticating(next, plain);
                Ok(Wish::Frame(frame))
            }
            State::Authenticating(authenticating, plain) => {
                let mut channel = authenticating.authenticated(frame)?;
                let command = Command::parse(&plain).map_err(|_| Error::BadParameters)?;
                let frame = channel.seal(&command)?;
                self.state = State::Open(channel);
                Ok(Wish::Frame(frame))
            }
            State::Open(mut channel) => {
                let response = channel.open(frame)?;
                self.state = State::Open(channel);
                Ok(Wish::Answer(response))
            }
        }
    }
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
