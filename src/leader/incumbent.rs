//! The route of the moment and the doubts about it: suspicion (L5), and grace for a lease that could not be
//! renewed because the gate itself stood still (L7).

use std::time::Instant;

use super::{NodeId, Policy};

/// The node that is the route, with what is forgotten when it no longer is.
#[derive(Debug)]
pub(super) struct Incumbent {
    pub(super) node: NodeId,
    suspected_at: Option<Instant>,
    /// When a suspicion last had every node probed.
    last_alert: Option<Instant>,
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
        Incumbent { node, suspected_at: None, last_alert: None, grace: None }
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
