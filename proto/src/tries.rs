//! The tries of the wallet PIN: how long the next one waits, and how a provider gives all of them back to a holder who
//! knows the PIN still.

use crate::{
    id::ProviderId,
    pin::{ProviderCertificate, concat},
};

crate::message! {
    /// Asks how long the next entry waits that compares.
    #[derive(Clone, Debug, PartialEq, Eq)]
    PinDelayRequest {
        /// Whose PIN.
        provider: ProviderId,
    }
}
crate::message! {
    /// How long it waits.
    #[derive(Clone, Debug, PartialEq, Eq)]
    PinDelayReply {
        /// Milliseconds; 0 when it may begin, and when there is no record or no try left.
        wait_ms: u64,
    }
}

crate::message! {
    /// A provider's command to give all tries back. It is good once, for a challenge of this run of the PIN trusted
    /// app; its number is above that of the command before it, and one with the same number changes nothing.
    #[derive(Clone, Debug, PartialEq, Eq)]
    UnlockPinRequest {
        /// The provider's certificate.
        certificate: ProviderCertificate,
        /// From [`crate::pin::ChallengeReply`].
        challenge: [u8; 32],
        /// The command's number, from 1.
        sequence: u32,
        /// ECDSA P-256 / SHA-256 by the provider over [`Self::signed_bytes`], `r‖s`.
        signature: [u8; 64],
    }
}
crate::message! {
    /// The command was obeyed, or had been before.
    #[derive(Clone, Debug, PartialEq, Eq)]
    UnlockPinReply {
        /// Comparisons left.
        tries_left: u8,
    }
}

impl UnlockPinRequest {
    /// What the provider signs: a domain label, its id, the challenge and the command's number.
    #[must_use]
    pub fn signed_bytes(&self) -> [u8; 76] {
        concat(
            b"tapvault PIN unlock    1",
            &[&self.certificate.provider.0, &self.challenge, &self.sequence.to_be_bytes()],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ProviderId;

    #[test]
    fn every_part_is_signed() {
        let certificate =
            ProviderCertificate { provider: ProviderId([1; 16]), key: [0; 65], signature: [0; 64] };
        let command =
            UnlockPinRequest { certificate, challenge: [2; 32], sequence: 0x0304_0506, signature: [0; 64] };
        let signed = command.signed_bytes();
        assert_eq!((&signed[..24], signed[39], signed[71]), (&b"tapvault PIN unlock    1"[..], 1, 2));
        assert_eq!(signed[72..], [3, 4, 5, 6]);
    }
}
