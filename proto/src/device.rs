//! The device's own keys: made in the card trusted app, certified in the factory, shown to who seals something for it.

use crate::pin::concat;

crate::code! {
    /// How a package is sealed.
    Sealing {
        /// International: HPKE, DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM (RFC 9180).
        Hpke = 1,
        /// Domestic: SM2 encryption of a key for SM4-GCM (GB/T 32918.4, GB/T 32907).
        Sm2 = 2,
    }
}

crate::message! {
    /// The device's public keys, certified by its maker's factory.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    DeviceCertificate {
        /// P-256, SEC 1 uncompressed.
        key: [u8; 65],
        /// SM2, in the same form.
        sm2_key: [u8; 65],
        /// ECDSA P-256 / SHA-256 by the factory root over [`Self::signed_bytes`], `r‖s`.
        signature: [u8; 64],
    }
}

impl DeviceCertificate {
    /// What the factory root signs: a domain label and both keys.
    #[must_use]
    pub fn signed_bytes(&self) -> [u8; 154] {
        concat(b"tapvault device cert   1", &[&self.key, &self.sm2_key])
    }
}

crate::message! {
    /// Asks for the device's keys; makes them where there are none.
    #[derive(Clone, Debug, PartialEq, Eq)]
    DeviceKeyRequest {}
}
crate::message! {
    /// The device's public keys.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    DeviceKeyReply {
        /// P-256, SEC 1 uncompressed.
        key: [u8; 65],
        /// SM2, in the same form.
        sm2_key: [u8; 65],
        /// Whether the factory certified them.
        certified: bool,
    }
}
crate::message! {
    /// The certificate is stored.
    #[derive(Clone, Debug, PartialEq, Eq)]
    CertifyReply {}
}

crate::message! {
    /// Draws the challenge for a package or a batch of keys; replaces an earlier one.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    ChallengeRequest {
        /// How it will be sealed.
        sealing: Sealing,
    }
}
crate::message! {
    /// What a provider needs to seal something for this device, and to know that this is one.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    ChallengeReply {
        /// How it is to be sealed.
        sealing: Sealing,
        /// 32 random bytes, good for one package or batch.
        challenge: [u8; 32],
        /// This challenge's own key, SEC 1 uncompressed: P-256 or SM2, as `sealing` says.
        recipient: [u8; 65],
        /// The device's certificate.
        certificate: DeviceCertificate,
        /// By the device over [`Self::signed_bytes`], `r‖s`: ECDSA P-256 / SHA-256 where HPKE seals, SM2 / SM3 with
        /// the default user id (GM/T 0009) where SM2 does.
        signature: [u8; 64],
    }
}

impl ChallengeReply {
    /// What the device signs: a domain label, sealing, challenge and recipient key.
    #[must_use]
    pub fn signed_bytes(&self) -> [u8; 122] {
        concat(b"tapvault device chall. 1", &[&[self.sealing as u8], &self.challenge, &self.recipient])
    }
}
