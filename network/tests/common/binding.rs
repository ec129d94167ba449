//! The phone's part of a binding.

use hpke::{
    Deserializable, Kem, OpModeS, Serializable, aead::AesGcm128, inout::InOutBuf, kdf::HkdfSha256,
    kem::DhP256HkdfSha256, single_shot_seal_inout_detached,
};
use tapvault_proto::{
    binding::{BeginCardDataRequest, CardData, SealedCardData},
    wire::{Wire, encode_into},
};

/// What a phone's trusted app does.
pub fn seal(offer: &BeginCardDataRequest, number: &str, expiry: &str, cvn2: &str) -> SealedCardData {
    let data = CardData::from_ascii(number.as_bytes(), expiry.as_bytes(), cvn2.as_bytes()).unwrap();
    let mut body = [0; CardData::MAX];
    encode_into(&data, &mut body).unwrap();
    let (provider, challenge) = (offer.certificate.provider, [0x33; 32]);
    let recipient = <DhP256HkdfSha256 as Kem>::PublicKey::from_bytes(&offer.certificate.recipient).unwrap();
    let (encapsulated, tag) = single_shot_seal_inout_detached::<AesGcm128, HkdfSha256, DhP256HkdfSha256>(
        &OpModeS::Base,
        &recipient,
        &SealedCardData::info(provider, &offer.nonce, &challenge),
        InOutBuf::from(&mut body[..]),
        &[],
    )
    .unwrap();
    SealedCardData {
        provider,
        nonce: offer.nonce,
        challenge,
        encapsulated: encapsulated.to_bytes().as_slice().try_into().unwrap(),
        sealed: [&body[..], &tag.to_bytes()].concat().try_into().unwrap(),
    }
}
