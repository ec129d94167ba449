//! What cannot wait for its stack to be wiped.

use tapvault_proto::{
    card::{QrPayloadRequest, TapGpoRequest},
    online::OnlinePayRequest,
    service::Request,
    trustlet::{
        Forwarded,
        keys::{Decrypt, DeriveKey, Encrypt, Mac, OpenKey, Sign},
    },
};

/// A payment's answer, and what trustlets do with keys. What these leave on the stack, the next method that is none of
/// them wipes; a payment is followed by the preparation of the next one.
pub const HURRIED: [u32; 9] = [
    TapGpoRequest::METHOD,
    QrPayloadRequest::METHOD,
    OnlinePayRequest::METHOD,
    <Forwarded<OpenKey>>::METHOD,
    <Forwarded<DeriveKey>>::METHOD,
    <Forwarded<Sign>>::METHOD,
    <Forwarded<Mac>>::METHOD,
    <Forwarded<Encrypt>>::METHOD,
    <Forwarded<Decrypt>>::METHOD,
];
