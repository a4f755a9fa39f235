//! Carries out what an operator commands (L10): nodes that are drained or pinned, and what the tracker makes of it.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::info;

use super::Follow;
use crate::board::Happened;
use crate::intent::{Command, CommandError};
use crate::leader::{NodeId, Override};

impl Follow {
    pub(super) fn take_command(&mut self, now: Instant, command: Command) -> Result<(), CommandError> {
        if let Command::Pin(node) = command
            && self.nodes.get(node.0).is_some_and(|node| node.address().is_none())
        {
            return Err(CommandError::NoAddress);
        }
        let outcome = self.tracker.handle_command(now.into_std(), command);
        self.carry_out(now);
        Ok(outcome?)
    }

    pub(super) fn pin(&mut self, now: Instant, id: NodeId) {
        let tenure = self.begin_tenure(now, id);
        let (node, epoch) = (Arc::clone(&tenure.name), tenure.epoch);
        let leaderless_ms = self.leaderless_ms(now);
        let previous = self.follow_on(now, tenure);
        info!(cluster = %self.cluster, %node, epoch, previous = previous.as_deref(), "clients go to the pinned node");
        self.links.board.note(Happened::LeaderPinned { node, epoch, previous, leaderless_ms });
    }

    pub(super) fn note_override(&mut self, id: NodeId, to: Option<Override>) {
        self.metrics.nodes[id.0].set_override(to);
        let name = self.nodes[id.0].name();
        let what = match to {
            Some(Override::Drain) => "drained",
            Some(Override::Pin) => "pinned",
            None => "no longer drained or pinned",
        };
        info!(cluster = %self.cluster, node = %name, "an operator's command: {what}");
        let node = Arc::clone(name);
        self.links.board.note(Happened::Override { node, to: to.map(Override::as_str) });
    }

    pub(super) fn override_of(&self, id: usize) -> Option<Override> {
        self.tracker.override_of(NodeId(id))
    }
}
