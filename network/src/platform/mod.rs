//! The service platform's signer: says after each start of a phone's trusted apps how far its cards' counters have
//! come, and grants the tries of its PINs one by one, each booked as spent until the phone signs a success of the same
//! run.

mod ledger;

pub use ledger::{Booking, Ledger, LedgerFile};

use crate::{
    device::{self, DeviceError},
    lab::{self, sign},
};
use p256::ecdsa::{SigningKey, VerifyingKey};
use std::fmt;
use tapvault_proto::{
    Error,
    freshness::{Freshness, FreshnessQuestion, FreshnessStatement, GrantedTries, HighestCounter, IssuedCard},
    id::ProviderId,
};

/// Why nothing was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlatformError {
    /// The device is not known to be genuine.
    Device(DeviceError),
    /// A length that cannot occur.
    Encoding(Error),
}

impl fmt::Display for PlatformError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(DeviceError::Certificate) => {
                f.write_str("the device is not certified by the factory root: it gets no statement")
            }
            Self::Device(DeviceError::Signature) => f.write_str(
                "the question is not signed by the certified device; give what `tapvault card freshness --json` printed",
            ),
            Self::Encoding(error) => write!(f, "{error}; report it"),
        }
    }
}

impl std::error::Error for PlatformError {}

/// What the platform answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// For the phone.
    pub statement: FreshnessStatement,
    /// Whose PIN gets no try: as many as may be are booked.
    pub refused: Option<ProviderId>,
}

/// The signer. Its key is wiped when dropped; there is no `Debug`.
pub struct Platform {
    key: SigningKey,
    factory_root: VerifyingKey,
    /// What is booked. Whoever stores it does so before an answer leaves.
    pub ledger: Ledger,
}

impl Platform {
    /// The lab's, which the trusted apps believe unless they are built for another.
    #[must_use]
    pub fn lab(ledger: Ledger) -> Self {
        Self { key: lab::platform_key(), factory_root: *lab::factory_root().verifying_key(), ledger }
    }

    /// Answers a phone. `highest` says how far a card's counter has come for all that its issuer knows, `None` where
    /// that issuer gave no card these keys, or it is not to pay.
    ///
    /// # Errors
    /// [`PlatformError`].
    pub fn answer(
        &mut self,
        question: &FreshnessQuestion,
        highest: impl Fn(&IssuedCard) -> Option<u16>,
    ) -> Result<Answer, PlatformError> {
        device::check_question(&self.factory_root, question).map_err(PlatformError::Device)?;
        let state = &question.state;
        let of = |issued: &IssuedCard| {
            let IssuedCard { card, key_version, .. } = *issued;
            highest(issued).map(|atc| HighestCounter { card, key_version, atc })
        };
        let counters = state.cards.iter().filter_map(of).collect();
        let (device, run) = (&question.certificate.key, &state.pin);
        for settled in &run.settled {
            self.ledger.settle(device, run.nonce, *settled);
        }
        let granted = run.asked.map(|asked| GrantedTries {
            provider: asked.provider,
            granted: self.ledger.grant(device, run.nonce, asked),
        });
        let refused = run.asked.zip(granted).filter(|(asked, granted)| granted.granted <= asked.granted);
        let said = Freshness { card_nonce: state.card_nonce, counters, pin_nonce: run.nonce, granted };
        let message = said.signed_bytes().map_err(PlatformError::Encoding)?;
        let statement = FreshnessStatement { said, signature: sign(&self.key, &message) };
        Ok(Answer { statement, refused: refused.map(|(asked, _)| asked.provider) })
    }
}
