//! Tells the board what nodes count as, and how long what lasted.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Follow;
use crate::board::{Happened, Silence};
use crate::leader::{NodeId, NodeState};

impl Follow {
    /// These are the nodes from now on; of those that are new nothing is known yet (L1).
    pub(super) fn begin_history(&self) {
        let nodes = self.nodes.iter().filter(|node| node.is_member());
        self.links.board.begin(nodes.map(|node| Arc::clone(node.name())));
    }

    pub(super) fn note_state(&mut self, id: NodeId, state: NodeState) {
        self.metrics.nodes[id.0].set_state(state);
        let node = &self.nodes[id.0];
        let silence = Silence::of(state, node.newest_verdict());
        self.links.board.note(Happened::Verdict { node: Arc::clone(node.name()), state, silence });
    }

    /// How long there has been no route, in milliseconds; 0 if there is one.
    pub(super) fn leaderless_ms(&self, now: Instant) -> u64 {
        match self.route {
            None => whole_ms(now.saturating_duration_since(self.since)),
            Some(_) => 0,
        }
    }
}

pub(super) fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
