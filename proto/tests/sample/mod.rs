//! A profile that keeps every rule.

use tapvault_proto::{
    profile::{CardKeys, CardProfile, Cvn, Key128, Product, Suite, VerificationStatus},
    token::{Channel, ChannelKey, Domain, Token},
    wire::Bytes,
};

pub fn bytes<const N: usize>(bytes: &[u8]) -> Bytes<N> {
    Bytes::from_slice(bytes).unwrap()
}

/// A 3DES debit card of a phone, for taps.
pub fn profile() -> CardProfile {
    CardProfile {
        format: CardProfile::FORMAT,
        key_version: 1,
        suite: Suite::Pboc3Des,
        cvn: Cvn::V01,
        product: Product::Debit,
        priority: 1,
        label: bytes(b"UnionPay Debit"),
        track2: bytes(&[0x62, 0x99, 0x99, 0x12, 0x34, 0x56, 0x78, 0x90, 0xD3, 0x01, 0x22, 0x20, 0x00, 0x0F]),
        psn: 1,
        aip: [0x7C, 0x00],
        currency: 0x0156,
        online_pin_allowed: true,
        signature_allowed: false,
        verification_from: CardProfile::NEVER,
        verification_status: VerificationStatus::NotAllowed,
        keys: CardKeys::Udk(heapless::Vec::from_iter([ChannelKey {
            channel: Channel::Nfc,
            udk: Key128::new([0x44; 16]),
        }])),
        token: Token {
            par: bytes(b"TV0A0123456789ABCDEFGHIJKLMNO"),
            requestor: *b"62999900001",
            active: true,
            domain: Domain::unlimited(),
        },
        oda: None,
        offline: None,
        contact: None,
        last_four: *b"4321",
        art: bytes(b"lab-blue"),
        issuer: bytes(b"Lab Bank A"),
    }
}
