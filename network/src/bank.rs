//! The bank's provisioning: seals a card for one challenge of one phone, and permits a wallet PIN.

mod pin;

use crate::{
    device::{self, DeviceError},
    keyblock::{self, Kbpk, Version},
    lab::{self, LabBank, sign},
    offline::OfflineRecord,
    sm2_seal::{recipient as sm2_recipient, seal as sm2_seal},
};
use hpke::{
    Deserializable, Kem, OpModeS, Serializable,
    aead::{AeadCtxS, AesGcm128},
    inout::InOutBuf,
    kdf::HkdfSha256,
    kem::DhP256HkdfSha256,
    setup_sender,
};
use p256::ecdsa::{SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use std::fmt;
use tapvault_proto::{
    Error,
    device::{ChallengeReply, Sealing},
    document::{
        Contents, KEY_BLOCK_B, KEY_BLOCK_D, KeyBlock, MAX_CIPHERTEXT, Package, PackageHeader, SealedPackage,
    },
    element::InstallElementKeysRequest,
    id::{CardId, ProviderId},
    limited::{KeyBatch, ReplenishRequest},
    offline::OfflineCommand,
    pin::{EnrolmentTicket, ProviderCertificate, TicketPurpose},
    profile::{CardKeys, CardProfile},
    token::{ChannelKey, TimeStatement, TokenAction, TokenCommand},
    tvm::{ElementKeys, InstallElementRequest},
    wire::{Bytes, Wire, decode_exact, encode_into},
};
use zeroize::Zeroizing;

/// Why nothing was sealed or signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BankError {
    /// There is no such lab bank.
    UnknownBank,
    /// The recipient key is not a point of P-256, or of SM2's curve where SM2 seals.
    Recipient,
    /// The device is not known to be genuine.
    Device(DeviceError),
    /// The profile breaks the rules of the card trusted app.
    Profile(Error),
    /// Such keys, or in such a package, come in no key blocks of this version.
    KeyBlocks,
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
                "the recipient key is no point of its curve; take it from `tapvault card challenge --json`",
            ),
            Self::Device(error) => error.fmt(f),
            Self::Profile(error) => write!(f, "the card trusted app would refuse the profile: {error:?}"),
            Self::KeyBlocks => f.write_str(
                "key blocks carry the derived keys of a 3DES card (B or D) or an AES card (D), sealed with hpke",
            ),
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
    factory_root: VerifyingKey,
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
        Ok(Self { bank, key, certificate, factory_root: *lab::factory_root().verifying_key() })
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

    /// Checks that a challenge comes from a trusted app of a certified device, ahead of issuing for it.
    ///
    /// # Errors
    /// [`BankError::Device`], [`BankError::Recipient`].
    pub fn check(&self, challenge: &ChallengeReply) -> Result<(), BankError> {
        device::check(&self.factory_root, challenge).map_err(BankError::Device)?;
        match challenge.sealing {
            Sealing::Hpke => parse_recipient(&challenge.recipient).map(|_| ()),
            Sealing::Sm2 => sm2_recipient(&challenge.recipient).map(|_| ()).ok_or(BankError::Recipient),
        }
    }

    /// Seals a profile for a challenge, once it is known to come from a trusted app of a certified device; returns the
    /// package, JSON of at most [`tapvault_proto::document::MAX_PACKAGE`] bytes. It opens once, in the run of the
    /// trusted app that drew the challenge.
    ///
    /// # Errors
    /// [`BankError::Device`], [`BankError::Profile`], [`BankError::Recipient`].
    pub fn seal(
        &self,
        card: CardId,
        challenge: &ChallengeReply,
        profile: &CardProfile,
    ) -> Result<String, BankError> {
        self.seal_keys(card, challenge, profile, None)
    }

    /// As [`Self::seal`], with the card's keys in TR-31 key blocks of a version, under a protection key that is
    /// exported from the package's HPKE seal.
    ///
    /// # Errors
    /// As [`Self::seal`]; [`BankError::KeyBlocks`] where keys cannot come in such blocks.
    pub fn seal_key_blocks(
        &self,
        card: CardId,
        challenge: &ChallengeReply,
        profile: &CardProfile,
        version: Version,
    ) -> Result<String, BankError> {
        self.seal_keys(card, challenge, profile, Some(version))
    }

    fn seal_keys(
        &self,
        card: CardId,
        challenge: &ChallengeReply,
        profile: &CardProfile,
        version: Option<Version>,
    ) -> Result<String, BankError> {
        self.check(challenge)?;
        profile.check().map_err(BankError::Profile)?;
        let ChallengeReply { challenge, recipient, sealing, .. } = challenge;
        let header = PackageHeader { sealing: *sealing, challenge: *challenge, card, provider: self.id() };
        let info = header.info();
        let (encapsulated, ciphertext) = match (sealing, version) {
            (Sealing::Hpke, version) => {
                let (encapsulated, mut context) = hpke_sender(recipient, &info)?;
                let plain = contents(profile, |profile| match version {
                    None => Ok(Vec::new()),
                    Some(version) => key_blocks(profile, version, |name, secret| {
                        context.export(name, secret).map_err(|_| BankError::Internal)
                    }),
                })?;
                (Bytes::from_iter(encapsulated), hpke_finish(&mut context, &plain)?)
            }
            (Sealing::Sm2, None) => {
                let plain = contents(profile, |_| Ok(Vec::new()))?;
                sm2_seal(recipient, &info, &plain).ok_or(BankError::Recipient)?
            }
            (Sealing::Sm2, Some(_)) => return Err(BankError::KeyBlocks),
        };

        let digest = Sha256::new().chain_update(&encapsulated).chain_update(&ciphertext).finalize();
        let signature = sign(&self.key, &header.signed_bytes(&digest.into()));
        let certificate = self.certificate.clone();
        package_json(&Package { certificate, header, encapsulated, ciphertext, signature })
    }

    /// Seals a batch of limited-use keys for a card, as [`Self::seal`] does a profile.
    ///
    /// # Errors
    /// [`BankError::Device`], [`BankError::Recipient`].
    pub fn seal_batch(
        &self,
        card: CardId,
        challenge: &ChallengeReply,
        batch: &KeyBatch,
    ) -> Result<ReplenishRequest, BankError> {
        self.check(challenge)?;
        let ChallengeReply { challenge, recipient, .. } = challenge;
        let mut plain = Zeroizing::new([0; <KeyBatch as Wire>::MAX]);
        let length = encode_into(batch, plain.as_mut_slice()).map_err(|_| BankError::Internal)?;
        let plain = plain.get(..length).ok_or(BankError::Internal)?;
        let info = ReplenishRequest::info(challenge, card, self.id());
        let (encapsulated, sealed) = hpke_seal(recipient, &info, plain)?;
        let digest = Sha256::new().chain_update(encapsulated).chain_update(&sealed).finalize();
        let mut request = ReplenishRequest {
            certificate: self.certificate.clone(),
            card,
            challenge: *challenge,
            encapsulated,
            sealed: Bytes::from_slice(&sealed).map_err(|_| BankError::Internal)?,
            signature: [0; 64],
        };
        request.signature = sign(&self.key, &request.signed_bytes(&digest.into()));
        Ok(request)
    }

    /// Seals the secure element's keys for the challenge and key that the card trusted app drew.
    ///
    /// # Errors
    /// [`BankError::Recipient`].
    pub fn element_keys(
        &self,
        challenge: &[u8; 32],
        recipient: &[u8; 65],
        keys: &ElementKeys,
    ) -> Result<InstallElementKeysRequest, BankError> {
        let info = InstallElementKeysRequest::info(challenge, self.id());
        let (encapsulated, sealed) = seal_keys(recipient, &info, keys)?;
        let (certificate, challenge) = (self.certificate.clone(), *challenge);
        let mut request =
            InstallElementKeysRequest { certificate, challenge, encapsulated, sealed, signature: [0; 64] };
        request.signature = sign(&self.key, &request.signed_bytes());
        Ok(request)
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

    /// Says what a card may pay offline, as its issuer has it on record.
    #[must_use]
    pub fn offline_command(&self, card: CardId, key_version: u8, record: &OfflineRecord) -> OfflineCommand {
        let OfflineRecord { loaded, commands: sequence, closed, cleared, .. } = *record;
        let (certificate, signature) = (self.certificate.clone(), [0; 64]);
        let mut command =
            OfflineCommand { certificate, card, key_version, sequence, loaded, closed, cleared, signature };
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
    let (encapsulated, sealed) =
        seal_keys(recipient, &InstallElementRequest::info(challenge, provider), keys)?;
    let mut request =
        InstallElementRequest { challenge: *challenge, encapsulated, sealed, signature: [0; 64] };
    request.signature = sign(key, &request.signed_bytes(provider));
    Ok(request)
}

fn seal_keys(
    recipient: &[u8; 65],
    info: &[u8],
    keys: &ElementKeys,
) -> Result<([u8; 65], [u8; ElementKeys::SEALED]), BankError> {
    let mut plain = Zeroizing::new([0; <ElementKeys as Wire>::MAX]);
    let length = encode_into(keys, plain.as_mut_slice()).map_err(|_| BankError::Internal)?;
    let plain = plain.get(..length).ok_or(BankError::Internal)?;
    let (encapsulated, sealed) = hpke_seal(recipient, info, plain)?;
    let sealed = sealed.as_slice().try_into().map_err(|_| BankError::Internal)?;
    Ok((encapsulated, sealed))
}

impl Provider {
    /// Flips one bit of a package's ciphertext and signs it anew: for showing that the seal holds by itself.
    ///
    /// # Errors
    /// [`BankError::Package`].
    pub fn tamper_and_sign(&self, package: &[u8]) -> Result<String, BankError> {
        let mut package = flipped(package)?;
        let digest =
            Sha256::new().chain_update(&package.encapsulated).chain_update(&package.ciphertext).finalize();
        package.signature = sign(&self.key, &package.header.signed_bytes(&digest.into()));
        package_json(&package)
    }
}

/// Flips one bit of a package's ciphertext: for showing that the trusted app refuses it.
///
/// # Errors
/// [`BankError::Package`].
pub fn tamper(package: &[u8]) -> Result<String, BankError> {
    package_json(&flipped(package)?)
}

fn flipped(package: &[u8]) -> Result<Package, BankError> {
    let mut package = SealedPackage::parse(package).map_err(BankError::Package)?;
    let byte = package.ciphertext.first_mut().ok_or(BankError::Package(Error::PackageMalformed))?;
    *byte ^= 0x01;
    Ok(package)
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
    let (encapsulated, mut context) = hpke_sender(recipient, info)?;
    Ok((encapsulated, hpke_finish(&mut context, plain)?))
}

type Sender = AeadCtxS<AesGcm128, HkdfSha256, DhP256HkdfSha256>;

fn hpke_sender(recipient: &[u8; 65], info: &[u8]) -> Result<([u8; 65], Sender), BankError> {
    let recipient = parse_recipient(recipient)?;
    let (encapsulated, context) =
        setup_sender::<AesGcm128, HkdfSha256, DhP256HkdfSha256>(&OpModeS::Base, &recipient, info)
            .map_err(|_| BankError::Recipient)?;
    let encapsulated = encapsulated.to_bytes().as_slice().try_into().map_err(|_| BankError::Internal)?;
    Ok((encapsulated, context))
}

fn hpke_finish(context: &mut Sender, plain: &[u8]) -> Result<Bytes<MAX_CIPHERTEXT>, BankError> {
    // Overwritten in place by the ciphertext: the plain profile does not stay behind.
    let mut sealed = Bytes::from_slice(plain).map_err(|_| BankError::Internal)?;
    let tag = context
        .seal_inout_detached(InOutBuf::from(sealed.as_mut_slice()), &[])
        .map_err(|_| BankError::Internal)?;
    sealed.extend_from_slice(&tag.to_bytes()).map_err(|_| BankError::Internal)?;
    Ok(sealed)
}

/// A profile as it is sealed: with its keys, or with none and the key blocks that `wrap` makes of them.
fn contents(
    profile: &CardProfile,
    wrap: impl FnOnce(&CardProfile) -> Result<Vec<KeyBlock>, BankError>,
) -> Result<Zeroizing<Vec<u8>>, BankError> {
    let mut plain = Zeroizing::new(vec![0; <CardProfile as Wire>::MAX]);
    let length = encode_into(profile, plain.as_mut_slice()).map_err(|_| BankError::Internal)?;
    let mut profile: CardProfile =
        decode_exact(plain.get(..length).ok_or(BankError::Internal)?).map_err(BankError::Profile)?;
    let blocks = wrap(&profile)?;
    if !blocks.is_empty() {
        profile.keys = CardKeys::Udk([].into_iter().collect());
    }
    let contents = Contents { profile, blocks: blocks.into_iter().collect() };
    let mut plain = Zeroizing::new(vec![0; <Contents as Wire>::MAX]);
    let length = encode_into(&contents, plain.as_mut_slice()).map_err(|_| BankError::Internal)?;
    plain.truncate(length);
    Ok(plain)
}

fn key_blocks(
    profile: &CardProfile,
    version: Version,
    mut export: impl FnMut(&[u8], &mut [u8]) -> Result<(), BankError>,
) -> Result<Vec<KeyBlock>, BankError> {
    let (CardKeys::Udk(keys), Some(algorithm)) = (&profile.keys, keyblock::algorithm(profile.suite, version))
    else {
        return Err(BankError::KeyBlocks);
    };
    let kbpk = match version {
        Version::B => {
            let mut key = Zeroizing::new([0; 16]);
            export(KEY_BLOCK_B, key.as_mut_slice())?;
            Kbpk::B(key)
        }
        Version::D => {
            let mut key = Zeroizing::new([0; 32]);
            export(KEY_BLOCK_D, key.as_mut_slice())?;
            Kbpk::D(key)
        }
    };
    let wrap = |key: &ChannelKey| {
        let block = keyblock::wrap(&kbpk, algorithm, &key.udk).ok_or(BankError::Internal)?;
        let block = Bytes::from_slice(block.as_bytes()).map_err(|_| BankError::Internal)?;
        Ok(KeyBlock { channel: key.channel, block })
    };
    keys.iter().map(wrap).collect()
}

fn parse_recipient(key: &[u8; 65]) -> Result<<DhP256HkdfSha256 as Kem>::PublicKey, BankError> {
    <DhP256HkdfSha256 as Kem>::PublicKey::from_bytes(key).map_err(|_| BankError::Recipient)
}
