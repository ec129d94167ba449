//! Payments that are no taps: codes that the holder shows, and signed requests in apps and online shops.

use crate::{ClientError, PadLink, Transport, Wallet};
use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};
use tapvault_proto::{
    Error,
    approval::{Approval, BeginApprovalRequest},
    card::{QrPayloadRequest, QrPrepareRequest},
    id::{CardId, ProviderId},
    online::{OnlinePayReply, OnlinePayRequest, OnlinePrepareRequest, PaymentRequest},
    wire::Bytes,
};

/// A code for one payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// What the code holds: base64 text.
    pub text: String,
    /// Last second at which the issuer takes it, since 1970 UTC.
    pub expires: u64,
}

impl<T: Transport> Wallet<T> {
    /// A code for one payment, approved with the wallet PIN. Whoever reads the code names the amount: the token service
    /// limits it, the card cannot. The provider's time must be known ([`Wallet::set_time`]).
    ///
    /// # Errors
    /// [`ClientError::WrongPin`]; the trusted apps' refusals, among them [`Error::NoTime`], or the pad's.
    pub fn qr_code(
        &mut self,
        provider: ProviderId,
        card: CardId,
        pad: &mut impl PadLink,
    ) -> Result<Code, ClientError> {
        self.approve(provider, Approval::code(card), pad)?;
        self.call(&QrPrepareRequest { card })?;
        let reply = self.call(&QrPayloadRequest { card })?;
        Ok(Code { text: Base64::encode_string(&reply.payload), expires: reply.expires })
    }

    /// Pays a merchant's or wallet's signed request, JSON of at most
    /// [`tapvault_proto::online::MAX_PAYMENT_REQUEST`] bytes, approved with the wallet PIN: the pad shows payee, amount
    /// and digest. What comes back only the payee's acquirer can open.
    ///
    /// # Errors
    /// As [`Wallet::qr_code`]; the card trusted app's refusal of the request.
    pub fn pay_online(
        &mut self,
        provider: ProviderId,
        card: CardId,
        request: &[u8],
        pad: &mut impl PadLink,
    ) -> Result<OnlinePayReply, ClientError> {
        self.approve(provider, approval(card, request)?, pad)?;
        self.prepare_online(card, request)?;
        self.call(&OnlinePayRequest { card })
    }

    /// Has a request checked and made ready, whose approval was given.
    ///
    /// # Errors
    /// The card trusted app's refusal; the approval stays for the right request.
    pub fn prepare_online(&mut self, card: CardId, request: &[u8]) -> Result<(), ClientError> {
        let request =
            Bytes::from_slice(request).map_err(|_| ClientError::refused(Error::RequestMalformed))?;
        self.call(&OnlinePrepareRequest { card, request }).map(|_| ())
    }

    /// Approves one payment of one card that is no tap, within the next 60 seconds: *exact*.
    ///
    /// # Errors
    /// As [`Wallet::verify_pin`].
    pub fn approve(
        &mut self,
        provider: ProviderId,
        approval: Approval,
        pad: &mut impl PadLink,
    ) -> Result<(), ClientError> {
        self.enter(&BeginApprovalRequest { provider, approval }, pad)
    }
}

/// What a holder has to approve to pay `request` with `card`. Signatures are the card trusted app's business: it takes
/// an approval of exactly what it finds signed.
///
/// # Errors
/// [`Error::RequestMalformed`].
pub fn approval(card: CardId, request: &[u8]) -> Result<Approval, ClientError> {
    let request = PaymentRequest::parse(request).map_err(ClientError::refused)?;
    let signed = request.signed_bytes().map_err(ClientError::refused)?;
    Ok(Approval {
        card,
        channel: request.certificate.role.channel(),
        amount: request.order.amount,
        currency: request.order.currency,
        payee: request.order.name,
        digest: Sha256::digest(&signed).into(),
    })
}
