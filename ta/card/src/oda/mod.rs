//! fDDA, fast dynamic data authentication, version 01: signs the terminal's and the card's fresh data
//! (EMV Book 2, 6.5; UnionPay's additions as public terminals check them; JR/T 0025.17 for SM2).

mod rsa;

use crate::keys::sm2_key;
use sha1::{Digest, Sha1};
use sm2::dsa::signature::Signer;
use tapvault_proto::{
    Error,
    emv::gpo::PdolData,
    profile::{MAX_MODULUS, OdaKey, SecretBytes},
    wire::Bytes,
};

/// Version of fDDA, in the card's authentication data.
const VERSION: u8 = 0x01;

/// Card authentication related data, tag 9F69: version, the card's unpredictable number, its qualifiers.
pub fn authentication_data(unpredictable: [u8; 4], ctq: [u8; 2]) -> [u8; 7] {
    let ([a, b, c, d], [e, f]) = (unpredictable, ctq);
    [VERSION, a, b, c, d, e, f]
}

/// Signed dynamic application data, tag 9F4B: the counter, and under the signature 9F37, 9F02, 5F2A and 9F69.
///
/// # Errors
/// [`Error::Internal`] when the key is none.
pub fn sign(
    key: &OdaKey,
    atc: u16,
    terminal: &PdolData,
    authentication: [u8; 7],
) -> Result<Bytes<MAX_MODULUS>, Error> {
    let parts: [&[u8]; 4] = [&terminal.unpredictable, &terminal.amount, &terminal.currency, &authentication];
    let signed: Bytes<19> = parts.iter().copied().flatten().copied().collect();
    sign_data(key, atc, &signed)
}

/// As [`sign`], over what the terminal sent: dynamic data authentication at a contact terminal. 19 bytes at most.
///
/// # Errors
/// As [`sign`].
pub fn sign_data(key: &OdaKey, atc: u16, signed: &[u8]) -> Result<Bytes<MAX_MODULUS>, Error> {
    match key {
        OdaKey::Rsa(key) => {
            let key = rsa::Key::new(key)?;
            key.private(&recoverable(key.modulus_len(), atc, signed)?)
        }
        OdaKey::Sm2(key) => sm2_signed(key, atc, signed),
    }
}

/// The block that the terminal recovers: `6A 05 01 LDD 02 ATC BB… SHA-1 BC` (EMV Book 2, table 18).
fn recoverable(len: usize, atc: u16, signed: &[u8]) -> Result<Bytes<MAX_MODULUS>, Error> {
    let [high, low] = atc.to_be_bytes();
    let mut block = Bytes::from_iter([0x6A, 0x05, 0x01, 3, 2, high, low]);
    block.resize(len.checked_sub(21).ok_or(Error::Internal)?, 0xBB).map_err(|_| Error::Internal)?;
    let hashed = block.get(1..).ok_or(Error::Internal)?;
    let hash = Sha1::new().chain_update(hashed).chain_update(signed).finalize();
    block.extend_from_slice(&hash).map_err(|_| Error::Internal)?;
    block.push(0xBC).map_err(|_| Error::Internal)?;
    Ok(block)
}

/// `15 LDD 02 ATC r‖s`.
fn sm2_signed(key: &SecretBytes<32>, atc: u16, signed: &[u8]) -> Result<Bytes<MAX_MODULUS>, Error> {
    let [high, low] = atc.to_be_bytes();
    let mut out = Bytes::<MAX_MODULUS>::from_iter([0x15, 3, 2, high, low]);
    let message: Bytes<24> = out.iter().chain(signed).copied().collect();
    let signature: sm2::dsa::Signature = sm2_key(key.expose())?.sign(&message);
    out.extend_from_slice(&signature.to_bytes()).map_err(|_| Error::Internal)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::rsa::{BoxedUint, PrivateKey, traits::PrivateKeyParts};
    use serde_json::Value;
    use std::vec::Vec;
    use tapvault_proto::{emv::gpo::PDOL_DATA_LEN, profile::RsaKey};

    const RSA: &str = include_str!("../../../../network/tests/vectors/fdda_rsa.json");

    fn bytes(value: &Value) -> Vec<u8> {
        hex::decode(value.as_str().unwrap()).unwrap()
    }

    fn key(private: &Value) -> RsaKey {
        let prime = |name: &str| BoxedUint::from_be_slice_vartime(&bytes(&private[name]));
        let key = PrivateKey::from_p_q(prime("p"), prime("q"), BoxedUint::from(3_u64)).unwrap();
        let secret = |integer: &BoxedUint| SecretBytes::new(&integer.to_be_bytes_trimmed_vartime()).unwrap();
        RsaKey {
            p: secret(&key.primes()[0]),
            q: secret(&key.primes()[1]),
            dp: secret(key.dp().unwrap()),
            dq: secret(key.dq().unwrap()),
            qinv: secret(&key.crt_coefficient().unwrap()),
        }
    }

    /// The vector's terminal data are 9F37, 9F02, 5F2A and 9F69, in this order.
    fn terminal(tdd: &[u8]) -> (PdolData, [u8; 7]) {
        let mut terminal = PdolData::from_bytes(&[0; PDOL_DATA_LEN]);
        terminal.unpredictable = tdd[..4].try_into().unwrap();
        terminal.amount = tdd[4..10].try_into().unwrap();
        terminal.currency = tdd[10..12].try_into().unwrap();
        (terminal, tdd[12..].try_into().unwrap())
    }

    #[test]
    fn an_rsa_signature_is_that_of_software_that_is_not_ours() {
        let vector: Value = serde_json::from_str(RSA).unwrap();
        let (terminal, authentication) = terminal(&bytes(&vector["tdd"]));
        let atc = u16::from_be_bytes(bytes(&vector["tag9F36"]).try_into().unwrap());
        let key = OdaKey::Rsa(key(&vector["icc_private"]));
        let signed = sign(&key, atc, &terminal, authentication).unwrap();
        assert_eq!(hex::encode_upper(&signed), vector["tag9F4B"].as_str().unwrap());
    }

    #[test]
    fn a_key_that_is_none_signs_nothing() {
        let vector: Value = serde_json::from_str(RSA).unwrap();
        let (terminal, authentication) = terminal(&bytes(&vector["tdd"]));
        let signs = |key: RsaKey| sign(&OdaKey::Rsa(key), 1, &terminal, authentication);
        let secret = |bytes: &[u8]| SecretBytes::new(bytes).unwrap();
        let good = || key(&vector["icc_private"]);
        // A part that is another: the result is checked before it leaves.
        let wrong = secret(&[0x5A; 64]);
        assert_eq!(signs(RsaKey { dp: wrong, ..good() }), Err(Error::Internal));
        assert_eq!(signs(RsaKey { dq: secret(&[3]), ..good() }), Err(Error::Internal));
        assert_eq!(signs(RsaKey { qinv: secret(&[1]), ..good() }), Err(Error::Internal));
        // An even number, and the same prime twice.
        assert_eq!(signs(RsaKey { p: secret(&[0x80; 64]), ..good() }), Err(Error::Internal));
        let prime = bytes(&vector["icc_private"]["p"]);
        assert_eq!(signs(RsaKey { q: secret(&prime), ..good() }), Err(Error::Internal));
        for scalar in [[0; 32], [0xFF; 32]] {
            let key = OdaKey::Sm2(SecretBytes::new(&scalar).unwrap());
            assert_eq!(sign(&key, 1, &terminal, authentication), Err(Error::Internal));
        }
    }
}
