//! Random terminals: what the card decides, and that its qualifiers, results and cryptogram agree.

mod common;

use common::Phone;
use tapvault_device_tests::{
    lab::{Lab, PIN, prepare},
    random::Random,
};
use tapvault_network::{
    issuer::{Decision, Reason},
    oda::OdaKind,
    request::{AuthorisationRequest, CardAnswer, IssuerData},
};
use tapvault_proto::{
    emv::{
        apdu::{Command, Response},
        gpo::{PDOL_DATA_LEN, PdolData, SHORT_PDOL_DATA_LEN, Ttq},
        tlv::find,
    },
    offline::Offline,
    profile::{CardProfile, Cvn, Product, Suite},
};

const CARDS: usize = 60;
const TAPS: usize = 40;

/// What the terminal asks for in tags 9F66 and 9F02.
struct Terminal {
    data: PdolData,
    command: Vec<u8>,
}

impl Terminal {
    fn random(random: &mut Random, cvn: Cvn) -> Self {
        let mut bytes = [(); PDOL_DATA_LEN].map(|()| random.byte());
        // Mostly such as a card answers: qPBOC, online, an amount of digits in its currency.
        if !random.one_in(8) {
            bytes[0] = bytes[0] & 0xF7 | 0x20;
        }
        if !random.one_in(8) {
            bytes[4..10].iter_mut().for_each(|byte| *byte = 16 * (*byte / 16 % 10) + *byte % 16 % 10);
            bytes[4..6 + random.index(4)].fill(0);
        }
        if !random.one_in(4) {
            bytes[23..25].copy_from_slice(&[0x01, 0x56]);
        }
        // Half of them purchases.
        bytes[28] &= random.of(&[0x00, 0xFF]);
        if random.one_in(20) {
            bytes[..4].fill(0);
        }
        let data = PdolData::from_bytes(&bytes);
        let asked = match cvn {
            Cvn::V01 => bytes.to_vec(),
            Cvn::V17 => [&bytes[..10], &bytes[29..], &bytes[23..25]].concat(),
        };
        assert!([PDOL_DATA_LEN, SHORT_PDOL_DATA_LEN].contains(&asked.len()));
        let body = [&[0x83, asked.len() as u8], &asked[..]].concat();
        let command = Command { cla: 0x80, ins: 0xA8, p1: 0, p2: 0, data: &body };
        Self { data, command: command.to_bytes().to_vec() }
    }

    /// The rules, written again: the qualifiers of the answer and whether it approves, or the refusal. `room` is what the
    /// card has set aside for offline payments.
    fn expected(
        &self,
        profile: &CardProfile,
        verified: bool,
        room: u64,
    ) -> Result<([u8; 2], Option<u64>), u16> {
        let Ttq([one, two, _, four]) = self.data.ttq;
        if self.data.ttq.0 == [0; 4] {
            return Err(0x6700);
        }
        if one & 0x20 == 0 {
            return Err(0x6985);
        }
        let digits = self.data.amount.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let Ok(amount) = digits.parse::<u64>() else { return Err(0x6A80) };
        let offline_only = one & 0x08 != 0;
        if offline_only && profile.offline.is_none() {
            return Err(0x6985);
        }
        let ctq = self.qualifiers(profile, verified, amount)?;
        let purchase = profile.cvn == Cvn::V17 || self.data.kind == 0;
        let at_a_terminal = two & 0x80 == 0 && four & 0x80 != 0 && purchase;
        let most = profile.offline.map_or(0, |offline| offline.payment.min(room));
        let payable = self.data.currency == [0x01, 0x56] && amount > 0 && amount <= most;
        match at_a_terminal && payable && ctq != [0x80, 0] {
            true => Ok((ctq, Some(amount))),
            false if offline_only => Err(0x6985),
            false => Ok((ctq, None)),
        }
    }

    /// How the holder is verified.
    fn qualifiers(&self, profile: &CardProfile, verified: bool, amount: u64) -> Result<[u8; 2], u16> {
        let Ttq([one, two, ..]) = self.data.ttq;
        let own_currency = self.data.currency == [0x01, 0x56];
        if verified && own_currency && amount <= 100_000 {
            return Ok([0x00, 0x80]);
        }
        let pin_from = profile.verification_from;
        if pin_from != CardProfile::NEVER && (amount >= pin_from || !own_currency) {
            return Err(0x6986);
        }
        match (two & 0x40 != 0, one & 0x04 != 0, one & 0x02 != 0) {
            (false, ..) => Ok([0, 0]),
            // Nobody can check the bank's PIN offline.
            (true, true, _) if profile.online_pin_allowed && one & 0x08 == 0 => Ok([0x80, 0]),
            (true, _, true) if profile.signature_allowed => Ok([0x40, 0]),
            (true, ..) => Err(0x6986),
        }
    }
}

fn answer(response: &Response) -> CardAnswer {
    let body = find(response.data(), 0x77).unwrap();
    let get = |tag| find(body, tag).unwrap();
    CardAnswer {
        aip: get(0x82).try_into().unwrap(),
        atc: get(0x9F36).try_into().unwrap(),
        issuer_data: get(0x9F10).to_vec(),
        cryptogram: get(0x9F26).try_into().unwrap(),
        track2: get(0x57).to_vec(),
        psn: get(0x5F34)[0],
        ctq: get(0x9F6C).try_into().unwrap(),
    }
}

#[test]
fn decisions_are_the_rules_and_everything_in_an_answer_agrees() {
    let mut random = Random::of_environment();
    let (phone, mut lab) = (Phone::protected(), Lab::new().unwrap());
    let mut wallet = phone.wallet();
    let card = lab.provision(&mut wallet).unwrap();
    lab.set_pin(&mut wallet, PIN).unwrap();
    let (mut answered, mut refused, mut approved) = (0, 0, 0);
    for _ in 0..CARDS {
        lab.kind.suite = random.of(&Suite::ALL);
        lab.kind.cvn = random.of(&[Cvn::V01, Cvn::V17]);
        lab.kind.product = random.of(&[Product::Debit, Product::Credit, Product::QuasiCredit]);
        lab.holder.online_pin = random.one_in(2);
        lab.holder.signature = random.one_in(2);
        lab.holder.pin_from = random.of(&[0, 5_000, CardProfile::NEVER, CardProfile::NEVER]);
        lab.rules.offline = random.one_in(2).then_some(Offline { balance: 10_000_000, payment: 1_000_000 });
        lab.kind.oda = if lab.rules.offline.is_some() { OdaKind::Sm2 } else { OdaKind::None };
        let challenge = wallet.card_challenge().unwrap();
        let (package, profile) = lab.package_and_profile(card, &challenge).unwrap();
        wallet.add_card(package.as_bytes()).unwrap();
        let (mut last, mut spent, mut aside) = (0, 0, 0);
        for _ in 0..TAPS {
            let verified = random.one_in(4);
            if verified {
                lab.verify(&mut wallet, card, PIN).unwrap();
            }
            let terminal = Terminal::random(&mut random, profile.cvn);
            let mut tap = prepare(&mut wallet, card, verified).unwrap();
            if let Some(offline) = profile.offline {
                aside = u64::max(aside, offline.balance.min(spent + offline.payment));
            }
            let select = Command { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: &profile.product.aid() };
            assert_eq!(tap.transmit(&select.to_bytes()).status(), 0x9000);
            let response = tap.transmit(&terminal.command);
            let expected = terminal.expected(&profile, verified, aside - spent);
            let Ok((ctq, pays)) = expected else {
                assert_eq!(Err(response.status()), expected, "{:02X?}", terminal.data);
                assert!(response.data().is_empty());
                refused += 1;
                continue;
            };
            assert_eq!(response.status(), 0x9000, "{:02X?}", terminal.data);
            let said = answer(&response);
            assert_eq!(said.ctq, ctq);
            // A refusal in between used no counter.
            last += 1;
            assert_eq!(u16::from_be_bytes(said.atc), last);
            let iad = IssuerData::parse(&said.issuer_data).unwrap();
            let asks = if pays.is_some() { 0x90 } else { 0xA0 };
            let result = if ctq == [0x00, 0x80] { asks | 0x04 } else { asks };
            let body = find(response.data(), 0x77).unwrap();
            assert_eq!(
                find(body, 0x9F4B).is_some(),
                pays.is_some(),
                "who approves offline signs nothing else"
            );
            assert_eq!(iad.cvr, [0x03, result, 0, 0], "results and qualifiers");
            assert_eq!((iad.cvn, iad.algorithm), (profile.cvn as u8, profile.suite.algorithm()));

            let request = AuthorisationRequest::new(&terminal.data, said);
            // Qualifiers that are not the card's are not believed.
            let mut flipped = request.clone();
            flipped.ctq[1] ^= 0x80;
            if let Some(amount) = pays {
                assert_eq!(lab.issuer.clear(&flipped), Err(Reason::VerificationMismatch));
                assert_eq!(lab.issuer.clear(&request).map(|cleared| cleared.amount), Ok(amount));
                (spent, approved) = (spent + amount, approved + 1);
                continue;
            }
            let flipped = lab.issuer.authorise(&flipped);
            assert_eq!(flipped, Decision::Declined(Reason::VerificationMismatch));
            let decision = lab.issuer.authorise(&request);
            assert!(decision.is_approved(), "{decision}");
            answered += 1;
        }
    }
    println!("{answered} asked the issuer, {approved} approved, {refused} refused");
    assert!(answered > 500 && refused > 500 && approved > 40, "{answered} {refused} {approved}");
}
