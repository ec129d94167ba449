//! The way from the client to a trusted app.

use crate::ClientError;
use tapvault_proto::{
    Error,
    id::Uuid,
    service::{Request, Service, encode_request, max_reply, max_request},
    wire,
};
use zeroize::Zeroizing;

/// Opens channels to services.
pub trait Transport {
    /// An open session.
    type Channel: Channel;

    /// Opens a session with a trusted app.
    ///
    /// # Errors
    /// The admission's refusal, or the way's failure.
    fn open(&self, app: Uuid) -> Result<Self::Channel, ClientError>;

    /// Opens a session with a native service.
    ///
    /// # Errors
    /// As [`Transport::open`].
    fn connect(&self, service: Service) -> Result<Self::Channel, ClientError> {
        self.open(service.uuid())
    }
}

/// A session with one service; closed when dropped.
pub trait Channel {
    /// Invokes a method; the reply lies in the channel's own memory until the next call.
    ///
    /// # Errors
    /// The trusted app's refusal, or the way's failure.
    fn invoke(&mut self, method: u32, request: &[u8]) -> Result<&[u8], ClientError>;
}

/// Longest request a client sends to any service, version byte included.
pub const MAX_REQUEST: usize = 1 + longest(false);
/// Longest reply of any service.
pub const MAX_REPLY: usize = longest(true);

const fn longest(reply: bool) -> usize {
    let mut max = 0;
    let mut rest: &[Service] = &Service::FOR_CLIENTS;
    while let [service, tail @ ..] = rest {
        let methods = service.methods();
        let len = if reply { max_reply(methods) } else { max_request(methods) };
        if len > max {
            max = len;
        }
        rest = tail;
    }
    max
}

/// A call with typed request and reply.
///
/// # Errors
/// As [`Channel::invoke`]; a reply that does not decode counts as another protocol version.
pub fn call<R: Request>(channel: &mut impl Channel, request: &R) -> Result<R::Reply, ClientError> {
    // A request may hold a PIN.
    let mut bytes = Zeroizing::new([0; MAX_REQUEST]);
    let len = encode_request(request, bytes.as_mut_slice()).map_err(ClientError::refused)?;
    let request = bytes.get(..len).ok_or(ClientError::refused(Error::Internal))?;
    let reply = channel.invoke(R::METHOD, request)?;
    wire::decode_exact(reply).map_err(|_| ClientError::Version { theirs: 0 })
}
