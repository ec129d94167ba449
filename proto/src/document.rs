//! JSON documents: the sealed card package and what a wallet may display.

use crate::{
    Error,
    device::Sealing,
    id::{CardId, ProviderId},
    pin::{ProviderCertificate, concat},
    profile::CardProfile,
    token::Channel,
    wire::Bytes,
};
use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

/// Longest sealed package in bytes of JSON.
pub const MAX_PACKAGE: usize = 7680;
/// Longest display document in bytes of JSON.
pub const MAX_DISPLAY: usize = 384;
/// Longest encrypted profile in bytes, authentication tag included.
pub const MAX_CIPHERTEXT: usize = 3072;
/// Length of an encapsulated HPKE key in bytes.
pub const HPKE_ENCAPSULATED: usize = 65;
/// Length of an SM4 key of 16 bytes that SM2 encrypted: point, digest, key.
pub const SM2_ENCAPSULATED: usize = 65 + 32 + 16;

/// Lower-case hexadecimal text of exactly `N / 2` bytes.
pub type Hex<const N: usize> = String<N>;

/// A card, sealed by its provider for one challenge of one card trusted app.
///
/// Format 1 is HPKE (RFC 9180) in base mode with DHKEM(P-256, HKDF-SHA256), HKDF-SHA256 and AES-128-GCM; `info`
/// is [`PackageHeader::info`], the associated data is empty. Format 2 is SM4-GCM with a zero nonce under a key that SM2
/// encrypted (GB/T 32918.4, C1 ‖ C3 ‖ C2); [`PackageHeader::info`] is the associated data. The provider signs
/// [`PackageHeader::signed_bytes`] of either. Every text is lower-case hexadecimal.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SealedPackage<'a> {
    /// Document format: the code of a [`Sealing`].
    pub format: u8,
    /// The provider's id, 16 bytes.
    pub provider: &'a str,
    /// The provider's P-256 key, SEC 1 uncompressed, 65 bytes.
    pub provider_key: &'a str,
    /// The trust root's signature over the provider's id and key, 64 bytes.
    pub provider_certificate: &'a str,
    /// The card's id, 16 bytes.
    pub card: &'a str,
    /// The challenge the package was made for, 32 bytes.
    pub challenge: &'a str,
    /// The encapsulated key: [`HPKE_ENCAPSULATED`] or [`SM2_ENCAPSULATED`] bytes.
    pub encapsulated: &'a str,
    /// The encrypted [`Contents`], at most [`MAX_CIPHERTEXT`] bytes.
    pub ciphertext: &'a str,
    /// The provider's signature, 64 bytes.
    pub signature: &'a str,
}

/// The parsed package: bytes instead of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The provider's certificate.
    pub certificate: ProviderCertificate,
    /// What the seal is bound to.
    pub header: PackageHeader,
    /// The encapsulated key.
    pub encapsulated: Bytes<SM2_ENCAPSULATED>,
    /// The encrypted [`Contents`].
    pub ciphertext: Vec<u8, MAX_CIPHERTEXT>,
    /// The provider's signature.
    pub signature: [u8; 64],
}

/// What a sealed package is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackageHeader {
    /// How it is sealed.
    pub sealing: Sealing,
    /// The challenge.
    pub challenge: [u8; 32],
    /// The card.
    pub card: CardId,
    /// The provider.
    pub provider: ProviderId,
}

impl PackageHeader {
    /// What the seal is bound to, HPKE's `info`: a domain label, challenge, card and provider; 88 bytes.
    #[must_use]
    pub fn info(&self) -> [u8; 88] {
        let label = match self.sealing {
            Sealing::Hpke => b"tapvault card package  1",
            Sealing::Sm2 => b"tapvault card package  2",
        };
        concat(label, &[&self.challenge, &self.card.0, &self.provider.0])
    }

    /// What the provider signs: [`Self::info`], the SHA-256 of encapsulated key and ciphertext.
    #[must_use]
    pub fn signed_bytes(&self, sealed_digest: &[u8; 32]) -> [u8; 120] {
        concat(&self.info(), &[sealed_digest])
    }
}

impl SealedPackage<'_> {
    /// Parses JSON; unknown fields, wrong lengths and trailing text are refused.
    ///
    /// # Errors
    /// [`Error::PackageMalformed`].
    pub fn parse(json: &[u8]) -> Result<Package, Error> {
        let document: SealedPackage<'_> = from_json(json)?;
        let sealing = match document.format {
            1 => Sealing::Hpke,
            2 => Sealing::Sm2,
            _ => return Err(Error::PackageMalformed),
        };
        let encapsulated = match sealing {
            Sealing::Hpke => Bytes::from_iter(unhex::<HPKE_ENCAPSULATED>(document.encapsulated)?),
            Sealing::Sm2 => Bytes::from_iter(unhex::<SM2_ENCAPSULATED>(document.encapsulated)?),
        };
        let provider = ProviderId(unhex(document.provider)?);
        let text = document.ciphertext.as_bytes();
        let mut ciphertext = Vec::new();
        ciphertext.resize(text.len() / 2, 0).map_err(|_| Error::PackageMalformed)?;
        unhex_into(text, &mut ciphertext)?;
        Ok(Package {
            certificate: ProviderCertificate {
                provider,
                key: unhex(document.provider_key)?,
                signature: unhex(document.provider_certificate)?,
            },
            header: PackageHeader {
                sealing,
                challenge: unhex(document.challenge)?,
                card: CardId(unhex(document.card)?),
                provider,
            },
            encapsulated,
            ciphertext,
            signature: unhex(document.signature)?,
        })
    }
}

impl Package {
    /// The package as JSON, as [`SealedPackage`] describes it.
    ///
    /// # Errors
    /// [`Error::Internal`] never for a `Package`: its lengths are bounded by type.
    pub fn to_json(&self) -> Result<Vec<u8, MAX_PACKAGE>, Error> {
        to_json(&SealedPackage {
            format: self.header.sealing as u8,
            provider: &hex::<32>(&self.header.provider.0)?,
            provider_key: &hex::<130>(&self.certificate.key)?,
            provider_certificate: &hex::<128>(&self.certificate.signature)?,
            card: &hex::<32>(&self.header.card.0)?,
            challenge: &hex::<64>(&self.header.challenge)?,
            encapsulated: &hex::<{ 2 * SM2_ENCAPSULATED }>(&self.encapsulated)?,
            ciphertext: &hex::<{ 2 * MAX_CIPHERTEXT }>(&self.ciphertext)?,
            signature: &hex::<128>(&self.signature)?,
        })
    }
}

/// Longest key block in characters.
pub const MAX_KEY_BLOCK: usize = 144;

crate::message! {
    /// A key of the card in a TR-31 key block (ANSI X9.143).
    KeyBlock {
        /// The channel that it is for.
        channel: Channel,
        /// The block, ASCII: version B or D, usage E0, mode X, the suite's algorithm, no optional blocks. Its protection
        /// key is exported from the package's HPKE seal ([`KEY_BLOCK_B`], [`KEY_BLOCK_D`]): it goes nowhere, and a block
        /// opens with its package only.
        block: Bytes<MAX_KEY_BLOCK>,
    }
}

/// HPKE exporter context of the protection key of key blocks of version B: 16 bytes, two-key triple DES.
pub const KEY_BLOCK_B: &[u8] = b"tapvault key block B   1";
/// Of those of version D: 32 bytes, AES-256.
pub const KEY_BLOCK_D: &[u8] = b"tapvault key block D   1";

crate::message! {
    /// What is sealed in a package.
    Contents {
        /// The card. Where its keys come in key blocks, it has none itself.
        profile: CardProfile,
        /// Its keys in key blocks, in the order of their channels, or none.
        blocks: Vec<KeyBlock, 4>,
    }
}

/// What a wallet may display of a card; nothing here helps to pay.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct CardDisplay {
    /// The card's id.
    pub card: Hex<32>,
    /// The provider's id.
    pub provider: Hex<32>,
    /// Last four digits of the account number.
    pub last_four: String<4>,
    /// Reference of the card art at the provider.
    pub art: String<32>,
    /// The issuer's name.
    pub issuer: String<32>,
    /// The application label (tag 50).
    pub label: String<16>,
    /// `active`, `inactive`, `suspended`, `suspended by holder`.
    pub state: String<20>,
}

/// Parses one JSON value and nothing after it.
///
/// # Errors
/// [`Error::PackageMalformed`].
pub fn from_json<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Error> {
    let (value, used) = serde_json_core::from_slice(json).map_err(|_| Error::PackageMalformed)?;
    let rest = json.get(used..).unwrap_or_default();
    if rest.iter().all(u8::is_ascii_whitespace) { Ok(value) } else { Err(Error::PackageMalformed) }
}

/// Writes `value` as JSON.
///
/// # Errors
/// [`Error::Internal`] when it does not fit in `N` bytes.
pub fn to_json<T: Serialize, const N: usize>(value: &T) -> Result<Vec<u8, N>, Error> {
    serde_json_core::to_vec(value).map_err(|_| Error::Internal)
}

/// Bytes as lower-case hexadecimal text.
///
/// # Errors
/// [`Error::Internal`] when the text does not fit in `N` characters.
pub fn hex<const N: usize>(bytes: &[u8]) -> Result<Hex<N>, Error> {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let mut text = String::new();
    for nibble in bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]) {
        let digit = DIGITS.get(usize::from(nibble)).ok_or(Error::Internal)?;
        text.push(*digit).map_err(|_| Error::Internal)?;
    }
    Ok(text)
}

/// Lower-case hexadecimal text of exactly `N` bytes.
///
/// # Errors
/// [`Error::PackageMalformed`].
pub fn unhex<const N: usize>(text: &str) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    unhex_into(text.as_bytes(), &mut bytes)?;
    Ok(bytes)
}

fn unhex_into(text: &[u8], out: &mut [u8]) -> Result<(), Error> {
    let nibble = |digit: &u8| match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(Error::PackageMalformed),
    };
    if text.len() != 2 * out.len() {
        return Err(Error::PackageMalformed);
    }
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        if let [high, low] = pair {
            *byte = nibble(high)? << 4 | nibble(low)?;
        }
    }
    Ok(())
}
