//! Key derivation, cryptograms, MACs and encryption of SCP03 (Amendment D, 4.1 and 6.2).

use super::MAC;
use aes::{
    Aes128,
    cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};
use cmac::{Cmac, Mac};
use tapvault_proto::profile::Key128;
use zeroize::Zeroizing;

/// The keys a secure element and the TEE share: Key-ENC and Key-MAC of one key version, 16 bytes each
/// (table 6-1). Wiped when dropped. Key-DEK, which encrypts keys inside commands, is not the channel's.
pub struct StaticKeys {
    enc: Key128,
    mac: Key128,
}

impl StaticKeys {
    /// Key-ENC and Key-MAC.
    #[must_use]
    pub fn new(enc: Key128, mac: Key128) -> Self {
        Self { enc, mac }
    }
}

/// The data derivation constants of table 4-1 that the host needs.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Purpose {
    CardCryptogram = 0x00,
    HostCryptogram = 0x01,
    SessionEnc = 0x04,
    SessionMac = 0x06,
    SessionRmac = 0x07,
}

/// Whose cryptogram.
#[derive(Clone, Copy)]
pub(super) enum Cryptogram {
    Card,
    Host,
}

/// The keys of one channel (6.2.1), wiped when dropped.
pub(super) struct SessionKeys {
    pub(super) enc: Key128,
    pub(super) mac: Key128,
    pub(super) rmac: Key128,
}

impl SessionKeys {
    pub(super) fn derive(keys: &StaticKeys, context: &[u8; 16]) -> Self {
        let key = |from, purpose| Key128::new(*derive(from, purpose, 128, context));
        Self {
            enc: key(&keys.enc, Purpose::SessionEnc),
            mac: key(&keys.mac, Purpose::SessionMac),
            rmac: key(&keys.mac, Purpose::SessionRmac),
        }
    }

    /// A cryptogram (6.2.2.2, 6.2.2.3).
    pub(super) fn cryptogram(&self, whose: Cryptogram, context: &[u8; 16]) -> [u8; MAC] {
        let purpose = match whose {
            Cryptogram::Card => Purpose::CardCryptogram,
            Cryptogram::Host => Purpose::HostCryptogram,
        };
        on_the_wire(&derive(&self.mac, purpose, 64, context))
    }

    /// The next chaining value (6.2.4), whose front is the C-MAC. `header` is class with the bit of secure
    /// messaging, instruction, P1, P2, and Lc with the MAC counted.
    pub(super) fn command_mac(&self, chain: &[u8; 16], header: &[u8; 5], body: &[u8]) -> [u8; 16] {
        cmac(&self.mac, &[chain, header, body])
    }

    /// The R-MAC (6.2.5) of a response to the command that made `chain`.
    pub(super) fn response_mac(&self, chain: &[u8; 16], body: &[u8], status: [u8; 2]) -> [u8; MAC] {
        on_the_wire(&cmac(&self.rmac, &[chain, body, &status]))
    }

    /// Encrypts padded command data in place (6.2.6).
    pub(super) fn encrypt_command(&self, counter: u32, blocks: &mut [[u8; 16]]) {
        let cipher = Aes128::new(self.enc.expose().into());
        let mut previous = initial_vector(&cipher, counter.into());
        for block in blocks {
            xor(block, &previous);
            cipher.encrypt_block(block.into());
            previous = *block;
        }
    }

    /// Decrypts response data in place (6.2.7); the padding stays.
    pub(super) fn decrypt_response(&self, counter: u32, blocks: &mut [[u8; 16]]) {
        let cipher = Aes128::new(self.enc.expose().into());
        // The top byte 80 keeps a response's vector apart from its command's.
        let mut previous = initial_vector(&cipher, 1 << 127 | u128::from(counter));
        for block in blocks {
            let sealed = *block;
            cipher.decrypt_block(block.into());
            xor(block, &previous);
            previous = sealed;
        }
    }
}

/// The 8 bytes of a MAC or cryptogram that S8 mode sends.
pub(super) fn on_the_wire(mac: &[u8; 16]) -> [u8; MAC] {
    let [a, b, c, d, e, f, g, h, ..] = *mac;
    [a, b, c, d, e, f, g, h]
}

/// The derivation of 4.1.5, one CMAC long: 11 zeros and the constant, 00, the length in bits, counter 1,
/// and the context.
fn derive(key: &Key128, purpose: Purpose, bits: u16, context: &[u8; 16]) -> Zeroizing<[u8; 16]> {
    let [high, low] = bits.to_be_bytes();
    Zeroizing::new(cmac(key, &[&[0; 11], &[purpose as u8, 0x00, high, low, 0x01], context]))
}

fn cmac(key: &Key128, parts: &[&[u8]]) -> [u8; 16] {
    let mut mac = <Cmac<Aes128> as KeyInit>::new(key.expose().into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn initial_vector(cipher: &Aes128, counter: u128) -> [u8; 16] {
    let mut block = counter.to_be_bytes();
    cipher.encrypt_block((&mut block).into());
    block
}

fn xor(block: &mut [u8; 16], other: &[u8; 16]) {
    block.iter_mut().zip(other).for_each(|(byte, other)| *byte ^= other);
}
