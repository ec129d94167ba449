//! Random contact sessions against a model of the card, written again from the rules in `docs/card.md`, that knows the
//! issuer's keys: status words, cryptograms, 9F27 and results agree in every answer, over resets and power cuts.

mod common;

use common::{
    Phone,
    contact_model::{Model, Place, Run},
};
use tapvault::{ContactCard, sim::SimChannel};
use tapvault_device_tests::{
    contact::{
        Generated, command, covered, issue, options, provision, select, terminal_data, test_card, verify,
    },
    lab::Lab,
    random::Random,
};
use tapvault_network::{
    contact::{AIP, ContactRules, Script},
    oda::OdaKind,
};
use tapvault_proto::{
    contact::ArpcMethod,
    emv::{contact::CDOL1_DATA_LEN, tlv::find},
    profile::Suite,
};

const CARDS: usize = 16;
const COMMANDS: usize = 800;

/// One step: a command and the status word that the model expects for it.
struct Session<'c, 't> {
    card: ContactCard<'c, SimChannel>,
    model: Model<'t>,
    generated: u32,
    refused: u32,
}

impl Session<'_, '_> {
    fn send(&mut self, command: &[u8], expected: u16) -> Vec<u8> {
        let response = self.card.transmit(command);
        assert_eq!(
            response.status(),
            expected,
            "{command:02X?}: {:04X}, {:?}",
            response.status(),
            self.model.place
        );
        assert!(matches!(expected, 0x9000 | 0x6283) || response.data().is_empty());
        self.refused += u32::from(expected != 0x9000);
        response.data().to_vec()
    }

    fn select(&mut self) {
        let memory = &self.model.memory;
        let expected = match (memory.card_blocked, memory.application_blocked) {
            (true, _) => 0x6A81,
            (false, true) => 0x6283,
            (false, false) => 0x9000,
        };
        self.send(&select(self.model.test), expected);
        if expected != 0x6A81 {
            self.model.place = Place::Application;
        }
    }

    fn environment(&mut self) {
        let blocked = self.model.memory.card_blocked;
        let expected = if blocked { 0x6A81 } else { 0x9000 };
        self.send(&command(0x00, 0xA4, 4, 0, b"1PAY.SYS.DDF01"), expected);
        if !blocked {
            self.model.place = Place::Environment;
        }
    }

    fn options(&mut self) {
        if !matches!(self.model.place, Place::Application) {
            self.send(&options(), 0x6985);
            return;
        }
        self.send(&options(), 0x9000);
        let counter = self.send(&command(0x80, 0xCA, 0x9F, 0x36, &[]), 0x9000);
        let atc = u16::from_be_bytes(counter[3..].try_into().unwrap());
        // After a power cut the rest of a range is skipped, and nothing else.
        assert!(
            atc > self.model.last_atc && atc <= self.model.last_atc + 16,
            "{atc} after {}",
            self.model.last_atc
        );
        self.model.last_atc = atc;
        let before = self.model.memory.clone();
        let (pin, dda, first, issuer, second, scripts_over) = (None, false, None, None, false, false);
        let run = Run { atc, before, pin, dda, first, issuer, second, scripts_over };
        self.model.place = Place::Running(Box::new(run));
    }

    fn verify(&mut self, right: bool) {
        let pin = if right { self.model.memory.pin.clone() } else { "0000".into() };
        let tries = self.model.memory.tries;
        let ready = self.model.run().is_some_and(|run| run.first.is_none());
        let expected = match (ready, tries) {
            (false, _) => 0x6985,
            (true, 0) => 0x6984,
            (true, _) if right => 0x9000,
            (true, tries) => 0x63C0 + u16::from(tries) - 1,
        };
        self.send(&verify(&pin), expected);
        if ready && tries > 0 {
            self.model.memory.tries = if right { self.model.test.rules.pin_tries } else { tries - 1 };
            self.model.run().unwrap().pin = Some(right);
        }
    }

    fn authenticate(&mut self, random: &mut Random) {
        let unpredictable = [(); 4].map(|()| random.byte());
        let ready = self.model.run().is_some_and(|run| run.first.is_none() && !run.dda);
        self.send(&command(0x00, 0x88, 0, 0, &unpredictable), if ready { 0x9000 } else { 0x6985 });
        if ready {
            self.model.run().unwrap().dda = true;
        }
    }

    fn generate(&mut self, random: &mut Random) {
        let p1 = random.of(&[0x00, 0x40, 0x80, 0x80, 0x40, 0xC0, 0x90]);
        let dda_failed = random.one_in(4);
        let tvr = [if dda_failed { 0x08 } else { 0 }, 0, random.byte(), 0, 0];
        let data = terminal_data(random.word(1_000_000), tvr, [(); 4].map(|()| random.byte()));
        let arc = random.of(&[*b"00", *b"00", *b"05", *b"Y3", *b"Z3", [0; 2]]);
        let first = self.model.run().map(|run| (run.first, run.second));
        let (data, is_first) = match first {
            Some((Some((0x80, _)), false)) => ([&arc[..], &data].concat(), false),
            _ => (data.to_vec(), true),
        };
        let message = command(0x80, 0xAE, p1, 0, &data);
        let right_p1 = matches!(p1, 0x00 | 0x40 | 0x80);
        match first {
            Some((None, _)) if right_p1 => {
                let answer = self.send(&message, 0x9000);
                self.check_first(&answer, p1, dda_failed, data[..].try_into().unwrap());
            }
            Some((Some((0x80, _)), false)) if right_p1 && p1 != 0x80 => {
                let answer = self.send(&message, 0x9000);
                self.check_second(&answer, p1, arc, data[2..].try_into().unwrap());
            }
            Some((None, _)) => drop(self.send(&message, 0x6A86)),
            Some((Some((0x80, _)), false)) => {
                drop(self.send(&message, if right_p1 { 0x6985 } else { 0x6A86 }));
            }
            _ => drop(self.send(&message, 0x6985)),
        }
        assert!(is_first || data.len() == 31);
    }

    fn check_first(&mut self, answer: &[u8], p1: u8, dda_failed: bool, data: &[u8; CDOL1_DATA_LEN]) {
        let blocked = self.model.memory.application_blocked || self.model.memory.card_blocked;
        let kind = if p1 == 0x00 || blocked { 0x00 } else { 0x80 };
        let run = self.model.run().unwrap().clone();
        let expected = self.model.results(&run, kind, None);
        let cryptogram = self.check(answer, kind, expected, &run, data);
        let memory = &mut self.model.memory;
        if kind == 0x80 {
            memory.incomplete = true;
        } else {
            memory.dda_failed |= dda_failed;
        }
        self.model.run().unwrap().first = Some((kind, cryptogram));
    }

    fn check_second(&mut self, answer: &[u8], p1: u8, arc: [u8; 2], data: &[u8; CDOL1_DATA_LEN]) {
        let blocked = self.model.memory.application_blocked || self.model.memory.card_blocked;
        let run = self.model.run().unwrap().clone();
        let approved = match (run.issuer, self.model.test.rules.arpc) {
            (Some(Ok(code)), ArpcMethod::One) => code == *b"00" && (arc == code || arc == [0; 2]),
            (Some(Ok(code)), ArpcMethod::Two) => code == *b"00" && [*b"00", [0; 2]].contains(&arc),
            _ => false,
        };
        let kind = if p1 == 0x40 && approved && !blocked { 0x40 } else { 0x00 };
        let expected = self.model.results(&run, 0x80, Some((kind, arc)));
        self.check(answer, kind, expected, &run, data);
        self.model.memory.incomplete = !matches!(run.issuer, Some(Ok(_)));
        self.model.run().unwrap().second = true;
    }

    /// What an answer says, and that the issuer's cryptogram over it is the card's.
    fn check(
        &mut self,
        answer: &[u8],
        kind: u8,
        cvr: [u8; 4],
        run: &Run,
        data: &[u8; CDOL1_DATA_LEN],
    ) -> [u8; 8] {
        let body = find(answer, 0x77).unwrap();
        assert_eq!(find(body, 0x9F27), Some(&[kind][..]));
        let response = tapvault_proto::emv::apdu::Response::ok(answer);
        let generated = Generated::of(&response).unwrap();
        assert_eq!((generated.information, generated.atc), (kind, run.atc));
        assert_eq!(generated.cvr(), cvr, "{:02X?}, not {cvr:02X?}: {run:?}", generated.cvr());
        let covered = covered(data, AIP, run.atc, cvr);
        assert_eq!(generated.cryptogram, self.model.test.cryptogram(run.atc, &covered));
        self.generated += 1;
        generated.cryptogram
    }

    fn answer(&mut self, random: &mut Random) {
        let test = self.model.test;
        let (right, approves) = (!random.one_in(3), !random.one_in(4));
        let code = if approves { *b"00" } else { *b"05" };
        let online = |run: &&mut Run| matches!(run.first, Some((0x80, _))) && !run.second;
        let Some(run) = self.model.run().filter(|run| online(run) && run.issuer.is_none()) else {
            let status = command(0x00, 0x82, 0, 0, &[0x5A; 10]);
            self.send(&status, 0x6985);
            return;
        };
        let (atc, ac) = (run.atc, run.first.unwrap().1);
        let mut answer = match test.rules.arpc {
            ArpcMethod::One => test.answer(atc, &ac, code),
            ArpcMethod::Two => {
                test.answer_with_status(atc, &ac, &[0, if approves { 0x80 } else { 0 }, 0, random.byte()])
            }
        };
        if random.one_in(5) {
            self.send(&command(0x00, 0x82, 0, 0, &answer[..7]), 0x6700);
        }
        if !right {
            let at = random.index(4);
            answer[at] ^= 1 << random.index(8);
        }
        self.send(&command(0x00, 0x82, 0, 0, &answer), if right { 0x9000 } else { 0x6300 });
        let memory = &mut self.model.memory;
        memory.issuer_failed = !right;
        if right {
            (memory.scripts, memory.script_failed, memory.dda_failed) = (0, false, false);
            memory.last_online = atc;
        }
        self.model.run().unwrap().issuer = Some(if right { Ok(code) } else { Err(()) });
    }

    fn script(&mut self, random: &mut Random) {
        let new = format!("{:06}", 100_000 + random.word(900_000));
        let limits = [random.byte(), random.byte()];
        let script = match random.index(300) {
            0..30 => Script::ApplicationBlock,
            30..110 => Script::ApplicationUnblock,
            110..150 => Script::PinUnblock,
            150..175 => Script::PinChange { new: new.clone(), current: None },
            175..199 => Script::PinChange { new: new.clone(), current: Some(self.model.memory.pin.clone()) },
            199 => Script::CardBlock,
            200..230 => Script::PutData { tag: 0x9F14, value: limits[..1].to_vec() },
            230..260 => {
                let [lower, upper] = limits;
                let data = vec![0x70, 8, 0x9F, 0x14, 1, lower, 0x9F, 0x23, 1, upper];
                Script::UpdateRecord { sfi: 3, number: 1, data }
            }
            // What may not be changed, whoever asks for it.
            260..275 => Script::PutData { tag: random.of(&[0x9F17, 0x9F36, 0x5A, 0x8E]), value: vec![3] },
            275..290 => Script::UpdateRecord { sfi: 1 + random.byte() % 2, number: 1, data: vec![0x70, 0] },
            _ => Script::PutData { tag: 0x9F23, value: vec![1; 2 + random.index(9)] },
        };
        let state = self.model.run().map(|run| (run.atc, run.first, run.scripts_over));
        let (atc, ac) =
            state.map_or((1, [0; 8]), |(atc, first, _)| (atc, first.map_or([0; 8], |(_, ac)| ac)));
        let mut message = self.model.test.script(atc, &ac, &script).unwrap();
        let wrong = random.one_in(5);
        if wrong {
            let last = message.len() - 1;
            message[last] ^= 1 << random.index(8);
        }
        let taken = match &script {
            Script::PutData { tag: 0x9F14 | 0x9F23, value } if value.len() != 1 => 0x6A80,
            Script::PutData { tag: 0x9F14 | 0x9F23, .. } | Script::UpdateRecord { sfi: 3, .. } => 0x9000,
            Script::PutData { .. } => 0x6A88,
            Script::UpdateRecord { .. } => 0x6982,
            _ => 0x9000,
        };
        let expected = match state {
            Some((_, Some(_), false)) if wrong => 0x6988,
            Some((_, Some(_), false)) => taken,
            _ => 0x6985,
        };
        self.send(&message, expected);
        let tries = self.model.test.rules.pin_tries;
        match expected {
            0x6988 => {
                self.model.memory.script_failed = true;
                self.model.run().unwrap().scripts_over = true;
            }
            0x9000 => {
                let memory = &mut self.model.memory;
                memory.scripts = (memory.scripts + 1).min(15);
                match script {
                    Script::ApplicationBlock => memory.application_blocked = true,
                    Script::ApplicationUnblock => memory.application_blocked = false,
                    Script::CardBlock => memory.card_blocked = true,
                    Script::PinUnblock => memory.tries = tries,
                    Script::PinChange { new, .. } => (memory.pin, memory.tries) = (new, tries),
                    Script::PutData { .. } => memory.limits[0] = limits[0],
                    Script::UpdateRecord { .. } => memory.limits = limits,
                }
            }
            0x6A80 | 0x6A88 | 0x6982 => self.model.memory.script_failed = true,
            _ => {}
        }
    }

    /// What the card tells of itself.
    fn ask(&mut self) {
        let ready = matches!(self.model.place, Place::Application | Place::Running(_));
        let expected = if ready { 0x9000 } else { 0x6985 };
        let [high, low] = self.model.memory.last_online.to_be_bytes();
        let [lower, upper] = self.model.memory.limits;
        let data: [(u8, Vec<u8>); 4] = [
            (0x17, vec![0x9F, 0x17, 1, self.model.memory.tries]),
            (0x13, vec![0x9F, 0x13, 2, high, low]),
            (0x14, vec![0x9F, 0x14, 1, lower]),
            (0x23, vec![0x9F, 0x23, 1, upper]),
        ];
        for (tag, object) in data {
            let answer = self.send(&command(0x80, 0xCA, 0x9F, tag, &[]), expected);
            assert!(!ready || answer == object, "{answer:02X?}");
        }
    }

    /// What a terminal would do next.
    fn next(&mut self, random: &mut Random) {
        let Place::Running(run) = &self.model.place else {
            match self.model.place {
                Place::Application => self.options(),
                _ => self.select(),
            }
            return;
        };
        match (run.first, run.issuer, run.second) {
            (None, ..) => match random.index(4) {
                0 => self.verify(!random.one_in(3)),
                1 => self.authenticate(random),
                _ => self.generate(random),
            },
            (Some((0x80, _)), None, false) => self.answer(random),
            (Some((0x80, _)), _, false) if random.one_in(2) => self.generate(random),
            _ if random.one_in(2) => self.script(random),
            _ => self.select(),
        }
    }

    fn anything(&mut self, random: &mut Random) {
        match random.index(12) {
            0 | 1 => self.select(),
            2 => self.environment(),
            3 => self.options(),
            4 => self.verify(!random.one_in(3)),
            5 => self.authenticate(random),
            6 | 7 => self.generate(random),
            8 => self.answer(random),
            9 => self.script(random),
            10 => self.ask(),
            _ => self.noise(random),
        }
    }

    /// Bytes that are no command, or one that is not the card's.
    fn noise(&mut self, random: &mut Random) {
        let len = random.index(12);
        let mut bytes: Vec<u8> = (0..len).map(|_| random.byte()).collect();
        // Mostly a class that the card has, with an instruction that it has not.
        if let [cla, ins, ..] = &mut bytes[..] {
            *cla = random.of(&[0x00, 0x80, 0x84, *cla]);
            if [0xA4, 0xB2, 0x20, 0x82, 0x84, 0x88, 0xA8, 0xAE, 0xCA, 0x1E, 0x18, 0x16, 0x24, 0xDA, 0xDC]
                .contains(ins)
            {
                *ins = 0x50;
            }
        }
        let response = self.card.transmit(&bytes);
        let status = response.status();
        assert!([0x6700, 0x6881, 0x6D00, 0x6E00].contains(&status), "{bytes:02X?}: {status:04X}");
    }
}

#[test]
fn every_answer_of_random_sessions_agrees() {
    let mut random = Random::of_environment();
    let (phone, mut lab) = (Phone::new(), Lab::new().unwrap());
    let (mut generated, mut refused, mut cards_blocked) = (0, 0, 0);
    for number in 0..CARDS {
        let mut wallet = phone.wallet();
        lab.kind.suite = Suite::ALL[number % 4];
        lab.kind.oda = OdaKind::Rsa1024;
        let emv = matches!(lab.kind.suite, Suite::Emv3Des | Suite::EmvAes);
        let arpc = if emv && number >= 4 { ArpcMethod::Two } else { ArpcMethod::One };
        let rules = ContactRules { arpc, pin_tries: 1 + random.byte() % 5, ..ContactRules::default() };
        let mut test = test_card(&lab, rules);
        let id = provision(&lab, &mut wallet, &mut test).unwrap();
        let mut model = Model::new(&test);
        let mut left = COMMANDS;
        while left > 0 {
            // A reset, or a power cut.
            if random.one_in(3) {
                phone.restart();
            }
            let mut wallet = phone.wallet();
            let card = wallet.insert_card(id).unwrap();
            let mut session = Session { card, model, generated: 0, refused: 0 };
            session.model.place = Place::Nowhere;
            for _ in 0..(10 + random.index(60)).min(left) {
                left -= 1;
                if random.one_in(3) {
                    session.anything(&mut random);
                } else {
                    session.next(&mut random);
                }
            }
            generated += session.generated;
            refused += session.refused;
            model = session.model;
            // There is little to say to a card that is blocked for good.
            if model.memory.card_blocked {
                left = left.min(20);
            }
        }
        cards_blocked += usize::from(model.memory.card_blocked);
        // Another version of its keys, and everything is as at first.
        drop(model);
        test.key_version = 2;
        let mut wallet = phone.wallet();
        issue(&lab, &mut wallet, &test).unwrap();
        let mut card = wallet.insert_card(id).unwrap();
        assert_eq!(card.transmit(&select(&test)).status(), 0x9000);
        wallet.remove_card(id).unwrap();
    }
    println!("{generated} cryptograms, {refused} refusals, {cards_blocked} cards blocked");
    assert!(generated > 1000 && refused > 1000 && (1..CARDS).contains(&cards_blocked));
}
