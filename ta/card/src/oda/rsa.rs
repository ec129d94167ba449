//! The private operation of RSA (RFC 8017, 5.2.1) over the constant-time integers under `p256`: the crate `rsa`
//! wants a heap, and OP-TEE's own would show the key to its core's loader of objects.

use crypto_bigint::{
    NonZero, Odd, U1024, U2048,
    modular::{FixedMontyForm, FixedMontyParams},
};
use tapvault_proto::{
    Error,
    profile::{MAX_MODULUS, RsaKey},
    wire::Bytes,
};
use zeroize::Zeroizing;

/// Bytes of a [`U2048`].
const WHOLE: usize = 256;

/// A prime and what belongs to it.
struct Half {
    params: FixedMontyParams<{ U1024::LIMBS }>,
    modulus: NonZero<U1024>,
    exponent: Zeroizing<U1024>,
}

impl Half {
    fn new(prime: &[u8], exponent: &[u8]) -> Result<Self, Error> {
        let odd = Option::<Odd<U1024>>::from(Odd::new(*integer(prime)?)).ok_or(Error::Internal)?;
        let params = FixedMontyParams::new(odd);
        Ok(Self { params, modulus: *odd.as_nz_ref(), exponent: integer(exponent)? })
    }

    /// An integer modulo the prime.
    fn form(&self, of: &U2048) -> FixedMontyForm<{ U1024::LIMBS }> {
        FixedMontyForm::new(&of.rem(&self.modulus), &self.params)
    }
}

/// A key, ready to use.
pub struct Key {
    p: Half,
    q: Half,
    qinv: Zeroizing<U1024>,
    modulus: Odd<U2048>,
}

impl Key {
    /// Checks and prepares a key.
    ///
    /// # Errors
    /// [`Error::Internal`] when it is none.
    pub fn new(key: &RsaKey) -> Result<Self, Error> {
        let p = Half::new(key.p.expose(), key.dp.expose())?;
        let q = Half::new(key.q.expose(), key.dq.expose())?;
        let modulus = p.modulus.widening_mul(&*q.modulus);
        let modulus = Option::from(Odd::new(concatenated(modulus))).ok_or(Error::Internal)?;
        Ok(Self { p, q, qinv: integer(key.qinv.expose())?, modulus })
    }

    /// Length of the modulus in bytes.
    pub fn modulus_len(&self) -> usize {
        usize::try_from(self.modulus.bit_width().div_ceil(8)).unwrap_or(WHOLE)
    }

    /// Raises a block, as long as the modulus, to the private exponent. What comes out is checked with the public
    /// one: a result that went wrong would show the primes (Boneh, DeMillo, Lipton 1997).
    ///
    /// # Errors
    /// [`Error::Internal`] for a block that is no smaller than the modulus, and a result that is wrong.
    pub fn private(&self, block: &[u8]) -> Result<Bytes<MAX_MODULUS>, Error> {
        let block = whole(block)?;
        if block >= *self.modulus {
            return Err(Error::Internal);
        }
        let power = |half: &Half| half.form(&block).pow(&half.exponent);
        let of_q = Zeroizing::new(power(&self.q).retrieve());
        let difference = power(&self.p) - self.p.form(&of_q.resize());
        let factor = difference * self.p.form(&self.qinv.resize());
        let factor = Zeroizing::new(factor.retrieve());
        let result = concatenated(factor.widening_mul(&*self.q.modulus)).wrapping_add(&of_q.resize());

        let params = FixedMontyParams::new_vartime(self.modulus);
        let form = FixedMontyForm::new(&result, &params);
        if (form.square() * form).retrieve() != block {
            return Err(Error::Internal);
        }
        let bytes = result.to_be_bytes();
        let unused = WHOLE.checked_sub(self.modulus_len()).ok_or(Error::Internal)?;
        let bytes = bytes.as_ref().get(unused..).ok_or(Error::Internal)?;
        Bytes::from_slice(bytes).map_err(|_| Error::Internal)
    }
}

fn concatenated((low, high): (U1024, U1024)) -> U2048 {
    low.concat(&high)
}

fn integer(bytes: &[u8]) -> Result<Zeroizing<U1024>, Error> {
    let mut padded = Zeroizing::new([0; WHOLE / 2]);
    let from = padded.len().checked_sub(bytes.len()).ok_or(Error::Internal)?;
    padded.get_mut(from..).ok_or(Error::Internal)?.copy_from_slice(bytes);
    Ok(Zeroizing::new(U1024::from_be_slice(padded.as_slice())))
}

fn whole(bytes: &[u8]) -> Result<U2048, Error> {
    let mut padded = [0; WHOLE];
    let from = padded.len().checked_sub(bytes.len()).ok_or(Error::Internal)?;
    padded.get_mut(from..).ok_or(Error::Internal)?.copy_from_slice(bytes);
    Ok(U2048::from_be_slice(&padded))
}
