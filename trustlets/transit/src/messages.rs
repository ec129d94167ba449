//! What a terminal, an operator and a wallet say to the card. Amounts are in minor units of the
//! operator's one currency.

use tapvault_trustlet::{choice, message, refusals};

/// In front of what authorises a top-up.
pub const TOP_UP_LABEL: [u8; 20] = *b"tapvault top-up    1";
/// In front of a receipt.
pub const RECEIPT_LABEL: [u8; 20] = *b"tapvault debit     1";

message! {
    /// Makes the card, in the operator's shop; once.
    #[derive(Clone, Debug, PartialEq, Eq)]
    CreateRequest {}
}
message! {
    /// The card.
    #[derive(Clone, Debug, PartialEq, Eq)]
    CreateReply {
        /// Random.
        card: [u8; 16],
        /// P-256 key that signs its receipts, SEC 1 uncompressed.
        key: [u8; 65],
    }
}
message! {
    /// Draws an authorisation for a later top-up. Whoever has it can load the card: the operator draws
    /// what it will sell, keeps it, and ends this with [`SealRequest`] before the card leaves the shop.
    #[derive(Clone, Debug, PartialEq, Eq)]
    AuthoriseRequest {
        /// How much it will load.
        amount: u64,
        /// Its number; loading it voids every one of the same or a lower number.
        sequence: u64,
    }
}
message! {
    /// An authorisation.
    #[derive(Clone, Debug, PartialEq, Eq)]
    AuthoriseReply {
        /// HMAC-SHA-256 over [`TopUp`]; only this card can make and check it.
        mac: [u8; 32],
    }
}
message! {
    /// Ends the shop's part for good.
    #[derive(Clone, Debug, PartialEq, Eq)]
    SealRequest {}
}
message! {
    /// From here on the card loads and pays, and authorises nothing.
    #[derive(Clone, Debug, PartialEq, Eq)]
    SealReply {}
}
message! {
    /// Asks for the balance.
    #[derive(Clone, Debug, PartialEq, Eq)]
    BalanceRequest {}
}
message! {
    /// The balance.
    #[derive(Clone, Debug, PartialEq, Eq)]
    BalanceReply {
        /// The card.
        card: [u8; 16],
        /// What it holds.
        balance: u64,
        /// Number of the last top-up.
        sequence: u64,
        /// Debits so far.
        debits: u64,
        /// Whether it is sealed.
        sealed: bool,
    }
}
message! {
    /// Loads the card.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TopUpRequest {
        /// As authorised.
        amount: u64,
        /// As authorised; above that of the last top-up.
        sequence: u64,
        /// From [`AuthoriseReply`].
        mac: [u8; 32],
    }
}
message! {
    /// The card is loaded.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TopUpReply {
        /// What it holds now.
        balance: u64,
    }
}
message! {
    /// What an authorisation covers: these fields as they go over the wire.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TopUp {
        /// [`TOP_UP_LABEL`].
        label: [u8; 20],
        /// The card.
        card: [u8; 16],
        /// How much.
        amount: u64,
        /// Its number.
        sequence: u64,
    }
}
message! {
    /// Pays.
    #[derive(Clone, Debug, PartialEq, Eq)]
    DebitRequest {
        /// How much, at most the balance.
        amount: u64,
        /// The terminal's, fresh for every payment. Sent again because the answer was lost, right after
        /// that payment, it costs nothing and gives the same receipt.
        nonce: [u8; 16],
    }
}
message! {
    /// What a terminal takes away: it was paid.
    #[derive(Clone, Debug, PartialEq, Eq)]
    DebitReply {
        /// What was paid.
        receipt: Receipt,
        /// ECDSA P-256 / SHA-256 by the card's key over [`Receipt`], `r‖s`.
        signature: [u8; 64],
    }
}
message! {
    /// What a receipt's signature covers: these fields as they go over the wire.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Receipt {
        /// [`RECEIPT_LABEL`].
        label: [u8; 20],
        /// The card.
        card: [u8; 16],
        /// The terminal's nonce.
        nonce: [u8; 16],
        /// How much.
        amount: u64,
        /// What is left.
        balance: u64,
        /// Number of this debit, from 1, without gaps.
        debit: u64,
    }
}
choice! {
    /// What a client asks.
    Request {
        /// To make the card.
        Create(CreateRequest) = 1,
        /// For an authorisation.
        Authorise(AuthoriseRequest) = 2,
        /// To seal the card.
        Seal(SealRequest) = 3,
        /// For the balance.
        Balance(BalanceRequest) = 4,
        /// To load.
        TopUp(TopUpRequest) = 5,
        /// To pay.
        Debit(DebitRequest) = 6,
    }
}
choice! {
    /// What it gets; the same number as the request.
    Reply {
        /// The card.
        Create(CreateReply) = 1,
        /// An authorisation.
        Authorise(AuthoriseReply) = 2,
        /// The card is sealed.
        Seal(SealReply) = 3,
        /// The balance.
        Balance(BalanceReply) = 4,
        /// It is loaded.
        TopUp(TopUpReply) = 5,
        /// It is paid.
        Debit(DebitReply) = 6,
    }
}
refusals! {
    /// Why the card refuses; nothing was changed.
    Refused {
        /// There is no card yet.
        NoCard = 1,
        /// There is a card already.
        CardExists = 2,
        /// The card is sealed: the shop's part is over.
        Sealed = 3,
        /// The card is not sealed yet.
        NotSealed = 4,
        /// An amount of zero.
        NoAmount = 5,
        /// The authorisation is not of this card, or for another amount or number.
        NotAuthorised = 6,
        /// An authorisation of this or a higher number was loaded already.
        SequenceUsed = 7,
        /// The balance would be more than the card can count.
        BalanceTooHigh = 8,
        /// The balance is lower than the amount.
        BalanceTooLow = 9,
        /// The last payment had this nonce and another amount.
        NonceUsed = 10,
        /// The card has counted all the debits it can.
        CounterUsedUp = 11,
    }
}
