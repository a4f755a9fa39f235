//! Which nodes one kind of readers may go to: pure decisions from what the nodes say (L2, L7, L10).
//!
//! A node serves them from its `rise`-th suitable statement in a row on, until it makes another statement, has been
//! silent `fall` times in a row, or has said nothing suitable for the time of a lease. Draining it ends that at once;
//! a pin is about the leader's route and means nothing here.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use tokio::time::Instant;

use crate::leader::{NodeId, NodeState, Policy};
use crate::tenure::To;

/// What is known of a node when it is decided whether readers go there.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// What it counts as.
    pub(super) state: NodeState,
    /// How often in a row its newest verdicts were one and the same statement.
    pub(super) alike: u32,
    /// How often in a row it has been silent.
    pub(super) silences: u32,
    /// Begins of the newest probes to which it said that it leads, and that it follows.
    pub(super) led_at: Option<Instant>,
    pub(super) followed_at: Option<Instant>,
    /// Where clients' bytes would go.
    pub(super) address: Option<SocketAddr>,
    /// Whether an operator wants no clients there (L10).
    pub(super) drained: bool,
}

impl Candidate {
    /// Begin of the newest probe to which it made a statement that suits these clients.
    pub(super) fn suited_at(&self, to: To) -> Option<Instant> {
        match to {
            To::Leader => self.led_at,
            To::Followers => self.followed_at,
            To::Any => self.led_at.max(self.followed_at),
        }
    }
}

/// What changes for readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// They go to this node from now on, too, and there.
    Begins(NodeId, SocketAddr),
    /// They no longer go to this node, or no longer where they went.
    Ends(NodeId),
    /// The node's lease ended while the gate stood still: it is to be asked before it is judged (L7).
    Ask(NodeId),
}

/// The nodes that one kind of readers goes to.
#[derive(Debug)]
pub(super) struct Roster {
    to: To,
    /// By node: where readers go, if they do.
    serving: Vec<Option<SocketAddr>>,
    /// Until when leases last that ended while the gate stood still; given once, until all of them are renewed.
    grace: Option<Instant>,
}

impl Roster {
    /// One that nobody serves yet.
    pub(super) fn new(to: To, nodes: usize) -> Self {
        Roster { to, serving: vec![None; nodes], grace: None }
    }

    /// There are so many nodes from now on; those that are new serve nobody yet.
    pub(super) fn grow(&mut self, nodes: usize) {
        self.serving.resize(nodes.max(self.serving.len()), None);
    }

    /// Whether readers go to this node.
    pub(super) fn has(&self, node: NodeId) -> bool {
        self.serving.get(node.0).is_some_and(Option::is_some)
    }

    /// The nodes that readers go to.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.serving.iter().enumerate().filter_map(|(id, at)| at.map(|_| NodeId(id)))
    }

    /// Draws the conclusions of what the nodes have said and of the time that has passed. Of one node, an end comes
    /// before a new beginning.
    pub(super) fn settle(&mut self, now: Instant, nodes: &[Candidate], policy: &Policy) -> Vec<Change> {
        let mut changes = self.enforce_leases(now, nodes, policy);
        for (id, node) in nodes.iter().enumerate() {
            let before = self.serving[id];
            let after = node.address.filter(|_| self.admits(NodeId(id), now, node, policy));
            if before == after {
                continue;
            }
            self.serving[id] = after;
            changes.extend(before.map(|_| Change::Ends(NodeId(id))));
            changes.extend(after.map(|address| Change::Begins(NodeId(id), address)));
        }
        changes
    }

    /// When to settle next although nothing has happened.
    pub(super) fn poll_timeout(&self, nodes: &[Candidate], policy: &Policy) -> Option<Instant> {
        let end = self.nodes().filter_map(|id| self.lease_end(nodes.get(id.0)?, policy)).min()?;
        Some(self.grace.map_or(end, |grace| end.max(grace)))
    }

    /// Whether the next probe of this node is of more use than usual (L5): readers go there, and its newest verdict is
    /// a silence that does not act yet, or somebody has doubted it at `alerted` and it has said nothing since.
    pub(super) fn suspects(&self, id: NodeId, node: &Candidate, alerted: Option<Instant>) -> bool {
        self.has(id) && (node.silences > 0 || alerted > node.suited_at(self.to))
    }

    fn admits(&self, id: NodeId, now: Instant, node: &Candidate, policy: &Policy) -> bool {
        let end = self.lease_end(node, policy).max(self.grace.filter(|_| self.has(id)));
        let proven = self.has(id) || node.alike >= policy.rise;
        self.to.suits(node.state) && !node.drained && proven && end.is_some_and(|end| now < end)
    }

    fn lease_end(&self, node: &Candidate, policy: &Policy) -> Option<Instant> {
        node.suited_at(self.to).map(|began| began + policy.lease())
    }

    /// A lease that ended longer ago than a timer is late means that the gate itself stood still: the nodes are asked,
    /// and judged by what they say then.
    fn enforce_leases(&mut self, now: Instant, nodes: &[Candidate], policy: &Policy) -> Vec<Change> {
        let end = |id: &NodeId| nodes.get(id.0).and_then(|node| self.lease_end(node, policy));
        let overdue: Vec<NodeId> = self.nodes().filter(|id| end(id).is_none_or(|end| end <= now)).collect();
        let overslept = overdue.iter().filter_map(end).any(|end| end + policy.lateness() < now);
        if overdue.is_empty() {
            self.grace = None;
        } else if self.grace.is_none() && overslept {
            self.grace = Some(now + policy.answer_time());
            return overdue.into_iter().map(Change::Ask).collect();
        }
        Vec::new()
    }
}

/// When doubts about each node last had it asked (L5): once an interval, so that no storm feeds itself.
#[derive(Debug, Default)]
pub(super) struct Alerts(Vec<Option<Instant>>);

impl Alerts {
    /// When this node was last doubted.
    pub(super) fn last(&self, node: NodeId) -> Option<Instant> {
        self.0.get(node.0).copied().flatten()
    }

    /// Whether a doubt about this node may have it asked now; if so, this is noted.
    pub(super) fn raise(&mut self, node: NodeId, now: Instant, policy: &Policy) -> bool {
        if self.0.len() <= node.0 {
            self.0.resize(node.0 + 1, None);
        }
        let last = &mut self.0[node.0];
        let due = last.is_none_or(|last| last + policy.interval <= now);
        if due {
            *last = Some(now);
        }
        due
    }
}
