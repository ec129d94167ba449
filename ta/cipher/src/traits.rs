//! The ciphers as the RustCrypto crates for CMAC and GCM take them.

use crate::{Sm4, Tdes};
use cipher::{
    Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, InOut,
    ParBlocksSizeUser,
    consts::{U1, U8, U16},
};

macro_rules! block_cipher {
    ($cipher:ident, $size:ident) => {
        impl BlockSizeUser for $cipher {
            type BlockSize = $size;
        }

        impl ParBlocksSizeUser for $cipher {
            type ParBlocksSize = U1;
        }

        impl BlockCipherEncBackend for $cipher {
            fn encrypt_block(&self, mut block: InOut<'_, '_, Block<Self>>) {
                let mut bytes = block.get_in().0;
                self.encrypt(&mut bytes);
                block.get_out().0 = bytes;
            }
        }

        impl BlockCipherEncrypt for $cipher {
            fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = Self::BlockSize>) {
                f.call(self);
            }
        }
    };
}

block_cipher!(Tdes, U8);
block_cipher!(Sm4, U16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_traits_give_the_same_blocks() {
        let key = [0x5A; 16];
        let mut block = [7; 16];
        Sm4::new(&key).encrypt(&mut block);
        let mut other = Block::<Sm4>::from([7; 16]);
        Sm4::new(&key).encrypt_blocks(core::slice::from_mut(&mut other));
        assert_eq!(other.0, block);
        let mut block = [7; 8];
        Tdes::new(&key).encrypt(&mut block);
        let mut other = Block::<Tdes>::from([7; 8]);
        Tdes::new(&key).encrypt_blocks(core::slice::from_mut(&mut other));
        assert_eq!(other.0, block);
    }
}
