//! `transit`: a stored-value card.
//!
//! A trustlet's keys never leave the device, so an operator cannot make a top-up's code itself: it draws
//! authorisations from the card while it has it in its shop ([`messages::AuthoriseRequest`]), seals the
//! card, and later sells them one by one over any channel. The phone's normal world carries them and can
//! neither make one nor load one twice. Receipts are signed, since a terminal has to check them.
//!
//! Everything that must agree (balance, last top-up, last debit with its receipt) is one value of the
//! store: after a power cut a payment has happened with its receipt kept, or not at all.
#![no_std]
#![forbid(unsafe_code)]

pub mod messages;

use messages::{
    AuthoriseReply, BalanceReply, CreateReply, DebitReply, DebitRequest, RECEIPT_LABEL, Receipt, Refused,
    Reply, Request, SealReply, TOP_UP_LABEL, TopUp, TopUpReply, TopUpRequest,
};
use tapvault_trustlet::{
    Key, Refusal, Trustlet, World, message,
    proto::{
        id::Party,
        trustlet::keys::KeyAlgorithm,
        wire::{Wire, encode_into},
    },
    same_code,
};

/// Where the card is stored.
const CARD: &[u8] = b"card";

message! {
    /// The card as stored.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Card {
        /// Its id.
        id: [u8; 16],
        /// Whether the shop's part is over.
        sealed: bool,
        /// What it holds.
        balance: u64,
        /// Number of the last top-up.
        sequence: u64,
        /// The last debit, to be given again to a terminal that lost it.
        last: Option<DebitReply>,
    }
}

impl Card {
    fn debits(&self) -> u64 {
        self.last.as_ref().map_or(0, |last| last.receipt.debit)
    }
}

/// The trustlet.
pub struct Transit {
    top_up: Key,
    receipt: Key,
}

impl Transit {
    fn create(&mut self, world: &mut impl World) -> Result<CreateReply, Refusal> {
        if world.load::<Card>(CARD)?.is_some() {
            return Err(Refused::CardExists.into());
        }
        let card = Card { id: world.random()?, sealed: false, balance: 0, sequence: 0, last: None };
        let key = self.receipt.public(world)?;
        world.save(CARD, &card)?;
        Ok(CreateReply { card: card.id, key })
    }

    fn code(
        &mut self,
        card: &Card,
        amount: u64,
        sequence: u64,
        world: &mut impl World,
    ) -> Result<[u8; 32], Refusal> {
        let mut covered = [0; TopUp::MAX];
        encode_into(&TopUp { label: TOP_UP_LABEL, card: card.id, amount, sequence }, &mut covered)?;
        Ok(self.top_up.mac(world, &covered)?)
    }

    fn top_up(&mut self, request: &TopUpRequest, world: &mut impl World) -> Result<TopUpReply, Refusal> {
        let mut card = load(world)?;
        require(card.sealed, Refused::NotSealed)?;
        let code = self.code(&card, request.amount, request.sequence, world)?;
        require(same_code(&code, &request.mac), Refused::NotAuthorised)?;
        require(request.sequence > card.sequence, Refused::SequenceUsed)?;
        card.balance = card.balance.checked_add(request.amount).ok_or(Refused::BalanceTooHigh)?;
        card.sequence = request.sequence;
        world.save(CARD, &card)?;
        Ok(TopUpReply { balance: card.balance })
    }

    fn debit(&mut self, request: &DebitRequest, world: &mut impl World) -> Result<DebitReply, Refusal> {
        let mut card = load(world)?;
        require(card.sealed, Refused::NotSealed)?;
        require(request.amount > 0, Refused::NoAmount)?;
        if let Some(last) = card.last.as_ref().filter(|last| last.receipt.nonce == request.nonce) {
            require(last.receipt.amount == request.amount, Refused::NonceUsed)?;
            return Ok(last.clone());
        }
        card.balance = card.balance.checked_sub(request.amount).ok_or(Refused::BalanceTooLow)?;
        let debit = card.debits().checked_add(1).ok_or(Refused::CounterUsedUp)?;
        let receipt = Receipt {
            label: RECEIPT_LABEL,
            card: card.id,
            nonce: request.nonce,
            amount: request.amount,
            balance: card.balance,
            debit,
        };
        let mut covered = [0; Receipt::MAX];
        encode_into(&receipt, &mut covered)?;
        // Signed first, stored together, given out last: no receipt is lost, none is out without its debit.
        let reply = DebitReply { receipt, signature: self.receipt.sign(world, &covered)? };
        card.last = Some(reply.clone());
        world.save(CARD, &card)?;
        Ok(reply)
    }
}

impl Trustlet for Transit {
    type Message = Request;
    type Reply = Reply;

    fn new() -> Self {
        Self {
            top_up: Key::new(b"topup", KeyAlgorithm::HmacSha256),
            receipt: Key::new(b"receipt", KeyAlgorithm::EcdsaP256),
        }
    }

    fn handle(&mut self, _from: &Party, message: Request, world: &mut impl World) -> Result<Reply, Refusal> {
        match message {
            Request::Create(_) => self.create(world).map(Reply::Create),
            Request::Authorise(request) => {
                let card = load(world)?;
                require(!card.sealed, Refused::Sealed)?;
                require(request.amount > 0, Refused::NoAmount)?;
                let mac = self.code(&card, request.amount, request.sequence, world)?;
                Ok(Reply::Authorise(AuthoriseReply { mac }))
            }
            Request::Seal(_) => {
                let mut card = load(world)?;
                require(!card.sealed, Refused::Sealed)?;
                card.sealed = true;
                world.save(CARD, &card)?;
                Ok(Reply::Seal(SealReply {}))
            }
            Request::Balance(_) => {
                let card = load(world)?;
                let debits = card.debits();
                let Card { id, sealed, balance, sequence, .. } = card;
                Ok(Reply::Balance(BalanceReply { card: id, balance, sequence, debits, sealed }))
            }
            Request::TopUp(request) => self.top_up(&request, world).map(Reply::TopUp),
            Request::Debit(request) => self.debit(&request, world).map(Reply::Debit),
        }
    }
}

/// The card, read anew in every call: another session may have changed it.
fn load(world: &mut impl World) -> Result<Card, Refusal> {
    world.load(CARD)?.ok_or(Refused::NoCard.into())
}

fn require(holds: bool, refused: Refused) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(refused.into()) }
}

tapvault_trustlet::trustlet!(Transit);
