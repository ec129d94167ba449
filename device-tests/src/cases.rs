//! Random transactions in every suite, made by the card's and the issuer's code, for others to recompute.

use crate::random::Random;
use tapvault_card::suite::{CardData, cryptogram};
use tapvault_network::{
    request::{AuthorisationRequest, CardAnswer},
    suite::{self, Derivation},
};
use tapvault_proto::{
    emv::gpo::{PDOL_DATA_LEN, PdolData},
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
/// When the issuer's code finds no key for a number of digits.
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
    let ac = cryptogram(suite, cvn, &udk, &terminal, &CardData { aip, atc, cvr });
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
    Case { suite, cvn, derivation, imk, pan, psn, atc, covered, udk: *udk.expose(), ac, arc, arpc }
}
