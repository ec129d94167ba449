//! Freshness: stock OP-TEE notices neither that the whole of its store was put back to an older copy nor that a trusted
//! app was made to start again. So the service platform, which an attacker with the phone cannot put back, says after
//! each start how far every card's counter has come, and grants each try of a PIN by itself.
//!
//! The card trusted app asks for both, under the device's certified key; the statement goes to both.

use crate::{
    Error,
    card::MAX_CARDS,
    device::DeviceCertificate,
    id::{CardId, ProviderId},
    supervisor::MAX_PROVIDERS,
    wire::{Bytes, Wire, encode_into},
};
use heapless::Vec;

/// Most tries of one phone's PIN of one provider that are booked and not settled: the platform grants none beyond.
pub const MAX_BOOKED: u32 = 10;

const LABEL_LEN: usize = 24;

crate::message! {
    /// Has the card trusted app ask the platform, for both trusted apps.
    #[derive(Clone, Debug, PartialEq, Eq)]
    AskFreshnessRequest {}
}
crate::message! {
    /// Asks the PIN trusted app what it is to ask for.
    #[derive(Clone, Debug, PartialEq, Eq)]
    PinRunRequest {}
}
crate::message! {
    /// A number of tries that were granted in a run of the PIN trusted app, counted from its start.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    GrantedTries {
        /// Whose PIN.
        provider: ProviderId,
        /// How many.
        granted: u32,
    }
}
crate::message! {
    /// One run of the PIN trusted app, from its start to its end.
    #[derive(Clone, Debug, PartialEq, Eq)]
    PinRun {
        /// Drawn once in this run.
        nonce: [u8; 32],
        /// Whose PIN was refused last for want of a try, and how many had been granted: one more is asked for.
        asked: Option<GrantedTries>,
        /// What successes settled: all that had been granted when the right PIN came.
        settled: Vec<GrantedTries, MAX_PROVIDERS>,
    }
}
crate::message! {
    /// A card, and which keys it has: a counter belongs to a version of them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    IssuedCard {
        /// The card.
        card: CardId,
        /// Who issued it.
        provider: ProviderId,
        /// Version of its keys.
        key_version: u8,
    }
}
crate::message! {
    /// What the device says of itself.
    #[derive(Clone, Debug, PartialEq, Eq)]
    DeviceState {
        /// Drawn once in this run of the card trusted app.
        card_nonce: [u8; 32],
        /// Every card that is intact.
        cards: Vec<IssuedCard, MAX_CARDS>,
        /// The PIN trusted app's run.
        pin: PinRun,
    }
}
crate::message! {
    /// The question that goes to the platform.
    #[derive(Clone, Debug, PartialEq, Eq)]
    FreshnessQuestion {
        /// The device's certificate.
        certificate: DeviceCertificate,
        /// What it says of itself.
        state: DeviceState,
        /// ECDSA P-256 / SHA-256 by the device over [`DeviceState::signed_bytes`], `r‖s`.
        signature: [u8; 64],
    }
}

impl DeviceState {
    /// What the device signs: a domain label, and the state as on the wire.
    ///
    /// # Errors
    /// [`Error::Internal`] never: there is room for the longest.
    pub fn signed_bytes(&self) -> Result<Bytes<{ LABEL_LEN + Self::MAX }>, Error> {
        labelled(b"tapvault device state  1", self)
    }
}

crate::message! {
    /// The highest counter of a card that was seen anywhere.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    HighestCounter {
        /// The card.
        card: CardId,
        /// Version of its keys.
        key_version: u8,
        /// Its counter (ATC) under them; 0 for none yet.
        atc: u16,
    }
}
crate::message! {
    /// What the platform says.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Freshness {
        /// From [`DeviceState`].
        card_nonce: [u8; 32],
        /// Of the cards that the platform knows, with the keys that they have; no other becomes fresh.
        counters: Vec<HighestCounter, MAX_CARDS>,
        /// From [`PinRun`].
        pin_nonce: [u8; 32],
        /// Of the provider that was asked for, all of the run so far: a statement that comes twice grants nothing more.
        granted: Option<GrantedTries>,
    }
}
crate::message! {
    /// The platform's statement, for one run of each trusted app. For the card trusted app as it is, for the PIN
    /// trusted app in [`TakeGrantRequest`].
    #[derive(Clone, Debug, PartialEq, Eq)]
    FreshnessStatement {
        /// What it says.
        said: Freshness,
        /// ECDSA P-256 / SHA-256 by the service platform over [`Freshness::signed_bytes`], `r‖s`.
        signature: [u8; 64],
    }
}

impl Freshness {
    /// What the platform signs: a domain label, and what is said as on the wire. A policy, which the same key signs,
    /// begins with a brace.
    ///
    /// # Errors
    /// [`Error::Internal`] never: there is room for the longest.
    pub fn signed_bytes(&self) -> Result<Bytes<{ LABEL_LEN + Self::MAX }>, Error> {
        labelled(b"tapvault freshness     1", self)
    }
}

crate::message! {
    /// The cards that were named can pay until the card trusted app starts again.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    TakeFreshnessReply {
        /// Cards whose counter in storage was behind: the store is an older copy. They go on above what was seen.
        behind: u8,
    }
}
crate::message! {
    /// Brings the statement to the PIN trusted app.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TakeGrantRequest {
        /// The statement.
        statement: FreshnessStatement,
    }
}
crate::message! {
    /// What was granted can be used until the PIN trusted app starts again.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TakeGrantReply {}
}

fn labelled<W: Wire, const N: usize>(label: &[u8; LABEL_LEN], value: &W) -> Result<Bytes<N>, Error> {
    let mut bytes = Bytes::new();
    bytes.resize(N, 0).map_err(|_| Error::Internal)?;
    let (head, rest) = bytes.split_at_mut_checked(LABEL_LEN).ok_or(Error::Internal)?;
    head.copy_from_slice(label);
    let len = encode_into(value, rest)?;
    bytes.truncate(LABEL_LEN + len);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_signed() {
        let counters =
            Vec::from_slice(&[HighestCounter { card: CardId([2; 16]), key_version: 9, atc: 0x0304 }])
                .unwrap();
        let granted = Some(GrantedTries { provider: ProviderId([6; 16]), granted: 0x0708_090A });
        let said = Freshness { card_nonce: [1; 32], counters, pin_nonce: [5; 32], granted };
        let signed = said.signed_bytes().unwrap();
        assert_eq!(&signed[..24], b"tapvault freshness     1");
        assert_eq!(signed[24..56], [1; 32]);
        assert_eq!(signed[56..77], [&[0, 1][..], &[2; 16], &[9, 3, 4]].concat());
        assert_eq!(signed[77..109], [5; 32]);
        assert_eq!(signed[109..], [&[1][..], &[6; 16], &[7, 8, 9, 10]].concat());

        let settled = Vec::from_slice(&[GrantedTries { provider: ProviderId([4; 16]), granted: 5 }]).unwrap();
        let pin = PinRun {
            nonce: [3; 32],
            asked: Some(GrantedTries { provider: ProviderId([4; 16]), granted: 6 }),
            settled,
        };
        let issued = IssuedCard { card: CardId([2; 16]), provider: ProviderId([4; 16]), key_version: 9 };
        let cards = Vec::from_slice(&[issued]).unwrap();
        let signed = DeviceState { card_nonce: [1; 32], cards, pin }.signed_bytes().unwrap();
        let run = [&[3; 32][..], &[1], &[4; 16], &[0, 0, 0, 6], &[0, 1], &[4; 16], &[0, 0, 0, 5]].concat();
        assert_eq!(&signed[..24], b"tapvault device state  1");
        assert_eq!(signed[24..], [&[1; 32][..], &[0, 1], &[2; 16], &[4; 16], &[9], &run].concat());
    }
}
