//! Where one client may go at this moment, decided without IO: hold (S2), retry (S3), and how old the word may be on
//! which it goes (`max_age`).

#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::outcome::Outcome;
use crate::tenure::{Route, Tenure};

/// Backoff after a first failure lies between half of this and all of it; it doubles up to the longest (S3).
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
pub(super) const LONGEST_BACKOFF: Duration = Duration::from_millis(250);

/// What a client does next.
#[derive(Clone, Debug)]
pub(super) enum Choice {
    /// Dial this tenure's node.
    Dial(Arc<Tenure>),
    /// Wait for the route to change, at most until then, and choose again.
    Wait(Instant),
    /// The same, or until the tenure's node has said that it leads.
    WaitForWord(Word),
    /// Its patience is over.
    GiveUp(Outcome),
}

/// A leader statement that a client waits for.
#[derive(Clone, Debug)]
pub(super) struct Word {
    /// Of whose node.
    pub(super) tenure: Arc<Tenure>,
    /// It is to come from a probe begun later than this.
    pub(super) after: Instant,
    /// When to choose again without it.
    pub(super) until: Instant,
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
            // Else there is nothing to wait for (S2, L10).
            needs_confirmation: fault != Fault::Local && tenure.rests_on_statements(),
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

    pub(super) fn choose(&self, tenure: &Arc<Tenure>, now: Instant, patience: Duration) -> Choice {
        let bound = later(self.first, patience);
        if now >= bound {
            return Choice::GiveUp(Outcome::NodeError);
        }
        if now < self.retry_at {
            return Choice::Wait(self.retry_at.min(bound));
        }
        let tenure = Arc::clone(tenure);
        if self.needs_confirmation && tenure.confirmed_at() <= self.last {
            return Choice::WaitForWord(Word { tenure, after: self.last, until: bound });
        }
        Choice::Dial(tenure)
    }
}

/// What one client has been through, with each node that still matters.
#[derive(Debug, Default)]
pub(super) struct Setbacks(Vec<Setback>);

impl Setbacks {
    /// What it has been through with this tenure's node.
    pub(super) fn of(&self, tenure: &Tenure) -> Option<&Setback> {
        self.0.iter().find(|setback| setback.concerns(tenure))
    }

    /// Adds a failure of `at`. `jitter` is in 0..1.
    pub(super) fn note(&mut self, tenure: &Tenure, fault: Fault, at: Instant, jitter: f64) {
        let setback = Setback::note(self.of(tenure), tenure, fault, at, jitter);
        // One an address, and one stand-in: what there was before will not be asked for again.
        // But where a stand-in fails, what the leader has done still counts: the stand-in may be there in its place.
        self.0.retain(|other| other.epoch != 0 && (tenure.is_stand_in() || other.address != tenure.address));
        self.0.push(setback);
    }
}

/// Where a client goes that has been through `setbacks`. `patience` is `hold.timeout`: it counts from the moment
/// when the cluster became leaderless (S2), or from the client's first failure under a tenure that stands (S3).
///
/// Of several nodes for readers, `pick` takes one.
pub(super) fn choose(
    route: &Route,
    setbacks: &Setbacks,
    now: Instant,
    patience: Duration,
    pick: impl FnOnce(&[Arc<Tenure>]) -> Choice,
) -> Choice {
    let go = |tenure: &Arc<Tenure>| match setbacks.of(tenure) {
        Some(setback) => setback.choose(tenure, now, patience),
        None => Choice::Dial(Arc::clone(tenure)),
    };
    match route {
        Route::Led(tenure) => match (go(tenure), tenure.instead()) {
            (Choice::GiveUp(_), Some(instead)) => go(&instead),
            (choice, _) => choice,
        },
        Route::Spread(tenures) => pick(tenures),
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

/// What a client thinks of the age of a leader's newest statement (`max_age`, L7).
#[derive(Clone, Debug)]
pub(super) enum Age {
    /// It goes on it.
    Young,
    /// It waits for another.
    Old(Word),
    /// It has waited too long.
    InVain,
}

/// Whether a client that nothing else has held up since `ready` goes to `tenure` on what its node has said so far. A
/// statement is as old as the probe that brought it. It has to be younger than `max_age`, if there is one, and later than
/// `outdated`, if that is some moment (L7); one of a probe begun after `ready` will do at any age, or a client would wait
/// for ever where probes take longer than that.
pub(super) fn judge_age(
    tenure: &Arc<Tenure>,
    ready: Instant,
    now: Instant,
    max_age: Option<Duration>,
    outdated: Option<Instant>,
    patience: Duration,
) -> Age {
    // Before the clock began there was no statement.
    let too_old = max_age.and_then(|max_age| now.checked_sub(max_age));
    let after = too_old.max(outdated).map(|youngest| youngest.min(ready));
    let Some(after) = after.filter(|after| tenure.rests_on_statements() && tenure.confirmed_at() <= *after)
    else {
        return Age::Young;
    };
    let until = later(ready, patience);
    if now < until { Age::Old(Word { tenure: Arc::clone(tenure), after, until }) } else { Age::InVain }
}

/// Whether a dial to this tenure's node may go on (S3: dials end with their tenure).
pub(super) fn leads_to(route: &Route, tenure: &Tenure) -> bool {
    match route {
        Route::Led(leader) if tenure.is_stand_in() => {
            leader.instead().is_some_and(|instead| instead.address == tenure.address)
        }
        Route::Led(leader) => leader.epoch == tenure.epoch,
        Route::Spread(tenures) => tenures.iter().any(|reader| reader.epoch == tenure.epoch),
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
