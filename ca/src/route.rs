//! Routes and the secure element: what a wallet asks of the card trusted app, and the frames it carries.

use crate::{ClientError, Transport, Wallet, trustlet::Element};
use tapvault_proto::{
    Error,
    element::{ElementAnswerRequest, ElementBeginRequest, ElementPurpose, InstallElementKeysRequest},
    id::CardId,
    profile::Product,
    route::{ChooseAppRequest, ChooseCardRequest, Endpoint, RouteRequest, RoutesReply, RoutesRequest},
    wire::Bytes,
};

impl<T: Transport> Wallet<T> {
    /// Where cards answer terminals from, which is the first, and which app presents them.
    ///
    /// # Errors
    /// The call's; `RoutesDamaged` until one is set anew.
    pub fn routes(&mut self) -> Result<RoutesReply, ClientError> {
        self.call(&RoutesRequest {})
    }

    /// Routes the cards of a kind; [`Wallet::verify_pin`] for `card`, any of the phone's, comes first.
    ///
    /// # Errors
    /// The call's; `NoVerification` when no PIN was verified for this card.
    pub fn route(
        &mut self,
        card: CardId,
        product: Product,
        endpoint: Endpoint,
    ) -> Result<RoutesReply, ClientError> {
        self.call(&RouteRequest { card, product, endpoint })
    }

    /// Makes a card the first that terminals see, or leaves the order to the banks; [`Wallet::verify_pin`] for the card
    /// comes first.
    ///
    /// # Errors
    /// As [`Wallet::route`].
    pub fn choose_card(&mut self, card: CardId, chosen: bool) -> Result<RoutesReply, ClientError> {
        self.call(&ChooseCardRequest { card, chosen })
    }

    /// Makes this app, as the kernel names its user or group, the only one that presents cards, or none in particular;
    /// [`Wallet::verify_pin`] for `card`, any of the phone's, comes first.
    ///
    /// # Errors
    /// As [`Wallet::route`].
    pub fn choose_app(&mut self, card: CardId, chosen: bool) -> Result<RoutesReply, ClientError> {
        self.call(&ChooseAppRequest { card, chosen })
    }

    /// Brings a bank's keys of the secure element, sealed for [`Wallet::card_challenge`].
    ///
    /// # Errors
    /// The card trusted app's refusal; the keys are then as they were.
    pub fn install_element_keys(&mut self, request: &InstallElementKeysRequest) -> Result<(), ClientError> {
        self.call(request).map(|_| ())
    }

    /// Puts a card into the secure element, or puts it there again; [`Wallet::verify_pin`] for the card comes first. The
    /// card stays in the TEE as well: [`Wallet::route`] says which of the two answers.
    ///
    /// # Errors
    /// The card trusted app's refusal, or the element's.
    pub fn put_in_element(&mut self, card: CardId, element: &mut impl Element) -> Result<(), ClientError> {
        self.exchange(card, ElementPurpose::Personalise, element)
    }

    /// Gives the secure element leave for one tap of a card, with its PIN verification when `verified`: what
    /// [`Wallet::prepare_tap`] is for a card in the TEE. The tap itself is between terminal and element.
    ///
    /// # Errors
    /// The card trusted app's refusal, among them [`Error::NotRoutedToElement`], [`Error::NfcOff`] and
    /// [`Error::NotInElement`]; or the element's.
    pub fn allow_element_tap(
        &mut self,
        card: CardId,
        verified: bool,
        element: &mut impl Element,
    ) -> Result<(), ClientError> {
        let purpose = if verified { ElementPurpose::VerifiedTap } else { ElementPurpose::Tap };
        self.exchange(card, purpose, element)
    }

    fn exchange(
        &mut self,
        card: CardId,
        purpose: ElementPurpose,
        element: &mut impl Element,
    ) -> Result<(), ClientError> {
        let mut frame = self.call(&ElementBeginRequest { card, purpose })?.frame;
        loop {
            let answer = element.transmit(&frame).map_err(ClientError::Element)?;
            let answer =
                Bytes::from_slice(&answer).map_err(|_| ClientError::refused(Error::ChannelBroken))?;
            match self.call(&ElementAnswerRequest { frame: answer })?.frame {
                Some(next) => frame = next,
                None => return Ok(()),
            }
        }
    }
}
