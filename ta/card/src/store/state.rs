//! The formats of a stored card. The newest is written; every older one is read, for good: an upgraded trusted
//! app finds the cards it had (`golden/`).

use heapless::Vec;
use tapvault_proto::{
    Error,
    card::{LOG_LEN, LogEntry},
    emv::AID_UNIONPAY_DEBIT,
    id::{CardId, ProviderId},
    profile::{CardProfile, Cvn, Key128, Product, Suite, VerificationStatus},
    wire::{Bytes, Reader, Wire, Writer, decode_exact},
};

/// The format that is written.
const FORMAT: u8 = 2;
/// In place of a format: the card that was here is damaged. OP-TEE deletes an altered object when it is
/// opened; the mark remembers what was found.
pub const DAMAGED: u8 = 0xFF;
/// Where counter and log lie in an object of the newest format, one behind the other: what `tap_prepare`
/// overwrites, in one go.
pub const USE_AT: u32 = 1;

/// A card's last payments, oldest first.
pub type Payments = Vec<LogEntry, LOG_LEN>;

/// The log as stored, always of the same length, so that it can be overwritten in place: as many entries as there
/// are, then zeros.
pub struct Log(pub Payments);

impl Wire for Log {
    const MAX: usize = LOG_LEN * LogEntry::MAX;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        encode_log(&self.0, out)
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        let mut entries = Vec::new();
        for _ in 0..LOG_LEN {
            let entry = LogEntry::decode(input)?;
            // Counters begin at 1: a zero is a place that was never used, and so are all behind it.
            if entry.atc != 0 {
                entries.push(entry).map_err(|_| Error::StateCorrupt)?;
            }
        }
        Ok(Self(entries))
    }
}

/// Their length.
pub const USE_LEN: usize = <u16 as Wire>::MAX + Log::MAX;

tapvault_proto::message! {
    /// A card as stored.
    Stored {
        /// [`FORMAT`], or that of the object it was read from.
        format: u8,
        /// Highest application transaction counter that may have left; after a restart the next is
        /// one above it.
        reserved: u16,
        /// The last payments.
        log: Log,
        /// The card.
        card: CardId,
        /// Its provider.
        provider: ProviderId,
        /// Keys and data.
        profile: CardProfile,
    }
}
tapvault_proto::message! {
    /// Format 1: PBOC 3DES with cryptogram version 01, debit.
    StoredV1 {
        /// 1.
        format: u8,
        /// As today.
        reserved: u16,
        /// As today.
        card: CardId,
        /// As today.
        provider: ProviderId,
        /// Keys and data.
        profile: ProfileV1,
    }
}
tapvault_proto::message! {
    /// The profile of format 1.
    ProfileV1 {
        /// 1.
        format: u8,
        /// As today.
        key_version: u8,
        /// 1.
        suite: Suite,
        /// The application identifier.
        aid: Bytes<16>,
        /// As today.
        label: Bytes<16>,
        /// As today.
        track2: Bytes<19>,
        /// As today.
        psn: u8,
        /// As today.
        aip: [u8; 2],
        /// As today.
        currency: u16,
        /// As today.
        online_pin_allowed: bool,
        /// As today.
        signature_allowed: bool,
        /// As today.
        udk: Key128,
        /// As today.
        last_four: [u8; 4],
        /// As today.
        art: Bytes<32>,
        /// As today.
        issuer: Bytes<32>,
    }
}

/// Writes the newest format of a card into `out`; returns its length.
///
/// # Errors
/// [`Error::ShortBuffer`] under [`Stored::MAX`] bytes.
pub fn encode(
    out: &mut [u8],
    (reserved, log): (u16, &Payments),
    (card, provider, profile): (CardId, ProviderId, &CardProfile),
) -> Result<usize, Error> {
    let mut out = Writer::new(out);
    FORMAT.encode(&mut out)?;
    reserved.encode(&mut out)?;
    encode_log(log, &mut out)?;
    card.encode(&mut out)?;
    provider.encode(&mut out)?;
    profile.encode(&mut out)?;
    Ok(out.len())
}

/// The two fields at [`USE_AT`].
///
/// # Errors
/// [`Error::Internal`] never: the length is a constant.
pub fn encode_use(reserved: u16, log: &Payments) -> Result<[u8; USE_LEN], Error> {
    let mut bytes = [0; USE_LEN];
    let mut out = Writer::new(&mut bytes);
    reserved.encode(&mut out)?;
    encode_log(log, &mut out)?;
    Ok(bytes)
}

fn encode_log(log: &Payments, out: &mut Writer<'_>) -> Result<(), Error> {
    log.iter().try_for_each(|entry| entry.encode(out))?;
    (log.len()..LOG_LEN).try_for_each(|_| out.put(&[0; LogEntry::MAX]))
}

impl Stored {
    /// Whether the object it was read from has room for a log.
    pub const fn is_newest(&self) -> bool {
        self.format == FORMAT
    }

    /// A card out of an object of any format; `None` when it is none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let stored = match bytes.first()? {
            1 => decode_exact::<StoredV1>(bytes).and_then(Self::from_v1),
            2 => decode_exact(bytes),
            _ => return None,
        };
        stored.ok().filter(|stored| stored.profile.check().is_ok())
    }

    fn from_v1(old: StoredV1) -> Result<Self, Error> {
        let StoredV1 { reserved, card, provider, profile, .. } = old;
        if profile.format != 1 || profile.suite != Suite::Pboc3Des || *profile.aid != AID_UNIONPAY_DEBIT {
            return Err(Error::StateCorrupt);
        }
        let profile = CardProfile {
            format: CardProfile::FORMAT,
            key_version: profile.key_version,
            suite: profile.suite,
            cvn: Cvn::V01,
            product: Product::Debit,
            priority: 1,
            label: profile.label,
            track2: profile.track2,
            psn: profile.psn,
            aip: profile.aip,
            currency: profile.currency,
            online_pin_allowed: profile.online_pin_allowed,
            signature_allowed: profile.signature_allowed,
            verification_from: CardProfile::NEVER,
            verification_status: VerificationStatus::NotAllowed,
            udk: profile.udk,
            oda: None,
            last_four: profile.last_four,
            art: profile.art,
            issuer: profile.issuer,
        };
        // The format stays: the object has no room for a log yet.
        Ok(Self { format: 1, reserved, log: Log(Vec::new()), card, provider, profile })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Objects as trusted apps of each format wrote them: never changed, only added to.
    const GOLDEN: [&str; 2] = [include_str!("golden/v1.hex"), include_str!("golden/v2.hex")];

    fn object(text: &str) -> Vec<u8> {
        hex::decode(text.trim()).unwrap()
    }

    #[test]
    fn every_format_is_read_and_becomes_the_newest() {
        for (golden, format) in GOLDEN.iter().zip(1..) {
            let object = object(golden);
            assert_eq!(object[0], format);
            let stored = Stored::read(&object).unwrap();
            assert_eq!((stored.card, stored.provider), (CardId([0xC1; 16]), ProviderId([0xA1; 16])));
            assert_eq!((stored.reserved, stored.profile.key_version), (0x0120, 1));
            assert_eq!(stored.profile.udk.expose(), &[0x44; 16]);
            assert_eq!(*stored.profile.label, *b"UnionPay Debit");
            let log = if format == 1 { stored.log.0.clone() } else { Payments::new() };
            assert_eq!(stored.is_newest(), format == 2);
            assert_eq!(stored.log.0.len(), [0, 2][format as usize - 1]);
            let mut bytes = [0; Stored::MAX];
            let whole = (stored.card, stored.provider, &stored.profile);
            let len = encode(&mut bytes, (stored.reserved, &log), whole).unwrap();
            let at = USE_AT as usize;
            assert_eq!(bytes[at..at + USE_LEN], encode_use(stored.reserved, &log).unwrap());
            let again = Stored::read(&bytes[..len]).unwrap();
            assert_eq!((again.reserved, again.log.0.len(), again.is_newest()), (0x0120, 0, true));
        }
    }

    #[test]
    fn what_is_no_card_is_refused() {
        for golden in GOLDEN {
            let good = object(golden);
            for len in 0..good.len() {
                assert!(Stored::read(&good[..len]).is_none(), "cut at {len}");
            }
            assert!(Stored::read(&[&good[..], &[0]].concat()).is_none(), "longer");
            for format in [0, 3, 4, DAMAGED] {
                assert!(Stored::read(&[&[format], &good[1..]].concat()).is_none(), "format {format}");
            }
        }
        // Format 1 knew one suite and one product.
        let old = object(GOLDEN[0]);
        let aid = old.windows(8).position(|window| window == AID_UNIONPAY_DEBIT).unwrap();
        for (at, byte) in [(35, 2), (37, 4), (aid + 7, 2)] {
            let mut other = old.clone();
            other[at] = byte;
            assert!(Stored::read(&other).is_none(), "byte {at}");
        }
    }
}
