//! JSON documents: the sealed card package and what a wallet may display.

use crate::{
    Error,
    id::{CardId, ProviderId},
    pin::{ProviderCertificate, concat},
};
use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

/// Longest sealed package in bytes of JSON.
pub const MAX_PACKAGE: usize = 6144;
/// Longest display document in bytes of JSON.
pub const MAX_DISPLAY: usize = 384;
/// Longest encrypted profile in bytes, authentication tag included.
pub const MAX_CIPHERTEXT: usize = 2560;

/// Lower-case hexadecimal text of exactly `N / 2` bytes.
pub type Hex<const N: usize> = String<N>;

/// A card, sealed by its provider for one challenge of one card trusted app.
///
/// HPKE (RFC 9180) in base mode with DHKEM(P-256, HKDF-SHA256), HKDF-SHA256 and AES-128-GCM; `info`
/// is [`PackageHeader::info`], the associated data is empty. The provider signs
/// [`PackageHeader::signed_bytes`]. Every text is lower-case hexadecimal.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SealedPackage<'a> {
    /// Document format; 1.
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
    /// The encapsulated HPKE key, 65 bytes.
    pub encapsulated: &'a str,
    /// The encrypted profile, at most [`MAX_CIPHERTEXT`] bytes.
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
    /// The encapsulated HPKE key.
    pub encapsulated: [u8; 65],
    /// The encrypted profile.
    pub ciphertext: Vec<u8, MAX_CIPHERTEXT>,
    /// The provider's signature.
    pub signature: [u8; 64],
}

/// What a sealed package is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackageHeader {
    /// The challenge.
    pub challenge: [u8; 32],
    /// The card.
    pub card: CardId,
    /// The provider.
    pub provider: ProviderId,
}

impl PackageHeader {
    /// The HPKE `info`: a domain label, challenge, card and provider; 88 bytes.
    #[must_use]
    pub fn info(&self) -> [u8; 88] {
        concat(b"tapvault card package  1", &[&self.challenge, &self.card.0, &self.provider.0])
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
        if document.format != 1 {
            return Err(Error::PackageMalformed);
        }
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
                challenge: unhex(document.challenge)?,
                card: CardId(unhex(document.card)?),
                provider,
            },
            encapsulated: unhex(document.encapsulated)?,
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
            format: 1,
            provider: &hex::<32>(&self.header.provider.0)?,
            provider_key: &hex::<130>(&self.certificate.key)?,
            provider_certificate: &hex::<128>(&self.certificate.signature)?,
            card: &hex::<32>(&self.header.card.0)?,
            challenge: &hex::<64>(&self.header.challenge)?,
            encapsulated: &hex::<130>(&self.encapsulated)?,
            ciphertext: &hex::<{ 2 * MAX_CIPHERTEXT }>(&self.ciphertext)?,
            signature: &hex::<128>(&self.signature)?,
        })
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
