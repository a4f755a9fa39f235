//! Another configuration for a cluster under way (O2): nodes come and go, numbers change, and what is known of those who
//! stay is kept.

use std::time::Instant;

use super::{Event, LossCause, NodeId, NodeState, Override, Policy, Preference, Tracker};
use crate::leader::node::Node;

impl Tracker {
    /// Goes on with these nodes, each with its preference, and these numbers. A node keeps its [`NodeId`] for ever: one that
    /// is not there any more is `None` in its place, and those that are new come after all others. What a node that has
    /// gone had said or been ordered is forgotten, also if it comes back. Of a node that has `moved` what it said is
    /// forgotten, for it was said elsewhere, and what was ordered for it stays.
    pub fn reshape(
        &mut self,
        now: Instant,
        preferences: &[Option<Preference>],
        moved: impl IntoIterator<Item = NodeId>,
        policy: Policy,
    ) {
        let now = self.advance(now);
        self.policy = policy;
        for (id, preference) in preferences.iter().enumerate() {
            match (self.nodes.get_mut(id), preference) {
                (None, Some(preference)) => self.nodes.push(Node::new(now, *preference)),
                (None, None) => self.nodes.push(Node::absent(now)),
                (Some(node), Some(preference)) if node.is_member() => node.preference = *preference,
                (Some(node), Some(preference)) => *node = Node::new(now, *preference),
                (Some(node), None) if node.is_member() => self.dismiss(now, NodeId(id)),
                (Some(_), None) => {}
            }
        }
        for id in moved {
            self.forget_word(now, id);
        }
        self.settle(now);
    }

    /// Forgets what a node has said, for it was said at another address than what it says next. An observation of what is
    /// said at the new one has to follow at once: conclusions are drawn with it.
    pub fn readdress(&mut self, now: Instant, node: NodeId) {
        let now = self.advance(now);
        self.forget_word(now, node);
    }

    /// Takes in which node takes no clients, if that is known of one. It stays the route: where it leads, there is no other
    /// (L8).
    pub fn handle_service(&mut self, now: Instant, not_serving: Option<NodeId>) {
        let now = self.advance(now);
        if self.not_serving != not_serving {
            self.not_serving = not_serving;
            self.settle(now);
        }
    }

    /// How much a node is preferred among those that nothing else tells apart (L3).
    pub fn preference(&self, node: NodeId) -> Preference {
        self.nodes.get(node.0).map_or_else(Preference::default, |node| node.preference)
    }

    fn forget_word(&mut self, now: Instant, id: NodeId) {
        let Some(node) = self.nodes.get_mut(id.0).filter(|node| node.is_member()) else { return };
        let (from, to) = (node.state(), NodeState::Unknown);
        *node = node.unheard(now);
        if from != to {
            self.events.push_back(Event::NodeChanged { node: id, from, to });
        }
        self.end_route_of(now, id, LossCause::Readdressed);
    }

    fn dismiss(&mut self, now: Instant, id: NodeId) {
        let Some(node) = self.nodes.get_mut(id.0) else { return };
        let overridden = node.overridden.take();
        *node = Node::absent(now);
        if overridden.is_some() {
            self.events.push_back(Event::OverrideChanged { node: id, to: None });
        }
        if overridden == Some(Override::Pin) {
            // As after an unpin: what comes next is no failover to be measured.
            self.last_good = None;
        }
        self.end_route_of(now, id, LossCause::Removed);
    }
}
