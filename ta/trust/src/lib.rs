//! What a trusted app is built to believe. Everything else has to be proved against these values.
//!
//! The defaults are the **lab's**, whose private keys anybody can compute (`tapvault-network::lab`). A product sets
//! `TAPVAULT_TRUST_ROOT`, `TAPVAULT_FACTORY_ROOT`, `TAPVAULT_PLATFORM_KEY` (130 hexadecimal digits, P-256, SEC 1
//! uncompressed) and `TAPVAULT_BOOT_GROUP` (32 digits) when it builds; a malformed value ends the build.
#![no_std]
#![forbid(unsafe_code)]

mod run;

pub use run::RunNonce;

use tapvault_proto::{
    Error,
    id::{Caller, Uuid, login},
    pin::ProviderCertificate,
};
use teei_hypervisor::signature::PublicKey;

const LAB_TRUST_ROOT: &str = "04894e0fa41a0ffe658caaedda93b1056ba44386402e884f663b3291e3ec751b116195a637d6a972509cf5c9d5e4033cf03dd50ec7bbe361d92a1daecd6f86b658";
const LAB_PLATFORM_KEY: &str = "049864082593e48d683241727f3eb080f5752f8b7401170e6014a407ad3308bcd79b15b78ec39b53695c907224a804866ac51bd77715885a6532b4d44f6bc7df6b";
const LAB_FACTORY_ROOT: &str = "04f7108c5b977b41b24fca65335bfe9e6d38adbf9e669db75984b3512ee5620ce20e3a5c5e345d86393af55ae96aa10c9617ddcefa6611fcdc76bc5cc8aae45a20";
/// The kernel's UUID of the group with id 990.
const LAB_BOOT_GROUP: &str = "9c28a2a6fb4f5af9953c4ee04a9c926d";

/// Signs the certificates of providers.
pub const TRUST_ROOT: PublicKey =
    PublicKey(unhex(chosen(option_env!("TAPVAULT_TRUST_ROOT"), LAB_TRUST_ROOT)));

/// Signs the certificates of devices.
pub const FACTORY_ROOT: PublicKey =
    PublicKey(unhex(chosen(option_env!("TAPVAULT_FACTORY_ROOT"), LAB_FACTORY_ROOT)));

/// Signs policies, and what the service platform says.
pub const PLATFORM_KEY: PublicKey =
    PublicKey(unhex(chosen(option_env!("TAPVAULT_PLATFORM_KEY"), LAB_PLATFORM_KEY)));

/// The key of a provider that the trust root certified.
///
/// # Errors
/// [`Error::CertificateInvalid`].
pub fn certified(certificate: &ProviderCertificate) -> Result<PublicKey, Error> {
    if TRUST_ROOT.verifies(&certificate.signed_bytes(), &certificate.signature) {
        Ok(PublicKey(certificate.key))
    } else {
        Err(Error::CertificateInvalid)
    }
}

/// Checks that a certified provider signed `message`; `signature` is `r‖s`.
///
/// # Errors
/// [`Error::CertificateInvalid`], [`Error::SignatureInvalid`].
pub fn check_signed(
    certificate: &ProviderCertificate,
    message: &[u8],
    signature: &[u8; 64],
) -> Result<(), Error> {
    if certified(certificate)?.verifies(message, signature) { Ok(()) } else { Err(Error::SignatureInvalid) }
}

/// The boot service: the one caller the supervisor knows before there is a policy.
pub const BOOT_SERVICE: Caller = Caller {
    login: login::GROUP,
    uuid: Uuid(unhex(chosen(option_env!("TAPVAULT_BOOT_GROUP"), LAB_BOOT_GROUP))),
};

/// Whether any of the four is the lab's, so that a status report can say so.
pub const IS_LAB: bool = option_env!("TAPVAULT_TRUST_ROOT").is_none()
    || option_env!("TAPVAULT_FACTORY_ROOT").is_none()
    || option_env!("TAPVAULT_PLATFORM_KEY").is_none()
    || option_env!("TAPVAULT_BOOT_GROUP").is_none();

const fn chosen(product: Option<&'static str>, lab: &'static str) -> &'static str {
    match product {
        Some(value) => value,
        None => lab,
    }
}

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler only; a bad index ends the build")]
const fn unhex<const N: usize>(text: &str) -> [u8; N] {
    let digits = text.as_bytes();
    assert!(digits.len() == 2 * N, "a key has 130 hexadecimal digits, a group UUID 32");
    let mut bytes = [0; N];
    let mut at = 0;
    while at < N {
        bytes[at] = nibble(digits[2 * at]) << 4 | nibble(digits[2 * at + 1]);
        at += 1;
    }
    bytes
}

const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => {
            assert!(digit == b'0', "lower-case hexadecimal digits only");
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p256::ecdsa::SigningKey;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_lab_keys_are_the_published_ones() {
        for (label, key) in [
            ("tapvault lab trust root", TRUST_ROOT),
            ("tapvault lab factory root", FACTORY_ROOT),
            ("tapvault lab platform key", PLATFORM_KEY),
        ] {
            let secret = SigningKey::from_slice(&Sha256::digest(label)).unwrap();
            assert_eq!(secret.verifying_key().to_sec1_point(false).as_bytes(), key.0, "{label}");
        }
        const { assert!(IS_LAB) };
    }
}
