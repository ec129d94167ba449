//! Random transactions in every suite, made by the card's and the issuer's code, for others to recompute.

use crate::random::Random;
use tapvault_card::{
    issuer::{self, Answered},
    suite::{CardData, cryptogram, session_key},
};
use tapvault_network::{
    request::{AuthorisationRequest, CardAnswer},
    suite::{self, Derivation},
};
use tapvault_proto::{
    contact::CardPin,
    emv::{
        contact::MAX_SCRIPT_DATA,
        gpo::{PDOL_DATA_LEN, PdolData},
    },
    profile::{Cvn, Key128, Suite},
};

/// A transaction and what our code makes of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The suite.
    pub suite: Suite,
    /// What the cryptogram covers.
    pub cvn: Cvn,
    /// How the card's key is derived.
    pub derivation: Derivation,
    /// The issuer's master key, 16 bytes.
    pub imk: [u8; 16],
    /// The card number, 13 to 19 digits.
    pub pan: String,
    /// Its sequence number in BCD.
    pub psn: u8,
    /// The transaction counter.
    pub atc: u16,
    /// What the cryptogram covers, as the issuer puts it together: 37 or 13 bytes.
    pub covered: Vec<u8>,
    /// The card's key by the issuer's code, 16 bytes.
    pub udk: [u8; 16],
    /// The cryptogram by the card's code.
    pub ac: [u8; 8],
    /// The answer code.
    pub arc: [u8; 2],
    /// The issuer's answer, method 1.
    pub arpc: [u8; 8],
    /// A card status update and up to 8 bytes more.
    pub status: Vec<u8>,
    /// The issuer's answer, method 2, by the card's code.
    pub arpc_with_status: [u8; 4],
    /// A new card PIN, and the present one where it is needed.
    pub pins: (String, Option<String>),
    /// The script that changes it, of the card's key, with its MAC by the card's code: 25 bytes.
    pub script: Vec<u8>,
    /// PUT DATA or UPDATE RECORD of random bytes, with its MAC by the card's code: 10 to 260 bytes.
    pub change: Vec<u8>,
}

/// Every path there is: 3DES suites with both derivations, the others with theirs; both versions.
#[must_use]
pub fn paths() -> Vec<(Suite, Cvn, Derivation)> {
    let both = |suite| match suite {
        Suite::Pboc3Des | Suite::Emv3Des => &[Derivation::A, Derivation::B][..],
        Suite::EmvAes | Suite::PbocSm4 => &[Derivation::A],
    };
    let suites = Suite::ALL.into_iter().flat_map(|suite| both(suite).iter().map(move |way| (suite, *way)));
    suites.flat_map(|(suite, way)| [Cvn::V01, Cvn::V17].map(|cvn| (suite, cvn, way))).collect()
}

/// A case on a path.
///
/// # Panics
/// When the issuer's code finds no key for a number of digits, or the card's code and the issuer's differ.
#[must_use]
pub fn case(random: &mut Random, (suite, cvn, derivation): (Suite, Cvn, Derivation)) -> Case {
    let imk = [(); 16].map(|()| random.byte());
    let digits = 13 + random.index(7);
    let pan: String = (0..digits).map(|_| char::from(b'0' + random.byte() % 10)).collect();
    let psn = 16 * (random.byte() % 10) + random.byte() % 10;
    let atc = random.word(1 << 16) as u16;
    let terminal = PdolData::from_bytes(&[(); PDOL_DATA_LEN].map(|()| random.byte()));
    let (aip, cvr) = ([random.byte(), 0], [3, random.byte(), random.byte(), random.byte()]);
    let arc = *random.of(&[b"00", b"05", b"51"]);

    let udk = suite::udk(suite, derivation, &Key128::new(imk), &pan, psn).expect("digits");
    let key = session_key(suite, &udk, atc);
    let ac = cryptogram(suite, cvn, &key, &terminal, &CardData { aip, atc, cvr });
    let answer = CardAnswer {
        aip,
        atc: atc.to_be_bytes(),
        issuer_data: Vec::new(),
        cryptogram: ac,
        track2: Vec::new(),
        psn,
        ctq: [0; 2],
    };
    let covered = AuthorisationRequest::new(&terminal, answer).covered(cvn, cvr);
    let arpc = suite::arpc(suite, &udk, atc, &ac, arc);
    let to = Answered { atc, cryptogram: ac };
    assert_eq!(issuer::answer(suite, &udk, to, arc), arpc);
    let status: Vec<u8> = (0..4 + random.index(9)).map(|_| random.byte()).collect();
    let arpc_with_status = issuer::answer_with_status(suite, &udk, to, &status);
    assert_eq!(suite::arpc_with_status(suite, &udk, atc, &ac, &status), arpc_with_status);

    let mut pin = || {
        let digits = 4 + random.index(9);
        (0..digits).map(|_| char::from(b'0' + random.byte() % 10)).collect::<String>()
    };
    let (new, current) = (pin(), pin());
    let current = random.one_in(2).then_some(current);
    let pin = suite::script_pin(suite, &udk, (atc, &ac), &new, current.as_deref()).expect("digits");
    let block = |pin: &str| CardPin::from_ascii(pin.as_bytes()).expect("digits");
    let received = issuer::script_pin(suite, &udk, to, pin, current.as_deref().map(block).as_ref());
    assert_eq!(received.expect("a PIN").expose(), block(&new).expose());
    let header = [0x84, 0x24, 0x00, if current.is_some() { 1 } else { 2 }];
    let mac = issuer::script_mac(suite, &udk, to, header, &pin);
    let script = [&header[..], &[20], &pin, &mac].concat();

    let data: Vec<u8> = (0..=random.index(MAX_SCRIPT_DATA)).map(|_| random.byte()).collect();
    let header = [0x04, random.of(&[0xDA, 0xDC]), random.byte(), random.byte()];
    let mac = issuer::script_mac(suite, &udk, to, header, &data);
    assert_eq!(suite::script_mac(suite, &udk, (atc, &ac), header, &data), mac);
    let change = [&header[..], &[(data.len() + mac.len()) as u8], &data, &mac].concat();

    let udk = *udk.expose();
    let pins = (new, current);
    Case {
        suite,
        cvn,
        derivation,
        imk,
        pan,
        psn,
        atc,
        covered,
        udk,
        ac,
        arc,
        arpc,
        status,
        arpc_with_status,
        pins,
        script,
        change,
    }
}
