//! A provider's trustlets, for the client that carries for them.

use crate::{Channel, ClientError, Transport, transport::call};
use tapvault_proto::{
    Error,
    id::{TrustletName, Uuid},
    trustlet::MAX_MESSAGE,
    tvm::{
        CallRequest, CancelRequest, CommandRequest, InstallRequest, ListRequest, LoadRequest, MAX_CHUNK,
        MAX_FRAME, OpenRequest, Progress, ReadLogReply, ReadLogRequest, ResumeRequest, StartRequest,
        StatusReply, StatusRequest, TrustletEntry, TrustletState,
    },
    wire::Bytes,
};

/// A document with its signature, as `tapvault provider` writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The JSON document, byte for byte as signed.
    pub document: Vec<u8>,
    /// The provider's signature, `r‖s`.
    pub signature: [u8; 64],
}

/// Carries frames between the TEE and the secure element.
pub trait Element {
    /// Sends a frame and returns the element's response with its status word, at most 258 bytes.
    ///
    /// # Errors
    /// The reader's.
    fn transmit(&mut self, frame: &[u8]) -> std::io::Result<Vec<u8>>;
}

/// A client without a secure element: what a trustlet sends there is answered with 6F00.
pub struct NoElement;

impl Element for NoElement {
    fn transmit(&mut self, _: &[u8]) -> std::io::Result<Vec<u8>> {
        Ok(vec![0x6F, 0x00])
    }
}

/// A session with a provider's TVM.
pub struct Tvm<C> {
    channel: C,
}

impl<C: Channel> Tvm<C> {
    /// Opens a session with the TVM of that UUID.
    ///
    /// # Errors
    /// The admission's refusal, or the way's failure.
    pub fn connect<T: Transport<Channel = C>>(transport: &T, tvm: Uuid) -> Result<Self, ClientError> {
        Ok(Self { channel: transport.open(tvm)? })
    }

    /// The TVM's version and state.
    ///
    /// # Errors
    /// The call's.
    pub fn status(&mut self) -> Result<StatusReply, ClientError> {
        call(&mut self.channel, &StatusRequest {})
    }

    /// Installs a trustlet, or a newer version of one; returns version and state.
    ///
    /// # Errors
    /// The TVM's refusal; nothing was changed.
    pub fn install(&mut self, manifest: &Signed) -> Result<(u32, TrustletState), ClientError> {
        let Signed { document, signature } = manifest;
        let manifest = bytes(document, Error::ManifestMalformed)?;
        let reply = call(&mut self.channel, &InstallRequest { manifest, signature: *signature })?;
        Ok((reply.version, reply.state))
    }

    /// Carries out a provider's command; returns the trustlet's state.
    ///
    /// # Errors
    /// As [`Tvm::install`].
    pub fn command(&mut self, command: &Signed) -> Result<TrustletState, ClientError> {
        let Signed { document, signature } = command;
        let document = bytes(document, Error::ManifestMalformed)?;
        Ok(call(&mut self.channel, &CommandRequest { document, signature: *signature })?.state)
    }

    /// Every trustlet that was ever installed.
    ///
    /// # Errors
    /// The call's.
    pub fn trustlets(&mut self) -> Result<Vec<TrustletEntry>, ClientError> {
        Ok(call(&mut self.channel, &ListRequest {})?.trustlets.into_iter().collect())
    }

    /// What trustlets wrote since the last reading.
    ///
    /// # Errors
    /// The call's.
    pub fn log(&mut self) -> Result<ReadLogReply, ClientError> {
        call(&mut self.channel, &ReadLogRequest {})
    }

    /// Opens a trustlet in this session and brings its module.
    ///
    /// # Errors
    /// The TVM's refusal; [`Error::ModuleMismatch`] for a file of another length or content.
    pub fn open(mut self, name: &TrustletName, module: &[u8]) -> Result<Trustlet<C>, ClientError> {
        let opened = call(&mut self.channel, &OpenRequest { name: name.clone() })?;
        if opened.size as usize != module.len() {
            return Err(ClientError::refused(Error::ModuleMismatch));
        }
        let mut offset = 0;
        for chunk in module.chunks(MAX_CHUNK) {
            let bytes = bytes(chunk, Error::ModuleMismatch)?;
            call(&mut self.channel, &LoadRequest { offset, bytes })?;
            offset += u32::try_from(chunk.len()).map_err(|_| ClientError::refused(Error::ModuleMismatch))?;
        }
        call(&mut self.channel, &StartRequest {})?;
        Ok(Trustlet { tvm: self })
    }

    /// The session itself, for calls that this type has no function for.
    pub fn channel(&mut self) -> &mut C {
        &mut self.channel
    }
}

/// A trustlet that runs.
pub struct Trustlet<C> {
    tvm: Tvm<C>,
}

impl<C: Channel> Trustlet<C> {
    /// Sends a message, at most [`MAX_MESSAGE`] bytes, and lets the trustlet run until it answers.
    ///
    /// # Errors
    /// [`Error::TrustletRefused`], or [`Error::TrustletFailed`] after which it has to be opened again.
    pub fn call(&mut self, message: &[u8]) -> Result<Vec<u8>, ClientError> {
        self.call_with(message, &mut NoElement)
    }

    /// As [`Trustlet::call`], for a trustlet that uses the secure element.
    ///
    /// # Errors
    /// As [`Trustlet::call`]; [`ClientError::Element`] when the element cannot be reached.
    pub fn call_with(&mut self, message: &[u8], element: &mut impl Element) -> Result<Vec<u8>, ClientError> {
        let mut progress = self.begin(message)?;
        loop {
            let frame = match progress {
                Progress::Done(reply) => return Ok(reply.to_vec()),
                Progress::Yielded => None,
                Progress::Frame(frame) => {
                    let response = element.transmit(&frame).map_err(ClientError::Element)?;
                    Some(bytes::<MAX_FRAME>(&response, Error::ChannelBroken)?)
                }
            };
            progress = self.resume(frame)?;
        }
    }

    /// Sends a message and gives the first slice.
    ///
    /// # Errors
    /// As [`Trustlet::call`].
    pub fn begin(&mut self, message: &[u8]) -> Result<Progress, ClientError> {
        let message = bytes::<MAX_MESSAGE>(message, Error::BadParameters)?;
        call(&mut self.tvm.channel, &CallRequest { message })
    }

    /// Gives the next slice.
    ///
    /// # Errors
    /// As [`Trustlet::call`].
    pub fn resume(&mut self, frame: Option<Bytes<MAX_FRAME>>) -> Result<Progress, ClientError> {
        call(&mut self.tvm.channel, &ResumeRequest { frame })
    }

    /// Ends a call in progress, and the trustlet with it; the session is good for another one.
    ///
    /// # Errors
    /// [`Error::NotReady`] when there is no call.
    pub fn cancel(mut self) -> Result<Tvm<C>, ClientError> {
        call(&mut self.tvm.channel, &CancelRequest {})?;
        Ok(self.tvm)
    }

    /// The session with the TVM.
    pub fn tvm(&mut self) -> &mut Tvm<C> {
        &mut self.tvm
    }
}

fn bytes<const N: usize>(bytes: &[u8], too_long: Error) -> Result<Bytes<N>, ClientError> {
    Bytes::from_slice(bytes).map_err(|_| ClientError::refused(too_long))
}
