//! `shield`: signs a transfer once the holder has confirmed exactly that amount and payee with the PIN.
//!
//! The digits, the amount and the payee were in the PIN trusted app; all this trustlet learns is that they
//! fit. A signature covers a counter that never repeats, so that a bank sees a transfer twice only if the
//! holder confirmed it twice.
#![no_std]
#![forbid(unsafe_code)]

use tapvault_trustlet::{
    Error, Key, Refusal, Trustlet, World, choice, code, message,
    proto::{id::Party, pin::Transfer, trustlet::keys::KeyAlgorithm, wire::Wire, wire::encode_into},
    refusals,
};

/// In front of everything this trustlet signs: its keys sign nothing else.
pub const LABEL: [u8; 20] = *b"tapvault transfer  1";

code! {
    /// The signature a bank wants.
    Algorithm {
        /// ECDSA P-256 with SHA-256.
        P256 = 1,
        /// SM2 with SM3, default user id.
        Sm2 = 2,
    }
}
message! {
    /// Asks for a public key.
    #[derive(Clone, Debug, PartialEq, Eq)]
    PublicKeyRequest {
        /// Of which signature.
        algorithm: Algorithm,
    }
}
message! {
    /// A public key.
    #[derive(Clone, Debug, PartialEq, Eq)]
    PublicKeyReply {
        /// SEC 1 uncompressed.
        key: [u8; 65],
    }
}
message! {
    /// Asks for a transfer to be signed, which the holder has confirmed before.
    #[derive(Clone, Debug, PartialEq, Eq)]
    SignRequest {
        /// With which signature.
        algorithm: Algorithm,
        /// The transfer, to the last byte as it was confirmed.
        transfer: Transfer,
    }
}
message! {
    /// The signed transfer.
    #[derive(Clone, Debug, PartialEq, Eq)]
    SignReply {
        /// Goes into [`Signed`].
        counter: u64,
        /// Over [`Signed`], `r‖s`.
        signature: [u8; 64],
    }
}
message! {
    /// What is signed: these fields as they go over the wire.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Signed {
        /// [`LABEL`].
        label: [u8; 20],
        /// Amount, currency, payee.
        transfer: Transfer,
        /// One more than the last one on this device, both algorithms together.
        counter: u64,
    }
}
choice! {
    /// What a client asks.
    Request {
        /// For a public key.
        PublicKey(PublicKeyRequest) = 1,
        /// For a signature.
        Sign(SignRequest) = 2,
    }
}
choice! {
    /// What it gets; the same number as the request.
    Reply {
        /// A public key.
        PublicKey(PublicKeyReply) = 1,
        /// A signature.
        Sign(SignReply) = 2,
    }
}
refusals! {
    /// Why there is no signature.
    Refused {
        /// The holder has not confirmed this transfer, or the confirmation was used or expired:
        /// confirm first.
        ConfirmFirst = 1,
        /// The counter is at its end; a new version of the trustlet takes new keys.
        CounterUsedUp = 2,
    }
}

/// Where the counter is stored.
const COUNTER: &[u8] = b"counter";

/// The trustlet.
pub struct Shield {
    p256: Key,
    sm2: Key,
}

impl Shield {
    fn key(&mut self, algorithm: Algorithm) -> &mut Key {
        match algorithm {
            Algorithm::P256 => &mut self.p256,
            Algorithm::Sm2 => &mut self.sm2,
        }
    }

    fn sign(&mut self, request: SignRequest, world: &mut impl World) -> Result<SignReply, Refusal> {
        if !world.take_confirmation(&request.transfer)? {
            return Err(Refused::ConfirmFirst.into());
        }
        let last: u64 = world.load(COUNTER)?.unwrap_or(0);
        let counter = last.checked_add(1).ok_or(Refused::CounterUsedUp)?;
        // Stored before the signature exists: a power cut in between loses a number and a confirmation,
        // and never gives two signatures of one number.
        world.save(COUNTER, &counter)?;
        let mut signed = [0; Signed::MAX];
        let len = encode_into(&Signed { label: LABEL, transfer: request.transfer, counter }, &mut signed)?;
        let signed = signed.get(..len).ok_or(Error::Internal)?;
        Ok(SignReply { counter, signature: self.key(request.algorithm).sign(world, signed)? })
    }
}

impl Trustlet for Shield {
    type Message = Request;
    type Reply = Reply;

    fn new() -> Self {
        Self {
            p256: Key::new(b"transfer", KeyAlgorithm::EcdsaP256),
            sm2: Key::new(b"transfer", KeyAlgorithm::Sm2),
        }
    }

    fn handle(&mut self, _from: &Party, message: Request, world: &mut impl World) -> Result<Reply, Refusal> {
        match message {
            Request::PublicKey(request) => {
                let key = self.key(request.algorithm).public(world)?;
                Ok(Reply::PublicKey(PublicKeyReply { key }))
            }
            Request::Sign(request) => self.sign(request, world).map(Reply::Sign),
        }
    }
}

tapvault_trustlet::trustlet!(Shield);
