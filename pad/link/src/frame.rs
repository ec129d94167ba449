//! Sealed frames of one direction: AES-128-GCM or SM4-GCM, the sequence number for a nonce.

use aes_gcm::{
    AeadInOut, Aes128Gcm, AesGcm, KeyInit,
    aead::{array::Array, consts::U12},
};
use tapvault_cipher::Sm4;
use tapvault_proto::{
    Error,
    pad::{FRAME_CONTENT, Frame, PadSuite},
    wire::{Reader, Wire, Writer},
};
use zeroize::Zeroizing;

/// One direction of a session. The keys are expanded when it is made, so that a frame costs its own blocks only.
pub struct Direction {
    cipher: Cipher,
    next: u32,
}

/// Wiped when dropped, by the ciphers themselves.
#[allow(clippy::large_enum_variant, reason = "there is no heap here, and one session at a time")]
enum Cipher {
    Aes(Aes128Gcm),
    Sm4(AesGcm<Sm4, U12>),
}

impl Direction {
    pub fn new(suite: PadSuite, key: &[u8; 16]) -> Self {
        let cipher = match suite {
            PadSuite::P256 => Cipher::Aes(Aes128Gcm::new(&Array(*key))),
            PadSuite::Sm2 => Cipher::Sm4(AesGcm::from(Sm4::new(key))),
        };
        Self { cipher, next: 0 }
    }

    /// Seals a content as the next frame; what it does not use of the frame is zero.
    ///
    /// # Errors
    /// [`Error::Internal`] for a content that is longer than a frame: the protocol has none.
    pub fn seal<W: Wire>(&mut self, content: &W) -> Result<Frame, Error> {
        let mut sealed = Zeroizing::new([0; FRAME_CONTENT + 16]);
        let (body, place) = sealed.split_last_chunk_mut::<16>().ok_or(Error::Internal)?;
        content.encode(&mut Writer::new(body))?;
        let (sequence, nonce) = self.step()?;
        let tag = match &self.cipher {
            Cipher::Aes(cipher) => cipher.encrypt_inout_detached(&nonce, &[], (&mut *body).into()),
            Cipher::Sm4(cipher) => cipher.encrypt_inout_detached(&nonce, &[], (&mut *body).into()),
        };
        *place = tag.map_err(|_| Error::Internal)?.0;
        Ok(Frame { sequence, sealed: *sealed })
    }

    /// Opens the next frame.
    ///
    /// # Errors
    /// [`Error::FrameInvalid`] for what the other end did not seal as the next frame; [`Error::PadContent`] for an
    /// authentic frame with something else in it than a `W` and zeros.
    pub fn open<W: Wire>(&mut self, frame: &Frame) -> Result<W, Error> {
        let (sequence, nonce) = self.step()?;
        let mut sealed = Zeroizing::new(frame.sealed);
        let (body, tag) = sealed.split_last_chunk_mut::<16>().ok_or(Error::Internal)?;
        let tag = Array(*tag);
        let opened = match &self.cipher {
            Cipher::Aes(cipher) => cipher.decrypt_inout_detached(&nonce, &[], (&mut *body).into(), &tag),
            Cipher::Sm4(cipher) => cipher.decrypt_inout_detached(&nonce, &[], (&mut *body).into(), &tag),
        };
        if sequence != frame.sequence || opened.is_err() {
            return Err(Error::FrameInvalid);
        }
        let mut content = Reader::new(body);
        let decoded = W::decode(&mut content).map_err(|_| Error::PadContent)?;
        if content.rest().iter().all(|byte| *byte == 0) { Ok(decoded) } else { Err(Error::PadContent) }
    }

    /// Goes on to the next number; returns the one that is due, and its nonce.
    fn step(&mut self) -> Result<(u32, Array<u8, U12>), Error> {
        let sequence = self.next;
        self.next = sequence.checked_add(1).ok_or(Error::FrameInvalid)?;
        Ok((sequence, Array(nonce(sequence))))
    }
}

/// Eight zeros and the sequence number, big-endian: a key is one direction's of one session.
fn nonce(sequence: u32) -> [u8; 12] {
    let [a, b, c, d] = sequence.to_be_bytes();
    [0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]
}
