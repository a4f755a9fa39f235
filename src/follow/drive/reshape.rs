//! Carries out another configuration for the cluster (O2): nodes come and go while those who stay lead on.

use tokio::time::Instant;
use tracing::info;

use super::super::nodes::Node;
use super::super::settings::NodeSettings;
use super::super::shape::Shape;
use super::Follow;
use crate::board::OrderCause;
use crate::leader::{NodeId, Preference};

impl Follow {
    pub(super) fn reshape(&mut self, now: Instant, shape: Shape) {
        self.settings.policy = shape.policy;
        self.metrics.interval.set(shape.policy.interval.as_secs_f64());
        self.settings.hold_then = shape.hold_then;
        self.settings.fates = shape.fates;
        let mut moved = Vec::new();
        for (id, settings) in shape.nodes.into_iter().enumerate() {
            match settings {
                Some(settings) if self.is_elsewhere(id, &settings) => {
                    self.move_to(now, id, settings);
                    moved.push(NodeId(id));
                }
                Some(settings) => self.admit(now, id, settings),
                None => self.dismiss(id),
            }
        }
        for (NodeId(id), order) in shape.orders {
            match self.links.orders.get_mut(id) {
                Some(known) => *known = order,
                None => self.links.orders.push(order),
            }
        }
        self.readers.reshape(shape.readers, self.nodes.len(), now);
        self.begin_history();
        self.tracker.reshape(now.into_std(), &self.members(), moved, shape.policy);
        self.carry_out(now);
        self.restore_orders(now, OrderCause::Reload);
    }

    /// How much each node is preferred, if it is there.
    pub(super) fn members(&self) -> Vec<Option<Preference>> {
        let preferences =
            Preference::of(self.nodes.iter().map(|node| (&**node.name(), node.settings.priority)));
        let nodes = self.nodes.iter().zip(preferences);
        nodes.map(|(node, preference)| node.is_member().then_some(preference)).collect()
    }

    /// Whether a node that is there is somewhere else by these settings.
    fn is_elsewhere(&self, id: usize, settings: &NodeSettings) -> bool {
        let node = self.nodes.get(id).filter(|node| node.is_member());
        node.is_some_and(|node| node.settings.address != settings.address)
    }

    /// What the node had said was said elsewhere, perhaps by another: it counts for nothing here.
    fn move_to(&mut self, now: Instant, id: usize, settings: NodeSettings) {
        let (from, to) = (&self.nodes[id].settings.address, &settings.address);
        info!(cluster = %self.cluster, node = %settings.name, %from, %to, "node readdressed");
        self.nodes[id] = Node::moved(settings, now);
        self.forget_leader(id);
    }

    /// That it has led is one of the things that were said: nobody stands in on that (S2).
    pub(super) fn forget_leader(&mut self, id: usize) {
        self.last_leader = self.last_leader.filter(|last| last.0 != id);
    }

    /// Has a node in its place, with what is known of it if it was there before.
    fn admit(&mut self, now: Instant, id: usize, settings: NodeSettings) {
        match self.nodes.get_mut(id) {
            Some(node) if node.is_member() => {
                node.settings = settings;
                return;
            }
            Some(node) => *node = Node::moved(settings, now),
            None => self.nodes.push(Node::new(settings)),
        }
        let name = self.nodes[id].name();
        info!(cluster = %self.cluster, node = %name, "node added");
        self.metrics.show_node(&self.cluster, id, name);
    }

    fn dismiss(&mut self, id: usize) {
        let Some(node) = self.nodes.get_mut(id).filter(|node| node.is_member()) else { return };
        node.leave();
        info!(cluster = %self.cluster, node = %node.name(), "node removed");
        self.metrics.forget_node(&self.cluster, node.name());
        self.forget_leader(id);
    }
}
