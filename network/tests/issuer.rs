//! The issuer approves a card's own payment once, and names why it declines everything else.

mod common;

use common::{CARD, folder, order, request};
use std::fs;
use tapvault_network::{
    issuer::{Decision, Issuer, Reason},
    registry::{CommandError, Order},
    request::AuthorisationRequest,
    state::{CardStatus, StateError},
};
use tapvault_proto::{
    id::CardId,
    profile::CardProfile,
    token::{Channel, TokenAction},
};

fn issued() -> (Issuer, CardProfile) {
    let mut issuer = Issuer::in_memory();
    let profile = issuer.issue(&order("6299991234567890")).unwrap_or_else(|error| unreachable!("{error}"));
    (issuer, profile)
}

/// The reason for a changed request, and that it left no trace: the honest one is still approved.
fn reason_for(change: impl FnOnce(&mut AuthorisationRequest)) -> Reason {
    let (mut issuer, profile) = issued();
    let honest = request(&profile, 5, true);
    let mut changed = honest.clone();
    change(&mut changed);
    let before = issuer.cards().to_vec();
    let decision = issuer.authorise(&changed);
    assert_eq!(issuer.cards(), before);
    assert!(issuer.authorise(&honest).is_approved());
    match decision {
        Decision::Declined(reason) => reason,
        Decision::Approved { .. } => unreachable!("approved: {changed:?}"),
    }
}

#[test]
fn approves_with_an_answer_and_raises_the_counter() {
    let (mut issuer, profile) = issued();
    let asked = request(&profile, 3, true);
    let expected = tapvault_network::suite::arpc(
        profile.suite,
        profile.udk(Channel::Nfc).unwrap(),
        3,
        &asked.cryptogram,
        *b"00",
    );
    let decision = issuer.authorise(&asked);
    assert_eq!(decision, Decision::Approved { arpc: expected, atc: 3, holder_verified: true });
    assert_eq!(decision.arc(), "00");
    assert_eq!(issuer.cards()[0].highest_atc, 3);
    let next = issuer.authorise(&request(&profile, 4, false));
    assert!(matches!(next, Decision::Approved { holder_verified: false, .. }));
}

#[test]
fn declines_a_replay_and_a_counter_passed_but_not_a_gap() {
    let (mut issuer, profile) = issued();
    assert!(issuer.authorise(&request(&profile, 7, true)).is_approved());
    for atc in [7, 6, 1, 0] {
        let decision = issuer.authorise(&request(&profile, atc, true));
        assert_eq!(decision, Decision::Declined(Reason::ReplayedAtc), "{atc}");
    }
    assert!(issuer.authorise(&request(&profile, 40_000, true)).is_approved());
    assert!(issuer.authorise(&request(&profile, 65_535, true)).is_approved());
    assert!(!issuer.authorise(&request(&profile, 65_535, true)).is_approved());
}

#[test]
fn declines_whatever_the_cryptogram_covers_and_was_changed() {
    let changes: [fn(&mut AuthorisationRequest); 12] = [
        |request| request.amount[5] ^= 1,
        |request| request.amount_other[5] ^= 1,
        |request| request.country[1] ^= 1,
        |request| request.tvr[0] ^= 1,
        |request| request.currency[1] ^= 1,
        |request| request.date[2] ^= 1,
        |request| request.kind[0] ^= 1,
        |request| request.unpredictable[0] ^= 1,
        |request| request.aip[0] ^= 1,
        |request| request.atc[1] ^= 1,
        |request| request.cryptogram[7] ^= 1,
        // A verification claimed: results and qualifiers agree, the cryptogram does not.
        |request| {
            request.issuer_data[4] = 0xA0;
            request.ctq = [0, 0];
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert_eq!(reason_for(change), Reason::WrongCryptogram, "{number}");
    }
}

#[test]
fn declines_what_is_not_as_issued() {
    assert_eq!(reason_for(|request| request.track2.clear()), Reason::MalformedTrack2);
    assert_eq!(reason_for(|request| request.track2[8] = 0x33), Reason::MalformedTrack2);
    assert_eq!(reason_for(|request| request.track2[7] ^= 1), Reason::UnknownCard);
    assert_eq!(reason_for(|request| request.track2[9] ^= 1), Reason::WrongCardData);
    assert_eq!(reason_for(|request| request.psn = [2]), Reason::WrongCardData);
    assert_eq!(reason_for(|request| request.issuer_data.push(0)), Reason::MalformedIad);
    assert_eq!(reason_for(|request| request.issuer_data.clear()), Reason::MalformedIad);
    assert_eq!(reason_for(|request| request.issuer_data[2] = 0x11), Reason::MalformedIad);
    assert_eq!(reason_for(|request| request.issuer_data[7] = 0x04), Reason::MalformedIad);
    assert_eq!(reason_for(|request| request.issuer_data[5] = 0x40), Reason::MalformedIad);
    assert_eq!(reason_for(|request| request.issuer_data[1] = 2), Reason::WrongKeyVersion);
    for result in [0x80, 0x90, 0x84, 0x20, 0xB0] {
        assert_eq!(reason_for(|request| request.issuer_data[4] = result), Reason::NotOnlineRequest);
    }
}

#[test]
fn declines_qualifiers_that_the_results_do_not_bear_out() {
    assert_eq!(reason_for(|request| request.ctq = [0, 0]), Reason::VerificationMismatch);
    let (mut issuer, profile) = issued();
    let mut claimed = request(&profile, 1, false);
    claimed.ctq = [0, 0x80];
    assert_eq!(issuer.authorise(&claimed), Decision::Declined(Reason::VerificationMismatch));
}

#[test]
fn declines_a_token_that_is_not_active() {
    let mut order = order("6299991234567890");
    order.rules.active = false;
    let mut issuer = Issuer::in_memory();
    let profile = issuer.issue(&order).unwrap();
    let mut atc = 0;
    let mut pays = |issuer: &mut Issuer| {
        atc += 1;
        match issuer.authorise(&request(&profile, atc, true)) {
            Decision::Approved { .. } => true,
            Decision::Declined(reason) => {
                assert_eq!(reason, Reason::CardBlocked);
                false
            }
        }
    };
    assert!(!pays(&mut issuer), "inactive");
    for (action, expected) in [
        (TokenAction::Activate, true),
        (TokenAction::Suspend, false),
        (TokenAction::Resume, true),
        (TokenAction::Delete, false),
    ] {
        issuer.command(CARD, action).unwrap();
        assert_eq!(pays(&mut issuer), expected, "{action:?}");
    }
    let refused = issuer.command(CARD, TokenAction::Resume);
    assert!(matches!(refused, Err(CommandError::TokenState(CardStatus::Deleted))), "{refused:?}");
    let unknown = issuer.command(CardId([0; 16]), TokenAction::Suspend);
    assert!(matches!(unknown, Err(CommandError::UnknownCard)));
}

#[test]
fn a_card_issued_again_pays_with_its_new_keys_only() {
    let (mut issuer, old) = issued();
    assert!(issuer.authorise(&request(&old, 9, true)).is_approved());
    let new = issuer.issue(&Order { token: None, ..order("") }).unwrap();
    assert_eq!(issuer.authorise(&request(&old, 10, true)), Decision::Declined(Reason::WrongKeyVersion));
    // The old key under the new version's name.
    let mut forged = request(&old, 10, true);
    forged.issuer_data[1] = new.key_version;
    assert_eq!(issuer.authorise(&forged), Decision::Declined(Reason::WrongCryptogram));
    assert!(issuer.authorise(&request(&new, 1, true)).is_approved());
}

#[test]
fn the_counter_is_on_the_disk_before_the_approval() {
    let folder = folder("order");
    let path = folder.join("bank.json");
    let mut issuer = Issuer::open_or_create(&path).unwrap();
    let profile = issuer.issue(&order("6299991234567890")).unwrap();
    assert!(issuer.authorise(&request(&profile, 1, true)).is_approved());
    // Power is cut now: whoever reads the file knows the payment.
    drop(issuer);
    let mut issuer = Issuer::open(&path).unwrap();
    assert_eq!(issuer.cards()[0].highest_atc, 1);
    assert_eq!(issuer.authorise(&request(&profile, 1, true)), Decision::Declined(Reason::ReplayedAtc));

    // The disk is gone: no approval without a stored counter, and none remembered.
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(issuer.authorise(&request(&profile, 2, true)), Decision::Declined(Reason::StateNotStored));
    assert!(issuer.issue(&Order { token: None, ..order("") }).is_err());
    assert_eq!((issuer.cards()[0].highest_atc, issuer.cards()[0].key_version), (1, 1));
    fs::create_dir_all(&folder).unwrap();
    assert!(issuer.authorise(&request(&profile, 2, true)).is_approved());
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_torn_write_leaves_the_old_state_and_a_damaged_one_is_refused() {
    let folder = folder("torn");
    let path = folder.join("bank.json");
    assert!(matches!(Issuer::open(&path), Err(StateError::Missing(_))));
    let mut issuer = Issuer::open_or_create(&path).unwrap();
    let profile = issuer.issue(&order("6299991234567890")).unwrap();
    assert!(issuer.authorise(&request(&profile, 4, true)).is_approved());
    drop(issuer);
    // A write that was cut short is beside the state, not in it.
    fs::write(folder.join("bank.json.new"), b"{\"format\":1,\"cards\":[").unwrap();
    let mut issuer = Issuer::open(&path).unwrap();
    assert_eq!(issuer.cards()[0].highest_atc, 4);
    assert!(issuer.authorise(&request(&profile, 5, true)).is_approved());
    drop(issuer);

    for damaged in ["", "{\"format\":1,\"cards\":[", "{\"format\":2,\"cards\":[]}", "[]"] {
        fs::write(&path, damaged).unwrap();
        assert!(matches!(Issuer::open_or_create(&path), Err(StateError::Malformed(..))), "{damaged}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// The state is never written in place: whoever opened it keeps the whole old one.
#[test]
fn the_state_is_replaced_and_not_overwritten() {
    let folder = folder("replaced");
    let path = folder.join("bank.json");
    let mut issuer = Issuer::open_or_create(&path).unwrap();
    let profile = issuer.issue(&order("6299991234567890")).unwrap();
    let old = fs::read_to_string(&path).unwrap();
    let opened = fs::File::open(&path).unwrap();
    assert!(issuer.authorise(&request(&profile, 1, true)).is_approved());
    assert_eq!(std::io::read_to_string(opened).unwrap(), old);
    assert_ne!(fs::read_to_string(&path).unwrap(), old);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn two_processes_do_not_share_a_state_at_once() {
    let folder = folder("lock");
    let path = folder.join("bank.json");
    let mut first = Issuer::open_or_create(&path).unwrap();
    let profile = first.issue(&order("6299991234567890")).unwrap();
    let asked = request(&profile, 1, true);
    let approvals = std::thread::scope(|scope| {
        let second = scope.spawn(|| Issuer::open(&path).unwrap().authorise(&asked));
        std::thread::sleep(std::time::Duration::from_millis(100));
        let decision = first.authorise(&asked);
        drop(first);
        [decision, second.join().unwrap()]
    });
    assert!(approvals[0].is_approved());
    assert_eq!(approvals[1], Decision::Declined(Reason::ReplayedAtc));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_request_survives_json_and_unknown_fields_do_not() {
    let (_, profile) = issued();
    let asked = request(&profile, 1, true);
    let json = serde_json::to_value(&asked).unwrap();
    assert_eq!(json["9F02"], "000000001200");
    assert_eq!(json.as_object().unwrap().len(), 16);
    assert_eq!(serde_json::from_value::<AuthorisationRequest>(json.clone()).unwrap(), asked);
    let mut more = json.clone();
    more["9F66"] = "20C00000".into();
    assert!(serde_json::from_value::<AuthorisationRequest>(more).is_err());
    let mut short = json;
    short["9F02"] = "0000000012".into();
    assert!(serde_json::from_value::<AuthorisationRequest>(short).is_err());
}

#[test]
fn every_reason_has_a_code_and_tells_what_to_do() {
    for reason in Reason::ALL {
        assert_eq!(reason.arc().len(), 2);
        assert_ne!(reason.arc(), "00");
        assert!(reason.to_string().len() > 20, "{reason}");
    }
}
