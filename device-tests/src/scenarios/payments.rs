//! Codes, in-app and wallet payments: what each is good for, once, and what is refused.

use super::{approved, prepared, refused, status};
use crate::{
    Outcome, ensure,
    lab::{self, Digits, Field, Lab, PIN, TIME, say},
};
use tapvault::{Transport, Wallet, online::approval};
use tapvault_network::{
    code::charge,
    issuer::{Decision, Reason},
    kind::CardKind,
    online::{OnlineError, Payee},
    registry::{CNY, TokenRules},
    request::AuthorisationRequest,
    terminal::pay as tap_at,
};
use tapvault_proto::{
    Error,
    approval::Approval,
    card::{QrPayloadRequest, QrPrepareRequest},
    emv::qr::LIFE,
    id::CardId,
    online::{OnlinePayReply, OnlinePayRequest, Order, PaymentRequest, Role},
    token::Channel,
    wire::Bytes,
};

/// Seconds that a request is good for.
const GOOD_FOR: u64 = 900;
const AMOUNT: u64 = 12_345;

fn ready<T: Transport>(wallet: &mut Wallet<T>) -> Outcome<(Lab, CardId)> {
    let (lab, card) = prepared(wallet)?;
    lab.set_time(wallet)?;
    Ok((lab, card))
}

/// A code, charged with this much, and the second in which it was made.
fn code<T: Transport>(
    lab: &Lab,
    wallet: &mut Wallet<T>,
    card: CardId,
    amount: u64,
) -> Outcome<(AuthorisationRequest, u64)> {
    let code = wallet.qr_code(lab.provider_id(), card, &mut Digits::of(&[PIN])).map_err(say)?;
    let request = charge(&code.text, amount, CNY).map_err(say)?;
    Ok((request, code.expires - LIFE))
}

fn merchant() -> Outcome<Payee> {
    Payee::merchant("898110048990001", "Tea Shop").map_err(say)
}

/// An order of the tea shop.
fn order(number: &str) -> Outcome<Order> {
    merchant()?.own_order(number, (AMOUNT, CNY), TIME + GOOD_FOR).map_err(say)
}

fn json(request: &PaymentRequest) -> Outcome<Vec<u8>> {
    request.to_json().map(|json| json.to_vec()).map_err(say)
}

fn pay<T: Transport>(
    lab: &Lab,
    wallet: &mut Wallet<T>,
    card: CardId,
    request: &PaymentRequest,
) -> Result<OnlinePayReply, tapvault::ClientError> {
    let json = request.to_json().map_err(tapvault::ClientError::refused)?;
    wallet.pay_online(lab.provider_id(), card, &json, &mut Digits::of(&[PIN]))
}

fn declined(decision: &Decision, reason: Reason) -> Outcome<()> {
    ensure(*decision == Decision::Declined(reason), || format!("{decision}, not {reason}"))
}

/// The counter that the next tap uses is `expected`: whatever was refused before used none.
fn next_counter<T: Transport>(
    lab: &mut Lab,
    wallet: &mut Wallet<T>,
    card: CardId,
    expected: u16,
) -> Outcome<()> {
    let (request, _) = lab::pay(lab, wallet, card, (100, false, false))?;
    let atc = u16::from_be_bytes(request.atc);
    ensure(atc == expected, || format!("counter {atc}, not {expected}"))
}

pub fn a_code_pays_once_and_soon<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = ready(wallet)?;
    for (suite, cvn, derivation) in crate::cases::paths() {
        lab.kind = CardKind { suite, cvn, derivation, ..CardKind::default() };
        lab.issue(wallet, card)?;
        let (request, made) = code(&lab, wallet, card, AMOUNT)?;
        // The moment lies under the cryptogram: an old code cannot be made young.
        let mut younger = request.clone();
        younger.unpredictable[3] ^= 1;
        declined(&lab.issuer.authorise_at(&younger, made), Reason::WrongCryptogram)?;
        declined(&lab.issuer.authorise_at(&request, made + LIFE + 1), Reason::CodeExpired)?;
        declined(&lab.issuer.authorise_at(&request, made - 11), Reason::CodeExpired)?;
        approved(&lab.issuer.authorise_at(&request, made + LIFE), true)
            .map_err(|error| format!("{suite:?} {cvn:?}: {error}"))?;
        declined(&lab.issuer.authorise_at(&request, made + LIFE), Reason::ReplayedAtc)?;
    }
    Ok(())
}

pub fn a_code_needs_an_approval_of_its_own<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = prepared(wallet)?;
    lab.set_time(wallet)?;
    refused(wallet.call(&QrPrepareRequest { card }), Error::NoVerification)?;
    refused(wallet.call(&QrPayloadRequest { card }), Error::NothingPrepared)?;
    // A verification for a tap is of a known amount at most: it gives no code away, and stays for its tap.
    lab.verify(wallet, card, PIN).map_err(say)?;
    refused(wallet.call(&QrPrepareRequest { card }), Error::NoVerification)?;
    approved(&lab::pay(&mut lab, wallet, card, (100, true, true))?.1, true)?;
    // An approval of a code is for no tap, for no other card, and for one code.
    let other = lab.provision(wallet)?;
    wallet.approve(lab.provider_id(), Approval::code(card), &mut Digits::of(&[PIN])).map_err(say)?;
    refused(wallet.prepare_tap(card, true).map(|_| ()), Error::NoVerification)?;
    refused(wallet.call(&QrPrepareRequest { card: other }), Error::NoVerification)?;
    wallet.call(&QrPrepareRequest { card }).map_err(say)?;
    refused(wallet.call(&QrPayloadRequest { card: other }), Error::NothingPrepared)?;
    refused(wallet.call(&OnlinePayRequest { card }), Error::NothingPrepared)?;
    wallet.call(&QrPayloadRequest { card }).map_err(say)?;
    refused(wallet.call(&QrPayloadRequest { card }), Error::NothingPrepared)?;
    refused(wallet.call(&QrPrepareRequest { card }), Error::NoVerification)?;
    // What is not an approval of a code is not taken for one.
    let amount = Approval { amount: 1, ..Approval::code(card) };
    let begun = wallet.approve(lab.provider_id(), amount, &mut Digits::of(&[PIN]));
    refused(begun, Error::BadParameters)?;
    next_counter(&mut lab, wallet, card, 3)
}

pub fn a_code_may_be_presented_after_a_tap<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = ready(wallet)?;
    let (first, made) = code(&lab, wallet, card, AMOUNT)?;
    let (tap, decision) = lab::pay(&mut lab, wallet, card, (100, false, false))?;
    approved(&decision, false)?;
    let (third, _) = code(&lab, wallet, card, AMOUNT)?;
    approved(&lab.issuer.authorise_at(&third, made), true)?;
    approved(&lab.issuer.authorise_at(&first, made), true)?;
    for used in [&first, &tap, &third] {
        declined(&lab.issuer.authorise_at(used, made), Reason::ReplayedAtc)?;
    }
    Ok(())
}

pub fn a_code_is_limited_by_the_token_service<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = ready(wallet)?;
    lab.rules.domain.amount = AMOUNT;
    lab.issue(wallet, card)?;
    let (mut request, made) = code(&lab, wallet, card, AMOUNT + 1)?;
    declined(&lab.issuer.authorise_at(&request, made), Reason::OverCodeLimit)?;
    let over = request.amount;
    request.amount = charge_amount(AMOUNT)?;
    request.currency = [0x08, 0x40];
    declined(&lab.issuer.authorise_at(&request, made), Reason::OverCodeLimit)?;
    request.currency = CNY.to_be_bytes();
    ensure(over != request.amount, || "one amount".into())?;
    approved(&lab.issuer.authorise_at(&request, made), true)
}

fn charge_amount(minor: u64) -> Outcome<[u8; 6]> {
    tapvault_proto::emv::gpo::amount_bcd(minor).ok_or_else(|| "too much".into())
}

pub fn a_cryptogram_is_for_one_channel<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = ready(wallet)?;
    for (suite, cvn, derivation) in crate::cases::paths() {
        lab.kind = CardKind { suite, cvn, derivation, ..CardKind::default() };
        lab.issue(wallet, card)?;
        lab.verify(wallet, card, PIN).map_err(say)?;
        let mut tap = wallet.prepare_tap(card, true).map_err(say)?;
        let tap = tap_at(&mut Field(&mut tap), &lab::payment(AMOUNT, true)).map_err(say)?.request;
        let (code, made) = code(&lab, wallet, card, AMOUNT)?;
        let mut requests = vec![tap, code];
        for payee in [merchant()?, Payee::wallet().map_err(say)?] {
            let request = payee.request(order("1")?).map_err(say)?;
            let answer = pay(&lab, wallet, card, &request).map_err(say)?;
            requests.push(payee.open(&request, &answer).map_err(say)?);
        }
        let channels: Vec<_> = requests.iter().map(|request| request.channel).collect();
        ensure(channels == Channel::ALL, || format!("{channels:?}"))?;
        for request in &requests {
            for channel in Channel::ALL.into_iter().filter(|channel| *channel != request.channel) {
                let crossed = AuthorisationRequest { channel, ..request.clone() };
                declined(&lab.issuer.authorise_at(&crossed, made), Reason::WrongCryptogram)
                    .map_err(|error| format!("{suite:?} {:?} as {channel:?}: {error}", request.channel))?;
            }
        }
        for request in &requests {
            approved(&lab.issuer.authorise_at(request, made), true)?;
        }
    }
    Ok(())
}

pub fn a_signed_request_is_paid_once<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = ready(wallet)?;
    let token = hex::decode(&lab.issuer.cards().first().ok_or("no card")?.token).map_err(say)?;
    for payee in [merchant()?, Payee::wallet().map_err(say)?] {
        let request = payee.request(order("2026-11-26/1")?).map_err(say)?;
        let answer = pay(&lab, wallet, card, &request).map_err(say)?;
        let shown = answer.sealed.windows(token.len()).any(|window| window == token);
        ensure(!shown, || "the platform sees the token".into())?;
        let asked = payee.open(&request, &answer).map_err(say)?;

        // Nobody else opens it, not for another order, and not altered.
        let other = Payee::merchant("898110048990002", "Tea Shop").map_err(say)?;
        ensure(other.open(&request, &answer) == Err(OnlineError::OtherPayee), || "another payee".into())?;
        let mut theirs = order("2026-11-26/1")?;
        theirs.merchant = other.certificate().id.clone();
        let theirs = other.request(theirs).map_err(say)?;
        ensure(other.open(&theirs, &answer) == Err(OnlineError::Sealed), || "another's request".into())?;
        let second = payee.request(order("2026-11-26/2")?).map_err(say)?;
        ensure(payee.open(&second, &answer) == Err(OnlineError::Sealed), || "another order".into())?;
        let mut altered = answer.clone();
        if let Some(byte) = altered.sealed.first_mut() {
            *byte ^= 1;
        }
        ensure(payee.open(&request, &altered) == Err(OnlineError::Sealed), || "altered".into())?;

        // An acquirer that claims another amount or order is found out by the cryptogram.
        let mut more = asked.clone();
        more.amount = charge_amount(AMOUNT + 1)?;
        declined(&lab.issuer.authorise(&more), Reason::WrongCryptogram)?;
        let mut another = asked.clone();
        another.unpredictable[0] ^= 1;
        declined(&lab.issuer.authorise(&another), Reason::WrongCryptogram)?;
        approved(&lab.issuer.authorise(&asked), true)?;
        declined(&lab.issuer.authorise(&asked), Reason::ReplayedAtc)?;
        // The card itself pays a request as often as its holder approves it, and not once more.
        let request = json(&request)?;
        refused(wallet.prepare_online(card, &request), Error::NoVerification)?;
        refused(wallet.call(&OnlinePayRequest { card }), Error::NothingPrepared)?;
    }
    Ok(())
}

/// What is said of an alteration.
type Change = (Error, fn(&mut PaymentRequest));

pub fn an_altered_request_is_refused_and_changes_nothing<T: Transport>(
    wallet: &dyn Fn() -> Wallet<T>,
) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = ready(wallet)?;
    let payee = Payee::wallet().map_err(say)?;
    let request = payee.request(order("2026-11-26/1")?).map_err(say)?;
    let good = json(&request)?;
    let approval = approval(card, &good).map_err(say)?;
    wallet.approve(lab.provider_id(), approval, &mut Digits::of(&[PIN])).map_err(say)?;
    let changes: [Change; 12] = [
        (Error::RequestCertificate, |request| request.certificate.id = id("62999900002")),
        (Error::RequestCertificate, |request| request.certificate.name = Bytes::from_iter(*b"Wallet")),
        (Error::RequestCertificate, |request| request.certificate.key = request.certificate.recipient),
        (Error::RequestCertificate, |request| request.certificate.recipient = request.certificate.key),
        (Error::RequestCertificate, |request| request.certificate.signature[9] ^= 1),
        (Error::RequestSignature, |request| request.order.merchant = id("898110048990009")),
        (Error::RequestSignature, |request| request.order.name = Bytes::from_iter(*b"Tee Shop")),
        (Error::RequestSignature, |request| request.order.number = Bytes::from_iter(*b"2")),
        (Error::RequestSignature, |request| request.order.amount -= 1),
        (Error::RequestSignature, |request| request.order.currency = 0x0840),
        (Error::RequestSignature, |request| request.order.expires += 1),
        (Error::RequestSignature, |request| request.signature[9] ^= 1),
    ];
    for (at, (expected, change)) in changes.into_iter().enumerate() {
        let mut altered = request.clone();
        change(&mut altered);
        let altered = json(&altered)?;
        refused(wallet.prepare_online(card, &altered), expected).map_err(|error| format!("{at}: {error}"))?;
    }
    // A wallet's certificate is none of a merchant, nor a bank's.
    let role = String::from_utf8_lossy(&good).replace("\"wallet\"", "\"merchant\"");
    refused(wallet.prepare_online(card, role.as_bytes()), Error::RequestMalformed)?;
    let mut bank = request.clone();
    bank.certificate.signature = lab.provider.certificate().signature;
    bank.certificate.key = lab.provider.certificate().key;
    refused(wallet.prepare_online(card, &json(&bank)?), Error::RequestCertificate)?;
    for malformed in [&b""[..], b"{}", &good[..good.len() - 1], &[&good[..], b"x"].concat(), &[b' '; 2048]] {
        refused(wallet.prepare_online(card, malformed), Error::RequestMalformed)?;
    }
    refused(wallet.prepare_online(CardId([0xEE; 16]), &good), Error::UnknownCard)?;
    // The approval is still there, for the right one, and no counter was used.
    wallet.prepare_online(card, &good).map_err(say)?;
    let answer = wallet.call(&OnlinePayRequest { card }).map_err(say)?;
    let asked = payee.open(&request, &answer).map_err(say)?;
    ensure(asked.atc == [0, 1], || format!("counter {:?}", asked.atc))?;
    approved(&lab.issuer.authorise(&asked), true)
}

fn id(text: &str) -> Bytes<15> {
    text.bytes().collect()
}

pub fn an_approval_is_of_one_request_to_the_last_byte<T: Transport>(
    wallet: &dyn Fn() -> Wallet<T>,
) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = ready(wallet)?;
    let payee = merchant()?;
    let good = json(&payee.request(order("1")?).map_err(say)?)?;
    let fits = approval(card, &good).map_err(say)?;
    // What the holder saw and what is signed differ: the platform showed something else.
    for other in [
        Approval { amount: 1, ..fits.clone() },
        Approval { currency: 0x0840, ..fits.clone() },
        Approval { payee: Bytes::from_iter(*b"Charity"), ..fits.clone() },
        Approval { digest: [0; 32], ..fits.clone() },
        Approval { channel: Channel::Wallet, ..fits.clone() },
        Approval { card: CardId([0xEE; 16]), ..fits.clone() },
    ] {
        wallet.approve(lab.provider_id(), other, &mut Digits::of(&[PIN])).map_err(say)?;
        refused(wallet.prepare_online(card, &good), Error::NoVerification)?;
    }
    // Neither does a tap's verification, nor a wrong PIN.
    lab.verify(wallet, card, PIN).map_err(say)?;
    refused(wallet.prepare_online(card, &good), Error::NoVerification)?;
    let wrong = wallet.approve(lab.provider_id(), fits.clone(), &mut Digits::of(&["000000"]));
    ensure(matches!(wrong, Err(tapvault::ClientError::WrongPin { tries_left: 2 })), || format!("{wrong:?}"))?;
    refused(wallet.prepare_online(card, &good), Error::NoVerification)?;
    next_counter(&mut lab, wallet, card, 1)
}

pub fn a_request_is_held_against_the_tokens_domain<T: Transport>(
    wallet: &dyn Fn() -> Wallet<T>,
) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = prepared(wallet)?;
    lab.rules.domain.amount = AMOUNT;
    lab.rules.domain.merchants = ["898110048990001", "898110048990003"].map(id).into_iter().collect();
    lab.issue(wallet, card)?;
    lab.set_time(wallet)?;
    let shop = merchant()?;
    let signed = |payee: &Payee, order| payee.request(order).map_err(say).and_then(|request| json(&request));
    let other = Payee::merchant("898110048990002", "Tea Shop").map_err(say)?;
    let own = |payee: &Payee, amount, currency, expires| {
        payee.own_order("1", (amount, currency), expires).map_err(say)
    };
    let wallet_of_lab = Payee::wallet().map_err(say)?;
    let stranger = Payee::new(Role::Wallet, b"62999900002", "Other").map_err(say)?;
    let end = TIME + GOOD_FOR;
    for (request, expected) in [
        (signed(&shop, own(&shop, AMOUNT, CNY, TIME - 1)?)?, Error::RequestExpired),
        (signed(&shop, own(&shop, AMOUNT + 1, CNY, end)?)?, Error::AmountNotAllowed),
        (signed(&shop, own(&shop, 1, 0x0840, end)?)?, Error::AmountNotAllowed),
        (signed(&other, own(&other, 1, CNY, end)?)?, Error::MerchantNotAllowed),
        (signed(&wallet_of_lab, own(&other, 1, CNY, end)?)?, Error::MerchantNotAllowed),
        (signed(&stranger, own(&shop, 1, CNY, end)?)?, Error::WrongRequestor),
    ] {
        // Approved by a holder who was shown just that.
        let shown = approval(card, &request).map_err(say)?;
        wallet.approve(lab.provider_id(), shown, &mut Digits::of(&[PIN])).map_err(say)?;
        refused(wallet.prepare_online(card, &request), expected)?;
    }
    let request = shop.request(own(&shop, AMOUNT, CNY, end)?).map_err(say)?;
    let answer = pay(&lab, wallet, card, &request).map_err(say)?;
    approved(&lab.issuer.authorise(&shop.open(&request, &answer).map_err(say)?), true)?;
    // A token without the channel, and one that waits for its activation.
    lab.rules = TokenRules { channels: vec![Channel::Nfc], ..TokenRules::default() };
    lab.issue(wallet, card)?;
    refused(pay(&lab, wallet, card, &request).map(|_| ()), Error::TokenDomain)?;
    refused(wallet.call(&QrPrepareRequest { card }), Error::TokenDomain)?;
    lab.rules = TokenRules { active: false, ..TokenRules::default() };
    lab.issue(wallet, card)?;
    refused(pay(&lab, wallet, card, &request).map(|_| ()), Error::TokenNotActive)?;
    refused(wallet.call(&QrPrepareRequest { card }), Error::TokenNotActive)
}

pub fn the_log_names_the_way<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, card) = ready(wallet)?;
    code(&lab, wallet, card, AMOUNT)?;
    status(wallet, card, false, &lab::gpo_command(100, false))?;
    for payee in [merchant()?, Payee::wallet().map_err(say)?] {
        pay(&lab, wallet, card, &payee.request(order("1")?).map_err(say)?).map_err(say)?;
    }
    // A re-issue drops what was prepared for the card as it was.
    wallet.approve(lab.provider_id(), Approval::code(card), &mut Digits::of(&[PIN])).map_err(say)?;
    wallet.call(&QrPrepareRequest { card }).map_err(say)?;
    lab.issue(wallet, card)?;
    refused(wallet.call(&QrPayloadRequest { card }), Error::NothingPrepared)?;
    let entries = wallet.card_log(card).map_err(say)?;
    let said: Vec<_> = entries
        .iter()
        .map(|entry| (entry.atc, entry.channel, entry.amount, entry.currency, entry.ctq))
        .collect();
    let expected = [
        (1, Channel::Qr, 0, 0, [0, 0x80]),
        (2, Channel::Nfc, 100, CNY, [0, 0]),
        (3, Channel::InApp, AMOUNT, CNY, [0, 0x80]),
        (4, Channel::Wallet, AMOUNT, CNY, [0, 0x80]),
    ];
    ensure(said == expected, || format!("{said:?}"))
}
