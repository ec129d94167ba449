//! Offline approval, on a simulated device that claims the protection from a rollback which it has not.

mod common;

use common::{
    Phone,
    middle::{Change, Middle, change, nothing, options},
    refusal,
};
use emv::core::oda::{CaPublicKey, recover_icc_public_key, recover_issuer_public_key, verify_dda};
use tapvault::{Wallet, sim::Sim};
use tapvault_device_tests::{
    lab::{self, Field, Lab, PIN, payment, prepare},
    oda::{Read, packed_token},
};
use tapvault_network::{
    issuer::{Decision, Reason},
    oda::{OdaKind, rsa},
    request::{AuthorisationRequest, IssuerData},
    terminal::{Payment, Reach, Refusal, Taken, pay},
};
use tapvault_proto::{
    Error,
    id::CardId,
    offline::{Offline, OfflineCommand},
    profile::Cvn,
};
use tapvault_tee::rollback;

const RULES: Offline = Offline { balance: 50_000, payment: 10_000 };

struct Bench {
    phone: Phone,
    wallet: Wallet<Sim>,
    lab: Lab,
    card: CardId,
}

impl Bench {
    fn with(kind: OdaKind, cvn: Cvn) -> Self {
        let (phone, mut lab) = (Phone::protected(), Lab::new().unwrap());
        let mut wallet = phone.wallet();
        (lab.kind.oda, lab.kind.cvn, lab.rules.offline) = (kind, cvn, Some(RULES));
        let card = lab.provision(&mut wallet).unwrap();
        Self { phone, wallet, lab, card }
    }

    fn new() -> Self {
        Self::with(OdaKind::Sm2, Cvn::V01)
    }

    fn restart(&mut self) {
        self.phone.restart();
        self.wallet = self.phone.wallet();
    }

    fn pay(&mut self, payment: &Payment) -> Result<Taken, Refusal> {
        self.pay_through(payment, nothing, nothing)
    }

    /// Pays with somebody in between.
    fn pay_through(&mut self, payment: &Payment, command: Change, answer: Change) -> Result<Taken, Refusal> {
        let mut tap = prepare(&mut self.wallet, self.card, payment.verification_required).unwrap();
        let mut link = Middle { link: Field(&mut tap), command, answer };
        pay(&mut link, payment).map_err(|error| error.refusal)
    }

    fn left(&mut self) -> u64 {
        self.wallet.offline_state(self.card).unwrap().left
    }
}

/// Changes the end of track 2, 14 bytes.
fn discretionary(answer: &mut [u8]) {
    if let Some(at) = answer.windows(2).position(|window| window == [0x57, 14]) {
        answer[at + 15] ^= 1;
    }
}

fn offline(amount: u64) -> Payment {
    Payment { reach: Reach::Both, ..payment(amount, false) }
}

fn results(request: &AuthorisationRequest) -> [u8; 4] {
    IssuerData::parse(&request.issuer_data).unwrap().cvr
}

#[test]
fn a_profile_is_taken_only_where_hardware_protects_storage() {
    let (phone, mut lab) = (Phone::new(), Lab::new().unwrap());
    let mut wallet = phone.wallet();
    (lab.kind.oda, lab.rules.offline) = (OdaKind::Sm2, Some(RULES));
    let levels = [None, Some(rollback::NONE), Some(rollback::BY_REE), Some(rollback::BY_HARDWARE - 1)];
    for level in levels {
        phone.claim(level);
        let challenge = lab::challenge(&mut wallet).unwrap();
        let package = lab.package(CardId([0x0F; 16]), &challenge).unwrap();
        let refused = refusal(wallet.add_card(package.as_bytes()));
        assert_eq!(refused, Some(Error::RollbackUnprotected), "{level:?}");
        assert!(wallet.cards().unwrap().is_empty());
    }
    phone.claim(Some(rollback::BY_HARDWARE));
    lab.provision(&mut wallet).unwrap();
}

#[test]
fn a_stored_card_approves_nothing_where_storage_is_not_protected() {
    let mut bench = Bench::new();
    assert!(bench.pay(&offline(100)).unwrap().approved_offline);
    let command = bench.lab.issuer.load(bench.card, 100).unwrap();
    for level in [None, Some(rollback::NONE), Some(rollback::BY_HARDWARE - 1)] {
        bench.phone.claim(level);
        bench.restart();
        let taken = bench.pay(&offline(100)).unwrap();
        assert!(!taken.approved_offline && results(&taken.request) == [3, 0xA0, 0, 0]);
        assert!(bench.lab.issuer.authorise(&taken.request).is_approved(), "online as ever");
        let only = Payment { reach: Reach::Offline, ..offline(100) };
        assert_eq!(bench.pay(&only), Err(Refusal::VerificationNeeded { status: 0x6985 }));
        assert_eq!(refusal(bench.wallet.offline_command(&command)), Some(Error::RollbackUnprotected));
    }
    bench.phone.claim(Some(rollback::BY_HARDWARE));
    bench.restart();
    assert!(bench.pay(&offline(100)).unwrap().approved_offline);
}

#[test]
fn an_offline_approval_is_taken_by_the_terminal_and_cleared_once() {
    for (kind, cvn) in [
        (OdaKind::Rsa1024, Cvn::V01),
        (OdaKind::Rsa1536, Cvn::V17),
        (OdaKind::Sm2, Cvn::V01),
        (OdaKind::Sm2, Cvn::V17),
    ] {
        let mut bench = Bench::with(kind, cvn);
        let taken = bench.pay(&offline(1_234)).unwrap();
        assert!(taken.approved_offline && results(&taken.request) == [3, 0x90, 0, 0], "{kind:?} {cvn:?}");
        bench.lab.set_pin(&mut bench.wallet, PIN).unwrap();
        bench.lab.verify(&mut bench.wallet, bench.card, PIN).unwrap();
        let only = Payment { reach: Reach::Offline, verification_required: true, ..offline(4_321) };
        let verified = bench.pay(&only).unwrap();
        assert!(verified.approved_offline && results(&verified.request) == [3, 0x94, 0, 0]);
        assert_eq!(bench.left(), RULES.balance - 1_234 - 4_321);

        let issuer = &mut bench.lab.issuer;
        // Delivered late, and not in order, with an online payment in between.
        assert_eq!(issuer.clear(&verified.request).map(|cleared| cleared.amount), Ok(4_321));
        assert_eq!(issuer.clear(&taken.request).map(|cleared| cleared.holder_verified), Ok(false));
        for request in [&taken.request, &verified.request] {
            assert_eq!(issuer.clear(request), Err(Reason::ReplayedAtc));
            assert_eq!(issuer.authorise(request), Decision::Declined(Reason::NotOnlineRequest));
        }
        let online = bench.pay(&payment(500, false)).unwrap();
        assert!(!online.approved_offline);
        let issuer = &mut bench.lab.issuer;
        assert_eq!(issuer.clear(&online.request), Err(Reason::NotOfflineApproval));
        assert!(issuer.authorise(&online.request).is_approved());
        assert_eq!(bench.left(), RULES.balance - 1_234 - 4_321, "an online payment spends nothing of it");
        let log = bench.wallet.card_log(bench.card).unwrap();
        assert_eq!(log.iter().map(|entry| entry.offline).collect::<Vec<_>>(), [true, true, false]);
    }
}

#[test]
fn a_foreign_library_accepts_the_signature_of_an_approval() {
    let mut bench = Bench::with(OdaKind::Rsa1024, Cvn::V01);
    let mut tap = prepare(&mut bench.wallet, bench.card, false).unwrap();
    let read = Read::tap(&mut tap, [0x20, 0, 0, 0x80], [1, 2, 3, 4]).unwrap();
    drop(tap);
    let asked = read.get(0x9F10).unwrap();
    assert_eq!(asked[3..7], [3, 0xA0, 0, 0], "12,345 are above what one payment may be");
    assert!(read.get(0x94).is_err(), "who approves offline signs nothing else");

    bench.lab.rules.offline = Some(Offline { payment: 20_000, ..RULES });
    bench.lab.issue(&mut bench.wallet, bench.card).unwrap();
    let mut tap = prepare(&mut bench.wallet, bench.card, false).unwrap();
    let read = Read::tap(&mut tap, [0x20, 0, 0, 0x80], [1, 2, 3, 4]).unwrap();
    let get = |tag| read.get(tag).unwrap();
    assert_eq!(get(0x9F10)[3..7], [3, 0x90, 0, 0]);
    let authority = CaPublicKey {
        rid: [0xA0, 0, 0, 3, 0x33],
        index: get(0x8F)[0],
        modulus: rsa::Signer::authority().unwrap().modulus(),
        exponent: vec![3],
    };
    let (date, optional) = ([0x11, 0x26], |tag| read.get(tag).ok());
    let token = packed_token(&bench.lab).unwrap();
    let issuer =
        recover_issuer_public_key(&authority, get(0x90), optional(0x92), get(0x9F32), &token, date).unwrap();
    let data = read.static_data().unwrap();
    let certified = (get(0x9F46), optional(0x9F48), get(0x9F47));
    let card =
        recover_icc_public_key(&issuer, certified.0, certified.1, certified.2, &data, &token, date).unwrap();
    let number = verify_dda(&card, get(0x9F4B), &read.terminal_data().unwrap()).unwrap();
    assert_eq!(number, get(0x9F36));
}

#[test]
fn a_request_to_the_issuer_is_not_made_into_an_approval() {
    let approving: Change = |answer| change(answer, &[0x9F, 0x10], |data| data[4] = 0x90);
    // The client is the first who could: it has the card ask the issuer, with a signature if it gives one.
    let asking: Change = |command| {
        options(command, |data| {
            data[0] |= 0x01;
            data[1] |= 0x80;
        });
    };
    let mut bench = Bench::new();
    assert_eq!(bench.pay_through(&offline(100), asking, approving), Err(Refusal::Missing(0x94)));
    assert_eq!(bench.left(), RULES.balance);

    // A card that never approves offline signs what it asks the issuer for. The terminal cannot tell; the issuer can.
    bench.lab.rules.offline = None;
    bench.card = bench.lab.provision(&mut bench.wallet).unwrap();
    let taken = bench.pay_through(&offline(100), asking, approving).unwrap();
    assert!(taken.approved_offline);
    assert_eq!(bench.lab.issuer.clear(&taken.request), Err(Reason::NotOfflineCard));
}

#[test]
fn an_altered_approval_is_noticed_by_the_terminal_or_by_the_issuer() {
    let changes: [(&str, Change, Change, Refusal); 6] = [
        (
            "amount towards the card",
            |command| options(command, |data| data[9] = 0x01),
            nothing,
            Refusal::NotAuthentic("signature"),
        ),
        (
            "number towards the card",
            |command| options(command, |data| data[29] ^= 1),
            nothing,
            Refusal::NotAuthentic("signature"),
        ),
        (
            "qualifiers",
            nothing,
            |answer| change(answer, &[0x9F, 0x6C], |ctq| ctq[1] ^= 0x80),
            Refusal::NotAuthentic("card authentication data"),
        ),
        (
            "counter",
            nothing,
            |answer| change(answer, &[0x9F, 0x36], |atc| atc[1] ^= 1),
            Refusal::NotAuthentic("counter"),
        ),
        (
            "static data",
            nothing,
            |answer| change(answer, &[0x5F, 0x24], |date| date[0] = 0x31),
            Refusal::NotAuthentic("card's certificate"),
        ),
        (
            "signature",
            nothing,
            |answer| change(answer, &[0x9F, 0x4B], |signed| signed[40] ^= 1),
            Refusal::NotAuthentic("signature"),
        ),
    ];
    for kind in [OdaKind::Rsa1024, OdaKind::Sm2] {
        let mut bench = Bench::with(kind, Cvn::V01);
        for (what, command, answer, expected) in changes.clone() {
            assert_eq!(bench.pay_through(&offline(100), command, answer), Err(expected), "{kind:?}: {what}");
        }
    }
    // No signature covers cryptogram and results, so that the terminal takes them as they are.
    let mut bench = Bench::new();
    let unseen: [(Change, Reason); 3] = [
        (|answer| change(answer, &[0x9F, 0x26], |value| value[0] ^= 1), Reason::WrongCryptogram),
        (|answer| change(answer, &[0x9F, 0x10], |data| data[4] |= 0x04), Reason::WrongCryptogram),
        (|answer| discretionary(answer), Reason::WrongCardData),
    ];
    for (answer, reason) in unseen {
        let taken = bench.pay_through(&offline(100), nothing, answer).unwrap();
        assert!(taken.approved_offline);
        assert_eq!(bench.lab.issuer.clear(&taken.request), Err(reason));
    }
    // An approval that becomes a request is declined at once.
    let asking: Change = |answer| change(answer, &[0x9F, 0x10], |data| data[4] = 0xA0);
    let taken = bench.pay_through(&offline(100), nothing, asking).unwrap();
    assert_eq!(bench.lab.issuer.authorise(&taken.request), Decision::Declined(Reason::WrongCryptogram));
}

#[test]
fn the_issuer_takes_no_more_than_was_loaded_and_in_the_cards_currency() {
    let mut bench = Bench::with(OdaKind::Sm2, Cvn::V17);
    // A device that claims what is not so: its whole store is put back.
    let before = bench.phone.device.borrow().objects.clone();
    let mut requests = Vec::new();
    for put_back in [false, true] {
        if put_back {
            bench.phone.device.borrow_mut().objects.clone_from(&before);
            bench.restart();
            // Counters that were reserved before are not used again; the money is.
            drop(prepare(&mut bench.wallet, bench.card, false).unwrap());
            bench.restart();
        }
        requests.extend([(); 4].map(|()| bench.pay(&offline(10_000)).unwrap()));
    }
    assert!(requests.iter().filter(|taken| taken.approved_offline).count() > 5, "more than was loaded");
    let issuer = &mut bench.lab.issuer;
    let other = AuthorisationRequest { currency: [0x08, 0x40], ..requests[0].request.clone() };
    assert_eq!(issuer.clear(&other), Err(Reason::ForeignCurrency), "version 17 covers no currency");
    let approved = requests.iter().filter(|taken| taken.approved_offline);
    let taken: Vec<_> = approved.map(|taken| issuer.clear(&taken.request)).collect();
    assert!(taken[..5].iter().all(Result::is_ok), "{taken:?}");
    assert!(taken[5..].iter().all(|refused| *refused == Err(Reason::OverLoaded)), "{taken:?}");
}

#[test]
fn limits_hold_and_room_that_is_not_used_goes_on() {
    let mut bench = Bench::new();
    assert!(!bench.pay(&offline(RULES.payment + 1)).unwrap().approved_offline, "most per payment");
    assert!(!bench.pay(&offline(0)).unwrap().approved_offline, "nothing is no payment");
    let foreign = Payment { currency: 0x0840, ..offline(100) };
    assert!(!bench.pay(&foreign).unwrap().approved_offline);
    for _ in 0..5 {
        assert!(bench.pay(&offline(RULES.payment)).unwrap().approved_offline);
    }
    assert_eq!(bench.left(), 0);
    assert!(!bench.pay(&offline(1)).unwrap().approved_offline);
    let only = Payment { reach: Reach::Offline, ..offline(1) };
    assert_eq!(bench.pay(&only), Err(Refusal::VerificationNeeded { status: 0x6985 }));
    // A tap writes nothing, and one after another goes on with what the first left.
    let command = bench.lab.issuer.load(bench.card, 10_000).unwrap();
    assert_eq!(bench.wallet.offline_command(&command).unwrap().left, 10_000);
    let Bench { phone, wallet, card, .. } = &mut bench;
    let mut tap = prepare(wallet, *card, false).unwrap();
    let before = phone.accesses();
    for expected in [true, true, false] {
        let taken = pay(&mut Field(&mut tap), &offline(5_000)).unwrap();
        assert_eq!(taken.approved_offline, expected);
    }
    assert_eq!(phone.accesses(), before);
}

#[test]
fn a_power_cut_sets_aside_until_the_issuer_settles() {
    let mut bench = Bench::new();
    let first = bench.pay(&offline(4_000)).unwrap().request;
    drop(prepare(&mut bench.wallet, bench.card, false).unwrap());
    let lost = bench.pay(&offline(3_000)).unwrap().request;
    bench.restart();
    assert_eq!(bench.left(), RULES.balance - 4_000 - RULES.payment, "all that was set aside counts as spent");
    bench.lab.issuer.clear(&first).unwrap();
    bench.lab.issuer.clear(&lost).unwrap();
    let state = bench.wallet.offline_state(bench.card).unwrap();

    // A settlement behind which the card may have paid is refused.
    let early = bench.lab.issuer.settle(bench.card, state.counter - 1).unwrap();
    assert_eq!(refusal(bench.wallet.offline_command(&early)), Some(Error::TokenState));
    let settled = bench.lab.issuer.settle(bench.card, state.counter).unwrap();
    let alterations: [fn(&mut OfflineCommand); 5] = [
        |command| command.loaded += 1,
        |command| command.cleared = 0,
        |command| command.closed += 1,
        |command| command.sequence += 1,
        |command| command.key_version += 1,
    ];
    for (at, alter) in alterations.iter().enumerate() {
        let mut altered = settled.clone();
        alter(&mut altered);
        assert_eq!(refusal(bench.wallet.offline_command(&altered)), Some(Error::SignatureInvalid), "{at}");
    }
    for _ in 0..2 {
        let state = bench.wallet.offline_command(&settled).unwrap();
        assert_eq!((state.left, state.sequence), (RULES.balance - 7_000, settled.sequence));
    }
    assert_eq!(refusal(bench.wallet.offline_command(&early)), Some(Error::CommandOutOfOrder));
    let again = bench.pay(&offline(100)).unwrap().request;
    assert!(u16::from_be_bytes(again.atc) > settled.closed, "a closed counter pays nothing");
    bench.lab.issuer.clear(&again).unwrap();
    // A re-issue begins anew, and its first command as well.
    bench.lab.issue(&mut bench.wallet, bench.card).unwrap();
    assert_eq!(bench.left(), RULES.balance);
    assert_eq!(refusal(bench.wallet.offline_command(&settled)), Some(Error::CommandOutOfOrder));
    assert_eq!(bench.lab.issuer.clear(&again), Err(Reason::WrongKeyVersion));
    bench.lab.rules.offline = None;
    let other = bench.lab.provision(&mut bench.wallet).unwrap();
    assert_eq!(refusal(bench.wallet.offline_state(other)), Some(Error::NotOffline));
}
