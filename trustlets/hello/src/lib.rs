//! The smallest useful trustlet: see docs/first-trustlet.md.
#![no_std]
#![forbid(unsafe_code)]

use tapvault_trustlet::{
    Error, Refusal, Trustlet, World, message,
    proto::{id::Party, wire::Bytes},
    refusals,
};

message! {
    /// Asks for a greeting.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Greet {
        /// Whom to greet, 1 to 16 bytes.
        name: Bytes<16>,
    }
}
message! {
    /// The greeting.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Greeting {
        /// "Hello, " and the name.
        text: Bytes<24>,
        /// Greetings in this session, this one included.
        count: u32,
        /// Time of the TEE in milliseconds.
        time: u64,
    }
}
refusals! {
    /// Why there is no greeting.
    Refused {
        /// The name is empty.
        NoName = 1,
    }
}

/// Greets, and counts the greetings of its session.
pub struct Hello {
    count: u32,
}

impl Trustlet for Hello {
    type Message = Greet;
    type Reply = Greeting;

    fn new() -> Self {
        Self { count: 0 }
    }

    fn handle(&mut self, _from: &Party, message: Greet, world: &mut impl World) -> Result<Greeting, Refusal> {
        if message.name.is_empty() {
            return Err(Refused::NoName.into());
        }
        self.count = self.count.saturating_add(1);
        world.log("somebody was greeted")?;
        let mut text = Bytes::new();
        text.extend_from_slice(b"Hello, ").map_err(|_| Error::Internal)?;
        text.extend_from_slice(&message.name).map_err(|_| Error::Internal)?;
        Ok(Greeting { text, count: self.count, time: world.now()? })
    }
}

tapvault_trustlet::trustlet!(Hello);
