//! A tracker's memory: made by the one of a process that ends, taken in by the one of the process that goes on (O3).

use std::time::Instant;

use super::super::memory::Memory;
use super::{Event, FAST_AFTER_CHANGE, Incumbent, NodeId, Tracker};
use crate::leader::alarms::Alarms;
use crate::leader::claim::Claim;
use crate::leader::overrides;

impl Tracker {
    /// All that this tracker's judgement rests on.
    pub fn remember(&self, now: Instant) -> Memory {
        let now = self.clock.max(now);
        let age = |moment: Instant| now.saturating_duration_since(moment);
        Memory {
            nodes: self.nodes.iter().map(|node| node.remember(now)).collect(),
            route: self.route(),
            last_ordinal: self.last_ordinal,
            last_good: self.last_good.map(age),
            contested: self.contested_since.map(age),
        }
    }

    /// Goes on where another tracker of the same nodes left off, which is to have remembered at `now` or later. To be
    /// called before anything else. What is older than a lease is no more than it was in the other tracker: a claim
    /// that sleeps, and keeps its place in the order of claims.
    pub fn recall(&mut self, now: Instant, memory: &Memory) {
        let now = self.advance(now);
        // A new tracker has raised the alarm that nobody leads.
        (self.alarms, self.events) = (Alarms::default(), std::collections::VecDeque::new());
        let lease = self.policy.lease();
        for (id, (node, remembered)) in self.nodes.iter_mut().zip(&memory.nodes).enumerate() {
            let (id, from) = (NodeId(id), node.state());
            node.recall(now, remembered);
            // Before the route is looked at: an outdated one would be given grace, as if this gate had stood still (L7).
            if node.claim.is_some_and(|claim| claim.last_good() + lease <= now) {
                node.expire();
            }
            if from != node.state() {
                self.events.push_back(Event::NodeChanged { node: id, from, to: node.state() });
            }
        }
        for (id, node) in self.nodes.iter().enumerate() {
            if let to @ Some(_) = node.overridden {
                self.events.push_back(Event::OverrideChanged { node: NodeId(id), to });
            }
        }
        let ordinals = self.nodes.iter().filter_map(|node| node.claim?.ordinal());
        self.last_ordinal = ordinals.max().unwrap_or(0).max(memory.last_ordinal);
        self.last_good = memory.last_good.and_then(|age| now.checked_sub(age));
        self.contested_since = memory.contested.and_then(|age| now.checked_sub(age));
        self.fast_until = Some(now + FAST_AFTER_CHANGE);
        let pinned = overrides::pinned(&self.nodes);
        if let Some(node) = pinned.or_else(|| memory.route.filter(|id| self.may_go_on(*id))) {
            self.incumbent = Some(Incumbent::new(node));
            self.events.push_back(Event::Resumed(node));
        }
        self.events.push_back(Event::ProbeAll);
        self.settle(now);
    }

    fn may_go_on(&self, id: NodeId) -> bool {
        let Some(node) = self.nodes.get(id.0) else { return false };
        node.overridden.is_none() && node.claim.is_some_and(Claim::stands)
    }
}
