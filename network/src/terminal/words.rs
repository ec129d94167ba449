//! What tags and status words mean, for people who read a transcript.

/// The name of a data object (EMV Book 3, annex A; PBOC), or a placeholder.
#[must_use]
pub const fn tag_name(tag: u16) -> &'static str {
    match tag {
        0x4F => "application identifier",
        0x50 => "application label",
        0x57 => "track 2 equivalent data",
        0x5A => "application PAN",
        0x5F24 => "application expiration date",
        0x5F28 => "issuer country code",
        0x5F2A => "transaction currency code",
        0x5F2D => "language preference",
        0x5F34 => "PAN sequence number",
        0x61 => "directory entry",
        0x6F => "file control information",
        0x70 => "record",
        0x77 => "response, format 2",
        0x80 => "response, format 1",
        0x82 => "application interchange profile",
        0x84 => "dedicated file name",
        0x87 => "application priority",
        0x94 => "application file locator",
        0x95 => "terminal verification results",
        0x9A => "transaction date",
        0x9C => "transaction type",
        0x9F02 => "amount authorised",
        0x9F03 => "other amount",
        0x9F07 => "application usage control",
        0x9F08 => "application version",
        0x9F10 => "issuer application data",
        0x9F11 => "issuer code table index",
        0x9F12 => "application preferred name",
        0x9F1A => "terminal country code",
        0x9F26 => "application cryptogram",
        0x9F27 => "cryptogram information data",
        0x9F36 => "application transaction counter",
        0x9F37 => "unpredictable number",
        0x9F38 => "processing options data object list",
        0x9F4B => "signed dynamic application data",
        0x9F4D => "log entry",
        0x9F5D => "available offline amount",
        0x9F63 => "product identification",
        0x9F66 => "terminal transaction qualifiers",
        0x9F69 => "card authentication data",
        0x9F6C => "card transaction qualifiers",
        0xA5 => "proprietary template",
        0xBF0C => "issuer discretionary data",
        _ => "unknown data object",
    }
}

/// What a status word says.
#[must_use]
pub const fn status_meaning(status: u16) -> &'static str {
    match status {
        0x9000 => "done",
        0x6283 => "selected file is deactivated",
        0x6300 => "verification failed",
        0x6700 => "wrong length",
        0x6881 => "logical channel not supported",
        0x6983 | 0x6984 => "authentication method blocked",
        0x6985 => "conditions of use not satisfied",
        0x6986 => "command not allowed: the holder is to be verified on the phone first",
        0x6A80 => "wrong data",
        0x6A81 => "function not supported, or the card is blocked",
        0x6A82 => "file or application not found",
        0x6A83 => "record not found",
        0x6A86 => "wrong P1 or P2",
        0x6A88 => "referenced data not found",
        0x6D00 => "instruction not supported",
        0x6E00 => "class not supported",
        0x6F00 => "no precise diagnosis: the card's secure part could not be reached",
        _ => "unknown status",
    }
}
