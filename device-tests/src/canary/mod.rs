//! Canaries: secrets that can be recognised, and the search for them, as they are and as software tends to write them.

#[cfg(feature = "optee")]
mod guest;
pub mod seal;

use crate::{
    Outcome,
    lab::{Lab, say},
};
use base64ct::{Base64, Encoding};
#[cfg(feature = "optee")]
pub use guest::{pay, run};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use tapvault_network::{kind::Named, suite::session_key};
use tapvault_proto::{
    contact::Contact,
    device::ChallengeReply,
    id::CardId,
    profile::{CardKeys, CardProfile, Key128, Oda, OdaKey, RsaKey, SecretBytes},
    token::{Channel, ChannelKey},
};

/// The wallet PIN of the canary's holder: as many digits as there may be.
pub const CANARY_PIN: &str = "907318264905";
/// Bytes of a secret that have to be found together.
const PIECE: usize = 8;
/// The counters whose session keys are looked for.
const COUNTERS: u16 = 16;

/// 32 recognisable bytes.
#[must_use]
pub fn bytes(label: &str) -> [u8; 32] {
    Sha256::digest(format!("tapvault canary {label}")).into()
}

/// The key of a channel.
fn udk(channel: Channel) -> Key128 {
    let mut key = [0; 16];
    key.copy_from_slice(&bytes(channel.name())[..16]);
    Key128::new(key)
}

/// A canary's package for a challenge: its card's keys, and the offline authentication key where it is a scalar, are
/// canaries; an RSA key is of the lab's, and is looked for as it is.
///
/// # Errors
/// The bank's.
pub fn package(lab: &mut Lab, card: CardId, challenge: &ChallengeReply) -> Outcome<(String, CardProfile)> {
    let (_, mut profile) = lab.package_and_profile(card, challenge)?;
    let keys = Channel::ALL.map(|channel| ChannelKey { channel, udk: udk(channel) });
    profile.keys = CardKeys::Udk(keys.into_iter().collect());
    if let Some(Oda { key: OdaKey::Sm2(key), .. }) = &mut profile.oda {
        *key = SecretBytes::new(&bytes("scalar")).ok_or("a scalar is too long")?;
    }
    let package = match lab.key_blocks {
        None => lab.provider.seal(card, challenge, &profile),
        Some(version) => lab.provider.seal_key_blocks(card, challenge, &profile, version),
    };
    Ok((package.map_err(say)?, profile))
}

/// A piece of a secret.
struct Pattern {
    bytes: Vec<u8>,
    secret: String,
}

/// What is looked for.
#[derive(Default)]
pub struct Canaries {
    patterns: Vec<Pattern>,
    /// Patterns by their first four bytes.
    by_head: HashMap<[u8; 4], Vec<usize>>,
}

impl Canaries {
    /// The keys of a card, and the session keys of its first counters.
    pub fn add_profile(&mut self, profile: &CardProfile) {
        for (channel, udk) in
            Channel::ALL.iter().filter_map(|channel| Some((channel, profile.udk(*channel)?)))
        {
            self.add(&format!("key for {}", channel.name()), udk.expose());
            for atc in 1..=COUNTERS {
                let key = session_key(profile.suite, udk, atc);
                self.add(&format!("session key {atc} for {}", channel.name()), key.expose());
            }
        }
        if let Some(Contact { udk, mac, encryption, .. }) = &profile.contact {
            for (name, key) in [("cryptograms", udk), ("script MACs", mac), ("script data", encryption)] {
                self.add(&format!("test profile's key for {name}"), key.expose());
                for atc in 1..=COUNTERS {
                    let key = session_key(profile.suite, key, atc);
                    self.add(&format!("test profile's session key {atc} for {name}"), key.expose());
                }
            }
        }
        match profile.oda.as_ref().map(|oda| &oda.key) {
            Some(OdaKey::Sm2(key)) => self.add("scalar", key.expose()),
            Some(OdaKey::Rsa(RsaKey { p, q, dp, dq, qinv })) => {
                for (name, part) in [("p", p), ("q", q), ("dp", dp), ("dq", dq), ("qinv", qinv)] {
                    self.add(&format!("RSA {name}"), part.expose());
                }
            }
            None => {}
        }
    }

    /// The holder's digits: as characters, and two in a byte.
    pub fn add_pin(&mut self, digits: &str) {
        self.add("PIN", digits.as_bytes());
        let packed = hex::decode(digits).unwrap_or_default();
        self.insert("PIN, two digits in a byte", packed);
    }

    /// A secret of at least eight bytes: every eight of them, as they are, inverted, backwards and in words turned
    /// round; and as hexadecimal digits and base64.
    pub fn add(&mut self, name: &str, secret: &[u8]) {
        let inverted: Vec<_> = secret.iter().map(|byte| !byte).collect();
        let backwards: Vec<_> = secret.iter().rev().copied().collect();
        let turned: Vec<_> = secret.chunks(4).flat_map(|word| word.iter().rev().copied()).collect();
        for (form, bytes) in [
            ("", secret),
            (", inverted", &inverted),
            (", backwards", &backwards),
            (", turned round", &turned),
        ] {
            for piece in bytes.chunks_exact(PIECE) {
                self.insert(&format!("{name}{form}"), piece.to_vec());
            }
        }
        for piece in secret.chunks_exact(PIECE) {
            self.insert(&format!("{name}, hexadecimal"), hex::encode(piece).into_bytes());
            self.insert(&format!("{name}, hexadecimal"), hex::encode_upper(piece).into_bytes());
        }
        // Wherever it begins in a text, three bytes in a row are four characters.
        for skipped in 0..3 {
            let text = Base64::encode_string(secret.get(skipped..).unwrap_or_default());
            for piece in text.as_bytes().chunks_exact(12).filter(|piece| !piece.contains(&b'=')) {
                self.insert(&format!("{name}, base64"), piece.to_vec());
            }
        }
    }

    fn insert(&mut self, secret: &str, bytes: Vec<u8>) {
        let Some(head) = bytes.first_chunk::<4>().copied() else { return };
        self.by_head.entry(head).or_default().push(self.patterns.len());
        self.patterns.push(Pattern { bytes, secret: secret.into() });
    }

    /// How many patterns are looked for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Whether nothing is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The secret that a piece is found of, and where. It takes nothing from the heap.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Option<(&str, usize)> {
        bytes.windows(4).enumerate().find_map(|(at, head)| {
            let found = head.first_chunk::<4>().and_then(|head| self.by_head.get(head))?;
            let rest = bytes.get(at..)?;
            let pattern = found.iter().filter_map(|pattern| self.patterns.get(*pattern));
            let found = pattern.into_iter().find(|pattern| rest.starts_with(&pattern.bytes))?;
            Some((found.secret.as_str(), at))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form() {
        let secret = bytes("of a test");
        let mut canaries = Canaries::default();
        canaries.add("it", &secret);
        canaries.add_pin(CANARY_PIN);
        let digits = hex::decode(CANARY_PIN).unwrap();
        let inverted = secret.map(|byte| !byte);
        let backwards: Vec<_> = secret.into_iter().rev().collect();
        let text = |bytes: &[u8]| Base64::encode_string(bytes).into_bytes();
        for form in [
            secret.to_vec(),
            secret[8..16].to_vec(),
            inverted.to_vec(),
            backwards,
            hex::encode(secret).into_bytes(),
            hex::encode_upper(&secret[16..]).into_bytes(),
            text(&secret),
            text(&[b"x", &secret[..]].concat()),
            text(&[b"xy", &secret[..]].concat()),
            CANARY_PIN.as_bytes().to_vec(),
            digits,
        ] {
            let hidden = [&[0x11; 1000], &form[..], &[0x22; 1000]].concat();
            assert_eq!(
                canaries.find(&hidden).map(|(_, at)| (990..1010).contains(&at)),
                Some(true),
                "{form:02X?}"
            );
        }
        assert_eq!(canaries.find(&bytes("of another")), None);
        assert_eq!(canaries.find(&[]), None);
    }
}
