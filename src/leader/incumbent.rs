//! The route of the moment and the doubts about it: suspicion (L5), and grace for a lease that could not be
//! renewed because the gate itself stood still (L7).

use std::time::Instant;

use super::{NodeId, Policy, Suspicion};

/// How often the pause between two suspicions by clients doubles while they go on: up to 32 intervals.
const MOST_DOUBLINGS: u32 = 5;

/// The node that is the route, with what is forgotten when it no longer is.
#[derive(Debug)]
pub(super) struct Incumbent {
    pub(super) node: NodeId,
    suspected_at: Option<Instant>,
    /// When a suspicion last had every node probed.
    last_alert: Option<Instant>,
    /// How often in a row clients' failures have had every node probed, and the route has stayed.
    fruitless: u32,
    grace: Option<Grace>,
}

#[derive(Debug)]
struct Grace {
    granted: Instant,
    until: Instant,
}

/// What is to be done about a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lease {
    /// It holds.
    Holds,
    /// It ended long ago, and nobody looked: ask the nodes before judging.
    Overslept,
    /// It ended.
    Expired,
}

impl Incumbent {
    pub(super) fn new(node: NodeId) -> Self {
        Incumbent { node, suspected_at: None, last_alert: None, fruitless: 0, grace: None }
    }

    /// Suspects the node from now on.
    pub(super) fn suspect(&mut self, now: Instant) {
        self.suspected_at = Some(now);
    }

    /// Whether the node is suspected.
    pub(super) fn is_suspected(&self) -> bool {
        self.suspected_at.is_some()
    }

    /// Whether a suspicion may have every node probed now: once an interval, so that no storm feeds itself.
    pub(super) fn alert(&mut self, now: Instant, policy: &Policy) -> bool {
        let due = self.last_alert.is_none_or(|last| last + policy.interval <= now);
        if due {
            self.last_alert = Some(now);
        }
        due
    }

    /// The same for a suspicion. One that clients raise, again and again while the node goes on saying that it leads, is
    /// worth less each time: the data port may be dead while the probe's is well, and that may last for hours.
    pub(super) fn alert_by(&mut self, suspicion: Suspicion, now: Instant, policy: &Policy) -> bool {
        if !suspicion.is_of_clients() {
            return self.alert(now, policy);
        }
        let pause = policy.interval * 2_u32.pow(self.fruitless.min(MOST_DOUBLINGS));
        let since = self.last_alert.map(|last| now.saturating_duration_since(last));
        if since.is_some_and(|since| since < pause) {
            return false;
        }
        let goes_on = since.is_some_and(|since| since < pause * 2);
        self.fruitless = if goes_on { self.fruitless.saturating_add(1) } else { 0 };
        self.last_alert = Some(now);
        true
    }

    /// Takes in that the node said "leader" to a probe begun at `began`: ends older doubts.
    pub(super) fn clear_doubts(&mut self, began: Instant) {
        self.suspected_at = self.suspected_at.filter(|at| began < *at);
        self.grace = self.grace.take().filter(|grace| began < grace.granted);
    }

    /// Judges the lease that ends at `ends`; later than any timer means that the gate stood still.
    pub(super) fn judge_lease(&self, ends: Instant, now: Instant, policy: &Policy) -> Lease {
        if now < self.lease_end(ends) {
            Lease::Holds
        } else if self.grace.is_none() && ends + policy.lateness() < now {
            Lease::Overslept
        } else {
            Lease::Expired
        }
    }

    /// Lets every lease last until probes begun now could have been answered. Given once: only a new leader
    /// statement makes it available again.
    pub(super) fn grant_grace(&mut self, now: Instant, policy: &Policy) {
        self.grace = Some(Grace { granted: now, until: now + policy.answer_time() });
        self.suspect(now);
    }

    /// When a lease is enforced that ends at `ends`.
    pub(super) fn lease_end(&self, ends: Instant) -> Instant {
        self.grace.as_ref().map_or(ends, |grace| ends.max(grace.until))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn l5_what_clients_meet_again_and_again_has_fewer_probes_each_time() {
        #[expect(clippy::disallowed_methods, reason = "taken once; all that follows is this plus durations")]
        let base = Instant::now();
        let (policy, mut incumbent) = (Policy::default(), Incumbent::new(NodeId(0)));
        let mut alerts = |from: u32, to: u32, suspicion| {
            (from..to)
                .step_by(50)
                .filter(|ms| incumbent.alert_by(suspicion, base + *ms * MS, &policy))
                .count()
        };
        let minute = alerts(0, 60_000, Suspicion::ConnectRefused);
        assert!((6..=14).contains(&minute), "{minute} in the first minute");
        let next = alerts(60_000, 120_000, Suspicion::ConnectRefused);
        assert!((6..=8).contains(&next), "{next} in the second");
        assert!(alerts(120_000, 122_000, Suspicion::ProbeLate) >= 6, "probes tell more of the node");
        assert_eq!(alerts(200_000, 200_300, Suspicion::ConnectRefused), 2, "after a pause each counts again");
    }
}
