//! Drives the tracker: one loop a cluster that takes in reports, signals, commands and time, and carries out what the
//! tracker decides.

mod anew;
mod commands;
mod history;
mod memory;
mod readers;
mod reshape;
mod route;
mod service;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::fates::{NodeFacts, PastTenures, View};
use super::metrics::{ClusterMetrics, Metrics};
use super::nodes::{InWords, Node};
use super::settings::Settings;
use super::shape::Shape;
use crate::board::{ClusterBoard, ClusterStatus, Happened, NodeStatus, OrderCause, wall_clock};
use crate::intent::{Input, ProbeOrder, ProbeReport};
use crate::leader::{Alarm, Event, NodeId, NodeState, Pace, Suspicion, Tracker, Verdict};
use crate::memory::ClusterMemory;
use crate::memory::orders::OrderBook;
use crate::names::{Book, Directory};
use crate::supervise::caught;
use crate::tenure::{Fate, OfReaders, Tenure, TenureWriter, To, Trust, Unserved};
use readers::Readers;

/// What joins one cluster's `follow` to the other roles.
#[derive(Debug)]
pub struct Links {
    /// Where the route is published.
    pub writer: TenureWriter,
    /// Where it is published which nodes readers go to.
    pub readers: OfReaders<TenureWriter>,
    /// Where reports and signals arrive.
    pub inbox: mpsc::Receiver<Input>,
    /// One order a node, in the order of their ids.
    pub orders: Vec<watch::Sender<ProbeOrder>>,
    /// Tells when a node's address changes.
    pub directory: Directory,
    /// Where another configuration arrives.
    pub shapes: mpsc::UnboundedReceiver<Box<Shape>>,
    /// Where the status is published.
    pub board: Arc<ClusterBoard>,
}

/// What has come to be taken in.
#[derive(Debug)]
enum Turn {
    Shape(Box<Shape>),
    Input(Input),
    /// Clients wait for a newer statement of the leader, or readers for one of their nodes (`max_age`).
    Confirmation,
    ReadersConfirmation,
    /// A name stands for other addresses.
    Addresses,
    Timeout,
    /// Nothing has happened, but workers have to know that this thread is at work (L7).
    Beat,
}

/// Follows one cluster.
#[derive(Debug)]
pub struct Follow {
    cluster: Arc<str>,
    settings: Settings,
    links: Links,
    metrics: ClusterMetrics,
    tracker: Tracker,
    nodes: Vec<Node>,
    route: Option<Arc<Tenure>>,
    stand_in: Option<Arc<Tenure>>,
    /// Whether the log has reported the present stand-in.
    announced_stand_in: bool,
    /// Whether there has been a route, in this process or before an upgrade.
    has_led: bool,
    last_leader: Option<NodeId>,
    past: PastTenures,
    readers: Readers,
    alarms: Vec<Alarm>,
    /// The route, if its node takes no clients, and why.
    not_serving: Option<(Arc<Tenure>, Unserved)>,
    leader_changes: u64,
    /// When the route, or the leaderless time, began.
    since: Instant,
    since_wall_clock: f64,
    /// Up to when leaderless time has been counted.
    counted_until: Instant,
    /// The epoch of the route that another process had (O3); 0 if none had one.
    resumed_epoch: u64,
    /// Whether another process had heard of every node.
    recalled: bool,
    /// What operators have ordered; it outlives the absence of a node.
    book: OrderBook,
    /// What changes orders at present.
    order_cause: OrderCause,
}

impl Follow {
    /// A cluster without a route; `links.writer` must say so since `now`.
    pub fn new(settings: Settings, links: Links, metrics: &Metrics, now: Instant) -> Self {
        Self::recalling(settings, links, metrics, now, None)
    }

    /// The same, going on where another process left off (O3); what it remembers has to be of `now` or later.
    pub fn recalling(
        settings: Settings,
        mut links: Links,
        metrics: &Metrics,
        now: Instant,
        memory: Option<&ClusterMemory>,
    ) -> Self {
        let priorities: Vec<i32> = settings.nodes.iter().map(|node| node.priority).collect();
        let names = settings.nodes.iter().map(|node| &*node.name);
        let mut follow = Follow {
            cluster: Arc::clone(&settings.cluster),
            metrics: metrics.cluster(&settings.cluster, names),
            tracker: Tracker::new(now.into_std(), &priorities, settings.policy),
            nodes: settings.nodes.iter().cloned().map(Node::new).collect(),
            readers: Readers::new(std::mem::take(&mut links.readers), settings.nodes.len(), now),
            settings,
            links,
            route: None,
            stand_in: None,
            announced_stand_in: false,
            has_led: false,
            last_leader: None,
            past: PastTenures::default(),
            alarms: Vec::new(),
            not_serving: None,
            leader_changes: 0,
            since: now,
            since_wall_clock: wall_clock(),
            counted_until: now,
            resumed_epoch: 0,
            recalled: false,
            book: OrderBook::default(),
            order_cause: OrderCause::Operator,
        };
        follow.begin_history();
        follow.metrics.last_change.set(follow.since_wall_clock);
        follow.metrics.interval.set(follow.settings.policy.interval.as_secs_f64());
        if let Some(memory) = memory {
            follow.recall(now, memory);
        }
        follow.carry_out(now);
        follow
    }

    /// Follows until every sender of the inbox is gone.
    pub async fn run(&mut self) {
        let mut addresses = self.links.directory.changes();
        loop {
            let beat_due = self.beat(Instant::now());
            let turn = self.next_turn(&mut addresses, beat_due).await;
            let Some(turn) = turn else { return };
            let now = Instant::now();
            // Before anything is taken in: what has arrived during a standstill was asked before it ended.
            self.beat(now);
            if caught(|| self.take(now, turn)).is_err() {
                self.begin_anew(now);
            }
        }
    }

    /// Waits for whatever comes first; `None` once every sender of the inbox is gone.
    async fn next_turn(&mut self, addresses: &mut watch::Receiver<Book>, beat_due: Instant) -> Option<Turn> {
        let due = self.tracker.poll_timeout().map(Instant::from_std).into_iter();
        let due = due.chain(self.readers_timeout()).min();
        let turn = tokio::select! {
            // What has arrived counts before what is late: an answer in the inbox outruns its own deadline.
            biased;
            // First of all: what arrives later may be of nodes that only this tells of.
            Some(shape) = self.links.shapes.recv() => Turn::Shape(shape),
            input = self.links.inbox.recv() => Turn::Input(input?),
            () = self.links.writer.wanted_more() => Turn::Confirmation,
            () = self.readers.wanted_more() => Turn::ReadersConfirmation,
            // Its sender lives as long as `self`.
            _ = addresses.changed() => Turn::Addresses,
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Turn::Timeout,
            () = sleep_until(beat_due) => Turn::Beat,
        };
        Some(turn)
    }

    /// Shows the workers that this thread is at work; returns when to do so again at the latest.
    fn beat(&self, now: Instant) -> Instant {
        let trust = Trust::by(&self.settings.policy);
        self.links.writer.beat(now, trust);
        self.readers.beat(now, trust);
        now + trust.turn()
    }

    fn take(&mut self, now: Instant, turn: Turn) {
        match turn {
            Turn::Shape(shape) => self.reshape(now, *shape),
            Turn::Input(Input::Report(report)) => self.take_report(now, *report),
            Turn::Input(Input::Unasked(NodeId(id), why)) => {
                if let Some(node) = self.nodes.get_mut(id) {
                    node.note_unasked(why);
                    self.publish();
                }
            }
            Turn::Input(Input::Signal(signal)) => {
                let why = signal.suspicion.as_str();
                debug!(cluster = %self.cluster, node = signal.node.0, why, "suspicion");
                if matches!(signal.suspicion, Suspicion::ConnectRefused | Suspicion::ConnectTimeout)
                    && let Some(node) = self.nodes.get_mut(signal.node.0)
                {
                    node.pass_over_address(now);
                }
                self.tracker.handle_signal(now.into_std(), signal);
                self.ask_reader(now, signal.node);
                self.carry_out(now);
            }
            Turn::Input(Input::Command(command, reply)) => {
                // Whoever has gone does not want to know.
                let _ = reply.send(self.take_command(now, command));
            }
            Turn::Input(Input::RestoreOrders(reply)) => {
                self.restore_orders(now, OrderCause::Upgrade);
                // If nobody waits, nobody wants to know.
                let _ = reply.send(());
            }
            Turn::Input(Input::Remember(reply)) => drop(reply.send(self.remember(now))),
            Turn::Confirmation => self.order_confirmation(),
            Turn::ReadersConfirmation => self.order_readers_confirmation(),
            Turn::Beat => {}
            Turn::Addresses => {
                self.carry_out(now);
                // A node that was to be pinned may have an address now.
                self.restore_orders(now, OrderCause::Reload);
            }
            Turn::Timeout => {
                self.tracker.handle_timeout(now.into_std());
                self.carry_out(now);
            }
        }
    }

    fn take_report(&mut self, now: Instant, report: ProbeReport) {
        let began = Instant::from_std(report.observation.began);
        let node = self.nodes.get(report.observation.node.0).filter(|node| node.was_asked_here(began));
        let Some(node) = node else { return };
        let report = node.weigh(report);
        let observation = report.observation;
        if let (Verdict::Leader | Verdict::Follower, Some(at)) = (observation.verdict, report.at) {
            self.take_address(now, observation.node, at, began);
        }
        let changed = self.hear(now, &report);
        if changed {
            self.log_verdict(now, &report);
        }
        if observation.verdict == Verdict::Leader
            && let Some(route) = self.route.as_ref().filter(|route| route.node == observation.node)
        {
            route.confirm(Instant::from_std(observation.began));
        }
        self.readers.confirm(&observation);
        if self.nodes[observation.node.0].said_last(&observation) {
            let metrics = &self.metrics.nodes[observation.node.0];
            metrics.last_verdict.set(wall_clock());
            metrics.healthy.set(i64::from(report.healthy));
        }
        self.tracker.handle_observation(now.into_std(), observation);
        self.carry_out(now);
    }

    fn log_verdict(&mut self, now: Instant, report: &ProbeReport) {
        let node = &mut self.nodes[report.observation.node.0];
        let admitted = node.log_limit.admit(now);
        let is_last = admitted.is_some() && node.log_limit.is_spent();
        let (cluster, node, detail) = (&self.cluster, node.name(), &report.detail);
        let verdict = InWords(report.observation.verdict);
        match admitted {
            Some(0) => info!(%cluster, %node, %verdict, %detail, "node's verdict changed"),
            Some(suppressed) => {
                info!(%cluster, %node, %verdict, %detail, suppressed, "node's verdict changed");
            }
            None => debug!(%cluster, %node, %verdict, %detail, "node's verdict changed"),
        }
        if is_last {
            info!(%cluster, %node, "the node's verdict changes often: the next changes are logged at debug level");
        }
    }

    /// Notes what a node said. Returns whether that is another verdict than its last.
    fn hear(&mut self, now: Instant, report: &ProbeReport) -> bool {
        let was_cut_off = self.is_cut_off();
        let changed = self.nodes[report.observation.node.0].hear(now, report, self.settings.policy.fall);
        if was_cut_off && !self.is_cut_off() {
            // The first to be reached again is heard before the others can be.
            self.nodes
                .iter_mut()
                .filter(|node| node.is_unreachable())
                .for_each(|node| node.excuse_silence(now));
        }
        changed
    }

    /// Whether no node answers at all.
    fn is_cut_off(&self) -> bool {
        self.nodes.iter().filter(|node| node.is_member()).all(Node::is_unreachable)
    }

    /// Carries out everything that the tracker has decided, and what follows from it.
    fn carry_out(&mut self, now: Instant) {
        self.count_leaderless(now);
        self.carry_out_events(now);
        self.follow_address(now);
        self.watch_service(now);
        self.carry_out_events(now);
        self.choose_stand_in(now);
        self.set_fates(now);
        self.settle_readers(now);
        self.set_pace();
        self.order_confirmation();
        self.order_readers_confirmation();
        self.publish();
    }

    fn carry_out_events(&mut self, now: Instant) {
        while let Some(event) = self.tracker.poll_event() {
            self.carry_out_event(now, &event);
        }
    }

    fn carry_out_event(&mut self, now: Instant, event: &Event) {
        match *event {
            Event::Elected { node, ordinal, previous_last_good } => {
                self.elect(now, node, ordinal, previous_last_good.map(Instant::from_std));
            }
            Event::Pinned(node) => self.pin(now, node),
            Event::Resumed(node) => self.resume(now, node),
            Event::Lost { node, cause } => self.lose(now, node, cause),
            Event::OverrideChanged { node, to } => self.note_override(node, to),
            Event::NodeChanged { node, to, .. } => self.note_state(node, to),
            Event::AlarmRaised(alarm) => self.raise(alarm),
            Event::AlarmCleared(alarm) => self.clear(alarm),
            Event::ProbeNode(node) => self.links.orders[node.0].send_modify(|order| order.round += 1),
            Event::ProbeAll => {
                for order in &self.links.orders {
                    order.send_modify(|order| order.round += 1);
                }
            }
        }
    }

    fn raise(&mut self, alarm: Alarm) {
        self.alarms.push(alarm);
        let name = alarm.as_str();
        if alarm == Alarm::Leaderless && !self.has_led {
            // So every gate starts: worth a line, but no alarm yet.
            info!(cluster = %self.cluster, "no leader known yet: clients are held");
        } else {
            let trouble = self.service_trouble().filter(|_| alarm == Alarm::NotServing);
            let reason = trouble.as_deref();
            warn!(cluster = %self.cluster, alarm = name, reason, "alarm: {}", alarm.explanation());
        }
        self.links.board.note(Happened::AlarmRaised { alarm: name });
        if alarm == Alarm::NotServing {
            self.note_not_serving();
        }
    }

    fn clear(&mut self, alarm: Alarm) {
        self.alarms.retain(|each| *each != alarm);
        info!(cluster = %self.cluster, alarm = alarm.as_str(), "alarm is over");
        self.links.board.note(Happened::AlarmOver { alarm: alarm.as_str() });
    }

    fn set_fates(&mut self, now: Instant) {
        if self.past.is_empty() {
            return;
        }
        let facts = self.facts();
        let serving: Vec<NodeId> = self.route.iter().map(|tenure| tenure.node).collect();
        let settings = self.settings.fates;
        let view = View { now, settings, to: To::Leader, serving: &serving, nodes: &facts };
        set_fates(&self.cluster, &mut self.past, &mut self.links.writer, &view);
    }

    fn set_pace(&self) {
        let pace = self.tracker.pace();
        for (id, order) in self.links.orders.iter().enumerate() {
            let pace = if self.suspects_reader(NodeId(id)) { Pace::Fast } else { pace };
            order.send_if_modified(|order| {
                let changed = order.pace != pace;
                order.pace = pace;
                changed
            });
        }
    }

    /// Has the leader asked again if a client waits for a newer statement of it. No suspicion: only it is asked, and
    /// only once for all who wait (`max_age`).
    fn order_confirmation(&self) {
        let (Some(route), Some(after)) = (&self.route, self.links.writer.wanted()) else { return };
        if route.rests_on_statements() && route.confirmed_at() <= after {
            self.order_statement(route.node, after);
        }
    }

    /// Orders a probe begun later than `after` of one node.
    fn order_statement(&self, node: NodeId, after: Instant) {
        self.links.orders[node.0].send_if_modified(|order| {
            let more = order.after < Some(after);
            order.after = order.after.max(Some(after));
            more
        });
    }

    fn count_leaderless(&mut self, now: Instant) {
        if self.route.is_none() {
            let more = now.saturating_duration_since(self.counted_until);
            self.metrics.leaderless.inc_by(more.as_secs_f64());
        }
        self.counted_until = now;
    }

    fn publish(&self) {
        self.metrics.leaders_observed.set(i64::try_from(self.tracker.claims()).unwrap_or(i64::MAX));
        let nodes = self.nodes.iter().enumerate().filter(|(_, node)| node.is_member());
        // One that this machine cannot ask is not waited for, as long as there is another.
        let first_round_done = nodes.clone().any(|(_, node)| node.is_known())
            && nodes.clone().all(|(_, node)| node.is_known() || node.is_unasked());
        let status =
            |(id, node): (usize, &Node)| node.status(NodeId(id), self.state(id), self.override_of(id));
        let mut nodes: Vec<NodeStatus> = nodes.map(status).collect();
        nodes.sort_by(|one, other| one.name.cmp(&other.name));
        self.links.board.publish(ClusterStatus {
            leader: self.route.as_ref().map(|tenure| Arc::clone(&tenure.name)),
            epoch: self.route.as_ref().map(|tenure| tenure.epoch),
            stand_in: self.stand_in.as_ref().map(|tenure| Arc::clone(&tenure.name)),
            since: self.since_wall_clock,
            claims: self.tracker.claims(),
            leader_changes: self.leader_changes,
            alarms: self.alarms.iter().map(|alarm| alarm.as_str()).collect(),
            not_serving: self.service_trouble(),
            nodes,
            readers: self.readers.names(),
            // If this host lacks what it takes to ask a node, the gate is ready without that node's verdict.
            first_round_done: self.recalled || first_round_done || self.tracker.is_first_round_over(),
        });
    }

    fn facts(&self) -> Vec<NodeFacts> {
        let nodes = self.nodes.iter().enumerate();
        let fall = self.settings.policy.fall;
        nodes.map(|(id, node)| node.facts(self.state(id), self.override_of(id), fall)).collect()
    }

    fn state(&self, id: usize) -> NodeState {
        self.tracker.node_state(NodeId(id))
    }
}

/// Decides the fates of past tenures and says them.
fn set_fates(cluster: &str, past: &mut PastTenures, writer: &mut TenureWriter, view: &View<'_>) {
    for (tenure, fate) in past.decide(view) {
        if writer.set_fate(&tenure, fate) {
            let what = match fate {
                Fate::Keep => "its sessions stay",
                Fate::Drain => "its sessions drain",
                Fate::Cut => "its sessions are cut",
            };
            let to = (view.to != To::Leader).then_some(view.to.as_str());
            info!(%cluster, node = %tenure.name, epoch = tenure.epoch, to, "past tenure: {what}");
        }
    }
}
