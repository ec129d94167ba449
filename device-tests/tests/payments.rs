//! Codes and signed requests: time, power, storage, and a foreign library's opinion of their cryptograms.

mod common;

use common::{Phone, refusal};
use emv::core::{
    application_cryptogram::application_cryptogram, master_key_derivation::derive_master_key_option_a,
    secure_messaging::tdes_encrypt_block,
};
use tapvault::{Wallet, online::approval, sim::Sim};
use tapvault_device_tests::lab::{self, Digits, Lab, PIN, TIME};
use tapvault_network::{
    code::charge, lab::LabBank, online::Payee, registry::CNY, request::AuthorisationRequest,
};
use tapvault_proto::{
    Error,
    approval::Approval,
    card::{ATC_RANGE, QrPayloadRequest, QrPrepareRequest},
    emv::qr::LIFE,
    id::CardId,
    online::{OnlinePayRequest, PaymentRequest},
    pin::VERIFICATION_LIFE_MS,
    token::Channel,
};

fn ready(phone: &Phone) -> (Wallet<Sim>, Lab, CardId) {
    let (mut wallet, mut lab) = (phone.wallet(), Lab::new().unwrap());
    let card = lab.provision(&mut wallet).unwrap();
    lab.set_pin(&mut wallet, PIN).unwrap();
    lab.set_time(&mut wallet).unwrap();
    (wallet, lab, card)
}

fn pad() -> Digits {
    Digits::of(&[PIN])
}

fn request(payee: &Payee, good_for: u64) -> (PaymentRequest, Vec<u8>) {
    let order = payee.own_order("2026-11-26/1", (12_345, CNY), TIME + good_for).unwrap();
    let request = payee.request(order).unwrap();
    let json = request.to_json().unwrap().to_vec();
    (request, json)
}

fn shop() -> Payee {
    Payee::merchant("898110048990001", "Tea Shop").unwrap()
}

#[test]
fn nothing_is_stored_between_the_preparation_and_the_answer() {
    let phone = Phone::new();
    let (mut wallet, lab, card) = ready(&phone);
    wallet.approve(lab.provider_id(), Approval::code(card), &mut pad()).unwrap();
    wallet.call(&QrPrepareRequest { card }).unwrap();
    let before = phone.accesses();
    wallet.call(&QrPayloadRequest { card }).unwrap();
    assert_eq!(phone.accesses(), before);

    let (_, json) = request(&shop(), 900);
    wallet.approve(lab.provider_id(), approval(card, &json).unwrap(), &mut pad()).unwrap();
    let before = phone.accesses();
    wallet.prepare_online(card, &json).unwrap();
    assert_eq!(phone.accesses() - before, 2, "one open, one write, of the code before");
    let before = phone.accesses();
    wallet.call(&OnlinePayRequest { card }).unwrap();
    assert_eq!(phone.accesses(), before);
}

#[test]
fn a_start_without_a_time_statement_pays_neither_way() {
    let phone = Phone::new();
    let (_, lab, card) = ready(&phone);
    let (_, json) = request(&shop(), 900);
    phone.restart();
    let mut wallet = phone.wallet();
    assert_eq!(refusal(wallet.qr_code(lab.provider_id(), card, &mut pad())), Some(Error::NoTime));
    let paid = wallet.pay_online(lab.provider_id(), card, &json, &mut pad());
    assert_eq!(refusal(paid), Some(Error::NoTime));
    // Another bank's word is none for this bank's card.
    let nonce = wallet.time_nonce().unwrap();
    let other = tapvault_network::bank::Provider::lab("B").unwrap();
    wallet.set_time(other.time(nonce, TIME)).unwrap();
    assert_eq!(refusal(wallet.call(&QrPrepareRequest { card })), Some(Error::NoTime));
    lab.set_time(&mut wallet).unwrap();
    wallet.qr_code(lab.provider_id(), card, &mut pad()).unwrap();
}

#[test]
fn an_approval_lasts_sixty_seconds_and_no_restart() {
    let phone = Phone::new();
    let (mut wallet, lab, card) = ready(&phone);
    let approve = |wallet: &mut Wallet<Sim>| {
        wallet.approve(lab.provider_id(), Approval::code(card), &mut pad()).unwrap();
    };
    approve(&mut wallet);
    phone.advance(VERIFICATION_LIFE_MS);
    assert_eq!(refusal(wallet.call(&QrPrepareRequest { card })), Some(Error::NoVerification));
    approve(&mut wallet);
    phone.advance(VERIFICATION_LIFE_MS - 1);
    assert_eq!(wallet.call(&QrPrepareRequest { card }).unwrap().approved_ms, 1);
    phone.advance(1);
    assert_eq!(refusal(wallet.call(&QrPayloadRequest { card })), Some(Error::NothingPrepared));
    approve(&mut wallet);
    wallet.call(&QrPrepareRequest { card }).unwrap();
    phone.restart();
    let mut wallet = phone.wallet();
    lab.set_time(&mut wallet).unwrap();
    assert_eq!(refusal(wallet.call(&QrPayloadRequest { card })), Some(Error::NothingPrepared));
}

#[test]
fn a_request_may_run_out_while_it_is_prepared() {
    let phone = Phone::new();
    let (mut wallet, lab, card) = ready(&phone);
    let payee = shop();
    for (seconds, expected) in [(29, None), (31, Some(Error::RequestExpired))] {
        lab.set_time(&mut wallet).unwrap();
        let (_, json) = request(&payee, 30);
        wallet.approve(lab.provider_id(), approval(card, &json).unwrap(), &mut pad()).unwrap();
        wallet.prepare_online(card, &json).unwrap();
        phone.advance(seconds * 1000);
        assert_eq!(refusal(wallet.call(&OnlinePayRequest { card })), expected, "after {seconds} s");
    }
}

/// A statement that is held back puts the card's clock ahead, and a code's moment with it.
#[test]
fn a_late_time_statement_makes_no_code_last_longer() {
    let phone = Phone::new();
    let (mut wallet, mut lab, card) = ready(&phone);
    let nonce = wallet.time_nonce().unwrap();
    phone.advance(3_600_000);
    // Signed now, an hour after the nonce was drawn.
    wallet.set_time(lab.provider.time(nonce, TIME + 3600)).unwrap();
    let code = wallet.qr_code(lab.provider_id(), card, &mut pad()).unwrap();
    assert_eq!(code.expires, TIME + 7200 + LIFE);
    let asked = charge(&code.text, 100, CNY).unwrap();
    assert!(!lab.issuer.authorise_at(&asked, TIME + 3600).is_approved(), "a code from the future");
}

/// The crate `emv` recomputes each cryptogram from the master key of its channel.
#[test]
fn a_foreign_library_computes_the_same_cryptograms() {
    let phone = Phone::new();
    let (mut wallet, lab, card) = ready(&phone);
    let token = lab.issuer.cards()[0].token.clone();
    let packed = hex::decode(&token).unwrap();
    let mut requests = Vec::new();
    for _ in 0..3 {
        let code = wallet.qr_code(lab.provider_id(), card, &mut pad()).unwrap();
        requests.push(charge(&code.text, 9_999, CNY).unwrap());
        for payee in [shop(), Payee::wallet().unwrap()] {
            let order = shop().own_order("7", (12_345, CNY), TIME + 900).unwrap();
            let request = payee.request(order).unwrap();
            let json = request.to_json().unwrap();
            let answer = wallet.pay_online(lab.provider_id(), card, &json, &mut pad()).unwrap();
            requests.push(payee.open(&request, &answer).unwrap());
        }
    }
    for (number, request) in (1_u16..).zip(&requests) {
        assert_eq!(u16::from_be_bytes(request.atc), number);
        let imk = LabBank::A.issuer_master_key(1, request.channel);
        let udk = derive_master_key_option_a(imk.expose(), &packed, Some(request.psn[0])).unwrap();
        let [high, low] = request.atc;
        let block = |a, b| tdes_encrypt_block(&udk, [0, 0, 0, 0, 0, 0, a, b]);
        let session: [u8; 16] = [block(high, low), block(!high, !low)].concat().try_into().unwrap();
        assert_eq!(
            application_cryptogram(&session, &covered(request)),
            request.cryptogram,
            "payment {number}, {:?}",
            request.channel
        );
    }
}

/// As `docs/four-ways-to-pay.md` says: put together here once more.
fn covered(request: &AuthorisationRequest) -> Vec<u8> {
    let (amount, currency) = match request.channel {
        Channel::Qr => ([0; 6], [0; 2]),
        _ => ([0, 0, 0, 0x01, 0x23, 0x45], [0x01, 0x56]),
    };
    [
        &amount[..],
        &[0; 6],
        &[0; 2],
        &[0; 5],
        &currency,
        &[0; 3],
        &[0],
        &request.unpredictable,
        &[0x7C, 0x00],
        &request.atc,
        &[0x03, 0xA4, 0x00, 0x00],
    ]
    .concat()
}

/// A payment of the next way, and its counter.
fn next(lab: &mut Lab, wallet: &mut Wallet<Sim>, card: CardId, step: u16) -> Result<u16, String> {
    let asked = match step % 3 {
        0 => {
            let code = wallet.qr_code(lab.provider_id(), card, &mut pad()).map_err(lab::say)?;
            let asked = charge(&code.text, 100, CNY).map_err(lab::say)?;
            assert!(lab.issuer.authorise_at(&asked, code.expires).is_approved());
            return Ok(u16::from_be_bytes(asked.atc));
        }
        1 => {
            let payee = shop();
            let (request, json) = request(&payee, 86_400);
            let answer = wallet.pay_online(lab.provider_id(), card, &json, &mut pad()).map_err(lab::say)?;
            payee.open(&request, &answer).map_err(lab::say)?
        }
        _ => lab::request(100, false, &lab::tap(wallet, card, false, &lab::gpo_command(100, false))?)?,
    };
    assert!(lab.issuer.authorise(&asked).is_approved(), "step {step}");
    Ok(u16::from_be_bytes(asked.atc))
}

/// Power is lost at every change of storage in a row of payments that mixes the ways.
#[test]
fn no_counter_serves_two_payments_whatever_way_they_go_and_when_power_is_lost() {
    let mut cuts = 0;
    for point in 1.. {
        let phone = Phone::new();
        let (mut wallet, mut lab, card) = ready(&phone);
        // Nearly to the end of the first range of counters, so that the next one is reserved on the way.
        for _ in 0..ATC_RANGE - 3 {
            next(&mut lab, &mut wallet, card, 2).unwrap();
        }
        phone.device.borrow_mut().changes_left = Some(point);
        let mut counters = vec![ATC_RANGE - 3];
        for step in 0..6 {
            match next(&mut lab, &mut wallet, card, step) {
                Ok(atc) => counters.push(atc),
                Err(_) if phone.device.borrow().changes_left == Some(0) => break,
                Err(error) => panic!("step {step}: {error}"),
            }
        }
        let cut = phone.device.borrow().changes_left == Some(0);
        cuts += u32::from(cut);
        phone.restart();
        wallet = phone.wallet();
        lab.set_pin(&mut wallet, PIN).unwrap();
        lab.set_time(&mut wallet).unwrap();
        let before = counters.last().copied().unwrap_or_default();
        for step in 0..6 {
            counters.push(next(&mut lab, &mut wallet, card, step).unwrap());
        }
        assert!(counters.windows(2).all(|two| two[0] < two[1]), "cut {point}: {counters:?}");
        let after = counters[counters.len() - 6];
        assert!(after <= before + ATC_RANGE + 1, "cut {point}: {after} after {before}");
        if !cut {
            break;
        }
    }
    assert!(cuts >= 12, "{cuts} cuts");
}
