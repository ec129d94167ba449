//! Binding a card: by what is typed, by a chip card in the reader, and what neither the phone nor the bank lets pass.

use super::{approved, prepared, refused, verify_one};
use crate::{
    Outcome, ensure,
    lab::{self, Digits, Field, Lab, PIN, say},
    pad::{begin, begin_card_data, pair},
};
use tapvault::{Transport, Wallet};
use tapvault_network::{
    bank::Provider,
    binding::{Accounts, BindingError, Desk, Identity, LabNetwork, Step, chip},
    issuer::{Issuer, Reason},
    lab::LabBank,
    registry::{HolderRules, Order, TokenRules, draw_card_id},
    request::AuthorisationRequest,
};
use tapvault_proto::{
    Error,
    binding::{BeginCardDataRequest, CardData, FinishCardDataRequest, SealedCardData},
    id::CardId,
    pad::Entered,
    pin::FinishRequest,
};

/// A card of the lab's accounts.
pub const NUMBER: &str = "6299998765432101";
/// Its expiry.
pub const EXPIRY: &str = "3108";
/// Its CVN2.
pub const CVN2: &str = "9753";
/// The lab's accounts.
pub const ACCOUNTS: &[u8] = br#"{"accounts":[
{"account":"one","bank":"A","number":"6299998765432101","expiry":"3108","cvn2":"9753",
 "name":"TEST HOLDER","document":"TEST 0001","phone":"test line 1"}]}"#;
/// When the scenarios take place: in November 2026.
const NOW: u64 = 1_795_694_400;

/// Lets the bank's desk work.
///
/// # Errors
/// The account file's.
pub fn at_desk<V>(
    issuer: &mut Issuer,
    work: impl FnOnce(&mut Desk<'_, LabNetwork>) -> Result<V, BindingError>,
) -> Outcome<Result<V, BindingError>> {
    let accounts = Accounts::parse(ACCOUNTS).map_err(say)?;
    let mut desk = Desk { issuer, accounts: &accounts, network: &mut LabNetwork, now: NOW };
    Ok(work(&mut desk))
}

fn offer(lab: &mut Lab) -> Outcome<BeginCardDataRequest> {
    at_desk(&mut lab.issuer, |desk| desk.begin(LabBank::A))?.map_err(say)
}

/// The network's and the holder's steps, then the order.
fn prove_the_holder(lab: &mut Lab, nonce: &[u8; 32]) -> Outcome<Order> {
    let proved = at_desk(&mut lab.issuer, |desk| {
        let reference = desk.binding(nonce)?.reference.clone().ok_or(BindingError::Unknown)?;
        desk.code(nonce, &LabNetwork::code_of(&reference))?;
        let identity = Identity { name: "TEST HOLDER".into(), document: "TEST 0001".into() };
        desk.name(nonce, &identity)?;
        desk.order(nonce)
    })?;
    proved.map_err(say)
}

/// Puts a card as ordered into the wallet, and pays with it.
fn install_and_pay<T: Transport>(lab: &mut Lab, wallet: &mut Wallet<T>, order: &Order) -> Outcome<()> {
    let challenge = lab::challenge(wallet)?;
    let profile = lab.issuer.issue(order).map_err(say)?;
    let package = lab.provider.seal(order.card, &challenge, &profile).map_err(say)?;
    wallet.add_card(package.as_bytes()).map_err(say)?;
    let display = wallet.show(order.card).map_err(say)?;
    ensure(display.last_four == NUMBER[12..], || format!("{display:?}"))?;
    let (_, decision) = lab::pay(lab, wallet, order.card, (100, false, false))?;
    approved(&decision, false)
}

/// From the holder's digits to a payment with the new token.
///
/// # Errors
/// What does not hold.
pub fn card_data_bind_a_card<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, _) = prepared(wallet)?;
    let offer = offer(&mut lab)?;
    let sealed = wallet.bind_card(offer.clone(), &mut Digits::card(NUMBER, EXPIRY, CVN2)).map_err(say)?;
    ensure(sealed.nonce == offer.nonce, || "another nonce".into())?;
    let step = at_desk(&mut lab.issuer, |desk| desk.card_data(&sealed))?.map_err(say)?;
    ensure(step == Step::Code, || format!("{step:?}"))?;
    let order = prove_the_holder(&mut lab, &offer.nonce)?;
    install_and_pay(&mut lab, wallet, &order)
}

/// A chip card with the account's number, in this wallet: to a terminal they are the same.
fn chip_card<T: Transport>(lab: &mut Lab, wallet: &mut Wallet<T>) -> Outcome<CardId> {
    let card = draw_card_id().map_err(say)?;
    let order = Order {
        bank: LabBank::A,
        card,
        token: Some(NUMBER.into()),
        last_four: *b"2101",
        expiry: EXPIRY.into(),
        kind: lab.kind,
        holder: HolderRules::default(),
        rules: TokenRules::default(),
    };
    let challenge = lab::challenge(wallet)?;
    let profile = lab.issuer.issue(&order).map_err(say)?;
    let package = lab.provider.seal(card, &challenge, &profile).map_err(say)?;
    wallet.add_card(package.as_bytes()).map_err(say)
}

fn read_chip<T: Transport>(
    wallet: &mut Wallet<T>,
    card: CardId,
    nonce: &[u8; 32],
) -> Outcome<AuthorisationRequest> {
    let mut tap = lab::prepare(wallet, card, false)?;
    chip::read(&mut Field(&mut tap), nonce, [0x26, 0x11, 0x24]).map(|taken| taken.request).map_err(say)
}

/// From a chip card in the reader to a payment with the new token; what is not that card's answer is refused.
///
/// # Errors
/// What does not hold.
pub fn a_chip_card_binds_by_its_own_cryptogram<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let (mut lab, other) = prepared(wallet)?;
    let card = chip_card(&mut lab, wallet)?;
    let (first, second) = (offer(&mut lab)?, offer(&mut lab)?);
    let request = read_chip(wallet, card, &first.nonce)?;
    let mut ask = |nonce: &[u8; 32], request: &AuthorisationRequest| {
        at_desk(&mut lab.issuer, |desk| desk.chip(nonce, request))
    };
    // For another binding; for an amount; altered; of a phone's token, which has no account.
    let elsewhere = ask(&second.nonce, &request)?;
    ensure(matches!(elsewhere, Err(BindingError::NotPresence)), || format!("{elsewhere:?}"))?;
    let paid = AuthorisationRequest { amount: [0, 0, 0, 0, 0, 1], ..request.clone() };
    let paid = ask(&first.nonce, &paid)?;
    ensure(matches!(paid, Err(BindingError::NotPresence)), || format!("{paid:?}"))?;
    let mut forged = request.clone();
    forged.cryptogram[7] ^= 1;
    let forged = ask(&first.nonce, &forged)?;
    let wrong = matches!(forged, Err(BindingError::Chip(Reason::WrongCryptogram)));
    ensure(wrong, || format!("{forged:?}"))?;
    let token = read_chip(wallet, other, &second.nonce)?;
    let token = ask(&second.nonce, &token)?;
    ensure(matches!(token, Err(BindingError::Mismatch { tries_left: 2 })), || format!("{token:?}"))?;

    let step = ask(&first.nonce, &request)?.map_err(say)?;
    ensure(step == Step::Code, || format!("{step:?}"))?;
    // Sent once more it changes nothing; as a payment it is a replay.
    let again = ask(&first.nonce, &request)?.map_err(say)?;
    ensure(again == Step::Code, || format!("{again:?}"))?;
    let replay = lab.issuer.authorise(&request);
    ensure(!replay.is_approved(), || format!("{replay}"))?;
    let order = prove_the_holder(&mut lab, &first.nonce)?;
    install_and_pay(&mut lab, wallet, &order)
}

/// No entry begins for a bank that the trust root did not certify for card data.
///
/// # Errors
/// What does not hold.
pub fn only_certified_banks_get_card_data<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let mut lab = Lab::new()?;
    let offer = offer(&mut lab)?;
    let refusal = Error::RecipientCertificate;
    let mut forged = offer.clone();
    forged.certificate.signature[9] ^= 1;
    refused(wallet.call(&forged), refusal)?;
    // Somebody else's key, name or bank under a good signature.
    let mut other_key = offer.clone();
    other_key.certificate.recipient = lab.provider.certificate().key;
    refused(wallet.call(&other_key), refusal)?;
    let mut other_name = offer.clone();
    other_name.certificate.name[0] ^= 1;
    refused(wallet.call(&other_name), refusal)?;
    let mut other_bank = offer.clone();
    other_bank.certificate.provider = LabBank::B.id();
    refused(wallet.call(&other_bank), refusal)?;
    // A certificate for signing is none for card data.
    let signer = Provider::lab("A").map_err(say)?.certificate().clone();
    let mut crossed = offer.clone();
    (crossed.certificate.recipient, crossed.certificate.signature) = (signer.key, signer.signature);
    refused(wallet.call(&crossed), refusal)?;
    // Nor without a pad, which is looked for last.
    refused(wallet.call(&offer), Error::NoPadSession)?;
    pair(wallet)?;
    begin_card_data(wallet, &offer).map(|_| ()).map_err(say)
}

fn typed() -> Outcome<Entered> {
    let data = CardData::from_ascii(NUMBER.as_bytes(), EXPIRY.as_bytes(), CVN2.as_bytes()).map_err(say)?;
    Ok(Entered::CardData(data))
}

/// One entry at a time, in its order, by its own session, apart from entries of a PIN.
///
/// # Errors
/// What does not hold.
pub fn card_data_are_entered_once_by_their_session<T: Transport>(
    make: &dyn Fn() -> Wallet<T>,
) -> Outcome<()> {
    let (first, second) = (&mut make(), &mut make());
    let (mut lab, card) = prepared(first)?;
    let offer = offer(&mut lab)?;
    let (mut opened, challenge) = begin_card_data(first, &offer).map_err(say)?;
    let entry = opened.entry;
    ensure(opened.showing.payee.as_slice() == b"Lab Bank A", || format!("{:?}", opened.showing))?;
    let submit = opened.submit(&typed()?)?;
    refused(second.call(&submit), Error::NoEntry)?;
    refused(second.call(&offer), Error::Busy)?;
    refused(first.call(&FinishCardDataRequest { entry }), Error::NoEntry)?;
    refused(first.call(&FinishRequest { entry }), Error::NoEntry)?;
    // A refused offer leaves the entry open.
    let mut forged = offer.clone();
    forged.certificate.signature[0] ^= 1;
    refused(first.call(&forged), Error::RecipientCertificate)?;
    first.call(&submit).map_err(say)?;
    refused(first.call(&submit), Error::NoEntry)?;
    refused(second.call(&FinishCardDataRequest { entry }), Error::NoEntry)?;
    let sealed = first.call(&FinishCardDataRequest { entry }).map_err(say)?;
    ensure(sealed.challenge == challenge, || "another challenge".into())?;
    refused(first.call(&FinishCardDataRequest { entry }), Error::NoEntry)?;
    // A PIN goes nowhere in an entry of card data, nor card data into an entry of a PIN, whose try is spent.
    let (mut opened, _) = begin_card_data(first, &offer).map_err(say)?;
    refused(first.call(&opened.pin(PIN)?), Error::PadContent)?;
    refused(first.call(&FinishCardDataRequest { entry: opened.entry }), Error::NoEntry)?;
    let verify = verify_one(&lab, card);
    let mut opened = begin(first, &verify).map_err(say)?;
    refused(first.call(&opened.submit(&typed()?)?), Error::PadContent)?;
    refused(first.call(&FinishRequest { entry: opened.entry }), Error::NoEntry)?;
    let tries = first.pin_state(lab.provider_id()).map_err(say)?.tries_left;
    ensure(tries == 2, || format!("{tries} tries left"))
}

/// A seal opens for nothing but its bank, nonce and challenge.
///
/// # Errors
/// What does not hold.
pub fn a_seal_is_for_one_bank_and_one_binding<T: Transport>(wallet: &dyn Fn() -> Wallet<T>) -> Outcome<()> {
    let wallet = &mut wallet();
    let mut lab = Lab::new()?;
    pair(wallet)?;
    let (first, second) = (offer(&mut lab)?, offer(&mut lab)?);
    let sealed = wallet.bind_card(first.clone(), &mut Digits::card(NUMBER, EXPIRY, CVN2)).map_err(say)?;
    let altered: [fn(&mut SealedCardData, [u8; 32]); 5] = [
        |sealed, other| sealed.nonce = other,
        |sealed, _| sealed.challenge[31] ^= 1,
        |sealed, _| sealed.provider = LabBank::B.id(),
        |sealed, _| sealed.sealed[0] ^= 1,
        |sealed, _| sealed.encapsulated[64] ^= 1,
    ];
    for (at, alter) in altered.iter().enumerate() {
        let mut bad = sealed.clone();
        alter(&mut bad, second.nonce);
        let answer = at_desk(&mut lab.issuer, |desk| desk.card_data(&bad))?;
        ensure(matches!(answer, Err(BindingError::Sealed)), || format!("{at}: {answer:?}"))?;
    }
    // The same data twice are two different messages.
    let again = wallet.bind_card(first, &mut Digits::card(NUMBER, EXPIRY, CVN2)).map_err(say)?;
    let repeated = again.sealed == sealed.sealed || again.encapsulated == sealed.encapsulated;
    ensure(!repeated, || "a seal was repeated".into())?;
    let step = at_desk(&mut lab.issuer, |desk| desk.card_data(&sealed))?.map_err(say)?;
    ensure(step == Step::Code, || format!("{step:?}"))
}
