//! Short APDUs of ISO/IEC 7816-4 and the status words a payment card gives.

use heapless::Vec;

/// Longest command: header, Lc, 255 bytes, Le.
pub const MAX_COMMAND: usize = 4 + 1 + 255 + 1;
/// Longest response: 256 bytes and the status word.
pub const MAX_RESPONSE: usize = 256 + 2;

macro_rules! status_words {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        /// A status word.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum StatusWord { $($(#[$doc])* $name = $code),* }

        impl StatusWord {
            /// The status word of a received code, if the card application gives it.
            #[must_use]
            pub fn from_code(code: u16) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }
        }
    };
}

status_words! {
    /// Done.
    Ok = 0x9000;
    /// The application is blocked; its file control information comes with this.
    Deactivated = 0x6283;
    /// Authentication failed.
    AuthenticationFailed = 0x6300;
    /// Wrong length.
    WrongLength = 0x6700;
    /// Logical channel not supported.
    ChannelNotSupported = 0x6881;
    /// Security status not satisfied: nobody may.
    SecurityNotSatisfied = 0x6982;
    /// The card PIN is blocked.
    PinBlocked = 0x6984;
    /// Conditions of use not satisfied.
    ConditionsNotSatisfied = 0x6985;
    /// Command not allowed: the holder is to be verified on the phone first.
    VerificationNeeded = 0x6986;
    /// Wrong MAC of a script.
    WrongMac = 0x6988;
    /// Wrong data.
    WrongData = 0x6A80;
    /// Function not supported: the card is blocked.
    NotSupported = 0x6A81;
    /// File or application not found.
    NotFound = 0x6A82;
    /// Record not found.
    RecordNotFound = 0x6A83;
    /// Wrong P1 or P2.
    WrongParameters = 0x6A86;
    /// Referenced data not found.
    DataNotFound = 0x6A88;
    /// Instruction not supported.
    UnknownInstruction = 0x6D00;
    /// Class not supported.
    UnknownClass = 0x6E00;
    /// No precise diagnosis: the TEE could not be reached.
    NoDiagnosis = 0x6F00;
}

/// A response: data and status word in transmission order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response(Vec<u8, MAX_RESPONSE>);

impl Response {
    /// `data` with 9000; more than 256 bytes become 6F00.
    #[must_use]
    pub fn ok(data: &[u8]) -> Self {
        Self::with(data, StatusWord::Ok)
    }

    /// `data` with a status word; more than 256 bytes become 6F00.
    #[must_use]
    pub fn with(data: &[u8], status: StatusWord) -> Self {
        let mut bytes = Vec::new();
        if data.len() > 256 || bytes.extend_from_slice(data).is_err() {
            return StatusWord::NoDiagnosis.into();
        }
        Self::finish(bytes, status as u16)
    }

    /// 63Cx: a wrong card PIN, and the tries that are left, 15 at most.
    #[must_use]
    pub fn tries_left(tries: u8) -> Self {
        Self::finish(Vec::new(), 0x63C0 | u16::from(tries.min(15)))
    }

    /// A response as received from a card.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < 2 {
            return None;
        }
        Vec::from_slice(bytes).ok().map(Self)
    }

    /// Data and status word, as transmitted.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes themselves.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8, MAX_RESPONSE> {
        self.0
    }

    /// The data without the status word.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.0.split_last_chunk::<2>().map_or(&[], |(data, _)| data)
    }

    /// The status word's code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.last_chunk::<2>().map_or(0, |bytes| u16::from_be_bytes(*bytes))
    }

    fn finish(mut bytes: Vec<u8, MAX_RESPONSE>, status: u16) -> Self {
        // 256 bytes of data at most leave room for two more.
        let _ = bytes.extend_from_slice(&status.to_be_bytes());
        Self(bytes)
    }
}

impl From<StatusWord> for Response {
    fn from(status: StatusWord) -> Self {
        Self::finish(Vec::new(), status as u16)
    }
}

/// A command, parsed: cases 1 to 4 of ISO/IEC 7816-3, 12.1, short lengths only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// Class.
    pub cla: u8,
    /// Instruction.
    pub ins: u8,
    /// First parameter.
    pub p1: u8,
    /// Second parameter.
    pub p2: u8,
    /// Command data, up to 255 bytes.
    pub data: &'a [u8],
}

impl<'a> Command<'a> {
    /// Parses a command; Le may be absent or of any value, since no answer is longer than 256 bytes.
    ///
    /// # Errors
    /// [`StatusWord::WrongLength`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, StatusWord> {
        let [cla, ins, p1, p2, rest @ ..] = bytes else {
            return Err(StatusWord::WrongLength);
        };
        let data = match rest {
            [] | [_] => &[][..],
            [lc, body @ ..] => match body.split_at_checked(usize::from(*lc)) {
                Some((data, [] | [_])) if !data.is_empty() => data,
                _ => return Err(StatusWord::WrongLength),
            },
        };
        Ok(Self { cla: *cla, ins: *ins, p1: *p1, p2: *p2, data })
    }

    /// Builds the bytes, with Le = 00 at the end.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8, MAX_COMMAND> {
        let mut bytes = Vec::new();
        // `data` is at most 255 bytes by the type's invariant; a longer slice is cut by the zip.
        let len = u8::try_from(self.data.len()).unwrap_or(u8::MAX);
        let _ = bytes.extend_from_slice(&[self.cla, self.ins, self.p1, self.p2]);
        if len > 0 {
            let _ = bytes.push(len);
            let _ = bytes.extend_from_slice(self.data.get(..usize::from(len)).unwrap_or_default());
        }
        let _ = bytes.push(0);
        bytes
    }
}
