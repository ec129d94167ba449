//! The newest format of a stored card: the one that is written. Every older one (`old.rs`) is read, for good: an
//! upgraded trusted app finds the cards it had (`golden/`).

use super::{
    contact::ContactState,
    limited::Held,
    old,
    parts::{Log, Part, encode_log, encode_part},
    purse::Booked,
    v3,
};
use heapless::Vec;
use tapvault_proto::{
    Error,
    card::{LOG_LEN, LogEntry},
    id::{CardId, ProviderId},
    limited::{LimitedUseKey, MAX_HELD},
    profile::CardProfile,
    token::{TokenAction, TokenState},
    wire::{Wire, Writer, decode_exact},
};
use zeroize::Zeroizing;

/// The format that is written.
const FORMAT: u8 = 4;
/// In place of a format: the card that was here is damaged. OP-TEE deletes an altered object when it is
/// opened; the mark remembers what was found.
pub const DAMAGED: u8 = 0xFF;
/// Where counter, life, purse, contact state and log lie in an object of the newest format, one behind the other: what is
/// overwritten, in one go.
pub const USE_AT: u32 = 1;

/// A card's last payments, oldest first.
pub type Payments = Vec<LogEntry, LOG_LEN>;

/// Their length.
pub const USE_LEN: usize =
    <u16 as Wire>::MAX + Life::MAX + Part::<Booked>::MAX + Part::<ContactState>::MAX + <Log>::MAX;

tapvault_proto::message! {
    /// Where a card's token is in its life.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    Life {
        /// By its provider's word.
        state: TokenState,
        /// Number and action of the provider's last command; 0 and anything before the first.
        sequence: u32,
        /// What that was.
        action: TokenAction,
        /// Whether its holder suspended it.
        suspended: bool,
    }
}

impl Life {
    /// Of a token that was just installed.
    pub const fn new(active: bool) -> Self {
        let state = if active { TokenState::Active } else { TokenState::Inactive };
        Self { state, sequence: 0, action: TokenAction::Activate, suspended: false }
    }
}

/// What is overwritten while a card is used.
#[derive(Clone, Copy)]
pub struct Use<'a> {
    /// Highest application transaction counter that may have left.
    pub reserved: u16,
    /// Where the token is in its life.
    pub life: Life,
    /// What it may pay offline, if it may.
    pub purse: Option<&'a Booked>,
    /// What a test profile remembers.
    pub contact: Option<&'a ContactState>,
    /// The last payments.
    pub log: &'a Payments,
}

impl Use<'_> {
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        self.reserved.encode(out)?;
        self.life.encode(out)?;
        encode_part(self.purse, out)?;
        encode_part(self.contact, out)?;
        encode_log(self.log, out)
    }

    /// The bytes at [`USE_AT`].
    ///
    /// # Errors
    /// [`Error::Internal`] never: the length is a constant.
    pub fn to_bytes(self) -> Result<Zeroizing<[u8; USE_LEN]>, Error> {
        let mut bytes = Zeroizing::new([0; USE_LEN]);
        self.encode(&mut Writer::new(bytes.as_mut_slice()))?;
        Ok(bytes)
    }
}

tapvault_proto::message! {
    /// A card as stored.
    Stored {
        /// [`FORMAT`], or that of the object it was read from.
        format: u8,
        /// Highest application transaction counter that may have left; after a restart the next is
        /// one above it.
        reserved: u16,
        /// Where the token is in its life.
        life: Life,
        /// What it may pay offline.
        purse: Part<Booked>,
        /// What a test profile remembers.
        contact: Part<ContactState>,
        /// The last payments.
        log: Log,
        /// The card.
        card: CardId,
        /// Its provider.
        provider: ProviderId,
        /// Keys and data.
        profile: CardProfile,
        /// Limited-use keys that may not have been used, by their counters; none of a card with others.
        held: Vec<LimitedUseKey, MAX_HELD>,
    }
}
/// Writes the newest format of a card into `out`; returns its length.
///
/// # Errors
/// [`Error::ShortBuffer`] under [`Stored::MAX`] bytes.
pub fn encode(
    out: &mut [u8],
    used: Use<'_>,
    (card, provider, profile): (CardId, ProviderId, &CardProfile),
    held: &Held,
) -> Result<usize, Error> {
    let mut out = Writer::new(out);
    FORMAT.encode(&mut out)?;
    used.encode(&mut out)?;
    card.encode(&mut out)?;
    provider.encode(&mut out)?;
    profile.encode(&mut out)?;
    held.encode(&mut out)?;
    Ok(out.len())
}

impl Stored {
    /// Whether the object it was read from has the newest layout.
    pub const fn is_newest(&self) -> bool {
        self.format == FORMAT
    }

    /// A card out of an object of any format; `None` when it is none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let stored = match *bytes.first()? {
            1 => old::read_v1(bytes),
            2 => old::read_v2(bytes),
            3 => v3::read(bytes),
            FORMAT => decode_exact(bytes),
            _ => return None,
        };
        // A test profile or one that pays offline without its state, or a state without one, is none.
        stored.ok().filter(|stored| {
            stored.profile.check().is_ok()
                && stored.contact.0.is_some() == stored.profile.contact.is_some()
                && stored.purse.0.is_some() == stored.profile.offline.is_some()
                && stored.purse.0.is_none_or(|booked| booked.holds())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;
    use tapvault_proto::{emv::AID_UNIONPAY_DEBIT, token::Channel};

    /// Objects as trusted apps of each format wrote them: never changed, only added to.
    const GOLDEN: [&str; 4] = [
        include_str!("golden/v1.hex"),
        include_str!("golden/v2.hex"),
        include_str!("golden/v3.hex"),
        include_str!("golden/v4.hex"),
    ];

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
            assert_eq!(stored.profile.udk(Channel::Nfc).unwrap().expose(), &[0x44; 16]);
            assert_eq!(*stored.profile.label, *b"UnionPay Debit");
            assert_eq!(stored.is_newest(), format == FORMAT);
            assert_eq!(stored.log.0.len(), [0, 2, 2, 2][format as usize - 1]);
            assert!(stored.log.0.iter().all(|entry| entry.channel == Channel::Nfc && entry.atc > 0));
            assert_eq!(stored.life.state, TokenState::Active);
            let mut bytes = [0; Stored::MAX];
            let whole = (stored.card, stored.provider, &stored.profile);
            let purse = stored.purse.0.as_ref();
            assert_eq!(purse.is_some(), format == 4, "the first that may pay offline");
            let used = Use {
                reserved: stored.reserved,
                life: stored.life,
                purse,
                contact: None,
                log: &stored.log.0,
            };
            let len = encode(&mut bytes, used, whole, &Held::default()).unwrap();
            let at = USE_AT as usize;
            assert_eq!(bytes[at..at + USE_LEN], *used.to_bytes().unwrap());
            let again = Stored::read(&bytes[..len]).unwrap();
            assert!(again.is_newest());
            assert_eq!((again.reserved, again.life), (0x0120, stored.life));
            assert_eq!((again.log.0, again.purse.0), (stored.log.0.clone(), stored.purse.0));
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
            for format in (0..=FORMAT + 1).chain([DAMAGED]).filter(|format| *format != good[0]) {
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
