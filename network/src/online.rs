//! Merchants and wallets that sign payment requests, and the acquirer that opens what comes back.

use crate::{
    bank::BankError,
    lab::{self, sign},
    registry::REQUESTOR,
    request::{AuthorisationRequest, CardAnswer},
};
use hpke::{
    Deserializable, Kem, OpModeR, Serializable, aead::AesGcm128, kdf::HkdfSha256, kem::DhP256HkdfSha256,
    single_shot_open,
};
use p256::ecdsa::SigningKey;
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;
use tapvault_proto::{
    emv::gpo::amount_bcd,
    online::{OnlinePayReply, Order, PayeeCertificate, PaymentData, PaymentRequest, Role, number},
    wire::{Bytes, decode_exact},
};
use zeroize::Zeroizing;

/// Why a payment was not taken to the issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnlineError {
    /// The request is not this payee's.
    OtherPayee,
    /// The request breaks a rule of its fields.
    Request,
    /// The payment data do not open: they are for another payee or another request, or were altered.
    Sealed,
    /// The payment data are not those of a card, or are for another request.
    Data,
}

impl fmt::Display for OnlineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherPayee => "the request was signed for another payee; settle it with that one's keys",
            Self::Request => {
                "the order breaks a rule: texts are printable ASCII, amounts have up to 12 digits"
            }
            Self::Sealed => "the payment data do not open: for another payee or request, or altered",
            Self::Data => "the payment data are not those of a card for this request",
        })
    }
}

impl std::error::Error for OnlineError {}

/// A merchant or wallet with its acquirer. Its keys are wiped when dropped; there is no `Debug`.
pub struct Payee {
    certificate: PayeeCertificate,
    key: SigningKey,
    acquirer: <DhP256HkdfSha256 as Kem>::PrivateKey,
}

impl Payee {
    /// A lab merchant of any id, up to 15 characters, certified by the lab's trust root.
    ///
    /// # Errors
    /// [`BankError::Internal`] for an id or name that is too long.
    pub fn merchant(id: &str, name: &str) -> Result<Self, BankError> {
        Self::new(Role::Merchant, id.as_bytes(), name)
    }

    /// The lab's wallet: the token requestor of every lab token.
    ///
    /// # Errors
    /// [`BankError::Internal`] never: the lengths are fixed.
    pub fn wallet() -> Result<Self, BankError> {
        Self::new(Role::Wallet, &REQUESTOR, "Lab Wallet")
    }

    /// Any payee of the lab.
    ///
    /// # Errors
    /// [`BankError::Internal`] for an id or name that is too long.
    pub fn new(role: Role, id: &[u8], name: &str) -> Result<Self, BankError> {
        let text = String::from_utf8_lossy(id).into_owned();
        let key = lab::key(&format!("tapvault lab payee {} {text}", role as u8));
        let seed = Zeroizing::new(Sha256::digest(format!("tapvault lab acquirer {} {text}", role as u8)));
        let (acquirer, recipient) = DhP256HkdfSha256::derive_keypair(&seed);
        let mut certificate = PayeeCertificate {
            role,
            id: Bytes::from_slice(id).map_err(|_| BankError::Internal)?,
            name: Bytes::from_slice(name.as_bytes()).map_err(|_| BankError::Internal)?,
            key: point(key.verifying_key().to_sec1_point(false).as_bytes())?,
            recipient: point(&recipient.to_bytes())?,
            signature: [0; 64],
        };
        let signed = certificate.signed_bytes().map_err(|_| BankError::Internal)?;
        certificate.signature = sign(&lab::trust_root(), &signed);
        Ok(Self { certificate, key, acquirer })
    }

    /// Its certificate under the trust root.
    #[must_use]
    pub const fn certificate(&self) -> &PayeeCertificate {
        &self.certificate
    }

    /// The acquirer's private key, 32 bytes, for programs of others: everybody can compute it, as all of the lab's.
    #[must_use]
    pub fn lab_acquirer_key(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.acquirer.to_bytes().to_vec())
    }

    /// An order of its own: of a wallet, the merchant has to be named with [`Self::request`].
    ///
    /// # Errors
    /// [`OnlineError::Request`].
    pub fn own_order(
        &self,
        number: &str,
        (amount, currency): (u64, u16),
        expires: u64,
    ) -> Result<Order, OnlineError> {
        let number = Bytes::from_slice(number.as_bytes()).map_err(|_| OnlineError::Request)?;
        let (merchant, name) = (self.certificate.id.clone(), self.certificate.name.clone());
        Ok(Order { merchant, name, number, amount, currency, expires })
    }

    /// Signs an order.
    ///
    /// # Errors
    /// [`OnlineError::Request`].
    pub fn request(&self, order: Order) -> Result<PaymentRequest, OnlineError> {
        let mut request = PaymentRequest { certificate: self.certificate.clone(), order, signature: [0; 64] };
        if !request.check() {
            return Err(OnlineError::Request);
        }
        request.signature = sign(&self.key, &request.signed_bytes().map_err(|_| OnlineError::Request)?);
        Ok(request)
    }

    /// Opens what a card answered to `request` and makes the question to the issuer out of it. Amount, currency and
    /// number are the request's own, as the payee knows it: a card that paid anything else made another cryptogram.
    ///
    /// # Errors
    /// [`OnlineError`].
    pub fn open(
        &self,
        request: &PaymentRequest,
        answer: &OnlinePayReply,
    ) -> Result<AuthorisationRequest, OnlineError> {
        if request.certificate != self.certificate {
            return Err(OnlineError::OtherPayee);
        }
        let digest = digest(request)?;
        let encapsulated = <DhP256HkdfSha256 as Kem>::EncappedKey::from_bytes(&answer.encapsulated)
            .map_err(|_| OnlineError::Sealed)?;
        let plain = single_shot_open::<AesGcm128, HkdfSha256, DhP256HkdfSha256>(
            &OpModeR::Base,
            &self.acquirer,
            &encapsulated,
            &PaymentData::info(&digest),
            &answer.sealed,
            &[],
        )
        .map_err(|_| OnlineError::Sealed)?;
        let data = decode_exact::<PaymentData>(&Zeroizing::new(plain)).map_err(|_| OnlineError::Data)?;
        if !bool::from(data.digest.ct_eq(&digest)) {
            return Err(OnlineError::Data);
        }
        let order = &request.order;
        let amount = amount_bcd(order.amount).ok_or(OnlineError::Request)?;
        let card = CardAnswer {
            aip: data.aip,
            atc: data.atc.to_be_bytes(),
            issuer_data: data.issuer_data.to_vec(),
            cryptogram: data.cryptogram,
            track2: data.track2.to_vec(),
            psn: data.psn,
            ctq: [0; 2],
        };
        let asked = (amount, order.currency.to_be_bytes());
        let channel = request.certificate.role.channel();
        Ok(AuthorisationRequest::without_terminal(channel, asked, number(&digest), card))
    }
}

/// SHA-256 of what is signed: the digest that the holder approves.
///
/// # Errors
/// [`OnlineError::Request`] never: the lengths are bounded by type.
pub fn digest(request: &PaymentRequest) -> Result<[u8; 32], OnlineError> {
    let signed = request.signed_bytes().map_err(|_| OnlineError::Request)?;
    Ok(Sha256::digest(&signed).into())
}

fn point(bytes: &[u8]) -> Result<[u8; 65], BankError> {
    bytes.try_into().map_err(|_| BankError::Internal)
}
