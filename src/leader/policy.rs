//! The numbers by which the tracker decides.

use std::time::Duration;

/// The timings and thresholds of one cluster. All durations are of monotonic time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Between two probes of a node in steady times.
    pub interval: Duration,
    /// Between two probes of a node without a route, in a conflict, on suspicion, after a change (L5).
    pub fast_interval: Duration,
    /// One probe's deadline, over connect, TLS and HTTP.
    pub timeout: Duration,
    /// Silences in a row before silence acts; at least 1.
    pub fall: u32,
    /// Leader statements in a row before a claim stands; at least 1.
    pub rise: u32,
}

/// How far the distance between two probes may be off, either way, as a share of it: many gates and nodes must not
/// fall into step.
pub const JITTER: f64 = 0.1;

/// How late the gate itself may be in normal operation: timers, the way of a report, a busy thread.
pub(super) const SLACK: Duration = Duration::from_millis(50);

impl Policy {
    /// How long a route outlives the beginning of the probe that brought its last leader statement (L7).
    ///
    /// A leader loses its route by `fall` silences in a row, and never by the lease as long as an answer comes in time
    /// after fewer silences. The next probe begins after the interval, or after the answer, which may take all of
    /// `timeout`. Each of up to `fall` more probes, at the fast pace, takes as long.
    pub fn lease(&self) -> Duration {
        self.steady_distance().max(self.timeout) + self.fast_turn() * self.fall + SLACK
    }

    /// The longest from the beginning of one probe to that of the next in steady times, if answers come sooner.
    pub fn steady_distance(&self) -> Duration {
        self.interval.mul_f64(1.0 + JITTER)
    }

    /// The longest from the beginning of one probe to that of the next at the fast pace.
    pub(super) fn fast_turn(&self) -> Duration {
        self.fast_interval.mul_f64(1.0 + JITTER).max(self.timeout)
    }

    /// How late a lease may be enforced without a standstill of the gate itself (L7).
    pub fn lateness(&self) -> Duration {
        self.fast_interval.max(SLACK)
    }

    /// How long a probe that begins now may take until its answer has arrived.
    pub fn answer_time(&self) -> Duration {
        self.timeout + self.lateness()
    }
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            interval: Duration::from_millis(250),
            fast_interval: Duration::from_millis(50),
            timeout: Duration::from_millis(1500),
            fall: 2,
            rise: 1,
        }
    }
}

/// How fast a cluster is to be probed (L5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Every [`Policy::interval`].
    Steady,
    /// Every [`Policy::fast_interval`].
    Fast,
}
