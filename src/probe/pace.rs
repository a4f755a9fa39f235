//! When to probe next, and from when on an answer is late: pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::leader::{JITTER, Pace};
use crate::usual::Usual;

/// A time that is up to a fifth shorter, so that not everything is due in one moment. `chance` is in 0..1.
pub(super) fn spread(time: Duration, chance: f64) -> Duration {
    time.mul_f64(1.0 - 2.0 * JITTER * chance)
}

/// The distances between the beginnings of two probes (L5).
#[derive(Clone, Copy, Debug)]
pub(super) struct Intervals {
    pub(super) steady: Duration,
    pub(super) fast: Duration,
}

impl Intervals {
    /// When the probe is due that follows one begun at `began`. `chance` is in 0..1 and drawn once a probe, so that
    /// a change of pace does not draw again.
    pub(super) fn due(&self, began: Instant, pace: Pace, chance: f64) -> Instant {
        let interval = match pace {
            Pace::Steady => self.steady,
            Pace::Fast => self.fast,
        };
        began + interval.mul_f64(1.0 + JITTER * (2.0 * chance - 1.0))
    }

    /// The longest from the beginning of one probe to that of the next, at whatever pace: the next one is begun when it is
    /// due, or when this one has been given up. A hedge is under the same deadline, and there is no pause after failures.
    pub(super) fn longest_turn(&self, timeout: Duration) -> Duration {
        self.steady.max(self.fast).mul_f64(1.0 + JITTER).max(timeout)
    }
}

/// A node's usual latencies. Exchanges that make a connection take several round trips more than others, so the
/// two are known apart.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Latencies {
    reusing: Usual,
    connecting: Usual,
}

impl Latencies {
    /// Takes in an answered exchange.
    pub(super) fn observe(&mut self, connected: bool, latency: Duration) {
        let usual = if connected { &mut self.connecting } else { &mut self.reusing };
        usual.observe(latency);
    }

    /// How long after its beginning an exchange is late, and never before `floor`. Without any experience there
    /// is no telling.
    pub(super) fn late_after(&self, connects: bool, floor: Duration) -> Option<Duration> {
        let usual = if connects { self.connecting } else { self.reusing.or(self.connecting) };
        usual.late_after(floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const INTERVALS: Intervals =
        Intervals { steady: Duration::from_millis(250), fast: Duration::from_millis(50) };

    #[tokio::test(start_paused = true)]
    async fn l5_probes_are_due_by_pace_within_a_tenth() {
        let began = Instant::now();
        for (chance, steady, fast) in [(0.0, 225, 45), (0.5, 250, 50), (1.0, 275, 55)] {
            let due = |pace| (INTERVALS.due(began, pace, chance) - began).as_millis();
            assert_eq!((due(Pace::Steady), due(Pace::Fast)), (steady, fast));
        }
    }

    #[test]
    fn l6_renewals_are_spread_and_never_later_than_configured() {
        let renewed = [0.0, 0.5, 1.0].map(|chance| spread(30_000 * MS, chance));
        assert_eq!(renewed, [30_000 * MS, 27_000 * MS, 24_000 * MS]);
    }

    #[tokio::test(start_paused = true)]
    async fn o5_no_turn_takes_longer_than_the_longest() {
        let began = Instant::now();
        for (steady, fast, timeout) in [(250, 50, 100), (50, 250, 100), (50, 20, 100), (250, 50, 1500)] {
            let intervals = Intervals { steady: steady * MS, fast: fast * MS };
            let longest = intervals.longest_turn(timeout * MS);
            let turns = [Pace::Steady, Pace::Fast].map(|pace| intervals.due(began, pace, 1.0) - began);
            let expected = turns.into_iter().max().unwrap().max(timeout * MS);
            assert_eq!(longest, expected, "{intervals:?}, {timeout}");
        }
    }

    #[test]
    fn l5_connecting_is_not_measured_by_the_latency_of_a_kept_connection() {
        let mut latencies = Latencies::default();
        latencies.observe(true, 100 * MS);
        assert_eq!(latencies.late_after(false, 50 * MS), Some(400 * MS));
        latencies.observe(false, 30 * MS);
        assert_eq!(latencies.late_after(false, 50 * MS), Some(120 * MS));
        assert_eq!(latencies.late_after(true, 50 * MS), Some(400 * MS));
    }
}
