//! How long a victim waits for attackers, in their entries into the secure world.
//!
//! A call waits in the normal world until one of OP-TEE's two secure threads is free, and then in the secure
//! world for locks: of the single-instance trusted app, of storage. What comes in between is the attackers'
//! doing, or the scheduler's: a thread that is free goes to whom Linux lets run. So all is counted twice, with
//! the victim as one process of many and as one that runs before the others, as a phone's foreground app does; and
//! both again where all clients of the TEE share one core of two, as an init can make them (docs/boards.md).

use super::{
    Outcome, Row,
    interference::{ATTACKS, Other, Victim},
    say,
    trace::{self, Act, ENTRIES, EXITS, Event, SLEEPS},
};
use crate::raw::run_first;

/// Taps and trustlet calls in each case.
const CALLS: usize = 200;
/// Taps for one preparation: a range of counters is twice as many.
const PREPARED: usize = 8;
/// Attackers of the same kind beside one alone: as many as it takes to want both threads and to queue.
const SEVERAL: usize = 3;

/// Entries of the attackers while a call waited.
#[derive(Clone, Copy, Debug, Default)]
struct Wait {
    /// For a secure thread: from the call to its entry.
    thread: u64,
    /// For locks: from the entry to the end of the last wait.
    lock: u64,
    /// From the call to its answer.
    all: u64,
}

impl Wait {
    /// Out of everything from the call to its answer.
    fn of(events: &[Event], me: u32, attackers: &[u32]) -> Outcome<Self> {
        let mine = |at: &usize| events[*at].thread == me;
        let next =
            |from: usize| (from + 1..events.len()).find(|at| events[*at].thread == events[from].thread);
        let enters = |at: &usize| {
            let found_no_thread = next(*at).is_some_and(|next| events[next].act == Act::FindsNoThread);
            events[*at].act == Act::Enters && !found_no_thread
        };
        let all = || 0..events.len();
        let entered = all().filter(mine).find(enters).ok_or("no entry")?;
        let slept = all().filter(mine).rfind(|at| events[*at].act == Act::Sleeps);
        let awake = slept.and_then(next).unwrap_or(entered);
        let theirs = |from: usize, to: usize| {
            let attackers = (from..to).filter(|at| attackers.contains(&events[*at].thread));
            attackers.filter(enters).count() as u64
        };
        Ok(Self {
            thread: theirs(0, entered),
            lock: theirs(entered, awake.max(entered)),
            all: theirs(0, events.len()),
        })
    }
}

/// What many calls of one kind waited.
#[derive(Default)]
struct Waits(Vec<Wait>);

impl Waits {
    fn max(&self, of: fn(&Wait) -> u64) -> u64 {
        self.0.iter().map(of).max().unwrap_or(0)
    }

    /// Most, and in how many of a hundred calls there were any.
    fn show(&self, of: fn(&Wait) -> u64) -> String {
        let waiting = self.0.iter().filter(|wait| of(wait) > 0).count();
        format!("{} ({} %)", self.max(of), waiting * 100 / self.0.len().max(1))
    }
}

/// The rows: of taps and trustlet calls, and of storage calls.
type Names = [&'static str; 2];
/// All clients on one core, the victim first.
const CONFINED: Names = ["victim_wait_max", "victim_storage_wait_max"];
/// Clients on any core, the victim first, and as an ordinary process.
const FREE: Names = ["victim_wait_max_free", "victim_storage_wait_max_free"];
const ORDINARY: Names = ["victim_wait_max_ordinary_free", "victim_storage_wait_max_ordinary_free"];

/// Counts under every attack, alone and by several; prints the rows. `clients` says what the caller has made of them:
/// `confined` to one core, or `free`.
///
/// # Errors
/// Above all when a call of the victim fails.
pub fn waits(clients: &str) -> Outcome<()> {
    let victims = match clients {
        "confined" => vec![(true, CONFINED)],
        "free" => vec![(true, FREE), (false, ORDINARY)],
        _ => return Err("clients are confined or free".into()),
    };
    let mut victim = Victim::new()?;
    let alone = ATTACKS.iter().map(|attack| vec![*attack]);
    let several = ATTACKS.iter().map(|attack| vec![*attack; SEVERAL]);
    let cases: Vec<Vec<&str>> = alone.chain(several).chain([ATTACKS.to_vec()]).collect();
    for (first, names) in victims {
        println!("# the victim is {}", if first { "of real-time priority" } else { "an ordinary process" });
        run_first(first).map_err(say)?;
        rows(&mut victim, &cases, names)?;
    }
    Ok(())
}

fn rows(victim: &mut Victim, cases: &[Vec<&str>], names: Names) -> Outcome<()> {
    // Beyond the bar, wait and note.
    let mut worst = (i64::MIN, 0, String::new());
    let mut storage = (0, String::new());
    for attacks in cases {
        let mut attackers =
            attacks.iter().map(|name| Other::start(&["attack", name])).collect::<Outcome<Vec<_>>>()?;
        let threads: Vec<_> = attackers.iter().map(Other::thread).collect();
        let mut kinds = Vec::new();
        let events = trace::record(&[ENTRIES, EXITS, SLEEPS], || {
            for number in 0..CALLS {
                // Preparing writes to storage, which is slow beside attackers; counters last for a while.
                let prepares = number % PREPARED == 0;
                if prepares {
                    victim.keep_on()?;
                }
                for (kind, call) in
                    [(0, Victim::prepare as fn(&mut _) -> _), (1, Victim::tap), (2, Victim::call)]
                {
                    if kind == 0 && !prepares {
                        continue;
                    }
                    trace::mark()?;
                    call(victim)?;
                    trace::mark()?;
                    kinds.push(kind);
                }
            }
            Ok(())
        })?;
        let me = std::process::id();
        let marked = |at: &usize| events[*at].thread == me && events[*at].act == Act::Marks;
        let marks: Vec<_> = (0..events.len()).filter(marked).collect();
        let mut waits = [const { Waits(Vec::new()) }; 3];
        for (marks, kind) in marks.chunks(2).zip(kinds) {
            let [from, to] = marks else { return Err("a mark is missing".into()) };
            let wait: &mut Waits = &mut waits[kind];
            wait.0.push(Wait::of(&events[*from..*to], me, &threads)?);
        }
        let [prepares, taps, calls] = waits;
        attackers.iter_mut().try_for_each(Other::lives)?;
        let name =
            if attacks.len() == SEVERAL { format!("{} x {SEVERAL}", attacks[0]) } else { attacks.join("+") };
        println!(
            "# {name}: for a thread: tap {}, trustlet call {}; for a lock: tap {}, trustlet call {}; storage call {}",
            taps.show(|wait| wait.thread),
            calls.show(|wait| wait.thread),
            taps.show(|wait| wait.lock),
            calls.show(|wait| wait.lock),
            prepares.show(|wait| wait.all),
        );
        for (waits, what) in [(&taps, "tap"), (&calls, "trustlet call")] {
            let most = waits.max(|wait| wait.thread + wait.lock);
            let beyond = most.cast_signed() - attacks.len() as i64 - 1;
            worst = worst.max((
                beyond,
                most,
                format!("{what} under {name}, {} attacking sessions", attacks.len()),
            ));
        }
        storage = storage.max((prepares.max(|wait| wait.all), format!("tap_prepare under {name}")));
    }
    let times = format!("{CALLS} calls in each of {} cases", cases.len());
    Row(names[0], worst.1, "count", format!("{times}: {}", worst.2)).print();
    Row(names[1], storage.0, "count", format!("{times}: {}", storage.1)).print();
    Ok(())
}
