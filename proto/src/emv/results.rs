//! Card verification results (CVR) of a contact transaction, as UnionPay's cards report them in tag 9F10, and the types
//! of cryptograms.

/// The type of an application cryptogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cryptogram {
    /// Declined.
    Aac,
    /// Approved.
    Tc,
    /// The issuer is asked.
    Arqc,
}

impl Cryptogram {
    /// What P1 of GENERATE AC asks for; `None` for a value that is reserved, and for a signature (CDA), which these
    /// cards do not give.
    #[must_use]
    pub const fn from_p1(p1: u8) -> Option<Self> {
        match p1 {
            0x00 => Some(Self::Aac),
            0x40 => Some(Self::Tc),
            0x80 => Some(Self::Arqc),
            _ => None,
        }
    }

    /// Cryptogram information data, tag 9F27.
    #[must_use]
    pub const fn information(self) -> u8 {
        match self {
            Self::Aac => 0x00,
            Self::Tc => 0x40,
            Self::Arqc => 0x80,
        }
    }

    /// The two bits of the results.
    const fn bits(self) -> u8 {
        self.information() >> 6
    }
}

/// What a card says of itself and of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CardResults {
    /// The first cryptogram.
    pub first: Cryptogram,
    /// The second, if there is one.
    pub second: Option<Cryptogram>,
    /// The card PIN that was presented last in this transaction was right, or wrong.
    pub pin: Option<bool>,
    /// The issuer's answer was wrong.
    pub issuer_failed: bool,
    /// The terminal got no answer from the issuer.
    pub no_answer: bool,
    /// The last online transaction before this was not completed.
    pub last_incomplete: bool,
    /// The card PIN is blocked.
    pub pin_blocked: bool,
    /// No transaction of this card was ever online.
    pub new_card: bool,
    /// The issuer's answer was wrong in an online transaction before this.
    pub last_issuer_failed: bool,
    /// The terminal had an answer, and the card got none.
    pub issuer_not_performed: bool,
    /// Script commands since the issuer was last authenticated, 15 at most.
    pub scripts: u8,
    /// One of them failed.
    pub script_failed: bool,
    /// Offline data authentication failed in a transaction before this that was declined offline.
    pub last_dda_failed: bool,
    /// Dynamic data were signed in this transaction.
    pub dda: bool,
}

impl CardResults {
    /// The four bytes: their number, decisions, risks, scripts and offline data authentication.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 4] {
        let bit = |set: bool, number: u8| if set { 1 << (number - 1) } else { 0 };
        // Not requested: 10.
        let second = self.second.map_or(2, Cryptogram::bits);
        let decisions = second << 6
            | self.first.bits() << 4
            | bit(self.issuer_failed, 4)
            | bit(self.pin.is_some(), 3)
            | bit(self.pin == Some(false), 2)
            | bit(self.no_answer, 1);
        let risks = bit(self.last_incomplete, 8)
            | bit(self.pin_blocked, 7)
            | bit(self.new_card, 5)
            | bit(self.last_issuer_failed, 4)
            | bit(self.issuer_not_performed, 3);
        let rest = self.scripts.min(15) << 4
            | bit(self.script_failed, 4)
            | bit(self.last_dda_failed, 3)
            | bit(self.dda, 2);
        [3, decisions, risks, rest]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: CardResults = CardResults {
        first: Cryptogram::Arqc,
        second: None,
        pin: None,
        issuer_failed: false,
        no_answer: false,
        last_incomplete: false,
        pin_blocked: false,
        new_card: false,
        last_issuer_failed: false,
        issuer_not_performed: false,
        scripts: 0,
        script_failed: false,
        last_dda_failed: false,
        dda: false,
    };

    /// The values of card test scripts.
    #[test]
    fn the_usual_results_are_those_of_others() {
        assert_eq!(PLAIN.to_bytes(), [0x03, 0xA0, 0, 0]);
        assert_eq!(CardResults { first: Cryptogram::Tc, ..PLAIN }.to_bytes(), [0x03, 0x90, 0, 0]);
        let declined = CardResults { first: Cryptogram::Aac, ..PLAIN };
        assert_eq!(declined.to_bytes(), [0x03, 0x80, 0, 0]);
        assert_eq!(CardResults { pin_blocked: true, ..declined }.to_bytes(), [0x03, 0x80, 0x40, 0]);
        // A blocked application, after its one script, with a right PIN.
        let blocked = CardResults { pin: Some(true), scripts: 1, ..declined };
        assert_eq!(blocked.to_bytes(), [0x03, 0x84, 0x00, 0x10]);
    }

    #[test]
    fn each_fact_has_its_bit() {
        type Case = (fn(&mut CardResults), [u8; 4]);
        let cases: [Case; 13] = [
            (|results| results.second = Some(Cryptogram::Tc), [3, 0x60, 0, 0]),
            (|results| results.second = Some(Cryptogram::Aac), [3, 0x20, 0, 0]),
            (|results| results.pin = Some(false), [3, 0xA6, 0, 0]),
            (|results| results.issuer_failed = true, [3, 0xA8, 0, 0]),
            (|results| results.no_answer = true, [3, 0xA1, 0, 0]),
            (|results| results.last_incomplete = true, [3, 0xA0, 0x80, 0]),
            (|results| results.new_card = true, [3, 0xA0, 0x10, 0]),
            (|results| results.last_issuer_failed = true, [3, 0xA0, 0x08, 0]),
            (|results| results.issuer_not_performed = true, [3, 0xA0, 0x04, 0]),
            (|results| results.scripts = 16, [3, 0xA0, 0, 0xF0]),
            (|results| results.script_failed = true, [3, 0xA0, 0, 0x08]),
            (|results| results.last_dda_failed = true, [3, 0xA0, 0, 0x04]),
            (|results| results.dda = true, [3, 0xA0, 0, 0x02]),
        ];
        for (change, expected) in cases {
            let mut results = PLAIN;
            change(&mut results);
            assert_eq!(results.to_bytes(), expected);
        }
    }
}
