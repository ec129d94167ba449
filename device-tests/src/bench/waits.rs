//! How long a victim waits for attackers on two cores, in their entries into the secure world.
//!
//! A call waits in the normal world until one of OP-TEE's two secure threads is free, and then in the secure
//! world for locks: of the single-instance trusted app, of storage. What comes in between is the attackers'
//! doing, or the scheduler's.

use super::{
    Outcome, Row,
    interference::{ATTACKS, Other, Victim},
    trace::{self, Act, Event},
};

/// Calls of each kind in each case.
const CALLS: usize = 200;
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
    fn of(events: &[Event], me: u32, attackers: &[u32]) -> Outcome<Self> {
        let mine = |at: &usize| events[*at].thread == me;
        let next =
            |from: usize| (from + 1..events.len()).find(|at| events[*at].thread == events[from].thread);
        let enters = |at: &usize| {
            let goes_in = next(*at).is_none_or(|next| events[next].act != Act::FindsNoThread);
            events[*at].act == Act::Enters && goes_in
        };
        let all = 0..events.len();
        let called = all.clone().filter(mine).find(|at| events[*at].act == Act::Calls).ok_or("no mark")?;
        let entered = (called..events.len()).filter(mine).find(enters).ok_or("no entry")?;
        let asked = all.clone().filter(mine).rfind(|at| events[*at].act == Act::Asks);
        let locked = asked.filter(|asked| *asked > entered).and_then(next).unwrap_or(entered);
        let last = all.clone().rfind(mine).unwrap_or(locked);
        let theirs = |from: usize, to: usize| {
            let attackers = (from..to).filter(|at| attackers.contains(&events[*at].thread));
            attackers.filter(enters).count() as u64
        };
        Ok(Self { thread: theirs(called, entered), lock: theirs(entered, locked), all: theirs(called, last) })
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

/// Counts under every attack, alone and by several; prints the rows.
///
/// # Errors
/// Above all when a call of the victim fails.
pub fn waits() -> Outcome<()> {
    let mut victim = Victim::new()?;
    let alone = ATTACKS.iter().map(|attack| vec![*attack]);
    let several = ATTACKS.iter().map(|attack| vec![*attack; SEVERAL]);
    let cases: Vec<Vec<&str>> = alone.chain(several).chain([ATTACKS.to_vec()]).collect();
    // Beyond the bar, wait and note.
    let mut worst = (i64::MIN, 0, String::new());
    let mut storage = (0, String::new());
    for attacks in cases {
        let mut attackers =
            attacks.iter().map(|name| Other::start(&["attack", name])).collect::<Outcome<Vec<_>>>()?;
        let threads: Vec<_> = attackers.iter().map(Other::thread).collect();
        let wait = |act: &mut dyn FnMut() -> Outcome<()>| {
            let events = trace::record(|| {
                trace::mark()?;
                act()
            })?;
            Wait::of(&events, std::process::id(), &threads)
        };
        let [mut prepares, mut taps, mut calls] = [const { Waits(Vec::new()) }; 3];
        for _ in 0..CALLS {
            prepares.0.push(wait(&mut || victim.ready())?);
            taps.0.push(wait(&mut || victim.tap())?);
            calls.0.push(wait(&mut || victim.call())?);
        }
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
    let times = format!("two cores, {CALLS} calls in each of {} cases", 2 * ATTACKS.len() + 1);
    Row("victim_wait_max", worst.1, "count", format!("{times}: {}", worst.2)).print();
    Row("victim_storage_wait_max", storage.0, "count", format!("{times}: {}", storage.1)).print();
    Ok(())
}
