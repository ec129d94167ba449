//! Payments of a signed request: a merchant's in an app or online shop, or a wallet's that is a token requestor.
//!
//! Who signs is certified by the token service, and so is the key that payment data are sealed for: the platform
//! carries cipher text. The holder approves payee, amount and digest with the PIN before the card answers.

use crate::{
    engine::{self, Permit, Verification},
    store::Card,
    token,
};
use sha2::{Digest, Sha256};
use tapvault_proto::{
    Error,
    approval::Approval,
    emv::gpo::{PdolData, amount_bcd},
    id::CardId,
    online::{MAX_SEALED, OnlinePayReply, Order, PaymentData, PaymentRequest, Role, number},
    profile::CardProfile,
    token::Channel,
    wire::{Bytes, Wire, encode_into},
};
use tapvault_seal::Sealing;
use tapvault_tee::Tee;
use tapvault_trust::TRUST_ROOT;
use teei_hypervisor::signature::PublicKey;
use zeroize::Zeroizing;

/// A request that was signed by whom it says, and that the token may pay.
pub struct Checked {
    role: Role,
    order: Order,
    recipient: [u8; 65],
    digest: [u8; 32],
}

impl Checked {
    /// Checks certificate, signature, time and the token's domain, in this order; `time` is the provider's.
    ///
    /// # Errors
    /// [`Error::RequestMalformed`], [`Error::RequestCertificate`], [`Error::RequestSignature`],
    /// [`Error::RequestExpired`], [`Error::WrongRequestor`], [`Error::MerchantNotAllowed`],
    /// [`Error::AmountNotAllowed`].
    pub fn new(json: &[u8], profile: &CardProfile, time: u64) -> Result<Self, Error> {
        let request = PaymentRequest::parse(json)?;
        let PaymentRequest { certificate, order, .. } = &request;
        if !TRUST_ROOT.verifies(&certificate.signed_bytes()?, &certificate.signature) {
            return Err(Error::RequestCertificate);
        }
        let signed = request.signed_bytes()?;
        if !PublicKey(certificate.key).verifies(&signed, &request.signature) {
            return Err(Error::RequestSignature);
        }
        if time > order.expires {
            return Err(Error::RequestExpired);
        }
        if certificate.role == Role::Wallet && *certificate.id != profile.token.requestor {
            return Err(Error::WrongRequestor);
        }
        let merchants = &profile.token.domain.merchants;
        if !merchants.is_empty() && !merchants.contains(&order.merchant) {
            return Err(Error::MerchantNotAllowed);
        }
        if !token::permits_amount(profile, order.amount, order.currency) {
            return Err(Error::AmountNotAllowed);
        }
        let digest = Sha256::digest(&signed).into();
        let (role, recipient) = (certificate.role, certificate.recipient);
        Ok(Self { role, recipient, digest, order: request.order })
    }

    /// The way it is paid.
    pub const fn channel(&self) -> Channel {
        self.role.channel()
    }

    /// What the holder has to approve.
    pub fn approval(&self, card: CardId) -> Approval {
        Approval {
            card,
            channel: self.channel(),
            amount: self.order.amount,
            currency: self.order.currency,
            payee: self.order.name.clone(),
            digest: self.digest,
        }
    }

    /// Does the public-key work of sealing.
    ///
    /// # Errors
    /// [`Error::RecipientInvalid`].
    pub fn ready<T: Tee>(self, tee: &mut T) -> Result<Ready, Error> {
        let sealing = Sealing::to(tee, &self.recipient, &PaymentData::info(&self.digest))?;
        let Self { role, order, digest, .. } = self;
        let Order { amount, currency, expires, .. } = order;
        Ok(Ready { channel: role.channel(), amount, currency, expires, digest, sealing })
    }
}

/// A request that waits for its payment.
pub struct Ready {
    /// The way it is paid.
    pub channel: Channel,
    amount: u64,
    currency: u16,
    expires: u64,
    digest: [u8; 32],
    sealing: Sealing,
}

impl Ready {
    /// Makes the payment data of one counter and seals them. The cryptogram covers amount, currency and, in its place
    /// of the unpredictable number, the beginning of the request's digest.
    ///
    /// # Errors
    /// [`Error::RequestExpired`], [`Error::Busy`], [`Error::AtcExhausted`].
    pub fn pay(&mut self, card: &mut Card, permit: Permit, time: u64) -> Result<OnlinePayReply, Error> {
        if time > self.expires {
            return Err(Error::RequestExpired);
        }
        let data = PdolData {
            amount: amount_bcd(self.amount).ok_or(Error::Internal)?,
            currency: self.currency.to_be_bytes(),
            ..PdolData::without_terminal(number(&self.digest))
        };
        let made = engine::make(card, permit, &data, self.amount, Verification::WalletPin)?;
        let profile = &card.profile;
        let payment = PaymentData {
            track2: profile.track2.clone(),
            psn: profile.psn,
            requestor: profile.token.requestor,
            aip: profile.aip,
            atc: made.atc,
            issuer_data: made.issuer_data,
            cryptogram: made.value,
            digest: self.digest,
        };
        let mut plain = Zeroizing::new([0; PaymentData::MAX]);
        let len = encode_into(&payment, plain.as_mut_slice())?;
        let plain = plain.get(..len).ok_or(Error::Internal)?;
        let mut sealed = Bytes::<MAX_SEALED>::from_slice(plain).map_err(|_| Error::Internal)?;
        let encapsulated = self.sealing.seal(&mut sealed)?;
        engine::remember(card, made);
        Ok(OnlinePayReply { encapsulated, sealed })
    }
}
