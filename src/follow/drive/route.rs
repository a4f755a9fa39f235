//! Carries out what becomes of the route: tenures that begin and end, and who stands in while there is none.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::{info, warn};

use super::super::stand_in::{self, Candidate};
use super::Follow;
use super::history::whole_ms;
use crate::board::{Happened, wall_clock};
use crate::leader::{LossCause, NodeId, Override};
use crate::tenure::Tenure;

impl Follow {
    pub(super) fn elect(
        &mut self,
        now: Instant,
        id: NodeId,
        ordinal: Option<u64>,
        last_good: Option<Instant>,
    ) {
        let tenure = self.begin_tenure(now, id);
        let (node, epoch) = (Arc::clone(&tenure.name), tenure.epoch);
        let leaderless_ms = self.leaderless_ms(now);
        let previous = self.follow_on(now, tenure);
        let failover = last_good.map(|at| now.saturating_duration_since(at));
        if let Some(failover) = failover {
            self.metrics.failover.observe(failover.as_secs_f64());
        }
        let failover_ms = failover.map(whole_ms);
        info!(cluster = %self.cluster, %node, epoch, ordinal, previous = previous.as_deref(), failover_ms, "leader elected");
        self.links.board.note(Happened::LeaderElected { node, epoch, previous, leaderless_ms, failover_ms });
        self.last_leader = Some(id);
        self.leader_changes += 1;
        self.metrics.leader_changes.inc();
        self.metrics.last_change.set(wall_clock());
    }

    /// Makes a tenure that has begun the route; returns the name of the node that it replaces.
    pub(super) fn follow_on(&mut self, now: Instant, tenure: Arc<Tenure>) -> Option<Arc<str>> {
        self.metrics.set_leader(Some(tenure.node));
        self.has_led = true;
        let previous = self.route.replace(tenure);
        let from = previous.as_ref().map(|tenure| Arc::clone(&tenure.name));
        self.retire(previous);
        let stand_in = self.stand_in.take();
        self.retire(stand_in);
        self.begin_period(now);
        from
    }

    pub(super) fn begin_tenure(&mut self, now: Instant, id: NodeId) -> Arc<Tenure> {
        let node = &self.nodes[id.0];
        let (name, address) = (Arc::clone(node.name()), node.address());
        let address = address.expect(
            "without an address no statement counts, no pin is taken, and no address is ever forgotten",
        );
        match self.tracker.override_of(id) {
            Some(Override::Pin) => self.links.writer.pin(id, name, address, now),
            _ => self.links.writer.lead(id, name, address, node.led_at.unwrap_or(now)),
        }
    }

    /// Begins another tenure of the same leader if its address has changed, so that its clients go to the new one.
    pub(super) fn follow_address(&mut self, now: Instant) {
        let Some(old) = &self.route else { return };
        if self.nodes[old.node.0].address().is_none_or(|address| address == old.address) {
            return;
        }
        let (id, from) = (old.node, old.address);
        let tenure = self.begin_tenure(now, id);
        let Tenure { name, epoch, address, .. } = &*tenure;
        info!(cluster = %self.cluster, node = %name, epoch, %from, to = %address, "leader readdressed");
        let moved = Happened::LeaderMoved { node: Arc::clone(name), address: *address, epoch: *epoch };
        self.links.board.note(moved);
        let previous = self.route.replace(tenure);
        self.retire(previous);
    }

    /// Takes in that a node makes a statement at this address, just before what it states is taken in. Where its last
    /// statement was made at another one, that one is forgotten: nobody is sent to a machine that has not said itself that
    /// it leads.
    pub(super) fn take_address(&mut self, now: Instant, id: NodeId, at: SocketAddr, began: Instant) {
        let node = &mut self.nodes[id.0];
        if node.speak_at(at, began) {
            info!(cluster = %self.cluster, node = %node.name(), to = %at, "node answers at another address");
            self.forget_leader(id.0);
            self.tracker.readdress(now.into_std(), id);
        }
    }

    pub(super) fn lose(&mut self, now: Instant, id: NodeId, cause: LossCause) {
        self.links.writer.leaderless(now, None);
        let (previous, stand_in) = (self.route.take(), self.stand_in.take());
        self.retire(previous);
        self.retire(stand_in);
        let name = self.nodes[id.0].name();
        warn!(cluster = %self.cluster, node = %name, cause = cause.as_str(), "leader lost");
        self.links.board.note(Happened::LeaderLost { node: Arc::clone(name), cause: cause.as_str() });
        self.metrics.set_leader(None);
        self.begin_period(now);
    }

    pub(super) fn begin_period(&mut self, now: Instant) {
        self.since = now;
        self.since_wall_clock = wall_clock();
    }

    pub(super) fn retire(&mut self, tenure: Option<Arc<Tenure>>) {
        if let Some(tenure) = tenure {
            self.past.push(&tenure);
        }
    }

    pub(super) fn choose_stand_in(&mut self, now: Instant) {
        if let Some(route) = self.route.clone() {
            return self.choose_instead(now, &route);
        }
        let chosen = self.chosen_stand_in(None);
        if chosen == self.stand_in.as_ref().map(|tenure| (tenure.node, tenure.address)) {
            self.announce_stand_in();
            return;
        }
        let next = chosen.map(|(id, address)| self.stand_in_at(now, id, address));
        let previous = std::mem::replace(&mut self.stand_in, next);
        self.retire(previous);
        self.links.writer.leaderless(self.since, self.stand_in.clone());
        self.announced_stand_in = false;
        self.announce_stand_in();
    }

    /// Reports a new stand-in, but not before each node has had its first word (L1): most starts end with a leader.
    pub(super) fn announce_stand_in(&mut self) {
        let Some(tenure) = self.stand_in.as_ref().filter(|_| self.tracker.is_first_round_over()) else {
            return;
        };
        if !std::mem::replace(&mut self.announced_stand_in, true) {
            let name = &tenure.name;
            info!(cluster = %self.cluster, node = %name, "no leader: after hold.timeout clients go to this node");
            self.links.board.note(Happened::StandIn { node: Arc::clone(name) });
        }
    }

    /// The node that would stand in now, other than `except`, and where clients would go.
    pub(super) fn chosen_stand_in(&self, except: Option<NodeId>) -> Option<(NodeId, SocketAddr)> {
        let states: Vec<_> = self
            .nodes
            .iter()
            .enumerate()
            .map(|(id, node)| Candidate {
                state: self.state(id),
                preference: self.tracker.preference(NodeId(id)),
                drained: Some(NodeId(id)) == except
                    || !node.is_member()
                    || self.override_of(id) == Some(Override::Drain),
            })
            .collect();
        let chosen = stand_in::choose(self.settings.hold_then, self.last_leader, &states);
        chosen.and_then(|id| Some((id, self.nodes[id.0].address()?)))
    }
}
