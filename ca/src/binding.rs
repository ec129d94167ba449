//! Binding a card: what its holder types goes to its bank, sealed by the PIN trusted app; or a chip card in a reader
//! proves itself (`chip`).

use crate::{ClientError, InsecureTestPad, Transport, Wallet};
use std::io::{self, BufRead};
use tapvault_proto::{
    binding::{
        BeginCardDataRequest, CardData, FinishCardDataRequest, SealedCardData, SubmitCardDataInsecureRequest,
    },
    wire::Bytes,
};
use zeroize::Zeroizing;

/// A source of card data.
pub trait CardPad {
    /// Asks the holder for number, expiry and CVN2, saying which bank will read them.
    ///
    /// # Errors
    /// When nothing, or nothing that can be on a card, was entered.
    fn ask_card(&mut self, bank: &str) -> io::Result<CardData>;
}

impl<R: BufRead> CardPad for InsecureTestPad<R> {
    fn ask_card(&mut self, bank: &str) -> io::Result<CardData> {
        let [number, expiry, cvn2] = [
            format!("card number, for {bank} alone to read"),
            "expiry (YYMM)".into(),
            "CVN2 (3 or 4 digits)".into(),
        ]
        .map(|what| self.ask_line(&what));
        let (number, expiry, cvn2): (Line, Line, Line) = (number?, expiry?, cvn2?);
        CardData::from_ascii(number.trim().as_bytes(), expiry.trim().as_bytes(), cvn2.trim().as_bytes())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }
}

type Line = Zeroizing<String>;

impl<T: Transport> Wallet<T> {
    /// Takes card data for the bank that offered a binding, and returns them as only that bank can read them. The trusted
    /// app looks at the bank's certificate before the pad asks.
    ///
    /// # Errors
    /// The PIN trusted app's refusal, or the pad's.
    pub fn bind_card(
        &mut self,
        offer: BeginCardDataRequest,
        pad: &mut impl CardPad,
    ) -> Result<SealedCardData, ClientError> {
        let bank = name_of(&offer.certificate.name);
        let entry = self.call(&offer)?.entry;
        let data = pad.ask_card(&bank).map_err(ClientError::Pad)?;
        self.call(&SubmitCardDataInsecureRequest { entry, data })?;
        self.call(&FinishCardDataRequest { entry })
    }
}

/// A certified name is printable; one that is not was not certified, and the trusted app says so.
fn name_of<const N: usize>(name: &Bytes<N>) -> String {
    name.iter().filter(|byte| (0x20..0x7F).contains(*byte)).map(|byte| char::from(*byte)).collect()
}
