//! The answers a test profile gives the same way all session.

use crate::answers::{CODE_TABLE, LANGUAGE, fci, wrap};
use tapvault_proto::{
    Error,
    card::{LOG_LEN, LogEntry},
    emv::{
        contact::{ContactAnswers, DIRECTORY, LOG, PSE},
        gpo::amount_bcd,
        tlv::push,
    },
    profile::CardProfile,
    wire::Bytes,
};

/// Length of a record of the log, as [`tapvault_proto::emv::contact::LOG_FORMAT`] says.
const LOG_RECORD_LEN: usize = 14;

/// The static answers of a profile (EMV Book 1, 11.3 and 12.2).
///
/// # Errors
/// [`Error::Internal`] never for a checked profile: the lengths are bounded by its type.
pub fn answers(profile: &CardProfile) -> Result<ContactAnswers, Error> {
    let name = Bytes::from_iter(profile.product.aid());
    let mut environment = Bytes::<32>::new();
    push(&mut environment, 0x88, &[DIRECTORY])?;
    push(&mut environment, 0x5F2D, LANGUAGE)?;
    push(&mut environment, 0x9F11, &CODE_TABLE)?;

    let mut entry = Bytes::<64>::new();
    push(&mut entry, 0x4F, &name)?;
    push(&mut entry, 0x50, &profile.label)?;
    push(&mut entry, 0x87, &[profile.priority])?;
    let entry: Bytes<80> = wrap(0x61, &entry)?;

    let places = u8::try_from(LOG_LEN).map_err(|_| Error::Internal)?;
    let log: Bytes<8> = wrap(0x9F4D, &[LOG, places])?;
    let mut proprietary = Bytes::<128>::new();
    push(&mut proprietary, 0x50, &profile.label)?;
    push(&mut proprietary, 0x87, &[profile.priority])?;
    push(&mut proprietary, 0x5F2D, LANGUAGE)?;
    push(&mut proprietary, 0x9F11, &CODE_TABLE)?;
    push(&mut proprietary, 0x9F12, &profile.label)?;
    push(&mut proprietary, 0xBF0C, &log)?;

    let afl = profile.oda.as_ref().map(|oda| oda.afl.clone()).ok_or(Error::Internal)?;
    Ok(ContactAnswers {
        environment: fci(PSE, &environment)?,
        directory: wrap(0x70, &entry)?,
        fci: fci(&name, &proprietary)?,
        name,
        aip: profile.aip,
        afl,
    })
}

/// A record of the log.
pub fn log_record(entry: &LogEntry) -> Bytes<LOG_RECORD_LEN> {
    // It came from a terminal's twelve digits.
    let amount = amount_bcd(entry.amount).unwrap_or_default();
    let (currency, atc) = (entry.currency.to_be_bytes(), entry.atc.to_be_bytes());
    let parts: [&[u8]; 5] = [&entry.date, &amount, &currency, &[entry.kind], &atc];
    parts.iter().copied().flatten().copied().collect()
}
