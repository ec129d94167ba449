//! The pad's state machine against the PIN trusted app's end of the channel, by a clock that tests move.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use common::{Tee, draw_keys, encoded, folder, lab_pairing, pairing_by, showing, text};
use std::path::Path;
use tapvault_pad::{
    Event, Key, LAB_FACTORY_ROOT, Pad, Refusal,
    clock::FakeClock,
    random::{NoRandom, Random, System},
    screen::{Ended, Scene},
    store::Folder,
    window_ms,
};
use tapvault_pad_link::tee::Awaiting;
use tapvault_proto::{
    pad::{
        Frame, MAX_PAD_MESSAGE, PAD_TICK_MS, PadAnswer, PadKeys, PadMessage, PadPurpose, PadShow, PadSuite,
        Pairing, Showing,
    },
    wire::Bytes,
};

const SUITES: [PadSuite; 2] = [PadSuite::P256, PadSuite::Sm2];

/// A change, and what the pad says to it.
type Altered = (fn(&mut PadShow), Refusal);

/// A pad with its clock, and who talks to it.
struct Bench {
    clock: FakeClock,
    pad: Pad<FakeClock, Folder, System>,
    tee: Tee,
}

fn start(state: &Path, clock: &FakeClock) -> Result<Pad<FakeClock, Folder, System>, String> {
    let root = hex::decode(LAB_FACTORY_ROOT).unwrap().try_into().unwrap();
    Pad::new(clock.clone(), Folder::open(state).unwrap(), System, root)
}

/// The pad's keys, asked for.
fn keys_of<R: Random>(pad: &mut Pad<FakeClock, Folder, R>) -> PadKeys {
    match pad.receive(&encoded(&PadMessage::AskKeys)) {
        Some(PadMessage::Keys(keys)) => keys,
        other => panic!("{other:?}"),
    }
}

impl Bench {
    /// A new pad that is paired.
    fn new(name: &str, suite: PadSuite) -> Self {
        let clock = FakeClock::default();
        clock.advance_to(1_000_003);
        let mut pad = start(&folder(name), &clock).unwrap();
        let tee = Tee::paired_with(&keys_of(&mut pad), suite);
        let mut bench = Self { clock, pad, tee };
        assert_eq!(bench.say(&PadMessage::Pair(bench.tee.pairing)), Some(PadMessage::Paired));
        assert_eq!(bench.pad.events(), [Event::Paired(1)]);
        bench
    }

    fn say(&mut self, message: &PadMessage) -> Option<PadMessage> {
        self.pad.receive(&encoded(message))
    }

    /// Says something that is refused, for this reason.
    fn refused(&mut self, message: &PadMessage, reason: Refusal) {
        self.refused_bytes(&encoded(message), reason);
    }

    fn refused_bytes(&mut self, message: &[u8], reason: Refusal) {
        let answer = self.pad.receive(message);
        let events = self.pad.events();
        assert_eq!((answer, events.first()), (Some(PadMessage::Refused), Some(&Event::Refused(reason))));
    }

    /// A handshake up to what is to be shown.
    fn ready(&mut self, showing: &Showing) -> (Awaiting, PadShow) {
        let (offered, offer) = self.tee.offer();
        let Some(PadMessage::Answer(answer)) = self.say(&PadMessage::Offer(offer)) else {
            panic!("no answer")
        };
        self.tee.show(offered, &answer, showing)
    }

    /// An entry that is shown; the moment is its beginning.
    fn asked(&mut self, showing: &Showing) -> Awaiting {
        let (awaiting, show) = self.ready(showing);
        assert_eq!(self.say(&PadMessage::Show(show)), None);
        assert!(matches!(self.pad.events()[..], [Event::Showing { .. }]));
        awaiting
    }

    /// Presses digits at their places, `E` for Enter, `C` for Cancel, `<` for Clear.
    fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            let key = match key {
                'E' => Key::Enter,
                'C' => Key::Cancel,
                '<' => Key::Clear,
                digit => {
                    let Scene::Asking { layout, .. } = self.pad.screen().scene else {
                        panic!("nothing is asked")
                    };
                    let digit = u8::try_from(digit.to_digit(10).unwrap()).unwrap();
                    Key::Place(layout.place(digit).unwrap())
                }
            };
            self.pad.press(key);
        }
    }

    /// Moves the clock, and lets the pad do what is due.
    fn at(&mut self, ms: u64) -> Option<Frame> {
        self.clock.advance_to(ms);
        match self.pad.tick() {
            Some(PadMessage::Entered(frame)) => Some(frame),
            None => None,
            other => panic!("{other:?}"),
        }
    }

    /// A whole entry that still works, as a sign that nothing was changed.
    fn still_works(&mut self) {
        let begun = tapvault_pad::Clock::now_ms(&self.clock);
        let awaiting = self.asked(&showing(PadPurpose::ArmTap));
        self.press("4711E");
        let frame = self.at(begun + PAD_TICK_MS).unwrap();
        assert_eq!(text(&awaiting.open(&frame).unwrap()), "4711");
        self.pad.events();
    }
}

#[test]
fn what_is_entered_reaches_the_trusted_app_in_both_suites() {
    for (suite, name) in SUITES.into_iter().zip(["reaches-p256", "reaches-sm2"]) {
        let mut bench = Bench::new(name, suite);
        for (purpose, keys, expected) in [
            (PadPurpose::ArmTap, "12345E", "12345"),
            (PadPurpose::SetPin, "2468E2468E", "2468"),
            (PadPurpose::ChangePin, "1234E579024E579024E", "1234 to 579024"),
            (PadPurpose::CardData, "6299990000000017E1231E123E", "6299990000000017"),
            (PadPurpose::ConfirmTransfer, "99<1234E", "1234"),
        ] {
            let begun = tapvault_pad::Clock::now_ms(&bench.clock);
            let awaiting = bench.asked(&showing(purpose));
            bench.press(keys);
            assert_eq!(bench.pad.events(), [Event::Submitted]);
            let frame = bench.at(begun + PAD_TICK_MS).unwrap();
            assert_eq!(text(&awaiting.open(&frame).unwrap()), expected);
            assert_eq!(bench.pad.events(), [Event::Sent]);
        }
    }
}

#[test]
fn the_time_of_the_frame_is_the_same_for_every_number_of_digits() {
    let mut bench = Bench::new("timing", PadSuite::P256);
    let mut begun = 2_000_017;
    for digits in 4..=12 {
        // A press a millisecond, a press a third of a second, and Enter at the last moment.
        for pace in [1, 333, 0] {
            bench.clock.advance_to(begun);
            let awaiting = bench.asked(&showing(PadPurpose::ArmTap));
            for press in 1..=digits {
                bench.clock.advance_to(begun + press * pace);
                bench.press("7");
            }
            let entered = if pace == 0 { begun + PAD_TICK_MS } else { begun + (digits + 1) * pace };
            bench.clock.advance_to(entered);
            bench.press("E");
            assert_eq!(bench.pad.wake_at(), Some(begun + PAD_TICK_MS), "{digits} digits");
            if pace != 0 {
                assert_eq!(bench.at(begun + PAD_TICK_MS - 1), None, "{digits} digits");
            }
            let frame = bench.at(begun + PAD_TICK_MS).unwrap();
            let entered = text(&awaiting.open(&frame).unwrap());
            assert_eq!(entered.len() as u64, digits);
            bench.pad.events();
            begun += 100_000;
        }
    }
}

#[test]
fn cancel_time_out_and_pin_leave_at_ticks_of_the_same_form() {
    let mut bench = Bench::new("ticks", PadSuite::P256);
    let mut begun = 2_000_000;
    let tick = PAD_TICK_MS;
    for (life_s, after, keys, leaves, ended) in [
        (50, 0, "C", tick, Ended::Cancelled),
        (50, 1, "C", tick, Ended::Cancelled),
        (50, tick, "C", tick, Ended::Cancelled),
        (50, tick + 1, "C", 2 * tick, Ended::Cancelled),
        (50, tick + 1, "1234E", 2 * tick, Ended::Submitted),
        (50, 49_999, "1234E", 50_000, Ended::Submitted),
        // At the last tick it is too late, by the clock and not by the order of things.
        (50, 50_000, "1234E", 50_000, Ended::TimedOut),
        (50, 50_000, "", 50_000, Ended::TimedOut),
        (50, 30_000, "1234", 50_000, Ended::TimedOut),
        // Cut to whole ticks, so that the frame comes in time.
        (58, 54_999, "1234E", 55_000, Ended::Submitted),
        (58, 55_000, "1234E", 55_000, Ended::TimedOut),
        (5, 4_999, "1234E", tick, Ended::Submitted),
        (0, 1, "1234E", tick, Ended::Submitted),
    ] {
        bench.clock.advance_to(begun);
        let awaiting = bench.asked(&Showing { life_s, ..showing(PadPurpose::ArmTap) });
        bench.clock.advance_to(begun + after);
        bench.press(keys);
        if after < leaves {
            assert_eq!(bench.at(begun + leaves - 1), None, "{life_s} {after} {keys}");
        }
        let frame = bench.at(begun + leaves).unwrap();
        let entered = text(&awaiting.open(&frame).unwrap());
        let submitted = ended == Ended::Submitted;
        assert_eq!(entered, if submitted { "1234" } else { "nothing" }, "{life_s} {after} {keys}");
        assert!(matches!(bench.pad.screen().scene, Scene::Idle(Some(last)) if last == ended));
        bench.pad.events();
        begun += 1_000_000;
    }
}

#[test]
fn a_pad_that_slept_sends_at_a_tick_all_the_same() {
    let mut bench = Bench::new("slept", PadSuite::P256);
    bench.clock.advance_to(2_000_000);
    let awaiting = bench.asked(&showing(PadPurpose::ArmTap));
    bench.press("1234");
    // 50 s were given, and the process was stopped for longer.
    assert_eq!(bench.at(2_073_000), None);
    assert_eq!(bench.pad.wake_at(), Some(2_075_000));
    let frame = bench.at(2_075_000).unwrap();
    assert_eq!(text(&awaiting.open(&frame).unwrap()), "nothing");
}

#[test]
fn the_window_is_whole_ticks_and_at_least_one() {
    for (life_s, window) in [(0, 5), (1, 5), (5, 5), (9, 5), (10, 10), (59, 55), (60, 60), (255, 255)] {
        assert_eq!(window_ms(life_s), window * 1000, "{life_s}");
    }
}

#[test]
fn nothing_typed_before_or_after_an_entry_counts() {
    let mut bench = Bench::new("before", PadSuite::P256);
    let begun = 2_000_000;
    bench.clock.advance_to(begun);
    for key in [Key::Place(1), Key::Place(2), Key::Enter] {
        bench.pad.press(key);
    }
    let awaiting = bench.asked(&showing(PadPurpose::ArmTap));
    assert!(matches!(bench.pad.screen().scene, Scene::Asking { typed: 0, .. }));
    bench.press("1234E");
    for key in [Key::Place(1), Key::Cancel, Key::Clear, Key::Enter] {
        bench.pad.press(key);
    }
    let frame = bench.at(begun + PAD_TICK_MS).unwrap();
    assert_eq!(text(&awaiting.open(&frame).unwrap()), "1234");
}

#[test]
fn the_keypad_is_shuffled_for_every_field() {
    let mut bench = Bench::new("shuffled", PadSuite::P256);
    let layout = |bench: &Bench| {
        let Scene::Asking { layout, .. } = bench.pad.screen().scene else { panic!("nothing is asked") };
        (0..10).map(|place| layout.digit(place).unwrap()).collect::<Vec<_>>()
    };
    let mut seen = Vec::new();
    for _ in 0..5 {
        bench.asked(&showing(PadPurpose::ChangePin));
        for keys in ["1234E", "5678E", "5679E"] {
            seen.push(layout(&bench));
            bench.press("12<");
            assert_eq!(seen.last(), Some(&layout(&bench)), "not while a field is typed");
            bench.press(keys);
        }
        seen.push(layout(&bench));
        bench.pad.disconnect();
        bench.pad.events();
    }
    let all = seen.len();
    seen.sort_unstable();
    seen.dedup();
    // Two of twenty are alike in one run of twenty thousand.
    assert!(all - seen.len() <= 1, "{seen:?}");
}

#[test]
fn what_is_no_message_is_refused_and_changes_nothing() {
    let mut bench = Bench::new("malformed", PadSuite::P256);
    let (_, offer) = bench.tee.offer();
    let (_, show) = bench.ready(&showing(PadPurpose::ArmTap));
    let good = [
        PadMessage::AskKeys,
        PadMessage::Pair(bench.tee.pairing),
        PadMessage::Offer(offer),
        PadMessage::Show(show),
    ];
    for message in good.iter().map(encoded) {
        for len in 0..message.len() {
            bench.refused_bytes(&message[..len], Refusal::Malformed);
        }
        bench.refused_bytes(&[&message[..], &[0]].concat(), Refusal::Malformed);
    }
    for kind in (0..=u8::MAX).filter(|kind| !(1..=9).contains(kind)) {
        bench.refused_bytes(&[kind], Refusal::Malformed);
    }
    // A suite that is none.
    for suite in (0..=u8::MAX).filter(|suite| !(1..=2).contains(suite)) {
        let mut message = encoded(&PadMessage::Offer(offer));
        message[1] = suite;
        bench.refused_bytes(&message, Refusal::Malformed);
    }
    bench.refused_bytes(&[5; MAX_PAD_MESSAGE], Refusal::Malformed);
    bench.refused_bytes(&[3; MAX_PAD_MESSAGE + 1], Refusal::Malformed);
    bench.still_works();
    assert_eq!(bench.pad.screen().pairing, Some(1));
}

#[test]
fn what_a_pad_says_is_not_taken_by_one() {
    let mut bench = Bench::new("unexpected", PadSuite::P256);
    let keys = keys_of(&mut bench.pad);
    let frame = Frame { sequence: 0, sealed: [0; 112] };
    let answer = PadAnswer { ephemeral: [4; 65], signature: [0; 64] };
    for message in [
        PadMessage::Keys(keys),
        PadMessage::Paired,
        PadMessage::Answer(answer),
        PadMessage::Entered(frame),
        PadMessage::Refused,
    ] {
        bench.refused(&message, Refusal::Unexpected);
    }
    bench.still_works();
}

#[test]
fn a_message_during_an_entry_ends_it() {
    let mut bench = Bench::new("interrupted", PadSuite::P256);
    let (_, offer) = bench.tee.offer();
    for keys in ["", "1234", "1234E", "C"] {
        for message in [encoded(&PadMessage::AskKeys), encoded(&PadMessage::Offer(offer)), vec![]] {
            let begun = tapvault_pad::Clock::now_ms(&bench.clock);
            bench.asked(&showing(PadPurpose::ArmTap));
            bench.press(keys);
            bench.pad.events();
            bench.refused_bytes(&message, Refusal::Interrupted);
            assert!(matches!(bench.pad.screen().scene, Scene::Idle(Some(Ended::Broken))));
            assert_eq!(bench.pad.wake_at(), None);
            assert_eq!(bench.at(begun + 60_000), None, "nothing leaves any more");
        }
    }
    bench.still_works();
}

#[test]
fn a_relay_that_goes_away_ends_an_entry() {
    let mut bench = Bench::new("lost", PadSuite::P256);
    for keys in ["1234", "1234E"] {
        bench.asked(&showing(PadPurpose::ArmTap));
        bench.press(keys);
        bench.pad.events();
        bench.pad.disconnect();
        assert_eq!(bench.pad.events(), [Event::Lost]);
        assert_eq!(bench.pad.wake_at(), None);
    }
    bench.pad.disconnect();
    assert_eq!(bench.pad.events(), [], "nothing was begun");
    bench.still_works();
}

#[test]
fn a_show_counts_once_and_in_its_session_only() {
    let mut bench = Bench::new("replay", PadSuite::P256);
    let awaiting = |bench: &mut Bench| bench.ready(&showing(PadPurpose::ArmTap));
    let (_, first) = awaiting(&mut bench);
    // Another session is up: the first one's message is of no use.
    let (_, second) = awaiting(&mut bench);
    bench.refused(&PadMessage::Show(first), Refusal::Untrusted);
    // And that was the end of the second.
    bench.refused(&PadMessage::Show(second), Refusal::NoSession);
    let begun = tapvault_pad::Clock::now_ms(&bench.clock);
    let (awaiting, third) = awaiting(&mut bench);
    assert_eq!(bench.say(&PadMessage::Show(third)), None);
    bench.press("1234E");
    let frame = bench.at(begun + PAD_TICK_MS).unwrap();
    assert_eq!(text(&awaiting.open(&frame).unwrap()), "1234");
    bench.pad.events();
    // It was answered: once more it is of no use.
    bench.refused(&PadMessage::Show(third), Refusal::NoSession);
    bench.still_works();
}

#[test]
fn nothing_is_shown_that_the_paired_trusted_app_did_not_send() {
    for (suite, name) in SUITES.into_iter().zip(["altered-p256", "altered-sm2"]) {
        let mut bench = Bench::new(name, suite);
        let altered: [Altered; 6] = [
            (|show| show.proof[0] ^= 1, Refusal::Untrusted),
            (|show| show.proof[63] ^= 1, Refusal::Untrusted),
            (|show| show.frame.sealed[0] ^= 1, Refusal::FrameInvalid),
            (|show| show.frame.sealed[95] ^= 0x80, Refusal::FrameInvalid),
            (|show| show.frame.sealed[111] ^= 1, Refusal::FrameInvalid),
            (|show| show.frame.sequence = 1, Refusal::FrameInvalid),
        ];
        for (alter, reason) in altered {
            let (_, mut show) = bench.ready(&showing(PadPurpose::ArmTap));
            alter(&mut show);
            bench.refused(&PadMessage::Show(show), reason);
        }
        // Somebody else's proof over the same session.
        let stranger = Tee { keys: draw_keys(), ..Tee::paired_with(&keys_of(&mut bench.pad), suite) };
        let (offered, offer) = bench.tee.offer();
        let Some(PadMessage::Answer(answer)) = bench.say(&PadMessage::Offer(offer)) else {
            panic!("no answer")
        };
        let session = offered.accept(&stranger.keys, &bench.tee.pairing, &answer).unwrap();
        let (_, show) = session.show(&showing(PadPurpose::ArmTap)).unwrap();
        bench.refused(&PadMessage::Show(show), Refusal::Untrusted);
        bench.still_works();
    }
}

#[test]
fn what_cannot_be_shown_is_refused() {
    let mut bench = Bench::new("not-showable", PadSuite::P256);
    for payee in [&b""[..], b"\x1b[2J", b"Book\nshop", b"Caf\xC3\xA9"] {
        let payee = Bytes::from_slice(payee).unwrap();
        let (_, show) = bench.ready(&Showing { payee, ..showing(PadPurpose::ApprovePayment) });
        bench.refused(&PadMessage::Show(show), Refusal::NotShowable);
    }
    bench.still_works();
}

#[test]
fn a_session_is_of_the_pairing_that_is_kept() {
    let mut bench = Bench::new("sessions", PadSuite::P256);
    let (_, offer) = bench.tee.offer();
    for sequence in [0, 2, u32::MAX] {
        let offer = tapvault_proto::pad::PadOffer { sequence, ..offer };
        bench.refused(&PadMessage::Offer(offer), Refusal::NotPaired);
    }
    let off_the_curve = tapvault_proto::pad::PadOffer { ephemeral: [4; 65], ..offer };
    bench.refused(&PadMessage::Offer(off_the_curve), Refusal::ShareInvalid);
    bench.still_works();

    let mut pad = start(&folder("not-paired"), &bench.clock).unwrap();
    assert_eq!(pad.receive(&encoded(&PadMessage::Offer(offer))), Some(PadMessage::Refused));
    assert_eq!(pad.events(), [Event::Refused(Refusal::NotPaired)]);
}

#[test]
fn a_pairing_is_the_factorys_of_this_pad_and_newer() {
    let mut bench = Bench::new("pairings", PadSuite::P256);
    let pad = keys_of(&mut bench.pad);
    let (tee, stranger) = (*bench.tee.keys.public(), *draw_keys().public());
    let altered = |alter: fn(&mut Pairing)| {
        let mut pairing = lab_pairing(2, &tee, &pad);
        alter(&mut pairing);
        pairing
    };
    for (pairing, reason) in [
        (lab_pairing(2, &tee, &stranger), Refusal::PairingInvalid),
        (lab_pairing(2, &pad, &tee), Refusal::PairingInvalid),
        (pairing_by(b"another factory", 2, &tee, &pad), Refusal::PairingInvalid),
        (altered(|pairing| pairing.sequence = 3), Refusal::PairingInvalid),
        (altered(|pairing| pairing.tee.key[64] ^= 1), Refusal::PairingInvalid),
        (altered(|pairing| pairing.tee.sm2_key[64] ^= 1), Refusal::PairingInvalid),
        (altered(|pairing| pairing.signature[0] ^= 1), Refusal::PairingInvalid),
        (lab_pairing(1, &tee, &pad), Refusal::PairingNotNewer),
        (lab_pairing(0, &tee, &pad), Refusal::PairingNotNewer),
        (lab_pairing(1, &stranger, &pad), Refusal::PairingNotNewer),
    ] {
        bench.refused(&PadMessage::Pair(pairing), reason);
    }
    bench.still_works();

    // The newest counts, and the one before never again.
    let before = bench.tee.pairing;
    bench.tee.pairing = lab_pairing(7, &tee, &pad);
    assert_eq!(bench.say(&PadMessage::Pair(bench.tee.pairing)), Some(PadMessage::Paired));
    bench.pad.events();
    for pairing in [before, lab_pairing(6, &tee, &pad)] {
        bench.refused(&PadMessage::Pair(pairing), Refusal::PairingNotNewer);
    }
    bench.still_works();
}

#[test]
fn a_pairing_in_between_ends_a_session() {
    let mut bench = Bench::new("pair-between", PadSuite::P256);
    let (_, show) = bench.ready(&showing(PadPurpose::ArmTap));
    bench.tee.pairing = lab_pairing(2, bench.tee.keys.public(), &bench.tee.pairing.pad);
    assert_eq!(bench.say(&PadMessage::Pair(bench.tee.pairing)), Some(PadMessage::Paired));
    bench.pad.events();
    bench.refused(&PadMessage::Show(show), Refusal::NoSession);
    bench.still_works();
}

/// Good random numbers, until there are none.
struct Ends(u32);

impl Random for Ends {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom> {
        self.0 = self.0.checked_sub(1).ok_or(NoRandom)?;
        System.fill(bytes)
    }
}

#[test]
fn without_random_numbers_there_is_no_session() {
    let clock = FakeClock::default();
    let root = hex::decode(LAB_FACTORY_ROOT).unwrap().try_into().unwrap();
    let state = folder("no-random");
    let start = |draws| Pad::new(clock.clone(), Folder::open(&state).unwrap(), Ends(draws), root);
    assert!(start(0).is_err());
    assert!(!state.join("keys").exists(), "no keys without random numbers");
    let mut pad = start(2).unwrap();
    let tee = Tee::paired_with(&keys_of(&mut pad), PadSuite::P256);
    pad.receive(&encoded(&PadMessage::Pair(tee.pairing)));
    pad.events();
    let (_, offer) = tee.offer();
    assert_eq!(pad.receive(&encoded(&PadMessage::Offer(offer))), Some(PadMessage::Refused));
    assert_eq!(pad.events(), [Event::Refused(Refusal::NoRandom)]);
}

#[test]
fn events_have_no_digits_of_an_entry() {
    let mut bench = Bench::new("events", PadSuite::P256);
    let begun = tapvault_pad::Clock::now_ms(&bench.clock);
    let (_, show) = bench.ready(&showing(PadPurpose::ConfirmTap));
    bench.say(&PadMessage::Show(show));
    bench.press("830274E");
    bench.at(begun + PAD_TICK_MS);
    let told: Vec<String> =
        bench.pad.events().iter().flat_map(|event| [event.json().to_string(), event.to_string()]).collect();
    assert_eq!(told.len(), 6);
    // Neither the digits nor their number.
    assert!(told.iter().all(|text| !text.contains("830274") && !text.contains('6')), "{told:?}");
}
