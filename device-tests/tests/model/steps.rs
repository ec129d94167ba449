//! What a step is, and what comes of it.

use tapvault_proto::{Error, id::Address, trustlet::network::Mail, tvm::TrustletState};

/// What a bank writes into a manifest.
#[derive(Clone, Debug)]
pub struct Draft {
    pub version: u32,
    pub pages: u8,
    pub store: u16,
    /// Fuel for no more than two slices.
    pub short: bool,
    pub element: bool,
    /// For another client than the one here.
    pub foreign: bool,
    pub peers: Vec<Address>,
    /// Which of the two modules.
    pub module: u8,
}

/// How a document is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    Good,
    /// The signature is altered.
    Forged,
    /// The right key, another provider's id.
    Stranger,
    /// A document of the other kind.
    OtherKind,
}

/// Which part of a module is brought.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    All,
    FirstHalf,
    SecondHalf,
    Nothing,
}

/// What a trustlet is asked.
#[derive(Clone, Debug)]
pub enum Ask {
    Echo,
    Spin,
    Trap,
    Post(Address, u8),
    Take,
    /// A service that no manifest here names.
    Store,
}

/// One step of one bank, in one of its sessions; the first session is never closed.
#[derive(Clone, Debug)]
pub struct Op {
    pub bank: usize,
    pub session: usize,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    Connect,
    Close,
    Install(String, Draft, Proof),
    Command(String, u32, &'static str, Proof),
    Open(String),
    Load(Part, u8),
    Start,
    Call(Ask),
    Resume { frame: bool },
    Cancel,
    RestartTvm,
    RestartSupervisor,
    RestartPhone,
}

/// What a step is answered with.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    Nothing,
    Installed(u32, TrustletState),
    State(TrustletState),
    /// Size and version.
    Opened(u32, u32),
    Yielded,
    Echo(u8),
    Posted(u32),
    Taken(Option<Mail>),
    /// A service refused what the trustlet asked.
    Refused(Error),
}

#[derive(Clone, Debug)]
pub struct Trustlet {
    pub state: TrustletState,
    pub sequence: u32,
    pub draft: Draft,
}

/// How far a guest is.
pub enum Stage {
    Loading {
        bytes: usize,
        wrong: bool,
    },
    Idle,
    Spinning {
        slices: u32,
    },
    /// A service refused, and what may take long ends a slice even so.
    Refused,
}

pub struct Guest {
    pub name: String,
    pub draft: Draft,
    pub stage: Stage,
}

impl Guest {
    /// Whether it takes a call.
    pub fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle)
    }
}

#[derive(Default)]
pub struct Session(pub Option<Guest>);
