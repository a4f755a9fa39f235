//! Carries out what an operator commands (L10): nodes that are drained or pinned, and what the tracker makes of it.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::info;

use super::Follow;
use crate::board::{Happened, OrderCause};
use crate::intent::{Command, CommandError};
use crate::leader::{NodeId, Override};
use crate::memory::orders::OrderBook;

impl Follow {
    pub(super) fn take_command(&mut self, now: Instant, command: Command) -> Result<(), CommandError> {
        if let Command::Pin(node) = command
            && self.nodes.get(node.0).is_some_and(|node| node.address().is_none())
        {
            return Err(CommandError::NoAddress);
        }
        if command == Command::Unpin {
            // The pinned node need not be there.
            self.book.unpin(&self.cluster);
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
        // A node that is gone is ordered about no more, and its order is kept for when it is back.
        let is_gone = !self.nodes[id.0].is_member();
        let by = if is_gone { OrderCause::Reload } else { self.order_cause };
        if by == OrderCause::Operator {
            self.book.enter(&self.cluster, name, to);
        }
        let (cause, node) = (by.in_words(), Arc::clone(name));
        info!(cluster = %self.cluster, %node, by = by.as_str(), "{what}, {cause}");
        self.links.board.note(Happened::Override { node, to: to.map(Override::as_str), by });
    }

    /// Enters orders here from now on, and carries out those that are entered already.
    #[must_use]
    pub fn with_orders(mut self, book: OrderBook, now: Instant) -> Self {
        self.book = book;
        self.restore_orders(now, OrderCause::Upgrade);
        self
    }

    /// Has the nodes ordered about as it is entered. A node without an address cannot be pinned yet.
    pub(super) fn restore_orders(&mut self, now: Instant, cause: OrderCause) {
        let wanted: Vec<_> = self.nodes.iter().map(|node| self.book.of(&self.cluster, node.name())).collect();
        let other = |(id, wanted): (usize, &Option<Override>)| {
            let node = &self.nodes[id];
            let is_other = node.is_member() && self.override_of(id) != *wanted;
            (is_other && (*wanted != Some(Override::Pin) || node.address().is_some()))
                .then_some((id, *wanted))
        };
        let changes: Vec<_> = wanted.iter().enumerate().filter_map(other).collect();
        if changes.is_empty() {
            return;
        }
        let withdrawals = changes.iter().filter_map(|(id, _)| match self.override_of(*id)? {
            Override::Drain => Some(Command::Undrain(NodeId(*id))),
            Override::Pin => Some(Command::Unpin),
        });
        let orders = changes.iter().filter_map(|(id, wanted)| match (*wanted)? {
            Override::Drain => Some(Command::Drain { node: NodeId(*id), force: true }),
            Override::Pin => Some(Command::Pin(NodeId(*id))),
        });
        let commands: Vec<_> = withdrawals.chain(orders).collect();
        let before = std::mem::replace(&mut self.order_cause, cause);
        for command in commands {
            // Each was taken before, so none contradicts another.
            let _ = self.tracker.handle_command(now.into_std(), command);
        }
        self.carry_out(now);
        self.order_cause = before;
    }

    pub(super) fn override_of(&self, id: usize) -> Option<Override> {
        self.tracker.override_of(NodeId(id))
    }
}
