//! What is remembered of a cluster for the process that follows this one, and taken in from the one before (O3).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::Follow;
use crate::board::Happened;
use crate::leader::{self, NodeId, Override};
use crate::memory::{ClusterMemory, NodeMemory, RouteMemory};
use crate::tenure::Resumed;

impl Follow {
    /// All that another process has to know to go on from here.
    pub(super) fn remember(&self, now: Instant) -> ClusterMemory {
        let tracked = self.tracker.remember(now.into_std());
        let members = self.nodes.iter().zip(&tracked.nodes).filter(|(node, _)| node.is_member());
        let nodes = members.map(|(node, tracked)| {
            let address = &node.settings.address;
            let remembered = NodeMemory {
                address: node.settings.place(),
                current: address.reached().map(|address| address.ip()),
                listed: address.listed().iter().map(std::net::SocketAddr::ip).collect(),
                tracked: *tracked,
            };
            (node.name().to_string(), remembered)
        });
        ClusterMemory {
            nodes: nodes.collect(),
            route: self
                .route
                .as_ref()
                .map(|tenure| RouteMemory { node: tenure.name.to_string(), epoch: tenure.epoch }),
            since: now.saturating_duration_since(self.since),
            last_leader: self.last_leader.map(|id| self.nodes[id.0].name().to_string()),
            last_ordinal: tracked.last_ordinal,
            last_good: tracked.last_good,
            contested: tracked.contested,
        }
    }

    /// Goes on where another process left off, as far as its nodes are still the same. To be called before anything else.
    pub(super) fn recall(&mut self, now: Instant, memory: &ClusterMemory) {
        let nodes: Vec<_> =
            (0..self.nodes.len()).map(|id| self.recall_node(now, id, &memory.nodes)).collect();
        let route = memory.route.as_ref().and_then(|route| self.find(&route.node));
        self.last_leader = memory.last_leader.as_ref().and_then(|name| self.find_in_place(name, memory));
        self.resumed_epoch = memory.route.as_ref().map_or(0, |route| route.epoch);
        self.recalled = nodes.iter().all(|node| node.heard);
        if memory.route.is_none() {
            self.begin_period_before(now, memory.since);
            self.links.writer.leaderless(self.since, None);
        }
        let tracked = leader::Memory {
            nodes,
            route,
            last_ordinal: memory.last_ordinal,
            last_good: memory.last_good,
            contested: memory.contested,
        };
        self.tracker.recall(now.into_std(), &tracked);
        if self.tracker.route().is_some() && self.tracker.route() == route {
            self.begin_period_before(now, memory.since);
        }
    }

    fn recall_node(
        &mut self,
        now: Instant,
        id: usize,
        remembered: &BTreeMap<String, NodeMemory>,
    ) -> leader::NodeMemory {
        let node = &mut self.nodes[id];
        let Some(memory) = remembered.get(&**node.name()) else { return leader::NodeMemory::default() };
        let overridden = memory.tracked.overridden;
        let mut tracked = if memory.address == node.settings.place() {
            // No probe reaches a host that only clients go to: what the name stands for decides where that is.
            let reached = memory.current.filter(|_| node.is_served_where_probed());
            node.settings.address.recall(&memory.listed, reached);
            memory.tracked
        } else {
            // What another machine has said is not this one's word; an operator's order is about the name.
            leader::NodeMemory { overridden, ..leader::NodeMemory::default() }
        };
        if node.address().is_none() {
            // No client can go there yet, so no statement counts and no pin can be kept.
            let overridden = overridden.filter(|it| *it == Override::Drain);
            if overridden != memory.tracked.overridden {
                warn!(cluster = %self.cluster, node = %node.name(), "no longer pinned: its name has no address yet");
            }
            tracked = leader::NodeMemory { overridden, ..leader::NodeMemory::default() };
        }
        node.recall(now, &tracked);
        tracked
    }

    /// Begins with the route that the other process had.
    pub(super) fn resume(&mut self, now: Instant, id: NodeId) {
        let node = &self.nodes[id.0];
        let Some(address) = node.address() else { return };
        let standing = match self.tracker.override_of(id) {
            Some(Override::Pin) => Resumed::Pinned(now),
            _ => Resumed::Confirmed(node.led_at.unwrap_or(now)),
        };
        let (name, epoch) = (Arc::clone(node.name()), self.resumed_epoch);
        let tenure = self.links.writer.resume(id, name, address, epoch, standing);
        let node = Arc::clone(&tenure.name);
        info!(cluster = %self.cluster, %node, epoch, "leader known from the process before");
        self.metrics.set_leader(Some(id));
        self.metrics.last_change.set(self.since_wall_clock);
        self.has_led = true;
        self.route = Some(tenure);
        if matches!(standing, Resumed::Confirmed(_)) {
            self.last_leader = Some(id);
        }
        let (previous, leaderless_ms) = (None, 0);
        self.links.board.note(match standing {
            Resumed::Pinned(_) => Happened::LeaderPinned { node, epoch, previous, leaderless_ms },
            Resumed::Confirmed(_) => {
                Happened::LeaderElected { node, epoch, previous, leaderless_ms, failover_ms: None }
            }
        });
    }

    fn begin_period_before(&mut self, now: Instant, age: Duration) {
        self.begin_period(now.checked_sub(age).unwrap_or(now));
        self.since_wall_clock -= age.as_secs_f64();
    }

    /// A node that is where it was: under another address it is another one.
    fn find_in_place(&self, name: &str, memory: &ClusterMemory) -> Option<NodeId> {
        let remembered = &memory.nodes.get(name)?.address;
        self.find(name).filter(|id| *remembered == self.nodes[id.0].settings.place())
    }

    fn find(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().position(|node| **node.name() == *name).map(NodeId)
    }
}
