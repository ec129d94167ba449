//! PBOC application cryptograms under 3DES, cryptogram version 01 (JR/T 0025; layouts and vectors as
//! published, see `network/tests/vectors/pboc_3des_ac.json`).
//!
//! The `des` crate looks up tables by secret bytes: its time may depend on the key. What that means is
//! said in `docs/security-model.md`.

use des::{
    Des, TdesEde2,
    cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit, typenum::U8},
};
use tapvault_proto::{emv::gpo::PdolData, profile::Key128};
use zeroize::Zeroizing;

/// Bytes under the cryptogram: 29 of the terminal, then AIP, ATC and CVR.
const DATA_LEN: usize = 37;
/// The same with ISO 9797-1 padding method 2.
const PADDED_LEN: usize = 40;

type Block = Array<u8, U8>;

/// Card-side inputs of a cryptogram.
pub struct CardData {
    /// Tag 82.
    pub aip: [u8; 2],
    /// Tag 9F36.
    pub atc: u16,
    /// Card verification results, out of 9F10.
    pub cvr: [u8; 4],
}

/// The cryptogram, tag 9F26: a retail MAC under the session key of `card.atc`.
pub fn cryptogram(udk: &Key128, terminal: &PdolData, card: &CardData) -> [u8; 8] {
    let atc = card.atc.to_be_bytes();
    let parts: [&[u8]; 11] = [
        &terminal.amount,
        &terminal.amount_other,
        &terminal.country,
        &terminal.tvr,
        &terminal.currency,
        &terminal.date,
        &[terminal.kind],
        &terminal.unpredictable,
        &card.aip,
        &atc,
        &card.cvr,
    ];
    let mut data = [0; PADDED_LEN];
    for (slot, byte) in data.iter_mut().zip(parts.iter().copied().flatten().chain(&[0x80])) {
        *slot = *byte;
    }
    retail_mac(&session_key(udk, card.atc), &data)
}

/// 3DES(UDK)[00⁶ ‖ ATC] ‖ 3DES(UDK)[00⁶ ‖ ¬ATC].
fn session_key(udk: &Key128, atc: u16) -> Zeroizing<[u8; 16]> {
    let cipher = TdesEde2::new(udk.expose().into());
    let mut key = Zeroizing::new([0; 16]);
    for (half, counter) in key.chunks_exact_mut(8).zip([atc, !atc]) {
        let [high, low] = counter.to_be_bytes();
        let mut block = Block::from([0, 0, 0, 0, 0, 0, high, low]);
        cipher.encrypt_block(&mut block);
        half.copy_from_slice(&block);
    }
    key
}

/// ISO/IEC 9797-1 MAC algorithm 3 over whole blocks.
fn retail_mac(key: &[u8; 16], data: &[u8; PADDED_LEN]) -> [u8; 8] {
    let (left, right) = key.split_at(8);
    let (Ok(left), Ok(right)) = (Des::new_from_slice(left), Des::new_from_slice(right)) else {
        return [0; 8];
    };
    let mut mac = Block::default();
    for block in data.chunks_exact(8) {
        mac.iter_mut().zip(block).for_each(|(mac, byte)| *mac ^= byte);
        left.encrypt_block(&mut mac);
    }
    right.decrypt_block(&mut mac);
    left.encrypt_block(&mut mac);
    mac.into()
}

const _: () = assert!(DATA_LEN < PADDED_LEN && PADDED_LEN.is_multiple_of(8));

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::vec::Vec;
    use tapvault_proto::emv::gpo::{PDOL_DATA_LEN, Ttq};

    const VECTORS: &str = include_str!("../../../network/tests/vectors/pboc_3des_ac.json");

    fn bytes<const N: usize>(value: &Value) -> [u8; N] {
        hex::decode(value.as_str().unwrap()).unwrap().try_into().unwrap()
    }

    #[test]
    fn cryptograms_are_those_of_software_that_is_not_ours() {
        let file: Value = serde_json::from_str(VECTORS).unwrap();
        let cases: Vec<_> =
            ["public", "generated"].iter().flat_map(|part| file[part].as_array().unwrap()).collect();
        let mut checked = 0;
        for case in cases.iter().filter(|case| case["cvn"] == "01" && case["ac"].is_string()) {
            let field = &case["fields"];
            let mut terminal = PdolData::from_bytes(&[0; PDOL_DATA_LEN]);
            terminal.ttq = Ttq([0xFF; 4]);
            terminal.amount = bytes(&field["9F02"]);
            terminal.amount_other = bytes(&field["9F03"]);
            terminal.country = bytes(&field["9F1A"]);
            terminal.tvr = bytes(&field["95"]);
            terminal.currency = bytes(&field["5F2A"]);
            terminal.date = bytes(&field["9A"]);
            [terminal.kind] = bytes(&field["9C"]);
            terminal.unpredictable = bytes(&field["9F37"]);
            let atc = u16::from_be_bytes(bytes(&case["atc"]));
            let card = CardData { aip: bytes(&field["82"]), atc, cvr: bytes(&field["CVR"]) };
            let udk = Key128::new(bytes(&case["udk"]));
            assert_eq!(*session_key(&udk, atc), bytes::<16>(&case["sk"]), "{case}");
            assert_eq!(cryptogram(&udk, &terminal, &card), bytes::<8>(&case["ac"]), "{case}");
            checked += 1;
        }
        assert_eq!(checked, CVN01_CASES);
    }

    /// One published and the generated ones.
    const CVN01_CASES: usize = 37;
}
