//! What a tap costs.

use super::{Outcome, Row, pins, row, say, switches, timed};
use crate::{
    lab::{Lab, PIN, gpo_command, switch_on, terminal_data},
    oda::WANTS_ODA,
};
use tapvault::{
    Transport, Wallet,
    optee::{Login, Optee},
    transport::call,
};
use tapvault_network::{kind::CardKind, oda::OdaKind};
use tapvault_proto::{
    card::{TapGpoRequest, TapPrepareRequest},
    emv::{AID_UNIONPAY_DEBIT, apdu::Command, gpo::PDOL_DATA_LEN},
    id::CardId,
    profile::Suite,
    service::Service,
    wire::Bytes,
};

/// A phone with a card and a PIN.
fn ready() -> Outcome<(Lab, Wallet<Optee>, CardId)> {
    let mut lab = Lab::new()?;
    let mut wallet = crate::lab::wallet(Optee::connect(Login::User).map_err(say)?);
    let card = lab.provision(&mut wallet)?;
    lab.set_pin(&mut wallet, PIN)?;
    Ok((lab, wallet, card))
}

/// A wallet that asks nobody by itself.
fn alone() -> Outcome<Wallet<Optee>> {
    Optee::connect(Login::User).map(Wallet::new).map_err(say)
}

/// The PIN alone.
pub fn pins(rows: &mut Vec<Row>) -> Outcome<()> {
    let (lab, _, card) = ready()?;
    pins::rows(rows, &lab, &mut alone()?, card)
}

pub fn rows(rows: &mut Vec<Row>) -> Outcome<()> {
    let (mut lab, mut wallet, card) = ready()?;
    pins::rows(rows, &lab, &mut alone()?, card)?;

    let mut channel = Optee::connect(Login::User).and_then(|tee| tee.connect(Service::Card)).map_err(say)?;
    let prepare = TapPrepareRequest { card, verified: false };
    let gpo = |channel: &mut _| {
        let (cost, reply) = timed(|| call(channel, &gpo_request(card)));
        let response = reply.map_err(say)?.response;
        if response.ends_with(&[0x90, 0x00]) { Ok(cost) } else { Err(format!("{response:02X?}")) }
    };
    // A range lasts 16 taps: the row is the call that reserves one.
    rows.push(row("tap_prepare", 20, || {
        switch_on(&mut wallet, card)?;
        let taps = call(&mut channel, &prepare).map_err(say)?.taps;
        for _ in 0..taps {
            gpo(&mut channel)?;
        }
        let (cost, reply) = timed(|| call(&mut channel, &prepare));
        reply.map(|_| cost).map_err(say)
    })?);
    rows.push(row("tap_gpo_intl", 50, || {
        switch_on(&mut wallet, card)?;
        call(&mut channel, &prepare).map_err(say)?;
        gpo(&mut channel)
    })?);

    for (name, suite) in [
        ("tap_gpo_domestic", Suite::PbocSm4),
        ("tap_gpo_emv_3des", Suite::Emv3Des),
        ("tap_gpo_aes", Suite::EmvAes),
    ] {
        lab.kind.suite = suite;
        lab.issue(&mut wallet, card)?;
        rows.push(row(name, 50, || {
            switch_on(&mut wallet, card)?;
            call(&mut channel, &prepare).map_err(say)?;
            gpo(&mut channel)
        })?);
    }

    lab.kind = CardKind::default();
    for (name, kind) in [
        ("tap_gpo_fdda", OdaKind::Rsa1024),
        ("tap_gpo_fdda_rsa_1536", OdaKind::Rsa1536),
        ("tap_gpo_fdda_sm2", OdaKind::Sm2),
    ] {
        lab.kind.oda = kind;
        lab.issue(&mut wallet, card)?;
        let mut data = terminal_data(100, false);
        data[..4].copy_from_slice(&WANTS_ODA);
        let body = [&[0x83, PDOL_DATA_LEN as u8], &data[..]].concat();
        let command = Command { cla: 0x80, ins: 0xA8, p1: 0, p2: 0, data: &body };
        let request = TapGpoRequest { command: command.to_bytes(), ..gpo_request(card) };
        rows.push(row(name, 20, || {
            switch_on(&mut wallet, card)?;
            call(&mut channel, &prepare).map_err(say)?;
            let (cost, reply) = timed(|| call(&mut channel, &request));
            let record = reply.map_err(say)?.record;
            record.map(|_| cost).ok_or_else(|| format!("{name}: no record"))
        })?);
    }

    let mut fewest = u64::MAX;
    for _ in 0..20 {
        switch_on(&mut wallet, card)?;
        call(&mut channel, &prepare).map_err(say)?;
        fewest = fewest.min(switches(|| gpo(&mut channel).map(|_| ()))?);
    }
    rows.push(Row(
        "tap_world_switches",
        fewest,
        "count",
        "minimum of 20, tracepoint optee_invoke_fn_begin".into(),
    ));
    Ok(())
}

/// GET PROCESSING OPTIONS for one payment without a PIN.
pub fn gpo_request(card: CardId) -> TapGpoRequest {
    TapGpoRequest {
        card,
        aid: Bytes::from_iter(AID_UNIONPAY_DEBIT),
        command: Bytes::from_iter(gpo_command(100, false)),
    }
}
