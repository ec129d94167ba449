//! What a trustlet exchanges with the world outside its module.
//!
//! A trustlet is a Wasm module. It imports one function, `teei.call`, and exports its memory and two
//! functions; [`abi`] names them. Everything it can reach is a [`Service`] of
//! the virtual network, called with the same typed messages as anywhere else. Its own name is put in
//! front of every request by its TVM ([`Forwarded`]), so that no trustlet can speak for another.

use crate::{
    Error,
    id::TrustletName,
    service::{Request, Service},
    wire::{Reader, Wire, Writer},
};

pub mod clock;
pub mod element;
pub mod keys;
pub mod log;
pub mod network;
pub mod random;
pub mod store;

/// Longest message between a client and a trustlet, either way, in bytes.
pub const MAX_MESSAGE: usize = 1024;

/// Names and numbers of the module's imports and exports.
pub mod abi {
    /// Module of the one import.
    pub const IMPORT_MODULE: &str = "teei";
    /// `call(service, method, request, request_len, reply, reply_len) -> i32`: the length of the reply,
    /// or, negative, an error code ([`crate::Error::code`] taken as signed).
    pub const IMPORT_CALL: &str = "call";
    /// The linear memory.
    pub const EXPORT_MEMORY: &str = "memory";
    /// `trustlet_buffer() -> i32`: address of [`BUFFER_LEN`] bytes, called once after the module is
    /// instantiated.
    pub const EXPORT_BUFFER: &str = "trustlet_buffer";
    /// `trustlet_handle(len) -> i32`: the buffer's first `len` bytes are a [`crate::id::Party`], the
    /// sender, and the message behind it. Returns the length of the reply, which the trustlet has put at
    /// the buffer's start, or a negative number of its own: the call is then refused.
    pub const EXPORT_HANDLE: &str = "trustlet_handle";
    /// Length of the buffer in bytes.
    pub const BUFFER_LEN: usize = <crate::id::Party as crate::wire::Wire>::MAX + super::MAX_MESSAGE;
}

/// Which trustlet a TVM speaks for. The provider is not in it: the callee knows the TVM by its UUID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The trustlet.
    pub name: TrustletName,
    /// Drawn when it was installed, and again when it is installed after a removal: what belonged to
    /// the removed one does not come back.
    pub generation: [u8; 16],
    /// Which of its running guests asks: the TVM's own session number. Handles end with it.
    pub guest: u32,
}

impl Wire for Owner {
    const MAX: usize = TrustletName::MAX + 16 + <u32 as Wire>::MAX;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        self.name.encode(out)?;
        self.generation.encode(out)?;
        self.guest.encode(out)
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        let name = TrustletName::decode(input)?;
        Ok(Self { name, generation: Wire::decode(input)?, guest: Wire::decode(input)? })
    }
}

/// A trustlet's request as its TVM passes it on: the trustlet's own bytes, behind its name.
#[derive(Debug)]
pub struct Forwarded<R> {
    /// Who asks.
    pub owner: Owner,
    /// What the trustlet sent.
    pub request: R,
}

impl<R: Wire> Wire for Forwarded<R> {
    const MAX: usize = Owner::MAX + R::MAX;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        self.owner.encode(out)?;
        self.request.encode(out)
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self { owner: Owner::decode(input)?, request: R::decode(input)? })
    }
}

/// What a trustlet may send, with its service, method and reply.
pub trait TrustletRequest: Wire {
    /// The service that answers.
    const SERVICE: Service;
    /// The method id.
    const METHOD: u32;
    /// What comes back.
    type Reply: Wire;
}

impl<R: Wire> TrustletRequest for R
where
    Forwarded<R>: Request,
{
    const SERVICE: Service = <Forwarded<R> as Request>::SERVICE;
    const METHOD: u32 = <Forwarded<R> as Request>::METHOD;
    type Reply = <Forwarded<R> as Request>::Reply;
}
