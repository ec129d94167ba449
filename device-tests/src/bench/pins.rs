//! What a PIN costs: from its beginning to its end, the pad's handshake, the one call that takes the pad's frame, and
//! the platform's grant of the try.

use super::{Outcome, Row, row, say, timed};
use crate::{
    lab::{Lab, PIN},
    pad::{self, LabPad},
    platform::LabPlatform,
};
use tapvault::{PlatformLink, Transport, Wallet};
use tapvault_network::registry::CNY;
use tapvault_proto::{
    Error,
    id::CardId,
    pad::{PadMessage, PadOfferRequest, PadSuite},
    pin::{BeginVerifyRequest, FinishRequest},
};

/// Has the platform grant a try, which takes a beginning that is refused; returns what question and statement cost.
fn granted<T: Transport>(
    wallet: &mut Wallet<T>,
    platform: &mut LabPlatform,
    verify: &BeginVerifyRequest,
) -> Outcome<u64> {
    wallet.open_pad(&mut LabPad::default()).map_err(say)?;
    match wallet.call(verify) {
        Err(error) if error.refusal() == Some(Error::TryNotGranted) => {}
        other => return Err(format!("a try that nobody granted: {other:?}")),
    }
    let (asked, question) = timed(|| wallet.freshness_question());
    let statement = platform.ask(&question.map_err(say)?).map_err(say)?;
    let (taken, reply) = timed(|| wallet.take_freshness(&statement));
    reply.map(|_| asked + taken).map_err(say)
}

/// Both suites. What the pad and the platform compute is in no row: they are other machines. The wallet has no way to
/// the platform, so that no row has its statement in it.
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
    let platform = &mut LabPlatform::default();
    rows.push(row("pin_grant", 20, || {
        let cost = granted(wallet, platform, &verify)?;
        let mut opened = pad::begin(wallet, &verify).map_err(say)?;
        wallet.call(&opened.pin(PIN)?).map_err(say)?;
        wallet.call(&FinishRequest { entry: opened.entry }).map(|_| cost).map_err(say)
    })?);
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
            granted(wallet, platform, &verify)?;
            let submit = pad::begin(wallet, &verify).map_err(say)?.pin(PIN)?;
            let (cost, reply) = timed(|| wallet.call(&submit));
            reply.map_err(say)?;
            wallet.call(&FinishRequest { entry: submit.entry }).map(|_| cost).map_err(say)
        })?);
        rows.push(row(whole, 20, || {
            granted(wallet, platform, &verify)?;
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
