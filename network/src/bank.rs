//! The bank's provisioning: seals a card for one challenge of one phone, and permits a wallet PIN.

use crate::lab::{self, LabBank, sign};
use hpke::{
    Deserializable, Kem, OpModeS, Serializable, aead::AesGcm128, inout::InOutBuf, kdf::HkdfSha256,
    kem::DhP256HkdfSha256, single_shot_seal_inout_detached,
};
use p256::ecdsa::SigningKey;
use sha2::{Digest, Sha256};
use std::fmt;
use tapvault_proto::{
    Error,
    document::{MAX_CIPHERTEXT, Package, PackageHeader, SealedPackage},
    id::{CardId, ProviderId},
    pin::{EnrolmentTicket, ProviderCertificate, TicketPurpose},
    profile::CardProfile,
    token::{TimeStatement, TokenAction, TokenCommand},
    tvm::{ElementKeys, InstallElementRequest},
    wire::{Bytes, Wire, encode_into},
};
use zeroize::Zeroizing;

/// Why nothing was sealed or signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BankError {
    /// There is no such lab bank.
    UnknownBank,
    /// The recipient key is not a point of P-256.
    Recipient,
    /// The profile breaks the rules of the card trusted app.
    Profile(Error),
    /// The package could not be parsed.
    Package(Error),
    /// A length that cannot occur.
    Internal,
}

impl fmt::Display for BankError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownBank => f.write_str("the lab has the banks A to E"),
            Self::Recipient => f.write_str(
                "the recipient key is not a P-256 point; take it from `tapvault card challenge --json`",
            ),
            Self::Profile(error) => write!(f, "the card trusted app would refuse the profile: {error:?}"),
            Self::Package(error) => write!(f, "not a sealed package: {error:?}; give what `issue` printed"),
            Self::Internal => f.write_str("a length that cannot occur; report it"),
        }
    }
}

impl std::error::Error for BankError {}

/// A bank that provisions cards. Its key is wiped when dropped; there is no `Debug`.
pub struct Provider {
    bank: LabBank,
    key: SigningKey,
    certificate: ProviderCertificate,
}

impl Provider {
    /// The lab bank of this name, `A` or `B`, certified by the lab's trust root.
    ///
    /// # Errors
    /// [`BankError::UnknownBank`].
    pub fn lab(name: &str) -> Result<Self, BankError> {
        LabBank::by_name(name).ok_or(BankError::UnknownBank).and_then(Self::new)
    }

    /// A lab bank, certified by the lab's trust root.
    ///
    /// # Errors
    /// [`BankError::Internal`] never: a P-256 point has 65 bytes.
    pub fn new(bank: LabBank) -> Result<Self, BankError> {
        let key = bank.signing_key();
        let public = key.verifying_key().to_sec1_point(false);
        let mut certificate = ProviderCertificate {
            provider: bank.id(),
            key: public.as_bytes().try_into().map_err(|_| BankError::Internal)?,
            signature: [0; 64],
        };
        certificate.signature = sign(&lab::trust_root(), &certificate.signed_bytes());
        Ok(Self { bank, key, certificate })
    }

    /// Which bank it is.
    #[must_use]
    pub const fn bank(&self) -> LabBank {
        self.bank
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> ProviderId {
        self.certificate.provider
    }

    /// Its certificate under the trust root.
    #[must_use]
    pub const fn certificate(&self) -> &ProviderCertificate {
        &self.certificate
    }

    /// Checks a recipient key ahead of issuing for it.
    ///
    /// # Errors
    /// [`BankError::Recipient`].
    pub fn check_recipient(&self, recipient: &[u8; 65]) -> Result<(), BankError> {
        parse_recipient(recipient).map(|_| ())
    }

    /// Seals a profile for the challenge and key that the card trusted app drew; returns the package,
    /// JSON of at most [`tapvault_proto::document::MAX_PACKAGE`] bytes. It opens once, in the run of the trusted app that drew the
    /// challenge.
    ///
    /// # Errors
    /// [`BankError::Profile`], [`BankError::Recipient`].
    pub fn seal(
        &self,
        card: CardId,
        challenge: &[u8; 32],
        recipient: &[u8; 65],
        profile: &CardProfile,
    ) -> Result<String, BankError> {
        profile.check().map_err(BankError::Profile)?;
        let header = PackageHeader { challenge: *challenge, card, provider: self.id() };
        let mut plain = Zeroizing::new([0; <CardProfile as Wire>::MAX]);
        let length = encode_into(profile, plain.as_mut_slice()).map_err(|_| BankError::Internal)?;
        let plain = plain.get(..length).ok_or(BankError::Internal)?;
        let (encapsulated, ciphertext) = hpke_seal(recipient, &header.info(), plain)?;

        let digest = Sha256::new().chain_update(encapsulated).chain_update(&ciphertext).finalize();
        let signature = sign(&self.key, &header.signed_bytes(&digest.into()));
        let certificate = self.certificate.clone();
        package_json(&Package { certificate, header, encapsulated, ciphertext, signature })
    }

    /// Says what time it is, for a nonce that the card trusted app drew.
    #[must_use]
    pub fn time(&self, nonce: [u8; 32], time: u64) -> TimeStatement {
        let mut statement =
            TimeStatement { certificate: self.certificate.clone(), nonce, time, signature: [0; 64] };
        statement.signature = sign(&self.key, &statement.signed_bytes());
        statement
    }

    /// Commands a token: the command's number is one above that of the last one under this version of the card's keys.
    #[must_use]
    pub fn command(&self, card: CardId, key_version: u8, sequence: u32, action: TokenAction) -> TokenCommand {
        let certificate = self.certificate.clone();
        let mut command =
            TokenCommand { certificate, card, key_version, sequence, action, signature: [0; 64] };
        command.signature = sign(&self.key, &command.signed_bytes());
        command
    }

    /// Permits the PIN trusted app that drew `challenge` to set a wallet PIN, once.
    #[must_use]
    pub fn ticket(&self, purpose: TicketPurpose, challenge: [u8; 32]) -> EnrolmentTicket {
        let mut ticket =
            EnrolmentTicket { certificate: self.certificate.clone(), purpose, challenge, signature: [0; 64] };
        ticket.signature = sign(&self.key, &ticket.signed_bytes());
        ticket
    }
}

/// Seals a secure element's keys for one challenge of a provider's TVM, and signs them with the provider's
/// key.
///
/// # Errors
/// [`BankError::Recipient`].
pub fn seal_element_keys(
    provider: ProviderId,
    key: &SigningKey,
    challenge: &[u8; 32],
    recipient: &[u8; 65],
    keys: &ElementKeys,
) -> Result<InstallElementRequest, BankError> {
    let mut plain = Zeroizing::new([0; <ElementKeys as Wire>::MAX]);
    let length = encode_into(keys, plain.as_mut_slice()).map_err(|_| BankError::Internal)?;
    let plain = plain.get(..length).ok_or(BankError::Internal)?;
    let info = InstallElementRequest::info(challenge, provider);
    let (encapsulated, sealed) = hpke_seal(recipient, &info, plain)?;
    let sealed = sealed.as_slice().try_into().map_err(|_| BankError::Internal)?;
    let mut request =
        InstallElementRequest { challenge: *challenge, encapsulated, sealed, signature: [0; 64] };
    request.signature = sign(key, &request.signed_bytes(provider));
    Ok(request)
}

/// Flips one bit of a package's ciphertext: for showing that the trusted app refuses it.
///
/// # Errors
/// [`BankError::Package`].
pub fn tamper(package: &[u8]) -> Result<String, BankError> {
    let mut package = SealedPackage::parse(package).map_err(BankError::Package)?;
    let byte = package.ciphertext.first_mut().ok_or(BankError::Package(Error::PackageMalformed))?;
    *byte ^= 0x01;
    package_json(&package)
}

fn package_json(package: &Package) -> Result<String, BankError> {
    let json = package.to_json().map_err(|_| BankError::Internal)?;
    String::from_utf8(json.to_vec()).map_err(|_| BankError::Internal)
}

/// HPKE base mode, DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, no associated data: the
/// encapsulated key, and the ciphertext with its 16-byte tag at the end. The ephemeral key comes from the
/// operating system, whose failure ends the process.
fn hpke_seal(
    recipient: &[u8; 65],
    info: &[u8],
    plain: &[u8],
) -> Result<([u8; 65], Bytes<MAX_CIPHERTEXT>), BankError> {
    let recipient = parse_recipient(recipient)?;
    // Overwritten in place by the ciphertext: the plain profile does not stay behind.
    let mut sealed = Bytes::from_slice(plain).map_err(|_| BankError::Internal)?;
    let (encapsulated, tag) = single_shot_seal_inout_detached::<AesGcm128, HkdfSha256, DhP256HkdfSha256>(
        &OpModeS::Base,
        &recipient,
        info,
        InOutBuf::from(sealed.as_mut_slice()),
        &[],
    )
    .map_err(|_| BankError::Recipient)?;
    sealed.extend_from_slice(&tag.to_bytes()).map_err(|_| BankError::Internal)?;
    let encapsulated = encapsulated.to_bytes().as_slice().try_into().map_err(|_| BankError::Internal)?;
    Ok((encapsulated, sealed))
}

fn parse_recipient(key: &[u8; 65]) -> Result<<DhP256HkdfSha256 as Kem>::PublicKey, BankError> {
    <DhP256HkdfSha256 as Kem>::PublicKey::from_bytes(key).map_err(|_| BankError::Recipient)
}
