//! Rate quotas: how often in a minute a provider may have done for it what takes long.

/// The span a quota is for, in milliseconds.
const SPAN: u64 = 60_000;

/// Counts one kind of step. A bucket that fills at an even rate: a provider that was quiet for a minute may
/// take its whole quota at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Milliseconds of quota used, as of `seen`: `SPAN` is a whole quota.
    used: u64,
    seen: u64,
}

impl Rate {
    /// Takes one step of `quota` in a minute at the time `now` in milliseconds; `false` when it is used
    /// up, and nothing is taken then.
    pub fn take(&mut self, quota: u16, now: u64) -> bool {
        let Some(step) = SPAN.checked_div(u64::from(quota)) else { return false };
        // A quota beyond one step a millisecond is no quota; a policy cannot give it.
        let step = step.max(1);
        let used = self.used.saturating_sub(now.saturating_sub(self.seen));
        if used.saturating_add(step) > SPAN {
            return false;
        }
        self.used = used.saturating_add(step);
        self.seen = now;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Rate;

    #[test]
    fn a_quota_is_good_for_a_minute_and_fills_again() {
        let mut rate = Rate::default();
        assert_eq!((0..10).filter(|_| rate.take(6, 1_000_000)).count(), 6);
        assert!(!rate.take(6, 1_009_999));
        assert!(rate.take(6, 1_010_000), "a sixth of a minute is one step");
        assert!(!rate.take(6, 1_010_000));
        assert_eq!((0..10).filter(|_| rate.take(6, 2_000_000)).count(), 6);
    }

    #[test]
    fn without_a_quota_nothing_is_taken() {
        assert!(!Rate::default().take(0, u64::MAX));
        assert!(!Rate::default().take(0, 0));
    }
}
