//! Payments in apps and online shops: a merchant, or a wallet that is a token requestor of its own, signs what is to be
//! paid; the card answers for the acquirer's key in the signer's certificate.

use crate::{
    Error,
    document::{from_json, hex, to_json, unhex},
    id::CardId,
    pin::MAX_PAYEE,
    token::{Channel, MAX_MERCHANT, REQUESTOR_LEN},
    wire::{Bytes, Wire, Writer},
};
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Longest payment request in bytes of JSON.
pub const MAX_PAYMENT_REQUEST: usize = 1280;
/// Longest order number in bytes.
pub const MAX_ORDER: usize = 32;
/// Longest payment data, encrypted, in bytes: 16 more than in clear.
pub const MAX_SEALED: usize = PaymentData::MAX + 16;
/// Most that a payment may come to, in minor units: 12 digits, tag 9F02.
const MAX_AMOUNT: u64 = 999_999_999_999;

const CERTIFICATE_LABEL: &[u8; 24] = b"tapvault payee cert    1";
const REQUEST_LABEL: &[u8; 24] = b"tapvault pay request   1";
const DATA_LABEL: &[u8; 24] = b"tapvault payment data  1";

crate::code! {
    /// Who asks for payments.
    Role {
        /// A merchant, for itself.
        Merchant = 1,
        /// A wallet that is a token requestor, for merchants that it names.
        Wallet = 2,
    }
}

impl Role {
    /// The way that its requests are paid.
    #[must_use]
    pub const fn channel(self) -> Channel {
        match self {
            Self::Merchant => Channel::InApp,
            Self::Wallet => Channel::Wallet,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Merchant => "merchant",
            Self::Wallet => "wallet",
        }
    }
}

crate::message! {
    /// A merchant or wallet, certified under the trust root.
    #[derive(Clone, Debug, PartialEq, Eq)]
    PayeeCertificate {
        /// What it is.
        role: Role,
        /// A merchant's id, or the 11 digits of a token requestor.
        id: Bytes<MAX_MERCHANT>,
        /// Its name, printable ASCII.
        name: Bytes<MAX_PAYEE>,
        /// Its P-256 key for requests, SEC 1 uncompressed.
        key: [u8; 65],
        /// Its acquirer's P-256 key for payment data, SEC 1 uncompressed.
        recipient: [u8; 65],
        /// ECDSA P-256 / SHA-256 by the trust root over [`Self::signed_bytes`], `r‖s`.
        signature: [u8; 64],
    }
}

/// Length of the certified fields, at most.
const MAX_CERTIFIED: usize = 24 + PayeeCertificate::MAX - 64;
/// Length of the signed fields, at most.
const MAX_SIGNED: usize = 24 + PayeeCertificate::MAX - 64 + Order::MAX;

impl PayeeCertificate {
    /// What the trust root signs: a domain label, then every other field as on the wire.
    ///
    /// # Errors
    /// [`Error::Internal`] never: the lengths are bounded by type.
    pub fn signed_bytes(&self) -> Result<Bytes<MAX_CERTIFIED>, Error> {
        signed(CERTIFICATE_LABEL, |out| self.encode_fields(out))
    }

    fn encode_fields(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        self.role.encode(out)?;
        self.id.encode(out)?;
        self.name.encode(out)?;
        self.key.encode(out)?;
        self.recipient.encode(out)
    }

    fn check(&self) -> bool {
        let id_fits = match self.role {
            Role::Merchant => is_token(&self.id),
            Role::Wallet => self.id.len() == REQUESTOR_LEN && self.id.iter().all(u8::is_ascii_digit),
        };
        id_fits && is_name(&self.name)
    }
}

crate::message! {
    /// What is to be paid.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Order {
        /// The merchant's id.
        merchant: Bytes<MAX_MERCHANT>,
        /// The merchant's name, printable ASCII: what the holder is shown.
        name: Bytes<MAX_PAYEE>,
        /// The order's number at the merchant: no two payments share one.
        number: Bytes<MAX_ORDER>,
        /// Amount in minor units.
        amount: u64,
        /// ISO 4217 numeric code, as in tag 5F2A.
        currency: u16,
        /// Last second at which it may be paid, since 1970 UTC.
        expires: u64,
    }
}

/// A signed order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentRequest {
    /// Who signs.
    pub certificate: PayeeCertificate,
    /// What is to be paid.
    pub order: Order,
    /// ECDSA P-256 / SHA-256 by the certified key over [`Self::signed_bytes`], `r‖s`.
    pub signature: [u8; 64],
}

/// A payment request as text. Numbers of cards and keys of payment are not in it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PaymentRequestDocument<'a> {
    /// Document format; 1.
    pub format: u8,
    /// `merchant` or `wallet`: who signs.
    pub role: &'a str,
    /// The signer's id.
    pub signer: &'a str,
    /// The signer's name.
    pub signer_name: &'a str,
    /// The signer's key, 65 bytes.
    pub signer_key: &'a str,
    /// The acquirer's key, 65 bytes.
    pub recipient: &'a str,
    /// The trust root's signature, 64 bytes.
    pub certificate: &'a str,
    /// The merchant's id.
    pub merchant: &'a str,
    /// The merchant's name.
    pub name: &'a str,
    /// The order's number.
    pub order: &'a str,
    /// Amount in minor units.
    pub amount: u64,
    /// ISO 4217 numeric code, four digits.
    pub currency: &'a str,
    /// Last second, since 1970 UTC.
    pub expires: u64,
    /// The signer's signature, 64 bytes.
    pub signature: &'a str,
}

impl PaymentRequest {
    /// Parses JSON; unknown fields, wrong lengths, escapes in texts and trailing text are refused. Signatures are not
    /// looked at.
    ///
    /// # Errors
    /// [`Error::RequestMalformed`].
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        Self::read(json).ok_or(Error::RequestMalformed)
    }

    fn read(json: &[u8]) -> Option<Self> {
        let document: PaymentRequestDocument<'_> = from_json(json).ok()?;
        let role = [Role::Merchant, Role::Wallet].into_iter().find(|role| role.name() == document.role)?;
        let request = Self {
            certificate: PayeeCertificate {
                role,
                id: text(document.signer)?,
                name: text(document.signer_name)?,
                key: unhex(document.signer_key).ok()?,
                recipient: unhex(document.recipient).ok()?,
                signature: unhex(document.certificate).ok()?,
            },
            order: Order {
                merchant: text(document.merchant)?,
                name: text(document.name)?,
                number: text(document.order)?,
                amount: document.amount,
                currency: u16::from_be_bytes(unhex(document.currency).ok()?),
                expires: document.expires,
            },
            signature: unhex(document.signature).ok()?,
        };
        (document.format == 1 && request.check()).then_some(request)
    }

    /// Whether it keeps the rules of its fields. A merchant signs for itself, under its certified name.
    #[must_use]
    pub fn check(&self) -> bool {
        let Self { certificate, order, .. } = self;
        let own = match certificate.role {
            Role::Merchant => certificate.id == order.merchant && certificate.name == order.name,
            Role::Wallet => true,
        };
        let digits = order.currency.to_be_bytes().iter().all(|byte| byte >> 4 < 10 && byte & 0x0F < 10);
        own && certificate.check()
            && is_token(&order.merchant)
            && is_name(&order.name)
            && is_token(&order.number)
            && (1..=MAX_AMOUNT).contains(&order.amount)
            && digits
    }

    /// What the signer signs: a domain label, its certificate without the root's signature, and the order, as on the
    /// wire. The SHA-256 of these bytes is the payment's digest: it names signer, acquirer, merchant, order and amount.
    ///
    /// # Errors
    /// [`Error::Internal`] never: the lengths are bounded by type.
    pub fn signed_bytes(&self) -> Result<Bytes<MAX_SIGNED>, Error> {
        signed(REQUEST_LABEL, |out| {
            self.certificate.encode_fields(out)?;
            self.order.encode(out)
        })
    }

    /// The request as JSON, as [`PaymentRequestDocument`] describes it.
    ///
    /// # Errors
    /// [`Error::Internal`] for a text that is no UTF-8.
    pub fn to_json(&self) -> Result<Vec<u8, MAX_PAYMENT_REQUEST>, Error> {
        let Self { certificate, order, signature } = self;
        let utf8 = |bytes| core::str::from_utf8(bytes).map_err(|_| Error::Internal);
        to_json(&PaymentRequestDocument {
            format: 1,
            role: certificate.role.name(),
            signer: utf8(&certificate.id)?,
            signer_name: utf8(&certificate.name)?,
            signer_key: &hex::<130>(&certificate.key)?,
            recipient: &hex::<130>(&certificate.recipient)?,
            certificate: &hex::<128>(&certificate.signature)?,
            merchant: utf8(&order.merchant)?,
            name: utf8(&order.name)?,
            order: utf8(&order.number)?,
            amount: order.amount,
            currency: &hex::<4>(&order.currency.to_be_bytes())?,
            expires: order.expires,
            signature: &hex::<128>(signature)?,
        })
    }
}

crate::message! {
    /// What an acquirer needs to have a request paid.
    #[derive(Clone, Debug, PartialEq, Eq)]
    PaymentData {
        /// Track 2 equivalent data, tag 57: token, `D`, expiry, service code.
        track2: Bytes<19>,
        /// Sequence number of the token, tag 5F34.
        psn: u8,
        /// The token requestor's id, tag 9F19: 11 digits.
        requestor: [u8; REQUESTOR_LEN],
        /// Application interchange profile, tag 82.
        aip: [u8; 2],
        /// Application transaction counter, tag 9F36.
        atc: u16,
        /// Issuer application data, tag 9F10.
        issuer_data: [u8; 8],
        /// Application cryptogram, tag 9F26, over the request's amount, currency and [`number`].
        cryptogram: [u8; 8],
        /// The digest of the request that is paid.
        digest: [u8; 32],
    }
}

impl PaymentData {
    /// The HPKE `info` under which it is sealed: a domain label and the request's digest.
    #[must_use]
    pub fn info(digest: &[u8; 32]) -> [u8; 56] {
        crate::pin::concat(DATA_LABEL, &[digest])
    }
}

/// The unpredictable number, tag 9F37, of a payment: the first four bytes of its digest, so that the cryptogram is for
/// this order of this merchant.
#[must_use]
pub fn number(digest: &[u8; 32]) -> [u8; 4] {
    let [a, b, c, d, ..] = *digest;
    [a, b, c, d]
}

crate::message! {
    /// Checks a request, takes the holder's approval of it, and makes ready for one payment.
    #[derive(Clone, Debug, PartialEq, Eq)]
    OnlinePrepareRequest {
        /// The card that is to pay.
        card: CardId,
        /// A [`PaymentRequestDocument`] in JSON.
        request: Bytes<MAX_PAYMENT_REQUEST>,
    }
}
crate::message! {
    /// Pays the request that was prepared; there is one.
    #[derive(Clone, Debug, PartialEq, Eq)]
    OnlinePayRequest {
        /// The card.
        card: CardId,
    }
}
crate::message! {
    /// Payment data for the acquirer alone: HPKE (RFC 9180) in base mode with DHKEM(P-256, HKDF-SHA256), HKDF-SHA256
    /// and AES-128-GCM; `info` is [`PaymentData::info`], the associated data is empty.
    #[derive(Clone, Debug, PartialEq, Eq)]
    OnlinePayReply {
        /// The encapsulated key, SEC 1 uncompressed.
        encapsulated: [u8; 65],
        /// [`PaymentData`], encrypted, and a tag of 16 bytes.
        sealed: Bytes<MAX_SEALED>,
    }
}

fn signed<const N: usize>(
    label: &[u8; 24],
    fields: impl FnOnce(&mut Writer<'_>) -> Result<(), Error>,
) -> Result<Bytes<N>, Error> {
    let mut bytes = Bytes::new();
    bytes.resize_default(N).map_err(|_| Error::Internal)?;
    let mut out = Writer::new(&mut bytes);
    let written = out.put(label).and_then(|()| fields(&mut out)).map(|()| out.len());
    bytes.truncate(written.map_err(|_| Error::Internal)?);
    Ok(bytes)
}

fn text<const N: usize>(text: &str) -> Option<Bytes<N>> {
    Bytes::from_slice(text.as_bytes()).ok()
}

/// Letters, digits and signs without spaces, and nothing that JSON would write otherwise.
fn is_token(text: &[u8]) -> bool {
    is_name(text) && !text.contains(&b' ')
}

/// Printable ASCII, and nothing that JSON would write otherwise.
fn is_name(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| (0x20..0x7F).contains(byte) && *byte != b'"' && *byte != b'\\')
}
