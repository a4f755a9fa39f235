//! Carries out which nodes readers go to: their tenures, who stands in while there is none, and what becomes of the
//! sessions of past ones.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::{info, warn};

use super::super::fates::{NodeFacts, PastTenures, View};
use super::super::readers::{Alerts, Candidate, Change, Roster};
use super::super::settings::FateSettings;
use super::{Follow, set_fates};
use crate::board::Happened;
use crate::leader::{NodeId, Observation, Policy, Verdict};
use crate::tenure::{OfReaders, Tenure, TenureWriter, To, Trust};

/// All readers of a cluster.
#[derive(Debug, Default)]
pub(super) struct Readers {
    lanes: OfReaders<Lane>,
    alerts: Alerts,
}

/// One kind of readers.
#[derive(Debug)]
struct Lane {
    to: To,
    writer: TenureWriter,
    roster: Roster,
    /// Those of the roster's nodes.
    tenures: Vec<Arc<Tenure>>,
    stand_in: Option<Arc<Tenure>>,
    /// Whether the log has reported the present stand-in.
    announced_stand_in: bool,
    past: PastTenures,
    /// Since when there is no node for them, while there is none.
    since: Instant,
}

/// The cluster as readers' lanes see it.
struct Scene {
    cluster: Arc<str>,
    now: Instant,
    policy: Policy,
    fates: FateSettings,
    names: Vec<Arc<str>>,
    candidates: Vec<Candidate>,
    facts: Vec<NodeFacts>,
    /// Who would stand in, and where.
    stand_in: Option<(NodeId, SocketAddr)>,
    /// Whether each node has had its first word (L1): before, the log does not report who would stand in.
    is_first_round_over: bool,
}

impl Follow {
    /// Has readers go to the nodes that suit them now.
    pub(super) fn settle_readers(&mut self, now: Instant) {
        if self.readers.is_empty() {
            return;
        }
        let scene = Scene {
            cluster: Arc::clone(&self.cluster),
            now,
            policy: self.settings.policy,
            fates: self.settings.fates,
            names: self.nodes.iter().map(|node| Arc::clone(node.name())).collect(),
            candidates: self.candidates(),
            facts: self.facts(),
            stand_in: self.chosen_stand_in(None),
            is_first_round_over: self.tracker.is_first_round_over(),
        };
        for lane in self.readers.lanes.iter_mut() {
            let changes = lane.roster.settle(now, &scene.candidates, &scene.policy);
            for change in &changes {
                if let Change::Ask(node) = change {
                    self.links.orders[node.0].send_modify(|order| order.round += 1);
                }
                if let Some(note) = lane.carry_out(*change, &scene) {
                    self.links.board.note(note);
                }
            }
            lane.publish(!changes.is_empty(), &scene);
            lane.set_fates(&scene);
        }
    }

    /// When readers' nodes are to be looked at although nothing has happened.
    pub(super) fn readers_timeout(&self) -> Option<Instant> {
        if self.readers.is_empty() {
            return None;
        }
        let nodes = self.candidates();
        let lanes = self.readers.lanes.iter();
        lanes.filter_map(|lane| lane.roster.poll_timeout(&nodes, &self.settings.policy)).min()
    }

    /// Somebody doubts a node: if it is not the route, about which the tracker decides, but readers go there, it is
    /// asked, and nobody else (L5).
    pub(super) fn ask_reader(&mut self, now: Instant, node: NodeId) {
        let is_route = self.route.as_ref().is_some_and(|route| route.node == node);
        let serves = self.readers.lanes.iter().any(|lane| lane.roster.has(node));
        if serves && !is_route && self.readers.alerts.raise(node, now, &self.settings.policy) {
            self.links.orders[node.0].send_modify(|order| order.round += 1);
        }
    }

    /// Whether a node to which readers go is to be probed fast, whatever the others are.
    pub(super) fn suspects_reader(&self, id: NodeId) -> bool {
        let alerted = self.readers.alerts.last(id);
        let suspects = |lane: &Lane| lane.roster.suspects(id, &self.candidate(id.0), alerted);
        self.readers.lanes.iter().any(suspects)
    }

    /// Has readers' nodes asked again if one of their clients waits for a newer statement (`max_age`).
    pub(super) fn order_readers_confirmation(&self) {
        for lane in self.readers.lanes.iter() {
            let Some(after) = lane.writer.wanted() else { continue };
            for tenure in lane.tenures.iter().filter(|tenure| tenure.confirmed_at() <= after) {
                self.order_statement(tenure.node, after);
            }
        }
    }

    fn candidates(&self) -> Vec<Candidate> {
        (0..self.nodes.len()).map(|id| self.candidate(id)).collect()
    }

    fn candidate(&self, id: usize) -> Candidate {
        self.nodes[id].candidate(self.state(id), self.override_of(id))
    }
}

impl Readers {
    pub(super) fn new(writers: OfReaders<TenureWriter>, nodes: usize, now: Instant) -> Self {
        let lanes = writers.map(|to, writer| Lane {
            to,
            writer,
            roster: Roster::new(to, nodes),
            tenures: Vec::new(),
            stand_in: None,
            announced_stand_in: false,
            past: PastTenures::default(),
            since: now,
        });
        Readers { lanes, alerts: Alerts::default() }
    }

    /// Nobody serves them any more, as far as is known.
    pub(super) fn begin_anew(&mut self, now: Instant, nodes: usize) {
        self.alerts = Alerts::default();
        for lane in self.lanes.iter_mut() {
            lane.roster = Roster::new(lane.to, nodes);
            for tenure in lane.tenures.drain(..).chain(lane.stand_in.take()) {
                lane.past.push(&tenure);
            }
            lane.since = now;
            lane.writer.leaderless(now, None);
        }
    }

    /// There are so many nodes from now on, and these kinds of readers, too.
    pub(super) fn reshape(&mut self, writers: OfReaders<TenureWriter>, nodes: usize, now: Instant) {
        self.lanes.iter_mut().for_each(|lane| lane.roster.grow(nodes));
        self.lanes.extend(Readers::new(writers, nodes, now).lanes);
    }

    /// Notes what a node has said in the tenures that rest on it.
    pub(super) fn confirm(&self, observation: &Observation) {
        for lane in self.lanes.iter() {
            let suits = match observation.verdict {
                Verdict::Leader => lane.to == To::Any,
                Verdict::Follower => true,
                Verdict::Unfit { .. } | Verdict::Unreachable { .. } => false,
            };
            if let Some(tenure) = lane.tenures.iter().find(|tenure| suits && tenure.node == observation.node)
            {
                tenure.confirm(Instant::from_std(observation.began));
            }
        }
    }

    /// Waits until a client wants a newer statement than any has before; for ever, where there are no readers.
    pub(super) async fn wanted_more(&mut self) {
        async fn of(lane: Option<&mut Lane>) {
            match lane {
                Some(lane) => lane.writer.wanted_more().await,
                None => std::future::pending().await,
            }
        }
        let [followers, any] = self.lanes.both_mut();
        tokio::select! {
            () = of(followers) => {}
            () = of(any) => {}
        }
    }

    /// Shows the workers that the thread that decides this is at work.
    pub(super) fn beat(&self, now: Instant, trust: Trust) {
        self.lanes.iter().for_each(|lane| lane.writer.beat(now, trust));
    }

    /// The names of the nodes that readers go to.
    pub(super) fn names(&self) -> BTreeMap<&'static str, Vec<Arc<str>>> {
        let names = |lane: &Lane| lane.tenures.iter().map(|tenure| Arc::clone(&tenure.name)).collect();
        self.lanes.iter().map(|lane| (lane.to.as_str(), names(lane))).collect()
    }

    fn is_empty(&self) -> bool {
        self.lanes.iter().next().is_none()
    }
}

impl Lane {
    /// Begins or ends a tenure; returns what the board is to say of it.
    fn carry_out(&mut self, change: Change, scene: &Scene) -> Option<Happened> {
        let (cluster, to) = (&scene.cluster, self.to.as_str());
        match change {
            Change::Begins(node, address) => {
                let name = Arc::clone(&scene.names[node.0]);
                let said = scene.candidates[node.0].suited_at(self.to).unwrap_or(scene.now);
                let tenure = self.writer.reader(node, name, address, said);
                let (name, epoch) = (&tenure.name, tenure.epoch);
                info!(%cluster, node = %name, epoch, to, "clients go to the node");
                let note = Happened::ReaderBegins { node: Arc::clone(name), to, epoch };
                self.tenures.push(tenure);
                self.tenures.sort_by_key(|tenure| tenure.node);
                Some(note)
            }
            Change::Ends(node) => {
                let place = self.tenures.iter().position(|tenure| tenure.node == node)?;
                let tenure = self.tenures.remove(place);
                let (name, epoch) = (&tenure.name, tenure.epoch);
                info!(%cluster, node = %name, epoch, to, "clients no longer go to the node");
                let note = Happened::ReaderEnds { node: Arc::clone(name), to };
                self.past.push(&tenure);
                Some(note)
            }
            Change::Ask(_) => None,
        }
    }

    /// Says where readers go from now on; the roster has changed or, while it is empty, who stands in may have.
    fn publish(&mut self, changed: bool, scene: &Scene) {
        if self.tenures.is_empty() {
            if changed {
                self.since = scene.now;
                warn!(cluster = %scene.cluster, to = self.to.as_str(), "no node for these clients: they are held");
            }
            if self.choose_stand_in(scene) || changed {
                self.writer.leaderless(self.since, self.stand_in.clone());
            }
        } else if changed {
            self.writer.spread(self.tenures.iter().cloned());
            if let Some(previous) = self.stand_in.take() {
                self.past.push(&previous);
            }
        }
    }

    /// Returns whether another one stands in than before.
    fn choose_stand_in(&mut self, scene: &Scene) -> bool {
        let current = self.stand_in.as_ref().map(|tenure| (tenure.node, tenure.address));
        if scene.stand_in == current {
            self.announce_stand_in(scene);
            return false;
        }
        let next = scene.stand_in.map(|(node, address)| {
            self.writer.stand_in(node, Arc::clone(&scene.names[node.0]), address, scene.now)
        });
        if let Some(previous) = std::mem::replace(&mut self.stand_in, next) {
            self.past.push(&previous);
        }
        self.announced_stand_in = false;
        self.announce_stand_in(scene);
        true
    }

    fn announce_stand_in(&mut self, scene: &Scene) {
        let Some(tenure) = self.stand_in.as_ref().filter(|_| scene.is_first_round_over) else { return };
        if !std::mem::replace(&mut self.announced_stand_in, true) {
            let (node, to) = (&tenure.name, self.to.as_str());
            info!(cluster = %scene.cluster, %node, to, "after hold.timeout these clients go to this node");
        }
    }

    fn set_fates(&mut self, scene: &Scene) {
        if self.past.is_empty() {
            return;
        }
        let serving: Vec<NodeId> = self.roster.nodes().collect();
        let Scene { now, fates: settings, .. } = *scene;
        let view = View { now, settings, to: self.to, serving: &serving, nodes: &scene.facts };
        set_fates(&scene.cluster, &mut self.past, &mut self.writer, &view);
    }
}
