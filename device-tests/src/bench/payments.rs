//! What a code and a signed request cost.

use super::{Outcome, Row, row, say, timed};
use crate::lab::{Digits, Lab, PIN, TIME};
use tapvault::{
    online::approval,
    optee::{Login, Optee},
};
use tapvault_network::{online::Payee, registry::CNY};
use tapvault_proto::{
    approval::Approval,
    card::{QrPayloadRequest, QrPrepareRequest},
    online::{OnlinePayRequest, OnlinePrepareRequest},
    wire::Bytes,
};

/// The PIN and storage are outside of every row but `inapp_prepare`, which has all the public-key work: two signatures
/// checked, one key encapsulated; and stores the payment before.
pub fn rows(rows: &mut Vec<Row>) -> Outcome<()> {
    let mut lab = Lab::new()?;
    let mut wallet = crate::lab::wallet(Optee::connect(Login::User).map_err(say)?);
    let card = lab.provision(&mut wallet)?;
    lab.set_pin(&mut wallet, PIN)?;
    lab.set_time(&mut wallet)?;
    let provider = lab.provider_id();
    rows.push(row("qr_payload", 20, || {
        wallet.approve(provider, Approval::code(card), &mut Digits::of(&[PIN])).map_err(say)?;
        wallet.call(&QrPrepareRequest { card }).map_err(say)?;
        let (cost, reply) = timed(|| wallet.call(&QrPayloadRequest { card }));
        reply.map(|_| cost).map_err(say)
    })?);

    let shop = Payee::merchant("898110048990001", "Tea Shop").map_err(say)?;
    let order = shop.own_order("2026-11-26/1", (12_345, CNY), TIME + 86_400).map_err(say)?;
    let json = shop.request(order).map_err(say)?.to_json().map_err(say)?;
    let approved = approval(card, &json).map_err(say)?;
    let prepare = OnlinePrepareRequest { card, request: Bytes::from_slice(&json).map_err(|_| "too long")? };
    rows.push(row("inapp_prepare", 20, || {
        wallet.approve(provider, approved.clone(), &mut Digits::of(&[PIN])).map_err(say)?;
        let (cost, reply) = timed(|| wallet.call(&prepare));
        reply.map_err(say)?;
        wallet.call(&OnlinePayRequest { card }).map(|_| cost).map_err(say)
    })?);
    rows.push(row("inapp_payload", 20, || {
        wallet.approve(provider, approved.clone(), &mut Digits::of(&[PIN])).map_err(say)?;
        wallet.call(&prepare).map_err(say)?;
        let (cost, reply) = timed(|| wallet.call(&OnlinePayRequest { card }));
        reply.map(|_| cost).map_err(say)
    })?);
    wallet.remove_card(card).map_err(say)
}
