//! The secure element that a card can live in: its keys for the card trusted app, and the exchanges with it.
//!
//! The trusted app holds one end of an SCP03 channel, the element the other; the client carries the frames, and is
//! trusted with none of it.

use crate::{
    id::{CardId, ProviderId},
    pin::{ProviderCertificate, concat},
    tvm::{ElementKeys, MAX_FRAME},
    wire::Bytes,
};

crate::message! {
    /// Installs a provider's keys of the secure element, sealed for the challenge that the card trusted app drew.
    #[derive(Clone, Debug, PartialEq, Eq)]
    InstallElementKeysRequest {
        /// The provider's certificate.
        certificate: ProviderCertificate,
        /// The challenge.
        challenge: [u8; 32],
        /// The encapsulated HPKE key.
        encapsulated: [u8; 65],
        /// [`ElementKeys`], encrypted, with the tag behind.
        sealed: [u8; ElementKeys::SEALED],
        /// ECDSA P-256 / SHA-256 by the provider over [`Self::signed_bytes`], `r‖s`.
        signature: [u8; 64],
    }
}
crate::message! {
    /// The keys are stored.
    #[derive(Clone, Debug, PartialEq, Eq)]
    InstallElementKeysReply {}
}

impl InstallElementKeysRequest {
    /// The HPKE `info`: a domain label, challenge and provider; 72 bytes.
    #[must_use]
    pub fn info(challenge: &[u8; 32], provider: ProviderId) -> [u8; 72] {
        concat(b"tapvault card SE keys  1", &[challenge, &provider.0])
    }

    /// What the provider signs: the `info`, encapsulated key and cipher text.
    #[must_use]
    pub fn signed_bytes(&self) -> [u8; 72 + 65 + ElementKeys::SEALED] {
        let info = Self::info(&self.challenge, self.certificate.provider);
        concat(&info, &[&self.encapsulated, &self.sealed])
    }
}

crate::code! {
    /// What an exchange with the element is for.
    ElementPurpose {
        /// To put a card into it: takes the PIN verification for the card.
        Personalise = 1,
        /// To give it leave for one tap, without a verification of the holder.
        Tap = 2,
        /// To give it leave for one tap, with the PIN verification for the card.
        VerifiedTap = 3,
    }
}

crate::message! {
    /// Begins an exchange.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ElementBeginRequest {
        /// The card.
        card: CardId,
        /// What for.
        purpose: ElementPurpose,
    }
}
crate::message! {
    /// The first frame.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ElementFrame {
        /// A command APDU for the element.
        frame: Bytes<MAX_FRAME>,
    }
}
crate::message! {
    /// Brings the element's answer.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ElementAnswerRequest {
        /// A response APDU.
        frame: Bytes<MAX_FRAME>,
    }
}
crate::message! {
    /// How far an exchange is.
    #[derive(Clone, Debug, PartialEq, Eq)]
    ElementProgress {
        /// The next frame; `None` when the element has confirmed all of it under its MAC.
        frame: Option<Bytes<MAX_FRAME>>,
    }
}

crate::message! {
    /// The holder's verification, as the element gets it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    Verified {
        /// Most that may be paid, in minor units of `currency`.
        ceiling: u64,
        /// ISO 4217 numeric code.
        currency: u16,
        /// Whether exactly `ceiling` is to be paid.
        exact: bool,
    }
}
crate::message! {
    /// Leave for one cryptogram: all that the element knows of the holder, the NFC switch and the token's life. It is
    /// good for one GET PROCESSING OPTIONS, whatever becomes of it. A card with limited-use keys gets the one of the
    /// counter with it ([`crate::dgi`]).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    Leave {
        /// The card.
        card: CardId,
        /// Version of its keys.
        key_version: u8,
        /// The transaction counter to use, taken from those of the trusted app: above any that was used.
        counter: u16,
        /// Whether the holder was verified.
        verified: Option<Verified>,
    }
}
