//! A man in the middle between card and terminal: what each change comes to. The table in `docs/security-model.md`
//! says the same in words.

mod common;

use common::{
    Phone,
    middle::{Change, Middle, change, nothing, options},
};
use tapvault_device_tests::lab::{Field, Lab, PIN, payment, prepare};
use tapvault_network::{
    issuer::{Decision, Reason},
    request::AuthorisationRequest,
    terminal::{Refusal, TerminalError, pay},
};
use tapvault_proto::{id::CardId, profile::Cvn};

/// A payment of a new card of this version, with somebody in between, verified on the phone or not.
fn paid(
    cvn: Cvn,
    verified: bool,
    command: Change,
    answer: Change,
) -> (Lab, Result<AuthorisationRequest, Refusal>) {
    let (phone, mut lab) = (Phone::new(), Lab::new().unwrap());
    let mut wallet = phone.wallet();
    lab.kind.cvn = cvn;
    let card: CardId = lab.provision(&mut wallet).unwrap();
    lab.set_pin(&mut wallet, PIN).unwrap();
    if verified {
        lab.verify(&mut wallet, card, PIN).unwrap();
    }
    let mut tap = prepare(&mut wallet, card, verified).unwrap();
    let field = Field(&mut tap);
    let taken = pay(&mut Middle { link: field, command, answer }, &payment(12_300, verified));
    drop(tap);
    let taken = taken.map(|taken| taken.request).map_err(|TerminalError { refusal, .. }| refusal);
    (lab, taken)
}

fn decided(lab: &mut Lab, request: &AuthorisationRequest) -> Result<(), Reason> {
    match lab.issuer.authorise(request) {
        Decision::Approved { .. } => Ok(()),
        Decision::Declined(reason) => Err(reason),
    }
}

#[test]
fn a_demand_that_is_taken_out_on_the_way_is_missed_by_the_terminal() {
    for cvn in [Cvn::V01, Cvn::V17] {
        // Nobody verified: the card would refuse, and is not asked.
        let strip = |command: &mut Vec<u8>| options(command, |ttq| ttq[1] &= !0x40);
        let (phone, mut lab) = (Phone::new(), Lab::new().unwrap());
        let mut wallet = phone.wallet();
        lab.kind.cvn = cvn;
        let card = lab.provision(&mut wallet).unwrap();
        let mut tap = prepare(&mut wallet, card, false).unwrap();
        let mut middle = Middle { link: Field(&mut tap), command: strip, answer: nothing };
        let refusal = pay(&mut middle, &payment(12_300, true)).unwrap_err().refusal;
        assert!(matches!(refusal, Refusal::NotVerified), "{refusal:?}");
    }
}

#[test]
fn a_verification_cannot_be_claimed_or_taken_away() {
    for cvn in [Cvn::V01, Cvn::V17] {
        for verified in [false, true] {
            let flip = |answer: &mut Vec<u8>| change(answer, &[0x9F, 0x6C], |ctq| ctq[1] ^= 0x80);
            let (mut lab, request) = paid(cvn, verified, nothing, flip);
            match request {
                Ok(request) => assert_eq!(decided(&mut lab, &request), Err(Reason::VerificationMismatch)),
                // Without it the terminal's own demand is not met.
                Err(refusal) => assert!(verified && matches!(refusal, Refusal::NotVerified), "{refusal:?}"),
            }
            // In the results, which are under the cryptogram.
            let flip = |answer: &mut Vec<u8>| change(answer, &[0x9F, 0x10], |iad| iad[4] ^= 0x04);
            let (mut lab, request) = paid(cvn, verified, nothing, flip);
            assert_eq!(decided(&mut lab, &request.unwrap()), Err(Reason::WrongCryptogram));
        }
    }
}

#[test]
fn what_the_cryptogram_covers_cannot_be_changed_and_the_rest_is_known() {
    for cvn in [Cvn::V01, Cvn::V17] {
        let (mut lab, request) = paid(cvn, false, nothing, nothing);
        let honest = request.unwrap();
        let full = cvn == Cvn::V01;
        let wrong = Err(Reason::WrongCryptogram);
        // Whether the longer version alone covers it.
        type Change = (&'static str, bool, fn(&mut AuthorisationRequest));
        let changes: [Change; 9] = [
            ("amount", false, |request| request.amount[5] ^= 1),
            ("unpredictable number", false, |request| request.unpredictable[0] ^= 1),
            ("counter", false, |request| request.atc[1] ^= 2),
            ("currency", true, |request| request.currency[1] ^= 1),
            ("country", true, |request| request.country[1] ^= 1),
            ("terminal results", true, |request| request.tvr[0] ^= 1),
            ("date", true, |request| request.date[2] ^= 1),
            ("type", true, |request| request.kind[0] ^= 1),
            ("interchange profile", true, |request| request.aip[0] ^= 1),
        ];
        for (what, longer_alone, change) in changes {
            let mut altered = honest.clone();
            change(&mut altered);
            if full || !longer_alone {
                assert_eq!(decided(&mut lab, &altered), wrong, "{cvn:?}: {what}");
            }
        }
        // Track 2 and the sequence number are in no cryptogram: the issuer knows them.
        let mut altered = honest.clone();
        *altered.track2.last_mut().unwrap() ^= 1;
        assert_eq!(decided(&mut lab, &altered), Err(Reason::WrongCardData));
        let mut altered = honest.clone();
        altered.psn = [2];
        assert_eq!(decided(&mut lab, &altered), Err(Reason::WrongCardData));
        // What version 17 leaves out goes through: the issuer must not decide by it.
        let mut altered = honest.clone();
        altered.aip[0] ^= 1;
        let expected = if full { wrong } else { Ok(()) };
        assert_eq!(decided(&mut lab, &altered), expected, "{cvn:?}");
        let again = decided(&mut lab, &honest);
        assert_eq!(again, if full { Ok(()) } else { Err(Reason::ReplayedAtc) });
    }
}
