//! The service platform's statement, in the run that the device is in.

use super::{prepared, refused};
use crate::{
    Outcome, ensure,
    lab::{self, PIN, say},
    platform::{LabPlatform, resigned},
};
use tapvault::{ClientError, PlatformLink, Transport, Wallet};
use tapvault_proto::{
    Error,
    freshness::{GrantedTries, TakeGrantRequest},
};

pub(super) fn a_statement_is_the_platforms_and_of_this_run<T: Transport>(
    make: &dyn Fn() -> Wallet<T>,
) -> Outcome<()> {
    let wallet = &mut make();
    let (lab, card) = prepared(wallet)?;
    let provider = lab.provider_id();
    let question = wallet.freshness_question().map_err(say)?;
    ensure(question.state.cards.iter().any(|issued| issued.card == card), || {
        "the card is not asked for".into()
    })?;
    let again = make().freshness_question().map_err(say)?;
    ensure(again.state == question.state, || "another run".into())?;
    let good = LabPlatform::default().ask(&question).map_err(say)?;
    let mut forged = good.clone();
    forged.signature[9] ^= 1;
    refused(wallet.take_freshness(&forged), Error::SignatureInvalid)?;
    refused(wallet.call(&TakeGrantRequest { statement: forged }), Error::SignatureInvalid)?;
    let mut altered = good.clone();
    altered.said.granted = Some(GrantedTries { provider, granted: 99 });
    refused(wallet.call(&TakeGrantRequest { statement: altered }), Error::SignatureInvalid)?;
    let other = resigned(&good, |statement| statement.said.card_nonce[31] ^= 1).map_err(say)?;
    refused(wallet.take_freshness(&other), Error::WrongChallenge)?;
    let other = resigned(&good, |statement| statement.said.pin_nonce[31] ^= 1).map_err(say)?;
    refused(wallet.call(&TakeGrantRequest { statement: other }), Error::WrongChallenge)?;
    for _ in 0..2 {
        ensure(wallet.take_freshness(&good).map_err(say)? == 0, || "a store that nobody put back".into())?;
    }
    // Somebody saw a counter that storage does not know of: the next one is above it.
    let last = |wallet: &mut Wallet<T>| -> Outcome<u16> {
        lab::tap(wallet, card, false, &lab::gpo_command(100, false))?;
        let entries = wallet.card_log(card).map_err(say)?;
        entries.last().map(|entry| entry.atc).ok_or_else(|| "no payment".into())
    };
    let seen = last(wallet)? + 40;
    let ahead = resigned(&good, |statement| {
        for counter in statement.said.counters.iter_mut().filter(|counter| counter.card == card) {
            counter.atc = seen;
        }
    })
    .map_err(say)?;
    ensure(wallet.take_freshness(&ahead).map_err(say)? == 1, || "not noticed".into())?;
    let next = last(wallet)?;
    ensure(next == seen + 1, || format!("{next} after {seen}"))
}

pub(super) fn each_try_is_granted_and_a_success_settles_it<T: Transport>(
    make: &dyn Fn() -> Wallet<T>,
) -> Outcome<()> {
    let wallet = &mut make();
    let (lab, card) = prepared(wallet)?;
    let provider = lab.provider_id();
    let settled = |wallet: &mut Wallet<T>| -> Outcome<u32> {
        let run = wallet.freshness_question().map_err(say)?.state.pin;
        Ok(run.settled.iter().find(|tries| tries.provider == provider).map_or(0, |tries| tries.granted))
    };
    let before = settled(wallet)?;
    let wrong = lab.verify(wallet, card, "000000");
    ensure(matches!(wrong, Err(ClientError::WrongPin { .. })), || format!("{wrong:?}"))?;
    ensure(settled(wallet)? == before, || "a wrong PIN settles".into())?;
    lab.verify(wallet, card, PIN).map_err(say)?;
    let after = settled(wallet)?;
    ensure(after == before + 2, || format!("{after} after {before}"))
}
