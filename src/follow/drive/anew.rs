//! What is left to do after a panic (O5): nothing that was known can be relied upon, so all of it is found out again, as at
//! the start (L1), but for what operators have ordered (L10). Sessions stay, new clients are held until the nodes have spoken, which they are asked to at once.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::error;

use super::super::nodes::Node;
use super::Follow;
use crate::board::Happened;
use crate::intent::Command;
use crate::leader::{Event, NodeId, Override, Tracker};

impl Follow {
    pub(super) fn begin_anew(&mut self, now: Instant) {
        error!(cluster = %self.cluster, "following has panicked: what was known is forgotten, and all nodes are asked anew");
        let members = self.members();
        let overrides: Vec<_> = (0..self.nodes.len()).map(|id| self.override_of(id)).collect();
        self.tracker = Tracker::new(now.into_std(), &[], self.settings.policy);
        self.tracker.reshape(now.into_std(), &members, [], self.settings.policy);
        // What operators have ordered is their word, not what was concluded: it holds on.
        for (id, overridden) in overrides.into_iter().enumerate() {
            let node = NodeId(id);
            let command = match overridden {
                Some(Override::Drain) => Command::Drain { node, force: true },
                Some(Override::Pin) => Command::Pin(node),
                None => continue,
            };
            // Each was taken before, so none contradicts another.
            let _ = self.tracker.handle_command(now.into_std(), command);
        }
        for node in &mut self.nodes {
            let is_member = node.is_member();
            *node = Node::new(node.settings.clone());
            if !is_member {
                node.leave();
            }
        }
        self.readers.begin_anew(now, self.nodes.len());
        for alarm in self.alarms.clone() {
            self.clear(alarm);
        }
        let (route, stand_in) = (self.route.take(), self.stand_in.take());
        if let Some(node) = route.as_ref().map(|tenure| Arc::clone(&tenure.name)) {
            self.links.board.note(Happened::LeaderLost { node, cause: "following restarted" });
        }
        self.retire(route);
        self.retire(stand_in);
        self.recalled = false;
        self.metrics.begin_anew();
        self.begin_period(now);
        self.links.writer.leaderless(now, None);
        self.carry_out_event(now, &Event::ProbeAll);
        self.carry_out(now);
    }
}
