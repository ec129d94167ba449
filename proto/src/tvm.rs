//! A TVM's methods for clients: lifecycle of trustlets, carrying modules, calling them.
//!
//! A session holds one trustlet at most. The client carries everything (manifests, commands, modules,
//! the secure element's frames) and is trusted with none of it. No call waits: a trustlet that has used
//! up its slice of fuel gives [`Progress::Yielded`], and the client calls [`ResumeRequest`].

use crate::{
    Error,
    id::{ProviderId, TrustletName},
    pin::concat,
    profile::Key128,
    trustlet::MAX_MESSAGE,
    wire::{Bytes, Reader, Wire, Writer},
};

/// Longest manifest in bytes of JSON.
pub const MAX_MANIFEST: usize = 1024;
/// Longest signed command in bytes of JSON.
pub const MAX_COMMAND: usize = 256;
/// Most bytes of a module in one [`LoadRequest`].
pub const MAX_CHUNK: usize = 2048;
/// Most trustlets of one provider, removed ones included: their versions are remembered.
pub const MAX_TRUSTLETS: usize = 8;
/// Longest frame to or from the secure element: a short APDU or its response.
pub const MAX_FRAME: usize = 261;

crate::code! {
    /// Where a trustlet is in its life.
    TrustletState {
        /// Its manifest is stored; it does not run yet.
        Installed = 1,
        /// It runs for the clients its manifest names.
        Active = 2,
        /// It does not run until it is unlocked.
        Locked = 3,
        /// It is gone with its data and keys; version and sequence are remembered.
        Removed = 4,
    }
}

crate::message! {
    /// Asks for version and state.
    #[derive(Clone, Debug, PartialEq, Eq)]
    StatusRequest {}
}
crate::message! {
    /// The TVM's version and state.
    #[derive(Clone, Debug, PartialEq, Eq)]
    StatusReply {
        /// [`crate::PROTOCOL_VERSION`] of the trusted app.
        protocol: u16,
        /// Whose TVM it is.
        provider: ProviderId,
        /// Trustlets that are not removed.
        trustlets: u8,
        /// Sessions that hold a trustlet's memory now.
        guests: u8,
        /// Bytes of memory these hold.
        memory: u32,
        /// Whether it believes any of the lab's keys.
        lab: bool,
    }
}
crate::message! {
    /// Installs a trustlet, or a newer version of one; its state stays what it was.
    #[derive(Clone, Debug, PartialEq, Eq)]
    InstallRequest {
        /// A manifest, JSON, byte for byte as signed.
        manifest: Bytes<MAX_MANIFEST>,
        /// ECDSA P-256 / SHA-256 by the provider over the manifest, `r‖s`.
        signature: [u8; 64],
    }
}
crate::message! {
    /// The manifest is stored.
    #[derive(Clone, Debug, PartialEq, Eq)]
    InstallReply {
        /// The trustlet's version.
        version: u32,
        /// Its state.
        state: TrustletState,
    }
}
crate::message! {
    /// Carries out a provider's command: activate, lock, unlock, remove.
    #[derive(Clone, Debug, PartialEq, Eq)]
    CommandRequest {
        /// A command, JSON, byte for byte as signed.
        document: Bytes<MAX_COMMAND>,
        /// ECDSA P-256 / SHA-256 by the provider over the document, `r‖s`.
        signature: [u8; 64],
    }
}
crate::message! {
    /// The command is carried out and stored.
    #[derive(Clone, Debug, PartialEq, Eq)]
    CommandReply {
        /// The trustlet's state.
        state: TrustletState,
    }
}
crate::message! {
    /// Asks for the provider's trustlets.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ListRequest {}
}
crate::message! {
    /// One trustlet.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TrustletEntry {
        /// Its name.
        name: TrustletName,
        /// Where it is in its life.
        state: TrustletState,
        /// Version of its manifest; never lower than before.
        version: u32,
        /// Sequence number of the last command; the next is higher.
        sequence: u32,
    }
}
crate::message! {
    /// Every trustlet that was ever installed.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ListReply {
        /// In no particular order.
        trustlets: heapless::Vec<TrustletEntry, MAX_TRUSTLETS>,
    }
}
crate::message! {
    /// Reads the provider's log: what its trustlets wrote.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ReadLogRequest {}
}
crate::message! {
    /// One line of a trustlet.
    #[derive(Clone, Debug, PartialEq, Eq)]
    LogLine {
        /// Which trustlet.
        name: TrustletName,
        /// What it wrote, as it wrote it: any bytes.
        text: Bytes<{ crate::trustlet::log::MAX_LINE }>,
    }
}
crate::message! {
    /// The last lines, oldest first; they are kept in memory only.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ReadLogReply {
        /// Lines that were overwritten before anybody read them.
        lost: u32,
        /// The lines.
        lines: heapless::Vec<LogLine, 8>,
    }
}
crate::message! {
    /// Draws the challenge for the secure element's keys; replaces an earlier one.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ElementChallengeRequest {}
}
crate::message! {
    /// What the provider needs to seal the element's keys.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ElementChallengeReply {
        /// 32 random bytes, good for one installation.
        challenge: [u8; 32],
        /// This challenge's own HPKE key, P-256, SEC 1 uncompressed.
        recipient: [u8; 65],
    }
}
crate::message! {
    /// Keys of the provider's security domain on the secure element (SCP03, AES-128), as they are sealed.
    ElementKeys {
        /// Key version number.
        version: u8,
        /// Static encryption key.
        enc: Key128,
        /// Static MAC key.
        mac: Key128,
    }
}
crate::message! {
    /// Installs the secure element's keys, sealed as a card package is and signed by the provider.
    #[derive(Clone, Debug, PartialEq, Eq)]
    InstallElementRequest {
        /// The challenge it was sealed for.
        challenge: [u8; 32],
        /// The encapsulated HPKE key.
        encapsulated: [u8; 65],
        /// [`ElementKeys`], encrypted, with the tag behind.
        sealed: [u8; ElementKeys::SEALED],
        /// ECDSA P-256 / SHA-256 by the provider over [`Self::signed_bytes`], `r‖s`.
        signature: [u8; 64],
    }
}
crate::message! {
    /// The keys are stored.
    #[derive(Clone, Debug, PartialEq, Eq)]
    InstallElementReply {}
}

impl ElementKeys {
    /// Length of the sealed keys: the keys and a 16-byte tag.
    pub const SEALED: usize = Self::MAX + 16;
}

impl InstallElementRequest {
    /// The HPKE `info`: a domain label, challenge and provider; 72 bytes.
    #[must_use]
    pub fn info(challenge: &[u8; 32], provider: ProviderId) -> [u8; 72] {
        concat(b"tapvault element keys  1", &[challenge, &provider.0])
    }

    /// What the provider signs: the `info`, encapsulated key and cipher text.
    #[must_use]
    pub fn signed_bytes(&self, provider: ProviderId) -> [u8; 72 + 65 + ElementKeys::SEALED] {
        concat(&Self::info(&self.challenge, provider), &[&self.encapsulated, &self.sealed])
    }
}
crate::message! {
    /// Opens a trustlet in this session: checks its state and the caller, takes memory for it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    OpenRequest {
        /// Which trustlet.
        name: TrustletName,
    }
}
crate::message! {
    /// The trustlet's memory is there; its module is awaited.
    #[derive(Clone, Debug, PartialEq, Eq)]
    OpenReply {
        /// Length of the module in bytes, as its manifest says.
        size: u32,
        /// Version of the manifest.
        version: u32,
    }
}
crate::message! {
    /// Brings the module's next bytes, in order.
    #[derive(Clone, Debug, PartialEq, Eq)]
    LoadRequest {
        /// Where they belong; what came so far.
        offset: u32,
        /// The bytes.
        bytes: Bytes<MAX_CHUNK>,
    }
}
crate::message! {
    /// The bytes are taken.
    #[derive(Clone, Debug, PartialEq, Eq)]
    LoadReply {}
}
crate::message! {
    /// Checks the module against its manifest and makes it ready.
    #[derive(Clone, Debug, PartialEq, Eq)]
    StartRequest {}
}
crate::message! {
    /// The trustlet takes calls.
    #[derive(Clone, Debug, PartialEq, Eq)]
    StartReply {}
}
crate::message! {
    /// Sends the trustlet a message and gives it a first slice.
    #[derive(Clone, Debug, PartialEq, Eq)]
    CallRequest {
        /// Bytes that trustlet and client understand.
        message: Bytes<MAX_MESSAGE>,
    }
}
crate::message! {
    /// Gives the trustlet its next slice, with the secure element's response where it waits for one.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ResumeRequest {
        /// The response to the last [`Progress::Frame`].
        frame: Option<Bytes<MAX_FRAME>>,
    }
}
crate::message! {
    /// Ends the call in progress; the trustlet is then as if it had failed, and has to be opened again.
    #[derive(Clone, Debug, PartialEq, Eq)]
    CancelRequest {}
}
crate::message! {
    /// No call is in progress.
    #[derive(Clone, Debug, PartialEq, Eq)]
    CancelReply {}
}

/// How far a call is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is no heap to put the longer one on")]
pub enum Progress {
    /// The trustlet's answer.
    Done(Bytes<MAX_MESSAGE>),
    /// The slice is used up; resume.
    Yielded,
    /// A frame for the secure element; resume with its response.
    Frame(Bytes<MAX_FRAME>),
}

impl Wire for Progress {
    const MAX: usize = 1 + Bytes::<MAX_MESSAGE>::MAX;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            Self::Done(reply) => 1u8.encode(out).and_then(|()| reply.encode(out)),
            Self::Yielded => 2u8.encode(out),
            Self::Frame(frame) => 3u8.encode(out).and_then(|()| frame.encode(out)),
        }
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        match u8::decode(input)? {
            1 => Bytes::decode(input).map(Self::Done),
            2 => Ok(Self::Yielded),
            3 => Bytes::decode(input).map(Self::Frame),
            _ => Err(Error::BadParameters),
        }
    }
}

crate::service! {
    Tvm,
    /// What a TVM does.
    trait TvmService {
        /// Version and state.
        0x0001 status(StatusRequest) -> StatusReply, needs NONE;
        /// Stores a manifest.
        0x0101 install(InstallRequest) -> InstallReply, needs CLIENT;
        /// Carries out a signed command.
        0x0102 command(CommandRequest) -> CommandReply, needs CLIENT;
        /// The provider's trustlets.
        0x0103 list(ListRequest) -> ListReply, needs CLIENT;
        /// What trustlets wrote.
        0x0104 read_log(ReadLogRequest) -> ReadLogReply, needs CLIENT;
        /// Draws a challenge for the secure element's keys.
        0x0105 element_challenge(ElementChallengeRequest) -> ElementChallengeReply, needs CLIENT;
        /// Installs the secure element's keys.
        0x0106 install_element(InstallElementRequest) -> InstallElementReply, needs CLIENT;
        /// Takes memory for a trustlet.
        0x0201 open_trustlet(OpenRequest) -> OpenReply, needs CLIENT;
        /// Brings its module.
        0x0202 load(LoadRequest) -> LoadReply, needs CLIENT;
        /// Makes it ready.
        0x0203 start(StartRequest) -> StartReply, needs CLIENT;
        /// Calls it.
        0x0204 call(CallRequest) -> Progress, needs CLIENT;
        /// Lets it go on.
        0x0205 resume(ResumeRequest) -> Progress, needs CLIENT;
        /// Ends its call.
        0x0206 cancel(CancelRequest) -> CancelReply, needs CLIENT;
    }
}
