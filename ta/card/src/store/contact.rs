//! What a test profile remembers between transactions.

use tapvault_proto::{
    Error,
    contact::{CardPin, Contact},
    wire::{Reader, Wire, Writer},
};

tapvault_proto::message! {
    /// What a test profile remembers between transactions.
    #[derive(Clone)]
    ContactState {
        /// The card PIN.
        pin: CardPin,
        /// Tries that are left, tag 9F17.
        tries: u8,
        /// Whether the issuer blocked the application.
        application_blocked: bool,
        /// Whether the issuer blocked the card.
        card_blocked: bool,
        /// Whether the issuer was asked, and no transaction with its answer was completed since.
        incomplete: bool,
        /// Whether its answer was wrong, and no right one came since.
        issuer_failed: bool,
        /// Whether offline data authentication failed in a transaction that was declined offline, and no right answer of
        /// the issuer came since.
        dda_failed: bool,
        /// Script commands since the last right answer, 15 at most.
        scripts: u8,
        /// Whether one of them failed.
        script_failed: bool,
        /// Counter of the last transaction with a right answer of the issuer, tag 9F13; 0 for none.
        last_online: u16,
    }
}

impl ContactState {
    /// That of a card that was just installed.
    pub fn new(contact: &Contact) -> Self {
        Self {
            pin: contact.pin.clone(),
            tries: contact.pin_tries,
            application_blocked: false,
            card_blocked: false,
            incomplete: false,
            issuer_failed: false,
            dda_failed: false,
            scripts: 0,
            script_failed: false,
            last_online: 0,
        }
    }
}

/// The state as stored, always of the same length, so that it can be overwritten in place: a phone's card has zeros.
pub struct StoredContact(pub Option<ContactState>);

impl Wire for StoredContact {
    const MAX: usize = 1 + ContactState::MAX;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        encode(self.0.as_ref(), out)
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        if bool::decode(input)? {
            return ContactState::decode(input).map(|state| Self(Some(state)));
        }
        match input.take(ContactState::MAX)?.iter().all(|byte| *byte == 0) {
            true => Ok(Self(None)),
            false => Err(Error::StateCorrupt),
        }
    }
}

/// Writes a state as stored.
///
/// # Errors
/// [`Error::ShortBuffer`].
pub fn encode(state: Option<&ContactState>, out: &mut Writer<'_>) -> Result<(), Error> {
    state.is_some().encode(out)?;
    match state {
        Some(state) => state.encode(out),
        None => out.put(&[0; ContactState::MAX]),
    }
}
