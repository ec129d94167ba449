//! The card trusted app's end of the secure element: the providers' keys of it, and one exchange at a time, its frames
//! carried by the client.
//!
//! Nothing of a card leaves before the element has shown that it holds the keys, and nothing counts as done before the
//! element has confirmed it under its MAC.

use crate::transaction::Armed;
use tapvault_proto::{
    Error,
    dgi::{MAX_CARD, MAX_LEAVE},
    element::InstallElementKeysRequest,
    emv::apdu::Command,
    id::{CardId, ProviderId},
    profile::Product,
    trustlet::element::MAX_APDU,
    tvm::ElementKeys,
    wire::{Bytes, Wire, decode_exact, encode_into},
};
use tapvault_seal::Challenge;
use tapvault_tee::{StorageError, Tee};
use tapvault_trust::check_signed;
use teei_hypervisor::scp03::{CHALLENGE, Frame, Link, Start, StaticKeys, Wish};
use zeroize::{Zeroize, Zeroizing};

/// Data of one STORE DATA.
const BLOCK: usize = 192;
/// P1 of STORE DATA (Card Specification, table 11-90): data groupings.
const GROUPINGS: u8 = 0x08;
/// P1 of STORE DATA: the last block.
const LAST: u8 = 0x80;
/// The warning that says, under a MAC, that the element has no such card.
const NO_DATA: u16 = 0x6282;

/// What an exchange is for.
#[derive(Clone, Copy)]
pub enum What {
    /// To put the card into the element.
    Personalise,
    /// To give leave for one tap.
    Tap(Option<Armed>),
}

/// An exchange under way.
pub struct Exchange {
    /// Whose it is.
    pub session: u32,
    /// The card.
    pub card: CardId,
    /// What for.
    pub what: What,
    link: Link,
    /// Blocks sent.
    blocks: u8,
    /// Whether the block sent last was the last one.
    last: bool,
}

impl Exchange {
    /// Begins with INSTALL \[for personalization\] of the card's application (Card Specification, 11.5.2.3.6), which
    /// holds nothing secret.
    ///
    /// # Errors
    /// [`Error::Internal`] never: the lengths are constants.
    pub fn begin(
        session: u32,
        (card, product): (CardId, Product),
        what: What,
        start: Start,
    ) -> Result<(Self, Frame), Error> {
        let [a, b, c, d, e, f, g, h] = product.aid();
        let data = [0, 0, 8, a, b, c, d, e, f, g, h, 0, 0, 0];
        let install = plain(&Command { cla: 0x80, ins: 0xE6, p1: 0x20, p2: 0, data: &data })?;
        let mut link = Link::default();
        let frame = link.send(&install, || Ok(start))?;
        Ok((Self { session, card, what, link, blocks: 0, last: false }, frame))
    }

    /// Takes the element's answer; `None` when it has confirmed all. `groupings` writes what is to be stored, the same
    /// every time; it is asked for each block.
    ///
    /// # Errors
    /// [`Error::NotInElement`], the channel's, and those of `groupings`; the exchange is over then.
    pub fn answered(
        &mut self,
        frame: &[u8],
        groupings: impl FnOnce(&mut [u8]) -> Result<usize, Error>,
    ) -> Result<Option<Frame>, Error> {
        let response = match self.link.answered(frame)? {
            Wish::Frame(frame) => return Ok(Some(frame)),
            Wish::Answer(response) => response,
        };
        match response.status() {
            0x9000 => {}
            NO_DATA => return Err(Error::NotInElement),
            _ => return Err(Error::ChannelBroken),
        }
        if self.last {
            return Ok(None);
        }
        let mut bytes = Zeroizing::new([0; MAX_CARD]);
        let len = groupings(bytes.as_mut_slice())?;
        let rest = bytes.get(usize::from(self.blocks) * BLOCK..len).ok_or(Error::Internal)?;
        let (data, more) = rest.split_at_checked(BLOCK).unwrap_or((rest, &[]));
        self.last = more.is_empty();
        let p1 = if self.last { GROUPINGS | LAST } else { GROUPINGS };
        let mut block = plain(&Command { cla: 0x80, ins: 0xE2, p1, p2: self.blocks, data })?;
        self.blocks = self.blocks.checked_add(1).ok_or(Error::Internal)?;
        // A channel that broke in between is not opened again: the element has forgotten the blocks before.
        let sealed = self.link.send(&block, || Err(Error::ChannelBroken));
        block.as_mut_slice().zeroize();
        sealed.map(Some)
    }
}

// A leave is asked for once: it is one block.
const _: () = assert!(5 + BLOCK < MAX_APDU && MAX_CARD / BLOCK < u8::MAX as usize && MAX_LEAVE <= BLOCK);

fn plain(command: &Command<'_>) -> Result<Bytes<MAX_APDU>, Error> {
    let mut whole = command.to_bytes();
    let plain = Bytes::from_slice(&whole).map_err(|_| Error::Internal);
    whole.as_mut_slice().zeroize();
    plain
}

/// Name of the object that holds a provider's keys.
fn object(provider: ProviderId) -> [u8; 24] {
    let mut name = *b"element.\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    name.iter_mut().skip(8).zip(provider.0).for_each(|(place, byte)| *place = byte);
    name
}

/// What a channel to a provider's security domain is opened with.
///
/// # Errors
/// [`Error::ElementKeysMissing`] when there are no keys, or none intact; storage's.
pub fn start<T: Tee>(tee: &mut T, provider: ProviderId) -> Result<Start, Error> {
    let mut bytes = Zeroizing::new([0; ElementKeys::MAX]);
    let read = match tee.open(&object(provider)) {
        Ok(mut object) => tee.read(&mut object, bytes.as_mut_slice()),
        Err(error) => Err(error),
    };
    let keys = match read {
        Ok(len) => decode_exact(bytes.get(..len).unwrap_or_default()),
        Err(StorageError::NotFound | StorageError::Corrupt) => Err(Error::ElementKeysMissing),
        Err(error) => return Err(error.into()),
    };
    let ElementKeys { version, enc, mac } = keys.map_err(|_| Error::ElementKeysMissing)?;
    let mut challenge = [0; CHALLENGE];
    tee.random(&mut challenge);
    Ok(Start { keys: StaticKeys::new(enc, mac), version, challenge })
}

/// Stores a provider's keys.
///
/// # Errors
/// [`Error::CertificateInvalid`], [`Error::SignatureInvalid`], [`Error::WrongChallenge`], [`Error::SealInvalid`];
/// storage's.
pub fn install<T: Tee>(
    tee: &mut T,
    challenge: &Challenge,
    mut request: InstallElementKeysRequest,
) -> Result<(), Error> {
    check_signed(&request.certificate, &request.signed_bytes(), &request.signature)?;
    challenge.check(&request.challenge)?;
    let provider = request.certificate.provider;
    let info = InstallElementKeysRequest::info(&request.challenge, provider);
    let opened = challenge.open(&info, &request.encapsulated, &mut request.sealed);
    let keys =
        opened.and_then(|(plain, _)| decode_exact::<ElementKeys>(plain).map_err(|_| Error::SealInvalid));
    request.sealed.zeroize();
    let mut bytes = Zeroizing::new([0; ElementKeys::MAX]);
    let len = encode_into(&keys?, bytes.as_mut_slice())?;
    tee.create(&object(provider), bytes.get(..len).ok_or(Error::Internal)?)?;
    Ok(())
}
