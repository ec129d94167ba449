//! What a trusted app reports when it refuses. Only the code crosses the boundary, never text.

macro_rules! errors {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $advice:literal;)*) => {
        /// A refusal or failure, by its stable code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Error { $($(#[doc = $doc])+ $name),* }

        impl Error {
            /// Every error there is, in the order of the table.
            pub const ALL: &[Error] = &[$(Error::$name),*];

            /// The code that crosses the boundary as a `TEE_Result`.
            #[must_use]
            pub const fn code(self) -> u32 {
                match self { $(Error::$name => $code),* }
            }

            /// The error of a received code, if it is one of ours.
            #[must_use]
            pub fn from_code(code: u32) -> Option<Self> {
                // A search: a switch over codes this far apart is compiled to a longer table of jumps than a trustlet
                // may have.
                Self::ALL.iter().copied().find(|error| error.code() == code)
            }

            /// What happened and what to do next, for a person.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self { $(Error::$name => $advice),* }
            }
        }
    };
}

errors! {
    // 0xFFFF_xxxx: codes of the GlobalPlatform TEE Internal Core API, table 3-1, with its meaning.

    /// A defect on our side; the call had no effect.
    Internal = 0xFFFF_0000, "the trusted app failed on its own account; please report it";
    /// The caller's identity has no right to this service or method.
    AccessDenied = 0xFFFF_0001, "this user or group is not admitted by the platform's policy";
    /// The request is malformed: wrong parameter types, length, encoding, or trailing bytes.
    BadParameters = 0xFFFF_0006, "the request is malformed; client and trusted app may differ in version";
    /// The method does not exist in this service.
    UnknownMethod = 0xFFFF_000A, "the trusted app does not know this method; it may be older than the client";
    /// The trusted app has no memory left for this.
    OutOfMemory = 0xFFFF_000C, "the TEE is out of memory; close other sessions and try again";
    /// Something else is in progress; nothing was changed.
    Busy = 0xFFFF_000D, "another operation is in progress; finish or cancel it first";
    /// The reply buffer is shorter than the method's longest reply; nothing was changed.
    ShortBuffer = 0xFFFF_0010, "the reply buffer is too short for this method";
    /// A peer trusted app died during the call.
    PeerDead = 0xFFFF_3024, "the trusted app stopped; open a new session";

    // 0x8054_01xx: sessions and policy.

    /// This caller holds as many sessions as its policy rule allows.
    QuotaExceeded = 0x8054_0101, "too many sessions of this caller are open; close one";
    /// A call between trusted apps that the table of edges does not hold.
    EdgeForbidden = 0x8054_0102, "trusted apps may not call each other this way";
    /// The epoch named is over: the supervisor has started again since.
    StaleEpoch = 0x8054_0103, "the supervisor restarted; register the session again";
    /// The policy document is not valid JSON of the expected shape, or beyond a limit.
    PolicyMalformed = 0x8054_0104, "the policy document is malformed or too large";
    /// The policy is not signed by the platform key.
    PolicySignature = 0x8054_0105, "the policy is not signed by this platform's key";
    /// The policy's version is not above the installed one.
    PolicyRollback = 0x8054_0106, "a policy of the same or a higher version is installed already";

    // 0x8054_02xx: provisioning.

    /// No challenge is outstanding: it was never drawn, was used, or the TA restarted.
    NoChallenge = 0x8054_0201, "ask for a fresh challenge and have the document made for it";
    /// The sealed package is not valid JSON of the expected shape.
    PackageMalformed = 0x8054_0202, "the sealed package is malformed";
    /// The provider's certificate does not chain to the trust root of this TA.
    CertificateInvalid = 0x8054_0203, "the provider's certificate is not signed by this TA's trust root";
    /// The provider's signature does not fit the document.
    SignatureInvalid = 0x8054_0204, "the document was altered, or signed by somebody else";
    /// The document was made for another challenge.
    WrongChallenge = 0x8054_0205, "the document was made for another challenge; a document opens once";
    /// The package does not open with this TA's key.
    SealInvalid = 0x8054_0206, "the package was not sealed for this trusted app";
    /// The opened profile breaks a rule of the card application.
    ProfileInvalid = 0x8054_0207, "the card profile inside the package is not acceptable";
    /// The card is there already with this or a newer key version.
    KeyVersionNotNewer = 0x8054_0208, "the card exists; a re-issue needs a newer key version";
    /// No free place for another card.
    CardStoreFull = 0x8054_0209, "the card store is full; delete a card first";
    /// The card belongs to another provider.
    WrongProvider = 0x8054_020A, "the card belongs to another provider";
    /// The factory has not certified this device's keys.
    DeviceNotCertified = 0x8054_020B, "the device's keys are not certified; the factory does that once: `tapvault card certify`";
    /// The certificate is for other keys, or not signed by this TA's factory root.
    DeviceCertificateInvalid = 0x8054_020C, "the certificate is not this device's, or not signed by its factory root";
    /// A key block is malformed, or does not open under the package's protection key.
    KeyBlockInvalid = 0x8054_020D, "a key block in the package is malformed, or was made for another package";
    /// A key block is authentic, and its key for another use, algorithm or length.
    KeyBlockPurpose = 0x8054_020E, "a key block in the package holds a key that is not for this card's cryptograms";
    /// The profile may approve offline, and the platform does not claim to protect stored state from a rollback.
    RollbackUnprotected = 0x8054_020F, "offline approval needs storage that is protected from a rollback (gpd.tee.trustedStorage.antiRollback.protectionLevel 1000; stock OP-TEE says 100); ask the provider for a card without it";

    // 0x8054_03xx: cards and taps.

    /// No card has this id.
    UnknownCard = 0x8054_0301, "no such card; `tapvault card list` shows what is there";
    /// The card's stored record is damaged.
    CardDamaged = 0x8054_0302, "the card's stored record is damaged; ask the provider to issue it again";
    /// The key version has used up its application transaction counter.
    AtcExhausted = 0x8054_0303, "this card has used all its transactions; ask the provider for a new key";

    /// The token waits for its activation, or is suspended.
    TokenNotActive = 0x8054_0304, "the token is not active; its holder resumes what the holder suspended, its bank the rest";
    /// The token's payments are used up, its time is over, or its domain has no such channel.
    TokenDomain = 0x8054_0305, "the token may not pay this way, or no longer; ask the provider to issue it again";
    /// The token has a time limit, and there is no time statement of its provider since the trusted app started.
    NoTime = 0x8054_0306, "fetch a time statement from the provider; each start of the trusted app needs one";
    /// A command is not the next one for this token.
    CommandOutOfOrder = 0x8054_0307, "not the token's next command; send those before it first";
    /// A command does not fit the token's state.
    TokenState = 0x8054_0308, "the token's state does not allow this command";
    /// The NFC switch is off.
    NfcOff = 0x8054_0309, "NFC is off: verify the PIN for a card, then switch it on";
    /// Every limited-use key is used, or its time is over.
    KeysUsedUp = 0x8054_0310, "fetch a new batch of limited-use keys from the token service";
    /// The card holds unique derived keys and takes no limited-use keys.
    NotLimitedUse = 0x8054_0311, "this card derives its session keys itself and needs no batches";
    /// A batch's counters are not all above those that the card held or used before.
    BatchNotNewer = 0x8054_0312, "the batch's counters were there before; fetch a new batch";
    /// The card has keys left and no room for all of the batch.
    KeysFull = 0x8054_0313, "the card has limited-use keys enough; fetch a batch when few are left";
    /// The opened batch is malformed, or for another version of the card's keys or other channels.
    BatchInvalid = 0x8054_0314, "the batch of limited-use keys does not fit the card";
    /// The card approves nothing offline.
    NotOffline = 0x8054_0315, "this card approves nothing offline: it always asks its issuer";
    /// A payment request is not valid JSON of the expected shape, or breaks a rule of its fields.
    RequestMalformed = 0x8054_0320, "the payment request is malformed; ask the merchant or wallet for it again";
    /// The certificate in a payment request does not chain to the trust root of this TA.
    RequestCertificate = 0x8054_0321, "whoever signed the payment request is not certified for that; do not pay";
    /// A payment request was altered, or signed by somebody else than its certificate says.
    RequestSignature = 0x8054_0322, "the payment request was altered or signed by somebody else; do not pay";
    /// A payment request's time is over.
    RequestExpired = 0x8054_0323, "the payment request is over; ask the merchant or wallet for a new one";
    /// The token's domain names merchants, and this one is not among them.
    MerchantNotAllowed = 0x8054_0324, "the card's bank does not let it pay this merchant; use another card";
    /// The amount or currency is beyond the token's domain.
    AmountNotAllowed = 0x8054_0325, "the card's bank does not let it pay this amount; use another card";
    /// No code and no request is prepared for this card, or the approval is over.
    NothingPrepared = 0x8054_0326, "approve the payment with the PIN and prepare it first; each is good once";
    /// The wallet that signed is not the requestor of this token.
    WrongRequestor = 0x8054_0327, "the card's token is not this wallet's; use a card that was made for it";
    /// The payee's certified key for payment data is no point of P-256.
    RecipientInvalid = 0x8054_0328, "the payee's certificate holds no usable key for payment data; do not pay";
    /// Another app presents the phone's cards: the holder chose it, or it alone brought the PIN.
    NotDefaultApp = 0x8054_0330, "another app presents cards; verify the PIN and choose this one";
    /// The application of this card is routed to the secure element.
    RoutedToElement = 0x8054_0331, "cards of this kind answer from the secure element; verify the PIN and route them back";
    /// The application of this card is not routed to the secure element.
    NotRoutedToElement = 0x8054_0332, "cards of this kind answer from the TEE; verify the PIN and route them to the element";
    /// The routes in storage are damaged.
    RoutesDamaged = 0x8054_0333, "the routes are damaged, no card is presented; verify the PIN and set one anew";
    /// No statement of the service platform for this run of the card trusted app names this card.
    NotFresh = 0x8054_0334, "the card trusted app started anew; ask the service platform for a statement: `tapvault card freshness`";
    /// Not 13 to 19 decimal digits, or the check digit does not fit.
    CardNumber = 0x8054_0340, "the card number is mistyped: 13 to 19 digits, the last of which fits the others";
    /// Not a year and a month.
    CardExpiry = 0x8054_0341, "the expiry is mistyped: two digits of the year, two of the month";
    /// Not 3 or 4 decimal digits.
    SecurityCode = 0x8054_0342, "the CVN2 is mistyped: three or four digits, printed on the back of the card";
    /// The certificate of who asks for card data does not chain to the trust root of this TA, or holds no usable key.
    RecipientCertificate = 0x8054_0343, "whoever asks for card data is not certified for that; do not type them";

    // 0x8054_04xx: PIN.

    /// The PIN is locked: no record, a damaged record, or no tries left.
    PinLocked = 0x8054_0401, "the PIN is locked; the provider's enrolment ticket sets it anew";
    /// A PIN is set already; an enrolment ticket does not replace it.
    PinAlreadySet = 0x8054_0402, "a PIN is set; change it, or ask the provider for a reset ticket";
    /// Not 4 to 12 decimal digits.
    PinFormat = 0x8054_0403, "a PIN has 4 to 12 decimal digits";
    /// No entry with this number is open, or it has expired.
    NoEntry = 0x8054_0404, "the PIN entry is over; begin again";
    /// No verification fits: none was made, it was used, or it expired.
    NoVerification = 0x8054_0405, "verify the PIN for this card first";
    /// The ticket was not issued by this provider for this challenge and purpose.
    TicketInvalid = 0x8054_0406, "the enrolment ticket is not valid; ask the provider for one made for a fresh challenge";
    /// A new PIN that the rules of docs/pin.md refuse; nothing was compared and nothing has changed.
    PinTooSimple = 0x8054_0407, "choose another PIN: three different digits or more, no run, no group repeated, not the present one";
    /// The delay after a spent try is not over.
    PinDelayed = 0x8054_0408, "a try was spent just now; `tapvault pin state` says how long to wait, then begin again";
    /// No key for PIN blocks of this provider is here, or none intact.
    BankPinKeyMissing = 0x8054_0409, "ask the card's bank to seal its key for PIN blocks for this phone";
    /// The provider's key for PIN blocks has made as many as it may.
    BankPinKeyUsedUp = 0x8054_040A, "the bank's key for PIN blocks is used up; ask the bank for a new one";
    /// The key for PIN blocks that is sealed is the one that is here.
    BankPinKeyNotNewer = 0x8054_040B, "the phone has this key for PIN blocks; ask the bank for one with another identifier";
    /// The card trusted app has handed over no token of this card to this app, or its time is over.
    BankPinNotPrepared = 0x8054_040C, "prepare the card for its bank PIN first; that is good once, for a minute";
    /// The card's bank takes no PIN typed on the phone.
    BankPinNotAllowed = 0x8054_040D, "the card's bank takes no PIN with this card; pay without one";
    /// The service platform granted no try of this PIN in this run of the PIN trusted app, or all were used.
    TryNotGranted = 0x8054_040E, "each try of a PIN is granted by the service platform: `tapvault card freshness`; when it grants no more, ask your bank";
    /// No pairing with a pad is kept, or it is for other keys than an end has now.
    PadNotPaired = 0x8054_0410, "no PIN pad is paired with this phone; the factory does that: `tapvault pad pair`";
    /// The pairing is for other keys than this end's, or not signed by the factory root.
    PairingInvalid = 0x8054_0411, "the pairing is not this phone's, or not signed by its factory root";
    /// A pairing with the same or a higher number is kept.
    PairingNotNewer = 0x8054_0412, "a newer pairing is kept already; ask the factory for a fresh one";
    /// This client has no session with the pad, or none that is that far; an entry uses one up.
    NoPadSession = 0x8054_0413, "no session with the PIN pad is up; begin again";
    /// The other end did not prove that it is the one that was paired.
    PadUntrusted = 0x8054_0414, "what answered is not the PIN pad that was paired with this phone; do not type a PIN";
    /// A frame was altered, repeated, or sealed in another session; the entry is over, and a try it took stays taken.
    FrameInvalid = 0x8054_0415, "the PIN pad's message was altered or is not of this entry; begin again";
    /// An authentic frame holds something else than what was asked for; the entry is over, as above.
    PadContent = 0x8054_0416, "the PIN pad answered something else than what was asked; pad and trusted app may differ in version";
    /// The TEE refused no payment of this card for want of a verification, or another one, or its time is over.
    NothingRefused = 0x8054_0418, "no terminal asked for a verification of this payment; tap, then confirm it, or verify up to a ceiling";

    // 0x8054_05xx: storage.

    /// The TEE's storage failed.
    StorageFailed = 0x8054_0501, "the TEE's storage failed; check tee-supplicant and free disk space";
    /// No space in the TEE's storage.
    StorageFull = 0x8054_0502, "the TEE's storage is full";
    /// Stored state is damaged.
    StateCorrupt = 0x8054_0503, "stored state is damaged";

    // 0x8054_06xx: trustlets and the virtual network. Each names the guilty side.

    /// The manifest or command is not valid JSON of the expected shape, or beyond a limit.
    ManifestMalformed = 0x8054_0601, "the manifest or command is malformed; `tapvault provider` writes them";
    /// Not signed by the provider whose TVM this is.
    ManifestSignature = 0x8054_0602, "not signed by this TVM's provider; use the key it was enrolled with";
    /// The version, or the command's sequence number, is not above the last one.
    ManifestRollback = 0x8054_0603, "a version or command of the same or a higher number was here already";
    /// No trustlet of this name, or it was removed.
    UnknownTrustlet = 0x8054_0604, "no such trustlet; install it first";
    /// The trustlet is not active.
    TrustletInactive = 0x8054_0605, "the trustlet is installed or locked, not active; its provider activates it";
    /// The state does not allow this command.
    WrongState = 0x8054_0606, "the trustlet's state does not allow this command";
    /// As many trustlets as a TVM remembers were installed.
    TooManyTrustlets = 0x8054_0607, "this provider has as many trustlets as its TVM can remember";
    /// A limit in the manifest is above what the policy allows the provider.
    LimitTooHigh = 0x8054_0608, "the manifest asks for more than the platform's policy gives this provider";
    /// The module is not the one the manifest names.
    ModuleMismatch = 0x8054_0609, "the module is not the one in the manifest; bring the file that was signed";
    /// The module breaks a rule of the engine or of the interface.
    ModuleInvalid = 0x8054_060A, "the module is not valid: see the rules in docs/teei.md";
    /// The session holds no trustlet that is ready, or a call is in progress.
    NotReady = 0x8054_060B, "open, load and start the trustlet first, and let a call end before the next";
    /// The trustlet trapped, used up its fuel, or was cancelled; open it again.
    TrustletFailed = 0x8054_060C, "the trustlet failed by its own doing; open it again";
    /// The trustlet answered the call with a refusal of its own.
    TrustletRefused = 0x8054_060D, "the trustlet refused the call";
    /// A rate or amount that the policy gives the provider is used up: the sender's side.
    ProviderQuota = 0x8054_060E, "this provider has used up what the platform's policy gives it; try later";
    /// The sender's own manifest or policy does not allow this service or peer.
    NotInManifest = 0x8054_060F, "the trustlet's manifest, or its provider's policy, does not allow this";
    /// The receiver is not known: its provider or its trustlet is missing.
    PeerUnknown = 0x8054_0610, "the receiver is not there: its provider has not activated such a trustlet";
    /// The receiver's manifest does not name the sender.
    PeerRefuses = 0x8054_0611, "the receiver's manifest does not name this sender";
    /// The receiver's mailbox is full.
    PeerFull = 0x8054_0612, "the receiver's mailbox is full; it has to take messages first";
    /// A handle that was never given, was closed, or is another's.
    UnknownHandle = 0x8054_0613, "the handle names nothing of this trustlet";
    /// A key is used for what it is not for.
    KeyPurpose = 0x8054_0614, "the key is for another algorithm";
    /// What was to be decrypted was altered, or was encrypted under another key.
    CipherInvalid = 0x8054_0615, "the text was altered or is not for this key";
    /// A pointer or length outside the trustlet's memory.
    OutOfBounds = 0x8054_0616, "the trustlet gave an address outside its memory";

    // 0x8054_07xx: secure element.

    /// The secure element refused to open a channel; nobody vouches for its status word.
    ElementRefused = 0x8054_0701, "the secure element refused; check that it is there and has the keys of this version";
    /// The secure element's answer does not prove that it holds the keys.
    ElementNotAuthentic = 0x8054_0702, "the secure element has other keys, or its answer was altered on the way";
    /// The channel to the secure element is over: a frame was forged, lost, repeated or out of order, or
    /// the element reported an error, which nothing authenticates.
    ChannelBroken = 0x8054_0703, "the channel to the secure element broke; open a new one";
    /// No keys for the secure element of this card's provider are here, or none intact.
    ElementKeysMissing = 0x8054_0704, "ask the card's bank to seal its keys of the secure element for this phone";
    /// No exchange with the secure element is under way in this session.
    NoExchange = 0x8054_0705, "the exchange with the secure element is over; begin it again";
    /// The secure element does not hold this version of the card.
    NotInElement = 0x8054_0706, "the secure element does not hold this card; put it there first";
    /// The card can live in the TEE alone: it has no key for taps, or its data have no place in the element.
    NotForElement = 0x8054_0707, "this card cannot live in a secure element";
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} (0x{:08X})", self.advice(), self.code())
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::Error;
    use std::collections::BTreeSet;

    /// Codes are promises: this list changes only by additions.
    #[test]
    fn every_error_has_one_stable_code() {
        let codes: std::vec::Vec<u32> = Error::ALL.iter().map(|e| e.code()).collect();
        assert_eq!(
            codes,
            [
                0xFFFF_0000,
                0xFFFF_0001,
                0xFFFF_0006,
                0xFFFF_000A,
                0xFFFF_000C,
                0xFFFF_000D,
                0xFFFF_0010,
                0xFFFF_3024,
                0x8054_0101,
                0x8054_0102,
                0x8054_0103,
                0x8054_0104,
                0x8054_0105,
                0x8054_0106,
                0x8054_0201,
                0x8054_0202,
                0x8054_0203,
                0x8054_0204,
                0x8054_0205,
                0x8054_0206,
                0x8054_0207,
                0x8054_0208,
                0x8054_0209,
                0x8054_020A,
                0x8054_020B,
                0x8054_020C,
                0x8054_020D,
                0x8054_020E,
                0x8054_020F,
                0x8054_0301,
                0x8054_0302,
                0x8054_0303,
                0x8054_0304,
                0x8054_0305,
                0x8054_0306,
                0x8054_0307,
                0x8054_0308,
                0x8054_0309,
                0x8054_0310,
                0x8054_0311,
                0x8054_0312,
                0x8054_0313,
                0x8054_0314,
                0x8054_0315,
                0x8054_0320,
                0x8054_0321,
                0x8054_0322,
                0x8054_0323,
                0x8054_0324,
                0x8054_0325,
                0x8054_0326,
                0x8054_0327,
                0x8054_0328,
                0x8054_0330,
                0x8054_0331,
                0x8054_0332,
                0x8054_0333,
                0x8054_0334,
                0x8054_0340,
                0x8054_0341,
                0x8054_0342,
                0x8054_0343,
                0x8054_0401,
                0x8054_0402,
                0x8054_0403,
                0x8054_0404,
                0x8054_0405,
                0x8054_0406,
                0x8054_0407,
                0x8054_0408,
                0x8054_0409,
                0x8054_040A,
                0x8054_040B,
                0x8054_040C,
                0x8054_040D,
                0x8054_040E,
                0x8054_0410,
                0x8054_0411,
                0x8054_0412,
                0x8054_0413,
                0x8054_0414,
                0x8054_0415,
                0x8054_0416,
                0x8054_0418,
                0x8054_0501,
                0x8054_0502,
                0x8054_0503,
                0x8054_0601,
                0x8054_0602,
                0x8054_0603,
                0x8054_0604,
                0x8054_0605,
                0x8054_0606,
                0x8054_0607,
                0x8054_0608,
                0x8054_0609,
                0x8054_060A,
                0x8054_060B,
                0x8054_060C,
                0x8054_060D,
                0x8054_060E,
                0x8054_060F,
                0x8054_0610,
                0x8054_0611,
                0x8054_0612,
                0x8054_0613,
                0x8054_0614,
                0x8054_0615,
                0x8054_0616,
                0x8054_0701,
                0x8054_0702,
                0x8054_0703,
                0x8054_0704,
                0x8054_0705,
                0x8054_0706,
                0x8054_0707,
            ]
        );
    }

    #[test]
    fn every_error_survives_the_boundary_and_says_what_to_do() {
        let mut seen = BTreeSet::new();
        for error in Error::ALL {
            assert!(seen.insert(error.code()), "{error:?} shares a code");
            assert_eq!(Error::from_code(error.code()), Some(*error));
            assert!(error.advice().len() > 10, "{error:?} gives no advice");
        }
        assert_eq!(Error::from_code(0), None, "TEE_SUCCESS is no error");
    }
}
