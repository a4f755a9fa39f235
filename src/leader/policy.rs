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

impl Policy {
    /// How long a route outlives the beginning of the probe that brought its last leader statement (L7).
    pub fn lease(&self) -> Duration {
        self.interval + (self.timeout + self.fast_interval) * self.fall
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
