//! What a PIN costs: from its beginning to its end, the pad's handshake, and the one call that takes the pad's frame.

use super::{Outcome, Row, row, say, timed};
use crate::{
    lab::{Lab, PIN},
    pad::{self, LabPad},
};
use tapvault::{Transport, Wallet};
use tapvault_network::registry::CNY;
use tapvault_proto::{
    id::CardId,
    pad::{PadMessage, PadOfferRequest, PadSuite},
    pin::{BeginVerifyRequest, FinishRequest},
};

/// Both suites. What the pad computes is in no row: it is another machine.
pub fn rows<T: Transport>(
    rows: &mut Vec<Row>,
    lab: &Lab,
    wallet: &mut Wallet<T>,
    card: CardId,
) -> Outcome<()> {
    let verify = BeginVerifyRequest {
        provider: lab.provider_id(),
        card,
        ceiling: 100_000,
        currency: CNY,
        exact: false,
    };
    for (suite, [whole, handshake, frame]) in [
        (PadSuite::P256, ["pin_verify", "pin_handshake", "pin_frame"]),
        (PadSuite::Sm2, ["pin_verify_sm2", "pin_handshake_sm2", "pin_frame_sm2"]),
    ] {
        wallet.choose_pad_suite(suite);
        rows.push(row(handshake, 20, || {
            let (asked, offer) = timed(|| wallet.call(&PadOfferRequest { suite }));
            let answer = LabPad::default().answer(&PadMessage::Offer(offer.map_err(say)?));
            let Ok(PadMessage::Answer(answer)) = answer else { return Err(format!("{answer:?}")) };
            let (taken, up) = timed(|| wallet.call(&answer));
            up.map(|_| asked + taken).map_err(say)
        })?);
        rows.push(row(frame, 50, || {
            let submit = pad::begin(wallet, &verify).map_err(say)?.pin(PIN)?;
            let (cost, reply) = timed(|| wallet.call(&submit));
            reply.map_err(say)?;
            wallet.call(&FinishRequest { entry: submit.entry }).map(|_| cost).map_err(say)
        })?);
        rows.push(row(whole, 20, || {
            let mut link = LabPad::default();
            wallet.open_pad(&mut link).map_err(say)?;
            let (begun, reply) = timed(|| wallet.call(&verify));
            let reply = reply.map_err(say)?;
            let submit = pad::Opened::of(link, &reply).map_err(say)?.pin(PIN)?;
            let entry = submit.entry;
            let (compared, reply) = timed(|| wallet.call(&submit));
            reply.map_err(say)?;
            let (restored, reply) = timed(|| wallet.call(&FinishRequest { entry }));
            reply.map(|_| begun + compared + restored).map_err(say)
        })?);
    }
    wallet.choose_pad_suite(PadSuite::P256);
    Ok(())
}
