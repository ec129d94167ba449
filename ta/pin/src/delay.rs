//! How long the next entry waits when tries are spent. Kept in memory: a start of the trusted app makes everybody wait
//! in full.

use heapless::Vec;
use tapvault_proto::{
    id::ProviderId,
    pin::{RETRY_DELAYS_MS, TRY_LIMIT},
};
use tapvault_tee::Millis;

/// Providers whose last try is remembered by itself.
const REMEMBERED: usize = 8;

/// When tries were spent.
#[derive(Default)]
pub struct Delays {
    /// The first session opened, or later: the last try of a provider that is not remembered any more.
    others: Option<Millis>,
    spent: Vec<(ProviderId, Millis), REMEMBERED>,
}

impl Delays {
    /// The trusted app may have started just now.
    pub fn start(&mut self, now: Millis) {
        self.others.get_or_insert(now);
    }

    /// A try was spent.
    pub fn spend(&mut self, provider: ProviderId, now: Millis) {
        self.spent.retain(|(of, _)| *of != provider);
        if self.spent.is_full() {
            // Oldest first: it waits from its own last try no longer than the others from now on.
            let (_, forgotten) = self.spent.remove(0);
            self.others = self.others.max(Some(forgotten));
        }
        // There is room.
        let _ = self.spent.push((provider, now));
    }

    /// Milliseconds until an entry of `provider` may begin, when so many tries are left.
    pub fn left(&self, provider: ProviderId, tries_left: u8, now: Millis) -> u64 {
        let spent = usize::from(TRY_LIMIT.saturating_sub(tries_left));
        let Some(delay) = RETRY_DELAYS_MS.get(spent) else { return 0 };
        let last = self.spent.iter().find(|(of, _)| *of == provider).map(|(_, at)| *at);
        // Without a start there was no session, and nobody has waited.
        let since = last.or(self.others).unwrap_or(now);
        delay.saturating_sub(now.since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ProviderId = ProviderId([0xA; 16]);
    const B: ProviderId = ProviderId([0xB; 16]);
    const FIRST: u64 = RETRY_DELAYS_MS[1];
    const SECOND: u64 = RETRY_DELAYS_MS[2];

    #[test]
    fn delays_grow_and_restart_in_full() {
        const { assert!(0 < FIRST && FIRST < SECOND) };
        let mut delays = Delays::default();
        assert_eq!(delays.left(A, 2, Millis(7)), FIRST, "nobody has waited yet");
        delays.start(Millis(1000));
        delays.start(Millis(5000));
        assert_eq!(delays.left(A, 3, Millis(1000)), 0);
        assert_eq!(delays.left(A, 2, Millis(1001)), FIRST - 1);
        assert_eq!(delays.left(A, 1, Millis(1001)), SECOND - 1);
        assert_eq!(delays.left(A, 1, Millis(1000 + SECOND)), 0);
        assert_eq!(delays.left(A, 0, Millis(1000)), 0, "that is locked, which is said first");
        delays.spend(A, Millis(90_000));
        assert_eq!(delays.left(A, 2, Millis(90_000)), FIRST);
        delays.spend(A, Millis(91_000));
        assert_eq!(delays.left(A, 1, Millis(91_001)), SECOND - 1);
        assert_eq!(delays.left(B, 2, Millis(91_000)), 0, "another provider's");
    }

    #[test]
    fn whoever_is_forgotten_waits_no_shorter() {
        let mut delays = Delays::default();
        delays.start(Millis(0));
        delays.spend(A, Millis(100_000));
        for other in 0..REMEMBERED as u8 {
            delays.spend(ProviderId([other; 16]), Millis(100_001));
        }
        assert_eq!(delays.left(A, 2, Millis(100_000)), FIRST);
        assert_eq!(delays.left(B, 2, Millis(100_000)), FIRST, "one that never was waits as well");
    }
}
