//! Where one client may go at this moment, decided without IO: hold (S2) and retry (S3).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::outcome::Outcome;
use crate::tenure::{Route, Tenure};

/// Backoff after a first failure lies between half of this and all of it; it doubles up to the longest (S3).
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_millis(250);
/// A confirmation makes no sound: whoever waits for one looks again after this, then less and less often.
const FIRST_LOOK: Duration = Duration::from_millis(10);

/// What a client does next.
#[derive(Clone, Debug)]
pub(super) enum Choice {
    /// Dial this tenure's node.
    Dial(Arc<Tenure>),
    /// Wait for the route to change, at most until then, and choose again.
    Wait(Instant),
    /// Its patience is over.
    GiveUp(Outcome),
}

/// How an attempt to reach a node failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Here, for want of descriptors or ports: it says nothing about the node.
    Local,
    /// At the node: refused, unreachable, timed out.
    Node,
    /// The node accepted and ended the connection before its first byte (S4).
    ClosedEarly,
}

/// What one client has been through with one tenure's node; a new tenure starts afresh.
#[derive(Clone, Debug)]
pub(super) struct Setback {
    epoch: u64,
    address: SocketAddr,
    first: Instant,
    last: Instant,
    retry_at: Instant,
    failures: u32,
    closed_early: u32,
    needs_confirmation: bool,
}

impl Setback {
    /// Adds a failure, of `at`, to what the client has been through. `jitter` is in 0..1.
    pub(super) fn note(
        before: Option<&Setback>,
        tenure: &Tenure,
        fault: Fault,
        at: Instant,
        jitter: f64,
    ) -> Self {
        let before = before.filter(|setback| setback.concerns(tenure));
        let failures = before.map_or(0, |setback| setback.failures) + 1;
        Setback {
            epoch: tenure.epoch,
            address: tenure.address,
            first: before.map_or(at, |setback| setback.first),
            last: at,
            retry_at: at + backoff(failures, jitter),
            failures,
            closed_early: before.map_or(0, |setback| setback.closed_early)
                + u32::from(fault == Fault::ClosedEarly),
            // A stand-in never says that it leads; there is nothing to wait for (S2).
            needs_confirmation: fault != Fault::Local && !tenure.is_stand_in(),
        }
    }

    /// Whether it was this tenure's node that failed.
    pub(super) fn concerns(&self, tenure: &Tenure) -> bool {
        self.epoch == tenure.epoch && self.address == tenure.address
    }

    /// How often the node accepted and said nothing before closing.
    pub(super) fn closed_early(&self) -> u32 {
        self.closed_early
    }

    fn choose(&self, tenure: &Arc<Tenure>, now: Instant, patience: Duration) -> Choice {
        let bound = later(self.first, patience);
        if now >= bound {
            return Choice::GiveUp(Outcome::NodeError);
        }
        if now < self.retry_at {
            return Choice::Wait(self.retry_at.min(bound));
        }
        if self.needs_confirmation && tenure.confirmed_at() <= self.last {
            let look_again = (now - self.retry_at).clamp(FIRST_LOOK, LONGEST_BACKOFF);
            return Choice::Wait((now + look_again).min(bound));
        }
        Choice::Dial(Arc::clone(tenure))
    }
}

/// Where a client goes that has been through `setback`. `patience` is `hold.timeout`: it counts from the moment
/// when the cluster became leaderless (S2), or from the client's first failure under a tenure that stands (S3).
pub(super) fn choose(route: &Route, setback: Option<&Setback>, now: Instant, patience: Duration) -> Choice {
    let go = |tenure: &Arc<Tenure>| match setback.filter(|setback| setback.concerns(tenure)) {
        Some(setback) => setback.choose(tenure, now, patience),
        None => Choice::Dial(Arc::clone(tenure)),
    };
    match route {
        Route::Led(tenure) => go(tenure),
        Route::Leaderless { since, stand_in } => {
            let bound = later(*since, patience);
            match stand_in {
                _ if now < bound => Choice::Wait(bound),
                Some(tenure) => go(tenure),
                None => Choice::GiveUp(Outcome::Leaderless),
            }
        }
    }
}

/// Whether a dial to this tenure's node may go on (S3: dials end with their tenure).
pub(super) fn leads_to(route: &Route, tenure: &Tenure) -> bool {
    match route {
        Route::Led(leader) => leader.epoch == tenure.epoch,
        Route::Leaderless { stand_in: Some(other), .. } => {
            tenure.is_stand_in() && other.address == tenure.address
        }
        Route::Leaderless { stand_in: None, .. } => false,
    }
}

fn backoff(failures: u32, jitter: f64) -> Duration {
    let ceiling = FIRST_BACKOFF.saturating_mul(1 << (failures - 1).min(8)).min(LONGEST_BACKOFF);
    ceiling.div_f64(2.0) + ceiling.mul_f64(jitter / 2.0)
}

/// `at + by`, or very late where that cannot be said.
pub(super) fn later(at: Instant, by: Duration) -> Instant {
    const VERY_LONG: Duration = Duration::from_hours(30 * 365 * 24);
    at + by.min(VERY_LONG)
}
