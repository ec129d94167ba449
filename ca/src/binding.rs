//! Binding a card: what its holder types goes to its bank, sealed by the PIN trusted app; or a chip card in a reader
//! proves itself (`chip`).

use crate::{ClientError, PadLink, Transport, Wallet};
use tapvault_proto::binding::{
    BeginCardDataRequest, CardDataEntryReply, FinishCardDataRequest, SealedCardData,
};

impl<T: Transport> Wallet<T> {
    /// Takes card data for the bank that offered a binding, and returns them as only that bank can read them. The
    /// trusted app looks at the bank's certificate before the pad asks.
    ///
    /// # Errors
    /// [`ClientError::NothingEntered`]; the PIN trusted app's refusal, or the pad's.
    pub fn bind_card(
        &mut self,
        offer: BeginCardDataRequest,
        pad: &mut impl PadLink,
    ) -> Result<SealedCardData, ClientError> {
        self.open_pad(pad)?;
        let CardDataEntryReply { entry, show, .. } = self.call(&offer)?;
        self.submit(entry, show, pad)?;
        self.call(&FinishCardDataRequest { entry })
    }
}
