//! Signs of life of the thread that follows a cluster, for the workers that rely on it (L7): a gate that stood still, or
//! whose control thread hangs, must not send clients on a statement from before.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::leader::Policy;

/// How late a turn may be on a loaded machine without being a standstill, besides the time between two probes.
const LATE: Duration = Duration::from_millis(250);

/// How long a statement counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The longest between two turns in normal operation. Nothing said before a longer gap counts after it.
    pub gap: Duration,
    /// How old a statement may be at most, counted from the begin of its probe.
    pub lease: Duration,
}

impl Trust {
    /// For a cluster that is probed by this policy.
    ///
    /// A gap shorter than the time between two probes makes no statement older than it may be in normal operation.
    pub fn by(policy: &Policy) -> Self {
        Trust { gap: policy.steady_distance() + LATE, lease: policy.lease() }
    }

    /// How often a turn has to be taken, so that none is missed.
    pub fn turn(&self) -> Duration {
        self.gap / 3
    }
}

/// The newest turn, and the newest standstill. Moments are in nanoseconds since `base`.
#[derive(Debug)]
pub(super) struct Heartbeat {
    base: Instant,
    newest: AtomicU64,
    /// When a turn was taken after too long a gap; 0 if none was.
    resumed: AtomicU64,
    gap: AtomicU64,
    lease: AtomicU64,
}

impl Heartbeat {
    /// Without any bound until the first turn.
    pub(super) fn new(base: Instant) -> Self {
        let longest = || AtomicU64::new(u64::MAX);
        let none = || AtomicU64::new(0);
        Heartbeat { base, newest: none(), resumed: none(), gap: longest(), lease: longest() }
    }

    /// Takes a turn. There is one thread that does.
    pub(super) fn beat(&self, now: Instant, trust: Trust) {
        let (at, newest) = (self.nanos_since(now), self.newest.load(Ordering::Relaxed));
        if at.saturating_sub(newest) > self.gap.load(Ordering::Relaxed) {
            self.resumed.store(at, Ordering::Relaxed);
        }
        self.gap.store(nanos(trust.gap), Ordering::Relaxed);
        self.lease.store(nanos(trust.lease), Ordering::Relaxed);
        // Last: a worker that sees this turn has to see the standstill before it.
        self.newest.store(at, Ordering::Release);
    }

    /// A statement of a probe begun at that moment or before does not count at `now`; `None`: each does.
    pub(super) fn outdated(&self, now: Instant) -> Option<Instant> {
        let at = self.nanos_since(now);
        let newest = self.newest.load(Ordering::Acquire);
        if at.saturating_sub(newest) > self.gap.load(Ordering::Relaxed) {
            return Some(now);
        }
        let expired = at.checked_sub(self.lease.load(Ordering::Relaxed));
        let resumed = Some(self.resumed.load(Ordering::Relaxed)).filter(|at| *at != 0);
        expired.max(resumed).map(|at| self.base + Duration::from_nanos(at))
    }

    fn nanos_since(&self, at: Instant) -> u64 {
        nanos(at.saturating_duration_since(self.base))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Its heart beats until 1000 ms.
    fn beating() -> (Heartbeat, Instant, Trust) {
        let (base, trust) = (Instant::now(), Trust::by(&Policy::default()));
        let heartbeat = Heartbeat::new(base);
        (0..=10).for_each(|turn| heartbeat.beat(base + 100 * turn * MS, trust));
        (heartbeat, base, trust)
    }

    #[test]
    fn l7_while_turns_are_taken_the_lease_alone_counts() {
        let (heartbeat, base, trust) = beating();
        assert_eq!(heartbeat.outdated(base + 1000 * MS), None);
        assert_eq!(heartbeat.outdated(base + 1000 * MS + trust.gap), None);
        (11..=100).for_each(|turn| heartbeat.beat(base + 100 * turn * MS, trust));
        let now = base + 10_000 * MS;
        assert_eq!(heartbeat.outdated(now), now.checked_sub(trust.lease));
    }

    #[test]
    fn l7_without_a_turn_in_time_no_statement_counts() {
        let (heartbeat, base, trust) = beating();
        let late = base + 1000 * MS + trust.gap + MS;
        assert_eq!(heartbeat.outdated(late), Some(late));
        assert_eq!(heartbeat.outdated(late + MS), Some(late + MS));
    }

    #[test]
    fn l7_after_a_standstill_what_was_said_before_never_counts() {
        let (heartbeat, base, trust) = beating();
        let resumed = base + 1000 * MS + trust.gap + MS;
        heartbeat.beat(resumed, trust);
        assert_eq!(heartbeat.outdated(resumed + MS), Some(resumed));
        heartbeat.beat(resumed + 100 * MS, trust);
        assert_eq!(heartbeat.outdated(resumed + 100 * MS), Some(resumed));
    }

    #[test]
    fn l7_before_the_first_turn_each_statement_counts() {
        let base = Instant::now();
        let heartbeat = Heartbeat::new(base);
        let later = base + Duration::from_hours(1);
        assert_eq!(heartbeat.outdated(later), None);
        // A turn that comes late is the first one, and no standstill.
        heartbeat.beat(later, Trust::by(&Policy::default()));
        assert_eq!(heartbeat.outdated(later), later.checked_sub(Policy::default().lease()));
    }

    #[test]
    fn l7_a_gap_is_longer_than_any_distance_of_probes() {
        for interval in [1, 250, 60_000] {
            let policy = Policy { interval: interval * MS, ..Policy::default() };
            let trust = Trust::by(&policy);
            assert!(trust.gap > policy.interval.mul_f64(1.1) && trust.turn() < trust.gap / 2);
        }
    }
}
