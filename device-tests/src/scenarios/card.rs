//! The card's kinds, several cards, offline authentication, what is remembered and what a bank may get wrong.

use super::{NEEDS_PIN, approved, prepared, refused, status};
use crate::{
    Outcome, contact, ensure,
    lab::{self, Field, Lab, PIN, say},
    oda::{Read, WANTS_ODA},
    status_words,
};
use tapvault::{ClientError, Transport, Wallet};
use tapvault_network::{
    contact::ContactRules,
    issuer::{Decision, Reason},
    kind::CardKind,
    oda::{OdaKind, rsa, sm2},
    registry::CNY,
    terminal::{Payment, Refusal, Verification, pay},
};
use tapvault_proto::{
    Error,
    card::{LOG_LEN, MAX_CARDS},
    emv::apdu::Command,
    id::CardId,
    profile::{OdaKey, Product, RsaKey, SecretBytes},
};

pub fn every_suite_pays<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = prepared(wallet)?;
    for (suite, cvn, derivation) in crate::cases::paths() {
        lab.kind = CardKind { suite, cvn, derivation, ..CardKind::default() };
        lab.issue(wallet, card)?;
        for verified in [false, true] {
            if verified {
                lab.verify(wallet, card, PIN).map_err(say)?;
            }
            let mut tap = lab::prepare(wallet, card, verified)?;
            let taken = pay(&mut Field(&mut tap), &lab::payment(12_345, verified)).map_err(say)?;
            let mut altered = taken.request.clone();
            let [.., last] = &mut altered.amount;
            *last ^= 1;
            let altered = lab.issuer.authorise(&altered);
            let named = Decision::Declined(Reason::WrongCryptogram);
            ensure(altered == named, || format!("{suite:?} {cvn:?}: another amount was {altered}"))?;
            approved(&lab.issuer.authorise(&taken.request), verified)
                .map_err(|error| format!("{suite:?} {cvn:?}: {error}"))?;
            let again = lab.issuer.authorise(&taken.request);
            ensure(again == Decision::Declined(Reason::ReplayedAtc), || format!("a replay was {again}"))?;
        }
    }
    Ok(())
}

pub fn a_terminal_chooses_among_cards<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, debit) = prepared(wallet)?;
    let second = lab.provision(wallet)?;
    lab.kind.product = Product::Credit;
    let credit = lab.provision(wallet)?;
    lab.verify(wallet, second, PIN).map_err(say)?;
    let mut tap = wallet.prepare_taps(&[debit, second, credit], Some(second)).map_err(say)?;
    // The first in the directory, where nobody was verified; then the others, by the part that they share.
    let refusal = pay(&mut Field(&mut tap), &lab::payment(100, true)).err().map(|error| error.refusal);
    let needed = matches!(refusal, Some(Refusal::VerificationNeeded { status: NEEDS_PIN }));
    ensure(needed, || format!("the first card: {refusal:?}"))?;
    let rid = &Product::Debit.aid()[..5];
    let mut counters = Vec::new();
    for (p2, verification, expected) in [(0x00, false, 0x9000), (0x02, true, 0x9000), (0x02, false, 0x9000)] {
        let select = Command { cla: 0, ins: 0xA4, p1: 4, p2, data: rid };
        ensure(tap.transmit(&select.to_bytes()).status() == 0x9000, || format!("SELECT {p2:02X}"))?;
        let response = tap.transmit(&lab::gpo_command(100, verification));
        ensure(response.status() == expected, || format!("{p2:02X}: {:04X}", response.status()))?;
        let request = lab::request(100, verification, &response)?;
        approved(&lab.issuer.authorise(&request), verification)?;
        counters.push(request.track2);
    }
    counters.dedup();
    ensure(counters.len() == 3, || "one card paid twice".into())?;
    let more = tap.transmit(&Command { cla: 0, ins: 0xA4, p1: 4, p2: 2, data: rid }.to_bytes());
    ensure(more.status() == 0x6A82, || format!("a fourth card: {:04X}", more.status()))?;
    drop(tap);
    for (cards, verified) in [(&[][..], None), (&[debit, debit], None), (&[debit], Some(credit))] {
        let prepared = wallet.prepare_taps(cards, verified).map(|_| ());
        ensure(matches!(prepared, Err(ClientError::Field)), || format!("{} cards", cards.len()))?;
    }
    Ok(())
}

pub fn a_card_that_wants_the_pin_gets_it<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = prepared(wallet)?;
    lab.holder.pin_from = 1_000;
    lab.issue(wallet, card)?;
    // The terminal asks for nothing; the card does from 10.00 on, and for any amount of another currency.
    for (amount, currency, expected) in
        [(999, CNY, None), (1_000, CNY, Some(NEEDS_PIN)), (1, 0x0840, Some(NEEDS_PIN))]
    {
        let mut tap = lab::prepare(wallet, card, false)?;
        let wanted = Payment { currency, ..lab::payment(amount, false) };
        match (pay(&mut Field(&mut tap), &wanted).map_err(|error| error.refusal), expected) {
            (Ok(taken), None) => approved(&lab.issuer.authorise(&taken.request), false)?,
            (Err(Refusal::VerificationNeeded { status }), Some(expected)) if status == expected => {}
            (came, _) => return Err(format!("{amount} {currency:04X}: {came:?}")),
        }
    }
    lab.verify(wallet, card, PIN).map_err(say)?;
    let mut tap = wallet.prepare_tap(card, true).map_err(say)?;
    let taken = pay(&mut Field(&mut tap), &lab::payment(1_000, false)).map_err(say)?;
    ensure(taken.verification == Verification::Phone, || format!("{:?}", taken.verification))?;
    approved(&lab.issuer.authorise(&taken.request), true)
}

pub fn a_removed_card_is_gone<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let make = wallet;
    let wallet = &mut make();
    let (mut lab, card) = prepared(wallet)?;
    let other = lab.provision(wallet)?;
    lab.verify(wallet, card, PIN).map_err(say)?;
    wallet.prepare_tap(card, true).map(|_| ()).map_err(say)?;
    wallet.remove_card(card).map_err(say)?;
    for wallet in [wallet, &mut make()] {
        refused(wallet.show(card).map(|_| ()), Error::UnknownCard)?;
        refused(wallet.prepare_tap(card, true).map(|_| ()), Error::UnknownCard)?;
        refused(wallet.remove_card(card), Error::UnknownCard)?;
        let left: Vec<_> = wallet.cards().map_err(say)?.into_iter().map(|entry| entry.card).collect();
        ensure(left == [other], || format!("{left:?}"))?;
    }
    // The bank can put it back; what was verified before is not.
    let wallet = &mut make();
    lab.issue(wallet, card)?;
    refused(wallet.prepare_tap(card, true).map(|_| ()), Error::NoVerification)
}

pub fn a_terminal_authenticates_cards_offline<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = prepared(wallet)?;
    for kind in [OdaKind::Rsa1024, OdaKind::Rsa1536, OdaKind::Sm2] {
        lab.kind.oda = kind;
        lab.issue(wallet, card)?;
        for number in [1, 2] {
            let mut tap = lab::prepare(wallet, card, false)?;
            let read = Read::tap(&mut tap, WANTS_ODA, [number; 4])?;
            let authentic = if kind == OdaKind::Sm2 { with_sm2(&read)? } else { with_rsa(&read)? };
            ensure(authentic == Some(()), || format!("{kind:?}: not authentic"))?;
        }
    }
    Ok(())
}

pub fn the_status_words_are_those_of_the_table<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (lab, card) = prepared(wallet)?;
    status_words::walk(wallet, card)?;
    let mut test = contact::test_card(&lab, ContactRules::default());
    let id = contact::provision(&lab, wallet, &mut test)?;
    status_words::walk_contact(wallet, id, &test)?;
    wallet.remove_card(id).map_err(say)
}

pub fn sixteen_cards_with_keys_fit_and_pay<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    lab::empty(wallet)?;
    let mut lab = Lab::new()?;
    lab.kind.oda = OdaKind::Sm2;
    let mut cards = Vec::new();
    for _ in 0..MAX_CARDS {
        cards.push(lab.provision(wallet)?);
    }
    let challenge = wallet.card_challenge().map_err(say)?;
    let package = lab.package(CardId([0xEE; 16]), &challenge)?;
    refused(wallet.add_card(package.as_bytes()), Error::CardStoreFull)?;
    // A re-issue needs no other place, whatever it brings.
    lab.kind.oda = OdaKind::Rsa1536;
    lab.issue(wallet, cards[7])?;
    for card in &cards {
        let (_, decision) = lab::pay(&mut lab, wallet, *card, (100, false, false))?;
        approved(&decision, false)?;
    }
    lab::empty(wallet)
}

pub fn the_last_payments_are_remembered<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let make = wallet;
    let wallet = &mut make();
    let (mut lab, card) = prepared(wallet)?;
    let other = lab.provision(wallet)?;
    let logged = |wallet: &mut Wallet<T>| wallet.card_log(card).map_err(say);
    ensure(logged(wallet)?.is_empty(), || "a new card remembers something".into())?;
    let most = u32::try_from(LOG_LEN).map_err(say)?;
    for amount in 1..=most + 2 {
        if amount == 2 {
            lab.verify(wallet, card, PIN).map_err(say)?;
        }
        lab::pay(&mut lab, wallet, card, (amount, false, amount == 2))?;
        let entries = logged(wallet)?;
        let last = entries.last().ok_or("nothing remembered")?;
        let ctq = if amount == 2 { [0x00, 0x80] } else { [0x00, 0x00] };
        let said = (u32::from(last.atc), last.amount, last.currency, last.ctq, last.key_version);
        ensure(said == (amount, u64::from(amount), CNY, ctq, 1), || format!("{last:?}"))?;
    }
    // A refusal is no payment.
    status(wallet, card, false, &lab::gpo_command(100, true))?;
    let entries = logged(&mut make())?;
    let counters: Vec<_> = entries.iter().map(|entry| u32::from(entry.atc)).collect();
    ensure(counters == (3..=most + 2).collect::<Vec<_>>(), || format!("{counters:?}"))?;
    ensure(wallet.card_log(other).map_err(say)?.is_empty(), || "another card's".into())?;
    // New keys begin a new count; what was paid stays.
    lab.issue(wallet, card)?;
    lab::pay(&mut lab, wallet, card, (7, false, false))?;
    let entries = logged(wallet)?;
    let ends: Vec<_> = entries.iter().rev().take(2).map(|entry| (entry.key_version, entry.atc)).collect();
    ensure(ends == [(2, 1), (1, u16::try_from(most + 2).map_err(say)?)], || format!("{ends:?}"))
}

/// What a bank seals is its own business, even where it is wrong on purpose.
pub fn a_banks_wrong_key_hurts_its_own_card_alone<T: Transport>(
    wallet: &dyn Fn() -> Wallet<T>,
) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, other) = prepared(wallet)?;
    let card = lab.provision(wallet)?;
    let secret = |bytes: &[u8]| SecretBytes::new(bytes).ok_or("too long");
    for (p, dp, qinv) in [
        (&[0xFF; 64][..], &[0xFF; 64][..], &[0xFF; 64][..]),
        (&[0xFF; 124], &[], &[]),
        (&[0x81; 32], &[1], &[0; 124]),
        (&[0xFF; 64], &[0; 124], &[1]),
    ] {
        let challenge = wallet.card_challenge().map_err(say)?;
        lab.kind.oda = OdaKind::Rsa1024;
        let (_, mut profile) = lab.package_and_profile(card, &challenge)?;
        let oda = profile.oda.as_mut().ok_or("no key")?;
        let (p, q, dp, dq, qinv) = (secret(p)?, secret(p)?, secret(dp)?, secret(dp)?, secret(qinv)?);
        oda.key = OdaKey::Rsa(RsaKey { p, q, dp, dq, qinv });
        let package = lab.provider.seal(card, &challenge, &profile).map_err(say)?;
        wallet.add_card(package.as_bytes()).map_err(say)?;
        let mut tap = lab::prepare(wallet, card, false)?;
        let refusal = Read::tap(&mut tap, WANTS_ODA, [1; 4]).err();
        ensure(refusal.as_deref() == Some("A8 00 00: 6F00"), || format!("{refusal:?}"))?;
        // Without a signature it pays, and its neighbour was never touched.
        for card in [card, other] {
            let (_, decision) = lab::pay(&mut lab, wallet, card, (100, false, false))?;
            approved(&decision, false)?;
        }
    }
    Ok(())
}

pub fn with_sm2(read: &Read) -> Outcome<Option<()>> {
    let (static_data, terminal) = (read.static_data()?, read.terminal_data()?);
    let (of_issuer, of_card, signature) = (read.get(0x90)?, read.get(0x9F46)?, read.get(0x9F4B)?);
    let authority = sm2::Signer::authority().ok_or("no authority")?.public();
    let card = sm2::recover(&authority, of_issuer, &[])
        .and_then(|issuer| sm2::recover(issuer, of_card, &static_data));
    Ok(card.filter(|card| sm2::verifies_dynamic(card, signature, &terminal)).map(|_| ()))
}

pub fn with_rsa(read: &Read) -> Outcome<Option<()>> {
    let (static_data, terminal) = (read.static_data()?, read.terminal_data()?);
    let remainder = |tag| read.get(tag).unwrap_or_default().to_vec();
    // Behind format, name, date, serial number, two algorithms and two lengths; padding where there is room.
    let modulus = |certificate: &[u8], name: usize, rest: &[u8]| {
        let len = usize::from(certificate[1 + name + 5 + 2]);
        let inside = &certificate[1 + name + 5 + 4..];
        [&inside[..inside.len().min(len)], rest].concat()
    };
    let authority = rsa::Signer::authority().ok_or("no authority")?.modulus();
    let (issuer_rest, card_rest) = (remainder(0x92), remainder(0x9F48));
    let more = [&issuer_rest[..], read.get(0x9F32)?].concat();
    let Some(issuer) = rsa::recover(&authority, read.get(0x90)?, &more) else { return Ok(None) };
    let issuer = modulus(&issuer, 4, &issuer_rest);
    let more = [&card_rest[..], read.get(0x9F47)?, &static_data].concat();
    let Some(card) = rsa::recover(&issuer, read.get(0x9F46)?, &more) else { return Ok(None) };
    let card = modulus(&card, 10, &card_rest);
    let Some(signed) = rsa::recover(&card, read.get(0x9F4B)?, &terminal) else { return Ok(None) };
    let counter = [&[0x05, 0x01, 3, 2], read.get(0x9F36)?].concat();
    Ok(signed.starts_with(&counter).then_some(()))
}
