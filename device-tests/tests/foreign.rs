//! The card at the terminal, recomputed by a library nobody here wrote: the crate `emv`, from the
//! issuer's master key down to the ARPC.

mod common;

use common::Phone;
use emv::core::{
    application_cryptogram::application_cryptogram, issuer_authentication::arpc_method1,
    master_key_derivation::derive_master_key_option_a, secure_messaging::tdes_encrypt_block,
};
use tapvault_device_tests::lab::{self, Field, Lab, PIN};
use tapvault_network::{
    issuer::Decision,
    lab::LabBank,
    terminal::{Payment, Verification, pay},
};
use tapvault_proto::token::Channel;

fn payment(number: u8, verification_required: bool) -> Payment {
    let unpredictable = [number, 0xFF, 0x00, number];
    Payment { unpredictable, ..lab::payment(12_345 * u64::from(number), verification_required) }
}

#[test]
fn a_foreign_library_computes_the_same_cryptograms() {
    let phone = Phone::new();
    let (mut wallet, mut lab) = (phone.wallet(), Lab::new().unwrap());
    let card = lab.provision(&mut wallet).unwrap();
    lab.set_pin(&mut wallet, PIN).unwrap();
    let token = lab.issuer.cards()[0].token.clone();
    let packed: Vec<u8> = token
        .as_bytes()
        .chunks(2)
        .map(|pair| {
            let digit = |at: usize| pair.get(at).map_or(0x0F, |digit| digit - b'0');
            digit(0) << 4 | digit(1)
        })
        .collect();

    for number in 1..=6_u8 {
        let verified = number % 2 == 0;
        if verified {
            lab.verify(&mut wallet, card, PIN).unwrap();
        }
        let mut tap = lab::prepare(&mut wallet, card, verified).unwrap();
        let taken = pay(&mut Field(&mut tap), &payment(number, verified)).unwrap();
        let expected = if verified { Verification::Phone } else { Verification::None };
        assert_eq!(taken.verification, expected);
        let request = taken.request;

        let imk = LabBank::A.issuer_master_key(1, Channel::Nfc);
        let udk = derive_master_key_option_a(imk.expose(), &packed, Some(request.psn[0])).unwrap();
        let [high, low] = request.atc;
        let block = |a, b| tdes_encrypt_block(&udk, [0, 0, 0, 0, 0, 0, a, b]);
        let session: [u8; 16] = [block(high, low), block(!high, !low)].concat().try_into().unwrap();
        let cvr = &request.issuer_data[3..7];
        let data = [
            &request.amount[..],
            &request.amount_other,
            &request.country,
            &request.tvr,
            &request.currency,
            &request.date,
            &request.kind,
            &request.unpredictable,
            &request.aip,
            &request.atc,
            cvr,
        ]
        .concat();
        assert_eq!(application_cryptogram(&session, &data), request.cryptogram, "payment {number}");

        match lab.issuer.authorise(&request) {
            Decision::Approved { arpc, atc, holder_verified } => {
                assert_eq!(arpc, arpc_method1(request.cryptogram, *b"00", &session));
                assert_eq!((atc, holder_verified), (u16::from(number), verified));
            }
            declined => panic!("{declined}"),
        }
    }
}
